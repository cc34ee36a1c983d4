import type { ComponentChildren } from "preact";

import { type Change, DEFAULT_SORT, type View } from "./address";
import { type Expiring, FILTERS, type Place, type Ready, type Watch } from "./api";
import type { Requested } from "./requests";
import { Problem, Waiting } from "./states";
import { ago, count, counted, duration, hoursBetween, moment } from "./formatting";

// How many items of a kind are shown at first.
const FEW = 3;

interface Properties {
  ready: Ready;
  watch: Requested<Watch>;
  now: number;
  change: Change;
}

export function Attention({ ready, watch, now, change }: Properties) {
  const { expiring, failed, slow } = ready;
  const { answer } = watch;
  // The two answers may be of different observations for a moment.
  const nothing = answer?.nothing && !watch.error && !expiring.urgent && !failed.total && !slow.total;
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs attention</h2>
      {answer && watch.error && <Problem error={watch.error} again={watch.again} stale />}
      {answer?.nobody_observes && (
        <div class="problem" role="status">
          <p>
            Snapshots have stopped. Glacier drops a finished job about 24 hours after it ended: check the runs of the DAG{" "}
            <code>glacier_jobs_snapshot</code>.
          </p>
        </div>
      )}
      {nothing && (
        <p class="all-well">
          <span aria-hidden="true">✓ </span>
          Nothing needs attention: no output expires within {duration(expiring.urgent_hours)}, no job failed in the last 24
          hours, none is slower than typical, and every vault was listed without a gap.
        </p>
      )}
      {(!nothing || expiring.total > 0) && (
        <div class="cards">
          <Outputs {...{ ready, now, change }} />
          {!nothing && <Failed {...{ ready, now, change }} />}
          {!nothing && <Slow {...{ ready, change }} />}
          {!nothing && <Vaults requested={watch} now={now} />}
          {!nothing && <Gaps requested={watch} />}
        </div>
      )}
    </section>
  );
}

function Failed({ ready: { failed }, now, change }: Omit<Properties, "watch">) {
  return (
    <Card
      title="Failed"
      total={failed.total}
      level="bad"
      none="No job failed in the last 24 hours."
      footer={
        <ShowAll
          change={change}
          status="Failed"
          sort="-completion_date"
          total={failed.total}
          label="Show all failed jobs"
        />
      }
    >
      <Items
        rows={failed.rows}
        item={(job) => (
          <OpenJob key={job.vault_arn + job.job_id} job={job} change={change}>
            <strong>{job.status_message ?? "Glacier gave no reason."}</strong>
            <small>
              {what(job)} · {place(job)}
              {job.completion_date && ` · ${ago(job.completion_date, now)}`}
            </small>
          </OpenJob>
        )}
      />
    </Card>
  );
}

function Slow({ ready: { slow }, change }: Omit<Properties, "watch" | "now">) {
  return (
    <Card
      title="Slower than typical"
      total={slow.total}
      level="warn"
      none="No job is slower than typical."
      footer={
        <ShowAll
          change={change}
          status="InProgress"
          sort="creation_date"
          total={slow.total}
          label="Show the oldest jobs"
        />
      }
    >
      <Items
        rows={slow.rows}
        item={(job) => (
          <OpenJob key={job.vault_arn + job.job_id} job={job} change={change}>
            <strong>
              {job.tier} for {duration(job.running_hours)}
            </strong>
            <small>
              typical: up to {duration(job.typical_hours)} · {what(job)} · {place(job)}
            </small>
          </OpenJob>
        )}
      />
    </Card>
  );
}

function Outputs({ ready: { expiring }, now, change }: Omit<Properties, "watch">) {
  const urgent = expiring.urgent > 0;
  const within = `within ${duration(expiring.urgent_hours)}${expiring.at_unknown_time ? " or at an unknown time" : ""}`;
  return (
    <Card
      title="Outputs to download"
      total={expiring.total}
      level={urgent ? "bad" : "info"}
      none="No output is waiting to be downloaded."
      headline={urgent && `${count(expiring.urgent)} of them ${within}`}
      footer={<ShowAll change={change} status="Succeeded" sort="expires_at" total={expiring.total} />}
    >
      <Items
        rows={expiring.rows}
        item={(output) => (
          <OpenJob key={output.vault_arn + output.job_id} job={output} change={change}>
            <strong>{left(output, now)}</strong>
            <small>
              {what(output)} · {place(output)} · listed {ago(output.as_of, now)}
            </small>
          </OpenJob>
        )}
      />
    </Card>
  );
}

function left(output: Expiring, now: number): string {
  if (output.expires_at === null) return "Expires at an unknown time";
  const hours = hoursBetween(now, output.expires_at);
  return hours > 0 ? `${duration(hours)} left` : `May be gone: due ${duration(-hours)} ago`;
}

