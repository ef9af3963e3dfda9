// Left: what asks for somebody. Incidents, and alerts that belong to none; unacknowledged first, then level, then age.

import { html } from "../lib/dom.mjs";
import { elapsed } from "../lib/format.mjs";
import { shape } from "../lib/shapes.mjs";
import { name, t, told } from "../lib/text.mjs";
import { inOrder, isOpen, isUnacknowledged } from "../wall/right.mjs";
import { Rows } from "./rows.mjs";

export const ROW_PX = 64;

/** The incidents of the queue under a filter {levels, waiting, words}. */
export function queued(incidents, filter, nowMs) {
  const sought = filter.words.trim().toLowerCase();
  const fits = (i) =>
    (!filter.levels.size || filter.levels.has(i.level)) &&
    (!filter.waiting || isUnacknowledged(i)) &&
    (!sought || [i.number, told(i.title), name(i.place), i.asset, i.zone].join(" ").toLowerCase().includes(sought));
  return inOrder(incidents, nowMs).filter(fits);
}

export function queue({ rows, all, chosen, filter, nowMs, choose, change }) {
  const open = all.filter(isOpen);
  const toggle = (level) => change({ ...filter, levels: new Set(filter.levels.has(level) ? [...filter.levels].filter((l) => l !== level) : [...filter.levels, level]) });
  return html`<section class="queue" aria-label=${t("console.queue")} title="J K">
    <header>
      <div class="levels" role="group" aria-label=${t("console.filter_level")}>${[1, 2, 3, 4].map((level) => {
        const n = open.filter((i) => i.level === level).length;
        return html`<button key=${level} class=${`level ${n ? "" : "zero"}`} aria-pressed=${filter.levels.has(level)} onClick=${() => toggle(level)} title=${`${t(`level.${level}`)} (${level})`}>
          ${shape(level, { ring: open.some((i) => i.level === level && isUnacknowledged(i)) })}<b class="n">${n}</b></button>`;
      })}</div>
      <label class="only"><input type="checkbox" checked=${filter.waiting} onChange=${(event) => change({ ...filter, waiting: event.target.checked })} />${t("wall.unacked")} <b class="n">${open.filter(isUnacknowledged).length}</b></label>
    </header>
    <${Rows} items=${rows} height=${ROW_PX} label=${t("console.queue")} empty=${t("wall.no_incidents")} at=${rows.findIndex((i) => i.id === chosen)} active=${chosen ? `row-${chosen}` : ""}
      row=${(incident) => entry(incident, incident.id === chosen, nowMs, choose)} />
  </section>`;
}

function entry(incident, isChosen, nowMs, choose) {
  const waiting = isUnacknowledged(incident);
  return html`<div id=${`row-${incident.id}`} role="option" aria-selected=${isChosen} class=${`entry l${incident.level} ${waiting ? "waiting" : ""} ${isOpen(incident) ? "" : "closed"}`} onClick=${() => choose(incident.id)}>
    ${shape(incident.level, { ring: waiting, blink: waiting && incident.level <= 2, title: t(`level.${incident.level}`) })}
    <div><b>${told(incident.title)}</b><small>${[provenance(incident), name(incident.place)].filter(Boolean).join(" · ")}</small></div>
    <div class="when"><b class="n">${elapsed((nowMs - Date.parse(incident.opened_at)) / 1000)}</b><small>${waiting ? t("wall.unacked") : t(`incident.state.${incident.state}`)}</small></div>
  </div>`;
}

export const provenance = (thing) => (thing.provenance && thing.provenance !== "real" ? t(`provenance.${thing.provenance}`) : "");
