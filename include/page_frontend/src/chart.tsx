// A picture drawn by uPlot, in the colours of the page. Hovering tells the numbers in its legend.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

const HEIGHT = 240;

export type Options = Omit<uPlot.Options, "width" | "height">;

const drawn = new Set<() => void>();

// The colours are those of the style sheet when a picture is drawn.
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
      plot = new uPlot({ ...options(), width: Math.max(element.clientWidth, 200), height: HEIGHT }, data, element);
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

// Values one on top of the other; a null is nothing.
export function stacked(values: (number | null)[][]): number[][] {
  const tops: number[][] = [];
  for (const layer of values) {
    const below = tops[tops.length - 1];
    tops.push(layer.map((value, index) => (value ?? 0) + (below?.[index] ?? 0)));
  }
  return tops;
}

export const utc = (seconds: number): Date => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC");
