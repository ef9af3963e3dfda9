// Centre: where? Base map, sensors coloured through feature state, incidents above all labels, units, overlays.

import { collection, createMap, pointFeature, token } from "../lib/mapkit.mjs";
import { name, told } from "../lib/text.mjs";
import { isOpen, isUnacknowledged } from "./right.mjs";
import { Units } from "./units.mjs";

const FLY_MS = 1800;
const FLY_GAP_MS = 20000;
const BACK_MS = 45000;
const SILENT = 9;
/** The side of the unseen square that keeps names away, px; it is scaled. */
const COVER = 8;
const USUAL_ASPECT = 1.6;
/** So few open incidents all carry their name. */
const LABELLED = 6;
// the first name only says the weight; MapLibre draws with the first font of the list that the machine has
const FONT = ["Bold", "Noto Sans CJK SC", "Noto Sans SC Variable", "Microsoft YaHei", "PingFang SC"];
const NETWORKS = new Set(["supply", "drainage", "gas", "districts", "fittings"]);
/** Names of areas stay when the map comes nearer, those of single places come late. */
const SHOWN_AT = { "label-area": { maxzoom: 24 }, "label-place": { minzoom: 15.7 } };
/** Groups of the base map that the wall leaves out: what stands there is for the console. */
const LEFT_OUT = new Set(["facilities", "sites", "imported"]);

export class WallMap {
  constructor(container, { k, reduced, interactive = false }) {
    this.interactive = interactive;
    this.container = container;
    this.k = k;
    this.reduced = reduced;
    this.flownMs = -Infinity;
    this.seen = new Set();
    this.levels = new Map();
    this.crews = new Units();
    this.moved = () => {};
    this.covers = [];
    this.lost = () => {};
    this.beside = () => ({ left: 0, top: 0 });
    this.ready = false;
  }

  /** `setup` = {style, bounds, pitch, bearing} of the base map; `devices` = {id: [], lon: [], lat: []}. */
  async start(setup, devices) {
    this.setup = setup;
    const layers = setup.style.layers
      .filter((layer) => !LEFT_OUT.has(layer.metadata?.group) && layer.id !== "label-facility")
      .map((layer) => ({ ...layer, ...SHOWN_AT[layer.id] }));
    this.map = await createMap(this.container, {
      style: { ...setup.style, layers },
      k: this.k,
      interactive: this.interactive,
      view: { bounds: setup.bounds, fitBoundsOptions: this.#overview(), pitch: setup.pitch, bearing: setup.bearing },
    });
    this.#layers();
    this.useDevices(devices);
    this.map.on("move", () => this.moved());
    this.map.getCanvas().addEventListener("webglcontextlost", () => this.lost());
    this.map.on("moveend", () => this.cover(this.covers));
    this.overview();
    this.ready = true;
  }

  #overview() {
    return { padding: { top: 20 * this.k, bottom: 20 * this.k, left: 20 * this.k, right: 20 * this.k } };
  }

