// The wall: live topics in, zones out. Reads only; what a person does, happens on the console.

import { html, render } from "../lib/dom.mjs";
import { ZONE } from "../lib/format.mjs";
import { Live } from "../lib/live.mjs";
import { asked, language, load, t } from "../lib/text.mjs";
import { steps, video } from "./beyond.mjs";
import { card, leader, subject } from "./card.mjs";
import { Care } from "./care.mjs";
import { foot } from "./foot.mjs";
import { legend } from "./legend.mjs";
import { WallMap } from "./map.mjs";
import { DENSITY, fit } from "./profile.mjs";
import { Renewal } from "./renew.mjs";
import { counters, dispatch, isOpen, isUnacknowledged, resources, stream } from "./right.mjs";
import { Scenes } from "./scenes.mjs";
import { giveWay } from "./seams.mjs";
import { Sound } from "./sound.mjs";
import { brand, clockFace, kpis, posture, weather } from "./top.mjs";
import { Tour, caption } from "./tour.mjs";
import { trends } from "./trends.mjs";
import { chosen, vitals } from "./vitals.mjs";

const TOPICS = ["status", "vitals", "incidents", "cases", "crews", "points"];
const LOADING_MS = 8000;
const REDRAW_MS = 100;
const MAP_ANYWAY_MS = 3000;
const GLIDE_MS = 500;
const WIDE = 2.4;
const ENDED = new Set(["closed", "refused", "void"]);
const isWide = () => innerWidth / innerHeight > WIDE;
const zone = (id) => document.getElementById(id);
const onDuty = ({ state }) => state === "free" || state === "busy";

export class Wall {
  /** `live` may have heard the first news already. */
  constructor(root, setup, live) {
    const query = new URLSearchParams(location.search);
    this.root = root;
    this.setup = setup;
    this.name = query.get("profile") ?? "wall";
    this.startedMs = Date.now();
    this.#hang(setup.profiles?.[this.name] ?? profileOf(query));
    this.wide = isWide();
    this.live = live;
    live.changed = (topic) => this.#touch(topic);
    live.state = (on, code) => this.#state(code);
    this.dirty = new Set(live.topics);
    this.scenes = new Scenes(setup, query.get("scene"), query.has("rotate"));
    this.sound = new Sound(query.has("sound") || setup.profiles?.[this.name]?.sound);
    this.tour = new Tour(setup.tour ?? []);
    this.renewal = new Renewal(() => this.#leave());
    this.care = new Care(root, setup.care, () => this.renewal.begin());
    this.map = new WallMap(zone("map"), { k: this.rem / 16, reduced: matchMedia("(prefers-reduced-motion: reduce)").matches });
    this.map.moved = () => this.#drawLeader();
    this.map.lost = () => this.renewal.begin();
    this.map.beside = () => besideCard(zone("map-zone"), zone("card").firstElementChild);
  }

  /** Grow the canvas for the farthest reader, and show fewer rows where they no longer fit. */
  #hang(profile) {
    const { grow, density } = fit(profile, { width: innerWidth, height: innerHeight });
    document.documentElement.style.setProperty("--grow", grow);
    this.root.dataset.density = density;
    this.density = DENSITY[density];
    this.rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (profile?.seams_mm?.length) this.#partAt(profile.seams_mm.map((mm) => ((mm / profile.width_mm) * innerWidth) / this.rem));
  }

