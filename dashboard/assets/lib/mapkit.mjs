// MapLibre for all pages: our own tiles, our own symbols, sizes that follow the canvas, colours from the theme.

import { SHAPES } from "./shapes.mjs";

const SIZES = ["text-size", "text-halo-width", "icon-size", "line-width", "line-gap-width", "line-offset", "circle-radius", "circle-stroke-width", "symbol-spacing", "text-max-width"];
let library = null;

/** The map's library comes when the first map does: pages show their figures before. */
async function loaded() {
  const [{ Map: MapLibre, addProtocol }, { Protocol }] = await Promise.all([import("../vendor/maplibre-gl.mjs"), import("../vendor/pmtiles.mjs")]);
  addProtocol("pmtiles", new Protocol().tile);
  return MapLibre;
}

/** A theme token as a colour. */
export const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The style with every pixel size multiplied by k and every zoom shifted by log2 k: the same picture at every size. */
export function scaled(style, k) {
  const shift = Math.log2(k);
  const layers = style.layers.map((layer) => {
    const copy = structuredClone(layer);
    if (copy.minzoom !== undefined) copy.minzoom = clamp(copy.minzoom + shift);
    if (copy.maxzoom !== undefined) copy.maxzoom = clamp(copy.maxzoom + shift);
    for (const part of ["paint", "layout"]) {
      for (const [name, value] of Object.entries(copy[part] ?? {})) {
        const size = SIZES.includes(name) && name !== "text-max-width";
        copy[part][name] = expression(value, size ? k : 1, shift);
      }
    }
    return copy;
  });
  return { ...style, layers };
}

const clamp = (zoom) => Math.max(0, Math.min(24, zoom));

function expression(value, k, shift) {
  if (typeof value === "number") return value * k;
  if (!Array.isArray(value)) return value;
  const [operator] = value;
  const zoomed = JSON.stringify(value[operator === "step" ? 1 : 2]) === '["zoom"]';
  if (operator === "interpolate") {
    return value.map((part, i) => (i < 3 ? part : i % 2 ? (zoomed ? part + shift : part) : expression(part, k, shift)));
  }
  if (operator === "step") {
    return value.map((part, i) => (i < 2 ? part : i % 2 ? (zoomed ? part + shift : part) : expression(part, k, shift)));
  }
  if (k === 1) return value;
  if (operator === "case") return value.map((part, i) => (i && (i % 2 === 0 || i === value.length - 1) ? expression(part, k, shift) : part));
  if (operator === "match") return value.map((part, i) => (i > 2 && (i % 2 || i === value.length - 1) ? expression(part, k, shift) : part));
  return ["*", k, value];
}

/** A map in an element. `view` = {bounds or center and zoom, pitch, bearing}. */
export async function createMap(container, { style, k = 1, view = {}, interactive = true }) {
  const MapLibre = await (library ??= loaded());
  const map = new MapLibre({
    container,
    style: scaled(style, k),
    interactive,
    attributionControl: false,
    fadeDuration: 0,
    maxCanvasSize: [8192, 8192],
    canvasContextAttributes: { antialias: true },
    maxPitch: 70,
    ...view,
  });
  await new Promise((resolve) => map.once("load", resolve));
  addShapes(map, k);
  return map;
}

/** Icons drawn on a canvas: l1 … l4, each also with a ring, an arrow for our own units, a valve. */
export function addShapes(map, k) {
  const size = Math.max(24, Math.round(60 * k));
  for (const level of [1, 2, 3, 4]) {
    for (const ring of [false, true]) map.addImage(`l${level}${ring ? "-ring" : ""}`, levelIcon(level, size, ring));
  }
  map.addImage("unit", unitIcon(Math.round(size * 0.62), false));
  map.addImage("unit-old", unitIcon(Math.round(size * 0.62), true));
  map.addImage("valve", valveIcon(Math.round(size * 0.5)));
}

function canvas(size, draw) {
  const element = document.createElement("canvas");
  element.width = element.height = size;
  const pen = element.getContext("2d");
  pen.scale(size / 112, size / 112);
  pen.translate(6, 6);
  draw(pen);
  return pen.getImageData(0, 0, size, size);
}

const levelIcon = (level, size, ring) =>
  canvas(size, (pen) => {
    const { d, y, size: figure } = SHAPES[level];
    const outline = new Path2D(d);
    pen.lineJoin = "round";
    pen.strokeStyle = ring ? token("t1") : token("map-ground");
    pen.lineWidth = ring ? 12 : 6;
    pen.stroke(outline);
    pen.fillStyle = token(`l${level}`);
    pen.fill(outline);
    pen.fillStyle = token("ink");
    pen.font = `600 ${figure}px "Barlow Semi Condensed", sans-serif`;
    pen.textAlign = "center";
    pen.fillText(String(level), 50, y);
  });

const unitIcon = (size, old) =>
  canvas(size, (pen) => {
    const arrow = new Path2D("M50 6 88 92 50 72 12 92Z");
    pen.lineJoin = "round";
    pen.lineWidth = 8;
    pen.strokeStyle = old ? token("stale") : token("map-ground");
    pen.stroke(arrow);
    if (old) return;
    pen.fillStyle = token("accent");
    pen.fill(arrow);
  });

const valveIcon = (size) =>
  canvas(size, (pen) => {
    pen.beginPath();
    pen.arc(50, 50, 34, 0, 7);
    pen.fillStyle = token("ink");
    pen.fill();
    pen.lineWidth = 13;
    pen.strokeStyle = token("t1");
    pen.stroke();
  });

export const collection = (features = []) => ({ type: "FeatureCollection", features });
export const pointFeature = (lon, lat, properties, id) => ({ type: "Feature", id, properties, geometry: { type: "Point", coordinates: [lon, lat] } });