  #layers() {
    const { map, k } = this;
    const source = (id, more) => map.addSource(id, { type: "geojson", data: collection(), ...more });
    for (const id of ["overlay", "sensors", "covers", "units", "incidents"]) source(id);
    source("minor", { cluster: true, clusterRadius: 40 * k, clusterMaxZoom: 22 });
    const kind = (value) => ["==", ["get", "kind"], value];
    map.addLayer({ id: "flood", type: "fill", source: "overlay", filter: kind("flood"), paint: { "fill-color": token("map-flood"), "fill-opacity": ["coalesce", ["get", "opacity"], 0.3] } });
    map.addLayer({ id: "flood-edge", type: "line", source: "overlay", filter: kind("flood"), paint: { "line-color": token("map-flood-edge"), "line-width": 3 * k } });
    map.addLayer({ id: "plume", type: "fill", source: "overlay", filter: kind("plume"), paint: { "fill-color": token("map-plume"), "fill-opacity": ["coalesce", ["get", "opacity"], 0.16] } });
    map.addLayer({ id: "plume-edge", type: "line", source: "overlay", filter: kind("plume"), paint: { "line-color": token("map-plume"), "line-width": 2 * k, "line-dasharray": [4, 3] } });
    map.addLayer({ id: "ring", type: "fill", source: "overlay", filter: kind("ring"), paint: { "fill-color": token("map-pipe-hit"), "fill-opacity": 0.1 } });
    map.addLayer({ id: "ring-edge", type: "line", source: "overlay", filter: kind("ring"), paint: { "line-color": token("map-pipe-hit"), "line-width": 2.5 * k, "line-dasharray": [4, 3] } });
    map.addLayer({ id: "pipe", type: "line", source: "overlay", filter: kind("pipe"), layout: { "line-cap": "round", "line-join": "round" }, paint: { "line-color": token("map-pipe-hit"), "line-width": 7 * k } });
    const level = ["coalesce", ["feature-state", "l"], 0];
    const byLevel = (normal) => ["match", level, 1, token("l1"), 2, token("l2"), 3, token("l3"), 4, token("l4"), SILENT, token("stale"), normal];
    map.addLayer({
      id: "sensors",
      type: "circle",
      source: "sensors",
      paint: {
        "circle-radius": ["case", ["all", [">", level, 0], ["<", level, SILENT]], 9 * k, 5.5 * k],
        "circle-color": byLevel(token("map-sensor")),
        "circle-opacity": ["case", [">", level, 0], 1, 0.75],
        "circle-stroke-color": token("map-ground"),
        "circle-stroke-width": 1.5 * k,
      },
    });
    const text = { "text-font": FONT, "text-size": 32 * k, "text-anchor": "left", "text-offset": [1.35, 0] };
    const halo = { "text-color": token("t1"), "text-halo-color": token("map-halo"), "text-halo-width": 3 * k };
    map.addImage("blank", { width: COVER, height: COVER, data: new Uint8Array(4 * COVER * COVER) });
    map.addLayer({ id: "covers", type: "symbol", source: "covers", layout: { "icon-image": "blank", "icon-size": (1.5 * this.#coverStep()) / COVER, "icon-allow-overlap": true } });
    map.addLayer({
      id: "valves",
      type: "symbol",
      source: "overlay",
      filter: kind("valve"),
      layout: { ...text, "icon-image": "valve", "icon-allow-overlap": true, "text-field": ["get", "label"], "text-anchor": "top", "text-offset": [0, 0.7], "text-optional": true },
      paint: halo,
    });
    map.addLayer({
      id: "units",
      type: "symbol",
      source: "units",
      layout: { "icon-image": ["get", "icon"], "icon-rotate": ["get", "heading"], "icon-rotation-alignment": "map", "icon-allow-overlap": true, "icon-ignore-placement": true },
    });
    // what is drawn later is placed first: the shapes, the worst on top; then their words, the worst first
    const words = (id, source, field) => map.addLayer({ id, type: "symbol", source, layout: { ...text, "symbol-sort-key": ["get", "level"], "text-field": field }, paint: halo });
    const shapes = (id, source, icon) => map.addLayer({ id, type: "symbol", source, layout: { "icon-image": icon, "icon-allow-overlap": true, "symbol-sort-key": ["-", ["coalesce", ["get", "level"], 4]] } });
    words("minor-words", "minor", ["case", ["has", "point_count"], ["concat", "×", ["get", "point_count"]], ["coalesce", ["get", "label"], ""]]);
    words("incident-words", "incidents", ["get", "label"]);
    shapes("minor", "minor", ["coalesce", ["get", "icon"], "l4"]);
    shapes("incidents", "incidents", ["get", "icon"]);
  }

  /** Show these networks of the base map (`supply`, `drainage`, `gas` …) and no other. */
  networks(wanted) {
    if (!this.map) return;
    for (const layer of this.map.getStyle().layers) {
      if (!NETWORKS.has(layer.metadata?.group)) continue;
      this.map.setLayoutProperty(layer.id, "visibility", wanted.includes(layer.metadata.group) ? "visible" : "none");
    }
  }

  useDevices({ id, lon, lat }) {
    this.known = new Set(id);
    this.map.getSource("sensors").setData(collection(id.map((each, i) => pointFeature(lon[i], lat[i], {}, each))));
    for (const device of id) this.#paint(device, this.levels.get(device) ?? SILENT);
  }

  /** Colour the devices of a frame that changed their level; 9 stands for silent. One that never spoke is silent too. */
  points({ n, device, level }) {
    for (let i = 0; i < n; i += 1) this.#level(device[i], level[i]);
  }

  #level(device, level) {
    if (this.levels.get(device) === level) return;
    this.levels.set(device, level);
    if (this.ready) this.#paint(device, level);
  }

  #paint(device, level) {
    if (this.known.has(device)) this.map.setFeatureState({ source: "sensors", id: device }, { l: level });
  }

  incidents(incidents) {
    if (!this.ready) return;
    const open = incidents.filter((i) => isOpen(i) && i.lon !== null && i.lon !== undefined);
    const drawn = (some) =>
      collection(
        some.map((i) =>
          pointFeature(i.lon, i.lat, { id: i.id, icon: `l${i.level}${isUnacknowledged(i) ? "-ring" : ""}`, level: i.level, label: i.level <= 2 || open.length <= LABELLED ? told(i.short ?? i.title) : "" }),
        ),
      );
    this.map.getSource("incidents").setData(drawn(open.filter((i) => i.level < 4)));
    this.map.getSource("minor").setData(drawn(open.filter((i) => i.level === 4)));
    this.map.getSource("overlay").setData(collection(open.flatMap((i) => i.overlay ?? []).map(localised)));
  }

  units(crews, nowMs) {
    this.crews.take(crews, nowMs);
    if (this.ready) this.#drawUnits(nowMs);
  }

  /** Let the units glide on; costs nothing while all stand, and waits for a machine that has not drawn the last step. */
  glide(nowMs) {
    if (this.ready && this.crews.moving(nowMs) && this.map.isSourceLoaded("units")) this.#drawUnits(nowMs);
  }

  /** When all tiles of the view are drawn for the first time. It need not be idle then: a live city never is for long. */
  drawn() {
    return new Promise((done) => {
      const look = () => {
        if (!this.map.areTilesLoaded()) return;
        this.map.off("render", look);
        done();
      };
      this.map.on("render", look);
      this.map.triggerRepaint();
    });
  }

  #drawUnits(nowMs) {
    const drawn = this.crews.drawn(nowMs);
    const same = JSON.stringify(drawn);
    if (same === this.drawnUnits) return;
    this.drawnUnits = same;
    this.map.getSource("units").setData(collection(drawn.map(({ lon, lat, heading, old }) => pointFeature(lon, lat, { heading, icon: old ? "unit-old" : "unit" }))));
  }

