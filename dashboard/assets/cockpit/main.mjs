// The cockpit: what a leader must know in one look. A sentence first, six figures, where, what, how it was a week ago,
// and what waits for a decision.

import { get } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { ZONE, clock, date, elapsed, measured, number, weekday } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { asked, language, load, name, t, told } from "../lib/text.mjs";
import { trace } from "../lib/trace.mjs";
import { inOrder, isOpen, isUnacknowledged } from "../wall/right.mjs";
import { shown, unit } from "../wall/vitals.mjs";
import { form } from "../console/act.mjs";
import { Decisions } from "./decisions.mjs";
import { weekdays } from "./weekday.mjs";

const TOPICS = ["status", "vitals", "incidents", "cases", "crews"];
const REDRAW_MS = 250;
const WEEKDAY_MS = 60000;
const TOP = 5;
const AREAS = 6;
/** So few incidents that each is told in full. */
const RICH = 1;
/** Always in the same place; the sixth is whichever vital sign is worst now. */
const FIGURES = ["dis_received", "dis_open", "dis_handle_ontime", "dis_arrival_p90", "hot_connect_rate"];
const SPARE = "dis_crew_free";
const ENDED = new Set(["closed", "refused", "void"]);
const WEIGHT = { 1: 1000, 2: 100, 3: 10, 4: 1 };
const ROMAN = { 1: "Ⅰ", 2: "Ⅱ", 3: "Ⅲ", 4: "Ⅳ" };

