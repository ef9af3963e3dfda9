// A piece of evidence over time: what was measured, since when it was out of order, the limit where it is one of the value.

import { html } from "../lib/dom.mjs";
import { clock, hourMinute, measured } from "../lib/format.mjs";
import { t } from "../lib/text.mjs";

const W = 480;
const H = 120;
/** Units that nobody says. */
const BARE = new Set(["1", "count"]);
const [LEFT, RIGHT, TOP, FOOT] = [46, 8, 8, 20];

/** `items` = readings [{time, value}] in order; `at` = a moment to read off, or null. */
export function chart({ items, unit, onset, limit, level, label, fromMs, toMs }, at, point) {
  const shown = items.filter(({ value }) => Number.isFinite(value)).map(({ time, value }) => [Date.parse(time), value]);
  if (!shown.length) return html`<figure class="chart"><figcaption>${label}</figcaption><p class="empty">${t("wall.no_data")}</p></figure>`;
  const values = shown.map(([, value]) => value);
  const known = limit === null || limit === undefined ? values : [...values, limit];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const air = (high - low || Math.abs(high) || 1) * 0.08;
  const x = (ms) => LEFT + ((ms - fromMs) / (toMs - fromMs || 1)) * (W - LEFT - RIGHT);
  const y = (value) => H - FOOT - ((value - low + air) / (high - low + 2 * air)) * (H - FOOT - TOP);
  const line = shown.map(([ms, value], i) => `${i ? "L" : "M"}${x(ms).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const read = at === null ? shown.at(-1) : nearest(shown, at);
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    point(fromMs + (((event.clientX - box.left) / box.width) * W - LEFT) / (W - LEFT - RIGHT) * (toMs - fromMs));
  };
  return html`<figure class="chart">
    <figcaption><span>${label}</span><b class="n">${measured(read[1])} <small>${BARE.has(unit) ? "" : unit}</small></b><small class="n">${clock(read[0])}</small></figcaption>
    <svg viewBox="0 0 ${W} ${H}" role="img" aria-label=${`${label} ${measured(read[1])} ${unit}`} onPointerMove=${move} onPointerLeave=${() => point(null)}>
      ${onset && html`<rect class="since" x=${Math.max(LEFT, x(onset))} width=${Math.max(0, W - RIGHT - Math.max(LEFT, x(onset)))} y=${TOP} height=${H - FOOT - TOP} />`}
      ${[low, high].map((value) => html`<text x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${measured(value)}</text>`)}
      ${limit !== null && limit !== undefined && html`<path class="limit" style=${`stroke:var(--l${level})`} d=${`M${LEFT} ${y(limit)}H${W - RIGHT}`} /><text style=${`fill:var(--l${level})`} x=${LEFT + 4} y=${y(limit) - 4}>${measured(limit)}</text>`}
      <path class="line" d=${line} />
      <circle cx=${x(read[0])} cy=${y(read[1])} r="3.5" />
      <path class="base" d=${`M${LEFT} ${H - FOOT}H${W - RIGHT}`} />
      <text x=${LEFT} y=${H - 5}>${hourMinute(fromMs)}</text>
      ${onset && html`<text x=${Math.min(W - 90, Math.max(LEFT + 40, x(onset)))} y=${H - 5}>${clock(onset)}</text>`}
      <text x=${W - RIGHT} y=${H - 5} text-anchor="end">${hourMinute(toMs)}</text>
    </svg>
  </figure>`;
}

const nearest = (points, ms) => points.reduce((best, each) => (Math.abs(each[0] - ms) < Math.abs(best[0] - ms) ? each : best));
