// The film desk of a case: viewer, tools and heat-map, and what they are set to. Each case
// begins with fresh settings; only what the reader asked to keep goes along.

import { h } from "../dom.js";
import { Viewer } from "../viewer.js";
import { fitScale, fitted, flipped, freshView, fullWindow, nextView, rangeWindow, trueSize, turned, zoomed } from "../view.js";
import { Toolbar } from "./toolbar.js";

/** @typedef {import("../view.js").View} View */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../app.js").App} App */
/** @typedef {import("../films.js").Loaded} Loaded */

const OPACITY = 0.45; // of the hottest place, as in the console's figures
const STEP = 1.25; // of zoom by key

export class Desk {
  #app;
  #round;
  /** @type {Case | null} */
  #kase = null;
  /** @type {View | null} */
  #view = null;
  /** @type {Loaded | null} */
  #loaded = null;
  /** @type {import("../films.js").HeatValues | null} */
  #map = null;
  #hidden = false;
  #keepWindow = false;
  /** @type {"predicted" | "true"} */
  which = "predicted";
  opacity = OPACITY;
  /** The film is on the screen. */
  onpainted = () => {};
  /** The heat-map's class or strength was set by key. */
  onheat = () => {};

  /** @param {App} app @param {Round} round @param {(act: string) => void} run */
  constructor(app, round, run) {
    this.#app = app;
    this.#round = round;
    const opacity = app.shelf.get("opacity");
    if (typeof opacity === "number") this.opacity = opacity;
    this.viewer = new Viewer(app.films);
    this.viewer.onview = (view) => this.#look(view);
    this.viewer.onexchange = () => void this.#project(true);
    this.toolbar = new Toolbar(app.keys, { run, keep: (kept) => (this.#keepWindow = kept) }, false);
  }

  /** @param {Case} kase */
  open(kase) {
    const last = this.#view && this.#kase && { view: this.#view, film: this.#kase.image };
    const view = nextView(kase.image, this.#keepWindow ? last : null);
    this.#kase = kase;
    this.#loaded = null;
    this.#map = null;
    this.#hidden = false;
    this.which = "predicted";
    this.viewer.tool = "select";
    this.viewer.show({ image: kase.image, grid: this.#round.grid }, kase.earlier);
    this.viewer.tell(null);
    this.#look(view);
    void this.#project(false);
    void this.heat();
  }

  /** Fetched and uploaded while the reader reads. @param {Case[]} coming nearest first */
  async prefetch(coming) {
    const [next, later] = coming;
    const { projector } = this.viewer;
    const near = [this.#kase, next].filter((kase) => kase !== null && kase !== undefined);
    projector.keep(near.map(({ image }) => image.url));
    try {
      if (next) await projector.prepare(next.image, { urgent: false });
      if (next?.opinion) {
        await this.#app.films.heatMap(next.opinion, "predicted");
        await this.#app.films.heatMap(next.opinion, "true");
      }
      if (later) await this.#app.films.load(later.image);
    } catch {
      // tried again, and told, when the case is opened
    }
  }

  /** The heat-map of the class in question, or none before the opinion is shown. */
  async heat() {
    const kase = this.#kase;
    const { which } = this;
    if (!kase?.opinion) return this.viewer.set(null, this.opacity);
    try {
      const map = await this.#app.films.heatMap(kase.opinion, which);
      if (kase !== this.#kase || which !== this.which) return;
      this.#map = map;
      this.viewer.set(this.#hidden ? null : map, this.opacity);
    } catch (error) {
      if (kase !== this.#kase) return;
      this.#app.say(/** @type {Error} */ (error).message);
      addEventListener("online", () => kase === this.#kase && void this.heat(), { once: true });
    }
  }

  /** @param {boolean} hidden while a key or button is held */
  hide(hidden) {
    if (this.#hidden === hidden || !this.#map) return;
    this.#hidden = hidden;
    this.viewer.set(hidden ? null : this.#map, this.opacity);
  }

  /** @param {number} opacity */
  setOpacity(opacity) {
    this.opacity = Math.min(Math.max(opacity, 0), 1);
    this.viewer.opacity = this.opacity;
    this.#app.shelf.set("opacity", this.opacity);
  }

  /** @param {"predicted" | "true"} which */
  setClass(which) {
    this.which = which;
    void this.heat();
  }

  /** @param {string} act @returns {boolean} was it one of the film's? */
  run(act) {
    const view = this.#view;
    const film = this.#kase?.image;
    if (!view || !film) return false;
    if (act.startsWith("tool-")) return this.#take(act.slice(5));
    if (act.startsWith("preset-")) return this.#look({ ...view, ...this.#preset(act) });
    const { size } = this.viewer;
    const acts = /** @type {Record<string, () => View>} */ ({
      invert: () => ({ ...view, invert: !view.invert }),
      "rotate-right": () => turned(view, 1),
      "rotate-left": () => turned(view, -1),
      "flip-horizontal": () => flipped(view, "horizontal"),
      "flip-vertical": () => flipped(view, "vertical"),
      "zoom-in": () => zoomed(view, film, size, STEP),
      "zoom-out": () => zoomed(view, film, size, 1 / STEP),
      fit: () => fitted(view, film),
      "true-size": () => trueSize(view, film, size, devicePixelRatio),
      reset: () => freshView(film),
    });
    const next = acts[act]?.();
    if (next) return this.#look(next);
    return this.#runHeat(act);
  }

  /** @param {string} act */
  #runHeat(act) {
    if (act === "class") this.setClass(this.which === "true" ? "predicted" : "true");
    else if (act === "fainter") this.setOpacity(this.opacity - 0.1);
    else if (act === "stronger") this.setOpacity(this.opacity + 0.1);
    else return false;
    this.onheat();
    return true;
  }

  /** @param {string} tool */
  #take(tool) {
    if (tool === "length" && !this.#kase?.image.spacing) this.#app.say("The pixel spacing of this film is not known, so no length can be measured.");
    else this.viewer.tool = /** @type {import("../gestures.js").Tool} */ (tool);
    this.viewer.dataset["tool"] = this.viewer.tool;
    if (this.#view) this.#look(this.#view);
    return true;
  }

  /** @param {string} act */
  #preset(act) {
    const film = /** @type {Case} */ (this.#kase).image;
    const [low = film.low, middle = film.low, above = film.high, high = film.high] = this.#loaded?.quantiles ?? [];
    if (act === "preset-2") return rangeWindow(low, high);
    if (act === "preset-3") return rangeWindow(low, above);
    if (act === "preset-4") return rangeWindow(middle, high);
    return fullWindow(film);
  }

  /** @param {View} view @returns {true} */
  #look(view) {
    this.#view = view;
    const film = /** @type {Case} */ (this.#kase).image;
    this.viewer.dataset["tool"] = this.viewer.tool;
    this.viewer.look(view);
    const percent = Math.round(fitScale(view.turns, film, this.viewer.size) * view.zoom * devicePixelRatio * 100);
    const readout = `W ${Math.round(view.width)}  C ${Math.round(view.center)}  ${percent} %`;
    this.toolbar.show({ tool: this.viewer.tool, spacing: film.spacing !== null, invert: view.invert, readout });
    return true;
  }

  /** The film comes to the screen, or the reader is told why not. @param {boolean} again */
  async #project(again) {
    const kase = this.#kase;
    if (!kase) return;
    const { viewer } = this;
    const { projector } = viewer;
    if (!projector.ready(kase.image.url)) viewer.tell(h("p", { class: "loading" }, "The film is on its way…"));
    try {
      this.#loaded = await projector.prepare(kase.image, { urgent: true });
      if (kase !== this.#kase) return;
      viewer.tell(null);
      viewer.redraw(again ? undefined : () => kase === this.#kase && this.onpainted());
    } catch (error) {
      if (kase === this.#kase) this.#failed(/** @type {import("../api.js").ApiError} */ (error));
    }
  }

  /** @param {import("../api.js").ApiError} error */
  #failed({ status, message }) {
    if (status === 401) return this.#app.leave();
    const sentence = status === 0 ? "The film is not here yet and the server cannot be reached." : message;
    const retry = () => void this.#project(false);
    this.viewer.tell(
      h("div", { class: "trouble" }, h("p", {}, sentence), h("p", { class: "dim" }, "You can try again, go on to another case, or skip this one."), h("button", { type: "button", onclick: retry }, "Try again")),
    );
    if (status === 0) addEventListener("online", retry, { once: true });
  }
}
