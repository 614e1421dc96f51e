// Two panes with the same image. Both, and their overlays (squares, heat-map, ruler), draw from one
// view and one matrix, so they cannot differ.

import { h } from "./dom.js";
import { attachGestures } from "./gestures.js";
import { GridOverlay } from "./grid_overlay.js";
import { HeatMap, sizeTo } from "./heat_map.js";
import { RenderBackend } from "./render_backend.js";
import { Ruler } from "./ruler.js";
import { squareAt } from "./grid_geometry.js";
import { markOf, nextMark, withMark } from "./reading_state.js";
import { compose, transformPoint, inverse, matrix, orientation } from "./view_transform.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./view_transform.js").Size} Size */
/** @typedef {import("./view_transform.js").Point} Point */
/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {{pane: HTMLElement, film: HTMLCanvasElement, grid: GridOverlay, ruler: Ruler, label: HTMLElement}} Pane */
/** @typedef {{image: Pixels, grid: import("./grid_geometry.js").Grid}} Content */

export class Viewer extends HTMLElement {
  #heat = new HeatMap();
  #left = pane("Image", true);
  #right = pane("Image with heat-map", false);
  /** @type {Content | null} */
  #content = null;
  /** @type {View | null} */
  #view = null;
  /** @type {import("./ruler.js").Line | null} */
  #line = null;
  /** @type {{mark: import("./reading_state.js").Mark, name: string} | null} */
  #stroke = null;
  #strokes = 0;
  #frame = 0;
  /** @type {(() => void)[]} */
  #paintCallbacks = [];
  /** @type {import("./gestures.js").Tool} */
  tool = "select";

