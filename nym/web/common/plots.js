// Plots over time, by uPlot, in the page's colours. For those who can't see them, a page says the last values beside them.

const { uPlot } = globalThis;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** A time below a plot, where there is little room; `step` is the number of seconds between two of them. */
function moment(at, step) {
  const date = new Date(1000 * at);
  if (step >= 86400) return date.toLocaleDateString([], { month: "2-digit", day: "2-digit" });
  const second = step < 60 ? { second: "2-digit" } : {};
  return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...second });
}

/**
 * A plot in the element `place`. `lines` are {label, colour, dashed}; colours are names of look.css. `value`
 * makes a text of a number. Returns {show(columns, span)}: the first column has seconds since 1970, and the plot
 * ends now and begins `span` seconds before, or with the first of them.
 */
export function plot(place, lines, value) {
  let columns = [[], ...lines.map(() => [])];
  const drawn = build();

  function build() {
    const axis = { stroke: () => colour("quiet"), grid: { stroke: () => colour("line"), width: 1 } };
    return new uPlot(
      {
        width: Math.max(200, place.clientWidth),
        height: 180,
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1e-3)] } },
        axes: [
          { ...axis, space: 70, values: (_, ticks, __, ___, step) => ticks.map((at) => moment(at, step)) },
          { ...axis, size: 60, values: (_, ticks) => ticks.map(value) },
        ],
        series: [
          { label: "at", value: (_, at) => (at ? moment(at, 1) : "–") },
          ...lines.map((line) => ({
            label: line.label,
            stroke: () => colour(line.colour),
            width: 2,
            dash: line.dashed ? [6, 4] : undefined,
            points: { show: false },
            value: (_, number) => (number === null || number === undefined ? "–" : value(number)),
          })),
        ],
      },
      columns,
      place,
    );
  }

  // The canvas keeps its size and colours until it is told.
  new ResizeObserver(() => {
    const width = Math.max(200, place.clientWidth);
    if (width !== drawn.width) drawn.setSize({ width, height: 180 });
  }).observe(place);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => drawn.redraw());

  return {
    show(changed, span = null) {
      columns = changed;
      const now = Date.now() / 1000;
      const scale = { min: span === null ? (columns[0][0] ?? now - 60) : now - span, max: now };
      drawn.batch(() => {
        drawn.setData(columns, false);
        drawn.setScale("x", scale);
      });
    },
  };
}
