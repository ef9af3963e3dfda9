// The card of the incident that matters most, tied to its place by a line.

import { html } from "../lib/dom.mjs";
import { shape } from "../lib/shapes.mjs";
import { name, t, told } from "../lib/text.mjs";
import { inOrder, isOpen, isUnacknowledged } from "./right.mjs";

/** The incident on the card: the flown-to one, else the first of the stream; what is minor and known has none. */
export function subject(incidents, focused, nowMs) {
  const open = inOrder(incidents, nowMs).filter(isOpen);
  return open.find((i) => i.id === focused) ?? open.find((i) => i.level < 4 || isUnacknowledged(i));
}

/** `crews` that are on it. */
export function card(incident, crews, connected) {
  if (!incident) return null;
  const waiting = isUnacknowledged(incident);
  const rows = [
    ["where", name(incident.place)],
    ["found", told(incident.found)],
    ["why", told(incident.why)],
    ["impact", told(incident.impact)],
    ["next", told(incident.next)],
    ["advice", told(incident.advice)],
    ["who", crews.map((crew) => `${name(crew.name)} ${t(crew.order_state ? `order.state.${crew.order_state}` : `crew.state.${crew.state}`)}`).join(t("wall.comma"))],
  ].filter(([, words]) => words);
  return html`<div class=${`card l${incident.level}`}>
    <header>${shape(incident.level, { ring: waiting, blink: waiting && connected && incident.level <= 2, title: t(`level.${incident.level}`) })}<h3>${told(incident.title)}</h3></header>
    <dl>${rows.map(([key, words]) => html`<dt>${t(`wall.${key}`)}</dt><dd>${words}</dd>`)}</dl>
  </div>`;
}

/** A line from the card's edge to the incident, inside the map; none where the place is out of sight. */
export function leader({ from, to, level, width, height }) {
  if (!from || !to || to.x < 0 || to.y < 0 || to.x > width || to.y > height) return null;
  const elbow = from.x + Math.min(0.12 * width, Math.max(0, (to.x - from.x) * 0.1));
  return html`<svg class="leader" width=${width} height=${height} viewBox="0 0 ${width} ${height}" aria-hidden="true">
    <path d=${`M${from.x} ${from.y}H${elbow}L${to.x} ${to.y}`} style=${`stroke:var(--l${level})`} />
  </svg>`;
}