  /** Columns, cells and charts end at the bezels, and words keep off them. */
  #partAt(seams) {
    const style = getComputedStyle(this.root);
    const given = Object.fromEntries([["left", "left"], ["right", "right"], ["side", "pad-side"], ["gutter", "gutter"]].map(([key, name]) => [key, parseFloat(style.getPropertyValue(`--${name}`))]));
    const { left, right, start, end, cells, charts } = giveWay(seams, { ...given, total: innerWidth / this.rem }, this.density.kpis);
    const rem = (list) => list.map((each) => `${each}rem`).join(" ");
    const set = { left: rem([left]), right: rem([right]), "seam-x": rem([start]), "seam-end": rem([end]) };
    for (const [name, part] of Object.entries({ kpis: cells, charts }).filter(([, part]) => part)) {
      set[name] = rem(part.each);
      set[`${name}-at`] = `0 ${part.after}rem 0 ${part.before}rem`;
    }
    for (const [name, value] of Object.entries(set)) this.root.style.setProperty(`--${name}`, value);
    this.root.classList.toggle("parted", start + end > 0);
    this.charts = charts?.each;
    if (cells) this.density = { ...this.density, kpis: cells.each.length };
  }

  start() {
    this.live.onPoints((columns) => this.map.points(columns));
    render(brand(this.setup.city), zone("brand"));
    this.timers = [setInterval(() => this.#redraw(new Set(["clock"])), 1000), setInterval(() => this.live.connected && this.map.glide(this.live.now()), GLIDE_MS)];
    addEventListener("resize", () => location.reload());
    addEventListener("beforeprint", () => this.map.still());
    addEventListener("keydown", (event) => this.#key(event));
    this.wantsTour = new URLSearchParams(location.search).has("tour");
    this.#redraw(new Set(["clock", ...this.live.topics]));
    return this;
  }

  /** The next document has taken over: nothing of this one goes on. */
  #leave() {
    for (const timer of this.timers) clearInterval(timer);
    clearTimeout(this.timer);
    this.live.stop();
    Object.assign(this.map, { ready: false, lost: () => {} });
    this.map.map?.remove();
    this.root.remove();
  }

  /** The guide's keys: next, stop. All else happens on the console. */
  #key({ key }) {
    if (key === "ArrowRight" || key === " ") this.tour.next();
    if (key === "Escape") this.tour.stop();
    this.#redraw(new Set(["clock"]));
  }

  /** The map comes after the first figures: it is most of the work of the first seconds. */
  async #startMap() {
    this.mapped = true;
    await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
    try {
      if (this.setup.map) await this.#drawMap();
      else zone("map").classList.add("no-map");
    } finally {
      this.root.dataset.ready = "";
    }
  }

  async #drawMap() {
    const [style, devices] = await Promise.all([getJson(`${this.setup.map.style}&lang=${language}&theme=${shade()}`), getJson("/api/v1/map/devices")]);
    await this.map.start({ ...this.setup.map, style }, devices);
    this.map.networks(this.scenes.current.networks);
    this.#touch("incidents");
    this.#touch("crews");
    await this.map.drawn();
    this.root.dataset.map = "ready";
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

  #state(code) {
    this.code = code;
    this.root.classList.toggle("disconnected", !this.live.connected);
    this.#redraw(new Set(["clock", ...this.live.topics]));
  }

  #redraw(topics) {
    const { live } = this;
    const nowMs = live.now();
    const ticks = topics.has("clock");
    const due = (...names) => live.loaded.has(names[0]) && (ticks || names.some((each) => topics.has(each)));
    this.root.classList.toggle("slow", !live.connected && !live.lostMs && Date.now() - this.startedMs > LOADING_MS);
    if (ticks) this.#tick(nowMs);
    if (!this.mapped && (live.connected || Date.now() - this.startedMs > MAP_ANYWAY_MS)) this.#startMap();
    if (due("status")) this.#drawStatus(nowMs);
    else if (!live.connected && ticks) this.#drawFoot(nowMs);
    if (due("vitals")) this.#drawVitals(nowMs);
    if (due("incidents", "crews")) this.#drawIncidents(nowMs);
    if (due("cases", "crews", "orders", "incidents")) this.#drawDispatch(nowMs);
  }

  /** Once a second: clock, scenes, tour, sound, care of the panel. */
  #tick(nowMs) {
    const incidents = this.live.list("incidents");
    const urgent = incidents.some((i) => isOpen(i) && i.level === 1);
    render(clockFace(nowMs), zone("clock"));
    if (this.wantsTour && this.live.connected) {
      this.wantsTour = false;
      this.tour.start(incidents);
    }
    const step = this.tour.tick(incidents);
    this.scenes.pin(step?.scene ?? this.order?.scene, step ? Infinity : Date.parse(this.order?.until));
    if (this.scenes.turn(incidents, nowMs)) {
      this.map.networks(this.scenes.current.networks);
      this.#touch("vitals");
    }
    if (this.live.connected) this.sound.tick(incidents, nowMs, this.order?.mute);
    this.care.tick(nowMs, urgent);
    this.#drawOver(step);
  }

  /** What lies over the wall: the words of the tour, the turn's progress, the frames of drill and replay. */
  #drawOver(step) {
    const status = this.live.items.status.get("now");
    const drill = status?.mode === "drill" || this.live.list("incidents").some((i) => i.provenance === "drill");
    const replay = status?.mode === "replay";
    render(
      html`${drill && html`<div class="frame-drill"><b>${t("wall.drill")}</b>${[0, 1, 2].map(() => html`<i>${t("wall.drill")}</i>`)}</div>`}
        ${replay && html`<div class="frame-replay"><b>${t("wall.replay")}</b></div>`}
        ${this.scenes.turning && !this.scenes.held && html`<i class="turn" key=${this.scenes.current.key} style=${`animation-duration:${this.scenes.rotateMs}ms`}></i>`}
        ${step && caption(step, this.tour.at, this.tour.steps.length, this.live.items.status.get("now")?.provenance ?? [])}`,
      zone("over"),
    );
  }

  #drawStatus(nowMs) {
    const status = this.live.items.status.get("now");
    this.order = this.live.items.status.get(`wall/${this.name}`);
    if (this.build && status.build && this.build !== status.build) this.renewal.begin();
    this.build ??= status.build;
    const broken = new Set(status.broken ?? []);
    for (const each of document.querySelectorAll("[data-zone]")) each.classList.toggle("broken", broken.has(FED_BY[each.id]));
    const unacknowledged = this.live.list("incidents").filter(isUnacknowledged).length;
    render(posture(status, unacknowledged), zone("posture"));
    this.#drawFoot(nowMs);
  }

  #drawFoot(nowMs) {
    const { connected, lostMs, tries } = this.live;
    const status = this.live.items.status.get("now");
    const mute = this.order?.mute && nowMs < Date.parse(this.order.mute.until) ? this.order.mute : null;
    render(foot({ status, connected, lostMs, tries, nowMs, map: this.setup.map, approval: this.setup.approval, code: this.code, mute }), zone("foot"));
  }

  #drawVitals(nowMs) {
    const all = this.scenes.rows(this.live.list("vitals"));
    const slot = (wanted) => all.filter((v) => v.slot === wanted).sort((a, b) => a.order - b.order);
    const { areas = {} } = this.setup;
    const index = this.live.items.vitals.get("city_index");
    const rows = chosen(all, this.density.vitals);
    const total = all.filter((v) => v.slot === "row" || (v.slot === "reserve" && v.level)).length;
    render(vitals(rows, total, { scene: this.scenes.current, areas, index, nowMs }), zone("vitals"));
    render(kpis(slot("kpi").slice(0, this.density.kpis)), zone("kpis"));
    render(weather(slot("weather").slice(0, 3)), zone("weather"));
    const strip = zone("trends");
    if (!strip.clientHeight) return;
    render(trends(all, (strip.clientWidth / this.rem) * 10, (strip.clientHeight / this.rem - 7) * 10, { nowMs, areas, given: this.charts }), strip);
  }

  #drawIncidents(nowMs) {
    const incidents = this.live.list("incidents");
    const { connected } = this.live;
    const today = this.live.items.status.get("now")?.incidents_today;
    render(counters(incidents, connected), zone("counters"));
    render(stream(incidents, this.density.incidents, today, nowMs, connected), zone("stream"));
    this.map.incidents(incidents);
    if (!this.tour.running) this.map.follow(incidents, nowMs);
    this.subject = subject(incidents, this.order?.incident ?? this.map.focused, nowMs);
    render(card(this.subject, this.#crewsOf(this.subject), connected), zone("card"));
    this.map.keepInSight(incidents);
    const kinds = new Set(incidents.filter(isOpen).flatMap((i) => (i.overlay ?? []).map((f) => f.properties.kind)));
    render(legend(kinds), zone("legend"));
    this.#coverNames();
    this.#drawLeader();
  }

  /** Who is bound by a case of this incident. */
  #crewsOf(incident) {
    const cases = new Set(incident?.cases ?? []);
    return this.live.list("crews").filter((crew) => cases.has(crew.case));
  }

  /** The base map's names keep clear of card and legend. */
  #coverNames() {
    const frame = zone("map-zone").getBoundingClientRect();
    const boxes = ["card", "legend"].map((id) => zone(id).getBoundingClientRect()).filter(({ width }) => width);
    const covers = boxes.map((b) => [b.left - frame.left, b.top - frame.top, b.right - frame.left, b.bottom - frame.top]);
    if (JSON.stringify(covers) !== JSON.stringify(this.map.covers)) this.map.cover(covers);
  }

  #drawLeader() {
    const place = this.map.ready && this.subject?.lon ? this.map.at(this.subject.lon, this.subject.lat) : null;
    const frame = zone("map-zone").getBoundingClientRect();
    const box = zone("card").firstElementChild?.getBoundingClientRect();
    const below = this.map.beside().top;
    const from = box && (below ? { x: frame.width / 2, y: below } : { x: box.right - frame.left, y: box.top - frame.top + box.height * 0.42 });
    render(html`${leader({ from, to: place, level: this.subject?.level, width: frame.width, height: frame.height })}`, zone("leader"));
  }

  #drawDispatch(nowMs) {
    const crews = this.live.list("crews");
    const named = new Map(crews.map((c) => [c.id, c]));
    // the incident's level is the truth: a case keeps the one that it was opened with
    const level = (c) => this.live.items.incidents.get(c.incident)?.level ?? c.level;
    const cases = this.live.list("cases").map((c) => ({ ...c, level: level(c) })).filter((c) => !ENDED.has(c.state)).sort((a, b) => a.level - b.level || Date.parse(b.created_at) - Date.parse(a.created_at));
    const out = crews.filter((c) => c.state === "busy").length;
    render(dispatch(cases, this.density.cases, named, out, nowMs), zone("dispatch"));
    render(resources(byKind(crews)), zone("resources"));
    this.map.units(crews.filter(onDuty), nowMs);
    if (!this.wide) return;
    render(steps(this.subject, this.live.list("orders"), named, nowMs), zone("steps"));
    render(video(this.subject), zone("video"));
  }
}

