// The wall: live topics in, zones out. Reads only; what a person does, happens on the console.

import { html, render } from "../lib/dom.mjs";
import { ZONE } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { asked, language, load, t } from "../lib/text.mjs";
import { card, leader, subject } from "./card.mjs";
import { foot } from "./foot.mjs";
import { legend } from "./legend.mjs";
import { WallMap } from "./map.mjs";
import { counters, dispatch, isOpen, isUnacknowledged, resources, stream } from "./right.mjs";
import { brand, clockFace, kpis, posture, weather } from "./top.mjs";
import { trends } from "./trends.mjs";
import { chosen, vitals } from "./vitals.mjs";

const TOPICS = ["status", "vitals", "incidents", "cases", "crews", "points"];
const LOADING_MS = 8000;
const REDRAW_MS = 100;
const zone = (id) => document.getElementById(id);

/** How many rows each density shows: never smaller text, fewer rows. */
const DENSITY = {
  full: { vitals: 13, incidents: 6, cases: 3 },
  half: { vitals: 9, incidents: 5, cases: 2 },
  few: { vitals: 6, incidents: 4, cases: 2 },
};

export class Wall {
  constructor(root, setup) {
    this.root = root;
    this.setup = setup;
    this.startedMs = Date.now();
    this.density = DENSITY[root.dataset.density] ?? DENSITY.full;
    this.dirty = new Set(TOPICS);
    this.live = new Live(TOPICS, { changed: (topic) => this.#touch(topic), state: (on, code) => this.#state(on, code) });
    this.map = new WallMap(zone("map"), { k: this.#k(), reduced: matchMedia("(prefers-reduced-motion: reduce)").matches });
    this.map.moved = () => this.#drawLeader();
  }

  #k() {
    return Math.min(innerWidth / 3840, innerHeight / 2160);
  }

  start() {
    this.live.onPoints((columns) => this.map.points(columns));
    this.live.start();
    render(brand(this.setup.city), zone("brand"));
    this.#startMap();
    setInterval(() => this.#redraw(new Set(["clock"])), 1000);
    addEventListener("resize", () => location.reload());
    this.#redraw(new Set(["clock", ...TOPICS]));
    return this;
  }

  async #startMap() {
    if (!this.setup.map) return zone("map").classList.add("no-map");
    const [style, devices] = await Promise.all([getJson(`${this.setup.map.style}&lang=${language}`), getJson("/api/v1/map/devices")]);
    await this.map.start({ ...this.setup.map, style }, devices);
    this.#touch("incidents");
    this.#touch("crews");
    this.map.map.once("idle", () => (this.root.dataset.map = "ready"));
  }

  #touch(topic) {
    this.dirty.add(topic);
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      const topics = this.dirty;
      this.dirty = new Set();
      this.#redraw(topics);
    }, REDRAW_MS);
  }

