// What spares the panel: the picture moves by two pixels, dims at night, changes sides weekly, loads anew at a quiet hour.

import { date, hourOf } from "../lib/format.mjs";

const SHIFT_PX = [[0, 0], [2, 0], [2, 2], [0, 2], [-2, 2], [-2, 0], [-2, -2], [0, -2], [2, -2]];
const WEEK_MS = 604800000;

export class Care {
  /** `renew` is called once a night. */
  constructor(root, { shift_every_s: shiftS, dim_from: from, dim_to: to, reload_at: reloadAt }, renew) {
    Object.assign(this, { root, shiftMs: shiftS * 1000, from, to, reloadAt, renew, started: null });
  }

  /** `urgent`: a level 1 incident is open. */
  tick(nowMs, urgent) {
    const [x, y] = SHIFT_PX[Math.floor(nowMs / this.shiftMs) % SHIFT_PX.length];
    const k = Math.min(innerWidth / 3840, 1);
    this.root.style.translate = `${x * k}px ${y * k}px`;
    const hour = hourOf(nowMs);
    const night = this.from > this.to ? hour >= this.from || hour < this.to : hour >= this.from && hour < this.to;
    this.root.classList.toggle("night", night && !urgent);
    this.root.classList.toggle("swapped", Math.floor(nowMs / WEEK_MS) % 2 === 1);
    const day = date(nowMs);
    this.started ??= day;
    if (day !== this.started && hour === this.reloadAt && !urgent) this.renew();
  }
}
