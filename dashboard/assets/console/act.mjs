// What an operator may do: which fields each action asks for, the form for them, and the way to the centre.

import { Refused, path, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { age } from "../lib/format.mjs";
import { family, has, t, told } from "../lib/text.mjs";

const reason = { name: "reason", kind: "words" };
const lead = { name: "lead", kind: "department" };
const assisting = { name: "assisting", kind: "departments", optional: true };
const choice = (name, options, text) => ({ name, kind: "choice", options, text });

/** noun → action → fields. An action that stands here with none is done at once. */
export const FORMS = {
  incident: {
    acknowledge: [],
    confirm: [],
    resolve: [],
    set_priority: [choice("priority", [1, 2, 3, 4], (n) => t("console.priority", { n })), reason],
    set_grade: [choice("grade", ["", "I", "II", "III", "IV"], (grade) => t(`incident.grade.${grade || "none"}`)), { name: "criterion", kind: "words" }],
    dismiss: [reason],
    merge: [{ name: "into", kind: "incident" }, reason],
    split: [{ name: "alerts", kind: "evidence" }, reason],
    start_plan: [{ name: "plan", kind: "plan" }],
    open_case: [lead, assisting, { name: "code", kind: "code", optional: true }],
    reopen: [reason],
    comment: [{ name: "text", kind: "words" }],
  },
  alert: {
    acknowledge: [],
    shelve: [choice("minutes", [15, 60, 240, 1440], (n) => age(60 * n)), reason],
    unshelve: [],
    out_of_service: [reason],
    return_to_service: [],
    comment: [{ name: "text", kind: "words" }],
  },
  case: {
    claim: [],
    verify: [choice("result", ["exists", "missing", "undecided"], (r) => t(`console.result.${r}`))],
    register: [],
    refuse: [reason],
    void: [reason],
    dispatch: [lead, assisting],
    accept: [],
    feed_back: [],
    resume: [],
    rule_on_dispute: [lead, reason],
    check: [choice("result", ["pass", "fail"], (r) => t(`console.result.${r}`)), { ...reason, optional: true }],
    close: [],
    force_close: [reason],
    supervise: [reason],
    comment: [reason],
  },
  order: {
    send: [],
    accept: [],
    refuse: [reason],
    depart: [],
    arrive: [],
    handle: [],
    finish: [],
    recall: [reason],
    request_support: [reason],
  },
};

const NOUNS = { incident: "incidents", alert: "alerts", case: "cases", order: "orders" };
/** Hard to take back: the form asks once more in words, and no single key does them. */
export const GRAVE = new Set(["dismiss", "merge", "void", "force_close", "out_of_service", "resolve", "refuse"]);

/** The policy action that a button needs. */
const needed = (noun, action) => (noun === "case" || noun === "order" ? `${noun}.${action}` : `${noun}.act`);

/** What this person may do to a thing now, in the order of the table. */
export const actionsOf = (noun, thing, may) => Object.keys(FORMS[noun]).filter((action) => thing?.allowed?.includes(action) && may.has(needed(noun, action)));

/** Do it, or open its form first. `desk` = {form(), say(), done()}. */
export function begin(desk, noun, thing, action, given = {}) {
  const fields = FORMS[noun][action];
  if (fields.length || GRAVE.has(action)) desk.form({ noun, thing, action, fields, given });
  else commit(desk, noun, thing, action, {});
}

export async function commit(desk, noun, thing, action, values) {
  const { minutes, ...fields } = values;
  if (minutes) fields.until = new Date(desk.now() + minutes * 60000).toISOString();
  try {
    await send("POST", path(NOUNS[noun], thing.id, "actions"), { action, ...fields });
    desk.say(t("console.done", { what: t(`${noun}.action.${action}`) }));
  } catch (refused) {
    desk.say(refusal(refused, noun), true);
    return false;
  } finally {
    desk.done();
  }
  return true;
}

/** Why the centre said no, and what could be done instead. */
export function refusal(refused, noun) {
  if (!(refused instanceof Refused)) return t("console.no_link");
  const { title, detail, allowed } = refused.problem;
  const instead = (allowed ?? []).map((action) => `${noun}.action.${action}`).filter(has).map((key) => t(key));
  return [title, detail, instead.length ? t("console.instead", { actions: instead }) : ""].filter(Boolean).join(" · ");
}

/** The form of an action. `lists` = what its choices offer. */
export function form(asked, lists, submit, cancel) {
  if (!asked) return null;
  const { noun, thing, action, fields, given } = asked;
  const sent = (event) => {
    event.preventDefault();
    submit(read(new FormData(event.target), fields));
  };
  return html`<dialog class="form" ref=${show} onClose=${cancel} key=${`${thing.id} ${action}`} aria-labelledby="form-title">
    <form onSubmit=${sent}>
      <h2 id="form-title">${t(`${noun}.action.${action}`)}</h2>
      <p>${thing.number ?? ""} ${told(thing.name ?? thing.title)}</p>
      ${fields.map((field) => html`<label key=${field.name}><span>${t(`console.field.${field.name}`)}</span>${input(field, lists, given[field.name])}</label>`)}
      ${GRAVE.has(action) && html`<p class="grave">${t("console.grave")}</p>`}
      <footer><button type="submit" class=${GRAVE.has(action) ? "grave" : "primary"}>${t(`${noun}.action.${action}`)}</button><button type="button" onClick=${cancel}>${t("console.cancel")}</button></footer>
    </form>
  </dialog>`;
}

function show(dialog) {
  if (dialog && !dialog.open) dialog.showModal();
}

function read(data, fields) {
  const values = {};
  for (const { name, kind, options } of fields) {
    const many = kind === "departments" || kind === "evidence";
    const value = many ? data.getAll(name) : data.get(name);
    if (many ? value.length : value !== "" || name === "grade") values[name] = typeof options?.[0] === "number" ? Number(value) : value;
  }
  return values;
}

function input({ name, kind, options, text, optional }, lists, given) {
  if (kind === "words") return html`<textarea name=${name} rows="3" maxlength="2000" required=${!optional}>${given ?? ""}</textarea>`;
  const offered = {
    choice: () => options.map((value) => [value, text(value)]),
    department: () => family("department"),
    departments: () => family("department"),
    incident: () => lists.incidents,
    evidence: () => lists.evidence,
    plan: () => lists.plans,
    code: () => lists.codes,
  }[kind]();
  const many = kind === "departments" || kind === "evidence";
  return html`<select name=${name} multiple=${many} size=${many ? 6 : undefined} required=${!optional}>
    ${optional && !many && html`<option value="">—</option>`}
    ${offered.map(([value, words]) => html`<option value=${value} selected=${many ? (given ?? []).includes(value) : String(value) === String(given ?? "")}>${words}</option>`)}
  </select>`;
}
