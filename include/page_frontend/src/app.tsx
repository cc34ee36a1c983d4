import { useEffect, useState } from "preact/hooks";

import { selection, useView } from "./address";
import type { JobsPage, Overview, Pictures as PicturesAnswer, Ready, Watch } from "./api";
import { type Requested, useRequest, useInterval } from "./requests";
import { Attention } from "./attention";
import { JobDialog } from "./job-dialog";
import { Jobs } from "./jobs";
import { Pictures } from "./pictures";
import { Problem, Waiting } from "./states";
import { ago, exactMoment, hoursBetween, moment } from "./formatting";

const REFRESH_MILLISECONDS = 30_000;
const TICK_MILLISECONDS = 10_000;

export function App() {
  const [view, change] = useView();
  const overview = useRequest<Overview>("api/overview", null);
  useInterval(() => {
    // A new request would cancel the pending one, so that a slow answer would never arrive.
    if (!overview.loading) overview.again();
  }, REFRESH_MILLISECONDS);
  const now = useServersNow(overview.answer);

  const ready = overview.answer?.state === "ready" ? overview.answer : null;
  const version = ready?.version ?? null;
  const params = selection(view);
  params.set("page", String(view.page));
  params.set("size", String(view.size));
  const jobs = useRequest<JobsPage>(ready && `api/jobs?${params}`, version);
  // Ages grow although there is no newer observation.
  const watch = useRequest<Watch>(ready && "api/watch", ready && `${version} ${ready.read_at}`);
  const pictures = useRequest<PicturesAnswer>(ready && "api/pictures", version);

  return (
    <>
      <header class="head">
        <h1>Glacier jobs</h1>
        {ready && <Age ready={ready} now={now} />}
        <button
          type="button"
          class="quiet"
          onClick={() => {
            overview.again();
            jobs.again();
            watch.again();
            pictures.again();
          }}
        >
          Refresh
        </button>
      </header>
      <main>
        {overview.error && <Problem error={overview.error} again={overview.again} stale={overview.answer !== null} />}
        {!overview.answer && overview.loading && <Waiting what="Reading the newest listings" />}
        {overview.answer && overview.answer.state !== "ready" && <NothingYet overview={overview.answer} />}
        {ready && (
          <>
            <Attention ready={ready} watch={watch} now={now} change={change} />
            <Jobs view={view} change={change} requested={jobs} choices={ready.choices} now={now} />
            <Pictures requested={pictures} />
            <footer>
              <p>
                All times are UTC. Dataset: <code>{ready.dataset_uri}</code>
              </p>
            </footer>
          </>
        )}
      </main>
      {view.job && ready && (
        <JobDialog job={view.job} version={version} now={now} close={() => change({ job: null })} />
      )}
      <Announcement overview={overview} />
    </>
  );
}

// The server's time, continued by the browser's clock, which may differ from it.
function useServersNow(overview: Overview | null): number {
  const [ahead, setAhead] = useState(0);
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (overview) setAhead(new Date(overview.now).getTime() - Date.now());
  }, [overview]);
  useInterval(() => setNow(Date.now()), TICK_MILLISECONDS);
  return now + ahead;
}

function Age({ ready, now }: { ready: Ready; now: number }) {
  const old = hoursBetween(ready.newest_at, now) > ready.stale_hours;
  return (
    <p class={old ? "age old" : "age"}>
      {old && <span aria-hidden="true">⚠ </span>}
      Newest listing{" "}
      <time dateTime={ready.newest_at} title={exactMoment(ready.newest_at)}>
        {ago(ready.newest_at, now)}
      </time>
      <span class="detail">
        {" "}
        ({moment(ready.newest_at)})
      </span>
      {old && ": does the DAG glacier_jobs_snapshot run?"}
    </p>
  );
}

function NothingYet({ overview }: { overview: Exclude<Overview, Ready> }) {
  return (
    <section class="nothing-yet" aria-labelledby="nothing-yet">
      {overview.state === "unset" ? (
        <>
          <h2 id="nothing-yet">No dataset is configured</h2>
          <ol>
            <li>
              Under Admin → Variables, set <code>{overview.variable}</code> to the URI of the dataset, such as{" "}
              <code>s3://conn_id@bucket/glacier</code> or <code>file:///data/glacier</code>.
            </li>
            <li>
              Set <code>glacier_jobs_targets</code> to the accounts and Regions to observe.
            </li>
            <li>
              Unpause the DAGs <code>glacier_jobs_snapshot</code> and <code>glacier_jobs_report</code>. The second
              aggregates finalized days, so that this page stays quick.
            </li>
          </ol>
        </>
      ) : (
        <>
          <h2 id="nothing-yet">No observation yet</h2>
          <p>
            The dataset <code>{overview.dataset_uri}</code> holds no observation. Unpause or trigger the DAG{" "}
            <code>glacier_jobs_snapshot</code>. This page shows the jobs once its first run has listed the vaults. If a run
            failed, the log of its task names the error.
          </p>
        </>
      )}
    </section>
  );
}

// Announces newer listings to screen readers, once.
function Announcement({ overview }: { overview: Requested<Overview> }) {
  const [said, setSaid] = useState("");
  const [known, setKnown] = useState<string | null>(null);
  const ready = overview.answer?.state === "ready" ? overview.answer : null;
  useEffect(() => {
    if (!ready) return;
    if (known !== null && known !== ready.version) setSaid(`A newer listing is shown, of ${moment(ready.newest_at)}.`);
    setKnown(ready.version);
  }, [ready?.version]);
  return (
    <div class="for-listeners" aria-live="polite">
      {said}
    </div>
  );
}
