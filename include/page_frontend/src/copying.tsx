// A text that can be copied with a button.

import { useEffect, useRef, useState } from "preact/hooks";

const COPIED_MILLISECONDS = 2500;
const FAILED_MILLISECONDS = 10_000;

interface Properties {
  // The name of the text, for the button's accessible name.
  name: string;
  text: string;
}

export function Copyable({ name, text }: Properties) {
  const shown = useRef<HTMLSpanElement>(null);
  const [outcome, setOutcome] = useState<"copied" | "failed" | null>(null);
  useEffect(() => {
    if (outcome === null) return undefined;
    const timer = setTimeout(() => setOutcome(null), outcome === "copied" ? COPIED_MILLISECONDS : FAILED_MILLISECONDS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async () => setOutcome((await copied(text, shown.current!)) ? "copied" : "failed");
  return (
    <span class="copyable">
      <span ref={shown}>{text}</span>{" "}
      <button type="button" class="quiet copy" aria-label={`Copy ${name}`} title={`Copy ${name}`} onClick={copy}>
        <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.5">
          <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
          <path d="M10.5 3.5v-.25a1.5 1.5 0 0 0-1.5-1.5H4a1.5 1.5 0 0 0-1.5 1.5V8.5A1.5 1.5 0 0 0 4 10" />
        </svg>
      </button>
      <span class="copied" role="status" aria-live="polite">
        {outcome === "copied" && "Copied"}
        {outcome === "failed" && `Selected: press ${/Mac|iP(hone|ad)/.test(navigator.platform) ? "⌘C" : "Ctrl+C"} to copy`}
      </span>
    </span>
  );
}

// Return whether the text was copied; if not, it is left selected.
async function copied(text: string, shown: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard API is missing over plain HTTP and can be forbidden in a frame. The older command works in both.
  }
  const selection = getSelection()!;
  selection.selectAllChildren(shown);
  if (!document.execCommand("copy")) return false;
  selection.removeAllRanges();
  return true;
}
