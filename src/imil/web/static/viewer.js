// The panes: with the film alone and with its heat-map, or one with both. All, and their overlays
// (squares, heat-map, ruler), draw from one view and one matrix, so they cannot differ.

import { h } from "./dom.js";
import { attachGestures } from "./gestures.js";
import { heatPicture } from "./heat_map.js";
import { hasTwoPanes } from "./layouts.js";
import { Magnifier } from "./magnifier.js";
import { copyCanvas, cover, createPane, magnification, updateLabel, viewportOf } from "./pane.js";
import { RenderBackend } from "./render_backend.js";
import { SquareStrokes } from "./square_strokes.js";
import { countSquares, marksInSlab, marksWithSlab, planeOf, squareAt } from "./grid_geometry.js";
import { markOf, nextMark, withMark } from "./reading_state.js";
import { transformPoint, inverse, matrix } from "./view_transform.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./view_transform.js").Size} Size */
/** @typedef {import("./view_transform.js").Point} Point */
/** @typedef {import("./layouts.js").Layout} Layout */
/** @typedef {{image: Pixels, grid: import("./grid_geometry.js").Grid}} Content */

const NOTCH = 50; // pixels that a notch of a wheel scrolls, or more

export class Viewer extends HTMLElement {
  #left = createPane("Image", true);
  #right = createPane("Image with heat-map", false);
  #magnifier = new Magnifier();
  /** @type {{at: Point, pane: HTMLElement} | null} */
  #pointer = null;
  #magnified = false;
  /** @type {Layout} */
  #layout = "single";
  #bare = false;
  /** @type {Content | null} */
  #content = null;
  /** @type {View | null} */
  #view = null;
  /** @type {import("./ruler.js").Line | null} */
  #line = null;
  #strokes = new SquareStrokes({
    squareAt: (point) => this.#squareAt(point),
    marks: () => this.#left.grid.marks,
    cols: () => this.#content?.grid.cols ?? 1,
    selectOnly: () => this.selectOnly,
    change: (marks, name) => this.#change(marks, name),
    cancel: (name) => this.onstrokecancel(name),
  });
  /** Of the whole reading; the panes show those of a slab, where the film is a slice of a volume. @type {import("./reading_state.js").Marks} */
  #marks = { squares: [], misleading: [] };
  /** How many squares of a volume come before those that are shown. */
  #before = 0;
  /** @type {readonly number[] | null} */
  #earlier = null;
  #scrolled = 0;
  #frame = 0;
  /** @type {(() => void)[]} */
  #paintCallbacks = [];
  /** @type {import("./gestures.js").Tool} */
  tool = "select";

  /** @param {View} _view zoom, pan or window was changed with the pointer */
  onview = (_view) => {};
  /** The wheel was turned over a film; whether that shows another slice. @param {number} _steps @returns {boolean} */
  onturn = (_steps) => false;
  /** The bare film was clicked, on which no squares are shown. */
  onbareclick = () => {};
  /** Whether squares can only be selected, and not marked as misleading. */
  selectOnly = false;
  /** @param {import("./reading_state.js").Marks} _marks @param {string | null} _stroke name of the drag that made them; null for a single square */
  onmarks = (_marks, _stroke) => {};
  /** The drag of this name was cancelled. @param {string} _stroke */
  onstrokecancel = (_stroke) => {};

  /** @param {import("./image_cache.js").ImageCache} imageCache */
  constructor(imageCache) {
    super();
    this.backend = new RenderBackend(imageCache, () => this.onrendererchange());
    const sizes = new ResizeObserver(() => this.redraw());
    for (const { pane } of this.#panes) {
      attachGestures(pane, this.#gestureTarget());
      pane.addEventListener("pointermove", (event) => this.#pointAt(pane, event));
      pane.addEventListener("pointerleave", () => this.#pointAt(pane, null));
      sizes.observe(pane);
    }
  }

  /** Called when the graphics context was lost or restored. */
  onrendererchange = () => {};

  connectedCallback() {
    this.append(this.#left.pane, this.#right.pane);
  }

  get #panes() {
    return [this.#left, this.#right];
  }

  /** The panes that are on the screen. */
  get #visiblePanes() {
    return hasTwoPanes(this.#layout) ? this.#panes : [this.#left];
  }

  /** The pane of the heat-map. */
  get #heat() {
    return (hasTwoPanes(this.#layout) ? this.#right : this.#left).heat;
  }

  /** The CSS size of a pane; both have the same. @returns {Size} */
  get size() {
    const { clientWidth, clientHeight } = this.#left.pane;
    return { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) };
  }

  get layout() {
    return this.#layout;
  }

  /** @param {Layout} layout */
  set layout(layout) {
    this.#layout = this.dataset["layout"] = layout;
    this.#right.pane.hidden = !hasTwoPanes(layout);
    this.redraw();
  }

  /** Whether the film is shown without grid, numbers, squares and heat-map. @param {boolean} bare */
  set bare(bare) {
    this.#bare = bare;
    this.toggleAttribute("data-bare", bare);
    this.redraw();
  }

  /** @param {boolean} magnified whether the pointer has a magnifier */
  set magnified(magnified) {
    this.#magnified = magnified;
    this.redraw();
  }

  /** @param {Content} content @param {readonly number[] | null} earlier @param {number} before how many squares of a volume come before those of the film */
  show(content, earlier, before = 0) {
    this.#content = content;
    this.#earlier = earlier;
    this.#line = null;
    this.#strokes.end(true);
    this.#paintCallbacks = []; // of the case before
    this.setHeatMap(null);
    this.#setSlab(before, 1);
  }

  /** Shows another slice of the same volume. @param {Pixels} image @param {number} before as for `show` */
  setSlice(image, before) {
    if (!this.#content) return;
    this.#content = { ...this.#content, image };
    if (before !== this.#before) {
      this.#strokes.end(true);
      this.#setSlab(before, this.#left.grid.active);
      this.mark(this.#marks);
    }
    this.redraw();
  }

  /** @param {number} before @param {number} active */
  #setSlab(before, active) {
    const { grid: whole, image } = /** @type {Content} */ (this.#content);
    this.#before = before;
    const earlier = this.#earlier && this.#inSlab({ squares: this.#earlier, misleading: [] }).squares;
    for (const { grid } of this.#panes) grid.setGrid(planeOf(whole), image, earlier, before, active);
  }

  /** The marks that are shown. @param {import("./grid_geometry.js").Marked} marks */
  #inSlab(marks) {
    const grid = /** @type {Content} */ (this.#content).grid;
    return marksInSlab(marks, this.#before, countSquares(planeOf(grid)));
  }

  /** @param {import("./reading_state.js").Marks} marks as they are shown @param {string | null} name */
  #change(marks, name) {
    const grid = /** @type {Content} */ (this.#content).grid;
    this.onmarks(marksWithSlab(this.#marks, marks, this.#before, countSquares(planeOf(grid))), name);
  }

  /** @param {import("./image_cache.js").HeatValues | null} map null: none */
  setHeatMap(map) {
    const picture = map && heatPicture(map);
    for (const { heat } of this.#panes) heat.show(picture);
    this.redraw();
  }

  /** @param {{opacity: number, contours: boolean}} style */
  styleHeat(style) {
    for (const { heat } of this.#panes) Object.assign(heat, style);
    this.redraw();
  }

  /** @param {import("./reading_state.js").Marks} marks */
  mark(marks) {
    this.#marks = marks;
    const shown = this.#content ? this.#inSlab(marks) : marks;
    for (const { grid } of this.#panes) grid.mark(shown);
  }

  /** Marks the square at the keyboard's cursor as misleading, or clears it. */
  toggleMisleading() {
    if (this.selectOnly) return;
    const { active, marks } = this.#left.grid;
    this.#change(withMark(marks, [active], markOf(marks, active) === "misleading" ? "none" : "misleading"), null);
  }

  /** @param {View} view */
  setView(view) {
    this.#view = view;
    this.redraw();
  }

  focusGrid() {
    this.#left.grid.focus();
  }

  /** Moves the keyboard's cursor. @param {string} way left, right, up or down */
  step(way) {
    this.#left.grid.focus();
    this.#left.grid.step(way);
  }

  /** What a click does, to the square at the keyboard's cursor. */
  pick() {
    const { active, marks } = this.#left.grid;
    this.#change(withMark(marks, [active], nextMark(markOf(marks, active), this.selectOnly)), null);
  }

  /** Covers the right pane with a message, or uncovers it. @param {Node | null} message */
  setRightMessage(message) {
    cover(this.#right.pane, "note", message);
  }

  /** Covers both panes while the film is not there, or uncovers them. @param {Node | null} message */
  setFilmMessage(message) {
    cover(this.#left.pane, "film", message);
    cover(this.#right.pane, "film", message && h("p", { class: "dim" }, "The film is not on the screen."));
  }

  /** Draws in the next frame. @param {() => void} [onpainted] called after the frame has been drawn */
  redraw(onpainted) {
    if (onpainted) this.#paintCallbacks.push(onpainted);
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { image } = this.#content ?? {};
    if (!image || !this.#view) return;
    const { backend, size } = this;
    const m = matrix(this.#view, image, size);
    const uploaded = backend.uploaded(image.url);
    const viewport = viewportOf(size, m);
    if (uploaded) uploaded.draw(this.#view, magnification(m), viewport);
    else backend.clear(viewport);
    this.dataset["drawnBy"] = backend.kind;
    for (const { film, heat, grid, ruler, sides, label } of this.#visiblePanes) {
      copyCanvas(backend.canvas, film);
      if (heat === this.#heat && !this.#bare) heat.draw(m, image, viewport);
      else heat.clear();
      grid.draw(m);
      ruler.draw(this.#line, image, m);
      sides.draw(image, m);
      updateLabel(label, this.#view, uploaded?.skipped ?? 0, m);
    }
    this.#magnifier.hide();
    if (uploaded && this.#magnified && this.#pointer) {
      this.#pointer.pane.append(this.#magnifier.element);
      this.#magnifier.draw(backend, uploaded, this.#view, m, this.#pointer.at);
    }
    if (uploaded) setTimeout(() => this.#paintCallbacks.splice(0).forEach((callback) => callback()));
  }

  /** @param {HTMLElement} pane @param {PointerEvent | null} event null: the pointer has left */
  #pointAt(pane, event) {
    const { left, top } = pane.getBoundingClientRect();
    this.#pointer = event && { pane, at: { x: event.clientX - left, y: event.clientY - top } };
    if (this.#magnified) this.redraw();
  }

  /** @returns {import("./gestures.js").GestureTarget} */
  #gestureTarget() {
    return {
      tool: () => (this.tool === "length" && !this.#content?.image.spacing ? "select" : this.tool),
      current: () => this.#content && this.#view && { view: this.#view, film: this.#content.image, size: this.size },
      change: (view) => this.onview(view),
      scroll: (pixels) => this.#scroll(pixels),
      begin: (kind, point) => (kind === "length" ? this.#measureFrom(point) : this.#beginStroke(point)),
      move: (kind, from, to) => {
        if (kind === "length") this.#measureTo(to);
        else if (kind === "rectangle") this.#strokes.stretch(to);
        else this.#strokes.paint(from, to);
      },
      end: (kind, completed) => kind !== "length" && this.#strokes.end(completed),
    };
  }

  /** One slice a notch of a wheel; a touchpad sends many small ones. @param {number} pixels */
  #scroll(pixels) {
    this.#scrolled = Math.abs(pixels) >= NOTCH ? Math.sign(pixels) * NOTCH : this.#scrolled + pixels;
    const steps = Math.trunc(this.#scrolled / NOTCH);
    this.#scrolled -= steps * NOTCH;
    return this.onturn(steps);
  }

  /** @param {Point} point */
  #beginStroke(point) {
    if (this.#bare) return this.onbareclick(); // its squares are not to be seen
    const square = this.#strokes.begin(point);
    if (square !== null) this.#left.grid.moveTo(square);
  }

  /** @param {Point} point in a pane @returns {Point} on the film */
  #onFilm(point) {
    const content = /** @type {Content} */ (this.#content);
    return transformPoint(inverse(matrix(/** @type {View} */ (this.#view), content.image, this.size)), point.x, point.y);
  }

  /** @param {Point} point in a pane */
  #squareAt(point) {
    if (!this.#content) return null;
    const { x, y } = this.#onFilm(point);
    return squareAt(planeOf(this.#content.grid), x, y, this.#content.image.height, this.#content.image.width);
  }

  /** @param {Point} point */
  #measureFrom(point) {
    this.#line = { from: this.#onFilm(point), to: this.#onFilm(point) };
    this.redraw();
  }

  /** @param {Point} point */
  #measureTo(point) {
    if (this.#line) this.#line = { from: this.#line.from, to: this.#onFilm(point) };
    this.redraw();
  }
}

customElements.define("imil-viewer", Viewer);
