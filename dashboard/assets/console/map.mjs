// The map of the console: that of the wall, but moved by hand, with the chosen incident and its evidence marked.

import { collection, pointFeature, token } from "../lib/mapkit.mjs";
import { WallMap } from "../wall/map.mjs";

/** What can be hidden; what else there is always shows. */
const GROUPS = ["supply", "drainage", "gas", "districts", "grid", "sites", "buildings", "facilities", "labels", "hazards", "sensors", "units"];
const OURS = { overlay: "hazards", sensors: "sensors", units: "units" };
const groupOf = (layer) => layer.metadata?.group ?? OURS[layer.source] ?? "";

export class ConsoleMap extends WallMap {
  /** `moved()` after the place or the layers in the address have changed. */
  constructor({ reduced, choose, moved }) {
    super(null, { k: 0.45, reduced, interactive: true });
    Object.assign(this, { choose, moved, hidden: new Set() });
  }

  async start(container, setup, devices) {
    this.container = container;
    await super.start(setup, devices);
    const { map } = this;
    map.addSource("marked", { type: "geojson", data: collection() });
    map.addLayer(
      { id: "marked", type: "circle", source: "marked", paint: { "circle-radius": ["get", "size"], "circle-color": "rgba(0,0,0,0)", "circle-stroke-color": token("accent"), "circle-stroke-width": 2 } },
      "incidents",
    );
    this.hidden = new Set(this.groups.filter((group) => map.getStyle().layers.some((layer) => groupOf(layer) === group && layer.layout?.visibility === "none")));
    this.usual = [...this.hidden].join();
    this.go(location.hash);
    map.on("moveend", () => this.moved());
    for (const layer of ["incidents", "minor"]) {
      map.on("click", layer, ({ features: [{ properties, geometry }] }) =>
        properties.id ? this.choose(properties.id) : map.easeTo({ center: geometry.coordinates, zoom: map.getZoom() + 1.5 }),
      );
      map.on("mouseenter", layer, () => (map.getCanvas().style.cursor = "pointer"));
      map.on("mouseleave", layer, () => (map.getCanvas().style.cursor = ""));
    }
  }

  /** Groups of layers that can be shown or not: what the style names, and what is drawn over it. */
  get groups() {
    if (!this.ready) return [];
    const known = new Set(this.map.getStyle().layers.map(groupOf));
    return GROUPS.filter((group) => known.has(group));
  }

  /** Where it looks and what it shows, as it stands in the address: `#z/lat/lon/bearing/pitch&layers=…`. */
  get hash() {
    if (!this.ready) return location.hash;
    const { lng, lat } = this.map.getCenter();
    const place = [this.map.getZoom().toFixed(2), lat.toFixed(5), lng.toFixed(5), this.map.getBearing().toFixed(0), this.map.getPitch().toFixed(0)].join("/");
    return `#${place}${[...this.hidden].join() === this.usual ? "" : `&layers=${this.groups.filter((group) => !this.hidden.has(group)).join(",")}`}`;
  }

  /** Look where an address says. */
  go(hash) {
    const [place, layers] = hash.slice(1).split("&layers=");
    const [zoom, lat, lng, bearing = 0, pitch = 0] = place.split("/").map(Number);
    if (place && [zoom, lat, lng].every(Number.isFinite)) this.map.jumpTo({ zoom, center: [lng, lat], bearing, pitch });
    if (layers !== undefined) this.only(new Set(layers.split(",")));
  }

  toggle(group) {
    const shown = new Set(this.groups.filter((each) => (each === group) === this.hidden.has(each)));
    this.only(shown);
    this.moved();
  }

  only(shown) {
    this.hidden = new Set(this.groups.filter((group) => !shown.has(group)));
    for (const layer of this.map.getStyle().layers) {
      const group = groupOf(layer);
      if (GROUPS.includes(group)) this.map.setLayoutProperty(layer.id, "visibility", this.hidden.has(group) ? "none" : "visible");
    }
  }

  /** A ring about the chosen incident and small ones about its evidence. */
  mark(incident, evidence = []) {
    if (!this.ready) return;
    const rings = evidence.filter((e) => e.lon).map((e) => pointFeature(e.lon, e.lat, { size: 8 }));
    if (incident?.lon) rings.push(pointFeature(incident.lon, incident.lat, { size: 20 }));
    this.map.getSource("marked").setData(collection(rings));
  }

  show({ lon, lat }) {
    if (!this.ready || !lon) return;
    const options = { center: [lon, lat], zoom: Math.max(this.map.getZoom(), 14.5) };
    if (this.reduced) this.map.jumpTo(options);
    else this.map.easeTo({ ...options, duration: 600 });
  }
}
