import { useMemo, useState } from "preact/hooks";
import uPlot from "uplot";

import type { Pictures as PicturesAnswer } from "./api";
import type { Requested } from "./requests";
import { Chart, type Options, axes, colour, end, endLabels, marks, seconds, stacked, utc } from "./chart";
import { Problem, Waiting } from "./states";
import { action as actionWords, count, duration, moment, size } from "./formatting";

const SECONDS_AN_HOUR = 3600;

const STACKED = "The legend names the layers from the bottom up.";
const CUT = " A triangle marks a value beyond the end of the axis.";

export function Pictures({ requested: { answer, error, loading, again } }: { requested: Requested<PicturesAnswer> }) {
  return (
    <section aria-labelledby="pictures" aria-busy={loading}>
      <h2 id="pictures">Over time</h2>
      {error && <Problem error={error} again={again} stale={answer !== null} />}
      {!answer && loading && <Waiting what="Reading the history" />}
      {answer && (
        <div class="pictures">
          <OverTime answer={answer} />
          <Times answer={answer} />
          <Volume answer={answer} />
        </div>
      )}
    </section>
  );
}

interface PictureProperties {
  title: string;
  says: string;
  empty: boolean;
  head: string[];
  rows: () => string[][];
  children: preact.ComponentChildren;
  beside?: preact.ComponentChildren;
}

