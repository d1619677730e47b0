// Messages: who has written, one conversation, and what is under way.

import { Compose } from "/web/client/compose.js";
import { Contacts } from "/web/client/contacts.js";
import { decode } from "/web/client/content.js";
import { ANONYMOUS, canWrite, Conversations, isTag, PLAIN } from "/web/client/conversations.js";
import { Talk } from "/web/client/talk.js";
import { byId, draw, make, say } from "/web/common/dom.js";
import { bytes } from "/web/common/numbers.js";
import { short, visible } from "/web/common/text.js";

const POLL = 1500; // milliseconds between two looks at what is under way
const MOST_FOLLOWED = 100; // messages that are asked about at a time
const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{43,44}(@[1-9A-HJ-NP-Za-km-z]{43,44})?$/;

export class Messages {
  constructor(client) {
    this.client = client;
    this.talks = new Conversations();
    this.key = null; // of the conversation that is open
    this.isDue = false; // whether the list is to be drawn
    this.isFollowing = false; // whether answers are awaited about what is under way
    this.talk = new Talk(byId("talk"), {
      seen: (message) => this.seen(message),
      read: async ({ id }) => decode((await client.ask({ type: "read", id })).data),
      cancel: ({ id }) => this.cancel(id),
      name: (address) => this.talks.name(address),
    });
    this.compose = new Compose(client, this.talks, {
      began: (message) => message.key === this.key && this.talk.add(message),
      changed: (message) => this.ended(message),
      taken: () => this.follow(),
    });
    this.contacts = new Contacts(client, this.talks, (key) => {
      if (key === this.key) this.open(key);
      this.changed();
    });
    client.on("open", () => this.begin());
    client.on("message", (news) => this.came(news));
    client.on("gone", ({ id }) => this.ended(this.talks.gone(id)));
    client.on("failed", () => this.follow());
    this.listen();
    setInterval(() => this.follow(), POLL);
  }

  show() {}

  listen() {
    byId("search").addEventListener("input", () => this.changed());
    byId("back").addEventListener("click", () => this.open(null));
    byId("own").addEventListener("click", () => this.showOwn());
    byId("copy").addEventListener("click", async () => {
      await navigator.clipboard.writeText(byId("own-address").textContent);
      say(byId("copied"), "Copied");
    });
    byId("new").addEventListener("click", () => {
      say(byId("to-mistake"), "");
      byId("recipient").value = "";
      byId("new-dialog").showModal();
    });
    byId("to-cancel").addEventListener("click", () => byId("new-dialog").close());
    byId("to").addEventListener("submit", (event) => this.writeTo(event));
  }

  async begin() {
    try {
      this.talks.own = (await this.client.ask({ type: "ownDetails" })).address;
      // First, as nobody is to be written to before this is known.
      const { correspondents, answered } = await this.client.ask({ type: "correspondents" });
      for (const key of correspondents) if (!isTag(key)) this.talks.hideAddress(key);
      for (const tag of answered) this.talks.with(tag);
      this.contacts.know((await this.client.ask({ type: "contacts" })).contacts);
      for (let after = 0; after !== null; ) {
        const { messages, next } = await this.client.ask({ type: "outbox", after });
        for (const waiting of messages) this.talks.waits(waiting);
        after = next;
      }
    } catch (error) {
      if (error.code !== "lost") throw error;
    }
    this.compose.showManner();
    this.changed();
  }

  came(news) {
    const message = this.talks.came(news);
    if (!message) return;
    if (message.key === this.key) {
      this.talk.add(message);
      if (message.isAnswer) this.compose.showManner(); // which the answer may have decided
    }
    this.changed();
  }

  ended(message) {
    if (!message) return;
    this.talk.update(message);
    this.changed();
  }

  async seen(message) {
    if (!message.isUnread) return;
    try {
      await this.client.ask({ type: "ack", id: message.id });
    } catch (error) {
      // Somebody else was faster; or it is still there when the client is back, and is seen again.
      if (error.code !== "no_such_message") return;
    }
    this.ended(this.talks.gone(message.id));
  }

  /** Ask what has become of messages that are under way. */
  async follow() {
    if (this.isFollowing) return;
    this.isFollowing = true;
    try {
      // The oldest ones end first, so the others have their turn.
      for (const message of this.talks.unfinished().slice(0, MOST_FOLLOWED)) {
        note(message, await this.client.ask({ type: "progress", id: message.id }));
        this.talk.update(message);
      }
    } catch (error) {
      if (error.code !== "lost") throw error;
    } finally {
      this.isFollowing = false;
    }
  }

