// 讲解模式: captions one after the other, for visits. A new unacknowledged level 1 or 2 ends it at once.

import { html } from "../lib/dom.mjs";
import { t } from "../lib/text.mjs";
import { isUnacknowledged } from "./right.mjs";

export class Tour {
  constructor(steps) {
    this.steps = steps;
    this.at = -1;
  }

  get running() {
    return this.at >= 0;
  }

  start(incidents) {
    this.known = new Set(incidents.map(({ id }) => id));
    this.#go(0);
  }

  stop() {
    this.at = -1;
  }

  /** The step for now; null when it is over. */
  tick(incidents) {
    if (!this.running) return null;
    if (incidents.some((i) => isUnacknowledged(i) && i.level <= 2 && !this.known.has(i.id))) this.stop();
    else if (performance.now() - this.sinceMs > this.steps[this.at].lasts_s * 1000) this.#go(this.at + 1);
    return this.running ? this.steps[this.at] : null;
  }

  next() {
    if (this.running) this.#go(this.at + 1);
  }

  #go(at) {
    this.at = at < this.steps.length ? at : -1;
    this.sinceMs = performance.now();
  }
}

/** `provenance` of what is on the wall, so that no visitor takes a scene for the city. */
export const caption = (step, at, all, provenance) => html`<div class="caption" role="status"><h3>${t(`tour.${step.key}.title`)}<small>${t("tour.mark")} · ${provenance.length ? provenance.map((each) => t(`provenance.${each}`)).join(" + ") : t("tour.live")} <span class="n">${at + 1}/${all}</span></small></h3><p>${t(`tour.${step.key}.words`)}</p></div>`;
