// One conversation on the screen.

import { file as fileIn, text as textIn, save } from "/web/client/content.js";
import { make, say } from "/web/common/dom.js";
import { bytes, duration, time } from "/web/common/numbers.js";
import { visible } from "/web/common/text.js";

const BLOCK = 50; // messages whose size is worked out together; others aren't drawn while they are out of sight

const STATES = {
  writing: ["…", "is handed to the client"],
  waiting: ["○", "waits"],
  sent: ["✓", "has left; nobody was asked to confirm it"],
  confirmed: ["✓✓", "has arrived: the recipient's client has confirmed it"],
  refused: ["✗", "wasn't taken by the client"],
  failed: ["✗", "was given up"],
  cancelled: ["✗", "was taken back"],
};

/**
 * Shows messages in `place`. `seen(message)` is called once an unread one was on the screen, `read(message)` for all
 * bytes of a message, `cancel(message)` to take one back, and `name(address)` for the name of a sender.
 */
export class Talk {
  constructor(place, { seen, read, cancel, name }) {
    this.place = place;
    this.seen = seen;
    this.read = read;
    this.cancel = cancel;
    this.name = name;
    this.rows = new Map(); // elements, by message
    this.block = null;
    this.observer = new IntersectionObserver((entries) => this.look(entries), { root: place, threshold: 0.2 });
    document.addEventListener("visibilitychange", () => this.lookAgain());
  }

  /** Show this conversation, from its first unread message on. */
  open(messages) {
    this.close();
    for (const message of messages) this.add(message, false);
    const first = messages.find(({ isUnread }) => isUnread);
    const row = first && this.rows.get(first)?.row;
    if (row) row.scrollIntoView({ block: "start" });
    else this.toEnd();
  }

  close() {
    this.observer.disconnect();
    this.rows.clear();
    this.block = null;
    this.place.replaceChildren();
  }

  /** Show one more message at the end. Whoever looks at the end goes on looking at it. */
  add(message, follow = true) {
    const isAtEnd = this.isAtEnd();
    if (!this.block || this.block.childElementCount === BLOCK) {
      this.block = make("div", { class: "block" });
      this.place.append(this.block);
    }
    const mark = make("span", { class: "mark" });
    const row = make("article", { class: message.isMine ? "mine" : "theirs" }, ...this.content(message), this.foot(message, mark));
    this.rows.set(message, { row, mark });
    this.block.append(row);
    this.showState(message);
    // What has to be opened or saved first isn't seen yet.
    if (message.isUnread && message.isWhole && !message.file) this.observer.observe(row);
    if (follow && (isAtEnd || message.isMine)) this.toEnd();
  }

  /** Show what has become of a message. Whoever looks at the end sees all of it. */
  update(message) {
    if (!this.rows.has(message)) return;
    const follow = message.isMine && this.isAtEnd();
    this.showState(message);
    if (follow) this.toEnd();
  }

  showState(message) {
    const found = this.rows.get(message);
    found.row.classList.toggle("unread", message.isUnread);
    if (message.isMine) {
      const [sign, what] = STATES[message.state];
      const isBad = message.state === "failed" || message.state === "refused";
      const more = message.state === "waiting" || message.state === "writing" ? progress(message) : "";
      found.mark.replaceChildren(
        make("span", { "aria-hidden": "true", title: what }, `${sign} `),
        make("span", { class: isBad ? "bad" : more ? null : "unseen" }, more || (isBad && message.why ? `${what}: ${visible(message.why)}` : what)),
        ...(message.state === "waiting" ? [" ", make("button", { type: "button", class: "small", click: () => this.cancel(message) }, "Take back")] : []),
      );
    }
  }

  content(message) {
    if (message.file) {
      const about = `${message.file.name}, ${bytes(message.file.size)}`;
      if (message.isMine) return [make("p", {}, "File: ", make("strong", {}, about))];
      return [make("p", {}, "File: ", make("strong", {}, about)), this.button("Save", message, async () => {
        const all = message.file.bytes ?? (await this.read(message));
        save(message.file.name, all.subarray(fileIn(all)?.start ?? 0));
        this.seen(message);
      })];
    }
    if (message.text !== null) return [words(message.text)];
    if (message.isMine) return [make("p", { class: "quiet" }, `A message of ${bytes(message.size)}, sent before`)];
    if (message.isWhole) {
      return [make("p", {}, `A message of ${bytes(message.size)} that is no text`), this.button("Save", message, async () => {
        save("message.bin", message.bytes);
        this.seen(message);
      })];
    }
    const begin = words(`${message.begin ?? ""}…`);
    return [begin, this.button(`Show all ${bytes(message.size)}`, message, async (button) => {
      const all = await this.read(message);
      const whole = textIn(all);
      if (whole === null) save("message.bin", all);
      else {
        message.text = whole;
        begin.replaceWith(words(whole));
      }
      button.remove();
      this.seen(message);
    })];
  }

  button(name, message, act) {
    const mistake = make("span", { class: "bad", role: "alert" });
    const button = make("button", {
      type: "button",
      click: async () => {
        button.disabled = true;
        try {
          await act(button);
          say(mistake, "");
        } catch (error) {
          say(mistake, `That didn't work: ${error.message}`);
        }
        button.disabled = false;
      },
    }, name);
    return make("p", {}, button, " ", mistake);
  }

  foot(message, mark) {
    const at = make("time", { datetime: new Date(1000 * message.at).toISOString() }, time(message.at));
    const answer = message.isAnswer ? make("div", { class: "answer" }, "Answers what I sent without my address") : null;
    return make("footer", { class: "quiet" }, answer, at, ` · ${this.who(message)} `, mark);
  }

  who({ isMine, hidesAddress, isSigned, signer }) {
    if (isMine) return hidesAddress ? "Me, without my address" : "Me";
    if (!isSigned) return "Anonymous";
    return signer === null ? "Signed" : `Signed by ${visible(this.name(signer))}`;
  }

  look(entries) {
    if (document.hidden) return;
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      this.observer.unobserve(target);
      for (const [message, { row }] of this.rows) {
        if (row === target) {
          this.seen(message);
          break;
        }
      }
    }
  }

  lookAgain() {
    if (document.hidden) return;
    for (const [message, { row }] of this.rows) {
      if (!message.isUnread || !message.isWhole || message.file) continue;
      this.observer.unobserve(row);
      this.observer.observe(row);
    }
  }

  isAtEnd() {
    return this.place.scrollHeight - this.place.scrollTop - this.place.clientHeight < 40;
  }

  toEnd() {
    this.place.scrollTop = this.place.scrollHeight;
  }
}

/** A text with its line breaks; each direction of writing stays inside it. */
function words(value) {
  return make("p", { class: "words", dir: "auto" }, visible(value));
}

function progress(message) {
  const { state, written, size, left, fragments, why, rate } = message;
  if (state === "writing") return size > 0 && written !== undefined ? `${Math.floor((100 * written) / size)} % handed to the client` : "";
  const done = fragments > 1 ? `${fragments - left} of ${fragments} parts` : "";
  const until = fragments > 1 && rate > 0 ? `about ${duration(left / rate)} left` : "";
  return [done, until, why ? visible(why) : "waits"].filter(Boolean).join(", ");
}
