// The picture of the network: a column for each layer and one for the providers, with a circle for each node.

import { draw } from "/web/common/dom.js";
import { count, rate } from "/web/common/numbers.js";
import { short } from "/web/common/text.js";

const HEIGHT = 236;
const TOP = 14;
const BOTTOM = 186; // below it are the words
const MOST_CIRCLES = 8; // in a column; the rest is a number
const SMALL = 5;
const LARGE = 11;

let drawn = ""; // what the picture was made of; it stays, with what a mouse points at, until that changes

/** Draw the columns in `place`: {title, missing, nodes}, whose nodes are {host, rate, isProvider}. */
export function drawLayers(place, columns) {
  const width = place.clientWidth;
  const wanted = JSON.stringify([width, columns]);
  if (wanted === drawn) return;
  drawn = wanted;
  const most = Math.max(...columns.flatMap((column) => column.nodes.map((node) => node.rate ?? 0)), 1e-9);
  const laid = columns.map((column, index) => ({
    ...column,
    x: ((index + 0.5) * width) / columns.length,
    spots: spots(column.nodes),
  }));
  place.replaceChildren(
    draw("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": described(columns) },
      ...laid.slice(1).map((column, index) => lines(laid[index], column)),
      ...laid.flatMap((column) => [...circles(column, most), ...words(column)])),
  );
}

/** [node, y] of those that have a circle. */
function spots(nodes) {
  const shown = nodes.slice(0, MOST_CIRCLES);
  const gap = (BOTTOM - TOP) / shown.length;
  return shown.map((node, index) => [node, TOP + (index + 0.5) * gap]);
}

function lines(one, other) {
  const pieces = one.spots.flatMap(([, y]) => other.spots.map(([, to]) => `M${one.x} ${y}L${other.x} ${to}`));
  return draw("path", { d: pieces.join(""), fill: "none" });
}

function circles(column, most) {
  return column.spots.map(([node, y]) => {
    const kind = [node.isProvider && "provider", !node.isProvider && node.rate === null && "silent"];
    const r = SMALL + (LARGE - SMALL) * Math.sqrt((node.rate ?? 0) / most);
    const title = draw("title", {}, short(node.host));
    return draw("circle", { cx: column.x, cy: y, r, class: kind.filter(Boolean).join(" ") }, title);
  });
}

function words({ x, title, nodes, missing }) {
  const hidden = nodes.length - MOST_CIRCLES;
  const sum = nodes.reduce((total, node) => total + (node.rate ?? 0), 0);
  const isKnown = nodes.some((node) => node.rate !== null);
  return [
    draw("text", { x, y: BOTTOM + 20, class: missing ? "missing" : "" }, title),
    draw("text", { x, y: BOTTOM + 36, class: missing ? "small missing" : "small" }, missing ? "nobody" : numberOf(nodes, hidden)),
    draw("text", { x, y: BOTTOM + 50, class: "small" }, isKnown ? rate(sum) : ""),
  ];
}

const numberOf = (nodes, hidden) => `${count(nodes.length)}${hidden > 0 ? `, ${MOST_CIRCLES} drawn` : ""}`;

function described(columns) {
  return columns.map(({ title, nodes }) => `${title}: ${nodes.length}`).join(", ");
}
