// A wall as it hangs: how large must type be for its farthest reader? Never smaller text, fewer rows.

/** Chinese needs 25 minutes of arc; the sign is nine tenths of its font size. */
const ARC = Math.tan(((25 / 60) * Math.PI) / 180);
const INK = 0.9;
const FLOOR_REM = 2;
const LARGEST = 1.7;

/** How many rows each density shows. */
export const DENSITY = {
  full: { vitals: 13, incidents: 6, cases: 3, kpis: 5 },
  half: { vitals: 9, incidents: 5, cases: 2, kpis: 4 },
  few: { vitals: 6, incidents: 4, cases: 1, kpis: 3 },
};

/** Font size in px that the farthest reader needs. */
export const required = ({ width_mm, farthest_reader_m }, screenPx) => (farthest_reader_m * 1000 * ARC) / (width_mm / screenPx) / INK;

/** How much the canvas grows, and which density then fits. */
export function fit(profile, { width, height }) {
  if (!profile) return { grow: 1, density: "full" };
  const root = Math.min(width / 240, height / 135);
  const grow = Math.min(LARGEST, Math.max(1, required(profile, width) / (FLOOR_REM * root)));
  return { grow, density: grow <= 1.08 ? "full" : grow <= 1.35 ? "half" : "few" };
}
