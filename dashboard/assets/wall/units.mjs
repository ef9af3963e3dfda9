// Our own units between two fixes: each glides from where it was drawn to where it says it is, and stops when the fix is old.

const FIX_OLD_MS = 30000;

export class Units {
  constructor() {
    this.legs = new Map();
  }

  /** Crews as the centre knows them; one without a place is not drawn. */
  take(crews, nowMs) {
    const seen = new Set();
    for (const crew of crews) {
      if (crew.lon === null || crew.lon === undefined) continue;
      seen.add(crew.id);
      const leg = this.legs.get(crew.id);
      const to = [crew.lon, crew.lat];
      const fixMs = Date.parse(crew.position_at);
      if (leg && leg.to[0] === to[0] && leg.to[1] === to[1]) Object.assign(leg, { crew, fixMs });
      else this.legs.set(crew.id, { crew, fixMs, from: leg ? at(leg, nowMs) : to, to, sinceMs: nowMs, lastsMs: leg ? span(fixMs - leg.fixMs) : 0 });
    }
    for (const id of this.legs.keys()) if (!seen.has(id)) this.legs.delete(id);
  }

  /** Where each is drawn now; `old`: one that works and has not said for half a minute where it is. */
  drawn(nowMs) {
    return [...this.legs.values()].map((leg) => {
      const [lon, lat] = at(leg, nowMs);
      return { lon, lat, heading: leg.crew.heading ?? 0, old: leg.crew.state === "busy" && nowMs - leg.fixMs > FIX_OLD_MS };
    });
  }

  moving(nowMs) {
    return [...this.legs.values()].some((leg) => nowMs - leg.sinceMs < leg.lastsMs);
  }
}

const span = (ms) => Math.min(FIX_OLD_MS, Math.max(0, ms || 0));

function at({ from, to, sinceMs, lastsMs }, nowMs) {
  const share = lastsMs ? Math.min(1, Math.max(0, (nowMs - sinceMs) / lastsMs)) : 1;
  return [0, 1].map((axis) => from[axis] + (to[axis] - from[axis]) * share);
}
