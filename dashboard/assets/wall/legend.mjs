// What the signs on the map mean: only those that stand on it now, and always the four levels.

import { html } from "../lib/dom.mjs";
import { shape } from "../lib/shapes.mjs";
import { t } from "../lib/text.mjs";

const KINDS = [
  ["pipe", "line"],
  ["flood", "area"],
  ["plume", "area"],
];

export function legend(kinds) {
  return html`<div class="legend">
    ${[1, 2, 3, 4].map((level) => html`<span key=${level}>${shape(level)}${t(`level.${level}`)}</span>`)}
    <span><svg class="shape" viewBox="-8 -8 116 116"><path class="unit" d="M50 6 88 92 50 72 12 92Z" /></svg>${t("wall.units")}</span>
    ${KINDS.filter(([kind]) => kinds.has(kind)).map(([kind, form]) => html`<span key=${kind}><i class=${`${form} ${kind}`}></i>${t(`wall.overlay_${kind}`)}</span>`)}
  </div>`;
}
