// Who is there and what they do (crew board), and what the shift wrote down (duty log).

import { all, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { date, elapsed, hourMinute } from "../lib/format.mjs";
import { has, name, t } from "../lib/text.mjs";
import { refusal } from "./act.mjs";

const STATES = ["free", "busy", "rest", "off"];
const FIX_OLD_MS = 300000;
const KINDS = ["note", "hand_over", "take_over"];

const group = (crew) => (STATES.includes(crew.state) ? crew.state : "off");
const family = (prefix, key) => (has(`${prefix}.${key}`) ? t(`${prefix}.${key}`) : key);

/** A column a state; in each the crews of one kind stand together. */
export function crewBoard({ crews, orders, incidents, filter, desk }) {
  const sought = filter.words.trim().toLowerCase();
  const shown = crews.filter((crew) => !sought || [crew.id, name(crew.name), crew.kind, crew.area].join(" ").toLowerCase().includes(sought));
  return html`<section class="wide board" aria-label=${t("console.crews")}>${STATES.map((state) => {
    const members = shown.filter((crew) => group(crew) === state).sort((a, b) => a.kind.localeCompare(b.kind) || a.id.localeCompare(b.id));
    return html`<section key=${state}><h2>${t(`crew.state.${state}`)} <b class="n">${members.length}</b></h2>
      <ul>${members.map((crew) => card(crew, orders.find((order) => order.id === crew.order), incidents, desk))}</ul></section>`;
  })}</section>`;
}

function card(crew, order, incidents, desk) {
  const ageMs = crew.position_at ? desk.now() - Date.parse(crew.position_at) : null;
  const incident = order && incidents.get(order.incident);
  const at = order?.times?.[order.state];
  return html`<li key=${crew.id} class="crew">
    <p><b>${name(crew.name)}</b> <small>${family("crew_kind", crew.kind)} · ${t("console.crew.members", { n: crew.members })}</small></p>
    <p class="chips">${(crew.skills ?? []).map((skill) => html`<span class="chip">${family("skill", skill)}</span>`)}</p>
    ${order && html`<p>${t(`order.state.${order.state}`)}${at ? html` <span class="n">${elapsed((desk.now() - Date.parse(at)) / 1000)}</span>` : ""}
      ${incident && html` <button class="plain" onClick=${() => desk.open("incidents", incident.id)}>${incident.number}</button>`}</p>`}
    <p><small class=${ageMs !== null && ageMs > FIX_OLD_MS && crew.order ? "violet" : ""}>${ageMs === null ? t("console.crew.depot") : t("console.crew.fix", { age: elapsed(ageMs / 1000) })}</small>
      ${crew.lon && html` <button class="plain" onClick=${() => desk.showOnMap(crew)}>${t("console.show")}</button>`}</p>
  </li>`;
}

export class DutyLog {
  constructor(changed) {
    this.changed = changed;
    this.items = [];
  }

  async read() {
    this.items = await all("/duty-log", 500).catch(() => this.items);
    this.changed();
  }

  async add(form, desk) {
    const data = new FormData(form);
    try {
      await send("POST", "/duty-log", { kind: data.get("kind"), text: data.get("text") });
      form.reset();
      await this.read();
    } catch (refused) {
      desk.say(refusal(refused, "log"), true);
    }
  }
}

export function dutyPage(log, filter, desk) {
  const sought = filter.words.trim().toLowerCase();
  const shown = log.items.filter((each) => !sought || `${each.text} ${each.by}`.toLowerCase().includes(sought));
  return html`<section class="wide duty" aria-label=${t("console.log")}>
    ${desk.may.has("duty_log.write") && html`<form class="actions" onSubmit=${(event) => {
      event.preventDefault();
      log.add(event.target, desk);
    }}><select name="kind" aria-label=${t("console.log_kind")}>${KINDS.map((kind) => html`<option value=${kind}>${family("console.log_kinds", kind)}</option>`)}</select>
      <input name="text" required maxlength="2000" aria-label=${t("console.log_text")} placeholder=${t("console.log_text")} /><button class="primary">${t("console.log_add")}</button></form>`}
    <ol class="notes">${shown.map((each) => {
      const ms = Date.parse(each.at);
      return html`<li key=${each.id}><b class="n">${date(ms)} ${hourMinute(ms)}</b> <span class="chip">${family("console.log_kinds", each.kind)}</span> ${each.text} <small>${each.by}</small></li>`;
    })}</ol>
    ${!shown.length && html`<p class="empty">${t("console.log_empty")}</p>`}
  </section>`;
}
