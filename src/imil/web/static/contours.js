// Lines of equal value on a heat-map. They show its shape without colour: more of the value, a
// heavier line.

/** @typedef {import("./image_cache.js").HeatValues} HeatValues */
/** Lines in pixels of the heat-map. @typedef {{level: number, path: Path2D}} Contour */

export const LEVELS = [0.25, 0.5, 0.75];
const WIDTHS = [1, 1.8, 3]; // CSS pixels, for each level
const MAX_SIDE = 128; // of the values that are followed; a finer map has no finer shape

/** @param {HeatValues} map @returns {Contour[]} */
export function contours(map) {
  return LEVELS.map((level) => {
    const path = new Path2D();
    for (const [x1, y1, x2, y2] of segments(map, level)) {
      path.moveTo(x1, y1);
      path.lineTo(x2, y2);
    }
    return { level, path };
  });
}

/**
 * The lines of one level, by marching squares, between the middles of the map's pixels.
 * @param {HeatValues} map @param {number} level @returns {[number, number, number, number][]}
 */
export function segments({ height, width, values }, level) {
  const step = Math.max(1, Math.floor(Math.max(height, width) / MAX_SIDE));
  const at = (/** @type {number} */ row, /** @type {number} */ col) => values[row * width + col] ?? 0;
  /** @type {[number, number, number, number][]} */
  const lines = [];
  for (let row = 0; row + step < height; row += step) {
    for (let col = 0; col + step < width; col += step) {
      const corners = [at(row, col), at(row, col + step), at(row + step, col + step), at(row + step, col)];
      const points = crossings(corners, level).map(([x, y]) => [col + 0.5 + x * step, row + 0.5 + y * step]);
      for (let i = 0; i + 1 < points.length; i += 2) {
        const [from, to] = [points[i] ?? [], points[i + 1] ?? []];
        lines.push([from[0] ?? 0, from[1] ?? 0, to[0] ?? 0, to[1] ?? 0]);
      }
    }
  }
  return lines;
}

/** Where the level is crossed on the sides of a cell, clockwise from the top; 0, 2 or 4 points.
 * @param {number[]} corners clockwise from the upper left @param {number} level @returns {[number, number][]} */
function crossings(corners, level) {
  /** @type {[number, number][]} */
  const points = [];
  for (let side = 0; side < 4; side += 1) {
    const [one, other] = [corners[side] ?? 0, corners[(side + 1) % 4] ?? 0];
    if (one < level === other < level) continue;
    const part = (level - one) / (other - one);
    points.push(/** @type {[number, number]} */ ([[part, 0], [1, part], [1 - part, 1], [0, 1 - part]][side]));
  }
  return points;
}

/** @param {CanvasRenderingContext2D} context in CSS pixels of the pane @param {Contour[]} lines
 * @param {DOMMatrix} matrix from pixels of the heat-map to CSS pixels */
export function strokeContours(context, lines, matrix) {
  lines.forEach(({ path }, i) => {
    const placed = new Path2D();
    placed.addPath(path, matrix);
    const width = WIDTHS[i] ?? 1;
    for (const [style, extra] of /** @type {[string, number][]} */ ([["rgb(0 0 0 / 60%)", 2], ["rgb(255 255 255 / 90%)", 0]])) {
      context.strokeStyle = style;
      context.lineWidth = width + extra;
      context.stroke(placed);
    }
  });
}
