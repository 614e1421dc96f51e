// Controls the viewer of a case: view, tools and layout. Each case starts with default settings,
// except for the layout, and for the window if the reader chose to keep it.

import { api } from "../api.js";
import { h } from "../dom.js";
import { squaresBefore } from "../grid_geometry.js";
import { ctWindow } from "../hounsfield.js";
import { LayoutChoice, nextLayout } from "../layouts.js";
import { Viewer } from "../viewer.js";
import { fitScale, fitted, flipped, freshView, fullWindow, nextView, rangeWindow, trueSize, rotated, zoomed } from "../view_transform.js";
import { HeatController } from "./heat_controller.js";
import { StackBar } from "./stack_bar.js";
import { Toolbar } from "./toolbar.js";

/** @typedef {import("../view_transform.js").View} View */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../app.js").App} App */
/** @typedef {import("../image_cache.js").Loaded} Loaded */
/** @typedef {import("../layouts.js").Layout} Layout */
/** @typedef {import("../answer_gate.js").Part} Part */

const NOT_FOUND = 404; // status: the store does not have it
const NEIGHBOURS = 2; // slices on either side that are loaded ahead
const ZOOM_STEP = 1.25; // factor of one key press
const PORTRAIT_HEIGHT = 0.66; // of the window, for the panes of an upright one; as in case.css

export class ViewerController {
  #app;
  #round;
  #layouts;
  /** @type {Case | null} */
  #caseData = null;
  /** @type {View | null} */
  #view = null;
  /** @type {Loaded | null} */
  #loaded = null;
  /** The slice on the screen, and the one that was asked for last; null: the film is no volume. @type {number | null} */
  #slice = null;
  /** @type {number | null} */
  #wanted = null;
  #bare = false;
  #keepWindow = false;
  /** Called when the image or the heat-map is on the screen. @param {Part} _part */
  onpainted = (_part) => {};
  /** Called when the server does not have it. @param {Part} _part */
  onmissing = (_part) => {};
  /** Called when another slice of a volume is on the screen. @param {number} _slice */
  onslice = (_slice) => {};

