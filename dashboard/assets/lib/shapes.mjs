// Level is coded three times: colour, shape, Arabic numeral. 1 diamond, 2 triangle, 3 square, 4 disc.

import { html } from "./dom.mjs";

// outlines in a box of 100 × 100, and where the numeral stands in them
export const SHAPES = {
  1: { d: "M50 0 100 50 50 100 0 50Z", y: 67, size: 49 },
  2: { d: "M50 4 100 92 0 92Z", y: 83, size: 47 },
  3: { d: "M8 8H92V92H8Z", y: 71, size: 60 },
  4: { d: "M50 2A48 48 0 1 1 50 98A48 48 0 1 1 50 2Z", y: 70, size: 57 },
};

/** Figures of a response level: those of an alarm are Arabic. */
export const ROMAN = { 1: "I", 2: "II", 3: "III", 4: "IV" };

/** The shape of a level. `figure` stands in it; `ring` draws the white ring of what nobody has acknowledged; `blink` lets it blink. */
export function shape(level, { figure = level, ring = false, blink = false, title = "" } = {}) {
  const { d, y, size } = SHAPES[level];
  return html`<svg class="shape" viewBox="-6 -6 112 112" role="img" aria-label=${title}>
    ${ring && html`<path class=${blink ? "ring blink" : "ring"} d=${d} />`}
    <path d=${d} fill=${`var(--l${level})`} />
    <text x="50" y=${y} font-size=${size} text-anchor="middle">${figure}</text>
  </svg>`;
}

/** ◧: no data, cut off. */
export const half = html`<svg class="shape half" viewBox="-8 -8 116 116" role="img" aria-hidden="true">
  <path d="M15 15H85V85H15Z" fill="none" stroke="currentColor" stroke-width="9" /><path d="M15 15H50V85H15Z" fill="currentColor" />
</svg>`;
