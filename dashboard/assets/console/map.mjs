// The map of the console: that of the wall, but moved by hand, with the chosen incident and its evidence marked.

import { collection, pointFeature, token } from "../lib/mapkit.mjs";
import { WallMap } from "../wall/map.mjs";

export class ConsoleMap extends WallMap {
  constructor({ reduced, choose }) {
    super(null, { k: 0.45, reduced, interactive: true });
    this.choose = choose;
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
    for (const layer of ["incidents", "minor"]) {
      map.on("click", layer, ({ features: [{ properties, geometry }] }) =>
        properties.id ? this.choose(properties.id) : map.easeTo({ center: geometry.coordinates, zoom: map.getZoom() + 1.5 }),
      );
      map.on("mouseenter", layer, () => (map.getCanvas().style.cursor = "pointer"));
      map.on("mouseleave", layer, () => (map.getCanvas().style.cursor = ""));
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