/** The state of the city in words: response, warnings, what is worst, who is without water, what is late. */
export function sentence(status, incidents, cases, vitals, nowMs) {
  const open = incidents.filter(isOpen);
  const worst = Math.min(...open.map((i) => i.level));
  const late = cases.filter((c) => !ENDED.has(c.state) && c.light === "red").length;
  const parts = [
    status?.response ? t("cockpit.response", { level: ROMAN[status.response.level], name: told(status.response.name) }) : t("wall.normal"),
    open.length ? t("cockpit.open", { n: open.length, worst: open.filter((i) => i.level === worst).length, level: t(`level.${worst}`) }) : t("wall.no_incidents"),
  ];
  const warning = status?.warnings?.[0];
  if (warning) parts.splice(1, 0, told(warning.name));
  const dry = vitals.get("ws_outage_households")?.value;
  if (dry) parts.push(t("cockpit.without_water", { n: number(dry) }));
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

class Cockpit {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.may = new Set(setup.may);
    this.days = [];
    this.live = new Live(TOPICS, { changed: () => this.touch(), state: () => this.touch() });
    this.decisions = new Decisions(this);
  }

  start() {
    this.live.start();
    this.decisions.start();
    this.#compare();
    setInterval(() => this.touch(), 1000);
    this.draw();
    return this;
  }

  async #compare() {
    this.days = await get("/vitals/weekday").then(({ items }) => items, () => this.days);
    this.touch();
    setTimeout(() => this.#compare(), WEEKDAY_MS);
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

  /** Ask for the answer to a form; null puts it away. */
  ask(question) {
    this.asked = question;
    this.touch();
  }

  draw() {
    const { live } = this;
    const nowMs = this.now();
    const [incidents, cases, vitals] = [live.list("incidents"), live.list("cases"), live.items.vitals];
    const status = live.items.status.get("now");
    const worst = Math.min(...incidents.filter(isOpen).map((i) => i.level));
    render(
      html`<header><h1><span class="screen">${t("cockpit.title", { city: name(this.setup.city) })}</span><span class="paper">${t("cockpit.paper", { city: name(this.setup.city) })}</span></h1>
          <p class="n">${date(nowMs)} ${weekday(nowMs)} ${clock(nowMs)}</p>
          <nav><a href=${`/vitals${location.search}`}>${t("page.vitals")}</a><button onClick=${() => print()}>${t("cockpit.brief")}</button><a href=${other()} lang=${language === "zh" ? "en" : "zh-CN"}>${language === "zh" ? "English" : "中文"}</a></nav></header>
        ${!live.connected && live.lostMs && html`<p class="cutoff" role="alert">${half} ${t("wall.cut_off", { s: Math.round((nowMs - live.lostMs) / 1000) })} ${t("wall.last_data", { time: clock(live.lostMs) })}</p>`}
        <div class="top"><p class="sentence" role="status">${Number.isFinite(worst) && shape(worst, { title: t(`level.${worst}`) })}<span>${status ? sentence(status, incidents, cases, vitals, nowMs) : t("console.reading")}</span></p>
          ${this.#index(vitals.get("city_index"))}</div>
        <section class="figures">${this.#figures(vitals)}</section>
        <main class="columns">
          <div class="stack">${weekdays(this.days, vitals)}${parts(vitals.get("city_index"))}</div>
          ${this.#top(incidents, nowMs)}
          <div class="stack">${this.decisions.panel(this.decisions.rows(cases, incidents))}${this.#areas(incidents)}</div>
        </main>
        <footer>${status && html`<span>${t("wall.link", { s: status.delay_s ?? "—" })}</span><span>${t("wall.sensors")} ${status.sensors.online}/${status.sensors.total}</span>
          ${status.shift && html`<span class="paper">${t("cockpit.shift", { name: told(status.shift) })}</span>`}
          ${status.provenance.length > 0 && html`<span class="scene">${t("wall.scene", { what: status.provenance.map((p) => t(`provenance.${p}`)).join(" + ") })}</span>`}`}</footer>
        ${form(this.asked, {}, (values) => this.#answer(values), () => this.ask(null))}
        <p class="said" role="alert" hidden=${!this.said}>${this.said?.words}</p>`,
      this.root,
    );
  }

  /** The city's index with what it lost most by; under a level 1 incident the worst part, and it says so. */
  #index(index) {
    if (!index) return null;
    const lost = (index.made_of ?? []).filter((part) => part.lost > 0.05).sort((a, b) => b.lost - a.lost).slice(0, 2);
    return html`<a class="index ${index.shows === "worst" ? "l1" : ""}" href=${`/vitals${location.search}`}><b class="n">${index.value === null ? "—" : number(index.value, 0)}</b>
      <span>${t("vitals_page.index")}<small>${index.shows === "worst" ? t("cockpit.index_worst") : lost.length ? lost.map((part) => `${t(`index_part.${part.key}`)} −${number(part.lost, 1)}`).join(t("cockpit.comma")) : t("vitals_page.nothing_lost")}</small><small>${t("vitals_page.confidence", { n: number(100 * index.confidence, 0) })}</small></span></a>`;
  }

  /** Five figures that stand still, and the vital sign that is worst now. */
  #figures(vitals) {
    const strip = FIGURES.map((id) => vitals.get(id)).filter(Boolean);
    const worst = [...vitals.values()].filter((v) => v.level && v.slot !== "index" && !FIGURES.includes(v.id)).sort((a, b) => a.level - b.level || a.order - b.order)[0];
    return [...strip, worst ?? vitals.get(SPARE)].filter(Boolean).map((v) => figure(v));
  }

  #areas(incidents) {
    const rows = ranking(incidents);
    const most = rows[0]?.weight ?? 1;
    return html`<section class="areas"><h2>${t("cockpit.areas")}</h2>
      ${!rows.length && html`<p class="empty">${t("wall.no_incidents")}</p>`}
      <ol>${rows.slice(0, AREAS).map((row) => html`<li class="area" key=${row.area}>${shape(row.worst, { title: t(`level.${row.worst}`) })}<span>${name(this.setup.areas?.[row.area]) || row.area || t("cockpit.elsewhere")}</span><i><u style=${`width:${Math.max(6, (100 * row.weight) / most)}%`}></u></i><b class="n">${row.n}</b></li>`)}</ol></section>`;
  }

  #top(incidents, nowMs) {
    const open = inOrder(incidents, nowMs).filter(isOpen).sort((a, b) => a.level - b.level);
    return html`<section class="tops"><h2>${t("cockpit.top")} <small class="n">${open.length}</small></h2>
      ${!open.length && html`<p class="empty">${t("wall.no_incidents")}</p>`}
      <ol>${open.slice(0, TOP).map((i) => html`<li key=${i.id}><a class="incident" href=${`/incidents/${encodeURIComponent(i.id)}`}>
        ${shape(i.level, { ring: isUnacknowledged(i), title: t(`level.${i.level}`) })}
        <span><b>${told(i.title)}</b><small>${[i.provenance === "real" ? "" : t(`provenance.${i.provenance}`), name(i.place)].filter(Boolean).join(" · ")}</small>${said(i, open.length <= RICH)}</span>
        <span class="age"><b class="n">${elapsed((nowMs - Date.parse(i.opened_at)) / 1000)}</b><small>${isUnacknowledged(i) ? t("cockpit.waits_sign") : t(`incident_state.${i.state}`)}</small></span></a></li>`)}</ol></section>`;
  }

  async #answer(values) {
    const { answered } = this.asked;
    this.ask(null);
    await answered(values);
    this.touch();
  }
}

