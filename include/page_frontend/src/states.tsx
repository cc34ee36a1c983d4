import type { Refused } from "./api";

export function Waiting({ what }: { what: string }) {
  return (
    <p class="waiting" role="status">
      {what}…
    </p>
  );
}

export function Problem({ error, again, stale }: { error: Refused; again: () => void; stale: boolean }) {
  return (
    <div class="problem" role="alert">
      <p>
        {error.message}
        {stale && " What is shown is what was known before."}
      </p>
      {error.status !== 401 && error.status !== 403 && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}
