// The cockpit: what a leader must know in one look. A sentence first, six figures, where, what, and what waits for a decision.

import { get } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { ZONE, clock, date, elapsed, number, weekday } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { asked, has, language, load, name, t, told } from "../lib/text.mjs";
import { trace } from "../lib/trace.mjs";
import { inOrder, isOpen, isUnacknowledged } from "../wall/right.mjs";
import { shown, unit } from "../wall/vitals.mjs";
import { commit, form } from "../console/act.mjs";

const TOPICS = ["status", "vitals", "incidents", "cases", "crews"];
const REDRAW_MS = 250;
const TOP = 5;
const FIGURES = 6;
const ENDED = new Set(["closed", "refused", "void"]);
const WEIGHT = { 1: 1000, 2: 100, 3: 10, 4: 1 };
const ROMAN = { 1: "Ⅰ", 2: "Ⅱ", 3: "Ⅲ", 4: "Ⅳ" };

/** The state of the city in words: response, what is worst, what is late. */
export function sentence(status, incidents, cases, nowMs) {
  const open = incidents.filter(isOpen);
  const worst = Math.min(...open.map((i) => i.level));
  const late = cases.filter((c) => !ENDED.has(c.state) && c.light === "red").length;
  const parts = [
    status?.response ? t("cockpit.response", { level: ROMAN[status.response.level], name: told(status.response.name) }) : t("wall.normal"),
    open.length ? t("cockpit.open", { n: open.length, worst: open.filter((i) => i.level === worst).length, level: t(`level.${worst}`) }) : t("wall.no_incidents"),
  ];
  const unseen = open.filter(isUnacknowledged).length;
  if (unseen) parts.push(t("cockpit.unseen", { n: unseen, age: elapsed(Math.max(...open.filter(isUnacknowledged).map((i) => nowMs - Date.parse(i.opened_at))) / 1000) }));
  if (late) parts.push(t("cockpit.late", { n: late }));
  return parts.join(t("cockpit.comma"));
}

/** Areas by what is open in them, the worst first. */
export function ranking(incidents) {
  const areas = new Map();
  for (const { area, level } of incidents.filter(isOpen)) {
    const found = areas.get(area) ?? { area, weight: 0, n: 0, worst: 4 };
    areas.set(area, { area, weight: found.weight + WEIGHT[level], n: found.n + 1, worst: Math.min(found.worst, level) });
  }
  return [...areas.values()].sort((a, b) => b.weight - a.weight);
}

/** Applications that nobody has decided yet. */
export const waiting = (cases) => cases.flatMap((each) => (each.applications ?? []).filter(({ granted }) => granted === null).map((application) => ({ ...application, case: each })));

