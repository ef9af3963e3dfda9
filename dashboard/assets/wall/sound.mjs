// Sounds by level, made by oscillators: 1 two tones every 5 s until acknowledged, 2 one tone each 30 s, 3 once, 4 none.

import { isUnacknowledged } from "./right.mjs";

const EVERY_MS = { 1: 5000, 2: 30000 };
const TONES = { 1: [880, 660], 2: [660], 3: [520] };
const TONE_S = 0.28;

export class Sound {
  constructor(wanted) {
    this.wanted = wanted;
    this.lastMs = {};
    this.heard = new Set();
  }

  /** Sound what is due; `mute` = {until} silences, and is shown in the foot. */
  tick(incidents, nowMs, mute) {
    if (!this.wanted) return;
    const waiting = incidents.filter(isUnacknowledged);
    const quiet = mute && nowMs < Date.parse(mute.until);
    const fresh = waiting.filter((i) => i.level === 3 && !this.heard.has(i.id));
    for (const { id } of fresh) this.heard.add(id);
    const level = [1, 2].find((each) => waiting.some((i) => i.level === each)) ?? (fresh.length ? 3 : null);
    if (!level || quiet || nowMs - (this.lastMs[level] ?? -Infinity) < (EVERY_MS[level] ?? 0)) return;
    this.lastMs[level] = nowMs;
    this.#play(TONES[level]);
  }

  #play(tones) {
    this.context ??= new AudioContext();
    tones.forEach((hertz, i) => {
      const start = this.context.currentTime + i * TONE_S;
      const tone = this.context.createOscillator();
      const gain = this.context.createGain();
      tone.frequency.value = hertz;
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.4, start + 0.02);
      gain.gain.setValueAtTime(0.4, start + TONE_S - 0.06);
      gain.gain.linearRampToValueAtTime(0, start + TONE_S);
      tone.connect(gain).connect(this.context.destination);
      tone.start(start);
      tone.stop(start + TONE_S);
    });
  }
}
