// Two panes on one film. Both draw from one view and one matrix, so they cannot diverge; what
// lies on top (squares, heat-map, ruler) draws from the same.

import { h } from "./dom.js";
import { listen } from "./gestures.js";
import { SquareGrid } from "./grid.js";
import { HeatMap, sizeTo } from "./heatmap.js";
import { Projector } from "./projector.js";
import { Ruler } from "./ruler.js";
import { squareAt } from "./squares.js";
import { after, apply, inverse, matrix, orientation } from "./view.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./view.js").Size} Size */
/** @typedef {import("./view.js").Point} Point */
/** @typedef {import("./view.js").Matrix} Matrix */
/** @typedef {{pane: HTMLElement, film: HTMLCanvasElement, grid: SquareGrid, ruler: Ruler, signs: HTMLElement}} Pane */
/** @typedef {{image: Pixels, grid: import("./squares.js").Grid}} Shown */

export class Viewer extends HTMLElement {
  #heat = new HeatMap();
  #left = pane("Film", true);
  #right = pane("Film with the model’s attention", false);
  /** @type {Shown | null} */
  #shown = null;
  /** @type {View | null} */
  #view = null;
  /** @type {import("./ruler.js").Line | null} */
  #line = null;
  /** @type {{adding: boolean, name: string} | null} */
  #stroke = null;
  #strokes = 0;
  #frame = 0;
  /** @type {(() => void)[]} */
  #painted = [];
  /** @type {import("./gestures.js").Tool} */
  tool = "select";

  /** @param {View} _view the reader has moved the film */
  onview = (_view) => {};
  /** @param {readonly number[]} _squares @param {string | null} _stroke painted in one go */
  onsquares = (_squares, _stroke) => {};
  /** The stroke of this name was broken off. @param {string} _stroke */
  onbroken = (_stroke) => {};

