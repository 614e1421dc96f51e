// The slices of a volume: which one is shown, a slider, cine, and where the model's attention is.

import { api } from "../api.js";
import { assign, fill, h, s } from "../dom.js";
import { slabAt, slabSquares } from "../grid_geometry.js";

/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Round} Round */

const PERIOD = 120; // ms a slice is shown in cine
const MOST_THUMBS = 8;

export class StackBar {
  #round;
  #go;
  /** @type {Case | null} */
  #caseData = null;
  #slice = 1;
  #timer = 0;
  #text = h("output", { class: "slice-text", "aria-live": "off" });
  #slider = h("input", { type: "range", id: "slice", min: 1, step: 1 });
  #cine;
  #bars = s("svg", { class: "energy", preserveAspectRatio: "none", "aria-hidden": "true" });
  #thumbs = h("div", { class: "thumbs" });

  /** @param {Round} round @param {(slice: number) => Promise<void>} go shows a slice
   * @param {(command: string) => void} run @param {import("../shortcuts.js").Shortcuts} shortcuts */
  constructor(round, go, run, shortcuts) {
    this.#round = round;
    this.#go = go;
    this.#slider.addEventListener("input", () => void go(Number(this.#slider.value)));
    this.#cine = h("button", { type: "button", "data-command": "cine", title: `Play${shortcuts.hint("cine")}`, "aria-pressed": "false", onclick: () => run("cine") }, "Play");
    this.#bars.addEventListener("click", (event) => this.#goToBar(/** @type {MouseEvent} */ (event)));
    this.element = h(
      "section",
      { class: "card stack", "aria-label": "Slices", hidden: true },
      h("div", { class: "row" }, h("label", { for: "slice" }, "Slice"), this.#text, this.#cine),
      this.#slider,
      this.#bars,
      this.#thumbs,
    );
  }

  get slices() {
    return this.#caseData?.image.slices ?? 1;
  }

  /** @param {Case} caseData @param {number | null} slice null: it is no volume */
  open(caseData, slice) {
    this.pause();
    this.#caseData = caseData;
    this.element.hidden = slice === null;
    if (slice === null) return;
    assign(this.#slider, { max: this.slices });
    fill(this.#bars);
    fill(this.#thumbs, ...this.#thumbSlices().map((n) => this.#thumb(n)));
    this.show(slice);
  }

  /** @param {number} slice that is on the screen */
  show(slice) {
    this.#slice = slice;
    const { grid } = this.#round;
    const slab = slabAt(grid, slice, this.slices) + 1;
    const text = `${slice} of ${this.slices} · slab ${slab} of ${grid.slabs}`;
    this.#text.textContent = text;
    assign(this.#slider, { value: slice, "aria-valuetext": `slice ${text}` });
    const bars = [...this.#bars.querySelectorAll("rect")];
    bars.forEach((bar, i) => bar.classList.toggle("on", i + 1 === slice));
    for (const one of this.#thumbs.querySelectorAll("button")) {
      one.setAttribute("aria-pressed", String(Number(one.dataset["slice"]) === slice));
    }
  }

  /** @param {readonly number[]} energy of each slice, the highest being 1; none before the prediction is shown */
  showEnergy(energy) {
    this.#bars.setAttribute("viewBox", `0 0 ${Math.max(1, energy.length)} 1`);
    fill(this.#bars, ...energy.map((share, i) => s("rect", { x: i + 0.1, width: 0.8, y: 1 - Math.max(share, 0.02), height: Math.max(share, 0.02) }, s("title", {}, `slice ${i + 1}`))));
    for (const one of this.#thumbs.querySelectorAll("button")) {
      const share = energy[Number(one.dataset["slice"]) - 1];
      if (share !== undefined) one.title = `Slice ${one.dataset["slice"]}: ${Math.round(100 * share)} % of the most attention of a slice`;
    }
    this.show(this.#slice);
  }

  /** Plays the slices over and over, or stops. */
  toggle() {
    if (this.#timer) return this.pause();
    this.#cine.textContent = "Pause";
    this.#cine.setAttribute("aria-pressed", "true");
    const next = async () => {
      await this.#go((this.#slice % this.slices) + 1);
      if (this.#timer) this.#timer = window.setTimeout(() => void next(), PERIOD);
    };
    this.#timer = window.setTimeout(() => void next(), PERIOD);
  }

  pause() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#cine.textContent = "Play";
    this.#cine.setAttribute("aria-pressed", "false");
  }

  #thumbSlices() {
    const count = Math.min(this.slices, MOST_THUMBS);
    return Array.from({ length: count }, (_, i) => Math.floor(((2 * i + 1) * this.slices) / (2 * count)) + 1);
  }

  /** @param {number} slice */
  #thumb(slice) {
    const { number } = /** @type {Case} */ (this.#caseData);
    const squares = slabSquares(this.#round.grid, slice, this.slices);
    const src = api.previewUrl(this.#round.id, number, squares, slice);
    return h("button", { type: "button", "data-slice": slice, title: `Slice ${slice}`, "aria-label": `Slice ${slice}`, onclick: () => void this.#go(slice) }, h("img", { src, alt: "", loading: "lazy" }));
  }

  /** @param {MouseEvent} event */
  #goToBar(event) {
    const { left, width } = this.#bars.getBoundingClientRect();
    const at = Math.floor(((event.clientX - left) / Math.max(1, width)) * this.slices);
    void this.#go(Math.min(Math.max(at + 1, 1), this.slices));
  }
}
