// All vital signs of the city with their index; one of them with formula, inputs, readings and its last week.

import { get } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { ZONE, age, clock, date, measured, number, since, weekday } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { asked, has, language, load, name, t, titled, told } from "../lib/text.mjs";
import { trace } from "../lib/trace.mjs";
import { shown, unit } from "../wall/vitals.mjs";
import { week } from "./week.mjs";

const GROUPS = ["lifeline", "flood", "site", "people", "system", "weather"];
const COLOURS = { red: 1, orange: 2, yellow: 3, blue: 4 };
const REDRAW_MS = 250;
const AGAIN_MS = 10000;
const LOST = 3;
/** Fields of declarations that are seconds. */
const SPANS = new Set(["window", "step", "last"]);
const COMPARED = 8;

const key = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const link = (to) => `/vitals/${encodeURIComponent(to)}${location.search}`;
const words = (item) => (has(`vital.${item.id}.name`) ? t(`vital.${item.id}.name`) : item.id);
const percent = (share) => number(100 * share, 0);

/** What stands below a name: why there is no value, or what the value is made of. */
export function line(item) {
  if (item.state === "no_data") return t("wall.no_data");
  if (item.state === "empty") return t("vitals_page.nothing");
  return told(item.sub);
}

class Page {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.full = null;
    this.live = new Live(["status", "vitals"], { changed: () => this.touch(), state: () => this.touch() });
  }

  start() {
    this.live.start();
    setInterval(() => this.touch(), 1000);
    if (key) this.read();
    return this;
  }

  touch() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw();
    }, REDRAW_MS);
  }

  async read() {
    try {
      this.full = await get(`/vitals/${encodeURIComponent(key)}`);
      this.missing = false;
    } catch (refused) {
      this.missing = refused.status === 404;
    }
    this.touch();
    setTimeout(() => this.read(), AGAIN_MS);
  }

  draw() {
    const { live } = this;
    const nowMs = live.now();
    const status = live.items.status.get("now");
    render(
      html`<header><h1>${key ? html`<a href=${`/vitals${location.search}`}>${t("vitals_page.title", { city: name(this.setup.city) })}</a>` : t("vitals_page.title", { city: name(this.setup.city) })}</h1>
          <p class="n">${date(nowMs)} ${weekday(nowMs)} ${clock(nowMs)}</p>
          <nav><a href=${`/cockpit${location.search}`}>${t("vitals_page.cockpit")}</a><a href=${`/console${location.search}`}>${t("vitals_page.console")}</a><a href=${other()} lang=${language === "zh" ? "en" : "zh-CN"}>${language === "zh" ? "English" : "中文"}</a></nav></header>
        ${!live.connected && live.lostMs && html`<p class="cutoff" role="alert">${half} ${t("wall.cut_off", { s: Math.round((nowMs - live.lostMs) / 1000) })} ${t("wall.last_data", { time: clock(live.lostMs) })}</p>`}
        ${key ? this.#one(nowMs) : this.#all(nowMs)}
        <footer>${status?.provenance.length > 0 && html`<span class="scene">${t("wall.scene", { what: status.provenance.map((p) => t(`provenance.${p}`)).join(" + ") })}</span>`}</footer>`,
      this.root,
    );
  }

  // -- all of them -------------------------------------------------------------------------------------------

  #all(nowMs) {
    const all = this.live.list("vitals");
    const index = all.find((each) => each.slot === "index");
    const groups = GROUPS.map((group) => [group, all.filter((each) => each.group === group).sort((a, b) => a.order - b.order)]).filter(([, members]) => members.length);
    return html`<main>${index ? indexPanel(index) : html`<p class="empty">${t("console.reading")}</p>`}
      ${groups.map(([group, members]) => html`<section key=${group}><h2>${t(`vital_group.${group}`)}</h2><div class="cards">${members.map((each) => card(each, nowMs))}</div></section>`)}</main>`;
  }

  // -- one of them -------------------------------------------------------------------------------------------

  #one(nowMs) {
    if (this.missing) return html`<main><p class="empty">${t("vitals_page.none")}</p></main>`;
    const { full } = this;
    if (!full) return html`<main><p class="empty">${t("console.reading")}</p></main>`;
    const live = this.live.list("vitals").find((each) => each.id === key) ?? full;
    const vital = { ...full, ...live };
    if (vital.slot === "index") return html`<main>${indexPanel(vital)}${chart(vital)}</main>`;
    return html`<main>
      <p class="way"><a href=${`/vitals${location.search}`}>← ${t("vitals_page.back")}</a> · ${t(`vital_group.${vital.group}`)}</p>
      <div class="head ${vital.level ? `l${vital.level}` : ""} ${vital.state}">
        <h2>${vital.level ? shape(vital.level, { title: t(`level.${vital.level}`) }) : null}${words(vital)}</h2>
        <b class="n">${vital.value === null ? "—" : shown(vital)}<small>${unit(vital)}</small></b>
        <p>${line(vital)}</p><p class="trust">${trust(vital, nowMs)}</p>
      </div>
      ${chart(vital)}
      <section class="formula"><h3>${t("vitals_page.formula")}</h3><p>${t(vital.formula.words)}</p>
        <dl><dt>${t("vitals_page.expression")}</dt><dd><code>${vital.formula.value}</code></dd>
          ${Object.entries(vital.formula.figures).map(([figure, text]) => html`<dt class="n">${figure}</dt><dd><code>${text}</code>${figureNow(vital, figure)}</dd>`)}
          <dt>${t("vitals_page.bands")}</dt><dd>${bands(vital.formula.bands)}</dd>
          <dt>${t("vitals_page.owner")}</dt><dd>${has(`department.${vital.owner}`) ? t(`department.${vital.owner}`) : vital.owner || "—"}</dd>
          <dt>${t("vitals_page.source")}</dt><dd>${vital.source}</dd></dl></section>
      ${Object.entries(vital.formula.inputs).map(([input, decl]) => inputPanel(vital, input, decl, nowMs))}
    </main>`;
  }
}

