// Who is there and what they do (crew board), and what the shift wrote down (duty log).

import { all, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { elapsed } from "../lib/format.mjs";
import { has, name, t } from "../lib/text.mjs";
import { refusal } from "./act.mjs";
import { Grid, Rows } from "./grid.mjs";

const STATES = ["free", "busy", "rest", "off"];
const FIX_OLD_MS = 300000;
const KINDS = ["note", "hand_over", "take_over"];

const group = (crew) => (STATES.includes(crew.state) ? crew.state : "off");
const family = (prefix, key) => (has(`${prefix}.${key}`) ? t(`${prefix}.${key}`) : key);

const crewRows = new Rows();
const crewRow = (orders, incidents) => (crew) => {
  const order = orders.find((each) => each.id === crew.order);
  const incident = order && incidents.get(order.incident);
  return {
    id: crew.id, name: name(crew.name), kind: family("crew_kind", crew.kind), state: t(`crew.state.${group(crew)}`), members: crew.members, department: family("department", crew.department),
    skills: (crew.skills ?? []).map((skill) => family("skill", skill)).join(t("wall.comma")), order: order ? t(`order.state.${order.state}`) : "", incident: incident?.number ?? "", fix: Date.parse(crew.position_at ?? ""), source: t(`provenance.${crew.provenance}`),
  };
};
const crewColumns = () => [
  { key: "name", words: t("console.noun.crew"), wide: 3, minWidth: 160 },
  { key: "kind", words: t("console.col.kind"), wide: 2, minWidth: 110 },
  { key: "state", words: t("console.col.state"), wide: 110 },
  { key: "members", words: t("console.col.members"), kind: "number", wide: 90 },
  { key: "department", words: t("console.col.department"), wide: 2, minWidth: 120 },
  { key: "skills", words: t("console.col.skills"), wide: 3, minWidth: 160 },
  { key: "order", words: t("console.col.order"), wide: 110 },
  { key: "incident", words: t("console.noun.incident"), wide: 180, cellClass: "n" },
  { key: "fix", words: t("console.col.fix"), kind: "elapsed", wide: 110 },
  { key: "source", words: t("console.col.provenance"), wide: 100 },
];

/** A column a state, in each the crews of one kind together; or all of them as one table. */
export function crewBoard({ crews, orders, incidents, filter, chosen, asTable, desk, choose }) {
  const ways = html`<div class="spans" role="group" aria-label=${t("console.crews")}>${[false, true].map((way) => html`<button key=${way} aria-pressed=${asTable === way} onClick=${() => desk.look(way ? { as: "table" } : { as: null })}>${t(way ? "console.as_table" : "console.as_board")}</button>`)}</div>`;
  if (asTable) {
    return html`<section class="wide"><${Grid} name="crews" label=${t("console.crews")} empty=${t("console.none")} columns=${crewColumns()} rows=${crewRows.of(crews, crewRow(orders, incidents))} words=${filter.words} chosen=${chosen} choose=${choose} desk=${desk} tools=${ways} /></section>`;
  }
  const sought = filter.words.trim().toLowerCase();
  const shown = crews.filter((crew) => !sought || [crew.id, name(crew.name), crew.kind, crew.area].join(" ").toLowerCase().includes(sought));
  return html`<section class="wide"><p class="bar"><b class="n">${shown.length}</b> ${t("console.crews")}<span class="grow"></span>${ways}</p>
    <div class="board">${STATES.map((state) => {
      const members = shown.filter((crew) => group(crew) === state).sort((a, b) => a.kind.localeCompare(b.kind) || a.id.localeCompare(b.id));
      return html`<section key=${state}><h2>${t(`crew.state.${state}`)} <b class="n">${members.length}</b></h2>
        <ul>${members.map((crew) => card(crew, orders.find((order) => order.id === crew.order), incidents, desk))}</ul></section>`;
    })}</div></section>`;
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

const noteRows = new Rows();
const noteRow = (each) => ({ id: String(each.id), at: Date.parse(each.at), kind: family("console.log_kinds", each.kind), text: each.text, by: each.by });
const noteColumns = () => [
  { key: "at", words: t("console.col.at"), kind: "time", wide: 190 },
  { key: "kind", words: t("console.log_kind"), wide: 120 },
  { key: "text", words: t("console.log_text"), wide: 6, wrapText: true, autoHeight: true },
  { key: "by", words: t("console.col.by"), wide: 160 },
];

export function dutyPage(log, filter, chosen, desk) {
  return html`<section class="wide duty" aria-label=${t("console.log")}>
    ${desk.may.has("duty_log.write") && html`<form class="actions" onSubmit=${(event) => {
      event.preventDefault();
      log.add(event.target, desk);
    }}><select name="kind" aria-label=${t("console.log_kind")}>${KINDS.map((kind) => html`<option value=${kind}>${family("console.log_kinds", kind)}</option>`)}</select>
      <input name="text" required maxlength="2000" aria-label=${t("console.log_text")} placeholder=${t("console.log_text")} /><button class="primary">${t("console.log_add")}</button></form>`}
    <${Grid} name="log" label=${t("console.log")} empty=${t("console.log_empty")} columns=${noteColumns()} rows=${noteRows.of(log.items, noteRow)} words=${filter.words} chosen=${chosen} choose=${(id) => desk.open("log", id)} desk=${desk} />
  </section>`;
}