  #state(connected, code) {
    this.code = code;
    this.root.classList.toggle("disconnected", !connected);
    this.#redraw(new Set(["clock", ...TOPICS]));
  }

  get connected() {
    return this.live.connected;
  }

  #redraw(topics) {
    const { live } = this;
    const nowMs = live.now();
    const late = !live.connected && !live.lostMs && Date.now() - this.startedMs > LOADING_MS;
    this.root.classList.toggle("slow", late);
    const has = (topic) => live.loaded.has(topic);
    const ticks = topics.has("clock");
    if (ticks) render(clockFace(nowMs), zone("clock"));
    if (has("status") && (ticks || topics.has("status"))) this.#drawStatus(nowMs);
    else if (!live.connected && ticks) this.#drawFoot(nowMs);
    if (has("vitals") && (topics.has("vitals") || ticks)) this.#drawVitals(nowMs);
    if (has("incidents") && (topics.has("incidents") || ticks)) this.#drawIncidents(nowMs);
    if (has("cases") && (topics.has("cases") || topics.has("crews") || ticks)) this.#drawDispatch(nowMs);
  }

  #drawStatus(nowMs) {
    const status = this.live.items.status.get("now");
    const unacknowledged = this.live.list("incidents").filter(isUnacknowledged).length;
    render(posture(status, unacknowledged), zone("posture"));
    this.#drawFoot(nowMs);
  }

  #drawFoot(nowMs) {
    const { connected, lostMs, tries } = this.live;
    const status = this.live.items.status.get("now");
    render(foot({ status, connected, lostMs, tries, nowMs, map: this.setup.map, code: this.code }), zone("foot"));
  }

  #drawVitals(nowMs) {
    const all = this.live.list("vitals");
    const slot = (wanted) => all.filter((v) => v.slot === wanted).sort((a, b) => a.order - b.order);
    const rows = chosen(all, this.density.vitals);
    const total = all.filter((v) => v.slot === "row" || (v.slot === "reserve" && v.level)).length;
    render(vitals(rows, total, nowMs), zone("vitals"));
    render(kpis(slot("kpi").slice(0, 5)), zone("kpis"));
    render(weather(slot("weather").slice(0, 3)), zone("weather"));
    const strip = zone("trends");
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    render(trends(all, ((strip.clientWidth - 5.25 * rem) / rem) * 10, (strip.clientHeight / rem - 7) * 10, nowMs), strip);
  }

  #drawIncidents(nowMs) {
    const incidents = this.live.list("incidents");
    const { connected } = this.live;
    const today = this.live.items.status.get("now")?.incidents_today;
    render(counters(incidents, connected), zone("counters"));
    render(stream(incidents, this.density.incidents, today, nowMs, connected), zone("stream"));
    this.map.incidents(incidents);
    this.map.follow(incidents, nowMs);
    this.subject = subject(incidents, this.map.focused, nowMs);
    render(card(this.subject, connected), zone("card"));
    const kinds = new Set(incidents.filter(isOpen).flatMap((i) => (i.overlay ?? []).map((f) => f.properties.kind)));
    render(legend(kinds), zone("legend"));
    this.#drawLeader();
  }

  #drawLeader() {
    const place = this.map.ready && this.subject?.lon ? this.map.at(this.subject.lon, this.subject.lat) : null;
    const frame = zone("map-zone").getBoundingClientRect();
    const box = zone("card").firstElementChild?.getBoundingClientRect();
    const from = box && { x: box.right - frame.left, y: box.top - frame.top + box.height * 0.42 };
    render(html`${leader({ from, to: place, level: this.subject?.level, width: frame.width, height: frame.height })}`, zone("leader"));
  }

  #drawDispatch(nowMs) {
    const crews = this.live.list("crews");
    const cases = this.live.list("cases").filter((c) => !ENDED.has(c.state)).sort((a, b) => a.level - b.level || Date.parse(b.created_at) - Date.parse(a.created_at));
    const names = new Map(crews.map((c) => [c.id, c.name]));
    const out = crews.filter((c) => c.state === "busy").length;
    render(dispatch(cases, this.density.cases, names, out, nowMs), zone("dispatch"));
    render(resources(byKind(crews)), zone("resources"));
    this.map.units(crews.filter(onDuty), nowMs);
  }
}

const ENDED = new Set(["closed", "refused", "void"]);
const onDuty = ({ state }) => state === "free" || state === "busy";

/** Free and total of each kind on duty, the scarcest first. */
function byKind(crews) {
  const kinds = new Map();
  for (const crew of crews.filter(onDuty)) {
    const found = kinds.get(crew.kind) ?? { kind: crew.kind, free: 0, total: 0 };
    found.total += 1;
    found.free += crew.state === "free" ? 1 : 0;
    kinds.set(crew.kind, found);
  }
  return [...kinds.values()].sort((a, b) => a.free / a.total - b.free / b.total || b.total - a.total);
}

async function getJson(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

/** Called once by boot.mjs when the page's frame is there. */
export async function mount(root) {
  const [setup] = await Promise.all([getJson("/api/v1/wall"), load(asked())]);
  ZONE.name = setup.timezone;
  document.title = t("wall.title", { city: setup.city[asked()] ?? setup.city.zh });
  window.cityopsWall = new Wall(root, setup).start();
}
