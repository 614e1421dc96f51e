// Which side of the patient each edge of the film is, and the laterality, as the file states them.
// The letters move with the film when it is turned or mirrored.

import { h } from "./dom.js";

/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {{laterality?: string, right?: string, bottom?: string}} Sides directions in the patient
 * towards the film's right and bottom edge */
/** @typedef {"left" | "right" | "top" | "bottom"} Edge */

/** @type {Record<string, string>} */
const OPPOSITES = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };
/** @type {Record<string, string>} */
const LATERALITIES = { L: "left side", R: "right side", B: "both sides" };

/** The opposite of a direction such as AR. @param {string} direction */
function opposite(direction) {
  return [...direction].map((letter) => OPPOSITES[letter] ?? "").join("");
}

/**
 * The direction in the patient towards each edge of the screen; empty where it is not known.
 * @param {Sides} film @param {Matrix} m @returns {Record<Edge, string>}
 */
export function edges({ right = "", bottom = "" }, m) {
  // directions of the film on the screen, each with what it is in the patient
  const ways = [
    { x: m.a, y: m.b, text: right },
    { x: -m.a, y: -m.b, text: opposite(right) },
    { x: m.c, y: m.d, text: bottom },
    { x: -m.c, y: -m.d, text: opposite(bottom) },
  ];
  /** @param {number} x @param {number} y */
  const towards = (x, y) => ways.reduce((best, way) => (way.x * x + way.y * y > best.x * x + best.y * y ? way : best)).text;
  return { left: towards(-1, 0), right: towards(1, 0), top: towards(0, -1), bottom: towards(0, 1) };
}

export class SideMarks extends HTMLElement {
  /** @type {Record<string, HTMLElement>} */
  #marks = Object.fromEntries(["left", "right", "top", "bottom", "laterality"].map((edge) => [edge, h("span", { "data-edge": edge })]));

  connectedCallback() {
    this.append(...Object.values(this.#marks));
  }

  /** @param {Sides} film @param {Matrix} m */
  draw(film, m) {
    const texts = { ...edges(film, m), laterality: LATERALITIES[film.laterality ?? ""] ?? "" };
    for (const [edge, text] of Object.entries(texts)) {
      const mark = this.#marks[edge];
      if (mark && mark.textContent !== text) mark.textContent = text;
    }
  }
}

customElements.define("imil-side-marks", SideMarks);
