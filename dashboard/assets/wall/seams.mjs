// Bezels of a video wall: no text lies on one. All numbers are rem of the canvas; a seam is the middle of a bezel.

/** The edge of a column goes to a seam that lies so near. */
const SNAP = 9;
/** So wide is what stands at the edges of the centre: card, legend, words of the posture. */
const WORDS = 47;
/** A chart, a cell, the cells on average are not narrower. */
const CHART = 35;
const CELL = 18;
const CELLS = 22;

/** How the grid gives way: widths of left and right column, how far words of the centre keep off its edges, and the
 * widths of its cells and of the two charts with what is left free before and after them. */
export function giveWay(seams, { left, right, side, gutter, total }, cells) {
  const near = (edge) => seams.find((seam) => Math.abs(seam - edge) <= SNAP);
  const [west, east] = [near(side + left + gutter / 2), near(total - side - right - gutter / 2)];
  const columns = { left: west ? west - side - gutter / 2 : left, right: east ? total - east - side - gutter / 2 : right };
  const [from, to] = [side + columns.left + gutter, total - side - columns.right - gutter];
  const inside = seams.filter((seam) => seam > from + 1 && seam < to - 1);
  const [first, last] = [inside[0], inside.at(-1)];
  const bounds = [from, ...inside, to];
  const widths = bounds.slice(1).map((bound, i) => bound - bounds[i]);
  return {
    ...columns,
    start: first < from + WORDS ? first - from : 0,
    end: last > to - WORDS ? to - last : 0,
    cells: inside.length ? spread(widths, cells) : null,
    charts: inside.length ? charts(widths, gutter) : null,
  };
}

const sum = (list) => list.reduce((a, b) => a + b, 0);

/** Cells over the spans between seams by their widths, at least one each; none in one that is too narrow at an end. */
function spread(widths, wanted) {
  const wide = widths.map((width) => width >= CELL);
  const [at, end] = [wide.indexOf(true), wide.lastIndexOf(true) + 1];
  const spans = widths.slice(at, end);
  const cells = Math.min(wanted, Math.floor(sum(spans) / CELLS));
  const counts = spans.map((width) => Math.max(1, Math.round((cells * width) / sum(spans))));
  for (let over = sum(counts) - cells; over; over -= Math.sign(over)) counts[counts.indexOf(Math.max(...counts))] -= Math.sign(over);
  return { before: sum(widths.slice(0, at)), each: counts.flatMap((count, i) => Array(count).fill(spans[i] / count)), after: sum(widths.slice(end)) };
}

/** Two charts that part at a seam, or else stand side by side in the widest span. */
function charts(widths, gutter) {
  const parts = widths.findIndex((width, i) => width >= CHART && widths[i + 1] >= CHART);
  const widest = widths.indexOf(Math.max(...widths));
  const at = parts < 0 ? widest : parts;
  const each = parts < 0 ? [(widths[at] - gutter) / 2, (widths[at] - gutter) / 2] : [widths[at] - gutter / 2, widths[at + 1] - gutter / 2];
  return { before: sum(widths.slice(0, at)), each, after: sum(widths.slice(at + each.length - (parts < 0))) };
}