class Cockpit {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.may = new Set(setup.may);
    this.live = new Live(TOPICS, { changed: () => this.touch(), state: () => this.touch() });
  }

  start() {
    this.live.start();
    setInterval(() => this.touch(), 1000);
    this.draw();
    return this;
  }

  touch() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw();
    }, REDRAW_MS);
  }

  now() {
    return this.live.now();
  }

  say(words, bad) {
    this.said = { words, bad };
    setTimeout(() => {
      this.said = null;
      this.touch();
    }, 6000);
    this.touch();
  }

  done() {
    this.touch();
  }

  draw() {
    const { live } = this;
    const nowMs = this.now();
    const [incidents, cases] = [live.list("incidents"), live.list("cases")];
    const status = live.items.status.get("now");
    render(
      html`<header><h1>${t("cockpit.title", { city: name(this.setup.city) })}</h1><p class="n">${date(nowMs)} ${weekday(nowMs)} ${clock(nowMs)}</p>
          <nav><button onClick=${() => print()}>${t("cockpit.brief")}</button><a href=${other()}>${language === "zh" ? "EN" : "中文"}</a></nav></header>
        ${!live.connected && live.lostMs && html`<p class="cutoff" role="alert">${half} ${t("wall.cut_off", { s: Math.round((nowMs - live.lostMs) / 1000) })} ${t("wall.last_data", { time: clock(live.lostMs) })}</p>`}
        <p class="sentence" role="status">${status ? sentence(status, incidents, cases, nowMs) : t("console.reading")}</p>
        <section class="figures">${this.#figures()}</section>
        <main class="columns">
          ${this.#areas(incidents)}
          ${this.#top(incidents, nowMs)}
          ${this.#decisions(cases, incidents)}
        </main>
        <footer>${status && html`<span>${t("wall.link", { s: status.delay_s ?? "—" })}</span><span>${t("wall.sensors")} ${status.sensors.online}/${status.sensors.total}</span>
          ${status.provenance.length > 0 && html`<span class="scene">${t("wall.scene", { what: status.provenance.map((p) => t(`provenance.${p}`)).join(" + ") })}</span>`}`}</footer>
        ${form(this.asked, {}, (values) => this.#decide(values), () => this.#ask(null))}
        <p class="said" role="alert" hidden=${!this.said}>${this.said?.words}</p>`,
      this.root,
    );
  }

  /** The figures of the wall's strip, and the vital sign that is worst now. */
  #figures() {
    const all = this.live.list("vitals");
    const strip = all.filter((v) => v.slot === "kpi").sort((a, b) => a.order - b.order);
    const worst = all.filter((v) => v.level && !strip.includes(v)).sort((a, b) => a.level - b.level || a.order - b.order)[0];
    return [...strip, ...(worst ? [worst] : [])].slice(0, FIGURES).map(
      (v) => html`<div class=${`figure ${v.level ? `l${v.level}` : ""} ${v.state}`} key=${v.id}>
        <p>${v.level ? shape(v.level, { title: t(`level.${v.level}`) }) : null}${t(`vital.${v.id}.name`)}</p>
        <b class="n">${v.state === "no_data" ? "—" : shown(v)}<small>${unit(v)}</small></b>
        <small>${v.state === "no_data" ? t("wall.no_data") : v.limits?.some((l) => l.level === 4) ? t("cockpit.limit", { value: number(v.limits.find((l) => l.level === 4).value, v.digits) }) : told(v.sub)}</small>
        ${trace({ trend: v.trend, value: v.value, level: v.level, state: v.state })}
      </div>`,
    );
  }

  #areas(incidents) {
    const rows = ranking(incidents);
    const most = rows[0]?.weight ?? 1;
    return html`<section><h2>${t("cockpit.areas")}</h2>
      ${!rows.length && html`<p class="empty">${t("wall.no_incidents")}</p>`}
      <ol>${rows.slice(0, 8).map((row) => html`<li class="area" key=${row.area}>${shape(row.worst, { title: t(`level.${row.worst}`) })}<span>${name(this.setup.areas?.[row.area]) || row.area || t("cockpit.elsewhere")}</span><i><u style=${`width:${Math.max(6, (100 * row.weight) / most)}%`}></u></i><b class="n">${row.n}</b></li>`)}</ol></section>`;
  }

  #top(incidents, nowMs) {
    const open = inOrder(incidents, nowMs).filter(isOpen).sort((a, b) => a.level - b.level);
    return html`<section><h2>${t("cockpit.top")} <small class="n">${open.length}</small></h2>
      ${!open.length && html`<p class="empty">${t("wall.no_incidents")}</p>`}
      <ol>${open.slice(0, TOP).map((i) => html`<li key=${i.id}><a class="incident" href=${`/incidents/${encodeURIComponent(i.id)}`}>
        ${shape(i.level, { ring: isUnacknowledged(i), title: t(`level.${i.level}`) })}
        <span><b>${told(i.title)}</b><small>${[i.provenance === "real" ? "" : t(`provenance.${i.provenance}`), name(i.place)].filter(Boolean).join(" · ")}</small><small>${name(i.next)}</small></span>
        <b class="n">${elapsed((nowMs - Date.parse(i.opened_at)) / 1000)}</b></a></li>`)}</ol></section>`;
  }

  #decisions(cases, incidents) {
    const found = waiting(cases);
    const ungraded = incidents.filter((i) => isOpen(i) && i.level === 1 && !i.grade);
    return html`<section><h2>${t("cockpit.decisions")} <small class="n">${found.length + ungraded.length}</small></h2>
      ${!found.length && !ungraded.length && html`<p class="empty">${t("cockpit.nothing_waits")}</p>`}
      <ol>${found.map((each) => html`<li class="decision" key=${`${each.case.id} ${each.id}`}>
          <span><b>${has(`case.application.${each.kind}`) ? t(`case.application.${each.kind}`) : each.kind}</b> ${each.case.number} ${told(each.case.title)}<small>${each.reason}</small></span>
          ${this.may.has("case.decide") && html`<button class="primary" onClick=${() => this.#ask(each)}>${t("case.action.decide")}</button>`}</li>`)}
        ${ungraded.map((i) => html`<li class="decision" key=${i.id}><span><b>${t("incident.action.set_grade")}</b> ${i.number} ${told(i.title)}</span><a class="button" href=${`/incidents/${encodeURIComponent(i.id)}`}>${t("cockpit.open_it")}</a></li>`)}</ol></section>`;
  }

  #ask(application) {
    const yes = { name: "granted", kind: "choice", options: ["yes", "no"], text: (answer) => t(`cockpit.${answer}`) };
    this.asked = application && { noun: "case", thing: application.case, action: "decide", fields: [yes, { name: "reason", kind: "words" }], given: {}, application };
    this.touch();
  }

  async #decide({ granted, reason }) {
    const { thing, application } = this.asked;
    this.#ask(null);
    await commit(this, "case", thing, "decide", { granted: granted === "yes", reason, application: application.id });
  }
}

function other() {
  const address = new URL(location.href);
  address.searchParams.set("lang", language === "zh" ? "en" : "zh");
  return address.pathname + address.search;
}

async function mount(root) {
  const [setup] = await Promise.all([get("/console"), load(asked())]);
  ZONE.name = setup.timezone;
  document.title = t("cockpit.title", { city: name(setup.city) });
  window.cityopsCockpit = new Cockpit(root, setup).start();
}

mount(document.getElementById("cockpit"));
