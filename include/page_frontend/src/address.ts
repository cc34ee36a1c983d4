// The state of the page as query parameters: a shared link shows the same view.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { FILTERS, type FilterName } from "./api";

export interface JobKey {
  vault_arn: string;
  job_id: string;
  created_at: string | null;
}

export interface View {
  filters: Record<FilterName, string[]>;
  q: string;
  sort: string;
  page: number;
  size: number;
  job: JobKey | null;
}

export const DEFAULT_SORT = "-creation_date";
export const SIZES = [25, 50, 100, 200];
const DEFAULT_SIZE = 50;

export function read(search: string): View {
  const given = new URLSearchParams(search);
  const [vaultArn, jobId] = [given.get("vault_arn"), given.get("job")];
  const size = Number(given.get("size"));
  return {
    filters: Object.fromEntries(FILTERS.map((name) => [name, given.getAll(name)])) as View["filters"],
    q: given.get("q") ?? "",
    sort: given.get("sort") ?? DEFAULT_SORT,
    page: Math.max(1, Math.trunc(Number(given.get("page"))) || 1),
    size: SIZES.includes(size) ? size : DEFAULT_SIZE,
    job: vaultArn && jobId ? { vault_arn: vaultArn, job_id: jobId, created_at: given.get("created_at") } : null,
  };
}

export function selection(view: View): URLSearchParams {
  const params = new URLSearchParams();
  for (const name of FILTERS) for (const value of view.filters[name]) params.append(name, value);
  if (view.q) params.set("q", view.q);
  if (view.sort !== DEFAULT_SORT) params.set("sort", view.sort);
  return params;
}

export function write(view: View): string {
  const params = selection(view);
  if (view.page !== 1) params.set("page", String(view.page));
  if (view.size !== DEFAULT_SIZE) params.set("size", String(view.size));
  if (view.job) {
    params.set("vault_arn", view.job.vault_arn);
    params.set("job", view.job.job_id);
    if (view.job.created_at) params.set("created_at", view.job.created_at);
  }
  const text = params.toString();
  return text && `?${text}`;
}

// Airflow copies the frame's address to its own on the frame's load event. It does not notice addresses that a script
// sets.
function tellAirflow(): void {
  try {
    window.frameElement?.dispatchEvent(new Event("load"));
  } catch {
    // A page of another origin frames this page, and must not get its address.
  }
}

export type Change = (change: Partial<View>, how?: "push" | "replace") => void;

export function useView(): [View, Change] {
  const [view, setView] = useState(() => read(location.search));
  const latest = useRef(view);
  latest.current = view;
  useEffect(() => {
    const follow = () => {
      setView(read(location.search));
      tellAirflow();
    };
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  const change: Change = useCallback((changed, how = "push") => {
    const after = { ...latest.current, ...changed };
    latest.current = after;
    setView(after);
    if (write(after) === location.search) return;
    history[how === "push" ? "pushState" : "replaceState"](null, "", location.pathname + write(after));
    tellAirflow();
  }, []);
  return [view, change];
}
