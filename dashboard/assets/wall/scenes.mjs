// Scenes: what the wall looks at. They take turns when asked to; a level 1 or 2 incident stops the turn.

import { isOpen } from "./right.mjs";

/** Vital signs that a scene may make rows of the wall. */
const ROWS = new Set(["row", "reserve", "console"]);

export class Scenes {
  /** `setup` = {scenes, rotate_s}; `asked` = key from the address; `turning` = whether they take turns. */
  constructor({ scenes, rotate_s: rotateS }, asked, turning) {
    this.all = scenes;
    this.rotateMs = rotateS * 1000;
    this.turning = turning;
    this.current = scenes.find(({ key }) => key === asked) ?? scenes[0];
    this.sinceMs = performance.now();
    this.pinned = null;
  }

  /** The scene of a domain, the overview where none is about it. */
  of(domain) {
    return this.all.find(({ domains }) => domains.includes(domain)) ?? this.all[0];
  }

  /** A person at the console asks for a scene until a time; null lets go. */
  pin(key, untilMs) {
    this.pinned = key ? { scene: this.all.find((each) => each.key === key) ?? this.all[0], untilMs } : null;
  }

  /** The scene for now; true when it changed. Turns are timed by this machine, orders by the centre's clock. */
  turn(incidents, nowMs) {
    const elapsedMs = performance.now() - this.sinceMs;
    const before = this.current;
    const urgent = incidents.filter((i) => isOpen(i) && i.level <= 2).sort((a, b) => a.level - b.level)[0];
    if (this.pinned && nowMs < this.pinned.untilMs) this.current = this.pinned.scene;
    else if (this.turning && urgent) this.current = this.of(urgent.domain);
    else if (this.turning && elapsedMs >= this.rotateMs) {
      this.current = this.all[(this.all.indexOf(this.current) + 1) % this.all.length];
    }
    this.held = Boolean(this.pinned && nowMs < this.pinned.untilMs) || Boolean(this.turning && urgent);
    if (this.current !== before) this.sinceMs = performance.now();
    return this.current !== before;
  }

  /** All vital signs, those of the scene's domains as the first rows. */
  rows(vitals) {
    const { domains } = this.current;
    const own = ({ domain, slot }) => domains.includes(domain) && ROWS.has(slot);
    return vitals.map((v) => (own(v) ? { ...v, slot: "row", order: v.order - 10000 } : v));
  }
}