const figureNow = (vital, figure) => {
  const value = vital.detail?.figures?.[figure];
  return value === undefined ? null : html` = <b class="n">${measured(value)}</b>`;
};

function bands(found) {
  const entries = Object.entries(found);
  if (!entries.length) return "—";
  return html`<ul class="bands">${entries.map(([colour, text]) => html`<li>${shape(COLOURS[colour], { title: t(`level.${COLOURS[colour]}`) })}<code>${text}</code></li>`)}</ul>`;
}

/** One input: how many of its points take part, and what each said last. */
function inputPanel(vital, input, decl, nowMs) {
  const points = decl.points;
  const kept = vital.detail?.inputs?.[input];
  const out = new Map((kept?.excluded ?? []).map(({ device, why }) => [device, why]));
  const rows = vital.readings?.[input] ?? [];
  const records = vital.detail?.records?.[input]?.newest ?? [];
  return html`<section class="input" key=${input}>
    <h3><span>${t("vitals_page.inputs")} <code>${input}</code> ${points ? channelOf(vital, points) : ""}</span>
      ${kept && html`<small>${t("vitals_page.of_readings", { n: kept.n, of: kept.total })}</small>`}
      ${rows.length > 0 && html`<a class="button" href=${explore(rows)}>${t("vitals_page.explore")}</a>`}</h3>
    <p class="asked"><code>${asks(points ?? decl.records ?? { figure: decl.figure, devices: decl.devices })}</code>${told_(vital, input)}</p>
    ${rows.length > 0 && html`<table><thead><tr><th>${t("vitals_page.device")}</th><th>${t("vitals_page.value")}</th><th>${t("vitals_page.at")}</th><th>${t("vitals_page.part_taken")}</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.device} class=${out.has(row.device) ? "out" : ""}>
        <td><a href=${explore([row])}>${name(row.name)}</a></td>
        <td class="n">${row.at === null ? "—" : measured(row.value)}</td>
        <td class="n">${row.at === null ? "—" : t("vitals_page.age", { age: age((nowMs - Date.parse(row.at)) / 1000) })}</td>
        <td>${out.has(row.device) ? t(`vital_why.${out.get(row.device)}`) : t("vital_why.takes_part")}</td></tr>`)}</tbody></table>`}
    ${records.length > 0 && html`<ol class="records">${records.map((each) => html`<li key=${each.number}><span class="n">${since(each.at_us / 1000, nowMs)}</span> ${each.number} ${told(each.title)}</li>`)}</ol>`}
  </section>`;
}

/** What a declaration asks for, as words of its own: `channel flow · kinds ws_flow_meter · window 29 d`. */
const asks = (decl) => Object.entries(decl).filter(([, value]) => value !== undefined && value !== null).map(([word, value]) => `${word} ${SPANS.has(word) ? long(value) : Array.isArray(value) ? value.join(", ") : typeof value === "object" ? asks(value) : value}`).join(" · ");

const long = (seconds) => (seconds % 86400 ? (seconds % 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`) : `${seconds / 86400} d`);

const told_ = (vital, input) => {
  const records = vital.detail?.records?.[input];
  const given = vital.detail?.given?.[input];
  if (records) return html` <b class="n">${t("vitals_page.records", { n: records.n })}</b>`;
  return given === undefined ? null : html` = <b class="n">${given === null ? "—" : measured(given)}</b>`;
};

const channelOf = (vital, { channel }) => {
  const own = `channel.${vital.domain}.${channel}`;
  return has(`${own}.name`) ? t(`${own}.name`) : titled("channel.common", channel);
};

