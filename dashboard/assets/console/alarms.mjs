// The alarm page: every standing alert, and how loaded the operators are (ISA-18.2), now and over a time that is chosen.

import { get } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { clock, elapsed, number } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { name, t, titled } from "../lib/text.mjs";
import { actionsOf } from "./act.mjs";
import { Grid, Rows } from "./grid.mjs";
import { provenance } from "./queue.mjs";

const DAY_MS = 86400000;
/** A standing alarm older than this is stale (ISA-18.2). */
const STALE_MS = DAY_MS;
const SPANS = { "1h": DAY_MS / 24, "24h": DAY_MS, "7d": 7 * DAY_MS, "30d": 30 * DAY_MS };
const TENS_A_DAY = 144;
/** What ISA-18.2 recommends for one operator: at most so much. */
const TARGETS = { per_ten: 1, worst_ten: 10, flood: 0.01, top: 0.05, chattering: 0, stale: 5 };
/** The share of each priority that ISA-18.2 recommends; our levels 1 and 2 are its high. */
const SHARES = [[[1, 2], 5], [[3], 15], [[4], 80]];
const LISTED = 10;
/** Of fewer alerts the share of ten sources says nothing. */
const ENOUGH = 100;

const WAITING = new Set(["unacknowledged", "returned"]);
const ASIDE = new Set(["shelved", "suppressed", "out_of_service"]);
const byNeed = (a, b) => WAITING.has(b.state) - WAITING.has(a.state) || a.level - b.level || Date.parse(b.raised_at) - Date.parse(a.raised_at);

/** What alarms asked of people over a span that ends now (or where the console looks back to). */
export class AlarmLoad {
  constructor(changed, now) {
    this.changed = changed;
    this.now = now;
    this.span = "24h";
    this.load = null;
  }

  async read(span = this.span) {
    this.span = span;
    const to = this.now();
    const query = new URLSearchParams({ from: new Date(to - SPANS[span]).toISOString(), to: new Date(to).toISOString() });
    const load = await get(`/alarm-load?${query}`).catch(() => null);
    if (this.span !== span) return;
    Object.assign(this, { load, at: to });
    this.changed();
  }
}

/** The alerts of the list under a filter, what asks for somebody first. */
export const listed = (alerts, filter) => alerts.filter((a) => (!filter.levels.size || filter.levels.has(a.level)) && (!filter.waiting || WAITING.has(a.state))).sort(byNeed);

const rows = new Rows();
const row = (devices) => (a) => ({
  id: a.id, level: a.level, waiting: WAITING.has(a.state), over: ASIDE.has(a.state), alarm: name(a.name), where: name(devices.get(a.device)?.name) || a.subject,
  domain: titled("domain", a.domain), value: a.value, state: t(`alert.state.${a.state}`), for: Date.parse(a.raised_at), raised: Date.parse(a.raised_at),
  class: t(`alert.class.${a.class}`), source: provenance(a), rule: a.rule,
});

const columns = () => [
  { key: "level", words: t("console.col.level"), kind: "level", wide: 90 },
  { key: "alarm", words: t("console.col.alarm"), wide: 3, minWidth: 180 },
  { key: "where", words: t("console.col.where"), wide: 4, minWidth: 200 },
  { key: "domain", words: t("rules.domain"), wide: 120 },
  { key: "value", words: t("console.col.value"), kind: "number", wide: 100 },
  { key: "state", words: t("console.col.state"), wide: 150 },
  { key: "for", words: t("console.col.since"), kind: "elapsed", wide: 110 },
  { key: "raised", words: t("console.col.at"), kind: "time", wide: 180 },
  { key: "source", words: t("console.col.provenance"), wide: 110 },
];

export function alarms({ alerts, filter, chosen, devices, load, desk, choose, change }) {
  const picked = alerts.find((a) => a.id === chosen);
  return html`<section class="wide alarms">
    ${figures(alerts, load, desk.now())}
    <div class="beside">
      <${Grid} name="alarms" label=${t("console.alarms")} empty=${t("console.no_alarms")} columns=${columns()} rows=${rows.of(listed(alerts, filter), row(devices))} words=${filter.words} chosen=${chosen} choose=${choose} desk=${desk}
        tools=${html`<label class="only"><input type="checkbox" checked=${filter.waiting} onChange=${(event) => change({ ...filter, waiting: event.target.checked })} />${t("wall.unacked")}</label>`} />
      ${told(load, stale(alerts, desk.now()), desk)}
    </div>
    <footer class="actions">${picked ? html`<b>${name(picked.name)} · ${name(devices.get(picked.device)?.name) || picked.subject}</b>
      ${actionsOf("alert", picked, desk.may).map((action) => html`<button key=${action} class=${action === "acknowledge" ? "primary" : ""} title=${action === "acknowledge" ? "A" : ""} onClick=${() => desk.act("alert", picked, action)}>${t(`alert.action.${action}`)}${action === "acknowledge" && html`<kbd>A</kbd>`}</button>`)}
      ${picked.incident && html`<button onClick=${() => desk.open("incidents", picked.incident)}>${t("console.its_incident")}</button>`}
      ${picked.device && html`<button onClick=${() => desk.open("devices", picked.device)}>${t("console.its_device")}</button>`}
      ${picked.aside?.until && html`<span>${t("console.aside_until", { at: clock(Date.parse(picked.aside.until)), why: picked.aside.reason ?? "" })}</span>`}` : html`<span>${t("console.choose_alarm")}</span>`}</footer>
  </section>`;
}

