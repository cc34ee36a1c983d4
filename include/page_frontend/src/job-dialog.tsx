import { useEffect, useRef } from "preact/hooks";

import type { JobKey } from "./address";
import type { JobObservation } from "./api";
import { useRequest } from "./requests";
import { Copyable } from "./copying";
import { Status } from "./jobs";
import { LongText } from "./long-text";
import { Problem, Waiting } from "./states";
import { action, ago, counted, duration, exactMoment, hoursBetween, moment, size, status } from "./formatting";

const RETENTION_HOURS = 24;

interface Properties {
  job: JobKey;
  version: string | null;
  now: number;
  close: () => void;
}

export function JobDialog({ job, version, now, close }: Properties) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    // Modal: the browser keeps the focus inside, and restores it afterwards.
    dialog.current?.showModal();
    return () => dialog.current?.close();
  }, []);
  const params = new URLSearchParams({ vault_arn: job.vault_arn, job_id: job.job_id });
  if (job.created_at) params.set("created_at", job.created_at);
  const { answer, of, error, loading, again } = useRequest<{ observations: JobObservation[] }>(`api/job?${params}`, version);
  // The answer can be that of another job if the address has changed.
  const observations = of === `api/job?${params}` ? (answer?.observations ?? []) : [];
  const newest = observations[observations.length - 1];
  const title = text(newest?.job_description) ?? (newest ? "Job without a description" : "Job");
  return (
    <dialog
      ref={dialog}
      aria-labelledby="job-title"
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
    >
      <div class="dialog">
        <header>
          <h2 id="job-title" title={title}>
            {title}
          </h2>
          <button type="button" class="quiet" aria-label="Close" onClick={close}>
            ×
          </button>
        </header>
        {error && <Problem error={error} again={again} stale={observations.length > 0} />}
        {loading && !newest && <Waiting what="Reading the observations" />}
        {newest && (
          <>
            <p class="verdict">
              <Status code={newest.status_code} /> {verdict(newest, now)}
            </p>
            <h3>Timeline</h3>
            <Timeline observations={observations} now={now} />
            <h3>Details</h3>
            <Facts observation={newest} />
          </>
        )}
      </div>
    </dialog>
  );
}

function verdict(observation: JobObservation, now: number): string {
  const completed = text(observation.completion_date);
  const created = text(observation.creation_date);
  if (observation.status_code === "Succeeded" && completed) {
    const left = RETENTION_HOURS - hoursBetween(completed, now);
    return left > 0
      ? `Its output can be downloaded for another ${duration(left)}, until ${exactMoment(after(completed))}.`
      : `Glacier may have dropped its output since ${exactMoment(after(completed))}.`;
  }
  if (observation.status_code === "Failed") return observation.status_message ?? "Glacier gave no reason.";
  if (created) return `It was running for ${duration(hoursBetween(created, observation.observed_at))} when it was last listed.`;
  return "";
}

function after(completed: string): string {
  return new Date(new Date(completed).getTime() + RETENTION_HOURS * 3_600_000).toISOString();
}

// Consecutive listings with the same status.
interface Stretch {
  status: string | null;
  first: JobObservation;
  last: JobObservation;
  listings: number;
}

function stretches(observations: JobObservation[]): Stretch[] {
  const found: Stretch[] = [];
  for (const observation of observations) {
    const current = found[found.length - 1];
    if (current && current.status === observation.status_code) {
      current.last = observation;
      current.listings += 1;
    } else {
      found.push({ status: observation.status_code, first: observation, last: observation, listings: 1 });
    }
  }
  return found;
}

