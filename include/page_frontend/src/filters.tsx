import { useEffect, useId, useRef, useState } from "preact/hooks";

import { type Change, DEFAULT_SORT, type View } from "./address";
import { type Choice, FILTERS, type FilterName, type Ready } from "./api";
import { action, count, status } from "./formatting";

const LABELS: Record<FilterName, string> = {
  status: "Status",
  vault: "Vault",
  tier: "Tier",
  action: "Action",
  region: "Region",
  account: "Account",
};

const TYPING_MILLISECONDS = 300;

// How many choices are shown at a time; typing filters them.
const SHOWN = 100;
const SEARCHABLE_FROM = 9;

export function worded(name: FilterName, value: string): string {
  if (name === "status") return status(value);
  if (name === "action") return value ? action(value) : "No action";
  return value || `No ${LABELS[name].toLowerCase()}`;
}

interface Properties {
  view: View;
  change: Change;
  choices: Ready["choices"];
}

export function Filters({ view, change, choices }: Properties) {
  const chosen = FILTERS.flatMap((name) => view.filters[name].map((value) => ({ name, value })));
  const choose = (name: FilterName, values: string[]) =>
    change({ filters: { ...view.filters, [name]: values }, page: 1 });
  return (
    <div class="filters" role="search" aria-label="Jobs">
      <Text value={view.q} set={(q) => change({ q, page: 1 }, "replace")} />
      {FILTERS.map((name) => (
        <Several
          key={name}
          name={name}
          choices={choices[name]}
          chosen={view.filters[name]}
          choose={(values) => choose(name, values)}
        />
      ))}
      {(chosen.length > 0 || view.q !== "") && (
        <ul class="chosen" aria-label="Chosen filters">
          {chosen.map(({ name, value }) => (
            <li key={`${name} ${value}`}>
              <button
                type="button"
                class="chip"
                aria-label={`Remove the filter ${LABELS[name]}: ${worded(name, value)}`}
                onClick={() => choose(name, view.filters[name].filter((each) => each !== value))}
              >
                {LABELS[name]}: {worded(name, value)} <span aria-hidden="true">×</span>
              </button>
            </li>
          ))}
          <li>
            <button
              type="button"
              class="quiet"
              onClick={() => {
                const filters = Object.fromEntries(FILTERS.map((name) => [name, []])) as unknown as View["filters"];
                change({ filters, q: "", sort: DEFAULT_SORT, page: 1 });
              }}
            >
              Clear all
            </button>
          </li>
        </ul>
      )}
    </div>
  );
}

function Text({ value, set }: { value: string; set: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  const timer = useRef<ReturnType<typeof setTimeout>>();
  // A trailing space is not in the address, but must stay in the box.
  useEffect(() => setTyped((before) => (before.trim() === value ? before : value)), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <label class="text">
      <span class="for-listeners">Search in ids, descriptions, messages and vault names</span>
      <input
        type="search"
        placeholder="Id, description, message, vault"
        value={typed}
        maxLength={1024}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const text = event.currentTarget.value;
          setTyped(text);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => set(text.trim()), TYPING_MILLISECONDS);
        }}
      />
    </label>
  );
}

interface SeveralProperties {
  name: FilterName;
  choices: Choice[];
  chosen: string[];
  choose: (values: string[]) => void;
}

function Several({ name, choices, chosen, choose }: SeveralProperties) {
  const [open, setOpen] = useState(false);
  const [narrowed, setNarrowed] = useState("");
  const frame = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return undefined;
    const leave = (event: Event) => {
      if (event.target instanceof Node && !frame.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", leave);
    document.addEventListener("focusin", leave);
    return () => {
      document.removeEventListener("pointerdown", leave);
      document.removeEventListener("focusin", leave);
    };
  }, [open]);
  // A value in the address that no job has can be removed as well.
  const known = new Set(choices.map((choice) => choice.value));
  const all = [...choices, ...chosen.filter((value) => !known.has(value)).map((value) => ({ value, jobs: 0 }))];
  const wanted = all.filter((choice) => worded(name, choice.value).toLowerCase().includes(narrowed.toLowerCase()));
  return (
    <div
      class="several"
      ref={frame}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button
        type="button"
        ref={button}
        class={chosen.length ? "choice active" : "choice"}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
      >
        {LABELS[name]}
        {chosen.length > 0 && ` (${chosen.length})`} <span aria-hidden="true">▾</span>
      </button>
      {open && (
        <fieldset class="panel" id={id}>
          <legend class="for-listeners">{LABELS[name]}</legend>
          {all.length >= SEARCHABLE_FROM && (
            <input
              type="search"
              aria-label={`Narrow down: ${LABELS[name]}`}
              placeholder="Narrow down"
              value={narrowed}
              onInput={(event) => setNarrowed(event.currentTarget.value)}
            />
          )}
          <div class="scrolled">
            {wanted.slice(0, SHOWN).map((choice) => (
              <label key={choice.value}>
                <input
                  type="checkbox"
                  checked={chosen.includes(choice.value)}
                  onChange={(event) =>
                    choose(
                      event.currentTarget.checked
                        ? [...chosen, choice.value]
                        : chosen.filter((value) => value !== choice.value),
                    )
                  }
                />
                <span class="value">{worded(name, choice.value)}</span>
                <span class="jobs">{count(choice.jobs)}</span>
              </label>
            ))}
            {wanted.length > SHOWN && <p>and {count(wanted.length - SHOWN)} more</p>}
            {wanted.length === 0 && <p>None.</p>}
          </div>
        </fieldset>
      )}
    </div>
  );
}
