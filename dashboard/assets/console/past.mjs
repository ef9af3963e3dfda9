// What did we know at 10:05: incidents and alerts as they were known at a moment, in the place of the live ones.
// `?as_of=` in the address says which; nothing can be done there.

import { all } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { clock, date, hourMinute, zoned } from "../lib/format.mjs";
import { language, t } from "../lib/text.mjs";
import { Draft } from "./draft.mjs";

const MINUTE_MS = 60000;
const DAY_MS = 86400000;
const STEPS = [-60, -10, -1, 1, 10, 60];
const OPEN = "open,confirmed";
const STANDING = "unacknowledged,acknowledged,returned,shelved,suppressed,out_of_service";
/** A minute of then lasts a second while it plays. */
const PLAY_MS = 1000;
const SETTLE_MS = 250;

const iso = (ms) => new Date(ms).toISOString();

/** The same face as `Live`, of a moment that is over. */
export class Past {
  /** `changed()` after anything was read; `endMs`: what began within the day before it is marked on the track. */
  constructor(changed, endMs) {
    Object.assign(this, { changed, endMs });
    this.items = Object.fromEntries(["incidents", "alerts", "cases", "orders", "crews", "status"].map((topic) => [topic, new Map()]));
  }

  now() {
    return this.ms;
  }

  list(topic) {
    return [...this.items[topic].values()];
  }

  /** Whether it holds, or is about to hold, what was known then. */
  is(ms) {
    return this.wanted === ms;
  }

  async read(ms) {
    Object.assign(this, { ms, wanted: ms });
    const asked = `as_of=${encodeURIComponent(iso(ms))}`;
    const [incidents, alerts, before] = await Promise.all([
      all(`/incidents?${asked}&state=${OPEN}`).catch(() => null),
      all(`/alerts?${asked}&state=${STANDING}`).catch(() => null),
      this.marks ?? all(`/incidents?from=${encodeURIComponent(iso(this.endMs - DAY_MS))}`).catch(() => []),
    ]);
    if (!this.is(ms)) return;
    this.failed = !incidents || !alerts;
    this.marks = before;
    this.items.incidents = new Map((incidents ?? []).map((each) => [each.id, entry(each)]));
    this.items.alerts = new Map((alerts ?? []).map((each) => [each.id, each]));
    this.changed();
  }
}

/** An incident of the API as the stream would have told it. */
function entry(shown) {
  const where = shown.said[language]?.where;
  return { ...shown, title: shown.name, place: [where].flat()[0] ?? "" };
}

/** The bar from which the moment is chosen. */
export class TimeControl {
  constructor(desk) {
    this.desk = desk;
  }

  to(ms) {
    const nowMs = this.desk.live.now();
    const wanted = Math.min(nowMs, Math.round(ms / 1000) * 1000);
    this.desk.past.ms = wanted;
    this.desk.touch();
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.desk.lookBack(wanted), SETTLE_MS);
  }

  play() {
    if (this.playing) this.stop();
    else {
      this.playing = setInterval(() => {
        if (!this.desk.past || this.desk.past.ms + MINUTE_MS > this.desk.live.now()) this.stop();
        else this.to(this.desk.past.ms + MINUTE_MS);
      }, PLAY_MS);
    }
    this.desk.touch();
  }

  stop() {
    clearInterval(this.playing);
    clearTimeout(this.settling);
    this.playing = null;
  }

  draw() {
    const { past, live } = this.desk;
    const endMs = live.now();
    const fromMs = Math.min(endMs - DAY_MS, past.ms);
    const at = (ms) => `${(100 * (ms - fromMs)) / (endMs - fromMs)}%`;
    return html`<section class="replay" aria-label=${t("console.past")}>
      <b class="badge">${t("wall.replay")}</b>
      <p><span>${t("console.past_at")}</span> <b class="n">${date(past.ms)} ${clock(past.ms)}</b></p>
      <div class="spans" role="group" aria-label=${t("console.past_steps")}>${STEPS.map((n) => html`<button key=${n} onClick=${() => this.to(past.ms + n * MINUTE_MS)}>${n > 0 ? "+" : "−"}${Math.abs(n) < 60 ? t("age.minutes", { n: Math.abs(n) }) : t("age.hours", { n: 1 })}</button>`)}</div>
      <button aria-pressed=${Boolean(this.playing)} onClick=${() => this.play()}>${t(this.playing ? "explore.pause" : "explore.play")}</button>
      <div class="track">
        <input type="range" min=${fromMs} max=${endMs} step=${MINUTE_MS} value=${past.ms} aria-label=${t("explore.slider")} aria-valuetext=${`${date(past.ms)} ${clock(past.ms)}`} onInput=${(event) => this.to(Number(event.target.value))} />
        <svg aria-hidden="true">${(past.marks ?? []).map((i) => html`<rect key=${i.id} x=${at(Date.parse(i.opened_at))} width="3" height="8" style=${`fill:var(--l${i.level})`} />`)}</svg>
        <small class="n">${hourMinute(fromMs)}</small><small class="n">${hourMinute(endMs)}</small>
      </div>
      <${Draft} type="datetime-local" step="1" value=${`${date(past.ms)}T${clock(past.ms)}`} max=${`${date(endMs)}T${clock(endMs)}`} aria-label=${t("console.past_when")} done=${(text) => zoned(text) && this.to(zoned(text))} />
      <button class="primary" onClick=${() => this.desk.lookBack(null)}>${t("console.past_leave")}<kbd>T</kbd></button>
      ${past.failed && html`<b role="alert">${t("console.no_link")}</b>`}
    </section>`;
  }
}
