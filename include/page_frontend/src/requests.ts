// Requests whose last answer is shown until the next one arrives.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Refused, ask } from "./api";

export interface Requested<Answer> {
  answer: Answer | null;
  // The address that the answer belongs to.
  of: string | null;
  error: Refused | null;
  loading: boolean;
  again: () => void;
}

// Request a path, and again whenever it or the version changes; null requests nothing.
export function useRequest<Answer>(path: string | null, version: unknown): Requested<Answer> {
  const [state, setState] = useState<Omit<Requested<Answer>, "again">>({
    answer: null,
    of: null,
    error: null,
    loading: path !== null,
  });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    if (path === null) return undefined;
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    ask<Answer>(path, abort.signal).then(
      (answer) => setState({ answer, of: path, error: null, loading: false }),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const refused = error instanceof Refused ? error : new Refused(0, String(error));
        setState((before) => ({ ...before, error: refused, loading: false }));
      },
    );
    return () => abort.abort();
  }, [path, version, tries]);
  const again = useCallback(() => setTries((before) => before + 1), []);
  return { ...state, again };
}

// Call something at an interval while the page is visible, and at once when it becomes visible again.
export function useInterval(call: () => void, milliseconds: number): void {
  const latest = useRef(call);
  latest.current = call;
  useEffect(() => {
    const tick = () => {
      if (document.visibilityState === "visible") latest.current();
    };
    const timer = setInterval(tick, milliseconds);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, [milliseconds]);
}