function Vaults({ requested, now }: { requested: Requested<Watch>; now: number }) {
  const { answer, error, again } = requested;
  if (!answer) return <Unknown title="Vaults not listed" error={error} again={again} />;
  const shown = [
    ...answer.not_observed.rows.map((target) => ({
      key: `${target.account_id} ${target.region}`,
      name: `All vaults in ${target.region}, account ${target.account_id}`,
      says: "Not observed",
      since: `last observed ${ago(target.newest_at, now)}`,
    })),
    ...answer.unlisted.rows.map((vault) => ({
      key: vault.vault_arn,
      name: place(vault),
      says: vault.error ?? "The listing failed.",
      since: vault.listed_at ? `last listed ${ago(vault.listed_at, now)}` : "never listed",
    })),
    ...answer.stale.rows.map((vault) => ({
      key: vault.vault_arn,
      name: place(vault),
      says: "Not listed recently",
      since: `last listed ${ago(vault.as_of, now)}`,
    })),
  ];
  const total = answer.not_observed.total + answer.unlisted.total + answer.stale.total;
  return (
    <Card
      title="Vaults not listed"
      total={total}
      level="bad"
      none={`All ${counted(answer.vaults, "vault")} were listed within ${duration(answer.stale.stale_hours)}.`}
    >
      <Items
        rows={shown}
        item={(vault) => (
          <span class="item" key={vault.key}>
            <strong>{vault.name}</strong>
            <small>
              {vault.says} · {vault.since}
            </small>
          </span>
        )}
      />
      {total > shown.length && <p class="more">and {count(total - shown.length)} more</p>}
    </Card>
  );
}

function Gaps({ requested }: { requested: Requested<Watch> }) {
  const { answer, error, again } = requested;
  if (!answer) return <Unknown title="Gaps in coverage" error={error} again={again} />;
  const { gaps } = answer;
  return (
    <Card
      title="Gaps in coverage"
      total={gaps.total}
      level="warn"
      none={`In ${gaps.days} days, no vault went unlisted for longer than Glacier keeps a finished job.`}
      headline="Jobs may be missing."
    >
      <Items
        rows={gaps.rows}
        item={(gap) => (
          <span class="item" key={gap.from_hour + gap.to_hour}>
            <strong>
              {duration(gap.gap_hours)} without a listing of {counted(gap.vaults, "vault")}
            </strong>
            <small>
              {moment(gap.from_hour)} to {moment(gap.to_hour)} · {gap.names.join("; ")}
              {gap.vaults > gap.names.length && ` and ${count(gap.vaults - gap.names.length)} more`}
            </small>
          </span>
        )}
      />
      {gaps.total > gaps.rows.length && <p class="more">and {count(gaps.total - gaps.rows.length)} more</p>}
    </Card>
  );
}

interface CardProperties {
  title: string;
  total: number;
  level: "bad" | "warn" | "info";
  none: string;
  headline?: ComponentChildren;
  footer?: ComponentChildren;
  children: ComponentChildren;
}

function Card({ title, total, level, none, headline, footer, children }: CardProperties) {
  return (
    <article class={`card ${total ? level : "none"}`}>
      <div class="card-title">
        <h3>
          <span class="number">{count(total)}</span> {title}
        </h3>
        {total > 0 && headline && <p class="headline">{headline}</p>}
        {total > 0 && footer}
      </div>
      <div>{total ? children : <p class="nothing">{none}</p>}</div>
    </article>
  );
}

function Unknown({ title, error, again }: { title: string; error: Requested<Watch>["error"]; again: () => void }) {
  return (
    <article class="card none">
      <h3 class="card-title">{title}</h3>
      {error ? <Problem error={error} again={again} stale={false} /> : <Waiting what="Looking" />}
    </article>
  );
}

function Items<Row>({ rows, item }: { rows: Row[]; item: (row: Row) => ComponentChildren }) {
  return (
    <>
      <ul class="items">
        {rows.slice(0, FEW).map((row, index) => (
          <li key={index}>{item(row)}</li>
        ))}
      </ul>
      {rows.length > FEW && (
        <details class="more-items">
          <summary>{counted(rows.length - FEW, "more item")}</summary>
          <ul class="items">
            {rows.slice(FEW).map((row, index) => (
              <li key={index}>{item(row)}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

interface OpenJobProperties {
  job: Place & { job_id: string; creation_date: string | null };
  change: Change;
  children: ComponentChildren;
}

function OpenJob({ job, change, children }: OpenJobProperties) {
  const { vault_arn, job_id, creation_date } = job;
  return (
    <button type="button" class="item" onClick={() => change({ job: { vault_arn, job_id, created_at: creation_date } })}>
      {children}
    </button>
  );
}

interface ShowAllProperties {
  change: Change;
  status: string;
  sort: string;
  total: number;
  label?: string;
}

function ShowAll({ change, status, sort, total, label }: ShowAllProperties) {
  const show = () => {
    const filters = Object.fromEntries(FILTERS.map((name) => [name, [] as string[]])) as View["filters"];
    change({ filters: { ...filters, status: [status] }, q: "", sort: sort || DEFAULT_SORT, page: 1 });
    const heading = document.getElementById("jobs");
    heading?.scrollIntoView({ block: "start" });
    heading?.focus({ preventScroll: true });
  };
  return (
    <button type="button" class="show-all" onClick={show}>
      {label ?? (total === 1 ? "Show the job" : `Show all ${count(total)} jobs`)}
    </button>
  );
}

// A card shows the beginning of a description; the job's dialog shows all of it.
const CARD_CHARACTERS = 80;

function what(job: { job_description: string | null; job_id: string }): string {
  const description = job.job_description;
  if (!description) return `job ${job.job_id.slice(0, 12)}…`;
  return description.length > CARD_CHARACTERS ? `${description.slice(0, CARD_CHARACTERS)}…` : description;
}

function place(vault: Place): string {
  return `${vault.vault_name}, ${vault.region}`;
}
