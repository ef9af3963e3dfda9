// Top: which posture are we in, and what time is it? Plus the strip of five figures above the map.

import { html } from "../lib/dom.mjs";
import { clock, date, hourMinute, number, weekday } from "../lib/format.mjs";
import { ROMAN, shape } from "../lib/shapes.mjs";
import { name, t, told } from "../lib/text.mjs";
import { shown, unit } from "./vitals.mjs";

export function brand(city) {
  return html`<div class="brand">
    <svg viewBox="0 0 64 64" aria-hidden="true"><rect x="3" y="3" width="58" height="58" rx="9" /><path d="M32 14V50M14 32H50" /></svg>
    <div><h1>${t("wall.title", { city: name(city) })}</h1><p>${t("wall.subtitle")}</p></div>
  </div>`;
}

/** Our own response and the authority's warning are two things, and stand apart. */
export function posture({ response, warnings = [] }, unacknowledged) {
  const warning = warnings[0];
  const level = response?.level ?? 0;
  return html`<div class=${`posture ${level ? `l${level}` : "calm"}`}>
    <span class="mark">${level ? shape(level, { figure: ROMAN[level], title: t("wall.response") }) : html`<svg class="shape" viewBox="0 0 100 100"><circle cx="50" cy="50" r="43" /></svg>`}</span>
    <div class="words">
      <p>${t("wall.posture")}</p>
      <h2>${level ? html`<em>${t("wall.response_level", { level: ROMAN[level] })}</em>${told(response.name)}` : t("wall.normal")}</h2>
    </div>
    <div class="facts">
      <p>${warning ? html`<em class=${`ink${warning.level}`}>${told(warning.name)}</em> · ${told(warning.issuer)} ${hourMinute(Date.parse(warning.issued_at))}` : t("wall.no_warning")}${warnings.length > 1 ? ` +${warnings.length - 1}` : ""}</p>
      <p>${response && html`<span>${t("wall.since", { time: hourMinute(Date.parse(response.since)) })} · ${t("wall.commander", { name: told(response.commander) || "—" })} · </span>`}${t("wall.unacknowledged")} <b class="n">${number(unacknowledged)}</b></p>
    </div>
  </div>`;
}

export function weather(cells) {
  return html`<div class="weather">${cells.map(
    (cell) => html`<div class=${cell.state} key=${cell.id}>
      <p class="n"><b>${cell.state === "no_data" ? "—" : shown(cell)}</b><small>${unit(cell)}</small></p>
      <p>${t(`vital.${cell.id}.name`)}</p>
    </div>`,
  )}</div>`;
}

export function clockFace(nowMs) {
  return html`<div class="clock">
    <p class="n">${clock(nowMs)}</p>
    <p><span class="n">${date(nowMs)}</span> ${weekday(nowMs)} ${t("wall.zone")}</p>
  </div>`;
}

export function kpis(cells) {
  return html`<div class="panel kpis">${cells.map(
    (cell) => html`<div class=${`kpi ${cell.state} ${cell.level ? `l${cell.level}` : ""}`} key=${cell.id}>
      <p>${t(`vital.${cell.id}.name`)}</p>
      <div><span class="n"><b>${cell.value === null ? "—" : shown(cell)}</b><small>${unit(cell)}</small></span>
      <span class="note">${cell.state === "no_data" ? t("wall.no_data") : cell.state === "empty" ? t("vitals_page.nothing") : cell.parts ? "" : told(cell.sub)}</span></div>
    </div>`,
  )}</div>`;
}
