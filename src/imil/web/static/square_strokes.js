// Squares marked with the pointer: by a click, by dragging across them, or by dragging a rectangle.
// All squares of one drag get the state that a click would give the first one.

import { markOf, nextMark, withMark } from "./reading_state.js";

/** @typedef {import("./reading_state.js").Marks} Marks */
/** @typedef {import("./view_transform.js").Point} Point */
/** @typedef {{mark: import("./reading_state.js").Mark, name: string, first: number, marks: Marks}} Stroke */
/** @typedef {object} StrokeTarget
 * @property {(point: Point) => number | null} squareAt
 * @property {() => Marks} marks as they are now
 * @property {() => number} cols of the grid
 * @property {() => boolean} selectOnly
 * @property {(marks: Marks, name: string) => void} change
 * @property {(name: string) => void} cancel
 */

export class SquareStrokes {
  #target;
  /** @type {Stroke | null} */
  #stroke = null;
  #count = 0;

  /** @param {StrokeTarget} target */
  constructor(target) {
    this.#target = target;
  }

  /** @param {Point} point @returns {number | null} the square in which the drag begins */
  begin(point) {
    const square = this.#target.squareAt(point);
    if (square === null) return null;
    this.#count += 1;
    const marks = this.#target.marks();
    const mark = nextMark(markOf(marks, square), this.#target.selectOnly());
    this.#stroke = { mark, name: `stroke ${this.#count}`, first: square, marks };
    this.#change(marks, [square]);
    return square;
  }

  /** Marks what lies between two points. @param {Point} from @param {Point} to */
  paint(from, to) {
    if (!this.#stroke) return;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4));
    const touched = new Set();
    for (let i = 0; i <= steps; i += 1) {
      const part = i / steps;
      const square = this.#target.squareAt({ x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part });
      if (square !== null) touched.add(square);
    }
    this.#change(this.#target.marks(), touched);
  }

  /** Marks the rectangle between the first square and the one at a point. @param {Point} to */
  stretch(to) {
    const last = this.#target.squareAt(to);
    if (this.#stroke && last !== null) this.#change(this.#stroke.marks, rectangle(this.#stroke.first, last, this.#target.cols()));
  }

  /** @param {boolean} completed */
  end(completed) {
    if (this.#stroke && !completed) this.#target.cancel(this.#stroke.name);
    this.#stroke = null;
  }

  /** @param {Marks} marks @param {Iterable<number>} squares */
  #change(marks, squares) {
    if (this.#stroke) this.#target.change(withMark(marks, squares, this.#stroke.mark), this.#stroke.name);
  }
}

/** The squares of the rectangle between two corners. @param {number} one @param {number} other
 * @param {number} cols of the grid @returns {number[]} */
export function rectangle(one, other, cols) {
  const [rowA, rowB] = [one, other].map((square) => Math.floor((square - 1) / cols)).sort((a, b) => a - b);
  const [colA, colB] = [one, other].map((square) => (square - 1) % cols).sort((a, b) => a - b);
  const squares = [];
  for (let row = rowA ?? 0; row <= (rowB ?? 0); row += 1) {
    for (let col = colA ?? 0; col <= (colB ?? 0); col += 1) squares.push(row * cols + col + 1);
  }
  return squares;
}
