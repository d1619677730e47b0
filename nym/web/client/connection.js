// The page's connection to the client (docs/protocol/sockets.md, "JSON objects"): one WebSocket for questions,
// which are answered in their order, and one for news, which come unasked.

import { stayConnected } from "/web/common/socket.js";

const PERIOD = 1; // seconds between two reports

/** A connection that comes back. Nothing happens before start(); `token` is called for the token. */
export function connect(token) {
  const listeners = new Map();
  const waiting = []; // {resolve, reject} for each question without an answer, oldest first
  let send = null;

  const url = () => {
    const address = new URL("/", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.searchParams.set("token", token());
    return address.href;
  };

  function tell(name, ...values) {
    for (const listener of listeners.get(name) ?? []) listener(...values);
  }

  function hear(answer) {
    const { resolve, reject } = waiting.shift();
    if (answer.type === "error") reject(new ClientError(answer));
    else resolve(answer);
  }

  function lose() {
    send = null;
    // Nobody knows whether they were heard.
    for (const { reject } of waiting.splice(0)) reject(new ClientError({ code: "lost", message: "the client doesn't answer" }));
  }

  // A page isn't told why its WebSocket was refused. If the client hands out files, it is the token.
  async function findOut() {
    try {
      await fetch("/", { cache: "no-store" });
    } catch {
      return;
    }
    tell("locked");
  }

  return {
    /** Call `listener` for news of this type, and for "open", "lost" and "locked". */
    on(name, listener) {
      listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },

    /** The answer to a question. Throws ClientError. */
    ask(question) {
      if (!send) return Promise.reject(new ClientError({ code: "lost", message: "the client doesn't answer" }));
      return new Promise((resolve, reject) => {
        waiting.push({ resolve, reject });
        send(question);
      });
    },

    start() {
      if (!token()) {
        tell("locked");
        return;
      }
      stayConnected(url, {
        opened(sendObject) {
          send = sendObject;
          tell("open");
        },
        heard: hear,
        lost(wasOpen) {
          lose();
          tell("lost");
          if (!wasOpen) findOut();
        },
      });
      stayConnected(url, {
        opened(sendObject) {
          tell("anew");
          sendObject({ type: "status", every: PERIOD });
          sendObject({ type: "subscribe", shared: true });
        },
        heard: (news) => tell(news.type, news),
        lost() {},
      });
    },
  };
}

/** What the client answers if it can't do what is asked; `code` is a word for programs. */
export class ClientError extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}
