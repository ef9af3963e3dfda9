// A 24 h trace against its usual band. Drawn in tenths of a rem, so that it scales with the wall and never distorts.

import { html } from "./dom.mjs";

const W = 152;
const H = 56;
const PAD = 5;

/** Bounds of everything that is drawn, with some air; a flat line lies in the middle. */
function bounds(...lists) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list ?? []) {
      if (value === null || value === undefined) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (low > high) return [0, 1];
  const air = high - low || Math.abs(high) || 1;
  return [low - air * 0.06, high + air * 0.06];
}

/** Pieces of a line without holes: [[x, y], …] each. */
function pieces(values, x, y) {
  const found = [];
  let piece = null;
  values.forEach((value, i) => {
    if (value === null || value === undefined) piece = null;
    else {
      if (!piece) found.push((piece = []));
      piece.push([x(i), y(value)]);
    }
  });
  return found;
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** `trend` = {values, low, high} over equal steps to now; `level` colours what lies outside the band. */
export function trace({ trend, value, level, state }) {
  if (!trend?.values?.length) return html`<svg class="trace" viewBox="0 0 ${W} ${H}"></svg>`;
  const values = state === "ok" && value !== null && value !== undefined ? [...trend.values, value] : [...trend.values, null];
  const n = values.length;
  const [low, high] = bounds(values, trend.low, trend.high);
  const x = (i) => PAD + (i * (W - 2 * PAD)) / (n - 1);
  const y = (v) => H - PAD - ((v - low) / (high - low)) * (H - 2 * PAD);
  const band = bandPath(trend, n, x, y);
  const lines = pieces(values, x, y);
  const outside = level ? pieces(values.map((v, i) => (isOutside(v, trend, Math.min(i, n - 2)) ? v : null)), x, y).slice(-1) : [];
  const last = values.findLastIndex((v) => v !== null && v !== undefined);
  const end = last >= 0 ? [x(last), y(values[last])] : null;
  const colour = level ? `var(--l${level})` : "var(--t1)";
  return html`<svg class="trace" viewBox="0 0 ${W} ${H}" aria-hidden="true">
    ${band && html`<path class="band" d=${band} />`}
    ${lines.map((points) => html`<path class="line" d=${path(points)} />`)}
    ${outside.map((points) => html`<path class="line out" style=${`stroke:${colour}`} d=${path(joined(points, lines))} />`)}
    ${end && state !== "ok" && html`<path class="missing" d=${`M${end[0]} ${end[1]}H${W - PAD}`} />`}
    ${end && html`<circle class=${state === "ok" ? "end" : "end stale"} cx=${end[0]} cy=${end[1]} r="3.4" style=${state === "ok" ? `fill:${colour}` : ""} />`}
  </svg>`;
}

/** A lone point outside the band is drawn from its neighbour, so that it is a line. */
function joined(points, lines) {
  if (points.length > 1) return points;
  const line = lines.find((each) => each.some(([x]) => x === points[0][0]));
  const at = line?.findIndex(([x]) => x === points[0][0]) ?? -1;
  return at > 0 ? [line[at - 1], points[0]] : points;
}

function isOutside(value, { low, high }, i) {
  if (value === null || value === undefined || !low || low[i] === null || low[i] === undefined) return false;
  return value < low[i] || value > high[i];
}

function bandPath({ low, high }, n, x, y) {
  if (!low || low.every((v) => v === null)) return null;
  const top = [];
  const foot = [];
  low.forEach((value, i) => {
    if (value === null || value === undefined) return;
    foot.push([x(i), y(value)]);
    top.push([x(i), y(high[i])]);
  });
  if (foot.length) {
    foot.push([x(n - 1), foot.at(-1)[1]]);
    top.push([x(n - 1), top.at(-1)[1]]);
  }
  return `${path(top)}${path(foot.reverse()).replace("M", "L")}Z`;
}
