// Right: one incident with everything that is needed to decide: why we think so, what was measured, what is done.

import { get, path } from "../lib/api.mjs";
import { html } from "../lib/dom.mjs";
import { clock, date, hourMinute, span } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { has, language, name, t, titled, told } from "../lib/text.mjs";
import { isUnacknowledged } from "../wall/right.mjs";
import { actionsOf } from "./act.mjs";
import { chart } from "./chart.mjs";
import { provenance } from "./queue.mjs";

/** As much before the beginning is shown as since then, within these bounds. */
const BEFORE_MS = [10 * 60000, 60 * 60000];
const CHARTS = 6;
const SAID = ["what", "where", "since", "why", "against", "affects", "next"];
/** What stands as buttons; the rest is behind the list of further actions. */
const FIRST = ["acknowledge", "confirm", "dismiss"];

/** Everything about an incident that the queue does not carry. */
export class Bench {
  /** `changed()` after anything was read; `now()` by the centre's clock; `asOf()` is the moment that is looked back to, or null. */
  constructor(changed, now, asOf) {
    this.changed = changed;
    this.now = now;
    this.asOf = asOf;
    this.clear();
  }

  clear() {
    Object.assign(this, { incident: null, series: new Map(), at: null, cited: null, ranked: null, failed: "" });
  }

  /** Read it anew; what was read for another one meanwhile is dropped. */
  async read(id) {
    if (this.incident?.id !== id) this.clear();
    const asOf = this.asOf();
    const isStill = () => this.wanted === id && this.asOf() === asOf;
    this.wanted = id;
    try {
      const found = await get(`${path("incidents", id)}${asOf ? `?as_of=${new Date(asOf).toISOString()}` : ""}`);
      if (!isStill()) return;
      this.incident = found;
      this.failed = "";
      this.changed();
      await this.#readSeries(found);
    } catch (fault) {
      if (!isStill()) return;
      this.clear();
      this.failed = asOf && fault.status === 404 ? t("console.past_unknown") : fault.message;
    }
    this.changed();
  }

  async #readSeries(incident) {
    const toMs = Date.parse(incident.closed_at ?? "") || this.now();
    for (const fact of pointsOf(incident).slice(0, CHARTS)) {
      const onset = Date.parse(fact.onset);
      const fromMs = onset - Math.max(BEFORE_MS[0], Math.min(BEFORE_MS[1], toMs - onset));
      const long = toMs - fromMs > 6 * 3600000;
      const query = new URLSearchParams({ device: fact.device, channel: fact.channel, from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), bucket: long ? "1m" : "raw", limit: "1000" });
      const [series, device] = await Promise.all([get(`/readings?${query}`).catch(() => null), this.#device(fact.device)]);
      if (this.wanted !== incident.id) return;
      if (series) this.series.set(keyOf(fact), { ...series, items: series.items.map(flat), fromMs, toMs, device });
      this.changed();
    }
  }

  async #device(id) {
    this.devices ??= new Map();
    if (!this.devices.has(id)) this.devices.set(id, get(path("devices", id)).catch(() => null));
    return this.devices.get(id);
  }

  /** Show the chart behind a fact; false where it has none here. */
  cite(fact) {
    const chart = document.getElementById(`trace-${keyOf(fact)}`);
    if (!chart) return false;
    Object.assign(this, { cited: keyOf(fact), at: Date.parse(fact.onset) });
    this.changed();
    chart.scrollIntoView({ block: "center" });
    return true;
  }

  /** Who could go, for the case of the incident that waits for somebody. */
  async rank(caseId) {
    this.ranked = { case: caseId, items: null };
    this.changed();
    const { items } = await get(`${path("cases", caseId, "recommendation")}`).catch(() => ({ items: [] }));
    if (this.ranked?.case === caseId) this.ranked.items = items;
    this.changed();
  }
}

const keyOf = (fact) => `${fact.device}/${fact.channel}`;
const flat = (item) => ({ time: item.time, value: item.value ?? item.mean });

/** One fact a point, the earliest of each. */
function pointsOf(incident) {
  const found = new Map();
  for (const fact of incident.evidence ?? []) {
    const key = keyOf(fact);
    if (fact.device && fact.channel && (!found.has(key) || fact.onset < found.get(key).onset)) found.set(key, fact);
  }
  return [...found.values()];
}

