// The grid over the image: an SVG drawn with the same matrix as the image, so that an outline lies
// on the very edge of the pixels that would be cut.

import { assign, fill, s } from "./dom.js";
import { squareBox, allSquares, gridLinesPath, hatchPath, outlinePath } from "./grid_geometry.js";
import { transformPoint, css, inverse } from "./view_transform.js";

/** @typedef {import("./grid_geometry.js").Grid} Squares */
/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {{height: number, width: number}} Size */

const MAX_NUMBERED = 260; // more squares than that leave no room for numbers

export class GridOverlay extends HTMLElement {
  #lines = s("path", { class: "grid-lines" });
  #tint = s("path", { class: "grid-tint" });
  #earlier = s("path", { class: "grid-earlier" });
  #halo = s("path", { class: "grid-halo" });
  #selection = s("path", { class: "grid-chosen" });
  #misleadingHalo = s("path", { class: "grid-halo" });
  #misleading = s("path", { class: "grid-misleading" });
  #cursor = s("rect", { class: "grid-cursor" });
  #cells = s("g");
  #space = s("g", {}, this.#tint, this.#lines, this.#earlier, this.#misleadingHalo, this.#misleading, this.#halo, this.#selection, this.#cursor, this.#cells);
  #numbers = s("g", { class: "grid-numbers", "aria-hidden": "true" });
  #svg = s("svg", {}, this.#space, this.#numbers);
  /** @type {Squares} */
  #grid = { rows: 1, cols: 1 };
  /** @type {Size} */
  #film = { height: 1, width: 1 };
  #matrix = /** @type {Matrix} */ ({ a: 1, b: 0, c: 0, d: 1, e: 0, f: 0 });
  /** @type {import("./reading_state.js").Marks} */
  #marks = { squares: [], misleading: [] };
  /** How many squares come before those that are shown. */
  #before = 0;
  /** The square with keyboard focus. */
  active = 1;

