// Controls the heat-map of a case: its class, opacity and contours, and when it is hidden.

/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../app.js").App} App */
/** @typedef {import("../image_cache.js").HeatValues} HeatValues */
/** @typedef {import("../viewer.js").Viewer} Viewer */

const OPACITY = 0.45; // at the maximum of the heat-map, as in the console's figures
const RETRY = 3000; // ms until a heat-map that could not be loaded is asked for again
const NOT_FOUND = 404; // status: the store does not have it
const BLINK_PERIOD = 1000; // ms for which film or heat-map is shown

export class HeatController {
  #app;
  #viewer;
  /** @type {Case | null} */
  #caseData = null;
  /** @type {HeatValues | null} */
  #map = null;
  #held = false;
  #off = false;
  #timer = 0;
  /** Of a volume; null: it is an image. @type {number | null} */
  #slice = null;
  /** @type {"predicted" | "true"} */
  which = "predicted";
  opacity = OPACITY;
  contours = true;
  /** Called when the heat-map is on the screen. */
  onpainted = () => {};
  /** Called when the server does not have it. */
  onmissing = () => {};
  /** Called when a setting was changed by key. */
  onchange = () => {};
  /** Called when another class is to be shown. */
  onclass = () => {};

  /** @param {App} app @param {Viewer} viewer */
  constructor(app, viewer) {
    this.#app = app;
    this.#viewer = viewer;
    const opacity = app.localStore.get("opacity");
    if (typeof opacity === "number") this.opacity = opacity;
    this.contours = app.localStore.get("contours") !== false;
    viewer.styleHeat(this);
  }

  /** @param {Case} caseData @param {number | null} slice of a volume */
  open(caseData, slice) {
    this.#caseData = caseData;
    this.#slice = slice;
    this.#map = null;
    this.#held = this.#off = false;
    this.which = "predicted";
    void this.load();
  }

  /** Shows the heat-map of another slice of the volume. @param {number} slice */
  setSlice(slice) {
    this.#slice = slice;
    this.#map = null;
    this.#show();
    void this.load();
  }

  /** Loads the heat-map of the class in question; there is none before the prediction is shown. */
  async load() {
    const caseData = this.#caseData;
    const { which } = this;
    const slice = this.#slice;
    if (!caseData?.opinion) return;
    try {
      const map = await this.#app.imageCache.heatMap(caseData.opinion, which, slice);
      if (caseData !== this.#caseData || which !== this.which || slice !== this.#slice) return;
      this.#map = map;
      this.#show();
    } catch (error) {
      if (caseData !== this.#caseData) return;
      const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
      this.#app.notify(message);
      if (status === NOT_FOUND) return this.onmissing();
      setTimeout(() => caseData === this.#caseData && void this.load(), RETRY);
    }
  }

  /** @param {boolean} hidden while a key or button is held */
  hide(hidden) {
    if (this.#held === hidden) return;
    this.#held = hidden;
    this.#show();
  }

  /** Alternates between film and heat-map, until the reader switches; not where motion is unwelcome.
   * @param {boolean} blinking */
  blink(blinking) {
    clearInterval(this.#timer);
    this.#off = false;
    if (blinking && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.#timer = window.setInterval(() => this.#map && this.#toggle(), BLINK_PERIOD);
    }
    this.#show();
  }

  /** @param {Partial<{opacity: number, contours: boolean}>} style */
  setStyle(style) {
    Object.assign(this, style);
    this.opacity = Math.round(Math.min(Math.max(this.opacity, 0), 1) * 100) / 100;
    this.#viewer.styleHeat({ opacity: this.opacity, contours: this.contours });
    this.#app.localStore.set("opacity", this.opacity);
    this.#app.localStore.set("contours", this.contours);
  }

  /** @param {"predicted" | "true"} which */
  setClass(which) {
    this.which = which;
    this.onclass();
    void this.load();
  }

  /** @param {string} command @returns {boolean} whether it is a command of the heat-map */
  run(command) {
    const commands = /** @type {Record<string, () => void>} */ ({
      hide: () => this.hide(true),
      blink: () => (clearInterval(this.#timer), this.#toggle()),
      class: () => this.setClass(this.which === "true" ? "predicted" : "true"),
      fainter: () => this.setStyle({ opacity: this.opacity - 0.1 }),
      stronger: () => this.setStyle({ opacity: this.opacity + 0.1 }),
      contours: () => this.setStyle({ contours: !this.contours }),
    });
    const change = commands[command];
    if (!change) return false;
    change();
    if (command !== "hide" && command !== "blink") this.onchange();
    return true;
  }

  /** Ends the blinking. */
  end() {
    clearInterval(this.#timer);
  }

  #toggle() {
    this.#off = !this.#off;
    this.#show();
  }

  #show() {
    const map = this.#held || this.#off ? null : this.#map;
    const caseData = this.#caseData;
    this.#viewer.setHeatMap(map);
    if (map) this.#viewer.redraw(() => caseData === this.#caseData && this.onpainted());
  }
}
