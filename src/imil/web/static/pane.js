// A pane: the film with what lies over it, all drawn with one matrix.

import { h } from "./dom.js";
import { GridOverlay } from "./grid_overlay.js";
import { HeatMap, sizeTo } from "./heat_map.js";
import { Ruler } from "./ruler.js";
import { SideMarks } from "./side_marks.js";
import { compose, inverse, orientation } from "./view_transform.js";

/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./view_transform.js").Size} Size */
/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {{pane: HTMLElement, film: HTMLCanvasElement, heat: HeatMap, grid: GridOverlay, ruler: Ruler, sides: SideMarks, label: HTMLElement}} Pane */

/** @param {string} name @param {boolean} interactive whether the keyboard's cursor lies in it
 * @returns {Pane} */
export function createPane(name, interactive) {
  const grid = new GridOverlay();
  grid.toggleAttribute("interactive", interactive);
  const heat = new HeatMap();
  const ruler = new Ruler();
  const sides = new SideMarks();
  const label = h("div", { class: "view-label", "data-covers": true, "aria-live": "polite" });
  const film = h("canvas", { class: "film", "aria-hidden": "true" });
  const element = h("section", { class: "pane", "aria-label": name }, film, heat, grid, ruler, sides, label);
  return { pane: element, film, heat, grid, ruler, sides, label };
}

/** Covers a pane; what covers the film takes its own clicks.
 * @param {HTMLElement} pane @param {string} name of the cover @param {Node | null} message null: no longer */
export function cover(pane, name, message) {
  pane.querySelector(`.overlay[data-covers=${name}]`)?.remove();
  if (message) pane.append(h("div", { class: "overlay", "data-covers": name, role: "status" }, message));
}

/** The pane in device pixels. @param {Size} size @param {Matrix} m
 * @returns {import("./webgl_renderer.js").Viewport} */
export function viewportOf(size, m) {
  const width = Math.max(1, Math.round(size.width * devicePixelRatio));
  const height = Math.max(1, Math.round(size.height * devicePixelRatio));
  const step = 1 / devicePixelRatio;
  const up = { a: step, b: 0, c: 0, d: -step, e: 0, f: height * step };
  return { width, height, toFilm: compose(inverse(m), up) };
}

/** Device pixels for one pixel of the film. @param {Matrix} m */
export function magnification(m) {
  return Math.sqrt(Math.abs(m.a * m.d - m.b * m.c)) * devicePixelRatio;
}

/** Copies one drawing into a pane, so that the panes cannot differ.
 * @param {HTMLCanvasElement} from @param {HTMLCanvasElement} to */
export function copyCanvas(from, to) {
  sizeTo(to, from);
  to.getContext("2d", { alpha: false })?.drawImage(from, 0, 0);
}

/** Shows how the image differs from the stored one: rotated, mirrored, inverted, coarser.
 * @param {HTMLElement} label @param {View} view @param {number} skipped @param {Matrix} m */
export function updateLabel(label, view, skipped, m) {
  const orientationText = [orientation(view), view.invert && "inverted"].filter(Boolean).join(", ");
  const resolutionText = skipped ? `shown at 1/${2 ** skipped} resolution: the image is too large for this graphics card` : "";
  const text = [orientationText, resolutionText].filter(Boolean).join(" · ");
  if (label.textContent !== text) label.textContent = text;
  label.dataset["matrix"] = [m.a, m.b, m.c, m.d, m.e, m.f].join(" ");
}
