// What mixnodes have reported: how many packets each of them took and sent, a second and in all.

const USUAL = 3; // seconds between two reports of a mixnode
const LATEST = 10; // seconds after which a report says nothing about now
const NOTHING = { received: 0, sent: 0, receivedRate: null, sentRate: null };

/** Counts by mixnode. Times are in seconds. */
export class Traffic {
  #byKey = new Map();

  /** Note a metric, as it is listed. One that was noted before changes nothing. */
  note(metric, now) {
    const at = metric.timestamp / 1e9;
    const last = this.#byKey.get(metric.pubKey);
    if (last && at <= last.at) return;
    const span = last && at - last.at < LATEST ? at - last.at : USUAL;
    const sent = Object.values(metric.sent).reduce((sum, count) => sum + count, 0);
    this.#byKey.set(metric.pubKey, {
      at,
      heard: now,
      received: (last?.received ?? 0) + metric.received,
      sent: (last?.sent ?? 0) + sent,
      receivedRate: metric.received / span,
      sentRate: sent / span,
    });
  }

  /** {received, sent, receivedRate, sentRate} of the mixnode with this key; a rate is null if it isn't known. */
  of(key, now) {
    const noted = this.#byKey.get(key) ?? NOTHING;
    return noted === NOTHING || now - noted.heard < LATEST ? noted : { ...noted, receivedRate: null, sentRate: null };
  }

  /** A mixnode has another key from now on. */
  rekey(old, key) {
    const noted = this.#byKey.get(old);
    if (noted && !this.#byKey.has(key)) this.#byKey.set(key, noted);
    this.#byKey.delete(old);
  }

  /** Forget all but the mixnodes with these keys: anybody may report something. */
  keepOnly(keys) {
    for (const key of this.#byKey.keys()) if (!keys.has(key)) this.#byKey.delete(key);
  }
}
