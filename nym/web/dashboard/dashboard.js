// The network's dashboard: asks the directory, and shows what it says. Everything here is at /api for everybody.

import { byId, make, say } from "/web/common/dom.js";
import { count, rate, time } from "/web/common/numbers.js";
import { plot } from "/web/common/plots.js";
import { short } from "/web/common/text.js";
import { followMetrics, followTopology } from "/web/dashboard/directory.js";
import { drawLayers } from "/web/dashboard/layers.js";
import { Network } from "/web/dashboard/network.js";
import { Table } from "/web/dashboard/table.js";
import { Traffic } from "/web/dashboard/traffic.js";

const MOST_CHANGES = 100;
const SHOW_PERIOD = 1000; // milliseconds; metrics of thousands of mixnodes come all the time
const POINT_PERIOD = 3; // seconds; mixnodes report so often
const MOST_POINTS = 300; // a quarter of an hour

const network = new Network();
const traffic = new Traffic();
let lostAt = null; // when the directory stopped to answer
let isPushed = false;
let points = [[], [], []];

const now = () => Date.now() / 1000;
const trafficOf = (node) => traffic.of(node.key, now());
const perSecond = (value) => (value === null ? "–" : rate(value));
const text = (longest) => (value) => short(value, longest);

const HOST = { title: "Host", of: (node) => node.host, shown: text(80), kind: "host" };
const KEY = { title: "Key", of: (node) => node.key, shown: text(60), kind: "key" };
const VERSION = { title: "Version", of: (node) => node.version, shown: text(40), kind: "long" };
const figure = (title, of, shown) => ({ title, of, shown, kind: "number" });
const texts = (node) => [node.host, node.key, node.version, node.clientsHost];

const mixnodes = new Table(byId("mixnodes"), {
  name: "mixnodes",
  texts,
  columns: [
    { title: "Layer", of: (node) => node.layer, shown: String },
    HOST,
    VERSION,
    KEY,
    figure("Received/s", (node) => trafficOf(node).receivedRate, perSecond),
    figure("Sent/s", (node) => trafficOf(node).sentRate, perSecond),
    figure("Received", (node) => trafficOf(node).received, count),
    figure("Sent", (node) => trafficOf(node).sent, count),
  ],
});
const providers = new Table(byId("providers"), {
  name: "providers",
  texts,
  columns: [
    HOST,
    { title: "For clients", of: (node) => node.clientsHost, shown: text(80), kind: "host" },
    VERSION,
    KEY,
    figure("Clients", (node) => node.clients, (value) => (value === null ? "not listed" : count(value))),
  ],
});
const coconodes = new Table(byId("coconodes"), {
  name: "coconodes",
  texts,
  columns: [HOST, { title: "Type", of: (node) => node.type, shown: text(40), kind: "long" }, VERSION, KEY],
});
const drawn = plot(
  byId("plot"),
  [
    { label: "received", colour: "real", dashed: false },
    { label: "sent", colour: "good", dashed: true },
  ],
  (value) => perSecond(value),
);

function listed(topology) {
  lostAt = null;
  const { texts: changes, rekeyed } = network.take(topology);
  for (const [old, key] of rekeyed) traffic.rekey(old, key);
  traffic.keepOnly(new Set(network.all("mixnode").map((node) => node.key)));
  tellChanges(changes);
  show();
}

function tellChanges(changes) {
  const at = now();
  const stamp = new Date(1000 * at).toISOString();
  const items = changes.map((change) => make("li", {}, make("time", { datetime: stamp }, time(at)), make("span", {}, change)));
  const list = byId("changes");
  list.prepend(...items);
  while (list.children.length > MOST_CHANGES) list.lastChild.remove();
  byId("no-changes").hidden = list.children.length > 0;
}

function show() {
  showState();
  if (network.nodes === null) return;
  mixnodes.show(network.all("mixnode"));
  providers.show(network.all("provider"));
  coconodes.show(network.all("coconode"));
  byId("coconodes-card").hidden = network.all("coconode").length === 0;
  showFigures();
  showLayers();
}

function showState() {
  const [kind, sentence] = state();
  const place = byId("state");
  place.className = `card ${kind}`;
  say(place, sentence);
  const isSilent = lostAt !== null || network.nodes === null;
  say(byId("live"), isSilent ? "" : isPushed ? "live" : "every 3 seconds: the metrics socket isn't open");
}

function state() {
  if (lostAt !== null) {
    const rest = network.nodes === null ? "" : ` What is below is from ${time(lostAt)}.`;
    return ["bad", `The directory doesn't answer. This page asks again every few seconds.${rest}`];
  }
  if (network.nodes === null) return ["", "Asking the directory…"];
  const trouble = network.trouble();
  if (trouble !== null) return ["warn", trouble];
  const layers = network.layers === 1 ? "1 layer" : `${network.layers} layers`;
  return ["good", `The network is whole: ${layers} of mixnodes, and ${several(network.all("provider").length, "provider")}.`];
}

const several = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

function showFigures() {
  const clients = network.all("provider").map((node) => node.clients);
  const isKnown = clients.every((number) => number !== null);
  const { received, sent } = rates();
  say(byId("mixnode-count"), count(network.all("mixnode").length));
  say(byId("provider-count"), count(clients.length));
  say(byId("client-count"), isKnown ? count(clients.reduce((sum, number) => sum + number, 0)) : "–");
  say(byId("received-rate"), perSecond(received));
  say(byId("sent-rate"), perSecond(sent));
}

/** Of all mixnodes together; null if none has reported anything lately. */
function rates() {
  const known = network.all("mixnode").map(trafficOf).filter((of) => of.receivedRate !== null);
  if (known.length === 0) return { received: null, sent: null };
  const sum = (name) => known.reduce((total, of) => total + of[name], 0);
  return { received: sum("receivedRate"), sent: sum("sentRate") };
}

function showLayers() {
  const ends = network.all("provider").map((node) => ({ host: node.host, rate: null, isProvider: true }));
  const last = { title: "Providers", nodes: ends, missing: ends.length === 0 };
  const layers = network.layerNumbers().map((layer) => {
    const nodes = network.in(layer).map((node) => ({ host: node.host, rate: trafficOf(node).receivedRate }));
    return { title: `Layer ${layer}`, nodes, missing: nodes.length === 0 };
  });
  drawLayers(byId("layers"), network.nodes.size === 0 ? [] : [...layers, last]);
}

function addPoint() {
  const { received, sent } = rates();
  points = [now(), received, sent].map((value, index) => [...points[index], value].slice(-MOST_POINTS));
  drawn.show(points);
}

say(byId("place"), location.host);
followTopology({
  listed,
  lost() {
    lostAt ??= now();
    show();
  },
});
followMetrics({
  heard: (metric) => traffic.note(metric, now()),
  pushed(is) {
    isPushed = is;
    showState();
  },
});
setInterval(show, SHOW_PERIOD);
setInterval(addPoint, 1000 * POINT_PERIOD);
