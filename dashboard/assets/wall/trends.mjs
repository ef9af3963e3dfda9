// The strip below the map: what came in today against the usual day, and the vital sign that matters most with its limits.

import { html } from "../lib/dom.mjs";
import { hourOf, number } from "../lib/format.mjs";
import { t } from "../lib/text.mjs";
import { placed, unit } from "./vitals.mjs";

const FOOT = 30;
const LEFT = 62;
const HOUR_MS = 3600000;
const SHOWN_H = 8;
/** Quarters that are drawn beyond now. */
const AHEAD = 16;
/** A strip wider than this (tenths of a rem) has room for one plot more. */
const WIDEST = 2150;
/** What a heading leaves for the place, rem. */
const NOTE = 24;
/** A narrower plot names fewer hours. */
const NARROW = 380;
const DAY_SHARE = 1.15;
const GUTTER = 12.5;
const MARGINS = 32;

/** The rows whose limits are drawn: the worst coloured ones, else the first that ask for it. */
export function focusOf(vitals, count) {
  const able = vitals.filter((v) => v.limits?.length && v.trend?.values?.length && v.state !== "no_data");
  return able.sort((a, b) => (a.level || 9) - (b.level || 9) || a.order - b.order).slice(0, count);
}

/** `width`, `height` of the strip in tenths of a rem; no plot is wider than a hundred rem. `areas` = area → its names; `given`: widths of two charts, rem. */
export function trends(vitals, width, height, { nowMs, areas, given }) {
  const bars = vitals.find((v) => v.day);
  const focused = focusOf(vitals, width > WIDEST && !given ? 2 : 1);
  const others = Math.max(1, focused.length);
  const plot = (share) => (given ? given[share > 1 ? 0 : 1] * 10 : ((width - GUTTER * others) * share) / (DAY_SHARE + others)) - MARGINS;
  return html`<div class="trends" style=${`grid-template-columns:var(--charts, ${DAY_SHARE}fr ${"1fr ".repeat(others)})`}>
    <div class="panel"><header><h2>${bars ? t(`vital.${bars.id}.name`) : t("wall.received")}</h2><span>${bars ? [t("wall.today"), unit(bars)].join(" · ") : ""}</span></header>
      ${bars ? barPlot(bars, plot(DAY_SHARE), height, nowMs) : html`<p class="empty">${t("wall.no_data")}</p>`}</div>
    ${!focused.length && html`<div class="panel"><header><h2>${t("wall.limits")}</h2></header><p class="empty">${t("wall.no_limits")}</p></div>`}
    ${focused.map(
      (each) => html`<div class="panel" key=${each.id}><header><h2>${t(`vital.${each.id}.name`)}</h2><span>${[placed(each.sub, areas, NOTE) || t("wall.last_hours", { n: SHOWN_H }), unit(each)].filter(Boolean).join(" · ")}</span></header>
        ${limitPlot(each, plot(1), height, nowMs)}</div>`,
    )}
  </div>`;
}

/** Round numbers from `low` to `high`, two to four of them, and the digits that they need. */
function steps(low, high) {
  const raw = (high - low) / 3;
  const power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? power;
  const found = [];
  for (let n = Math.ceil(low / step - 0.01); n * step <= high + step * 0.01; n += 1) found.push(n * step);
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step))) };
}

/** Hours that are over as bars; the running one is hollow, and its figure is that of the last whole hour: it is no fall. */
function barPlot({ day, digits }, width, height, nowMs) {
  const hour = hourOf(nowMs);
  const hours = day.values.map((v, h) => [h, v]).filter(([h, v]) => h <= hour && v !== null && v !== undefined);
  const counts = new Map(hours);
  const last = hours.findLast(([h]) => h < hour) ?? hours.at(-1);
  const most = Math.max(...counts.values(), ...day.high.filter((v) => v !== null && v !== undefined), digits ? 0 : 4);
  const top = (most > 0 ? most : 1) * 1.12;
  const scale = steps(0, top / 1.12);
  const x = (h) => LEFT + (h * (width - LEFT - 8)) / 24;
  const y = (v) => height - FOOT - (v / top) * (height - FOOT - 22);
  const band = bandOf(day.low, day.high, x, y, 0.5);
  const bar = (width - LEFT) / 24;
  const outside = (h, v) => day.high[h] !== null && day.high[h] !== undefined && v > day.high[h];
  const kind = (h, v) => (h === hour ? "bar running" : outside(h, v) ? "bar out" : "bar");
  return html`<svg class="plot" viewBox="0 0 ${width} ${height}" role="img">
    ${scale.found.map((v) => html`<text class="axis" x=${LEFT - 8} y=${y(v) + 7} text-anchor="end">${number(v, scale.digits)}</text>`)}
    ${band && html`<path class="band" d=${band} />`}
    ${hours.map(([h, v]) => html`<rect class=${kind(h, v)} x=${x(h) + bar * 0.13} width=${bar * 0.74} y=${y(v)} height=${height - FOOT - y(v)} />`)}
    ${last && html`<text class="now" x=${Math.max(x(last[0]) + bar / 2, LEFT + 20)} y=${Math.max(20, y(last[1]) - 8)} text-anchor="middle">${number(last[1], digits)}</text>`}
    <path class="base" d=${`M${LEFT} ${height - FOOT}H${width - 8}`} />
    ${[0, 6, 12, 18].filter((h) => width > NARROW || h % 12 === 0).map((h) => html`<text class="axis" x=${x(h)} y=${height - 6} text-anchor=${h ? "middle" : "start"}>${String(h).padStart(2, "0")}:00</text>`)}
    ${band && html`<text class="label" x=${width - 12} y=${Math.max(24, Math.min(...day.high.slice(17).filter((v) => v !== null).map(y)) - 10)} text-anchor="end">${t("wall.usual_band")}</text>`}
  </svg>`;
}