  /** @param {App} app @param {Round} round @param {(command: string) => void} run */
  constructor(app, round, run) {
    this.#app = app;
    this.#round = round;
    this.#layouts = new LayoutChoice(app.localStore);
    this.viewer = new Viewer(app.imageCache);
    this.viewer.onview = (view) => this.#setView(view);
    this.viewer.onbareclick = () => this.#setBare(false);
    this.viewer.onrendererchange = () => void this.#showImage(true);
    this.heat = new HeatController(app, this.viewer);
    this.viewer.onturn = (steps) => this.#scroll(steps);
    this.stack = new StackBar(round, (slice) => this.#goTo(slice), run, app.shortcuts);
    this.heat.onclass = () => void this.showEnergy();
    this.heat.onpainted = () => this.onpainted("opinion");
    this.heat.onmissing = () => this.onmissing("opinion");
    this.toolbar = new Toolbar(app.shortcuts, { run, keep: (keepWindow) => (this.#keepWindow = keepWindow) }, false);
  }

  /** @param {Case} caseData */
  open(caseData) {
    const previous = this.#view && this.#caseData && { view: this.#view, film: this.#caseData.image };
    const view = nextView(caseData.image, this.#keepWindow ? previous : null);
    this.#caseData = caseData;
    this.#loaded = null;
    this.#slice = this.#wanted = middleOf(caseData.image);
    this.viewer.tool = "select";
    this.viewer.show({ image: this.#film(), grid: this.#round.grid }, caseData.earlier, this.#before());
    this.viewer.setFilmMessage(null);
    this.viewer.magnified = false;
    this.#setView(view);
    this.#setBare(false);
    this.stack.open(caseData, this.#slice);
    this.heat.open(caseData, this.#slice);
    void this.showEnergy();
    this.arrange();
    void this.#showImage(false);
  }

  /** The film on the screen: the image, or a slice of the volume. */
  #film() {
    return filmOf(/** @type {Case} */ (this.#caseData).image, this.#slice);
  }

  /** How many squares come before those of the film. */
  #before() {
    const slices = this.#caseData?.image.slices;
    return this.#slice === null || !slices ? 0 : squaresBefore(this.#round.grid, this.#slice, slices);
  }

  /** Shows a slice once it is loaded; until then the one before stays, with its own squares and numbers.
   * @param {number} slice */
  async #goTo(slice) {
    const caseData = this.#caseData;
    const slices = caseData?.image.slices;
    if (!caseData || !slices) return;
    this.#wanted = Math.min(Math.max(slice, 1), slices);
    const wanted = this.#wanted;
    if (wanted === this.#slice) return;
    try {
      this.#loaded = await this.viewer.backend.prepare(filmOf(caseData.image, wanted), { urgent: true });
    } catch (error) {
      if (caseData === this.#caseData) this.#showError(/** @type {import("../api.js").ApiError} */ (error));
      return;
    }
    if (caseData !== this.#caseData || wanted !== this.#wanted) return;
    this.#slice = wanted;
    this.viewer.setSlice(this.#film(), this.#before());
    this.heat.setSlice(wanted);
    this.stack.show(wanted);
    this.onslice(wanted);
    void this.#loadNeighbours();
  }

  /** @param {number} steps @returns {boolean} whether the film is a slice of a volume */
  #scroll(steps) {
    if (this.#slice === null || this.#wanted === null) return false;
    this.stack.pause();
    if (steps) void this.#goTo(this.#wanted + steps);
    return true;
  }

  /** Loads the slices around the one on the screen, and frees those that are far away. */
  async #loadNeighbours() {
    const [image, slice] = [this.#caseData?.image, this.#slice];
    if (!image?.slices || slice === null) return;
    const around = Array.from({ length: 2 * NEIGHBOURS + 1 }, (_, i) => slice + i - NEIGHBOURS);
    const films = around.filter((n) => n >= 1 && n <= (image.slices ?? 0)).map((n) => filmOf(image, n));
    this.viewer.backend.retain(films.map(({ url }) => url));
    for (const film of films) {
      if (slice !== this.#slice) return;
      await this.viewer.backend.prepare(film, { urgent: false }).catch(() => {}); // asked for again when it is turned to
    }
  }

  /** Shows where in the volume the model's attention is, once its prediction may be seen. */
  async showEnergy() {
    const caseData = this.#caseData;
    if (!caseData?.opinion || this.#slice === null) return;
    const { which } = this.heat;
    const { energy } = await api.energy(this.#round.id, caseData.number, which).catch(() => ({ energy: [] }));
    if (caseData === this.#caseData && which === this.heat.which) this.stack.showEnergy(energy);
  }

  /** Lays out the panes, in the reader's way or in one that fits the window. */
  arrange() {
    if (!this.#caseData) return;
    const { clientWidth: width, clientHeight } = this.viewer;
    const height = innerWidth >= innerHeight ? clientHeight : innerHeight * PORTRAIT_HEIGHT;
    const layout = this.#layouts.get({ width: Math.max(1, width), height: Math.max(1, height) }, this.#caseData.image);
    if (layout !== this.viewer.layout || !this.viewer.dataset["layout"]) {
      this.viewer.layout = layout;
      this.heat.blink(layout === "blink");
    }
    this.#refresh();
  }

  /** @param {Layout} layout */
  #setLayout(layout) {
    this.#layouts.set(layout);
    this.arrange();
    return true;
  }

  /** @param {boolean} bare whether the film is shown alone */
  #setBare(bare) {
    this.viewer.bare = this.#bare = bare;
    this.#refresh();
    return true;
  }

  /** Loads the next images in the background. @param {Case[]} upcoming nearest first */
  async prefetch(upcoming) {
    const [next, afterNext] = upcoming;
    const { backend } = this.viewer;
    if (this.#slice !== null) return void this.#loadNeighbours();
    const nearby = [this.#caseData, next].filter((caseData) => caseData !== null && caseData !== undefined);
    backend.retain(nearby.map(({ image }) => image.url));
    try {
      if (next) await backend.prepare(next.image, { urgent: false });
      if (next?.opinion) {
        await this.#app.imageCache.heatMap(next.opinion, "predicted");
        await this.#app.imageCache.heatMap(next.opinion, "true");
      }
      if (afterNext) await this.#app.imageCache.load(afterNext.image);
    } catch {
      // tried again, and reported, when the case is opened
    }
  }

  /** @param {string} command @returns {boolean} whether it is a command of the viewer */
  run(command) {
    const view = this.#view;
    const film = this.#caseData?.image;
    if (!view || !film) return false;
    if (command.startsWith("tool-")) return this.#setTool(command.slice(5));
    if (command === "slice-back" || command === "slice-on") return this.#scroll(command === "slice-on" ? 1 : -1) || true;
    if (command === "cine") return this.#slice !== null && this.stack.toggle(), true;
    if (command === "layout") return this.#setLayout(nextLayout(this.viewer.layout));
    if (command.startsWith("layout-")) return this.#setLayout(/** @type {Layout} */ (command.slice(7)));
    if (command === "bare") return this.#setBare(!this.#bare);
    if (command.startsWith("preset-")) return this.#setView({ ...view, ...this.#preset(command) });
    if (command.startsWith("hounsfield-")) return this.#setCtWindow(command.slice(11));
    const { size } = this.viewer;
    const commands = /** @type {Record<string, () => View>} */ ({
      invert: () => ({ ...view, invert: !view.invert }),
      "rotate-right": () => rotated(view, 1),
      "rotate-left": () => rotated(view, -1),
      "flip-horizontal": () => flipped(view, "horizontal"),
      "flip-vertical": () => flipped(view, "vertical"),
      "zoom-in": () => zoomed(view, film, size, ZOOM_STEP),
      "zoom-out": () => zoomed(view, film, size, 1 / ZOOM_STEP),
      fit: () => fitted(view, film),
      "true-size": () => trueSize(view, film, size, devicePixelRatio),
      reset: () => freshView(film),
    });
    const next = commands[command]?.();
    if (next) return this.#setView(next);
    return this.heat.run(command);
  }

  /** @param {string} tool */
  #setTool(tool) {
    if (tool === "length" && !this.#caseData?.image.spacing) this.#app.notify("Length cannot be measured: the pixel spacing of this image is unknown.");
    else this.viewer.tool = /** @type {import("../gestures.js").Tool} */ (tool);
    this.#refresh();
    return true;
  }

  /** @param {string} name */
  #setCtWindow(name) {
    const [view, zero] = [this.#view, this.#caseData?.image.hounsfield ?? null];
    if (zero === null) this.#app.notify("Windows of a CT cannot be set: the values of this image are not known to be Hounsfield units.");
    const window = zero === null ? null : ctWindow(name, zero);
    return view && window ? this.#setView({ ...view, ...window }) : true;
  }

  /** @param {string} command */
  #preset(command) {
    const film = /** @type {Case} */ (this.#caseData).image;
    const [low = film.low, middle = film.low, above = film.high, high = film.high] = this.#loaded?.quantiles ?? [];
    if (command === "preset-2") return rangeWindow(low, high);
    if (command === "preset-3") return rangeWindow(low, above);
    if (command === "preset-4") return rangeWindow(middle, high);
    return fullWindow(film);
  }

  /** @param {View} view @returns {true} */
  #setView(view) {
    this.#view = view;
    this.viewer.setView(view);
    this.#refresh();
    return true;
  }

  /** Shows in the toolbar how things are. */
  #refresh() {
    const [view, film] = [this.#view, this.#caseData?.image];
    if (!view || !film) return;
    const { tool, size, layout } = this.viewer;
    this.viewer.dataset["tool"] = tool;
    const percent = Math.round(fitScale(view.turns, film, size) * view.zoom * devicePixelRatio * 100);
    const center = Math.round(view.center + (film.hounsfield ?? 0));
    const unit = film.hounsfield === null ? "" : "\u00a0HU";
    const readout = `W\u00a0${Math.round(view.width)}  C\u00a0${center}${unit}  ${percent}\u00a0%`;
    const [spacing, hounsfield] = [film.spacing !== null, film.hounsfield !== null];
    this.toolbar.show({ tool, layout, bare: this.#bare, spacing, hounsfield, invert: view.invert, readout });
  }

  /** Shows the image, or why it cannot be shown. @param {boolean} isRedraw */
  async #showImage(isRedraw) {
    const caseData = this.#caseData;
    if (!caseData) return;
    const { viewer } = this;
    const { backend } = viewer;
    const film = this.#film();
    if (!backend.uploaded(film.url)) viewer.setFilmMessage(h("p", { class: "loading" }, "Loading image…"));
    try {
      this.#loaded = await backend.prepare(film, { urgent: true });
      if (caseData !== this.#caseData || film.url !== this.#film().url) return;
      viewer.setFilmMessage(null);
      viewer.redraw(isRedraw ? undefined : () => caseData === this.#caseData && this.onpainted("film"));
    } catch (error) {
      if (caseData === this.#caseData) this.#showError(/** @type {import("../api.js").ApiError} */ (error));
    }
  }

  /** @param {import("../api.js").ApiError} error */
  #showError({ status, message }) {
    if (status === 401) return this.#app.showSignedOut();
    const sentence = status === 0 ? "The image could not be loaded: the server cannot be reached." : message;
    const retry = () => void this.#showImage(false);
    const advice = status === NOT_FOUND ? "Try again, or skip this case." : "Try again, or continue with another case: what was not seen cannot be answered.";
    this.viewer.setFilmMessage(
      h("div", { class: "load-error" }, h("p", {}, sentence), h("p", { class: "dim" }, advice), h("button", { type: "button", onclick: retry }, "Try again")),
    );
    if (status === NOT_FOUND) this.onmissing("film");
    if (status === 0) addEventListener("online", retry, { once: true });
  }
}

/** A slice of a volume as an image; an image itself. @param {import("../api.js").Pixels} image @param {number | null} slice */
function filmOf(image, slice) {
  return slice === null ? image : { ...image, url: `${image.url}?slice=${slice}` };
}

/** The slice that a volume is opened at; null: it is an image. @param {import("../api.js").Pixels} image */
function middleOf({ slices }) {
  return slices ? Math.ceil(slices / 2) : null;
}