/** `desk` = what the page offers: act(), may, now(), crews, cases, orders, sendToWall(), showOnMap(). */
export function workbench(bench, live, desk) {
  if (!live) return html`<section class="bench empty-bench"><p class="empty">${bench.failed || t("console.choose")}</p></section>`;
  const incident = bench.incident?.id === live.id ? bench.incident : null;
  const thing = { ...live, ...(incident ?? {}), title: live.title };
  return html`<section class="bench" aria-label=${t("console.bench")}>
    ${head(thing, incident, desk)}
    <div class="sections">
      ${bench.failed && html`<p class="empty" role="alert">${bench.failed}</p>`}
      ${incident ? html`${explanation(incident, bench)}${traces(bench, incident, desk)}${causes(incident, desk)}` : html`<p class="empty">${t("console.reading")}</p>`}
      ${desk.past ? html`<p class="empty">${t("console.past_no_work")}</p>` : work(bench, thing, desk)}
      ${incident && timeline(incident)}
    </div>
  </section>`;
}

function head(thing, incident, desk) {
  const can = incident ? actionsOf("incident", incident, desk.may) : [];
  const primary = can.find((action) => FIRST.includes(action));
  const waiting = isUnacknowledged(thing);
  return html`<header class=${`head l${thing.level}`}>
    <div class="title">${shape(thing.level, { ring: waiting, title: t(`level.${thing.level}`) })}
      <div><h2>${told(thing.title)}</h2><p class="n">${[thing.number, provenance(thing)].filter(Boolean).join(" · ")}</p></div></div>
    <p class="chips">
      <span class="chip">${t(`incident.state.${thing.state}`)}</span>
      <span class="chip">${t("console.priority", { n: thing.priority })}</span>
      <span class="chip">${t(`incident.grade.${thing.grade || "none"}`)}</span>
      <span class="chip">${thing.sure ? t("console.sure") : t("console.unsure")}</span>
      ${thing.acknowledged_by && html`<span class="chip">${t("wall.acked_by", { name: thing.acknowledged_by_name || thing.acknowledged_by })} ${hourMinute(Date.parse(thing.acknowledged_at))}</span>`}
    </p>
    <div class="actions" role="toolbar" aria-label=${t("console.actions")}>
      ${can.filter((action) => FIRST.includes(action)).map((action) => html`<button key=${action} class=${action === primary ? "primary" : ""} title=${key(action)} onClick=${() => desk.act("incident", incident, action)}>${t(`incident.action.${action}`)}${key(action) && html`<kbd>${key(action)}</kbd>`}</button>`)}
      ${can.length > 0 && html`<select aria-label=${t("console.more_actions")} value="" onChange=${(event) => further(event, incident, desk)}>
        <option value="">${t("console.more_actions")}</option>
        ${can.filter((action) => !FIRST.includes(action)).map((action) => html`<option value=${action}>${t(`incident.action.${action}`)}${key(action) && ` (${key(action)})`}</option>`)}
      </select>`}
      <button onClick=${() => desk.showOnMap(thing)} title="M">${t("console.show")}<kbd>M</kbd></button>
      ${desk.may.has("wall.direct") && html`<button onClick=${() => desk.sendToWall(thing)}>${t("console.to_wall")}</button>`}
      <button onClick=${() => desk.copyLink(thing)}>${t("console.link")}</button>
      <button onClick=${() => print()} title="Ctrl+P">${t("console.print")}</button>
    </div>
  </header>`;
}

const KEYS = { acknowledge: "A", set_priority: "E" };
const key = (action) => KEYS[action] ?? "";

function further(event, incident, desk) {
  const action = event.target.value;
  event.target.value = "";
  if (action) desk.act("incident", incident, action);
}

/** A figure with its unit, or a time. */
const FIGURE = /(\d[\d.,:–-]*\d|\d)(\s?(?:%|[A-Za-zµ°][\w/%³²µ°]*))?/g;

/** The engine's own words, in the reader's language. Every figure leads back to the readings that it comes from. */
function explanation({ said, explanation: built, evidence }, bench) {
  const words = said[language] ?? {};
  const parts = SAID.map((part) => [part, [words[part] ?? []].flat(), [built?.[part] ?? []].flat()]).filter(([, sentences]) => sentences.length);
  return html`<section><h3>${t("console.explanation")}</h3>
    <dl class="said">${parts.map(([part, sentences, from]) => html`<dt>${t(`console.said.${part}`)}</dt><dd>${sentences.map((sentence, i) => html`<p>${cited(sentence, from[i], evidence, bench)}</p>`)}</dd>`)}</dl>
  </section>`;
}