/** What stands too long, the longest first: [["rule subject", seconds], …]. */
const stale = (alerts, nowMs) =>
  alerts.filter((a) => a.standing && nowMs - Date.parse(a.raised_at) > STALE_MS).map((a) => [`${a.rule} ${a.subject}`, (nowMs - Date.parse(a.raised_at)) / 1000]).sort((a, b) => b[1] - a[1]);

const cell = (key, value, target = "", bad = false) => html`<div class=${bad ? "bad" : ""}><span>${t(`console.kpi.${key}`)}</span><b class="n">${value}</b><small>${target}</small></div>`;
const most = (n) => t("console.kpi.at_most", { n });
const percent = (share, digits = 1) => `${number(100 * share, digits)} %`;

/** What stands now, and what the chosen time asked. */
function figures(alerts, { load, span, at }, nowMs) {
  const long = stale(alerts, nowMs).length;
  const perTen = load && load.operator_alarms / (load.days * TENS_A_DAY);
  return html`<div class="figures">
    ${cell("standing", number(alerts.filter((a) => !ASIDE.has(a.state)).length), t("console.kpi.now"))}
    ${cell("waiting", number(alerts.filter((a) => WAITING.has(a.state)).length), t("console.kpi.now"))}
    ${cell("aside", number(alerts.filter((a) => ASIDE.has(a.state)).length), t("console.kpi.now"))}
    ${cell("stale", number(long), most(TARGETS.stale), long > TARGETS.stale)}
    ${load && html`${cell("per_ten", number(perTen, 2), most(TARGETS.per_ten), perTen > TARGETS.per_ten)}
    ${cell("worst_ten", number(load.busiest_10min), most(TARGETS.worst_ten), load.busiest_10min > TARGETS.worst_ten)}
    ${cell("flood", percent(load.flood_share), most("1 %"), load.flood_share > TARGETS.flood)}
    ${cell("top", percent(load.top_share, 0), most("5 %"), load.top_share > TARGETS.top && load.alerts >= ENOUGH)}
    ${cell("chattering", number(load.chattering), most(TARGETS.chattering), load.chattering > TARGETS.chattering)}`}
  </div>`;
}

/** Right: over which time, its busiest sources, how its alarms share among the levels, which chatter and which stand too long. */
function told(load, long, desk) {
  const found = load.load;
  return html`<aside class="detail load" aria-label=${t("console.load")}>
    <h2>${t("console.load")}</h2>
    <div class="spans" role="group" aria-label=${t("console.load_span")}>${Object.keys(SPANS).map((span) => html`<button key=${span} aria-pressed=${load.span === span} onClick=${() => load.read(span)}>${t(`explore.spans.${span}`)}</button>`)}</div>
    ${!found ? html`<p class="empty">${t("console.reading")}</p>` : html`
      <p>${t("console.kpi.told", { alerts: number(found.alerts), incidents: number(found.incidents), asked: number(found.operator_alarms) })}</p>
      <h3>${t("console.kpi.levels")}</h3>
      <ul class="bars by-level">${SHARES.map(([levels, target]) => share(levels, target, found))}</ul>
      <h3>${t("console.kpi.sources", { share: percent(found.top_share, 0) })}</h3>
      ${sources(found.top, found.alerts, desk)}
      <h3>${t("console.kpi.chattering")} <span class="n">${found.chattering}</span></h3>
      ${sources(found.chatterers, 0, desk)}
      <h3>${t("console.kpi.stale")} <span class="n">${long.length}</span></h3>
      ${sources(long, 0, desk, true)}`}
  </aside>`;
}

function share(levels, target, { by_level: by, alerts }) {
  const part = alerts ? levels.reduce((sum, level) => sum + (by[level] ?? 0), 0) / alerts : 0;
  return html`<li key=${target}><span>${levels.map((level) => shape(level, { title: t(`level.${level}`) }))}</span><i><u style=${`width:${100 * part}%`}></u><em style=${`left:${target}%`}></em></i><b class="n">${percent(part, 0)}</b><small>${t("console.kpi.target", { n: target })}</small></li>`;
}

/** [["rule subject", n], …] by name; a click shows the device. `n` is seconds of a source that stands too long. */
function sources(found, of, desk, areSpans = false) {
  if (!found.length) return html`<p class="empty">${t("console.kpi.none")}</p>`;
  const top = found[0][1];
  return html`<ol class="bars">${found.slice(0, LISTED).map(([source, n]) => {
    const [rule, subject] = [source.slice(0, source.indexOf(" ")), source.slice(source.indexOf(" ") + 1)];
    const device = desk.devices.get(subject.split("/")[0]);
    return html`<li key=${source}><button class="plain" disabled=${!device} onClick=${() => desk.open("devices", device.id)}>${titled("rule", rule)}<small>${name(device?.name) || subject}</small></button><i><u style=${`width:${(100 * n) / top}%`}></u></i><b class="n">${areSpans ? elapsed(n) : number(n)}</b>${of > 0 && html`<small class="n">${percent(n / of, 0)}</small>`}</li>`;
  })}</ol>`;
}
