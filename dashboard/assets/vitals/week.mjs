// The last seven days of one vital sign against what was usual at each hour, with its fixed limits.

import { html } from "../lib/dom.mjs";
import { date, hourMinute, measured } from "../lib/format.mjs";

const W = 960;
const H = 220;
const LEFT = 56;
const FOOT = 24;
const DAY_MS = 86400000;
/** A hole this long breaks the line: history comes by the quarter, older by the hour. */
const HOLE_MS = 2.5 * 3600000;

export function week({ history, limits = [] }) {
  const times = (history?.at_us ?? []).map((us) => us / 1000);
  if (times.length < 2) return html`<p class="empty">—</p>`;
  const given = [history.value, history.usual_low, history.usual_high, limits.map((l) => l.value)].flat().filter((v) => v !== null && v !== undefined);
  const [least, most] = [Math.min(...given), Math.max(...given)];
  const air = (most - least || Math.abs(most) || 1) * 0.06;
  const x = (ms) => LEFT + ((ms - times[0]) * (W - LEFT - 8)) / (times.at(-1) - times[0]);
  const y = (v) => H - FOOT - ((v - least + air) * (H - FOOT - 8)) / (most - least + 2 * air);
  const days = midnights(times[0], times.at(-1));
  return html`<svg class="weekly" viewBox="0 0 ${W} ${H}" role="img" aria-label=${`${measured(least)} – ${measured(most)}`}>
    ${days.map((ms) => html`<g><path class="day" d=${`M${x(ms)} 8V${H - FOOT}`} /><text x=${x(ms) + 4} y=${H - 6}>${date(ms).slice(5)}</text></g>`)}
    ${[least, most].map((v) => html`<text x=${LEFT - 6} y=${y(v) + 4} text-anchor="end">${measured(v)}</text>`)}
    <path class="band" d=${band(times, history, x, y)} />
    ${limits.map(({ level, value }) => html`<path class="limit" style=${`stroke:var(--l${level})`} d=${`M${LEFT} ${y(value)}H${W - 8}`} />`)}
    <path class="line" d=${path(times, history.value, x, y)} />
    <text class="last" x=${W - 8} y="14" text-anchor="end">${hourMinute(times.at(-1))}</text>
  </svg>`;
}

function path(times, values, x, y) {
  return values.map((v, i) => `${i && times[i] - times[i - 1] < HOLE_MS ? "L" : "M"}${x(times[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("");
}

function band(times, { usual_low: low, usual_high: high }, x, y) {
  const rows = times.map((ms, i) => [ms, low?.[i], high?.[i]]).filter(([, least]) => least !== null && least !== undefined);
  if (!rows.length) return "";
  const point = (ms, v) => `${x(ms).toFixed(1)} ${y(v).toFixed(1)}`;
  return `M${rows.map(([ms, least]) => point(ms, least)).join("L")}L${rows.reverse().map(([ms, , most]) => point(ms, most)).join("L")}Z`;
}

/** Begins of the city's days between two times. */
function midnights(fromMs, toMs) {
  const found = [];
  for (let ms = fromMs; ms <= toMs; ms += 900000) {
    if (date(ms) !== date(ms - 900000)) found.push(ms);
  }
  return found.filter((ms, i) => !i || ms - found[i - 1] > DAY_MS / 2);
}
