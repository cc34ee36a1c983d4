import {
  type SortingState,
  type Updater,
  createColumnHelper,
  functionalUpdate,
  rowSortingFeature,
  tableFeatures,
  useTable,
} from "@tanstack/preact-table";

import { type Change, SIZES, type View, selection } from "./address";
import type { Job, JobsPage, Ready } from "./api";
import type { Requested } from "./requests";
import { Filters } from "./filters";
import { Problem, Waiting } from "./states";
import { NOTHING, action, ago, count, counted, duration, exactMoment, hoursBetween, moment, size, status } from "./formatting";

const SECONDS_AN_HOUR = 3600;

// The data that cells need in addition to their job.
interface Around {
  now: number;
  open: (job: Job) => void;
}

const features = tableFeatures({ rowSortingFeature });
const helper = createColumnHelper<typeof features, Job>();

type Cell = (job: Job, around: Around) => preact.ComponentChildren;

const CELLS: Record<string, Cell> = {
  status_code: (job) => <Status code={job.status_code} />,
  job_description: (job, { open }) => (
    <button type="button" class="open" onClick={() => open(job)}>
      {job.job_description ? (
        <span class="description" title={job.job_description}>
          {job.job_description}
        </span>
      ) : (
        <span class="description without">No description</span>
      )}
      <small class="id">{job.job_id}</small>
    </button>
  ),
  vault_name: (job) => (
    <div>
      {job.vault_name}
      <small>{job.region}</small>
    </div>
  ),
  action: (job) => action(job.action),
  tier: (job) => job.tier ?? NOTHING,
  creation_date: (job) => <Time at={job.creation_date} />,
  running_seconds: (job) =>
    job.running_seconds === null ? NOTHING : duration(job.running_seconds / SECONDS_AN_HOUR),
  expires_at: (job, { now }) => <Left expiresAt={job.expires_at} now={now} />,
  bytes: (job) => size(job.bytes),
};

const HEADERS: Record<string, string> = {
  status_code: "Status",
  job_description: "Job",
  vault_name: "Vault",
  action: "Action",
  tier: "Tier",
  creation_date: "Created",
  running_seconds: "Duration",
  expires_at: "Output",
  bytes: "Size",
};

// Columns that are sorted in descending order first.
const LARGEST_FIRST = new Set(["creation_date", "running_seconds", "bytes"]);

const columns = helper.columns(
  Object.keys(HEADERS).map((id) =>
    helper.accessor((job) => job[id as keyof Job], {
      id,
      header: HEADERS[id]!,
      sortDescFirst: LARGEST_FIRST.has(id),
    }),
  ),
);

const NO_JOBS: Job[] = [];

interface Properties {
  view: View;
  change: Change;
  requested: Requested<JobsPage>;
  choices: Ready["choices"];
  now: number;
}