function bandOf(low, high, x, y, shift) {
  const hours = low.map((v, h) => h).filter((h) => low[h] !== null && low[h] !== undefined);
  if (hours.length < 2) return null;
  const line = (values) => values.map(([h, v]) => `${x(h + shift).toFixed(1)} ${y(v).toFixed(1)}`).join("L");
  return `M${line(hours.map((h) => [h, high[h]]))}L${line(hours.map((h) => [h, low[h]]).reverse())}Z`;
}

/** The last hours against the limits, and beyond the line of now what is usual in the hours to come: no forecast is made. */
function limitPlot({ trend, value, state, limits, digits, level }, width, height) {
  const stepMs = trend.step_s * 1000;
  const n = Math.min(trend.values.length, Math.round((SHOWN_H * HOUR_MS) / stepMs));
  const values = [...trend.values.slice(-n), state === "ok" ? value : null];
  const low = [...(trend.low?.slice(-n) ?? []), ...(trend.ahead_low ?? [])];
  const high = [...(trend.high?.slice(-n) ?? []), ...(trend.ahead_high ?? [])];
  const whole = n + Math.max(AHEAD, trend.ahead_low?.length ?? 0);
  const known = [...values, ...low, ...high].filter((v) => v !== null && v !== undefined);
  const spread = limits.map((l) => l.value);
  const min = Math.min(...known, ...spread);
  const max = Math.max(...known, ...spread);
  const scale = steps(min, max);
  const air = (max - min || Math.abs(max) || 1) * 0.1;
  const x = (i) => LEFT + (i * (width - LEFT - 8)) / whole;
  const y = (v) => height - FOOT - ((v - min + air) / (max - min + 2 * air)) * (height - FOOT - 12);
  const colour = level ? `var(--l${level})` : "var(--t1)";
  const line = values.map((v, i) => [i, v]).filter(([, v]) => v !== null && v !== undefined);
  const band = bandOf(low, high, x, y, 0);
  const marks = [-8, -4, 0, 4].map((h) => [h, x(n + (h * HOUR_MS) / stepMs)]);
  return html`<svg class="plot" viewBox="0 0 ${width} ${height}" role="img">
    ${scale.found.map((v) => html`<text class="axis" x=${LEFT - 8} y=${y(v) + 7} text-anchor="end">${number(v, scale.digits)}</text>`)}
    ${band && html`<path class="band" d=${band} />`}
    ${spaced(limits, y).map(
      (l) => html`<path class="limit" style=${`stroke:var(--l${l.level})`} d=${`M${LEFT} ${y(l.value)}H${width - 8}`} />
        <text class="label" style=${`fill:var(--l${l.level})`} x=${l.shift ? LEFT + 150 : LEFT + 8} y=${y(l.value) - 6}>${t(`level.${l.level}`)} ${number(l.value, digits)}</text>`,
    )}
    <path class="present" d=${`M${x(n)} 0V${height - FOOT}`} />
    <path class="line" d=${line.map(([i, v], at) => `${at ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("")} />
    ${line.length > 0 && state === "ok" && html`<circle cx=${x(line.at(-1)[0])} cy=${y(line.at(-1)[1])} r="5" style=${`fill:${colour}`} />
      <text class="now" style=${`fill:${colour}`} x=${x(n) + 12} y=${y(line.at(-1)[1]) + 8}>${number(line.at(-1)[1], digits)}</text>`}
    <path class="base" d=${`M${LEFT} ${height - FOOT}H${width - 8}`} />
    ${marks.map(([h, at]) => html`<text class="axis" x=${at} y=${height - 6} text-anchor=${h === -8 ? "start" : h === 4 ? "end" : "middle"}>${h ? `${h < 0 ? "−" : "+"}${Math.abs(h)} h` : t("wall.now")}</text>`)}
  </svg>`;
}

/** Labels of limits that lie close to each other stand side by side. */
function spaced(limits, y) {
  const placed = [];
  for (const limit of [...limits].sort((a, b) => y(a.value) - y(b.value))) {
    const near = placed.at(-1);
    placed.push({ ...limit, shift: near && !near.shift && y(limit.value) - y(near.value) < 26 });
  }
  return placed;
}
