// Answers that are asked for anew while the last one is still shown.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { Refused, ask } from "./api";

export interface Asked<Answer> {
  answer: Answer | null;
  // The address that the answer belongs to.
  of: string | null;
  error: Refused | null;
  loading: boolean;
  again: () => void;
}

// Ask a path, and again whenever it or the version changes; null asks nothing.
export function useAsked<Answer>(path: string | null, version: unknown): Asked<Answer> {
  const [state, setState] = useState<Omit<Asked<Answer>, "again">>({
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

// Call something now and then while somebody looks, and at once when they look again.
export function useNowAndThen(call: () => void, milliseconds: number): void {
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
