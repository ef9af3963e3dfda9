// Level is coded three times: colour, shape, Arabic numeral. 1 diamond, 2 triangle, 3 square, 4 disc.

import { html } from "./dom.mjs";

// outlines in a box of 100 × 100, and where the numeral stands in them
export const SHAPES = {
  1: { d: "M50 4 96 50 50 96 4 50Z", y: 64, size: 40 },
  2: { d: "M50 8 95 88 5 88Z", y: 78, size: 40 },
  3: { d: "M12 12H88V88H12Z", y: 66, size: 46 },
  4: { d: "M50 7A43 43 0 1 1 50 93A43 43 0 1 1 50 7Z", y: 65, size: 44 },
};

/** The shape of a level. `ring` draws the white ring of what nobody has acknowledged; `blink` lets it blink. */
export function shape(level, { ring = false, blink = false, title = "" } = {}) {
  const { d, y, size } = SHAPES[level];
  return html`<svg class="shape" viewBox="-8 -8 116 116" role="img" aria-label=${title}>
    ${ring && html`<path class=${blink ? "ring blink" : "ring"} d=${d} />`}
    <path d=${d} fill=${`var(--l${level})`} />
    <text x="50" y=${y} font-size=${size} text-anchor="middle">${level}</text>
  </svg>`;
}

/** ◧: no data, cut off. */
export const half = html`<svg class="shape half" viewBox="-8 -8 116 116" role="img" aria-hidden="true">
  <path d="M15 15H85V85H15Z" fill="none" stroke="currentColor" stroke-width="9" /><path d="M15 15H50V85H15Z" fill="currentColor" />
</svg>`;