function Timeline({ observations, now }: { observations: JobObservation[]; now: number }) {
  const newest = observations[observations.length - 1]!;
  const created = text(newest.creation_date);
  const completed = text(newest.completion_date);
  const events: { at: string; says: preact.ComponentChildren }[] = [];
  if (created) events.push({ at: created, says: <>Created{newest.tier ? `, tier ${String(newest.tier)}` : ""}</> });
  if (completed) {
    const took = created ? ` after ${duration(hoursBetween(created, completed))}` : "";
    events.push({ at: completed, says: <>Completed{took}</> });
  }
  for (const { status: code, first, last, listings } of stretches(observations)) {
    events.push({
      at: first.observed_at,
      says: (
        <>
          Seen as “{status(code)}” by {counted(listings, "listing")}
          {listings > 1 && `, until ${moment(last.observed_at)}`}
        </>
      ),
    });
  }
  if (completed && newest.status_code === "Succeeded") {
    events.push({ at: after(completed), says: "Glacier may drop its output from here on" });
  }
  events.sort((one, other) => new Date(one.at).getTime() - new Date(other.at).getTime());
  return (
    <>
      <ol class="life">
        {events.map((event, index) => (
          <li key={index} class={new Date(event.at).getTime() > now ? "to-come" : ""}>
            <time dateTime={event.at}>{moment(event.at)}</time> <span>{event.says}</span>
          </li>
        ))}
      </ol>
      <p class="hint">Last seen {ago(newest.observed_at, now)}.</p>
      <details>
        <summary>Each of the {counted(observations.length, "listing")} that showed it</summary>
        <div class="table-frame" tabIndex={0} role="region" aria-label="Listings that showed the job">
          <table>
            <thead>
              <tr>
                <th scope="col">Seen</th>
                <th scope="col">Status</th>
                <th scope="col">Message</th>
                <th scope="col">Observation</th>
              </tr>
            </thead>
            <tbody>
              {observations.map((observation) => (
                <tr key={observation.observation_id}>
                  <td>{moment(observation.observed_at)}</td>
                  <td>{status(observation.status_code)}</td>
                  <td>{observation.status_message}</td>
                  <td>
                    <code>{observation.observation_id}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}

const BYTES = new Set(["archive_size_in_bytes", "inventory_size_in_bytes"]);
// Columns about the observation, which Glacier does not send.
const OURS = new Set(["observation_id", "snapshot_at", "observed_at"]);
// Columns with a copy button: users need them in commands and searches.
const COPIED: Record<string, string> = {
  account_id: "account id",
  archive_id: "archive id",
  archive_sha256_tree_hash: "archive tree hash",
  job_id: "job id",
  observation_id: "observation id",
  sha256_tree_hash: "tree hash",
  sns_topic: "SNS topic",
  vault_arn: "vault ARN",
};
const MOMENTS = new Set(["creation_date", "completion_date", "snapshot_at", "observed_at"]);

function Facts({ observation }: { observation: JobObservation }) {
  const ours = Object.entries(observation).filter(([name]) => OURS.has(name));
  const known = [...Object.entries(observation).filter(([name, value]) => value !== null && !OURS.has(name)), ...ours];
  const missing = Object.entries(observation).filter(([, value]) => value === null);
  return (
    <>
      <dl class="facts">
        {known.map(([name, value]) => (
          <div key={name}>
            <dt>{name.replaceAll("_", " ")}</dt>
            <dd>
              {COPIED[name] ? <Copyable name={COPIED[name]} text={String(value)} /> : <LongText text={fact(name, value)} />}
            </dd>
          </div>
        ))}
      </dl>
      {missing.length > 0 && (
        <p class="hint">Not reported by Glacier: {missing.map(([name]) => name.replaceAll("_", " ")).join(", ")}.</p>
      )}
    </>
  );
}

function fact(name: string, value: unknown): string {
  if (BYTES.has(name)) return `${size(Number(value))} (${Number(value).toLocaleString("en-US")} B)`;
  if (MOMENTS.has(name)) return exactMoment(String(value));
  if (name === "action") return `${action(String(value))} (${String(value)})`;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .filter(([, each]) => each !== null)
      .map(([key, each]) => `${key.replaceAll("_", " ")}: ${String(each)}`)
      .join(", ");
  }
  return String(value);
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
