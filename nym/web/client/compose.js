// The form below a conversation: drafts, how a message goes, and how it is handed to the client.

import { encode, pack } from "/web/client/content.js";
import { isTag } from "/web/client/conversations.js";
import { byId, say } from "/web/common/dom.js";
import { bytes } from "/web/common/numbers.js";

const PART = 1 << 18; // bytes that are handed to the client at a time
const LONGEST = 16 << 20; // bytes of a message
const ENDED = "this can't be answered any more, because the address for answers has ended";
const SIGN = "Sign it: the recipient learns my address and confirms that it came";
const CONFIRM = "Ask for a confirmation that it came";

export class Compose {
  /**
   * Writes in `talks`. `began(message)` is called for each message that is sent, `changed(message)` whenever
   * something has become of it, and `taken()` once the client has it.
   */
  constructor(client, talks, { began, changed, taken }) {
    this.client = client;
    this.talks = talks;
    this.began = began;
    this.changed = changed;
    this.taken = taken;
    this.key = null; // of the conversation that is written in
    this.turn = Promise.resolve(); // ends when the last message has been handed over
    this.listen();
  }

  listen() {
    byId("compose").addEventListener("submit", (event) => {
      event.preventDefault();
      this.sendText();
    });
    byId("text").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.sendText();
      }
    });
    byId("text").addEventListener("input", () => (this.talks.with(this.key).draft = byId("text").value));
    byId("hide").addEventListener("change", () => {
      this.talks.with(this.key).hidesAddress = byId("hide").checked;
      this.showManner();
    });
    byId("file").addEventListener("change", () => {
      this.sendFiles(byId("file").files);
      byId("file").value = "";
    });
    const place = byId("conversation");
    place.addEventListener("dragover", (event) => {
      event.preventDefault();
      if (this.key !== null) place.classList.add("over");
    });
    for (const name of ["dragleave", "drop"]) place.addEventListener(name, () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      if (this.key !== null) this.sendFiles(event.dataTransfer.files);
    });
    addEventListener("beforeunload", (event) => {
      const hasDraft = [...this.talks.all.values()].some(({ draft, messages }) => draft.trim() || messages.some(({ state }) => state === "writing"));
      if (hasDraft) event.preventDefault(); // the browser asks whether to leave
    });
  }

  /** Write in this conversation from now on; in none if it is null. */
  open(key) {
    this.key = key;
    byId("compose").hidden = key === null;
    this.complain("");
    if (key === null) return;
    this.showManner();
    byId("text").value = this.talks.with(key).draft;
    byId("text").focus();
  }

  /** Show how messages of this conversation go, and what can be chosen there. */
  showManner() {
    const { key } = this;
    if (key === null) return;
    const isPlain = this.talks.isPlain(key);
    const hidesAddress = this.talks.hidesAddress(key);
    byId("signed").closest("label").hidden = isPlain;
    say(byId("signed-about"), hidesAddress || isTag(key) ? CONFIRM : SIGN);
    byId("hide").closest("label").hidden = isPlain || isTag(key);
    byId("hide").checked = hidesAddress;
  }

  /** Say what went wrong. */
  complain(text) {
    say(byId("compose-mistake"), text);
  }

  async sendText() {
    const field = byId("text");
    const text = field.value;
    if (!text.trim()) return;
    const data = new TextEncoder().encode(text);
    if (data.length > LONGEST) {
      this.complain(`This has ${bytes(data.length)}. A message has ${bytes(LONGEST)} at most.`);
      return;
    }
    field.value = this.talks.with(this.key).draft = "";
    await this.send(this.key, data, { text });
  }

  sendFiles(files) {
    for (const file of files) this.sendFile(this.key, file);
  }

  async sendFile(key, file) {
    if (file.size > LONGEST - 1000) {
      this.complain(`${file.name} has ${bytes(file.size)}. A message has ${bytes(LONGEST)} at most.`);
      return;
    }
    const data = pack(file.name, new Uint8Array(await file.arrayBuffer()));
    await this.send(key, data, { file: { name: file.name, size: file.size } });
  }

  /** Hand a message to the client, and show what becomes of it. */
  async send(key, data, fields) {
    const isSigned = byId("signed").checked && !this.talks.isPlain(key);
    const hidesAddress = this.talks.hidesAddress(key);
    const request = this.talks.request(key, isSigned);
    const message = this.talks.sent(key, { ...fields, size: data.length, isSigned, hidesAddress });
    this.began(message);
    try {
      // One message after the other: parts of two would mix.
      this.turn = this.turn.catch(() => {}).then(() => this.handOver(request, data, message));
      message.id = await this.turn;
    } catch (error) {
      message.state = "refused";
      message.why = error.code === "no_such_tag" ? ENDED : error.message;
      this.restore(key, fields.text);
      this.changed(message);
      return;
    }
    message.state = "waiting";
    message.fragments = message.left = 0;
    this.complain("");
    this.changed(message);
    await this.taken();
  }

  async handOver(request, data, message) {
    if (data.length <= PART) return (await this.client.ask({ ...request, data: encode(data) })).id;
    for (let at = 0; at < data.length; at += PART) {
      await this.client.ask({ type: "part", data: encode(data.subarray(at, at + PART)) });
      message.written = Math.min(data.length, at + PART);
      this.changed(message);
    }
    return (await this.client.ask({ ...request, parts: true })).id;
  }

  /** Nothing is lost: a text that the client didn't take is there again, unless there is another one already. */
  restore(key, text) {
    const talk = this.talks.with(key);
    if (!text || talk.draft) return;
    talk.draft = text;
    if (key === this.key) byId("text").value = text;
  }
}
