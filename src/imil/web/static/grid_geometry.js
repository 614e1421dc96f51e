// Where the squares of the grid lie, in pixels of the film. The same integer arithmetic as the
// blackout on the server (imil.grid.edge), so that the outline lies where the cut will be.

/** `slabs`: of volumes @typedef {{rows: number, cols: number, slabs?: number | null}} Grid */
/** @typedef {{squares: readonly number[], misleading: readonly number[]}} Marked */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Box */

/**
 * Where the i-th of the edges between equal parts lies: i × length / parts, half up.
 * @param {number} i @param {number} parts @param {number} length
 */
export function edge(i, parts, length) {
  return Math.floor((2 * i * length + parts) / (2 * parts));
}

/**
 * The pixels of a square; right and bottom lie outside it.
 * @param {Grid} grid @param {number} square from 1 @param {number} height @param {number} width
 * @returns {Box}
 */
export function squareBox(grid, square, height, width) {
  const row = Math.floor((square - 1) / grid.cols);
  const col = (square - 1) % grid.cols;
  return {
    left: edge(col, grid.cols, width),
    top: edge(row, grid.rows, height),
    right: edge(col + 1, grid.cols, width),
    bottom: edge(row + 1, grid.rows, height),
  };
}

/**
 * The square that a point of the film lies in, or null outside the film.
 * @param {Grid} grid @param {number} x @param {number} y @param {number} height
 * @param {number} width @returns {number | null}
 */
export function squareAt(grid, x, y, height, width) {
  if (x < 0 || y < 0 || x >= width || y >= height) return null;
  const row = bandAt(y, grid.rows, height);
  const col = bandAt(x, grid.cols, width);
  return row * grid.cols + col + 1;
}

/** @param {number} position @param {number} parts @param {number} length */
function bandAt(position, parts, length) {
  let i = Math.min(parts - 1, Math.floor((position * parts) / length));
  while (i > 0 && position < edge(i, parts, length)) i -= 1;
  while (i < parts - 1 && position >= edge(i + 1, parts, length)) i += 1;
  return i;
}

/** @param {Grid} grid */
export function countSquares(grid) {
  return grid.rows * grid.cols * (grid.slabs ?? 1);
}

/** @param {Grid} grid @returns {number[]} */
export function allSquares(grid) {
  return Array.from({ length: countSquares(grid) }, (_, i) => i + 1);
}

/** The grid of one slice. @param {Grid} grid @returns {Grid} */
export function planeOf({ rows, cols }) {
  return { rows, cols };
}

/** In which slab a slice lies, from 0. @param {Grid} grid @param {number} slice from 1 @param {number} slices */
export function slabAt(grid, slice, slices) {
  return bandAt(slice - 1, grid.slabs ?? 1, slices);
}

/** How many squares come before those of a slice. @param {Grid} grid @param {number} slice from 1 @param {number} slices */
export function squaresBefore(grid, slice, slices) {
  return slabAt(grid, slice, slices) * grid.rows * grid.cols;
}

/** The squares of the slab in which a slice lies. @param {Grid} grid @param {number} slice @param {number} slices */
export function slabSquares(grid, slice, slices) {
  const before = squaresBefore(grid, slice, slices);
  return allSquares(planeOf(grid)).map((n) => n + before);
}

/** The marks of one slab, numbered from 1 there. @param {Marked} marks @param {number} before @param {number} count */
export function marksInSlab({ squares, misleading }, before, count) {
  const within = (/** @type {readonly number[]} */ some) => some.filter((n) => n > before && n <= before + count).map((n) => n - before);
  return { squares: within(squares), misleading: within(misleading) };
}

/** All marks, with those of one slab replaced. @param {Marked} all @param {Marked} slab numbered from 1 there
 * @param {number} before @param {number} count */
export function marksWithSlab(all, slab, before, count) {
  const merged = (/** @type {readonly number[]} */ old, /** @type {readonly number[]} */ own) =>
    [...old.filter((n) => n <= before || n > before + count), ...own.map((n) => n + before)].sort((a, b) => a - b);
  return { squares: merged(all.squares, slab.squares), misleading: merged(all.misleading, slab.misleading) };
}

/**
 * The squares named by a text such as `2 3 6 7`, `5-8`, `1,2` or `all`.
 * @param {Grid} grid @param {string} text @returns {number[]}
 * @throws {RangeError} with a message for the reader
 */
