// Conversations: messages by those who sent them, or to whom they were sent. All of it is in this tab's memory.
// What is unread stays in the client's inbox until it has been seen.

import { decode, file, text } from "/web/client/content.js";

export const ANONYMOUS = "anonymous"; // sealed, and nobody says from whom
export const PLAIN = "plain"; // not even sealed: the provider could have read, changed or made it up
const TAG = /^[1-9A-HJ-NP-Za-km-z]{16,22}$/; // 16 bytes; an address has 32

/** Whether a conversation is with somebody who can only be answered (docs/protocol/replies.md). */
export const isTag = (key) => TAG.test(key);

/** Whether a conversation is with somebody who can be written to. */
export const canWrite = (key) => key !== ANONYMOUS && key !== PLAIN;

/** Whether a conversation is with an address, which can be given a name. */
export const hasAddress = (key) => canWrite(key) && !isTag(key);

/** A message in a conversation. */
class Message {
  constructor(fields) {
    Object.assign(
      this,
      { id: null, isMine: false, at: 0, text: null, file: null, size: 0, isUnread: false, isWhole: true, state: null, why: null, left: 0, fragments: 0, isSigned: false, signer: null, hidesAddress: false, isAnswer: false },
      fields,
    );
  }
}

export class Conversations {
  constructor() {
    this.all = new Map(); // by key: an address, a tag, ANONYMOUS or PLAIN
    this.homes = new Map(); // keys, by each tag that came in their conversations
    this.names = new Map(); // of contacts, by address
    this.contacts = [];
    this.unread = new Map(); // messages by id
    this.own = null;
  }

  /**
   * The conversation with this key, which is made if there is none. `to` is what `send` or `reply` takes;
   * `hidesAddress`, whether messages to a recipient go without the own address: null until that is chosen.
   */
  with(key, to = key) {
    if (!this.all.has(key)) this.all.set(key, { key, to, messages: [], draft: "", hidesAddress: null });
    const found = this.all.get(key);
    if (to !== key) found.to = to;
    return found;
  }

  /** Whether messages of this conversation go without the own address. */
  hidesAddress(key) {
    return this.with(key).hidesAddress === true && !isTag(key) && !this.isPlain(key);
  }

  /**
   * This recipient was written to without the own address. A message that shows it could tell who wrote the
   * others, so that has to be chosen.
   */
  hideAddress(key) {
    this.with(key).hidesAddress ??= true;
  }

  /** The request that sends something in this conversation, without the message. */
  request(key, isReliable) {
    const { to } = this.with(key);
    if (isTag(key)) return { type: "reply", tag: to, reliable: isReliable };
    const send = { type: "send", recipient_address: to };
    if (this.isPlain(key)) return send;
    return { ...send, reliable: isReliable, plain: false, anonymous_reply: this.hidesAddress(key) };
  }

  /** The conversation's name, and whether it is a contact's. */
  name(key) {
    if (key === ANONYMOUS) return "Anonymous senders";
    if (key === PLAIN) return "Unsealed messages";
    if (isTag(key)) return `Somebody who can be answered (${key.slice(0, 5)}…)`;
    return this.names.get(key) ?? `${key.slice(0, 8)}…${key.slice(-4)}`;
  }

  /** Take over the contacts of the client. */
  know(contacts) {
    this.contacts = contacts;
    this.names = new Map(contacts.map(({ name, address }) => [address.split("@")[0], name]));
    for (const { address } of contacts) this.with(address.split("@")[0], address);
  }

  /** Whether the recipient runs the published client, which acknowledges nothing. */
  isPlain(key) {
    return this.contacts.some(({ address, plain }) => plain && address.split("@")[0] === key);
  }

  /** A message came: returns it, or null if it is known. */
  came(news) {
    if (this.unread.has(news.id)) return null;
    const { id, sender, received, size } = news;
    const begin = decode(news.data ?? news.begin);
    const isWhole = "data" in news;
    const found = file(begin);
    const key = this.place(news);
    const message = new Message({
      id,
      key,
      at: received,
      size,
      isUnread: true,
      isWhole,
      isSigned: sender !== null,
      signer: sender === null || sender === key ? null : sender,
      isAnswer: "reply_from" in news,
      file: found && { name: found.name, size: size - found.start, start: found.start, bytes: isWhole ? begin : null },
      text: found ? null : isWhole ? text(begin) : null,
      begin: found || isWhole ? null : text(begin.subarray(0, 200)),
      bytes: begin,
    });
    this.with(key).messages.push(message);
    this.unread.set(id, message);
    return message;
  }

  /** The key of the conversation that a message has come in, where it is answered from now on. */
  place({ sender, sealed, reply_to: tag, reply_from: given }) {
    const from = given ?? sender ?? tag ?? (sealed ? ANONYMOUS : PLAIN);
    const key = this.homes.get(from) ?? from;
    const talk = this.with(key);
    if (tag) this.homes.set(tag, key);
    // The address behind an earlier tag may have ended.
    if (tag && isTag(key)) talk.to = tag;
    if (given) this.hideAddress(key);
    return key;
  }

  /** A message has left the inbox: it was seen here, or elsewhere. */
  gone(id) {
    const message = this.unread.get(id);
    if (!message) return null;
    message.isUnread = false;
    this.unread.delete(id);
    return message;
  }

  /** A message that this page sends. */
  sent(key, fields) {
    const message = new Message({ isMine: true, at: Date.now() / 1000, state: "writing", key, ...fields });
    this.with(key).messages.push(message);
    return message;
  }

  /** A message that waits, and that this page knows nothing of: it was sent before, or by others. */
  waits(waiting) {
    const { id, recipient, accepted, size, left, fragments, why, manner, anonymous_reply: hidesAddress } = waiting;
    const key = this.homes.get(recipient) ?? recipient;
    const talk = this.with(key);
    if (talk.messages.some((message) => message.isMine && message.id === id)) return;
    talk.messages.push(
      new Message({ key, id, isMine: true, at: accepted, size, left, fragments, why, state: "waiting", isSigned: manner === "reliable", hidesAddress }),
    );
  }

  /** All messages of this client that haven't ended. */
  unfinished() {
    return [...this.all.values()].flatMap(({ messages }) => messages.filter(({ isMine, state }) => isMine && state === "waiting"));
  }

  /** How many messages of a conversation are unread. */
  unreadIn(key) {
    return this.all.get(key)?.messages.reduce((sum, { isUnread }) => sum + isUnread, 0) ?? 0;
  }

  /** Conversations that have something with `words` in them, the one with the latest message first. */
  find(words) {
    const wanted = words.trim().toLocaleLowerCase();
    const has = (value) => value?.toLocaleLowerCase().includes(wanted);
    return [...this.all.values()]
      .filter(({ key, messages }) =>
        !wanted || has(this.name(key)) || has(key) || messages.some(({ text, file }) => has(text) || has(file?.name)))
      .sort((a, b) => (b.messages.at(-1)?.at ?? 0) - (a.messages.at(-1)?.at ?? 0));
  }
}
