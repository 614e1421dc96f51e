// Controls the viewer of a case: view, tools and heat-map. Each case starts with default
// settings, except for the window if the reader chose to keep it.

import { h } from "../dom.js";
import { Viewer } from "../viewer.js";
import { fitScale, fitted, flipped, freshView, fullWindow, nextView, rangeWindow, trueSize, rotated, zoomed } from "../view_transform.js";
import { Toolbar } from "./toolbar.js";

/** @typedef {import("../view_transform.js").View} View */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../app.js").App} App */
/** @typedef {import("../image_cache.js").Loaded} Loaded */

const OPACITY = 0.45; // at the maximum of the heat-map, as in the console's figures
const ZOOM_STEP = 1.25; // factor of one key press

export class ViewerController {
  #app;
  #round;
  /** @type {Case | null} */
  #caseData = null;
  /** @type {View | null} */
  #view = null;
  /** @type {Loaded | null} */
  #loaded = null;
  /** @type {import("../image_cache.js").HeatValues | null} */
  #heatMap = null;
  #hidden = false;
  #keepWindow = false;
  /** @type {"predicted" | "true"} */
  which = "predicted";
  opacity = OPACITY;
  /** Called when the image is on the screen. */
  onpainted = () => {};
  /** Called when the heat-map's class or opacity was changed by key. */
  onheat = () => {};

  /** @param {App} app @param {Round} round @param {(command: string) => void} run */
  constructor(app, round, run) {
    this.#app = app;
    this.#round = round;
    const opacity = app.localStore.get("opacity");
    if (typeof opacity === "number") this.opacity = opacity;
    this.viewer = new Viewer(app.imageCache);
    this.viewer.onview = (view) => this.#setView(view);
    this.viewer.onrendererchange = () => void this.#showImage(true);
    this.toolbar = new Toolbar(app.shortcuts, { run, keep: (keepWindow) => (this.#keepWindow = keepWindow) }, false);
  }

  /** @param {Case} caseData */
  open(caseData) {
    const previous = this.#view && this.#caseData && { view: this.#view, film: this.#caseData.image };
    const view = nextView(caseData.image, this.#keepWindow ? previous : null);
    this.#caseData = caseData;
    this.#loaded = null;
    this.#heatMap = null;
    this.#hidden = false;
    this.which = "predicted";
    this.viewer.tool = "select";
    this.viewer.show({ image: caseData.image, grid: this.#round.grid }, caseData.earlier);
    this.viewer.setLeftMessage(null);
    this.#setView(view);
    void this.#showImage(false);
    void this.heat();
  }

  /** Loads the next images in the background. @param {Case[]} upcoming nearest first */
  async prefetch(upcoming) {
    const [next, afterNext] = upcoming;
    const { backend } = this.viewer;
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

  /** The heat-map of the class in question, or none before the prediction is shown. */
  async heat() {
    const caseData = this.#caseData;
    const { which } = this;
    if (!caseData?.opinion) return this.viewer.setHeatMap(null, this.opacity);
    try {
      const map = await this.#app.imageCache.heatMap(caseData.opinion, which);
      if (caseData !== this.#caseData || which !== this.which) return;
      this.#heatMap = map;
      this.viewer.setHeatMap(this.#hidden ? null : map, this.opacity);
    } catch (error) {
      if (caseData !== this.#caseData) return;
      this.#app.notify(/** @type {Error} */ (error).message);
      addEventListener("online", () => caseData === this.#caseData && void this.heat(), { once: true });
    }
  }

  /** @param {boolean} hidden while a key or button is held */
  hide(hidden) {
    if (this.#hidden === hidden || !this.#heatMap) return;
    this.#hidden = hidden;
    this.viewer.setHeatMap(hidden ? null : this.#heatMap, this.opacity);
  }

  /** @param {number} opacity */
  setOpacity(opacity) {
    this.opacity = Math.min(Math.max(opacity, 0), 1);
    this.viewer.opacity = this.opacity;
    this.#app.localStore.set("opacity", this.opacity);
  }

  /** @param {"predicted" | "true"} which */
  setClass(which) {
    this.which = which;
    void this.heat();
  }

  /** @param {string} command @returns {boolean} whether it is a command of the viewer */
  run(command) {
    const view = this.#view;
    const film = this.#caseData?.image;
    if (!view || !film) return false;
    if (command.startsWith("tool-")) return this.#setTool(command.slice(5));
    if (command.startsWith("preset-")) return this.#setView({ ...view, ...this.#preset(command) });
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
    return this.#runHeat(command);
  }

  /** @param {string} command */
  #runHeat(command) {
    if (command === "class") this.setClass(this.which === "true" ? "predicted" : "true");
    else if (command === "fainter") this.setOpacity(this.opacity - 0.1);
    else if (command === "stronger") this.setOpacity(this.opacity + 0.1);
    else return false;
    this.onheat();
    return true;
  }

  /** @param {string} tool */
  #setTool(tool) {
    if (tool === "length" && !this.#caseData?.image.spacing) this.#app.notify("Length cannot be measured: the pixel spacing of this image is unknown.");
    else this.viewer.tool = /** @type {import("../gestures.js").Tool} */ (tool);
    this.viewer.dataset["tool"] = this.viewer.tool;
    if (this.#view) this.#setView(this.#view);
    return true;
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
    const film = /** @type {Case} */ (this.#caseData).image;
    this.viewer.dataset["tool"] = this.viewer.tool;
    this.viewer.setView(view);
    const percent = Math.round(fitScale(view.turns, film, this.viewer.size) * view.zoom * devicePixelRatio * 100);
    const readout = `W ${Math.round(view.width)}  C ${Math.round(view.center)}  ${percent} %`;
    this.toolbar.show({ tool: this.viewer.tool, spacing: film.spacing !== null, invert: view.invert, readout });
    return true;
  }

  /** Shows the image, or why it cannot be shown. @param {boolean} isRedraw */
  async #showImage(isRedraw) {
    const caseData = this.#caseData;
    if (!caseData) return;
    const { viewer } = this;
    const { backend } = viewer;
    if (!backend.uploaded(caseData.image.url)) viewer.setLeftMessage(h("p", { class: "loading" }, "Loading image…"));
    try {
      this.#loaded = await backend.prepare(caseData.image, { urgent: true });
      if (caseData !== this.#caseData) return;
      viewer.setLeftMessage(null);
      viewer.redraw(isRedraw ? undefined : () => caseData === this.#caseData && this.onpainted());
    } catch (error) {
      if (caseData === this.#caseData) this.#showError(/** @type {import("../api.js").ApiError} */ (error));
    }
  }

  /** @param {import("../api.js").ApiError} error */
  #showError({ status, message }) {
    if (status === 401) return this.#app.showSignedOut();
    const sentence = status === 0 ? "The image could not be loaded: the server cannot be reached." : message;
    const retry = () => void this.#showImage(false);
    this.viewer.setLeftMessage(
      h("div", { class: "load-error" }, h("p", {}, sentence), h("p", { class: "dim" }, "Try again, continue with another case, or skip this one."), h("button", { type: "button", onclick: retry }, "Try again")),
    );
    if (status === 0) addEventListener("online", retry, { once: true });
  }
}
