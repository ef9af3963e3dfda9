// The console: the page where operators work. Everything live comes over the stream, everything done goes to the API.

import { all, get, send } from "../lib/api.mjs";
import { html, render } from "../lib/dom.mjs";
import { ZONE, age, clock, date } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { half } from "../lib/shapes.mjs";
import { asked, language, load, name, t, titled, told } from "../lib/text.mjs";
import { isUnacknowledged } from "../wall/right.mjs";
import { actionsOf, begin, commit, form, refusal } from "./act.mjs";
import { AlarmLoad, alarms } from "./alarms.mjs";
import { Bench, workbench } from "./bench.mjs";
import { Shown, devicePage } from "./devices.mjs";
import { DutyLog, crewBoard, dutyPage } from "./duty.mjs";
import { ConsoleMap } from "./map.mjs";
import { Past, TimeControl } from "./past.mjs";
import { queue, queued } from "./queue.mjs";
import { Rulebook, rulesPage } from "./rules.mjs";
import { Seek } from "./seek.mjs";
import { Work, workPage } from "./work.mjs";

const TOPICS = ["status", "incidents", "cases", "orders", "crews", "alerts", "points"];
const VIEWS = ["incidents", "alarms", "cases", "orders", "crews", "devices", "log", "rules"];
/** What a view needs. */
const NEEDS = { cases: "case.read", orders: "order.read", log: "roster.read", rules: "rule.read" };
/** Other pages of the house. */
const PAGES = { wall: "/wall", explore: "/explore", cockpit: "/cockpit", vitals: "/vitals", queue: "/queue" };
const REDRAW_MS = 100;
const SAID_MS = 6000;
const WALL_MIN = 10;
/** What is known of a moment that is over. */
const PAST_VIEWS = ["incidents", "alarms"];
const PAST_MS = 600000;
const MOST_DEVICES = 60000;
const SHORTCUTS = ["j", "k", "a", "d", "e", "m", "f", "escape", "1", "slash", "print", "t", "help"];
const noFilter = () => ({ levels: new Set(), waiting: false, words: "" });

export class Console {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.may = new Set(setup.may);
    this.filter = noFilter();
    this.lists = { plans: [], codes: [], incidents: [], evidence: [] };
    this.devices = new Map();
    this.numbers = new Map();
    this.deviceLevels = new Map();
    this.changes = 0;
    this.bench = new Bench(() => this.touch(), () => this.now(), () => this.past?.ms ?? null);
    this.time = new TimeControl(this);
    this.shown = new Shown(() => this.touch(), () => this.now(), this.may);
    this.book = new Rulebook(() => this.touch());
    this.log = new DutyLog(() => this.touch());
    this.load = new AlarmLoad(() => this.touch(), () => this.now());
    this.work = { cases: new Work("cases", () => this.touch()), orders: new Work("orders", () => this.touch()) };
    this.seek = new Seek(this);
    this.map = new ConsoleMap({ reduced: matchMedia("(prefers-reduced-motion: reduce)").matches, choose: (id) => this.open("incidents", id), moved: () => this.#moved() });
    this.live = new Live(TOPICS, { changed: (topic) => this.#heard(topic), state: (on, code) => this.#state(code) });
    this.#route();
  }

  start() {
    this.live.onPoints(({ n, device, level }) => {
      for (let i = 0; i < n; i += 1) this.#coloured(this.numbers.get(device[i]) ?? device[i], level[i]);
      if (!this.past) this.map.points({ n, device, level });
    });
    this.live.start();
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("popstate", () => {
      this.#route();
      this.touch();
    });
    setInterval(() => this.touch(), 1000);
    this.draw();
    this.#startMap();
    this.#readLists();
    setInterval(() => this.view === "alarms" && this.load.read(), 60000);
    return this;
  }

  #coloured(device, level) {
    if (this.deviceLevels.get(device) === level) return;
    this.deviceLevels.set(device, level);
    this.changes += 1;
  }

  // -- where we are: every view has an address -----------------------------------------------------------

  #route() {
    this.#routePast();
    const [, , view, id] = location.pathname.split("/").map(decodeURIComponent);
    this.view = this.views.includes(view) ? view : "incidents";
    this.chosen = { ...(this.chosen ?? {}), [this.view]: id ?? this.chosen?.[this.view] ?? null };
    this.#readChosen();
  }

  /** The moment of the address. There nothing can be done, and what it was like is read anew. */
  #routePast() {
    const ms = Date.parse(new URLSearchParams(location.search).get("as_of"));
    const wasPast = Boolean(this.past);
    this.past = ms ? (this.past ?? new Past(() => this.#told(), this.live.now())) : null;
    this.may = new Set(this.setup.may.filter((action) => !this.past || action.startsWith("screen.") || action.endsWith(".read")));
    if (!this.past) this.time.stop();
    if (this.past && !this.past.is(ms)) this.past.read(ms);
    if (wasPast !== Boolean(this.past)) this.#paintPoints();
  }

  #told() {
    this.#paintPoints();
    if (this.view === "alarms") this.load.read();
    this.touch();
  }

  /** Look back to a moment, or come back to now. */
  lookBack(ms) {
    this.look({ as_of: ms && new Date(ms).toISOString().replace(".000", "") });
    this.#route();
  }

  #paintPoints() {
    const levels = new Map(this.past?.list("alerts").filter((alert) => alert.standing).sort((a, b) => b.level - a.level).map((alert) => [alert.device, alert.level]));
    const device = [...this.numbers.keys()];
    const level = device.map((number) => (this.past ? (levels.get(this.numbers.get(number)) ?? 0) : (this.deviceLevels.get(this.numbers.get(number)) ?? 0)));
    this.map.points({ n: device.length, device, level });
  }

