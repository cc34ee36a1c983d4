// Readable numbers, sizes and times. All times are UTC.

const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const HOUR = 3_600_000;

export const NOTHING = "–";

export function count(number: number): string {
  return number.toLocaleString("en-US");
}

export function counted(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

export function size(bytes: number | null): string {
  if (bytes === null) return NOTHING;
  let [value, unit] = [bytes, 0];
  while (Math.abs(value) >= 1024 && unit < SIZES.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)} ${SIZES[unit]}`;
}

export function duration(hours: number | null): string {
  if (hours === null) return NOTHING;
  const minutes = Math.round(Math.abs(hours) * 60);
  const sign = hours < 0 && minutes > 0 ? "−" : "";
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${sign}${minutes} min`;
  if (minutes < 48 * 60) return `${sign}${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  const rest = Math.floor((minutes % 1440) / 60);
  return `${sign}${Math.floor(minutes / 1440)} d${rest ? ` ${rest} h` : ""}`;
}

export function hoursBetween(from: string | number, to: string | number): number {
  return (new Date(to).getTime() - new Date(from).getTime()) / HOUR;
}

export function ago(moment: string, now: number): string {
  return `${duration(Math.max(0, hoursBetween(moment, now)))} ago`;
}

export function moment(text: string | null): string {
  return text === null ? NOTHING : new Date(text).toISOString().slice(0, 16).replace("T", " ");
}

export function exactMoment(text: string | null): string {
  return text === null ? NOTHING : `${new Date(text).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

const STATUSES: Record<string, string> = { InProgress: "In progress" };
const ACTIONS: Record<string, string> = { ArchiveRetrieval: "Archive", InventoryRetrieval: "Inventory" };

export function status(code: string | null): string {
  return code ? (STATUSES[code] ?? code) : "No status";
}

export function action(code: string | null): string {
  return code ? (ACTIONS[code] ?? code) : NOTHING;
}