function Picture({ title, says, empty, head, rows, children, beside }: PictureProperties) {
  const [open, setOpen] = useState(false);
  return (
    <figure class="picture">
      <figcaption>
        <h3>{title}</h3>
        <p>{says}</p>
        {beside}
      </figcaption>
      {empty ? <p class="nothing">Nothing to show yet.</p> : children}
      {!empty && (
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>As a table</summary>
          {open && (
            <div class="table-frame" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
              <table>
                <thead>
                  <tr>
                    {head.map((name) => (
                      <th key={name} scope="col">
                        {name}
                      </th>
                    ))}
                  </tr>
                </thead>
                <tbody>
                  {rows().map((row, index) => (
                    <tr key={index}>
                      {row.map((value, column) =>
                        column ? (
                          <td key={column}>{value}</td>
                        ) : (
                          <th key={column} scope="row">
                            {value}
                          </th>
                        ),
                      )}
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
        </details>
      )}
    </figure>
  );
}

function OverTime({ answer }: { answer: PicturesAnswer }) {
  const rows = answer.jobs_over_time;
  const limit = answer.limits.jobs_over_time;
  const { gaps, hours: longest } = answer.not_observed;
  const hatched = gaps.length ? ` Hatched: no vault was listed for more than ${duration(longest)}.` : "";
  const layers = [
    { name: "Failed", colour: "failed", values: rows.map((row) => row.failed) },
    { name: "Succeeded", colour: "succeeded", values: rows.map((row) => row.succeeded) },
    { name: "In progress", colour: "in-progress", values: rows.map((row) => row.in_progress) },
  ];
  const data = useMemo(
    () => [rows.map((row) => seconds(row.hour)), ...stacked(layers.map((layer) => layer.values))] as uPlot.AlignedData,
    [answer],
  );
  const options = (): Options => ({
    tzDate: utc,
    legend: { live: true },
    cursor: { y: false, drag: { setScale: false } },
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(4, end(limit, max))] } },
    ...marks(limit, count, gaps),
    axes: axes(count),
    series: [
      { label: "Hour", value: (_plot, value) => (value === null ? "–" : moment(utcText(value))) },
      ...layers.map((layer) => ({
        label: layer.name,
        // A line in the background's colour separates the layers.
        stroke: colour("raised"),
        fill: colour(layer.colour),
        width: 1,
        points: { show: false },
        value: (_plot: uPlot, _value: number, _series: number, index: number | null) =>
          index === null ? "–" : count(layer.values[index] ?? 0),
      })),
    ],
    bands: [
      { series: [3, 2] },
      { series: [2, 1] },
    ],
  });
  return (
    <Picture
      title="Jobs by status"
      says={`At the end of each hour of ${answer.status_days} days; a finished job counts for 24 hours, as Glacier keeps it. ${STACKED}${limit ? CUT : ""}${hatched}`}
      empty={rows.length === 0}
      head={["Hour", "In progress", "Succeeded", "Failed", "Observed"]}
      rows={() =>
        [...rows]
          .reverse()
          .map((row) => [
            moment(row.hour),
            count(row.in_progress),
            count(row.succeeded),
            count(row.failed),
            gaps.some((gap) => gap.from <= row.hour && row.hour < gap.to) ? "no" : "yes",
          ])
      }
    >
      <Chart label="Jobs by status at each hour; the numbers are in the table below" data={data} options={options} />
    </Picture>
  );
}

const TIERS = ["Expedited", "Standard", "Bulk"];

function Times({ answer }: { answer: PicturesAnswer }) {
  const actions = [...new Set(answer.retrieval_times.map((row) => row.action ?? ""))].sort();
  const [chosen, setChosen] = useState<string | null>(null);
  const shown = chosen !== null && actions.includes(chosen) ? chosen : (actions[0] ?? "");
  const rows = answer.retrieval_times.filter((row) => (row.action ?? "") === shown);
  const days = [...new Set(rows.map((row) => row.day))].sort();
  const tiers = TIERS.filter((tier) => rows.some((row) => row.tier === tier));
  const lines = tiers.flatMap((tier) => {
    const of = (day: string) => rows.find((row) => row.day === day && row.tier === tier);
    return [
      { name: `${tier}, half within`, tier, dash: [], values: days.map((day) => of(day)?.p50_seconds ?? null) },
      { name: `${tier}, 90% within`, tier, dash: [5, 4], values: days.map((day) => of(day)?.p90_seconds ?? null) },
    ];
  });
  const data = useMemo(
    () => [days.map(seconds), ...lines.map((line) => line.values)] as uPlot.AlignedData,
    [answer, shown],
  );
  const options = (): Options => ({
    tzDate: utc,
    cursor: { y: false, drag: { setScale: false } },
    scales: { x: { range: wholeDays }, y: { distr: 3, range: (_plot, min, max) => [min / 2, max * 2] } },
    ...endLabels(tiers.map((tier, index) => ({ text: tier, series: 2 * index + 1 }))),
    axes: axes((value) => duration(value / SECONDS_AN_HOUR), { splits: times, filter: (_plot, splits) => splits }),
    series: [
      { label: "Day", value: (_plot, value) => (value === null ? "–" : utcText(value).slice(0, 10)) },
      ...lines.map((line) => ({
        label: line.name,
        stroke: colour(`tier-${line.tier.toLowerCase()}`),
        width: 2,
        dash: line.dash,
        spanGaps: true,
        points: { show: true, size: 6, fill: colour(`tier-${line.tier.toLowerCase()}`) },
        value: (_plot: uPlot, value: number | null) => (value === null ? "–" : duration(value / SECONDS_AN_HOUR)),
      })),
    ],
  });
  return (
    <Picture
      title="Retrieval times by tier"
      says={`From creation to completion, of the jobs that succeeded on each of ${answer.history_days} days. No tier counts as Standard.`}
      empty={answer.retrieval_times.length === 0}
      beside={
        actions.length > 1 && (
          <label>
            Of{" "}
            <select value={shown} onChange={(event) => setChosen(event.currentTarget.value)}>
              {actions.map((name) => (
                <option key={name} value={name}>
                  {actionWords(name)}
                </option>
              ))}
            </select>
          </label>
        )
      }
      head={["Day", "Action", "Tier", "Jobs", "Half within", "90% within", "99% within", "Longest"]}
      rows={() =>
        [...answer.retrieval_times]
          .reverse()
          .map((row) => [
            row.day,
            actionWords(row.action),
            row.tier,
            count(row.jobs),
            ...[row.p50_seconds, row.p90_seconds, row.p99_seconds, row.max_seconds].map((value) =>
              duration(value / SECONDS_AN_HOUR),
            ),
          ])
      }
    >
      <Chart
        label="Retrieval times by tier and day; the numbers are in the table below"
        data={data}
        options={options}
      />
    </Picture>
  );
}

const DAY = 86_400;

// Half a day on each side, so that the first and the last bar are complete.
function wholeDays(_plot: uPlot, min: number, max: number): uPlot.Range.MinMax {
  return [(min ?? 0) - DAY / 2, (max ?? 0) + DAY / 2];
}

// The ticks of a logarithmic axis: common time spans.
const MINUTES = [1, 2, 5, 10, 30, 60, 180, 360, 720, 1440, 2880, 7200, 20160];

function times(_plot: uPlot, _axis: number, min: number, max: number): number[] {
  return MINUTES.map((minutes) => minutes * 60).filter((value) => value >= min && value <= max);
}

function utcText(value: number): string {
  return new Date(value * 1000).toISOString();
}

function Volume({ answer }: { answer: PicturesAnswer }) {
  const { vaults, others, rows } = answer.volume;
  const limit = answer.limits.volume;
  const days = [...new Set(rows.map((row) => row.day))].sort();
  const places = new Set(vaults.map((vault) => `${vault.account_id} ${vault.region}`));
  const names = vaults.map((vault) => (places.size > 1 ? `${vault.vault_name} (${vault.region})` : vault.vault_name));
  const layers = [
    ...names.map((name, index) => ({ name, vault: index as number | null, colour: `series-${index + 1}` })),
    ...(others ? [{ name: `${others} others`, vault: null, colour: "series-others" }] : []),
  ].map((layer) => ({
    ...layer,
    values: days.map((day) => rows.find((row) => row.day === day && row.vault === layer.vault)?.bytes ?? 0),
  }));
  const data = useMemo(
    () => [days.map(seconds), ...stacked(layers.map((layer) => layer.values))] as uPlot.AlignedData,
    [answer],
  );
  const bars = uPlot.paths.bars!({ size: [0.7, 60] });
  const options = (): Options => ({
    tzDate: utc,
    cursor: { y: false, drag: { setScale: false }, points: { show: false } },
    scales: { x: { range: wholeDays }, y: { range: (_plot, _min, max) => [0, end(limit, max) || 1] } },
    ...marks(limit, size),
    axes: axes(size, { incrs: BYTE_STEPS }),
    series: [
      { label: "Day", value: (_plot, value) => (value === null ? "–" : utcText(value).slice(0, 10)) },
      ...layers.map((layer) => ({
        label: layer.name,
        stroke: colour("raised"),
        fill: colour(layer.colour),
        width: 1,
        paths: bars,
        points: { show: false },
        value: (_plot: uPlot, _value: number, _series: number, index: number | null) =>
          index === null ? "–" : size(layer.values[index] ?? 0),
      })),
    ],
    bands: layers.slice(1).map((_layer, index) => ({ series: [index + 2, index + 1] as [number, number] })),
  });
  return (
    <Picture
      title="Volume by vault"
      says={`Bytes of the jobs that succeeded on each of ${answer.history_days} days. ${STACKED}${limit ? CUT : ""}`}
      empty={!rows.some((row) => row.bytes > 0)}
      head={["Day", "Vault", "Jobs", "Bytes"]}
      rows={() =>
        [...rows]
          .reverse()
          .map((row) => [
            row.day,
            row.vault === null ? `${others} others` : (names[row.vault] ?? ""),
            count(row.jobs),
            size(row.bytes),
          ])
      }
    >
      <Chart label="Volume by vault and day; the numbers are in the table below" data={data} options={options} />
    </Picture>
  );
}

const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
