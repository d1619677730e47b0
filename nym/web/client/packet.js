// A packet: what its bytes are, and which way the last loop went.

import { repeatedly } from "/web/client/repeatedly.js";
import { byId, draw, make } from "/web/common/dom.js";
import { seconds } from "/web/common/numbers.js";

// docs/protocol/sphinx.md, "Sizes", and envelope.md.
const PARTS = [
  [32, "alpha", "the key from which each node finds its own secrets; another one at every hop"],
  [16, "gamma", "shows that nobody has changed the routing information"],
  [300, "beta", "the route, in five blocks of 60, encrypted once for each hop: a node can read its own block only"],
  [49, "padding", "16 zeros that show whether the payload was changed, the recipient, and the end of the message"],
  [48, "seal", "a key for this packet alone, and a proof that the content wasn't changed"],
  [927, "content", "a part of a message, an acknowledgement, or cover: only the recipient finds out which"],
];

export class PacketPart {
  constructor(client) {
    this.client = client;
    this.show = repeatedly(client, () => this.load());
    byId("bytes").append(bytes());
  }

  async load() {
    const { last } = await this.client.ask({ type: "loops" });
    byId("loop").replaceChildren(last ? way(last) : make("p", {}, "None has come back yet."));
  }
}

function bytes() {
  const total = PARTS.reduce((sum, [size]) => sum + size, 0);
  const bar = draw("svg", { viewBox: `0 0 ${total} 60`, preserveAspectRatio: "none", class: "bar", "aria-hidden": true });
  let at = 0;
  PARTS.forEach(([size, name], number) => {
    bar.append(draw("rect", { x: at, y: 0, width: size, height: 60, class: `part${number}` }, draw("title", {}, `${name}: ${size} bytes`)));
    at += size;
  });
  const list = PARTS.map(([size, name, what], number) =>
    make("li", {}, draw("svg", { viewBox: "0 0 10 10", class: "spot", "aria-hidden": true }, draw("rect", { width: 10, height: 10, class: `part${number}` })), make("span", {}, make("strong", {}, `${size} ${name}`), `: ${what}`)),
  );
  return make("div", {}, bar, make("ul", { class: "plain" }, ...list));
}

/** The seconds at each hop as bars, and what is left: the lines, and the wait at the provider. */
function way({ seconds: total, hops }) {
  const kept = hops.reduce((sum, hop) => sum + hop.delay, 0);
  const stations = [
    ...hops.map((hop, at) => [`layer ${at + 1}, ${hop.address}`, hop.delay]),
    ["the provider, until it was asked, and the lines", Math.max(0, total - kept)],
  ];
  let from = 0;
  const items = stations.map(([name, time]) => {
    const bar = draw("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", class: "bar thin", "aria-hidden": true });
    bar.append(draw("rect", { x: (100 * from) / total, y: 0, width: (100 * time) / total, height: 4, class: "part0" }));
    from += time;
    return make("li", {}, make("span", {}, `${name}: `, make("strong", {}, seconds(time))), bar);
  });
  return make("div", {}, make("p", {}, "It took ", make("strong", {}, seconds(total)), ". Its delays were drawn at random by this client, so nobody can tell from times where it went."), make("ol", { class: "plain" }, ...items));
}