  /** The whole city; on a wide map somewhat nearer, rather than small between two empty sides. */
  overview() {
    const { pitch, bearing, bounds } = this.setup;
    const { clientWidth: width, clientHeight: height } = this.container;
    this.map.fitBounds(bounds, { ...this.#overview(), pitch, bearing, duration: 0 });
    const nearer = Math.min(0.6, 0.45 * Math.log2(width / height / USUAL_ASPECT));
    if (nearer > 0) this.map.jumpTo({ zoom: this.map.getZoom() + nearer });
  }

  /** Lay the picture of this moment behind the canvas: on paper a canvas is empty. */
  still() {
    if (!this.ready) return;
    this.map.redraw();
    this.container.style.backgroundImage = `url(${this.map.getCanvas().toDataURL()})`;
  }

  #coverStep() {
    return 48 * this.k;
  }

  /** No name of the base map lies half below these boxes (px within the map) or is cut by the map's edge: it gives way. */
  cover(boxes) {
    this.covers = boxes;
    if (!this.ready) return;
    const { clientWidth: width, clientHeight: height } = this.container;
    const step = this.#coverStep();
    const edges = [[0, 0, 0, height], [width, 0, width, height], [0, height, width, height]];
    const points = [...boxes, ...edges].flatMap(([left, top, right, bottom]) => {
      const found = [];
      for (let x = left; x <= right; x += step) for (let y = top; y <= bottom; y += step) found.push(this.map.unproject([x, y]));
      return found;
    });
    this.map.getSource("covers").setData(collection(points.map(({ lng, lat }) => pointFeature(lng, lat, {}))));
  }

  /** While nobody flies, the overview moves so far that every open incident lies in it, beside the card. */
  keepInSight(incidents) {
    if (!this.ready || this.focused) return;
    const open = incidents.filter((i) => isOpen(i) && i.lon !== null && i.lon !== undefined);
    const shown = open.map((i) => i.id).sort().join(" ");
    if (shown === this.sight) return;
    this.sight = shown;
    const from = this.#camera();
    this.overview();
    if (open.length) this.#frame(open);
    if (this.reduced) return;
    const to = this.#camera();
    this.map.jumpTo(from);
    this.map.easeTo({ ...to, duration: FLY_MS });
  }

  #camera() {
    return { center: this.map.getCenter(), zoom: this.map.getZoom(), pitch: this.map.getPitch(), bearing: this.map.getBearing() };
  }

