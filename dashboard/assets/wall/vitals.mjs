// Left column: how is the city? Four groups of rows: shape · name · value and unit · 24 h trace.

import { html } from "../lib/dom.mjs";
import { age, number } from "../lib/format.mjs";
import { half, shape } from "../lib/shapes.mjs";
import { has, language, name, t, told } from "../lib/text.mjs";
import { trace } from "../lib/trace.mjs";

/** More coloured rows than this and colour stops meaning anything: the wash is left to the worst. */
const WASHES = 5;
/** Groups whose headings the layout has room for beside a full set of rows. */
const GROUPS = 4;
/** What a line below a name has room for, rem. */
const LINE = 17;
/** The height of a heading in rows. */
const HEADING = 0.6;

/** The rows that are shown: those of the wall in their order; a coloured reserve row takes the calmest one's place. */
export function chosen(vitals, count) {
  const rows = vitals.filter((v) => v.slot === "row").sort(byOrder);
  const spare = vitals.filter((v) => v.slot === "reserve" && v.level).sort((a, b) => a.level - b.level || byOrder(a, b));
  for (const row of spare) {
    if (rows.length < count) rows.push(row);
    else {
      const calm = rows.findLastIndex((each) => !each.level);
      if (calm < 0) break;
      rows.splice(calm, 1, row);
    }
  }
  // every further group takes a heading's height: cut rows rather than squeeze them
  const fits = () => count - Math.max(0, new Set(rows.map((row) => row.group)).size - GROUPS);
  while (rows.length > fits()) {
    const calm = rows.findLastIndex((each) => !each.level);
    rows.splice(calm < 0 ? rows.length - 1 : calm, 1);
  }
  return rows.sort(byOrder);
}

const byOrder = (a, b) => a.order - b.order;

/** `areas` = area → its names; `index`: the city's, which shows its worst part while a level 1 incident stands. */
export function vitals(rows, total, { scene, areas, index, nowMs }) {
  const groups = new Map();
  for (const row of rows) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  const washed = new Set(rows.filter((r) => r.level === 1 || r.level === 2).sort((a, b) => a.level - b.level).slice(0, WASHES));
  return html`<div class="panel vitals">
    <header><h2>${t("wall.vitals")}${scene.domains.length ? html`<small>${t(`scene.${scene.key}`)}</small>` : null}</h2>
      ${index && html`<p class=${`index ${index.shows === "worst" ? "l1" : ""}`}>${t(index.shows === "worst" ? "wall.index_worst" : "wall.index")} <b class="n">${index.value === null ? "—" : number(index.value)}</b></p>`}
      <span>${t("wall.vitals_note")}</span></header>
    ${!rows.length && html`<p class="empty">${t("wall.no_vitals")}</p>`}
    ${[...groups].map(
      ([key, members]) => html`<section class="group" style=${`flex:${members.length + HEADING} 1 0`}>
        <h3>${t(`vital_group.${key}`)}</h3>
        ${members.map((row) => vital(row, washed.has(row), areas, nowMs))}
      </section>`,
    )}
    ${total > rows.length && html`<p class="more">+${total - rows.length}</p>`}
  </div>`;
}

function vital(row, washed, areas, nowMs) {
  const known = row.state === "ok" || row.state === "stale" || row.state === "low_coverage" || row.state === "estimated";
  const level = row.state === "ok" || row.state === "estimated" ? row.level : 0;
  const classes = ["vital", row.state, level ? `l${level}` : "", washed ? "wash" : ""].join(" ");
  return html`<div class=${classes} key=${row.id}>
    <span class="mark">${level ? shape(level, { title: t(`level.${level}`) }) : row.state === "no_data" ? half : null}</span>
    <span class="what"><b>${t(`vital.${row.id}.name`)}</b><small>${subline(row, areas, nowMs)}</small></span>
    <span class="value n">
      ${row.state === "estimated" && html`<i class="tag">${t("wall.estimated")}</i>`}
      <b>${known ? shown(row) : "—"}</b><small>${unit(row)}</small>
    </span>
    ${trace({ trend: row.trend, value: row.value, level, state: row.state })}
  </div>`;
}

/** "61/74" where the declaration asks for parts, else the value. */
export const shown = (row) => (row.parts ? `${number(row.parts[0])}/${number(row.parts[1])}` : number(row.value, row.digits));

/** The unit in the reader's language; counting words of Chinese have no English one. */
export function unit(row) {
  if (row.parts && row.unit === "%") return "";
  const key = `unit.${row.unit}`;
  if (has(key)) return t(key);
  return language === "en" && /[\u4e00-\u9fff]/.test(row.unit) ? "" : row.unit;
}

/** A place whose name is too long for the line (so many rem) is named by its area. */
export function placed(sub, areas, room) {
  const words = told(sub);
  const place = sub?.params?.place ?? sub;
  const width = [...words].reduce((sum, letter) => sum + (letter > "\u2e80" ? 2 : 0.95), 0);
  return width > room && words === name(place) && areas[place.area] ? name(areas[place.area]) : words;
}

function subline(row, areas, nowMs) {
  const seconds = row.as_of ? (nowMs - Date.parse(row.as_of)) / 1000 : 0;
  if (row.state === "no_data") return t("wall.no_data");
  if (row.state === "empty") return t("vitals_page.nothing");
  if (row.state === "stale") return t("wall.stale", { age: age(seconds) });
  if (row.state === "low_coverage") return t("wall.low_coverage", { n: row.coverage[0], of: row.coverage[1] });
  if (row.history_days < 7 && !row.sub) return t("wall.learning", { n: row.history_days });
  return placed(row.sub, areas, LINE);
}