  /** @param {import("./films.js").Films} films */
  constructor(films) {
    super();
    this.projector = new Projector(films, () => this.onexchange());
    this.#right.pane.insertBefore(this.#heat, this.#right.grid);
    for (const { pane: element } of this.#panes) listen(element, this.#owner(element));
    this.#left.grid.onpick = (square) => this.#toggle(square);
    const sizes = new ResizeObserver(() => this.redraw());
    for (const { pane: element } of this.#panes) sizes.observe(element);
  }

  /** The graphics context was lost or came back. */
  onexchange = () => {};

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

  /** @param {Shown | null} shown @param {readonly number[] | null} earlier */
  show(shown, earlier) {
    this.#shown = shown;
    this.#line = null;
    this.#stroke = null;
    this.#heat.show(null);
    if (shown) for (const { grid } of this.#panes) grid.lay(shown.grid, shown.image, earlier);
  }

  /** @param {import("./films.js").HeatValues | null} map @param {number} opacity */
  set(map, opacity) {
    this.#heat.show(map);
    this.#heat.opacity = opacity;
    this.redraw();
  }

  /** @param {number} opacity */
  set opacity(opacity) {
    this.#heat.opacity = opacity;
  }

  /** @param {readonly number[]} squares */
  select(squares) {
    for (const { grid } of this.#panes) grid.select(squares);
  }

  /** @param {View} view */
  look(view) {
    this.#view = view;
    this.redraw();
  }

  focusGrid() {
    this.#left.grid.focus();
  }

  /** @param {string} key an arrow, pressed while nothing else had the keyboard */
  step(key) {
    this.#left.grid.focus();
    this.#left.grid.step(key);
  }

  /** What covers the right pane: a message, or nothing. @param {Node | null} message */
  veil(message) {
    this.#right.pane.querySelector(".veil")?.remove();
    if (message) this.#right.pane.append(h("div", { class: "veil" }, message));
  }

  /** What covers the left pane. @param {Node | null} message */
  tell(message) {
    this.#left.pane.querySelector(".veil")?.remove();
    if (message) this.#left.pane.append(h("div", { class: "veil", role: "status" }, message));
  }

  /** Draws in the next frame. @param {() => void} [painted] called once that is on the screen */
  redraw(painted) {
    if (painted) this.#painted.push(painted);
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    const { image } = this.#shown ?? {};
    if (!image || !this.#view) return;
    const { projector, size } = this;
    const m = matrix(this.#view, image, size);
    const ready = projector.ready(image.url);
    const port = portOf(size, m);
    const magnified = Math.sqrt(Math.abs(m.a * m.d - m.b * m.c)) * devicePixelRatio;
    if (ready) ready.draw(this.#view, magnified, port);
    else projector.clear(port);
    this.dataset["drawnBy"] = projector.kind;
    this.#heat.draw(m, image, port);
    for (const { film, grid, ruler, signs } of this.#panes) {
      copy(projector.canvas, film);
      grid.draw(m);
      ruler.draw(this.#line, image.spacing, m);
      sign(signs, this.#view, ready?.skipped ?? 0, m);
    }
    if (ready) setTimeout(() => this.#painted.splice(0).forEach((told) => told()));
  }

  /** @param {HTMLElement} element @returns {import("./gestures.js").Owner} */
  #owner(element) {
    return {
      tool: () => (this.tool === "length" && !this.#shown?.image.spacing ? "select" : this.tool),
      now: () => this.#shown && this.#view && { view: this.#view, film: this.#shown.image, size: this.size },
      change: (view) => this.onview(view),
      begin: (kind, at) => (kind === "select" ? this.#beginStroke(at) : this.#measureFrom(at)),
      move: (kind, from, to) => (kind === "select" ? this.#paint(from, to) : this.#measureTo(to)),
      end: (kind, kept) => kind === "select" && this.#endStroke(kept),
    };
  }

  /** @param {Point} at in a pane @returns {Point} on the film */
  #onFilm(at) {
    const shown = /** @type {Shown} */ (this.#shown);
    return apply(inverse(matrix(/** @type {View} */ (this.#view), shown.image, this.size)), at.x, at.y);
  }

  /** @param {Point} at in a pane */
  #squareAt(at) {
    if (!this.#shown) return null;
    const { x, y } = this.#onFilm(at);
    return squareAt(this.#shown.grid, x, y, this.#shown.image.height, this.#shown.image.width);
  }

  /** @param {Point} at */
  #beginStroke(at) {
    const square = this.#squareAt(at);
    if (square === null) return;
    this.#strokes += 1;
    this.#stroke = { adding: !this.#left.grid.squares.includes(square), name: `stroke ${this.#strokes}` };
    this.#paint(at, at);
  }

  /** @param {Point} from @param {Point} to */
  #paint(from, to) {
    if (!this.#stroke) return;
    const { adding, name } = this.#stroke;
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4));
    const squares = new Set(this.#left.grid.squares);
    for (let i = 0; i <= steps; i += 1) {
      const part = i / steps;
      const square = this.#squareAt({ x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part });
      if (square !== null) adding ? squares.add(square) : squares.delete(square);
    }
    this.onsquares([...squares], name);
  }

  /** @param {boolean} kept */
  #endStroke(kept) {
    if (this.#stroke && !kept) this.onbroken(this.#stroke.name);
    this.#stroke = null;
  }

  /** @param {number} square */
  #toggle(square) {
    const { squares } = this.#left.grid;
    this.onsquares(squares.includes(square) ? squares.filter((s) => s !== square) : [...squares, square], null);
  }

  /** @param {Point} at */
  #measureFrom(at) {
    this.#line = { from: this.#onFilm(at), to: this.#onFilm(at) };
    this.redraw();
  }

  /** @param {Point} at */
  #measureTo(at) {
    if (this.#line) this.#line = { from: this.#line.from, to: this.#onFilm(at) };
    this.redraw();
  }
}

/** @param {string} name @param {boolean} interactive @returns {Pane} */
function pane(name, interactive) {
  const grid = new SquareGrid();
  grid.toggleAttribute("interactive", interactive);
  const ruler = new Ruler();
  const signs = h("div", { class: "signs", "aria-live": "polite" });
  const film = h("canvas", { class: "film", "aria-hidden": "true" });
  const element = h("section", { class: "pane", "aria-label": name }, film, grid, ruler, signs);
  return { pane: element, film, grid, ruler, signs };
}

/** The pane in device pixels. @param {Size} size @param {Matrix} m
 * @returns {import("./webgl.js").Port} */
function portOf(size, m) {
  const width = Math.max(1, Math.round(size.width * devicePixelRatio));
  const height = Math.max(1, Math.round(size.height * devicePixelRatio));
  const step = 1 / devicePixelRatio;
  const up = { a: step, b: 0, c: 0, d: -step, e: 0, f: height * step };
  return { width, height, toFilm: after(inverse(m), up) };
}

/** Both panes show one drawing, so they cannot differ.
 * @param {HTMLCanvasElement} from @param {HTMLCanvasElement} to */
function copy(from, to) {
  sizeTo(to, from);
  to.getContext("2d", { alpha: false })?.drawImage(from, 0, 0);
}

/** Says when the film is shown otherwise than it was stored.
 * @param {HTMLElement} signs @param {View} view @param {number} skipped @param {Matrix} m */
function sign(signs, view, skipped, m) {
  const words = [orientation(view), view.invert && "inverted"].filter(Boolean).join(", ");
  const coarse = skipped ? `shown at 1/${2 ** skipped} resolution: the film is larger than this graphics card can hold` : "";
  const text = [words, coarse].filter(Boolean).join(" · ");
  if (signs.textContent !== text) signs.textContent = text;
  signs.dataset["matrix"] = [m.a, m.b, m.c, m.d, m.e, m.f].join(" ");
}

customElements.define("imil-viewer", Viewer);
