// Traffic: the numbers of now, and plots of the last minutes and hours.

import { byId, make, say } from "/web/common/dom.js";
import { count, duration, rate, seconds, share } from "/web/common/numbers.js";
import { plot } from "/web/common/plots.js";
import { short } from "/web/common/text.js";

const MOST = 900; // seconds for which there is a sample each second

const NUMBERS = [
  ["Messages to send", (report) => count(report.outbox)],
  ["Messages unread", (report) => count(report.inbox)],
  ["Loops sent", (report) => count(report.loops_sent)],
  ["Loops returned", (report) => count(report.loops_returned)],
  ["A loop takes", (report) => seconds(report.loop_time)],
  ["Lost on the way", (report) => share(report.loss)],
  ["Given up", (report) => count(report.failed.length)],
  ["Provider", (report) => (report.provider ? short(report.provider, 9) : "none yet")],
  ["Runs for", (report) => duration(report.uptime)],
];

export class Traffic {
  constructor(client) {
    this.client = client;
    this.series = null; // [by the second, by the minute]; each {time: [...], packets_real: [...], ...}
    this.plots = null;
    this.isShown = false;
    this.figures = NUMBERS.map(([name]) => {
      const value = make("dd");
      byId("figures").append(make("div", {}, make("dt", {}, name), value));
      return value;
    });
    client.on("anew", () => (this.series = null));
    client.on("status", (report) => this.hear(report));
    byId("span").addEventListener("change", () => this.draw());
  }

  show(isShown) {
    this.isShown = isShown;
    if (isShown) this.load();
  }

  async load() {
    if (!this.plots) this.plots = makePlots();
    try {
      this.series = (await this.client.ask({ type: "history" })).series;
    } catch {
      return; // the connection was lost; when it is back, the next report asks again
    }
    this.draw();
  }

  hear(report) {
    this.figures.forEach((value, at) => say(value, NUMBERS[at][1](report)));
    if (!this.isShown) return;
    if (!this.series) {
      this.load();
      return;
    }
    const [fine, coarse] = this.series;
    const now = Date.now() / 1000;
    append(fine, now, report, MOST);
    if (now - (coarse.time.at(-1) ?? 0) >= coarse.step) append(coarse, now, report, 1440);
    this.draw();
  }

  draw() {
    if (!this.series || document.hidden) return;
    const span = Number(byId("span").value);
    const from = Date.now() / 1000 - span;
    const [fine, coarse] = this.series;
    // Each second of the last minutes, and before that each minute.
    const early = coarse.time.findIndex((at) => at >= from);
    const begin = fine.time[0] ?? Infinity;
    const late = coarse.time.findIndex((at) => at >= begin);
    const first = fine.time.findIndex((at) => at >= from);
    const part = (name) => [
      ...(early < 0 || span <= MOST ? [] : coarse[name].slice(early, late < 0 ? undefined : late)),
      ...(first < 0 ? [] : fine[name].slice(first)),
    ];
    const time = part("time");
    const sent = ["packets_real", "packets_cover"].map((name) => rates(time, part(name)));
    const came = ["packets_received", "loops_returned"].map((name) => rates(time, part(name)));
    const took = part("loop_time");
    this.plots.packets.show([time, ...sent], span);
    this.plots.received.show([time, ...came], span);
    this.plots.loops.show([time, took], span);
    const last = (values) => values.findLast((value) => value !== null) ?? 0;
    say(byId("plot-packets-about"), `Now ${rate(last(sent[0]))} real and ${rate(last(sent[1]))} cover.`);
    say(byId("plot-received-about"), `Now ${rate(last(came[0]))} with something in them, and ${rate(last(came[1]))} loops.`);
    say(byId("plot-loops-about"), `Half of the last loops took less than ${seconds(took.at(-1) ?? null)}.`);
  }
}

function makePlots() {
  return {
    packets: plot(
      byId("plot-packets"),
      [
        { label: "real", colour: "real" },
        { label: "cover", colour: "cover", dashed: true },
      ],
      rate,
    ),
    received: plot(
      byId("plot-received"),
      [
        { label: "with something in them", colour: "real" },
        { label: "loops", colour: "cover", dashed: true },
      ],
      rate,
    ),
    loops: plot(byId("plot-loops"), [{ label: "half take less than", colour: "real" }], seconds),
  };
}

function append(series, now, report, most) {
  for (const [name, column] of Object.entries(series)) {
    if (name === "step") continue;
    column.push(name === "time" ? now : report[name]);
    if (column.length > most) column.shift();
  }
}

/**
 * Numbers per second, of counts at these times: a mean over some samples, as single seconds jump. A count
 * that falls belongs to a client that has started again.
 */
function rates(time, counts) {
  const over = 10; // samples, of a second or, before the last minutes, of a minute
  return counts.map((value, at) => {
    const before = Math.max(0, at - over);
    const passed = time[at] - time[before];
    return passed > 0 && value >= counts[before] ? (value - counts[before]) / passed : null;
  });
}