  connectedCallback() {
    this.append(this.#svg);
    if (this.hasAttribute("interactive")) this.#addRole();
    else this.#svg.setAttribute("aria-hidden", "true");
  }

  /** @param {Squares} grid of the plane @param {Size} film @param {readonly number[] | null} earlier
   * @param {number} before how many squares of a volume come before @param {number} active the square with the cursor */
  setGrid(grid, film, earlier, before = 0, active = 1) {
    this.#grid = grid;
    this.#film = film;
    this.#before = before;
    this.active = active;
    this.#lines.setAttribute("d", gridLinesPath(grid, film.height, film.width));
    this.#earlier.setAttribute("d", outlinePath(grid, earlier ?? [], film.height, film.width));
    const few = grid.rows * grid.cols <= MAX_NUMBERED;
    fill(this.#numbers, ...(few ? allSquares(grid).map((n) => s("text", {}, String(n + before))) : []));
    if (this.hasAttribute("interactive")) this.#addCells();
    this.moveTo(active);
  }

  /** @param {import("./reading_state.js").Marks} marks */
  mark(marks) {
    const { squares, misleading } = (this.#marks = marks);
    const { height, width } = this.#film;
    const hatch = outlinePath(this.#grid, misleading, height, width) + hatchPath(this.#grid, misleading, height, width);
    this.#misleading.setAttribute("d", hatch);
    this.#misleadingHalo.setAttribute("d", hatch);
    const path = outlinePath(this.#grid, squares, height, width);
    this.#selection.setAttribute("d", path);
    this.#halo.setAttribute("d", path);
    this.#tint.setAttribute("d", squares.map((n) => this.#boxPath(n)).join(""));
    const selected = new Set(squares);
    const wrong = new Set(misleading);
    const cells = this.#cells.querySelectorAll("rect");
    cells.forEach((cell, i) => {
      cell.setAttribute("aria-selected", String(selected.has(i + 1)));
      cell.setAttribute("aria-label", this.#cellLabel(i + 1) + (wrong.has(i + 1) ? ", misleading" : ""));
    });
    [...this.#numbers.children].forEach((text, i) => {
      text.classList.toggle("on", selected.has(i + 1));
      text.classList.toggle("misleading", wrong.has(i + 1));
    });
  }

  /** @param {Matrix} m */
  draw(m) {
    this.#matrix = m;
    this.#space.setAttribute("transform", css(m));
    [...this.#numbers.children].forEach((text, i) => {
      const { x, y } = this.#corner(i + 1);
      text.setAttribute("x", String(x + 5));
      text.setAttribute("y", String(y + 15));
    });
  }

  focus() {
    this.#svg.focus();
  }

  /** Moves the cursor. @param {string} way left, right, up or down, as seen on the screen */
  step(way) {
    const direction = { left: [-1, 0], right: [1, 0], up: [0, -1], down: [0, 1] }[way];
    if (!direction) return;
    const { a, b, c, d } = inverse(this.#matrix); // left is left on the screen, however it is turned
    const x = a * /** @type {number} */ (direction[0]) + c * /** @type {number} */ (direction[1]);
    const y = b * /** @type {number} */ (direction[0]) + d * /** @type {number} */ (direction[1]);
    const { rows, cols } = this.#grid;
    const across = Math.abs(x) > Math.abs(y);
    const row = Math.floor((this.active - 1) / cols) + (across ? 0 : Math.sign(y));
    const col = ((this.active - 1) % cols) + (across ? Math.sign(x) : 0);
    if (row >= 0 && col >= 0 && row < rows && col < cols) this.moveTo(row * cols + col + 1);
  }

  #addRole() {
    assign(this.#svg, {
      tabindex: 0,
      role: "grid",
      "aria-multiselectable": "true",
      "aria-label": "Grid of squares. Arrow keys move; space selects, then marks as misleading, then clears.",
    });
  }

  /** Invisible cells for screen readers, row by row. */
  #addCells() {
    const { rows, cols } = this.#grid;
    assign(this.#svg, { "aria-rowcount": rows, "aria-colcount": cols });
    const row = (/** @type {number} */ r) =>
      s("g", { role: "row" }, ...allSquares({ rows: 1, cols }).map((c) => this.#cell(r, c)));
    fill(this.#cells, ...Array.from({ length: rows }, (_, r) => row(r)));
  }

  /** @param {number} row from 0 @param {number} col from 1 */
  #cell(row, col) {
    const square = row * this.#grid.cols + col;
    const { left, top, right, bottom } = squareBox(this.#grid, square, this.#film.height, this.#film.width);
    return s("rect", {
      id: `square-${square}`,
      class: "grid-cell",
      role: "gridcell",
      "aria-selected": "false",
      "aria-label": this.#cellLabel(square),
      x: left,
      y: top,
      width: right - left,
      height: bottom - top,
    });
  }

  /** @param {number} square */
  #cellLabel(square) {
    const { cols } = this.#grid;
    return `Square ${square + this.#before}, row ${Math.floor((square - 1) / cols) + 1}, column ${((square - 1) % cols) + 1}`;
  }

  /** Puts the keyboard's cursor on a square. @param {number} square */
  moveTo(square) {
    this.active = square;
    const { left, top, right, bottom } = squareBox(this.#grid, square, this.#film.height, this.#film.width);
    assign(this.#cursor, { x: left, y: top, width: right - left, height: bottom - top });
    if (this.hasAttribute("interactive")) {
      this.#svg.setAttribute("aria-activedescendant", `square-${square}`);
    }
  }

  /** @param {number} square */
  #boxPath(square) {
    const { left, top, right, bottom } = squareBox(this.#grid, square, this.#film.height, this.#film.width);
    return `M${left} ${top}H${right}V${bottom}H${left}Z`;
  }

  /** The upper left corner of a square as it lies on the screen. @param {number} square */
  #corner(square) {
    const { left, top, right, bottom } = squareBox(this.#grid, square, this.#film.height, this.#film.width);
    const one = transformPoint(this.#matrix, left, top);
    const other = transformPoint(this.#matrix, right, bottom);
    return { x: Math.min(one.x, other.x), y: Math.min(one.y, other.y) };
  }

  get marks() {
    return this.#marks;
  }
}

customElements.define("imil-grid", GridOverlay);
