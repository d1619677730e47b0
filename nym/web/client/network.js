// Network: its layers as a picture, and its nodes with what loops show of them.

import { repeatedly } from "/web/client/repeatedly.js";
import { byId, draw, make, say } from "/web/common/dom.js";
import { count, duration, share } from "/web/common/numbers.js";
import { visible } from "/web/common/text.js";

const MOST_DRAWN = 12; // nodes of a layer in the picture
const MOST_LISTED = 500; // rows of a table

export class NetworkPart {
  constructor(client) {
    this.client = client;
    this.report = null;
    this.show = repeatedly(client, () => this.load());
    client.on("status", (report) => (this.report = report));
  }

  async load() {
    try {
      const [view, loops] = await Promise.all([
        this.client.ask({ type: "network" }),
        this.client.ask({ type: "loops" }),
      ]);
      this.draw(view, loops.nodes);
    } catch (error) {
      if (error.code !== "no_network") throw error;
      this.drawNothing();
    }
  }

  drawNothing() {
    say(byId("network-about"), "No network is known yet: the directory hasn't listed a whole one.");
    for (const id of ["picture", "mixnodes", "providers"]) byId(id).replaceChildren();
  }

  draw(view, loops) {
    const own = this.report?.provider ?? null;
    const avoided = new Map((this.report?.avoided_nodes ?? []).map((node) => [node.key, node]));
    const verified = view.directory_verified ? "whose list is signed with a key that you have named" : "whose list isn't signed with a key that you have named";
    const leftOut = view.left_out.map(({ nodes, why }) => `${nodes} left out, ${visible(why)}`).join("; ");
    say(
      byId("network-about"),
      `From ${visible(view.directory)}, ${verified}. Those who see the same network have the same digest: ${view.digest}.${leftOut && ` ${leftOut}.`}`,
    );
    byId("directory").href = view.directory.replace(/\/*$/, "/");
    byId("picture").replaceChildren(picture(view, avoided, own));
    const nodes = view.layers.flatMap((layer, at) => layer.map((node) => ({ ...node, layer: at + 1 })));
    byId("mixnodes").replaceChildren(...rows(nodes, (node) => mixnode(node, loops[node.key], avoided.get(node.key))));
    byId("providers").replaceChildren(...rows(view.providers, (node) => provider(node, node.key === own)));
  }
}

function rows(nodes, row) {
  const left = nodes.length - MOST_LISTED;
  const shown = nodes.slice(0, MOST_LISTED).map(row);
  return left > 0 ? [...shown, make("tr", {}, make("td", { colspan: 6 }, `and ${count(left)} more`))] : shown;
}

function mixnode(node, seen, avoided) {
  const health = avoided ? `avoided for ${duration(avoided.seconds)}: ${visible(avoided.why)}` : "used";
  return make(
    "tr",
    {},
    make("td", {}, String(node.layer)),
    make("td", {}, node.address),
    make("td", { class: "key" }, node.key),
    make("td", { class: "number" }, seen ? count(seen.loops) : "–"),
    make("td", { class: "number" }, seen ? share(seen.lost / seen.loops) : "–"),
    make("td", { class: avoided ? "warn" : "good" }, health),
  );
}

function provider(node, isOwn) {
  return make(
    "tr",
    {},
    make("td", {}, node.address),
    make("td", { class: "key" }, node.key),
    make("td", { class: "number" }, count(node.clients)),
    make("td", {}, isOwn ? "by me" : "–"),
  );
}

/** Columns of circles: a route takes one of each layer, then goes to a provider. */
function picture(view, avoided, own) {
  const columns = [
    ...view.layers.map((nodes, at) => [`Layer ${at + 1}`, nodes]),
    ["Providers", view.providers],
  ];
  const height = 40 + 32 * Math.min(MOST_DRAWN, Math.max(...columns.map(([, nodes]) => nodes.length)));
  const width = 150;
  const place = (column, at, of) => ({ x: width * (column + 0.5), y: 40 + ((height - 40) * (at + 0.5)) / of });
  const drawing = draw("svg", {
    viewBox: `0 0 ${width * columns.length} ${height}`,
    role: "img",
    "aria-label": columns.map(([name, nodes]) => `${name}: ${nodes.length}`).join(", "),
  });
  const drawn = columns.map(([, nodes]) => nodes.slice(0, MOST_DRAWN));
  drawn.forEach((nodes, column) => {
    const next = drawn[column + 1] ?? [];
    nodes.forEach((_, from) => {
      next.forEach((_, to) => {
        const a = place(column, from, nodes.length);
        const b = place(column + 1, to, next.length);
        drawing.append(draw("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: "way" }));
      });
    });
  });
  columns.forEach(([name, nodes], column) => {
    const more = nodes.length > MOST_DRAWN ? ` (${nodes.length})` : "";
    drawing.append(draw("text", { x: width * (column + 0.5), y: 20, class: "layer" }, name + more));
    drawn[column].forEach((node, at) => {
      const { x, y } = place(column, at, drawn[column].length);
      const kind = avoided.has(node.key) ? "avoided" : node.key === own ? "own" : "node";
      const about = `${node.address}${{ avoided: ", avoided", own: ", mine", node: "" }[kind]}`;
      drawing.append(draw("circle", { cx: x, cy: y, r: 9, class: kind }, draw("title", {}, about)));
    });
  });
  return drawing;
}