  /** @param {View} _view zoom, pan or window was changed with the pointer */
  onview = (_view) => {};
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
    this.#right.pane.insertBefore(this.#heat, this.#right.grid);
    for (const { pane: element } of this.#panes) attachGestures(element, this.#gestureTarget(element));
    this.#left.grid.onpick = (square) => this.#advance(square);
    const sizes = new ResizeObserver(() => this.redraw());
    for (const { pane: element } of this.#panes) sizes.observe(element);
  }

  /** Called when the graphics context was lost or restored. */
  onrendererchange = () => {};

  connectedCallback() {
    this.append(this.#left.pane, this.#right.pane);
  }

  get #panes() {
    return [this.#left, this.#right];
  }

  /** The CSS size of a pane; both have the same. @returns {Size} */
  get size() {
    const { clientWidth, clientHeight } = this.#left.pane;
    return { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) };
  }

  /** @param {Content | null} content @param {readonly number[] | null} earlier */
  show(content, earlier) {
    this.#content = content;
    this.#line = null;
    this.#stroke = null;
    this.#heat.show(null);
    if (content) for (const { grid } of this.#panes) grid.setGrid(content.grid, content.image, earlier);
  }

  /** @param {import("./image_cache.js").HeatValues | null} map @param {number} opacity */
  setHeatMap(map, opacity) {
    this.#heat.show(map);
    this.#heat.opacity = opacity;
    this.redraw();
  }

  /** @param {number} opacity */
  set opacity(opacity) {
    this.#heat.opacity = opacity;
  }

  /** @param {import("./reading_state.js").Marks} marks */
  mark(marks) {
    for (const { grid } of this.#panes) grid.mark(marks);
  }

  /** Marks the square at the keyboard's cursor as misleading, or clears it. */
  toggleMisleading() {
    if (this.selectOnly) return;
    const { active, marks } = this.#left.grid;
    this.onmarks(withMark(marks, [active], markOf(marks, active) === "misleading" ? "none" : "misleading"), null);
  }

  /** @param {View} view */
  setView(view) {
    this.#view = view;
    this.redraw();
  }

  focusGrid() {
    this.#left.grid.focus();
  }

  /** @param {string} key an arrow key, pressed while no control had the focus */
  step(key) {
    this.#left.grid.focus();
    this.#left.grid.step(key);
  }

  /** Covers the right pane with a message, or uncovers it. @param {Node | null} message */
  setRightMessage(message) {
    this.#right.pane.querySelector(".overlay")?.remove();
    if (message) this.#right.pane.append(h("div", { class: "overlay" }, message));
  }

  /** Covers the left pane with a message, or uncovers it. @param {Node | null} message */
  setLeftMessage(message) {
    this.#left.pane.querySelector(".overlay")?.remove();
    if (message) this.#left.pane.append(h("div", { class: "overlay", role: "status" }, message));
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
    const magnification = Math.sqrt(Math.abs(m.a * m.d - m.b * m.c)) * devicePixelRatio;
    if (uploaded) uploaded.draw(this.#view, magnification, viewport);
    else backend.clear(viewport);
    this.dataset["drawnBy"] = backend.kind;
    this.#heat.draw(m, image, viewport);
    for (const { film, grid, ruler, label } of this.#panes) {
      copyCanvas(backend.canvas, film);
      grid.draw(m);
      ruler.draw(this.#line, image.spacing, m);
      updateLabel(label, this.#view, uploaded?.skipped ?? 0, m);
    }
    if (uploaded) setTimeout(() => this.#paintCallbacks.splice(0).forEach((callback) => callback()));
  }

  /** @param {HTMLElement} element @returns {import("./gestures.js").GestureTarget} */
  #gestureTarget(element) {
    return {
      tool: () => (this.tool === "length" && !this.#content?.image.spacing ? "select" : this.tool),
      current: () => this.#content && this.#view && { view: this.#view, film: this.#content.image, size: this.size },
      change: (view) => this.onview(view),
      begin: (kind, point) => (kind === "select" ? this.#beginStroke(point) : this.#measureFrom(point)),
      move: (kind, from, to) => (kind === "select" ? this.#paint(from, to) : this.#measureTo(to)),
      end: (kind, completed) => kind === "select" && this.#endStroke(completed),
    };
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
    return squareAt(this.#content.grid, x, y, this.#content.image.height, this.#content.image.width);
  }

  /** @param {Point} point */
  #beginStroke(point) {
    const square = this.#squareAt(point);
    if (square === null) return;
    this.#strokes += 1;
    const mark = nextMark(markOf(this.#left.grid.marks, square), this.selectOnly);
    this.#stroke = { mark, name: `stroke ${this.#strokes}` };
    this.#paint(point, point);
  }

  /** @param {Point} from @param {Point} to */
  #paint(from, to) {
    if (!this.#stroke) return;
    const { mark, name } = this.#stroke;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4));
    const touched = new Set();
    for (let i = 0; i <= steps; i += 1) {
      const part = i / steps;
      const square = this.#squareAt({ x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part });
      if (square !== null) touched.add(square);
    }
    this.onmarks(withMark(this.#left.grid.marks, touched, mark), name);
  }

  /** @param {boolean} completed */
  #endStroke(completed) {
    if (this.#stroke && !completed) this.onstrokecancel(this.#stroke.name);
    this.#stroke = null;
  }

  /** @param {number} square */
  #advance(square) {
    const { marks } = this.#left.grid;
    this.onmarks(withMark(marks, [square], nextMark(markOf(marks, square), this.selectOnly)), null);
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

/** @param {string} name @param {boolean} interactive @returns {Pane} */
function pane(name, interactive) {
  const grid = new GridOverlay();
  grid.toggleAttribute("interactive", interactive);
  const ruler = new Ruler();
  const label = h("div", { class: "view-label", "aria-live": "polite" });
  const film = h("canvas", { class: "film", "aria-hidden": "true" });
  const element = h("section", { class: "pane", "aria-label": name }, film, grid, ruler, label);
  return { pane: element, film, grid, ruler, label };
}

/** The pane in device pixels. @param {Size} size @param {Matrix} m
 * @returns {import("./webgl_renderer.js").Viewport} */
function viewportOf(size, m) {
  const width = Math.max(1, Math.round(size.width * devicePixelRatio));
  const height = Math.max(1, Math.round(size.height * devicePixelRatio));
  const step = 1 / devicePixelRatio;
  const up = { a: step, b: 0, c: 0, d: -step, e: 0, f: height * step };
  return { width, height, toFilm: compose(inverse(m), up) };
}

/** Copies one drawing into a pane, so that the panes cannot differ.
 * @param {HTMLCanvasElement} from @param {HTMLCanvasElement} to */
function copyCanvas(from, to) {
  sizeTo(to, from);
  to.getContext("2d", { alpha: false })?.drawImage(from, 0, 0);
}

/** Shows how the image differs from the stored one: rotated, mirrored, inverted, coarser.
 * @param {HTMLElement} label @param {View} view @param {number} skipped @param {Matrix} m */
function updateLabel(label, view, skipped, m) {
  const orientationText = [orientation(view), view.invert && "inverted"].filter(Boolean).join(", ");
  const resolutionText = skipped ? `shown at 1/${2 ** skipped} resolution: the image is too large for this graphics card` : "";
  const text = [orientationText, resolutionText].filter(Boolean).join(" · ");
  if (label.textContent !== text) label.textContent = text;
  label.dataset["matrix"] = [m.a, m.b, m.c, m.d, m.e, m.f].join(" ");
}

customElements.define("imil-viewer", Viewer);
