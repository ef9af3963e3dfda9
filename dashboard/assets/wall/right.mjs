// Right column: what and who? Counters, incident stream, dispatch stages, resources.

import { html } from "../lib/dom.mjs";
import { elapsed, number, span } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { has, name, t, told } from "../lib/text.mjs";

export const OPEN = new Set(["open", "confirmed"]);
const CLOSED_STAYS_MS = 60000;

export const isOpen = (incident) => OPEN.has(incident.state);
export const isUnacknowledged = (incident) => isOpen(incident) && !incident.acknowledged_at;

export function counters(incidents, connected) {
  const open = incidents.filter(isOpen);
  return html`<div class="counters">${[1, 2, 3, 4].map((level) => {
    const mine = open.filter((incident) => incident.level === level);
    const ring = mine.some(isUnacknowledged);
    return html`<div class=${`panel counter c${level} ${mine.length ? "" : "zero"}`} key=${level}>
      ${shape(level, { ring, blink: ring && connected && level <= 2, title: t(`level.${level}`) })}
      <b class="n">${number(mine.length)}</b><p>${t(`level.${level}`)}</p>
    </div>`;
  })}</div>`;
}

/** Unacknowledged first, then level, then the newest; closed ones leave after a minute. */
export function inOrder(incidents, nowMs) {
  return incidents
    .filter((i) => isOpen(i) || nowMs - Date.parse(i.changed_at) < CLOSED_STAYS_MS)
    .sort((a, b) => isUnacknowledged(b) - isUnacknowledged(a) || isOpen(b) - isOpen(a) || a.level - b.level || Date.parse(b.opened_at) - Date.parse(a.opened_at));
}

export function stream(incidents, count, today, nowMs, connected) {
  const rows = inOrder(incidents, nowMs);
  const open = incidents.filter(isOpen).length;
  return html`<div class="panel stream">
    <header><h2>${t("wall.stream")}</h2><span>${t("wall.stream_note", { open: number(open), today: number(today) })}</span></header>
    <div class="rows">
      ${!rows.length && html`<p class="empty">${t("wall.no_incidents")}</p>`}
      ${rows.slice(0, count).map((incident) => incidentRow(incident, nowMs, connected))}
    </div>
    ${rows.length > count && html`<p class="more">${t("wall.more", { n: rows.length - count })}</p>`}
  </div>`;
}

function incidentRow(incident, nowMs, connected) {
  const waiting = isUnacknowledged(incident);
  const { level } = incident;
  return html`<div class=${`incident l${level} ${waiting ? "waiting" : ""} ${isOpen(incident) ? "" : "closed"}`} key=${incident.id}>
    ${shape(level, { ring: waiting, blink: waiting && connected && level <= 2, title: t(`level.${level}`) })}
    <div class="what">
      <h4>${told(incident.title)}${incident.grade ? html`<i class="chip">${t(`grade.${incident.grade}`)}</i>` : null}</h4>
      <p>${[origin(incident), name(incident.place), told(incident.source)].filter(Boolean).join(" · ")}</p>
    </div>
    <div class="when">
      <b class="n">${elapsed((nowMs - Date.parse(incident.opened_at)) / 1000)}</b>
      <p>${waiting ? t("wall.unacked") : incident.acknowledged_by && incident.state === "open" ? t("wall.acked_by", { name: initials(incident.acknowledged_by_name || incident.acknowledged_by) }) : t(`incident_state.${incident.state}`)}</p>
    </div>
  </div>`;
}

/** A Chinese name is short enough; of a Latin one of several words the first letters. */
export function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  return words.length > 1 && !/[\u4e00-\u9fff]/.test(name) ? words.map((word) => word[0].toUpperCase()).join("") : name;
}

/** What is not real says so on every row. */
const origin = ({ provenance }) => (provenance && provenance !== "real" ? t(`provenance.${provenance}`) : "");

/** `crews` = crew id → crew. */
export function dispatch(cases, count, crews, crewsOut, nowMs) {
  const overdue = cases.filter((each) => each.stages.some((stage) => isLate(stage, nowMs))).length;
  return html`<div class="panel dispatch">
    <header><h2>${t("wall.dispatch")}</h2><span>${t("wall.dispatch_note", { crews: number(crewsOut), overdue: number(overdue) })}</span></header>
    ${!cases.length && html`<p class="empty">${t("wall.no_cases")}</p>`}
    <div class="cases">${cases.slice(0, count).map(
      (each) => html`<div class="case" key=${each.id}>
        <div class="head">${shape(each.level, { title: t(`level.${each.level}`) })}<h4>${told(each.title)}</h4><span>${each.crews.map((id) => name(crews.get(id)?.name) || id).join(" · ")}</span></div>
        <ol>${each.stages.map((stage) => stageCell(stage, nowMs))}</ol>
      </div>`,
    )}</div>
  </div>`;
}

const isNow = ({ state }) => state === "current" || state === "late";
const isLate = (stage, nowMs) => isNow(stage) && stage.due_at && Date.parse(stage.due_at) < nowMs;

/** done: steel with the time used; current: accent with what is left; late: orange with what is over. */
function stageCell(stage, nowMs) {
  const left = stage.due_at ? (Date.parse(stage.due_at) - nowMs) / 1000 : null;
  const kind = stage.state === "done" ? "done" : !isNow(stage) ? "ahead" : isLate(stage, nowMs) ? "late" : "current";
  const note = {
    done: () => (stage.from && stage.to ? span((Date.parse(stage.to) - Date.parse(stage.from)) / 1000) : ""),
    current: () => (left === null ? "" : t("wall.left", { time: span(left) })),
    late: () => t("wall.over", { time: span(-left) }),
    ahead: () => "",
  }[kind]();
  return html`<li class=${kind} key=${stage.stage}><i></i><span>${t(`stage.${stage.stage}`)}</span><b class="n">${note}</b></li>`;
}

const kindName = (kind) => [`crew_kind.${kind}`, `skill.${kind}`].filter(has).map((key) => t(key))[0] ?? kind;

export function resources(kinds) {
  return html`<div class="panel resources">
    <header><h2>${t("wall.resources")}</h2><span>${t("wall.resources_note")}</span></header>
    ${!kinds.length && html`<p class="empty">${t("wall.no_crews")}</p>`}
    <div class="grid">${kinds.slice(0, 6).map(
      ({ kind, free, total }) => html`<div class=${`resource ${total && free / total < 0.2 ? "low" : ""}`} key=${kind}>
        <span>${kindName(kind)}</span>
        <i><u style=${`width:${total ? (100 * free) / total : 0}%`}></u></i>
        <span class="n"><b>${number(free)}</b><small>/ ${number(total)}</small></span>
      </div>`,
    )}</div>
  </div>`;
}
