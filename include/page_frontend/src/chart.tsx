// A chart drawn by uPlot, in the colours of the page. The legend shows the numbers under the pointer, else the newest.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import type { Limit, Unobserved } from "./api";

const HEIGHT = 240;

export type Options = Omit<uPlot.Options, "width" | "height">;

const drawn = new Set<() => void>();

// The colours are read from the style sheet when a chart is drawn.
export function redrawCharts(): void {
  for (const draw of drawn) draw();
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

interface Properties {
  label: string;
  data: uPlot.AlignedData;
  options: () => Options;
}

export function Chart({ label, data, options }: Properties) {
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = frame.current!;
    let plot: uPlot | null = null;
    const draw = () => {
      plot?.destroy();
      const given = { ...options(), width: Math.max(element.clientWidth, 200), height: HEIGHT };
      plot = new uPlot({ ...given, plugins: [newestAtRest] }, data, element);
    };
    draw();
    drawn.add(draw);
    const resized = new ResizeObserver(() => {
      if (plot && plot.width !== element.clientWidth && element.clientWidth > 0) {
        plot.setSize({ width: element.clientWidth, height: HEIGHT });
      }
    });
    resized.observe(element);
    return () => {
      drawn.delete(draw);
      resized.disconnect();
      plot?.destroy();
    };
  }, [data]);
  return <div class="chart" ref={frame} role="img" aria-label={label} />;
}

// Without the pointer, uPlot's legend has no numbers.
const newestAtRest: uPlot.Plugin = {
  hooks: {
    ready: showNewest,
    setCursor: (plot) => {
      if (plot.cursor.idx == null) showNewest(plot);
    },
  },
};

function showNewest(plot: uPlot): void {
  plot.setLegend({ idx: plot.data[0].length - 1 });
}

export function axes(value: (number: number) => string, options: Partial<uPlot.Axis> = {}): uPlot.Axis[] {
  const shared = {
    stroke: colour("quiet-text"),
    grid: { stroke: colour("grid"), width: 1 },
    ticks: { stroke: colour("grid"), width: 1 },
    font: "12px system-ui, sans-serif",
  };
  return [
    { ...shared, grid: { show: false }, values: (_plot, splits, _axis, _space, step) => splits.map((split) => day(split, step)) },
    { ...shared, size: 74, values: (_: uPlot, splits: (number | null)[]) => splits.map((split) => (split === null ? "" : value(split))), ...options },
  ];
}

const DAY = 86_400;

function day(split: number, step: number): string {
  const at = new Date(split * 1000).toISOString();
  return step < DAY && !at.includes("T00:00") ? at.slice(11, 16) : at.slice(5, 10);
}

// Stacked values; a null counts as zero.
export function stacked(values: (number | null)[][]): number[][] {
  const tops: number[][] = [];
  for (const layer of values) {
    const below = tops[tops.length - 1];
    tops.push(layer.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return tops;
}

export const seconds = (text: string): number => new Date(text).getTime() / 1000;

// The end of a vertical axis that starts at zero: the limit if there is one, else the largest value.
export function end(limit: Limit | null, most: number): number {
  return limit ? limit.top * 1.1 : most * 1.05;
}

// Glacier keeps a finished job for so long at least: between two listings further apart, jobs can be missing.
const RETENTION_SECONDS = 24 * 3600;

// Mark cut values with a triangle at the upper edge, and write their value above it. Hatch times without observations,
// and hide the values there if jobs can be missing.
export function marks(
  limit: Limit | null,
  value: (number: number) => string,
  gaps: Unobserved[] = [],
): Partial<uPlot.Options> {
  const draw = (plot: uPlot) => {
    for (const old of plot.over.querySelectorAll(".cut-mark, .cut-label, .unobserved")) old.remove();
    const width = plot.over.clientWidth;
    for (const { from, to } of gaps) {
      const start = Math.max(plot.valToPos(seconds(from), "x"), 0);
      const hidden = Math.min(plot.valToPos(seconds(to), "x"), width) - start;
      if (hidden <= 0) continue;
      const whole = seconds(to) - seconds(from) <= RETENTION_SECONDS;
      const area = note(plot, whole ? "unobserved whole" : "unobserved", start, 0);
      area.style.width = `${hidden}px`;
      if (hidden >= LABEL_HEIGHT + 4) area.append(Object.assign(document.createElement("span"), { textContent: "not observed" }));
    }
    for (const { at, most } of limit?.cuts ?? []) {
      const places = at.map((text) => plot.valToPos(seconds(text), "x"));
      for (const place of places) note(plot, "cut-mark", place, -9);
      const label = note(plot, "cut-label", (places[0]! + places[places.length - 1]!) / 2, -25);
      label.textContent = at.length === 1 ? value(most) : `up to ${value(most)}`;
    }
  };
  return { ...(limit && { padding: [26, null, null, null] }), hooks: { draw: [draw] } };
}

// Label each series at its last point.
export function endLabels(labels: { text: string; series: number }[]): Partial<uPlot.Options> {
  const draw = (plot: uPlot) => {
    for (const old of plot.over.querySelectorAll(".end-label")) old.remove();
    const ends = labels.flatMap(({ text, series }) => {
      const values = plot.data[series]!;
      const last = values.findLastIndex((each) => each != null);
      if (last < 0) return [];
      return [{ text, x: plot.valToPos(plot.data[0][last]!, "x"), y: plot.valToPos(values[last]!, "y") }];
    });
    let free = -Infinity;
    for (const { text, x, y } of ends.sort((one, other) => one.y - other.y)) {
      const top = Math.max(y - LABEL_HEIGHT / 2, free);
      free = top + LABEL_HEIGHT;
      note(plot, "end-label", x + 8, top).textContent = text;
    }
  };
  return { padding: [null, 66, null, null], hooks: { draw: [draw] } };
}

const LABEL_HEIGHT = 14;

function note(plot: uPlot, name: string, left: number, top: number): HTMLElement {
  const element = document.createElement("span");
  element.className = name;
  element.style.left = `${left}px`;
  element.style.top = `${top}px`;
  plot.over.append(element);
  return element;
}

export const utc = (seconds: number): Date => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
