// The client's page: connects to the client, and shows one of its parts at a time.

import { byId, say } from "/web/common/dom.js";
import { connect } from "/web/client/connection.js";
import { Messages } from "/web/client/messages.js";
import { NetworkPart } from "/web/client/network.js";
import { PacketPart } from "/web/client/packet.js";
import { sentence } from "/web/client/state.js";
import { keepToken, keptToken, takeToken } from "/web/client/token.js";
import { Traffic } from "/web/client/traffic.js";

takeToken();
const client = connect(keptToken);
const parts = {
  messages: new Messages(client),
  traffic: new Traffic(client),
  network: new NetworkPart(client),
  packet: new PacketPart(client),
};

function showPart() {
  const wanted = location.hash.replace(/^#\//, "");
  const name = wanted in parts ? wanted : "messages";
  for (const [other, part] of Object.entries(parts)) {
    byId(other).hidden = other !== name;
    part.show(other === name);
  }
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showState(level, text) {
  byId("light").className = level;
  say(byId("sentence"), text);
}

function unlock(isLocked) {
  byId("locked").hidden = !isLocked;
  byId("open").hidden = isLocked;
  document.querySelector("nav").hidden = isLocked;
  if (isLocked) byId("token").focus();
}

client.on("open", () => unlock(false));
client.on("status", (report) => showState(...sentence(report)));
client.on("lost", () => showState("bad", "The client doesn't answer. Is it running? This page comes back by itself."));
client.on("locked", () => {
  showState("warn", "Locked");
  unlock(true);
});

byId("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("token");
  const isToken = keepToken(field.value);
  say(byId("unlock-mistake"), isToken ? "" : "That is neither a link nor a token: a token has 64 digits and letters.");
  if (!isToken) return;
  field.value = "";
  location.reload();
});

addEventListener("hashchange", () => {
  // A link with a token can be opened in a tab that has the page already.
  if (location.hash.startsWith("#token=")) location.reload();
  else showPart();
});
showPart();
client.start();
