// Requests to the server, and the types of its answers. Airflow's cookie authenticates them.

export interface Place {
  account_id: string;
  region: string;
  vault_name: string;
  vault_arn: string;
}

export interface Job extends Place {
  job_id: string;
  action: string | null;
  tier: string | null;
  status_code: string | null;
  status_message: string | null;
  job_description: string | null;
  archive_id: string | null;
  creation_date: string | null;
  completion_date: string | null;
  running_seconds: number | null;
  expires_at: string | null;
  bytes: number | null;
  as_of: string;
}

export interface Expiring extends Place {
  job_id: string;
  job_description: string | null;
  creation_date: string | null;
  expires_at: string | null;
  as_of: string;
  bytes: number | null;
}

export interface Slow extends Place {
  job_id: string;
  job_description: string | null;
  creation_date: string;
  tier: string;
  running_hours: number;
  typical_hours: number;
  as_of: string;
}

export interface Unlisted extends Place {
  failed_at: string;
  error: string | null;
  failures: number;
  listed_at: string | null;
}

export interface Stale extends Place {
  as_of: string;
}

export interface Gap {
  from_hour: string;
  to_hour: string;
  gap_hours: number;
  vaults: number;
  names: string[];
}

export interface Choice {
  value: string;
  jobs: number;
}

export interface Some<Row> {
  total: number;
  rows: Row[];
}

export interface Ready {
  state: "ready";
  now: string;
  dataset_uri: string;
  version: string;
  newest_at: string;
  // The moment that the answers take as the present.
  read_at: string;
  // A listing that is older needs attention.
  stale_hours: number;
  choices: Record<FilterName, Choice[]>;
  expiring: Some<Expiring> & { urgent: number; urgent_hours: number; at_unknown_time: number };
  failed: Some<Job>;
  slow: Some<Slow>;
}

export type Overview =
  | { state: "unset"; now: string; variable: string }
  | { state: "empty"; now: string; dataset_uri: string }
  | Ready;

export interface NotObserved {
  account_id: string;
  region: string;
  newest_at: string;
}

export interface Watch {
  // Whether nothing needs attention, including the kinds in the overview.
  nothing: boolean;
  nobody_observes: boolean;
  vaults: number;
  not_observed: Some<NotObserved>;
  unlisted: Some<Unlisted>;
  stale: Some<Stale> & { stale_hours: number };
  gaps: Some<Gap> & { days: number };
}

export interface JobsPage {
  total: number;
  page: number;
  size: number;
  rows: Job[];
}

// The end of an axis, and the moments or days of values beyond it; neighbours share a label.
export interface Limit {
  top: number;
  cuts: { at: string[]; most: number }[];
}

// A time in which no vault was listed.
export interface Unobserved {
  from: string;
  to: string;
}

export interface Pictures {
  status_days: number;
  history_days: number;
  jobs_over_time: { hour: string; in_progress: number; succeeded: number; failed: number }[];
  // Of the days of the status; gaps are at least so many hours long.
  not_observed: { hours: number; gaps: Unobserved[] };
  retrieval_times: {
    day: string;
    action: string | null;
    tier: string;
    jobs: number;
    p50_seconds: number;
    p90_seconds: number;
    p99_seconds: number;
    max_seconds: number;
  }[];
  volume: {
    vaults: { account_id: string; region: string; vault_name: string }[];
    others: number;
    rows: { day: string; vault: number | null; jobs: number; bytes: number }[];
  };
  limits: { jobs_over_time: Limit | null; volume: Limit | null };
}

export type JobObservation = Record<string, unknown> & {
  observed_at: string;
  observation_id: string;
  status_code: string | null;
  status_message: string | null;
};

export const FILTERS = ["status", "vault", "tier", "action", "region", "account"] as const;
export type FilterName = (typeof FILTERS)[number];

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export async function ask<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, signal: signal ?? null });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "Airflow does not answer.");
  }
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return (await response.json()) as Answer;
}

async function reason(response: Response): Promise<string> {
  if (response.status === 401) return "Your Airflow session has ended. Reload the page to sign in again.";
  if (response.status === 403) return "You may not see this page: it needs permission to read plugins and assets.";
  try {
    const { detail } = (await response.json()) as { detail: unknown };
    if (typeof detail === "string") return detail;
    if (Array.isArray(detail)) return detail.map((each: { msg?: string }) => each.msg ?? "").join("; ");
  } catch {
    // Not JSON: the answer of a proxy in front of Airflow.
  }
  return `Airflow answered with an error (${response.status}).`;
}