/** `?theme=light` for bright rooms and paper. */
const shade = () => (new URLSearchParams(location.search).get("theme") === "light" ? "light" : "dark");

/** What the card leaves of the map: beside it, or below it where it takes most of the width. */
function besideCard(frame, card) {
  if (!card) return { left: 0, top: 0 };
  const [outer, inner] = [frame.getBoundingClientRect(), card.getBoundingClientRect()];
  return inner.width > outer.width * 0.6 ? { left: 0, top: inner.bottom - outer.top } : { left: inner.right - outer.left, top: 0 };
}

/** Zone → the topic that fills it: when that one is broken, only these panels say so. */
const FED_BY = {
  vitals: "vitals", kpis: "vitals", weather: "vitals", trends: "vitals", counters: "incidents", stream: "incidents",
  card: "incidents", dispatch: "cases", resources: "crews", steps: "orders",
};

/** A profile given in the address: ?width_mm=4800&reader_m=5&seams_mm=1200,2400. */
function profileOf(query) {
  const width = Number(query.get("width_mm"));
  const reader = Number(query.get("reader_m"));
  const seams = (query.get("seams_mm") ?? "").split(",").map(Number).filter((mm) => mm > 0);
  return width > 0 && reader > 0 ? { width_mm: width, farthest_reader_m: reader, seams_mm: seams } : null;
}

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

let asking = null;

/** Ask for all that the wall needs, before there is a frame for it. */
export function prepare() {
  asking ??= {
    setup: getJson("/api/v1/wall"),
    words: load(asked()),
    live: new Live(isWide() ? [...TOPICS, "orders"] : TOPICS).start(),
  };
  return asking;
}

/** Called once by boot.mjs when the page's frame is there. */
export async function mount(root) {
  document.documentElement.dataset.theme = shade();
  const { setup: setting, words, live } = prepare();
  const [setup] = await Promise.all([setting, words]);
  ZONE.name = setup.timezone;
  document.title = t("wall.title", { city: setup.city[language] ?? setup.city.zh });
  window.cityopsWall = new Wall(root, setup, live).start();
  window.cityopsRenewal = window.cityopsWall.renewal;
}
