// A text of any length; a few lines of it are shown at first.

import { useId, useState } from "preact/hooks";

// A text with more characters can take more lines than are shown at first, and has a button.
const FEW_CHARACTERS = 200;

export function LongText({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  const id = useId();
  if (text.length <= FEW_CHARACTERS) return <>{text}</>;
  return (
    <>
      <span id={id} class={all ? "long" : "long few-lines"}>
        {text}
      </span>
      <button type="button" class="quiet show-text" aria-expanded={all} aria-controls={id} onClick={() => setAll(!all)}>
        {all ? "Show less" : `Show all ${text.length.toLocaleString("en-US")} characters`}
      </button>
    </>
  );
}
