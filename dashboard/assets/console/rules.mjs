// The rules in force with their rationale, and the way to change one: edit its text, try it over stored readings,
// see what that would have asked of people, then put it in force with a reason.

import { Refused, get, path, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { age, date, hourMinute, measured, number } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { family, has, t, titled } from "../lib/text.mjs";
import { refusal } from "./act.mjs";
import { Draft } from "./draft.mjs";
import { Grid, Rows } from "./grid.mjs";

const DAYS = [1, 3, 7];
const TYPED_MS = 350;
const TRIAL_MS = 240000;
const FIGURES = ["alerts", "incidents", "operator_alarms", "busiest_10min", "flood_share", "top_share", "chattering", "fleeting", "stale"];
const SHARES = new Set(["flood_share", "top_share"]);
const TEXTS = ["cause", "consequence", "action"];

/** All rules, the chosen one, and the draft of it. */
export class Rulebook {
  constructor(changed) {
    this.changed = changed;
    this.items = [];
    this.days = 3;
    this.clear();
  }

  clear() {
    Object.assign(this, { rule: null, text: "", fields: [], trial: null, tried: "", mistakes: [], trying: false, failed: "", reason: "" });
  }

  async list() {
    this.items = (await get("/rules").catch(() => ({ items: this.items }))).items;
    this.changed();
  }

  async read(key) {
    this.wanted = key;
    const found = await get(path("rules", key)).catch(() => null);
    if (this.wanted !== key) return;
    this.clear();
    this.rule = found;
    this.edit(found?.yaml ?? "");
  }

  /** Text was typed: the form follows once the typing rests. */
  edit(text) {
    this.text = text;
    this.mistakes = [];
    clearTimeout(this.typing);
    if (this.rule) this.typing = setTimeout(() => this.#form({}), TYPED_MS);
    this.changed();
  }

  /** A field was changed: the text follows, everything else in it stays as it was typed. */
  put(path, value) {
    clearTimeout(this.typing);
    return this.#form({ path, value });
  }

  async #form(change) {
    const { rule, text } = this;
    const found = await send("POST", path("rules", rule.id, "form"), { yaml: text, ...change }).catch((refused) => refused);
    if (this.rule !== rule || this.text !== text) return;
    if (found instanceof Error) this.failed = refusal(found, "rule");
    else Object.assign(this, { text: found.yaml, fields: found.fields, mistakes: found.mistakes, failed: "" });
    this.changed();
  }

  get isTried() {
    return this.trial && this.tried === this.text;
  }

  async try() {
    const key = this.rule.id;
    const text = this.text;
    Object.assign(this, { trying: true, trial: null, mistakes: [], failed: "" });
    this.changed();
    try {
      const found = await send("POST", path("rules", key, "trial"), { yaml: text, days: this.days }, undefined, TRIAL_MS);
      if (this.wanted === key) Object.assign(this, { trial: found, tried: text });
    } catch (refused) {
      const mistakes = refused instanceof Refused ? refused.problem.mistakes : null;
      if (mistakes) this.mistakes = mistakes;
      else this.failed = refusal(refused, "rule");
    }
    this.trying = false;
    this.changed();
  }

  async activate(desk) {
    const { rule, trial, reason } = this;
    try {
      await send("PUT", path("rules", rule.id), { trial: trial.trial, reason });
      desk.say(t("rules.in_force"));
      await Promise.all([this.read(rule.id), this.list()]);
    } catch (refused) {
      this.failed = refusal(refused, "rule");
      this.changed();
    }
  }
}

const rows = new Rows();
const row = (rule) => ({
  id: rule.id, level: rule.level, name: titled("rule", rule.id), key: rule.id, domain: titled("domain", rule.domain), detector: rule.detector,
  source: rule.source.ref, state: `${rule.is_edited ? t("rules.edited") : t("rules.shipped")}${rule.enabled ? "" : ` · ${t("rules.off")}`}`,
});

const columns = () => [
  { key: "level", words: t("console.col.level"), kind: "level", wide: 80 },
  { key: "name", words: t("console.noun.rule"), wide: 3, minWidth: 160 },
  { key: "key", words: t("console.col.id"), wide: 2, minWidth: 120, cellClass: "n" },
  { key: "domain", words: t("rules.domain"), wide: 110 },
  { key: "state", words: t("rules.state"), wide: 100 },
  { key: "source", words: t("rules.source"), wide: 2, minWidth: 100 },
];

export function rulesPage({ book, filter, chosen, desk, choose }) {
  const found = book.items.filter((rule) => !filter.levels.size || filter.levels.has(rule.level));
  return html`<section class="wide split rules">
    <${Grid} name="rules" label=${t("console.rules")} empty=${t("rules.none")} columns=${columns()} rows=${rows.of(found, row)} words=${filter.words} chosen=${chosen} choose=${choose} desk=${desk} />
    ${book.rule && book.rule.id === chosen ? detail(book, desk) : html`<aside class="detail"><p class="empty">${t(chosen ? "console.reading" : "rules.choose")}</p></aside>`}
  </section>`;
}

/** A department, or somebody else who answers for a thing. */
const party = (id) => ["department", "rules.party"].map((family) => `${family}.${id}`).filter(has).map((key) => t(key))[0] ?? id;

function detail(book, desk) {
  const { rule, mistakes } = book;
  const words = (part) => t(["rule", rule.id, part].join("."));
  const may = desk.may.has("rule.edit");
  const wrong = new Set(mistakes.map(({ line }) => line));
  return html`<aside class="detail" aria-label=${words("name")}>
    <h2>${shape(rule.level, { title: t(`level.${rule.level}`) })} ${words("name")}</h2>
    <p class="n">${[rule.id, `${rule.file}:${rule.line}`].join(" · ")}</p>
    <dl class="said">
      ${TEXTS.map((part) => html`<dt>${t(`rules.${part}`)}</dt><dd>${words(part)}</dd>`)}
      <dt>${t("rules.respond")}</dt><dd>${t("rules.within", { seen: age(rule.seen_within_s), act: age(rule.act_within_s) })}</dd>
      <dt>${t("rules.owner")}</dt><dd>${[rule.owner.lead, rule.owner.supervisor, ...rule.owner.assisting].filter(Boolean).map(party).join(t("wall.comma"))}</dd>
      <dt>${t("rules.source")}</dt><dd>${rule.source.ref} <span class="chip">${t(`rules.mark.${rule.source.mark}`)}</span> ${rule.source.note}</dd>
    </dl>
    <div class="both"><div class="form">${form(book, may)}</div><div>
    <h3><label for="rule-text">${t("rules.text")}</label></h3>
    <div class="editor"><ol aria-hidden="true">${book.text.replace(/\n$/, "").split("\n").map((_, i) => html`<li class=${wrong.has(i + 1) ? "wrong" : ""}>${i + 1}</li>`)}</ol>
      <textarea id="rule-text" spellcheck="false" wrap="off" readonly=${!may} rows=${Math.max(8, book.text.split("\n").length)} aria-invalid=${mistakes.length > 0} aria-describedby="rule-mistakes" onInput=${(event) => book.edit(event.target.value)} value=${book.text}></textarea></div>
    <div id="rule-mistakes" role="alert">${mistakes.map(({ file, line, key, value, reason }) => html`<p class="mistake"><b class="n">${t("rules.line", { file, n: line })}</b> ${key}${value ? ` = ${value}` : ""}: ${reason}</p>`)}${book.failed && html`<p class="mistake">${book.failed}</p>`}</div>
    ${may ? tools(book, desk) : html`<p class="empty">${t("rules.read_only")}</p>`}
    ${book.trial && difference(book.trial.before, book.trial.after, rule.id)}
    ${history(rule)}
    </div></div>
  </aside>`;
}

/** Which part of the form a field stands in, by the first part of its path; what is not named watches. */
const PLACES = { on: "on", off: "off", schedule: "schedule", source: "why", owner: "why", seen_within: "why", act_within: "why", case_code: "why", valid_from: "why", valid_to: "why" };
const PARTS = ["watch", "on", "off", "schedule", "why"];
const SIGNS = { above: ">", at_least: "≥", below: "<", at_most: "≤", equals: "=" };
const EDGES = new Set(["on", "off", "each"]);
const PARTIES = new Set(["lead", "supervisor"]);

/** The fields of the text that is being edited; those that it leaves out stand behind a fold. */
function form(book, may) {
  return PARTS.map((part) => {
    const fields = book.fields.filter(({ path }) => (PLACES[path[0]] ?? "watch") === part);
    const given = fields.filter((field) => field.value !== null || (field.required && part !== "schedule"));
    const rest = fields.filter((field) => !given.includes(field));
    if (!fields.length) return null;
    return html`<fieldset key=${part} disabled=${!may}><legend>${t(`rules.part.${part}`)}${part === "off" && band(book)}</legend>
      ${given.map((field) => control(field, book))}
      ${rest.length > 0 && html`<details><summary>${t("rules.part.more", { n: rest.length })}</summary>${rest.map((field) => control(field, book))}</details>`}</fieldset>`;
  });
}

/** How far the value must come back: between the limits of on and off. */
function band({ fields }) {
  const [on, off] = ["on", "off"].map((part) => fields.find(({ path }) => path.length === 2 && path[0] === part && path[1] in SIGNS)?.value);
  return Number.isFinite(on) && Number.isFinite(off) && html` <small class="n">${t("rules.part.band", { n: measured(Math.abs(on - off)) })}</small>`;
}

function control(field, book) {
  const name = field.path.at(-1);
  const label = field.path.slice(field.path.length > 1 ? 1 : 0).map((part) => (Number.isInteger(part) ? part + 1 : t(`rules.${EDGES.has(part) ? "part" : "field"}.${part}`))).join(" · ");
  const set = (value) => book.put(field.path, value === "" || (Array.isArray(value) && !value.length) ? null : value);
  return html`<label key=${field.path.join(".")} class=${field.kind}><span>${label}</span>${input(field, name, set)}</label>`;
}

function input({ kind, value, options, required, default: usual }, name, set) {
  if (kind === "check") return html`<input type="checkbox" checked=${value ?? usual} onChange=${(event) => set(event.target.checked)} />`;
  const offered = PARTIES.has(name) ? [...family("department"), ...family("rules.party")] : options.map((option) => [option, worded(name, option)]);
  if (offered.length) {
    const pick = (event) => set(typeof offered[0][0] === "number" && event.target.value ? Number(event.target.value) : event.target.value);
    return html`<select onChange=${pick}>${!required && html`<option value="">${usual === null ? "—" : worded(name, usual)}</option>`}${offered.map(([option, words]) => html`<option key=${option} value=${option} selected=${option === value}>${words}</option>`)}</select>`;
  }
  const hint = usual === null || usual === "" || Array.isArray(usual) ? "" : String(usual);
  const shown = Array.isArray(value) ? value.join(", ") : (value ?? "");
  const read = (text) => (kind === "number" ? (text === "" ? "" : Number(text)) : kind === "list" ? text.split(/[,，]/).map((part) => part.trim()).filter(Boolean) : text.trim());
  return html`<${Draft} type=${kind === "number" ? "number" : "text"} step="any" value=${String(shown)} placeholder=${hint} done=${(text) => set(read(text))} />`;
}

/** What an option is called, where it has a name. */
const worded = (name, option) => SIGNS[option] ?? [`alert.class.${option}`, `rules.mark.${option}`].filter((key) => has(key)).map((key) => t(key))[0] ?? (name === "level" ? t(`level.${option}`) : String(option));

function tools(book, desk) {
  const changed = book.text !== book.rule.yaml;
  return html`<div class="actions">
    <button class=${book.isTried ? "" : "primary"} disabled=${book.trying} onClick=${() => book.try()}>${t(book.trying ? "rules.trying" : "rules.try")}</button>
    <select aria-label=${t("rules.span")} onChange=${(event) => (book.days = Number(event.target.value))}>${DAYS.map((n) => html`<option value=${n} selected=${n === book.days}>${t("wall.days", { n })}</option>`)}</select>
    ${changed && html`<button onClick=${() => book.edit(book.rule.yaml)}>${t("rules.undo")}</button>`}
    ${book.text !== book.rule.shipped && html`<button onClick=${() => book.edit(book.rule.shipped)}>${t("rules.as_shipped")}</button>`}
    <input class="reason" aria-label=${t("console.field.reason")} placeholder=${t("console.field.reason")} maxlength="500" value=${book.reason} onInput=${(event) => {
      book.reason = event.target.value;
      book.changed();
    }} />
    <button class=${book.isTried && changed && book.reason.trim() ? "primary" : ""} disabled=${!book.isTried || !changed || !book.reason.trim()} title=${t("rules.first_try")} onClick=${() => book.activate(desk)}>${t("rules.activate")}</button>
  </div>`;
}

/** What the rule would have asked of people, beside what the rules in force ask. */
function difference(before, after, key) {
  const shown = (name, value) => (SHARES.has(name) ? `${number(100 * value, 1)} %` : number(value));
  const rows = FIGURES.map((name) => [t(`rules.figure.${name}`), shown(name, before[name]), shown(name, after[name]), after[name] - before[name], name]);
  const own = [before, after].map((load) => load.by_rule[key] ?? 0);
  rows.unshift([titled("rule", key), number(own[0]), number(own[1]), own[1] - own[0], "own"]);
  const sign = (name, by) => (by === 0 ? "=" : `${by > 0 ? "+" : "−"}${SHARES.has(name) ? `${number(100 * Math.abs(by), 1)} %` : number(Math.abs(by))}`);
  return html`<h3>${t("rules.difference", { days: number(after.days, 1) })}</h3>
    <table class="trial"><thead><tr><th></th><th scope="col">${t("rules.before")}</th><th scope="col">${t("rules.after")}</th><th scope="col">${t("rules.by")}</th></tr></thead>
      <tbody>${rows.map(([words, one, other, by, name]) => html`<tr key=${name}><th scope="row">${words}</th><td class="n">${one}</td><td class="n">${other}</td><td class="n ${by > 0 ? "more" : by < 0 ? "less" : ""}">${sign(name, by)}</td></tr>`)}</tbody></table>
    ${types(before, after)}`;
}

function types(before, after) {
  const keys = [...new Set([...Object.keys(before.by_type), ...Object.keys(after.by_type)])].filter((key) => before.by_type[key] !== after.by_type[key]);
  if (!keys.length) return null;
  return html`<p>${keys.map((key) => html`<span class="chip">${titled("incident", key)} ${before.by_type[key] ?? 0} → ${after.by_type[key] ?? 0}</span> `)}</p>`;
}

function history(rule) {
  if (!rule.versions.length) return null;
  return html`<h3>${t("rules.history")}</h3><ol class="notes">${rule.versions.map((each) => {
    const ms = Date.parse(each.at);
    return html`<li key=${each.id}><b class="n">${date(ms)} ${hourMinute(ms)}</b> ${each.by_name} · ${each.reason} <small>${t("rules.was_tried", { before: each.before.operator_alarms ?? "—", after: each.after.operator_alarms ?? "—" })}</small></li>`;
  })}</ol>`;
}
