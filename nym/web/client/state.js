// The client's state in one sentence, with what to do if it isn't good.

import { duration } from "/web/common/numbers.js";
import { visible } from "/web/common/text.js";

const WAITS = {
  waiting_for_directory: [
    "Waiting for the directory",
    "Is the address right, and does the directory run? Messages wait on this machine meanwhile.",
  ],
  waiting_for_network: [
    "Waiting for a network that carries packets",
    "Messages wait on this machine until one does.",
  ],
  waiting_for_provider: [
    "Waiting for the provider",
    "What is sent to you waits there, or with its senders. The client goes on asking.",
  ],
  waiting_for_disk: [
    "The disk can't be written",
    "Make room on it. Nothing is fetched until then, so nothing is lost.",
  ],
};

/** ["good", "warn" or "bad", the sentence]. */
export function sentence(report) {
  const reason = report.reason ? ` ${capital(visible(report.reason))}.` : "";
  const waits = WAITS[report.state];
  if (waits) {
    const [what, advice] = waits;
    return ["bad", `${what}, for ${duration(report.state_seconds)}.${reason} ${advice}`];
  }
  if (report.backlog) {
    return ["warn", `${backlog(report.backlog)} A shorter traffic.fetch_message_delay fetches more.`];
  }
  if (reason) return ["warn", `Running, but something is wrong.${reason}`];
  const sealed = report.provider_sealed ? "" : " The line to its provider isn't sealed.";
  return ["good", `Running for ${duration(report.state_seconds)}.${sealed}`];
}

function backlog({ messages, change, lasted }) {
  const many = messages === null ? "More comes in than is fetched" : `About ${messages} messages wait at the provider`;
  const trend = change === null ? "" : change < 0 ? ", and they become fewer" : ", and they become more";
  return `Running. ${many}${trend}, for ${duration(lasted)}.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
