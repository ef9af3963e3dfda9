// All points of a quantity, coloured by their value at one moment; a point that said nothing then is a hollow ring.

import { collection, createMap, pointFeature, token } from "../lib/mapkit.mjs";
import { name } from "../lib/text.mjs";

/** Colours lie between these shares of all values, so that one broken sensor does not flatten the rest. */
const [LEAST, MOST] = [0.02, 0.98];
const MISSING = -1;

export class TimeMap {
  constructor(choose) {
    this.choose = choose;
    this.low = NaN;
    this.high = NaN;
  }

  async start(container, { style, bounds }) {
    this.map = await createMap(container, { style, k: 0.45, view: { bounds, fitBoundsOptions: { padding: 20 } } });
    const { map } = this;
    map.addSource("then", { type: "geojson", data: collection() });
    const share = ["coalesce", ["feature-state", "v"], MISSING];
    const missing = ["<", share, 0];
    map.addLayer({
      id: "then",
      type: "circle",
      source: "then",
      paint: {
        "circle-radius": ["case", missing, 4, 7],
        "circle-color": ["interpolate", ["linear"], share, 0, token("scale-low"), 0.5, token("accent"), 1, token("t1")],
        "circle-opacity": ["case", missing, 0, 1],
        "circle-stroke-width": ["case", missing, 1.5, 1],
        "circle-stroke-color": ["case", missing, token("stale"), token("map-ground")],
      },
    });
    map.on("click", "then", ({ features }) => this.choose(features[0].properties.point));
    map.on("mouseenter", "then", ({ features }) => this.#tell(features[0].properties));
    map.on("mouseleave", "then", () => this.#tell(null));
    if (this.found) this.use(this.found);
  }

  #tell(point) {
    this.map.getCanvas().style.cursor = point ? "pointer" : "";
    this.map.getContainer().title = point ? point.name : "";
  }

  use(found) {
    this.found = found;
    const all = (found?.values ?? []).flat().filter((value) => value !== null).sort((a, b) => a - b);
    this.low = all[Math.floor(LEAST * (all.length - 1))] ?? NaN;
    this.high = all[Math.ceil(MOST * (all.length - 1))] ?? NaN;
    if (!this.map) return;
    const features = (found?.devices ?? []).map((each, i) => pointFeature(each.lon, each.lat, { point: each.point, name: name(each.name) }, i + 1));
    this.map.getSource("then").setData(collection(features));
  }

  /** The values of one step, in the order of the devices. */
  show(values) {
    if (!this.map || !values) return;
    const wide = this.high - this.low;
    const share = (value) => (wide > 0 ? Math.max(0, Math.min(1, (value - this.low) / wide)) : 0.5);
    values.forEach((value, i) => this.map.setFeatureState({ source: "then", id: i + 1 }, { v: value === null ? MISSING : share(value) }));
  }

  /** A PNG of the map as it stands, with what it is printed on it. */
  async picture(words) {
    const drawn = new Promise((ready) => this.map.once("render", () => ready(createImageBitmap(this.map.getCanvas()))));
    this.map.triggerRepaint();
    const bitmap = await drawn;
    const [paper, line] = [document.createElement("canvas"), 28];
    paper.width = bitmap.width;
    paper.height = bitmap.height + line;
    const pen = paper.getContext("2d");
    pen.fillStyle = token("bg");
    pen.fillRect(0, 0, paper.width, paper.height);
    pen.drawImage(bitmap, 0, 0);
    pen.fillStyle = token("t2");
    pen.font = "14px sans-serif";
    pen.fillText(words, 10, bitmap.height + 19);
    return paper.toDataURL("image/png");
  }
}
