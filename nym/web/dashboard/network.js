// The network as it is listed now, and what changed from one list to the next.

import { short } from "/web/common/text.js";

export const MOST_LAYERS = 4; // that a packet has room for
const MOST_ALIKE = 10; // changes of one kind that are told one by one
const ROLES = { mixnode: "mixnode", provider: "provider", coconode: "coconode" };

/** All nodes of a topology: `id` tells them apart from one list to the next. */
function nodesOf(topology) {
  const nodes = [
    ...(topology.mixNodes ?? []).map((node) => read(ROLES.mixnode, node, node.host)),
    ...(topology.mixProviderNodes ?? []).map((node) => read(ROLES.provider, node, node.mixnetListener)),
    ...(topology.cocoNodes ?? []).map((node) => read(ROLES.coconode, node, node.host)),
  ];
  // Where a node is, it stays, while its key changes each day.
  const byId = new Map();
  for (const node of nodes) {
    const place = `${node.role} ${node.host}`;
    node.id = byId.has(place) ? `${place} ${node.key}` : place;
    byId.set(node.id, node);
  }
  return byId;
}

function read(role, record, host) {
  return {
    role,
    host: String(host),
    key: String(record.pubKey),
    version: String(record.version ?? ""),
    layer: Number(record.layer ?? 0),
    clientsHost: String(record.clientListener ?? ""),
    clients: clientsOf(record),
    type: String(record.type ?? ""),
  };
}

// null if the directory doesn't say.
function clientsOf(record) {
  if (Array.isArray(record.registeredClients)) return record.registeredClients.length;
  const size = Number.parseInt(record.clients, 10);
  return Number.isNaN(size) ? null : size;
}

/** Keeps the latest list. */
export class Network {
  constructor() {
    this.nodes = null; // by id; null until there is a list
    this.layers = 0; // how many there have been at most
  }

  /** Take a topology; returns {texts, rekeyed}: what changed, and [old key, new key] of each such mixnode. */
  take(topology) {
    const before = this.nodes;
    this.nodes = nodesOf(topology);
    const layers = this.all("mixnode").map((node) => node.layer);
    this.layers = Math.max(this.layers, ...layers.filter((layer) => layer <= MOST_LAYERS));
    return before === null ? { texts: [], rekeyed: [] } : this.#changes(before);
  }

  all(role) {
    return [...(this.nodes?.values() ?? [])].filter((node) => node.role === role);
  }

  /** The mixnodes of a layer. */
  in(layer) {
    return this.all("mixnode").filter((node) => node.layer === layer);
  }

  /** What keeps messages from getting through, as a sentence; null if nothing does. */
  trouble() {
    if (this.nodes.size === 0) return "No node is listed. Nodes appear here within seconds after they have started.";
    if (this.all("mixnode").length === 0) return "The network is not whole: there is no mixnode.";
    const missing = this.layerNumbers().filter((layer) => this.in(layer).length === 0);
    if (missing.length > 0) {
      const which = missing.length === 1 ? `layer ${missing[0]} has` : `layers ${missing.join(" and ")} have`;
      return `The network is not whole: ${which} no mixnode, so no message can get through.`;
    }
    if (this.all("provider").length === 0) return "The network is not whole: without a provider, nobody can receive messages.";
    return null;
  }

  /** 1 and so on, with those that have lost all their mixnodes. */
  layerNumbers() {
    return Array.from({ length: this.layers }, (_, index) => index + 1);
  }

  #changes(before) {
    const came = [...this.nodes.values()].filter((node) => !before.has(node.id));
    const left = new Map([...before.values()].filter((node) => !this.nodes.has(node.id)).map((node) => [keyOf(node), node]));
    const changes = [];
    const rekeyed = [];
    for (const node of came) {
      const old = left.get(keyOf(node));
      left.delete(keyOf(node));
      changes.push(old ? ["moved", `${name(node)} moved there from ${short(old.host)}`] : ["came", `${name(node)} came`]);
    }
    for (const node of left.values()) changes.push(["went", `${name(node)} went`]);
    for (const [id, node] of this.nodes) {
      const old = before.get(id);
      if (!old) continue;
      if (old.key !== node.key) {
        changes.push(["changed their keys", `${name(node)} has a new key, ${short(node.key, 12)}`]);
        rekeyed.push([old.key, node.key]);
      }
      if (old.version !== node.version) {
        changes.push(["changed their versions", `${name(node)} went from version ${short(old.version, 40)} to ${short(node.version, 40)}`]);
      }
      if (old.layer !== node.layer) changes.push(["changed their layers", `${name(node)} went from layer ${old.layer} to ${node.layer}`]);
    }
    return { texts: grouped(changes), rekeyed };
  }
}

const keyOf = (node) => `${node.role} ${node.key}`;

function name(node) {
  const layer = node.role === "mixnode" ? ` of layer ${node.layer}` : "";
  return `${node.role} ${short(node.host)}${layer}`;
}

// When a directory starts anew, all nodes come at once.
function grouped(changes) {
  const byKind = Map.groupBy(changes, ([kind]) => kind);
  return [...byKind].flatMap(([kind, alike]) =>
    alike.length > MOST_ALIKE ? [`${alike.length} nodes ${kind}`] : alike.map(([, text]) => text),
  );
}