/** The parts of the city with their scores, the same as in the index: below a hundred they say by what. */
function parts(index) {
  if (!index?.made_of?.length) return null;
  return html`<section class="parts"><h2>${t("cockpit.parts")}</h2><ul>${index.made_of.map((part) => html`<li key=${part.key} class=${tone(part.score)}>
    <a href=${part.worst ? `/vitals/${part.worst}${location.search}` : `/vitals${location.search}`}><span>${t(`index_part.${part.key}`)}</span><b class="n">${part.score === null ? "—" : number(part.score, 0)}</b><i><u style=${`width:${part.score ?? 0}%`}></u></i></a></li>`)}</ul></section>`;
}

/** The colour of a score: that of the worst vital sign which it may have at most. */
const tone = (score) => (score === null ? "unknown" : score <= 40 ? "l1" : score <= 70 ? "l2" : score < 85 ? "l3" : score < 97 ? "l4" : "");

/** What is told of an incident: all of it while there are few, else what it endangers. */
function said(incident, fully) {
  const parts = fully ? ["found", "why", "impact", "next"] : [incident.impact ? "impact" : "next"];
  return parts.filter((part) => name(incident[part])).map((part) => html`<small class="said ${part}">${fully && html`<i>${t(`wall.${part}`)}</i>`}${name(incident[part])}</small>`);
}

/** A figure with its target, its trend against what is usual, and how far its inputs can be trusted. */
function figure(v) {
  const valued = v.value !== null && v.value !== undefined;
  const met = valued && v.target ? (v.target.sense === "least" ? v.value >= v.target.at : v.value <= v.target.at) : null;
  return html`<a class="figure ${v.level ? `l${v.level}` : ""} ${v.state}" key=${v.id} href=${`/vitals/${v.id}${location.search}`}>
    <p>${v.level ? shape(v.level, { title: t(`level.${v.level}`) }) : null}<span>${t(`vital.${v.id}.name`)}</span></p>
    <b class="n">${valued ? shown(v) : "—"}<small>${unit(v)}</small></b>
    <small class="aim ${met === false ? "missed" : ""}">${aim(v)}</small>
    ${v.trend?.values.some((each) => each !== null) && trace({ trend: v.trend, value: v.value, level: v.level, state: v.state })}
  </a>`;
}

/** The target in words; where there is none, what the value is made of. */
function aim(v) {
  if (v.state === "no_data") return t("wall.no_data");
  const target = v.target && t(`cockpit.target_${v.target.sense}`, { value: measured(v.target.at), unit: unit(v) });
  if (v.state === "empty") return [t("vitals_page.nothing"), target].filter(Boolean).join(" · ");
  return target || told(v.sub);
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
