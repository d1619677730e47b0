// What the directory says, again and again: its list of nodes, and the mixnodes' metrics.

import { stayConnected } from "/web/common/socket.js";

// With `clients=digest`, a provider has the digest of its list of clients in place of the list, which can
// have megabytes. The digest begins with their number.
const TOPOLOGY = "/api/presence/topology?clients=digest";
const METRICS = "/api/metrics/mixes";
const TOPOLOGY_PERIOD = 5000; // milliseconds; nodes post so often
const METRICS_PERIOD = 3000; // likewise
const PATIENCE = 10_000; // milliseconds for an answer

// The browser asks with the ETag of the last answer, so that one that hasn't changed is not sent again.
async function ask(path) {
  const answer = await fetch(path, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`the directory answered ${answer.status}`);
  return answer.json();
}

/** Calls `listed(topology)` whenever the directory has answered, and `lost()` whenever it hasn't. */
export async function followTopology({ listed, lost }) {
  for (;;) {
    const topology = await ask(TOPOLOGY).catch(() => null);
    if (topology === null) lost();
    else listed(topology);
    await pause(TOPOLOGY_PERIOD);
  }
}

/** Calls `heard(metric)` for each metric: pushed on /ws, and asked for while that isn't open. */
export async function followMetrics({ heard, pushed }) {
  let isOpen = false;
  const tell = (is) => {
    isOpen = is;
    pushed(is);
  };
  const url = () => `${location.protocol.replace("http", "ws")}//${location.host}/ws`;
  stayConnected(url, { opened: () => tell(true), heard, lost: () => tell(false) });
  for (;;) {
    if (!isOpen) {
      const metrics = await ask(METRICS).catch(() => []); // whether it answers is said for the topology
      metrics.forEach(heard);
    }
    await pause(METRICS_PERIOD);
  }
}

const pause = (time) => new Promise((done) => setTimeout(done, time));
