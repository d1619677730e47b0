// Numbers as people read them.

const UNITS = [
  [86400, "day"],
  [3600, "hour"],
  [60, "minute"],
  [1, "second"],
];

/** A duration in one unit, such as "3 minutes". */
export function duration(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? UNITS.at(-1);
  const count = Math.round(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** Seconds with as many digits as matter, such as "1.42 s". */
export function seconds(value) {
  return value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

/** A share as a percentage. */
export function share(value) {
  return value === null ? "–" : `${(100 * value).toFixed(value < 0.1 ? 1 : 0)} %`;
}

/** A count with spaces between the thousands. */
export function count(value) {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A number per second. */
export function rate(value) {
  return `${value < 10 ? value.toFixed(1) : count(value)}/s`;
}

/** A number of bytes, such as "1.4 MB". */
export function bytes(value) {
  if (value < 1000) return `${value} B`;
  const power = Math.min(3, Math.floor(Math.log10(value) / 3));
  return `${(value / 1000 ** power).toFixed(1)} ${["kB", "MB", "GB"][power - 1]}`;
}

/** The time of day, and the date if it isn't today; `at` is in seconds since 1970. */
export function time(at) {
  const date = new Date(1000 * at);
  const isToday = date.toDateString() === new Date().toDateString();
  const day = { year: "numeric", month: "2-digit", day: "2-digit" };
  return date.toLocaleString([], { ...(isToday ? {} : day), hour: "2-digit", minute: "2-digit" });
}