export function Jobs({ view, change, requested, choices, now }: Properties) {
  const { answer, error, loading, again } = requested;
  const sorting: SortingState = [{ id: view.sort.replace(/^-/, ""), desc: view.sort.startsWith("-") }];
  const table = useTable({
    features,
    columns,
    data: answer?.rows ?? NO_JOBS,
    getRowId: (job) => `${job.vault_arn} ${job.job_id}`,
    manualSorting: true,
    enableSortingRemoval: false,
    enableMultiSort: false,
    state: { sorting },
    onSortingChange: (updater: Updater<SortingState>) => {
      const [first] = functionalUpdate(updater, sorting);
      if (first) change({ sort: `${first.desc ? "-" : ""}${first.id}`, page: 1 });
    },
  });
  const around: Around = {
    now,
    open: ({ vault_arn, job_id, creation_date }) => change({ job: { vault_arn, job_id, created_at: creation_date } }),
  };
  return (
    <section aria-labelledby="jobs" aria-busy={loading}>
      <div class="titled">
        <h2 id="jobs" tabIndex={-1}>
          Jobs
        </h2>
        <p class="matches" aria-live="polite">
          {answer ? counted(answer.total, "job") : ""}
        </p>
        <Downloads view={view} total={answer?.total ?? 0} />
      </div>
      <Filters view={view} change={change} choices={choices} />
      {error && <Problem error={error} again={again} stale={answer !== null} />}
      {!answer && loading && <Waiting what="Reading the jobs" />}
      {answer && answer.total === 0 && (
        <p class="nothing">
          {Object.values(view.filters).some((values) => values.length) || view.q
            ? "No job matches these filters."
            : "The vaults have no jobs just now."}
        </p>
      )}
      {answer && answer.total > 0 && (
        <>
          <SortOnNarrow view={view} change={change} />
          <div class={loading ? "table-frame loading" : "table-frame"}>
            {/* With roles of their own: laid out as blocks, they would not be a table to a screen reader any more. */}
            <table class="jobs" role="table">
              <caption class="for-listeners">
                Jobs as of the newest listing of each vault. A column's header sorts by it.
              </caption>
              <thead role="rowgroup">
                {table.getHeaderGroups().map((group) => (
                  <tr key={group.id} role="row">
                    {group.headers.map((header) => {
                      const sorted = header.column.getIsSorted();
                      return (
                        <th
                          key={header.id}
                          role="columnheader"
                          scope="col"
                          class={header.id}
                          aria-sort={sorted ? (sorted === "asc" ? "ascending" : "descending") : "none"}
                        >
                          <button type="button" onClick={header.column.getToggleSortingHandler()}>
                            <table.FlexRender header={header} />
                            <span class="arrow" aria-hidden="true">
                              {sorted ? (sorted === "asc" ? "▲" : "▼") : ""}
                            </span>
                          </button>
                        </th>
                      );
                    })}
                  </tr>
                ))}
              </thead>
              <tbody role="rowgroup">
                {table.getRowModel().rows.map((row) => (
                  <tr
                    key={row.id}
                    role="row"
                    onClick={(event) => {
                      // The button inside is for keyboards. Selecting text must not open the job.
                      if (event.target instanceof Element && event.target.closest("button")) return;
                      if (!getSelection()?.toString()) around.open(row.original);
                    }}
                  >
                    {row.getAllCells().map((cell) => (
                      <td key={cell.id} role="cell" class={cell.column.id} data-label={HEADERS[cell.column.id]}>
                        {CELLS[cell.column.id]!(row.original, around)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          <Paging answer={answer} change={change} />
        </>
      )}
    </section>
  );
}

export function Status({ code }: { code: string | null }) {
  return <span class={`status ${code ?? "none"}`}>{status(code)}</span>;
}

function Time({ at }: { at: string | null }) {
  return at === null ? (
    <>{NOTHING}</>
  ) : (
    <time dateTime={at} title={exactMoment(at)}>
      {moment(at)}
    </time>
  );
}

const URGENT_HOURS = 6;

function Left({ expiresAt, now }: { expiresAt: string | null; now: number }) {
  if (expiresAt === null) return <>{NOTHING}</>;
  const hours = hoursBetween(now, expiresAt);
  return (
    <time dateTime={expiresAt} title={exactMoment(expiresAt)} class={hours < URGENT_HOURS ? "urgent" : ""}>
      {hours > 0 ? `${duration(hours)} left` : `due ${ago(expiresAt, now)}`}
    </time>
  );
}

function SortOnNarrow({ view, change }: { view: View; change: Change }) {
  const column = view.sort.replace(/^-/, "");
  const descending = view.sort.startsWith("-");
  return (
    <div class="sort-on-narrow">
      <label>
        Sort by{" "}
        <select
          value={column}
          onChange={(event) => {
            const id = event.currentTarget.value;
            change({ sort: `${LARGEST_FIRST.has(id) ? "-" : ""}${id}`, page: 1 });
          }}
        >
          {Object.entries(HEADERS).map(([id, header]) => (
            <option key={id} value={id}>
              {header}
            </option>
          ))}
        </select>
      </label>
      <button type="button" class="quiet" onClick={() => change({ sort: `${descending ? "" : "-"}${column}`, page: 1 })}>
        {descending ? "Descending ▼" : "Ascending ▲"}
      </button>
    </div>
  );
}

function Downloads({ view, total }: { view: View; total: number }) {
  if (!total) return null;
  const params = selection(view).toString();
  const query = params && `?${params}`;
  return (
    <p class="downloads">
      Download {count(total)} as{" "}
      <a href={`api/jobs.csv${query}`} download>
        CSV
      </a>{" "}
      or{" "}
      <a href={`api/jobs.parquet${query}`} download>
        Parquet
      </a>
    </p>
  );
}

function Paging({ answer, change }: { answer: JobsPage; change: Change }) {
  const { total, page, size: rows } = answer;
  const last = Math.max(1, Math.ceil(total / rows));
  const turn = (to: number) => change({ page: to });
  return (
    <nav class="paging" aria-label="Pages of jobs">
      <label>
        Rows{" "}
        <select value={rows} onChange={(event) => change({ size: Number(event.currentTarget.value), page: 1 })}>
          {SIZES.map((choice) => (
            <option key={choice} value={choice}>
              {choice}
            </option>
          ))}
        </select>
      </label>
      <p>
        {count((page - 1) * rows + 1)} to {count(Math.min(page * rows, total))} of {count(total)}
      </p>
      <div class="buttons">
        <button type="button" aria-label="First page" disabled={page === 1} onClick={() => turn(1)}>
          «
        </button>
        <button type="button" disabled={page === 1} onClick={() => turn(page - 1)}>
          Previous
        </button>
        <button type="button" disabled={page === last} onClick={() => turn(page + 1)}>
          Next
        </button>
        <button type="button" aria-label="Last page" disabled={page === last} onClick={() => turn(last)}>
          »
        </button>
      </div>
    </nav>
  );
}