/** A sentence whose figures are links, but for those in names. */
function cited(sentence, from, evidence, bench) {
  const refs = (from?.refs ?? []).filter(({ device, channel }) => device && channel);
  if (!refs.length) return sentence;
  const names = Object.values(from.params ?? {}).map((value) => (value?.text ? t(value.text) : value?.zh || value?.en ? name(value) : "")).filter(Boolean);
  const apart = names.length ? sentence.split(new RegExp(`(${names.map((each) => each.replace(/[^\w\s]/g, "\\$&")).join("|")})`)) : [sentence];
  return apart.flatMap((piece, i) => (i % 2 ? [piece] : figured(piece, (figure) => source(figure, refs, evidence), bench)));
}

function figured(piece, sourceOf, bench) {
  const found = [];
  let from = 0;
  for (const { 0: figure, index } of piece.matchAll(FIGURE)) {
    found.push(piece.slice(from, index), citation(figure, sourceOf(figure), bench));
    from = index + figure.length;
  }
  return [...found, piece.slice(from)];
}

const citation = (figure, fact, bench) =>
  fact ? html`<a class="cite" href=${readingsOf(fact)} title=${t("console.cite")} onClick=${(event) => bench.cite(fact) && event.preventDefault()}>${figure}</a>` : figure;

/** The analysis page about a fact's beginning. */
function readingsOf(fact) {
  const onset = Date.parse(fact.onset);
  const span = { p: keyOf(fact), from: new Date(onset - BEFORE_MS[1]).toISOString(), to: new Date(onset + BEFORE_MS[1]).toISOString() };
  return `/explore?${new URLSearchParams(span)}`;
}

/** The evidence that says this figure; the first of the sentence where none says it literally. */
function source(figure, refs, evidence) {
  const value = parseFloat(figure);
  const near = (other) => Number.isFinite(other) && Math.abs(other - value) <= Math.abs(value) * 0.01;
  const facts = refs.map(({ device, channel }) => evidence.find((fact) => fact.device === device && fact.channel === channel)).filter(Boolean);
  return facts.find((fact) => near(fact.value) || near(fact.peak)) ?? facts[0];
}

function traces(bench, incident, desk) {
  const facts = pointsOf(incident);
  if (!facts.length) return null;
  return html`<section><h3>${t("console.evidence")} <small class="n">${facts.length}</small>${desk.may.has("screen.explore") && html` <a class="aside" href=${`/explore?${compared(facts)}`} target="_blank" rel="noopener">${t("console.explore")} ↗</a>`}</h3>
    <div class="charts">${facts.slice(0, CHARTS).map((fact) => trace(bench, incident, fact))}</div>
    ${facts.length > CHARTS && html`<p class="more">+${facts.length - CHARTS}</p>`}
  </section>`;
}

/** The points of the evidence as the analysis page takes them. */
const compared = (facts) => new URLSearchParams(facts.slice(0, CHARTS).map((fact) => ["p", keyOf(fact)]));

function trace(bench, incident, fact) {
  const found = bench.series.get(keyOf(fact));
  const words = [titled("rule", fact.rule ?? fact.what), fact.standing ? t("console.standing") : t("console.over")].join(" · ");
  if (!found) return html`<figure class="chart" key=${fact.fact}><figcaption>${words}</figcaption></figure>`;
  // a limit is drawn where the rule compares the value itself, not a change of it
  const direct = found.items.some(({ value }) => value === fact.value);
  const label = html`<strong>${name(found.device?.name) || fact.device}</strong> <em class=${`ink${fact.level}`}>${words}</em>`;
  return html`<div key=${fact.fact} id=${`trace-${keyOf(fact)}`} class=${bench.cited === keyOf(fact) ? "cited" : ""}>${chart(
    { ...found, label, onset: Date.parse(fact.onset), limit: direct ? fact.limit_value : null, level: fact.level },
    bench.at,
    (at) => {
      bench.at = at;
      bench.changed();
    },
  )}</div>`;
}