export function parseSquares(grid, text) {
  const count = countSquares(grid);
  if (text.trim().toLowerCase() === "all") return allSquares(grid);
  /** @type {Set<number>} */
  const chosen = new Set();
  for (const word of text.replace(/\s*[-–]\s*/g, "-").split(/[\s,;]+/).filter(Boolean)) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(word);
    if (!match) throw new RangeError(`Invalid square “${word}”: expected numbers from 1 to ${count}.`);
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    const outside = first < 1 || first > count ? first : last > count ? last : 0;
    if (outside || last < first) {
      throw new RangeError(`“${word}” is outside the ${[grid.rows, grid.cols, ...(grid.slabs ? [grid.slabs] : [])].join("×")} grid (1–${count}).`);
    }
    for (let square = first; square <= last; square += 1) chosen.add(square);
  }
  return [...chosen].sort((a, b) => a - b);
}

/**
 * The squares that a text marks: `2 3 -4` selects 2 and 3 and marks 4 as misleading.
 * @param {Grid} grid @param {string} text @returns {{squares: number[], misleading: number[]}}
 * @throws {RangeError} with a message for the reader
 */
export function parseMarks(grid, text) {
  // a minus with nothing but a separator before it; 5-8 and 5 - 8 are ranges
  const minus = /(?<![^\s,;])[-–−](\d{1,4}(?:[-–]\d{1,4})?)(?![^\s,;])/g;
  const misleading = parseSquares(grid, [...text.matchAll(minus)].map((match) => match[1]).join(" "));
  const squares = parseSquares(grid, text.replace(minus, " "));
  const both = squares.find((square) => misleading.includes(square));
  if (both) throw new RangeError(`Square ${both} is both selected and misleading: mark it once.`);
  return { squares, misleading };
}

/**
 * Marked squares as they are typed. @param {readonly number[]} squares
 * @param {readonly number[]} misleading
 */
export function typedMarks(squares, misleading) {
  return [...squares, ...misleading.map((square) => `-${square}`)].join(" ");
}

/**
 * Diagonal lines across squares as an SVG path, fewer on a finer grid.
 * @param {Grid} grid @param {readonly number[]} squares @param {number} height
 * @param {number} width
 */
export function hatchPath(grid, squares, height, width) {
  const count = Math.max(3, Math.min(7, Math.round(28 / Math.max(grid.rows, grid.cols))));
  let path = "";
  for (const square of squares) {
    const { left, top, right, bottom } = squareBox(grid, square, height, width);
    for (let i = 1; i <= count; i += 1) {
      const sum = (2 * i) / (count + 1); // of both coordinates along the line, in sides of the square
      const [low, high] = [Math.max(0, sum - 1), Math.min(1, sum)];
      const at = (/** @type {number} */ x, /** @type {number} */ y) => `${left + x * (right - left)} ${top + y * (bottom - top)}`;
      path += `M${at(low, high)}L${at(high, low)}`;
    }
  }
  return path;
}

/**
 * The outline of a set of squares as an SVG path: edges between two chosen squares are left out.
 * @param {Grid} grid @param {readonly number[]} squares @param {number} height
 * @param {number} width
 */
export function outlinePath(grid, squares, height, width) {
  const chosen = new Set(squares);
  let path = "";
  for (const square of squares) {
    const { left, top, right, bottom } = squareBox(grid, square, height, width);
    const col = (square - 1) % grid.cols;
    if (!chosen.has(square - grid.cols)) path += `M${left} ${top}H${right}`;
    if (!chosen.has(square + grid.cols)) path += `M${left} ${bottom}H${right}`;
    if (col === 0 || !chosen.has(square - 1)) path += `M${left} ${top}V${bottom}`;
    if (col === grid.cols - 1 || !chosen.has(square + 1)) path += `M${right} ${top}V${bottom}`;
  }
  return path;
}

/**
 * The lines of the whole grid as an SVG path.
 * @param {Grid} grid @param {number} height @param {number} width
 */
export function gridLinesPath(grid, height, width) {
  let path = "";
  for (let i = 0; i <= grid.rows; i += 1) path += `M0 ${edge(i, grid.rows, height)}H${width}`;
  for (let i = 0; i <= grid.cols; i += 1) path += `M${edge(i, grid.cols, width)} 0V${height}`;
  return path;
}