  /** What is known now, or was known at the moment that is looked back to. */
  get known() {
    return this.past ?? this.live;
  }

  get views() {
    return (this.past ? PAST_VIEWS : VIEWS).filter((view) => !NEEDS[view] || this.may.has(NEEDS[view]));
  }

  /** Every place that has an address: our views, and the other pages that this person may open. */
  pages() {
    const views = this.views.map((view) => ({ id: view, words: t(`console.${view}`), href: this.#address(view) }));
    const others = Object.entries(PAGES).filter(([page]) => this.may.has(`screen.${page}`)).map(([page, href]) => ({ id: page, words: t(`console.page.${page}`), href }));
    return [...views, ...others];
  }

  visit({ id, href }) {
    if (VIEWS.includes(id)) this.open(id, this.chosen[id]);
    else window.open(href, "_blank", "noopener");
  }

  open(view, id) {
    this.view = view;
    this.help = false;
    this.chosen[view] = id ?? null;
    history.pushState(null, "", this.#address(view, id));
    this.#readChosen();
    this.touch();
  }

  #address(view, id) {
    return `/console/${view}${id ? `/${encodeURIComponent(id)}` : ""}${location.search}${view === "incidents" ? this.map.hash : ""}`;
  }

  /** The map was moved by hand, or a layer hidden: the address says so. */
  #moved() {
    if (this.view === "incidents") history.replaceState(null, "", `${location.pathname}${location.search}${this.map.hash}`);
    this.touch();
  }

  /** Another look at the same view: what stands in the address behind the question mark. */
  look(values) {
    const query = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(values)) value === null ? query.delete(key) : query.set(key, value);
    history.pushState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
    this.touch();
  }

  #readChosen() {
    const id = this.chosen[this.view];
    if (this.view === "log") this.log.read();
    if (this.view === "alarms" && !this.load.load) this.load.read();
    this.work[this.view]?.read();
    if (!id) return;
    if (this.view === "rules") this.book.read(id);
    if (this.view === "incidents") this.bench.read(id);
    if (this.view === "devices") this.shown.read(id);
  }

  // -- what is read --------------------------------------------------------------------------------------