function causes({ causes: found = [] }, desk) {
  if (!found.length) return null;
  return html`<section><h3>${t("console.causes")}</h3>
    <ol class="causes">${found.map(
      (cause) => html`<li key=${cause.fact ?? cause.asset}><button class="plain" onClick=${() => desk.showOnMap(cause)}>${name(cause.name) || cause.asset}</button>
        <i><u style=${`width:${100 * cause.probability}%`}></u></i><b class="n">${Math.round(100 * cause.probability)}%</b></li>`,
    )}</ol>
  </section>`;
}

/** Cases of the incident, each with its stages, what may be done to it, its orders, and who could go. */
function work(bench, incident, desk) {
  const mine = desk.cases.filter((each) => each.incident === incident.id);
  return html`<section><h3>${t("console.work")} <kbd>D</kbd></h3>
    ${!mine.length && html`<p class="empty">${t("wall.no_cases")}</p>`}
    ${mine.map((each) => html`<article class="case" key=${each.id}>
      <h4><span class="n">${each.number}</span> ${t(`case.state.${each.state}`)} · ${[each.lead, ...each.assisting].filter(Boolean).map((id) => words("department", id)).join(t("wall.comma"))}</h4>
      <ol class="stages">${each.stages.map((stage) => html`<li class=${stage.state} key=${stage.stage}>${t(`stage.${stage.stage}`)}<small class="n">${stage.due_at && stage.state === "current" ? due(stage, desk.now()) : ""}</small></li>`)}</ol>
      <div class="actions">
        ${actionsOf("case", each, desk.may).map((action) => html`<button key=${action} onClick=${() => desk.act("case", each, action)}>${t(`case.action.${action}`)}</button>`)}
        ${desk.may.has("order.create") && html`<button onClick=${() => bench.rank(each.id)}>${t("console.recommend")}</button>`}
      </div>
      ${desk.orders.filter((order) => order.case === each.id).map((order) => orderRow(order, desk))}
      ${bench.ranked?.case === each.id && ranking(bench.ranked, each, desk)}
    </article>`)}
  </section>`;
}

const words = (prefix, id) => (has(`${prefix}.${id}`) ? t(`${prefix}.${id}`) : id);

const due = ({ due_at }, nowMs) => {
  const left = (Date.parse(due_at) - nowMs) / 1000;
  return left < 0 ? t("wall.over", { time: span(-left) }) : t("wall.left", { time: span(left) });
};

function orderRow(order, desk) {
  const since = Date.parse(order.times?.[order.state] ?? order.created_at);
  return html`<div class="order" key=${order.id}>
    <p><b>${name(desk.crews.get(order.crew)?.name) || order.crew}</b> ${t(`order.state.${order.state}`)} <span class="n">${clock(since)}</span> ${order.late && html`<em class="late">${t("console.late")}</em>`}</p>
    <div class="actions">${actionsOf("order", order, desk.may).map((action) => html`<button key=${action} onClick=${() => desk.act("order", order, action)}>${t(`order.action.${action}`)}</button>`)}</div>
  </div>`;
}

function ranking({ items }, found, desk) {
  if (!items) return html`<p class="empty">${t("console.reading")}</p>`;
  if (!items.length) return html`<p class="empty">${t("console.nobody")}</p>`;
  return html`<ol class="ranking">${items.slice(0, 8).map(
    (each) => html`<li class=${each.able ? "" : "barred"} key=${each.crew}>
      <div><b>${name(desk.crews.get(each.crew)?.name) || each.crew}</b> ${each.travel_s !== null && html`<span class="n">${span(each.travel_s)}</span>`}
        <small>${[...each.reasons, ...each.shortfalls].join(" · ")}${each.barred.length ? html` <em>${each.barred.join(" · ")}</em>` : ""}</small></div>
      ${each.able && html`<button onClick=${() => desk.order(found, each.crew)}>${t("order.action.send")}</button>`}
    </li>`,
  )}</ol>`;
}

function timeline({ timeline: lines }) {
  return html`<section><h3>${t("console.timeline")}</h3>
    <ol class="timeline">${[...lines].reverse().map((line) => {
      const ms = Date.parse(line.at);
      const said = line.fields?.reason ?? line.fields?.text ?? "";
      return html`<li><time class="n" datetime=${line.at} title=${date(ms)}>${clock(ms)}</time><span>${words("incident.action", line.action)}${said && html` <q>${said}</q>`}</span><small>${who(line)}</small></li>`;
    })}</ol>
  </section>`;
}

const who = ({ actor, actor_name }) => (actor.startsWith("system:") ? t("console.system") : actor_name || actor);
