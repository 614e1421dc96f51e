// A length on the film in millimetres, where the pixel spacing is known.

import { assign, s } from "./dom.js";
import { transformPoint } from "./view_transform.js";

/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {import("./view_transform.js").Point} Point */
/** @typedef {{from: Point, to: Point}} Line in pixels of the film */

/**
 * @param {Line} line @param {readonly [number, number]} spacing mm between rows, between columns
 */
export function millimetres({ from, to }, [row, col]) {
  return Math.hypot((to.x - from.x) * col, (to.y - from.y) * row);
}

export class Ruler extends HTMLElement {
  #line = s("line");
  #halo = s("line", { class: "halo" });
  #text = s("text");

  connectedCallback() {
    this.append(s("svg", { "aria-hidden": "true" }, this.#halo, this.#line, this.#text));
  }

  /** @param {Line | null} line
   * @param {{spacing: readonly [number, number] | null, atDetector?: boolean}} film
   * @param {Matrix} m */
  draw(line, { spacing, atDetector }, m) {
    this.hidden = !line || !spacing;
    if (!line || !spacing) return;
    const from = transformPoint(m, line.from.x, line.from.y);
    const to = transformPoint(m, line.to.x, line.to.y);
    for (const mark of [this.#halo, this.#line]) {
      assign(mark, { x1: from.x, y1: from.y, x2: to.x, y2: to.y });
    }
    assign(this.#text, { x: to.x + 8, y: to.y - 8 });
    // the patient lies between the source and the detector, which shows it larger
    this.#text.textContent = `${millimetres(line, spacing).toFixed(1)} mm${atDetector ? " at the detector" : ""}`;
  }
}

customElements.define("imil-ruler", Ruler);
