// A round magnifier at the pointer: the film alone, enlarged, while a key is held.

import { h } from "./dom.js";
import { copyCanvas, magnification, viewportOf } from "./pane.js";
import { compose } from "./view_transform.js";

/** @typedef {import("./view_transform.js").Matrix} Matrix */
/** @typedef {import("./view_transform.js").Point} Point */

const SIDE = 260; // CSS pixels
const FACTOR = 3; // beyond the pane's own zoom

export class Magnifier {
  #canvas = h("canvas", {});
  element = h("div", { class: "magnifier", "aria-hidden": "true", hidden: true }, this.#canvas);

  /** @param {import("./render_backend.js").RenderBackend} backend @param {import("./render_backend.js").UploadedImage} image
   * @param {import("./view_transform.js").View} view @param {Matrix} m of the pane @param {Point} at in the pane */
  draw(backend, image, view, m, at) {
    const lens = compose({ a: FACTOR, b: 0, c: 0, d: FACTOR, e: SIDE / 2 - FACTOR * at.x, f: SIDE / 2 - FACTOR * at.y }, m);
    image.draw(view, magnification(lens), viewportOf({ width: SIDE, height: SIDE }, lens));
    copyCanvas(backend.canvas, this.#canvas);
    this.element.hidden = false;
    this.element.style.transform = `translate(${at.x - SIDE / 2}px, ${at.y - SIDE / 2}px)`;
  }

  hide() {
    this.element.hidden = true;
  }
}
