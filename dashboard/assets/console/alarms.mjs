// The alarm page: every standing alert, and how loaded the operators are (ISA-18.2 / EEMUA 191 measures).

import { html } from "../lib/dom.mjs";
import { clock, elapsed, measured, number } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { name, t } from "../lib/text.mjs";
import { actionsOf } from "./act.mjs";
import { provenance } from "./queue.mjs";
import { Rows } from "./rows.mjs";

const ROW_PX = 44;
const HOUR_MS = 3600000;
const TEN_MS = 600000;
/** A standing alarm older than this is stale (ISA-18.2); more than ten in ten minutes is a flood (EEMUA 191). */
const STALE_MS = 24 * HOUR_MS;
const FLOOD = 10;

const WAITING = new Set(["unacknowledged", "returned"]);
const ASIDE = new Set(["shelved", "suppressed", "out_of_service"]);
const byNeed = (a, b) => WAITING.has(b.state) - WAITING.has(a.state) || a.level - b.level || Date.parse(b.raised_at) - Date.parse(a.raised_at);

/** Measures of the last hour: `alerts` that arose, `incidents` that arose; those that ask are what an operator hears. */
export function load(alerts, incidents, nowMs) {
  const asks = [
    ...alerts.filter((a) => !a.incident && (a.class === "field" || a.class === "life")).map((a) => Date.parse(a.raised_at)),
    ...incidents.map((i) => Date.parse(i.opened_at)),
  ].filter((ms) => nowMs - ms < HOUR_MS);
  const tens = Array.from({ length: 6 }, (_, n) => asks.filter((ms) => Math.floor((nowMs - ms) / TEN_MS) === n).length);
  return { hour: asks.length, perTen: asks.length / 6, worst: Math.max(...tens), flood: tens.some((n) => n > FLOOD) };
}

const named = (a, devices) => name(devices.get(a.device)?.name) || a.subject;

/** The alerts of the list under a filter, what asks for somebody first. */
export function listed(alerts, filter, devices) {
  const sought = filter.words.trim().toLowerCase();
  return alerts
    .filter((a) => (!filter.levels.size || filter.levels.has(a.level)) && (!filter.waiting || WAITING.has(a.state)) && (!sought || [name(a.name), named(a, devices), a.subject].join(" ").toLowerCase().includes(sought)))
    .sort(byNeed);
}

export function alarms({ rows, alerts, recent, incidents, filter, chosen, devices, desk, choose, change }) {
  const nowMs = desk.now();
  const picked = alerts.find((a) => a.id === chosen);
  return html`<section class="wide alarms">
    ${figures(alerts, recent, incidents, nowMs)}
    <div class="table" role="presentation">
      <p class="columns"><span></span><span>${t("console.col.alarm")}</span><span>${t("console.col.where")}</span><span>${t("console.col.value")}</span><span>${t("console.col.state")}</span><span>${t("console.col.since")}</span></p>
      <${Rows} items=${rows} height=${ROW_PX} label=${t("console.alarms")} empty=${t("console.no_alarms")} at=${rows.findIndex((a) => a.id === chosen)} active=${chosen ? `alarm-${chosen}` : ""}
        row=${(a) => html`<div id=${`alarm-${a.id}`} role="option" aria-selected=${a.id === chosen} class=${`alarm l${a.level} ${a.state}`} onClick=${() => choose(a.id)}>
          ${shape(a.level, { ring: WAITING.has(a.state), title: t(`level.${a.level}`) })}
          <span>${name(a.name)}</span><span>${[provenance(a), named(a, devices)].filter(Boolean).join(" · ")}</span><span class="n">${measured(a.value)}</span>
          <span>${t(`alert.state.${a.state}`)}</span><span class="n">${elapsed((nowMs - Date.parse(a.raised_at)) / 1000)}</span>
        </div>`} />
    </div>
    <footer class="actions">${picked ? html`<b>${name(picked.name)} · ${named(picked, devices)}</b>
      ${actionsOf("alert", picked, desk.may).map((action) => html`<button key=${action} class=${action === "acknowledge" ? "primary" : ""} onClick=${() => desk.act("alert", picked, action)}>${t(`alert.action.${action}`)}</button>`)}
      ${picked.incident && html`<button onClick=${() => desk.open("incidents", picked.incident)}>${t("console.its_incident")}</button>`}` : html`<span>${t("console.choose_alarm")}</span>`}
      <label class="only"><input type="checkbox" checked=${filter.waiting} onChange=${(event) => change({ ...filter, waiting: event.target.checked })} />${t("wall.unacked")}</label></footer>
  </section>`;
}

function figures(alerts, recent, incidents, nowMs) {
  const told = load(recent, incidents, nowMs);
  const stale = alerts.filter((a) => a.standing && nowMs - Date.parse(a.raised_at) > STALE_MS).length;
  const rules = new Map();
  for (const a of recent) rules.set(a.rule, { name: a.name, n: (rules.get(a.rule)?.n ?? 0) + 1 });
  const top = [...rules.values()].sort((a, b) => b.n - a.n).slice(0, 5);
  const share = recent.length ? (100 * top.reduce((sum, { n }) => sum + n, 0)) / recent.length : 0;
  const cell = (key, value, bad) => html`<div class=${bad ? "bad" : ""}><b class="n">${value}</b><span>${t(`console.kpi.${key}`)}</span></div>`;
  return html`<div class="figures">
    ${cell("standing", number(alerts.filter((a) => !ASIDE.has(a.state)).length))}
    ${cell("waiting", number(alerts.filter((a) => WAITING.has(a.state)).length))}
    ${cell("aside", number(alerts.filter((a) => ASIDE.has(a.state)).length))}
    ${cell("stale", number(stale), stale > 0)}
    ${cell("per_ten", number(told.perTen, 1), told.perTen > 1)}
    ${cell("worst_ten", number(told.worst), told.flood)}
    <div class="top"><span>${t("console.kpi.top", { share: Math.round(share) })}</span><ol>${top.map(({ name: rule, n }) => html`<li>${name(rule)} <b class="n">${n}</b></li>`)}</ol><small>${t("console.kpi.day", { n: recent.length, at: clock(nowMs) })}</small></div>
  </div>`;
}