  /** Pan, and zoom out where panning is not enough, until these lie inside the free part of the map. */
  #frame(places) {
    const { clientWidth: width, clientHeight: height } = this.container;
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const { left, top } = this.beside();
    const free = { left: left + 4 * rem, right: width - 9 * rem, top: top + 8 * rem, bottom: height - 12 * rem };
    const over = (low, high, from, to) => (low < from ? low - from : high > to ? high - to : 0);
    for (let turn = 0; turn < 12; turn += 1) {
      const at = places.map(({ lon, lat }) => this.at(lon, lat));
      const [xs, ys] = [at.map(({ x }) => x), at.map(({ y }) => y)];
      const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
      if (right - left > free.right - free.left || bottom - top > free.bottom - free.top) {
        this.map.jumpTo({ zoom: this.map.getZoom() - 0.25 });
        continue;
      }
      const shift = [over(left, right, free.left, free.right), over(top, bottom, free.top, free.bottom)];
      if (!shift[0] && !shift[1]) return;
      this.map.panBy(shift, { duration: 0 });
    }
  }

  /** Fly to a new incident of level 1 or 2: at most one flight in 20 s, back after 45 s without a newer level 1. */
  follow(incidents, nowMs) {
    if (!this.ready) return;
    const fresh = incidents.filter((i) => isOpen(i) && i.level <= 2 && i.lon && !this.seen.has(i.id));
    if (this.flownMs === -Infinity && !this.started) {
      this.started = true;
      for (const each of fresh) this.seen.add(each.id);
      return;
    }
    if (fresh.length && nowMs - this.flownMs > FLY_GAP_MS) {
      const target = fresh.sort((a, b) => a.level - b.level)[0];
      for (const each of fresh) this.seen.add(each.id);
      this.focus(target, nowMs);
    } else if (this.focused && nowMs - this.flownMs > BACK_MS) {
      this.focused = null;
      this.sight = null;
    }
  }

  focus(incident, nowMs) {
    this.flownMs = nowMs;
    this.focused = incident.id;
    const options = { center: [incident.lon, incident.lat], zoom: this.map.getZoom() + 1.2, padding: this.padding(), pitch: this.setup.pitch + 5 };
    if (this.reduced) this.map.jumpTo(options);
    else this.map.easeTo({ ...options, duration: FLY_MS });
  }

  /** Room for the card (left) and the legend (foot), so that nothing lands under them. */
  padding() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return { left: 20 * rem, top: 8 * rem, right: 2 * rem, bottom: 6 * rem };
  }

  /** Where a place lies on the screen of the map, in CSS pixels. */
  at(lon, lat) {
    return this.map.project([lon, lat]);
  }
}

/** A feature whose label is a text becomes one whose label is words. */
function localised(feature) {
  const { label } = feature.properties;
  return label ? { ...feature, properties: { ...feature.properties, label: typeof label === "object" ? told(label) : name(label) } } : feature;
}
