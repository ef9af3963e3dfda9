// What a responder did and the centre may not know yet. Kept in the phone, sent in order, each with a key of its own
// so that a repeat has no second effect. An answer of the centre ends it; silence does not.

import { get, set } from "../vendor/idb-keyval.mjs";

const KEPT = 20;
const SEND_MS = 15000;

/** A random key; works without https too, where crypto.randomUUID does not exist. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

export class Outbox {
  constructor(user, changed) {
    this.name = `outbox-${user}`;
    this.changed = changed;
    this.entries = [];
    this.offline = false;
  }

  async open() {
    this.entries = (await get(this.name)) ?? [];
    addEventListener("online", () => this.flush());
    addEventListener("focus", () => this.flush());
    setInterval(() => this.flush(), 5000);
    await this.flush();
  }

  waiting(order) {
    return this.entries.filter((each) => each.state === "waiting" && (!order || each.order === order));
  }

  async put(order, action, fields = {}) {
    this.entries.unshift({ key: newKey(), order, action, fields, atMs: Date.now(), state: "waiting" });
    await this.#keep();
    await this.flush();
  }

  /** Send what waits, oldest first. One at a time; a failed connection stops until the next try. */
  flush() {
    this.sending ??= this.#sendAll().finally(() => (this.sending = null));
    return this.sending;
  }

  async #sendAll() {
    for (let entry = this.waiting().at(-1); entry; entry = this.waiting().at(-1)) {
      if (!(await this.#send(entry))) return;
      await this.#keep();
    }
  }

  async #send(entry) {
    let answer;
    try {
      answer = await fetch(`/api/v1/orders/${encodeURIComponent(entry.order)}/actions`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": entry.key },
        body: JSON.stringify({ action: entry.action, ...entry.fields }),
        signal: AbortSignal.timeout(SEND_MS),
      });
    } catch {
      return this.#away(true);
    }
    if (answer.status >= 500 || answer.status === 429) return this.#away(true);
    if (answer.status === 401) return location.reload();
    this.#away(false);
    entry.state = answer.ok ? "sent" : "refused";
    entry.answeredMs = Date.now();
    if (!answer.ok) entry.problem = await answer.json().catch(() => ({ status: answer.status }));
    return true;
  }

  #away(offline) {
    if (this.offline !== offline) {
      this.offline = offline;
      this.changed();
    }
    return !offline;
  }

  async #keep() {
    const done = this.entries.filter((each) => each.state !== "waiting").slice(0, KEPT);
    this.entries = this.entries.filter((each) => each.state === "waiting" || done.includes(each));
    await set(this.name, this.entries);
    this.changed();
  }
}