const explore = (rows) => `/explore?${rows.slice(0, COMPARED).map((row) => `p=${encodeURIComponent(`${row.device}/${row.channel}`)}`).join("&")}&span=24h`;

function chart(vital) {
  return html`<section class="week"><h3>${t("vitals_page.history")} <small>${t("vitals_page.usual")}</small></h3>${week(vital)}</section>`;
}

const trust = (vital, nowMs, brief = false) =>
  [
    vital.coverage[1] > 0 && (brief ? vital.coverage.join("/") : t("vitals_page.coverage", { n: vital.coverage[0], of: vital.coverage[1] })),
    vital.as_of && t("vitals_page.age", { age: age((nowMs - Date.parse(vital.as_of)) / 1000) }),
    t("vitals_page.confidence", { n: percent(vital.confidence) }),
  ].filter(Boolean).join(" · ");

export function card(vital, nowMs) {
  const valued = vital.value !== null && vital.value !== undefined;
  return html`<a class="card ${vital.level ? `l${vital.level}` : ""} ${vital.state}" key=${vital.id} href=${link(vital.id)}>
    <p>${vital.level ? shape(vital.level, { title: t(`level.${vital.level}`) }) : vital.state === "no_data" ? half : null}<span>${words(vital)}</span></p>
    <b class="n">${valued ? shown(vital) : "—"}<small>${unit(vital)}</small></b>
    ${trace({ trend: vital.trend, value: vital.value, level: vital.level, state: vital.state })}
    <small>${line(vital)}</small><small class="trust">${trust(vital, nowMs, true)}</small>
  </a>`;
}

// -- the index -----------------------------------------------------------------------------------------------

/** The number, what it lost most by, and every part with what it brings: the column sums to the number. */
function indexPanel(index) {
  const parts = index.made_of ?? [];
  const lost = parts.filter((part) => part.lost > 0.05).sort((a, b) => b.lost - a.lost).slice(0, LOST);
  const known = parts.filter((part) => part.score !== null);
  return html`<section class="index ${index.shows === "worst" ? "l1" : ""}">
    <a class="number" href=${link(index.id)}><p>${t("vitals_page.index")}</p><b class="n">${index.value === null ? "—" : number(index.value, 0)}</b>
      <small>${index.shows === "worst" ? html`${shape(1, { title: t("level.1") })} ${t("vitals_page.index_worst")} · ${t("vitals_page.index_mean", { value: number(index.mean, 0) })}` : ""}</small>
      <small>${t("vitals_page.known", { n: percent(known.reduce((sum, part) => sum + part.weight, 0)) })} · ${t("vitals_page.confidence", { n: percent(index.confidence) })}</small>
      ${trace({ trend: index.trend, value: index.value, level: 0, state: index.state })}</a>
    <div class="lost"><h3>${t("vitals_page.lost")}</h3>
      ${!lost.length && html`<p class="empty">${t("vitals_page.nothing_lost")}</p>`}
      <ol>${lost.map((part) => html`<li key=${part.key}><b class="n">${t("vitals_page.lost_by", { n: number(part.lost, 1) })}</b> ${t(`index_part.${part.key}`)}<small>${reason(part)}</small></li>`)}</ol></div>
    <table><thead><tr><th>${t("vitals_page.part")}</th><th>${t("vitals_page.weight")}</th><th>${t("vitals_page.score")}</th><th>${t("vitals_page.points")}</th><th>${t("vitals_page.worst")}</th></tr></thead>
      <tbody>${parts.map((part) => html`<tr key=${part.key}><th>${t(`index_part.${part.key}`)}</th>
        <td class="n">${number(100 * (part.score === null ? part.weight : part.share), 1)}%</td>
        <td class="n">${part.score === null ? t("vitals_page.unknown") : number(part.score, 0)}</td>
        <td class="n"><i style=${`--share:${part.points}%`}></i>${part.score === null ? "—" : number(part.points, 1)}</td>
        <td>${reason(part)}</td></tr>`)}</tbody>
      <tfoot><tr><th>${t("vitals_page.total")}</th><td class="n">${number(100 * known.reduce((sum, part) => sum + part.share, 0), 1)}%</td><td></td><td class="n">${number(index.mean, 1)}</td><td></td></tr></tfoot></table>
  </section>`;
}

const reason = (part) => (part.worst ? html`<a href=${link(part.worst)}>${t(`vital.${part.worst}.name`)}</a>` : part.score === 10 ? t("vitals_page.incident") : "");

function other() {
  const address = new URL(location.href);
  address.searchParams.set("lang", language === "zh" ? "en" : "zh");
  return address.pathname + address.search;
}

async function mount(root) {
  const [setup] = await Promise.all([get("/wall"), load(asked())]);
  ZONE.name = setup.timezone;
  document.title = t("vitals_page.title", { city: name(setup.city) });
  new Page(root, setup).start().draw();
}

mount(document.getElementById("vitals"));