  async cancel(id) {
    try {
      await this.client.ask({ type: "cancel", id });
    } catch (error) {
      if (error.code !== "no_such_message") this.compose.complain(error.message);
    }
    await this.follow();
  }

  // The list.

  changed() {
    if (this.isDue) return;
    this.isDue = true;
    // Many messages may come at once.
    setTimeout(() => {
      this.isDue = false;
      this.draw();
    }, 50);
  }

  draw() {
    const unread = this.talks.unread.size;
    document.title = unread ? `(${unread}) Nym client` : "Nym client";
    byId("unread").hidden = !unread;
    say(byId("unread"), ` ${unread} unread`);
    const found = this.talks.find(byId("search").value);
    const list = byId("conversations");
    const focused = document.activeElement?.dataset?.key;
    list.replaceChildren(...found.map((talk) => this.line(talk)));
    if (!found.length) list.append(make("li", { class: "quiet" }, byId("search").value ? "Nothing has these words in it." : "Nobody has written yet. Give your address to somebody, or write first."));
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  line({ key, messages }) {
    const last = messages.at(-1);
    const unread = this.talks.unreadIn(key);
    const begin = !last ? "" : last.file ? last.file.name : last.text !== null ? short(last.text, 60) : bytes(last.size);
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", "data-key": key, "aria-current": key === this.key ? "true" : null, click: () => this.open(key) },
        make("strong", {}, visible(this.talks.name(key))),
        unread ? make("span", { class: "badge" }, ` ${unread} unread`) : null,
        make("span", { class: "quiet", dir: "auto" }, begin),
      ),
    );
  }

  // One conversation.

  open(key) {
    this.key = key;
    document.body.classList.toggle("talking", key !== null);
    byId("conversation").hidden = key === null;
    if (key === null) {
      this.talk.close();
      this.draw();
      byId("conversations").querySelector("button")?.focus();
      return;
    }
    const talk = this.talks.with(key);
    say(byId("peer"), visible(this.talks.name(key)));
    say(byId("peer-about"), about(key, this.talks.isPlain(key)));
    this.contacts.show(key);
    this.compose.open(canWrite(key) ? key : null);
    this.talk.open(talk.messages);
    this.draw();
  }

  // Windows above the page.

  writeTo(event) {
    const value = byId("recipient").value.trim();
    const contact = this.talks.contacts.find(({ name }) => name === value);
    const to = contact?.address ?? value;
    event.preventDefault();
    if (!ADDRESS.test(to)) {
      say(byId("to-mistake"), `${short(value, 50)} is neither a contact nor an address. An address has 43 or 44 letters and digits.`);
      return;
    }
    const key = to.split("@")[0];
    this.talks.with(key, to);
    // First, as it gives the focus back to the button.
    byId("new-dialog").close();
    this.open(key);
  }

  async showOwn() {
    say(byId("copied"), "");
    const { address, code } = await this.client.ask({ type: "ownDetails", code: true });
    say(byId("own-address"), address);
    const size = code.length;
    const drawing = draw("svg", { viewBox: `-4 -4 ${size + 8} ${size + 8}`, role: "img", "aria-label": "The address as a QR code" }, draw("rect", { x: -4, y: -4, width: size + 8, height: size + 8, class: "code-light" }));
    const squares = code.flatMap((row, y) => [...row].flatMap((dark, x) => (dark === "1" ? [`M${x} ${y}h1v1h-1z`] : [])));
    drawing.append(draw("path", { d: squares.join(""), class: "code-dark" }));
    byId("code").replaceChildren(drawing);
    byId("own-dialog").showModal();
  }
}

function about(key, isPlain) {
  if (key === ANONYMOUS) return "Nobody knows who sent these, and you can't answer. Each may be from somebody else.";
  if (key === PLAIN) return "These came without a seal: the provider could read and change them, or make them up.";
  if (isTag(key)) return "You can answer for some days, and don't learn who this is. They know your address.";
  return isPlain ? `${key}. Runs the published client, which confirms nothing; its provider can read what you write.` : key;
}

/** What an answer to `progress` says of a message. */
function note(message, { state, left, fragments, why }) {
  const now = Date.now() / 1000;
  if (state === "waiting") {
    if (message.fragments && left < message.left) message.rate = (message.firstLeft - left) / (now - message.firstAt);
    else if (!message.fragments) Object.assign(message, { firstLeft: left, firstAt: now });
    Object.assign(message, { left, fragments, why });
  } else {
    message.state = state === "done" ? (message.isSigned ? "confirmed" : "sent") : state;
    message.why = null;
  }
}
