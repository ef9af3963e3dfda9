// What waits for whoever looks: applications, grades, permits, bulletins to sign, commands that need a second person.

import { get, path, send } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { has, name, t, told } from "../lib/text.mjs";
import { isOpen } from "../wall/right.mjs";
import { commit, refusal } from "../console/act.mjs";

const AGAIN_MS = 10000;
const MOST = 50;
/** So many are seen at once: what is pressing stands first. */
const FIRST = 3;
/** list → state that waits, what one must be allowed, and the actions that decide: yes, no. */
const LISTS = {
  commands: { noun: "command", state: "proposed", may: "command.confirm", yes: "confirm", no: "refuse" },
  permits: { noun: "permit", state: "asked", may: "permit.act", yes: "grant", no: "refuse" },
  bulletins: { noun: "bulletin", state: "drafted", may: "bulletin.sign", yes: "sign" },
};

/** Applications that nobody has decided yet. */
export const waiting = (cases) => cases.flatMap((each) => (each.applications ?? []).filter(({ granted }) => granted === null).map((application) => ({ ...application, case: each })));

export class Decisions {
  /** `desk` = {may, touch(), say(words, bad), ask(asked)}: `asked` as `form` takes it, with what to do with the answer. */
  constructor(desk) {
    this.desk = desk;
    this.found = {};
  }

  async start() {
    const mine = Object.entries(LISTS).filter(([, { may }]) => this.desk.may.has(may));
    await Promise.all(mine.map(async ([list, { state }]) => {
      this.found[list] = await get(`/${list}?state=${state}&limit=${MOST}`).then(({ items }) => items, () => this.found[list] ?? []);
    }));
    this.desk.touch();
    setTimeout(() => this.start(), AGAIN_MS);
  }

  /** Everything that waits as rows: what kind, what about, why, and what may be done. */
  rows(cases, incidents) {
    const papers = Object.entries(LISTS).flatMap(([list, { noun, yes, no }]) =>
      (this.found[list] ?? []).map((each) => ({ key: `${list} ${each.id}`, what: t(`cockpit.waits.${noun}`), title: `${each.number} ${about(each)}`, why: each.reason ?? "", does: { list, id: each.id, yes, no } })));
    const applied = waiting(cases).map((each) => ({ key: `${each.case.id} ${each.id}`, what: has(`case.application.${each.kind}`) ? t(`case.application.${each.kind}`) : each.kind, title: `${each.case.number} ${told(each.case.title)}`, why: each.reason, application: each }));
    const ungraded = incidents.filter((i) => isOpen(i) && i.level === 1 && !i.grade).map((i) => ({ key: i.id, what: t("incident.action.set_grade"), title: `${i.number ?? ""} ${told(i.title)}`, why: name(i.place), to: `/incidents/${encodeURIComponent(i.id)}` }));
    return [...papers, ...applied, ...ungraded];
  }

  panel(rows) {
    return html`<section class="waits"><h2>${t("cockpit.decisions")} <small class="n">${rows.length}</small></h2>
      ${!rows.length && html`<p class="empty">${t("cockpit.nothing_waits")}</p>`}
      <ol>${(this.all ? rows : rows.slice(0, FIRST)).map((row) => html`<li class="decision" key=${row.key}><span><b>${row.what}</b> ${row.title}<small>${row.why}</small></span>${this.#buttons(row)}</li>`)}</ol>
      ${rows.length > FIRST && html`<button onClick=${() => this.#fold()} aria-expanded=${String(Boolean(this.all))}>${this.all ? t("cockpit.fewer") : t("cockpit.more", { n: rows.length - FIRST })}</button>`}</section>`;
  }

  #fold() {
    this.all = !this.all;
    this.desk.touch();
  }

  #buttons({ does, application, to }) {
    if (to) return html`<a class="button" href=${to}>${t("cockpit.open_it")}</a>`;
    if (application) return this.desk.may.has("case.decide") && html`<button class="primary" onClick=${() => this.#decide(application)}>${t("case.action.decide")}</button>`;
    return html`<span class="both"><button class="primary" onClick=${() => this.#act(does, does.yes)}>${t(`paper.action.${does.yes}`)}</button>${does.no && html`<button onClick=${() => this.#refuse(does)}>${t(`paper.action.${does.no}`)}</button>`}</span>`;
  }

  #decide(application) {
    const yes = { name: "granted", kind: "choice", options: ["yes", "no"], text: (answer) => t(`cockpit.${answer}`) };
    const answered = ({ granted, reason }) => commit(this.desk, "case", application.case, "decide", { granted: granted === "yes", reason, application: application.id });
    this.desk.ask({ noun: "case", thing: application.case, action: "decide", fields: [yes, { name: "reason", kind: "words" }], given: {}, answered });
  }

  #refuse(does) {
    const thing = this.found[does.list].find((each) => each.id === does.id);
    this.desk.ask({ noun: "paper", thing: { id: thing.id, number: `${thing.number} ${about(thing)}` }, action: does.no, fields: [{ name: "reason", kind: "words" }], given: {}, answered: ({ reason }) => this.#act(does, does.no, reason) });
  }

  async #act({ list, id }, action, reason = "") {
    try {
      await send("POST", path(list, id, "actions"), { action, reason });
      this.found[list] = this.found[list].filter((each) => each.id !== id);
      this.desk.say(t("console.done", { what: t(`paper.action.${action}`) }));
    } catch (refused) {
      this.desk.say(refusal(refused, "paper"), true);
    }
  }
}

const about = (each) => (each.title ? told(each.title.text ?? each.title) : `${each.device} ${each.channel} = ${each.value}`);