  async #startMap() {
    if (!this.setup.map) return;
    const style = this.setup.map.style.replace(/scale=[\d.]+/, "scale=2.2").replace(/pitch=\d+/, "pitch=0");
    const [base, devices] = await Promise.all([get(`${style.replace("/api/v1", "")}&theme=dark`), get("/map/devices")]);
    devices.device.forEach((id, i) => this.numbers.set(devices.id[i], id));
    for (const [key, level] of [...this.deviceLevels]) {
      if (!this.numbers.has(key)) continue;
      this.deviceLevels.delete(key);
      this.deviceLevels.set(this.numbers.get(key), level);
    }
    await this.map.start(document.getElementById("console-map"), { ...this.setup.map, style: base, pitch: 0, bearing: 0 }, devices);
    this.map.map.once("idle", () => (this.root.dataset.map = "ready"));
    this.#paintPoints();
    this.marked = "";
    this.touch();
  }

  async #readLists() {
    const [plans, codes, devices] = await Promise.all([get("/plans").catch(() => ({ items: [] })), get("/codes").catch(() => ({ items: [] })), all("/devices", MOST_DEVICES).catch(() => [])]);
    this.plans = plans.items;
    this.lists.codes = codes.items.map((code) => [code.code, `${code.code} ${code.name}`]);
    this.devices = new Map(devices.map((device) => [device.id, device]));
    this.changes += 1;
    if (this.may.has("rule.read")) this.book.list();
    this.touch();
  }

  #heard(topic) {
    const id = this.chosen.incidents;
    const live = this.live.items.incidents.get(id);
    if (topic === "incidents" && this.view === "incidents" && !this.past && live && live.changed_at !== this.readAt) {
      this.readAt = live.changed_at;
      this.bench.read(id);
    }
    this.touch();
  }

  #state(code) {
    this.code = code;
    this.touch();
  }

  // -- what is done --------------------------------------------------------------------------------------

  now() {
    return this.known.now();
  }

  get cases() {
    return this.known.list("cases");
  }

  get orders() {
    return this.known.list("orders");
  }

  get crews() {
    return this.known.items.crews;
  }

  act(noun, thing, action, given) {
    this.lists.incidents = queued(this.live.list("incidents"), noFilter(), this.now()).filter((i) => i.id !== thing.id).map((i) => [i.id, `${i.number} ${told(i.title)}`]);
    this.lists.plans = (this.plans ?? []).filter((plan) => plan.incidents.includes(thing.type)).map((plan) => [plan.key, told(plan.name)]);
    this.lists.evidence = (thing.evidence ?? []).map((fact) => [fact.fact, `${name(this.devices.get(fact.device)?.name) || fact.device} · ${titled("rule", fact.rule ?? fact.what)}`]);
    begin(this, noun, thing, action, given);
  }

  form(wanted) {
    this.asked = wanted;
    this.touch();
  }

  async #submit(values) {
    const { noun, thing, action } = this.asked;
    this.asked = null;
    this.touch();
    await commit(this, noun, thing, action, values);
  }

  /** After an action: what is shown is read anew; the stream brings the rest. */
  done() {
    this.#readChosen();
  }

  say(words, bad = false) {
    this.said = { words, bad };
    clearTimeout(this.saidTimer);
    this.saidTimer = setTimeout(() => {
      this.said = null;
      this.touch();
    }, SAID_MS);
    this.touch();
  }

  async order(found, crew) {
    try {
      await send("POST", "/orders", { case: found.id, crew, send: true });
      this.bench.ranked = null;
      this.say(t("console.done", { what: t("order.action.send") }));
    } catch (refused) {
      this.say(refusal(refused, "order"), true);
    }
    this.done();
  }

  async sendToWall(incident) {
    try {
      await send("PUT", "/walls/wall", { incident: incident.id, minutes: WALL_MIN });
      this.say(t("console.on_wall", { n: WALL_MIN }));
    } catch (refused) {
      this.say(refusal(refused, "incident"), true);
    }
  }

  showOnMap(thing) {
    if (this.view !== "incidents") this.open("incidents", this.chosen.incidents);
    this.map.show(thing);
  }

  async copyLink(incident) {
    const link = new URL(this.#address("incidents", incident.id), location.href).href;
    await navigator.clipboard?.writeText(link).catch(() => {});
    this.say(link);
  }

  // -- keys ----------------------------------------------------------------------------------------------

  #key(event) {
    const typing = event.target.closest?.("input, textarea, select, dialog");
    if (event.key === "Escape" && !typing) return this.#back();
    if (event.key === "Escape" && event.target.matches("#search")) {
      this.filter = noFilter();
      this.touch();
      return event.target.blur();
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.(".grid") && event.key.startsWith("Arrow")) return; // from cell to cell
    const step = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    const done = step ? this.#step(step) : this.#command(event.key);
    if (done !== false) event.preventDefault();
  }

  #back() {
    if (this.help) this.help = false;
    else if (this.bench.ranked) this.bench.ranked = null;
    else this.filter = noFilter();
    this.touch();
  }

  #step(by) {
    const at = this.rows.findIndex(({ id }) => id === this.chosen.incidents);
    const id = this.view === "incidents" ? this.rows[Math.max(0, Math.min(this.rows.length - 1, at + by))]?.id : this.grid?.beside(this.chosen[this.view], by);
    if (!id) return false;
    this.open(this.view, id);
  }

  #command(key) {
    const alarm = this.view === "alarms" ? this.known.items.alerts.get(this.chosen.alarms) : null;
    const incident = this.view === "incidents" ? this.bench.incident : null;
    const can = incident ? actionsOf("incident", incident, this.may) : [];
    if (key === "?") this.help = !this.help;
    else if (key === "t") this.lookBack(this.past ? null : this.live.now() - PAST_MS);
    else if (key === "/") document.getElementById("search")?.focus();
    else if (key === "f") document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen();
    else if ("1234".includes(key)) this.filter.levels = new Set(this.filter.levels.has(Number(key)) ? [] : [Number(key)]);
    else if (key === "a" && alarm?.allowed?.includes("acknowledge")) this.act("alert", alarm, "acknowledge");
    else if (key === "a" && can.includes("acknowledge")) this.act("incident", incident, "acknowledge");
    else if (key === "e" && can.includes("set_priority")) this.act("incident", incident, "set_priority", { priority: Math.max(1, incident.priority - 1) });
    else if (key === "d" && incident) this.#dispatch(incident, can);
    else if (key === "m" && incident) this.showOnMap(incident);
    else return false;
    this.touch();
  }

  /** Who goes: for the case that there is, else a case first. */
  #dispatch(incident, can) {
    const mine = this.cases.find((each) => each.incident === incident.id && !["closed", "refused", "void"].includes(each.state));
    if (mine) this.bench.rank(mine.id);
    else if (can.includes("open_case")) this.act("incident", incident, "open_case");
  }

  // -- what is drawn -------------------------------------------------------------------------------------

  touch() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw();
    }, REDRAW_MS);
  }

  draw() {
    const { known, view } = this;
    const incidents = known.list("incidents");
    const nowMs = this.now();
    this.rows = queued(incidents, this.filter, nowMs);
    if (!this.chosen.incidents && this.rows.length && view === "incidents") this.#first();
    render(html`${this.#top(incidents)}
      ${this.past && this.time.draw()}
      <main class=${`${view} ${this.past ? "past" : ""}`}>
        ${view === "incidents" && queue({ rows: this.rows, all: incidents, chosen: this.chosen.incidents, filter: this.filter, nowMs, choose: (id) => this.open("incidents", id), change: (filter) => this.narrow(filter) })}
        <div id="console-map" key="map" hidden=${view !== "incidents"}></div>
        ${view === "incidents" && this.map.groups.length > 0 && this.#layers()}
        ${view === "incidents" && workbench(this.bench, known.items.incidents.get(this.chosen.incidents) ?? this.#ended(), this)}
        ${view === "alarms" && alarms({ alerts: known.list("alerts"), filter: this.filter, chosen: this.chosen.alarms, devices: this.devices, load: this.load, desk: this, choose: (id) => this.open("alarms", id), change: (filter) => this.narrow(filter) })}
        ${this.work[view] && workPage({ work: this.work[view], live: known.list(view), filter: this.filter, chosen: this.chosen[view], crews: this.crews, desk: this, choose: (id) => this.open(view, id) })}
        ${view === "crews" && crewBoard({ crews: known.list("crews"), orders: known.list("orders"), incidents: known.items.incidents, filter: this.filter, chosen: this.chosen.crews, asTable: new URLSearchParams(location.search).get("as") === "table", desk: this, choose: (id) => this.open("crews", id) })}
        ${view === "log" && dutyPage(this.log, this.filter, this.chosen.log, this)}
        ${view === "rules" && rulesPage({ book: this.book, filter: this.filter, chosen: this.chosen.rules, desk: this, choose: (id) => this.open("rules", id) })}
        ${view === "devices" && devicePage({ devices: this.devices, levels: this.deviceLevels, changes: this.changes, filter: this.filter, chosen: this.chosen.devices, shown: this.shown, desk: this, choose: (id) => this.open("devices", id) })}
      </main>
      ${this.#foot(this.live.now())}
      ${form(this.asked, this.lists, (values) => this.#submit(values), () => this.form(null))}
      ${this.help && this.#help()}
      <p class=${`said ${this.said?.bad ? "bad" : ""}`} role=${this.said?.bad ? "alert" : "status"} hidden=${!this.said}>${this.said?.words}</p>`, this.root);
    this.#drawMap(incidents, nowMs);
  }

  /** An incident that has left the stream but was asked for by its address. */
  #ended() {
    const found = this.bench.incident;
    return found && found.id === this.chosen.incidents ? { ...found, title: found.name } : null;
  }

  #first() {
    this.chosen.incidents = this.rows[0].id;
    this.#readChosen();
  }

  narrow(filter) {
    this.filter = filter;
    this.touch();
  }

  #drawMap(incidents, nowMs) {
    if (!this.map.ready) return;
    const drawn = JSON.stringify(incidents.map((i) => [i.id, i.level, i.state, i.acknowledged_at, i.lon, i.lat]));
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.map.incidents(incidents);
    }
    this.map.units(this.known.list("crews").filter((c) => c.state === "free" || c.state === "busy"), nowMs);
    const marked = `${this.bench.incident?.id} ${this.bench.incident?.version}`;
    if (marked !== this.marked) {
      this.marked = marked;
      this.map.mark(this.bench.incident, this.bench.incident?.evidence);
    }
  }

  #top(incidents) {
    const nowMs = this.live.now();
    const waiting = incidents.filter(isUnacknowledged).length;
    return html`<header class="top">
      <h1>${t("console.title", { city: name(this.setup.city) })}</h1>
      <nav aria-label=${t("console.views")}>${this.views.map((view) => html`<a href=${this.#address(view, this.chosen[view])} aria-current=${this.view === view ? "page" : undefined} onClick=${(event) => this.#go(event, view)}>${t(`console.${view}`)}${view === "incidents" && waiting > 0 && html` <b class="n badge">${waiting}</b>`}</a>`)}
        ${["wall", "vitals", "explore"].filter((page) => this.may.has(`screen.${page}`)).map((page) => html`<a href=${PAGES[page]} target="_blank" rel="noopener">${t(`console.page.${page}`)} ↗</a>`)}</nav>
      ${this.seek.draw()}
      <button aria-pressed=${Boolean(this.past)} onClick=${() => this.#command("t")} title="T">${t("console.past")}<kbd>T</kbd></button>
      <button onClick=${() => this.#command("?")} title="?">${t("console.help")}<kbd>?</kbd></button>
      <p class="clock"><b class="n">${clock(nowMs)}</b> <span class="n">${date(nowMs)}</span></p>
    </header>`;
  }

  #go(event, view) {
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.open(view, this.chosen[view]);
  }

  #layers() {
    return html`<details class="layers-of"><summary>${t("console.layers")}</summary>${this.map.groups.map((group) => html`<label key=${group}><input type="checkbox" checked=${!this.map.hidden.has(group)} onChange=${() => this.map.toggle(group)} />${t(`console.layer.${group}`)}</label>`)}</details>`;
  }

  #foot(nowMs) {
    const { connected, lostMs, tries } = this.live;
    const status = this.live.items.status.get("now");
    if (!connected && (lostMs || this.code)) {
      return html`<footer class="foot cutoff" role="alert">${half} ${this.code ? t("wall.not_allowed") : t("wall.cut_off", { s: Math.round((nowMs - lostMs) / 1000) })} <b>${lostMs ? t("wall.last_data", { time: clock(lostMs) }) : ""}</b> ${t("wall.reconnect", { n: tries })}</footer>`;
    }
    if (!status) return html`<footer class="foot">${t("console.reading")}</footer>`;
    const { sensors, stale = [], delay_s: delay, provenance = [] } = status;
    return html`<footer class="foot">
      <span>${t("wall.link", { s: delay === null || delay === undefined ? "—" : delay < 10 ? delay.toFixed(1) : age(delay) })}</span>
      <span>${t("wall.sensors")} <b class="n">${sensors?.online} / ${sensors?.total}</b></span>
      ${status.database === "away" && html`<span class="violet">${half} ${t("wall.database_away")}</span>`}
      ${stale.length > 0 && html`<span class="violet">${half} ${t("wall.stale_sources", { n: stale.length, names: stale.slice(0, 3).map(told).join(t("wall.comma")) })}</span>`}
      ${provenance.length > 0 && html`<span class="scene">${t("wall.scene", { what: provenance.map((p) => t(`provenance.${p}`)).join(" + ") })}</span>`}
      <span class="grow"></span>
      <button class="plain" title="F" onClick=${() => this.#command("f")}>${t("console.full_screen")}</button>
      <span>${this.setup.me}</span>
      <a href=${other()}>${language === "zh" ? "EN" : "中文"}</a>
    </footer>`;
  }

  #help() {
    return html`<aside class="help" role="dialog" aria-label=${t("console.help")}><h2>${t("console.help")}</h2>
      <dl>${SHORTCUTS.map((key) => html`<dt><kbd>${t(`console.key.${key}.key`)}</kbd></dt><dd>${t(`console.key.${key}.does`)}</dd>`)}</dl></aside>`;
  }
}

/** The other language, kept in a cookie for all pages. */
function other() {
  const address = new URL(location.href);
  address.searchParams.set("lang", language === "zh" ? "en" : "zh");
  return address.pathname + address.search;
}

async function mount(root) {
  const [setup, me] = await Promise.all([get("/console"), get("/auth/me"), load(asked())]);
  ZONE.name = setup.timezone;
  document.title = t("console.title", { city: setup.city[language] ?? setup.city.zh });
  window.cityopsConsole = new Console(root, { ...setup, user: me.id, me: me.name || me.id }).start();
}

mount(document.getElementById("console"));
