// The heat-map over the image: a canvas drawn with the same matrix as the image.

import { contours, strokeContours } from "./contours.js";
import { s } from "./dom.js";

/** @typedef {import("./image_cache.js").HeatValues} HeatValues */
/** @typedef {import("./view_transform.js").Matrix} Matrix */

// Indigo, violet, red, orange, straw: lightness rises in nearly equal steps, so the order
// survives every kind of colour blindness. The same as in imil.images.colours.
const COLOR_STOPS = /** @type {const} */ ([
  [14, 8, 36],
  [56, 18, 92],
  [112, 28, 116],
  [170, 42, 100],
  [220, 70, 62],
  [246, 118, 26],
  [250, 172, 34],
  [253, 222, 112],
]);

/** The colour of a value. @param {number} value in [0, 1] @returns {[number, number, number]} */
export function color(value) {
  const position = Math.min(Math.max(value, 0), 1) * (COLOR_STOPS.length - 1);
  const i = Math.min(Math.floor(position), COLOR_STOPS.length - 2);
  const low = COLOR_STOPS[i] ?? COLOR_STOPS[0];
  const high = COLOR_STOPS[i + 1] ?? COLOR_STOPS[7];
  const mix = (/** @type {0 | 1 | 2} */ k) => Math.round(low[k] + (high[k] - low[k]) * (position - i));
  return [mix(0), mix(1), mix(2)];
}

/** Red, green, blue and opacity of the values 0/255 to 255/255. */
const PALETTE = Uint8ClampedArray.from(
  Array.from({ length: 256 }, (_, value) => [...color(value / 255), value]).flat(),
);

/** The colour scale for the side panel. */
export function legend() {
  const stops = COLOR_STOPS.map((rgb, i) =>
    s("stop", { offset: i / (COLOR_STOPS.length - 1), "stop-color": `rgb(${rgb.join()})` }),
  );
  return s(
    "svg",
    { class: "legend", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("defs", {}, s("linearGradient", { id: "heat-colours" }, ...stops)),
    s("rect", { width: 100, height: 6, fill: "url(#heat-colours)" }),
  );
}

/**
 * The heat-map as a canvas of its own size. Opacity grows with the value: where the heat-map
 * is zero, the image is unchanged.
 * @param {HeatValues} map
 */
export function heatMapCanvas({ height, width, values }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const { data } = image; // plain loops for speed: the reader is waiting
  for (let i = 0; i < values.length; i += 1) {
    const from = 4 * Math.round(Math.min(Math.max(values[i] ?? 0, 0), 1) * 255);
    for (let k = 0; k < 4; k += 1) data[4 * i + k] = PALETTE[from + k] ?? 0;
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/** A heat-map that is ready to be drawn. @typedef {{image: HTMLCanvasElement, lines: import("./contours.js").Contour[]}} HeatPicture */

/** @param {HeatValues} map @returns {HeatPicture} */
export function heatPicture(map) {
  return { image: heatMapCanvas(map), lines: contours(map) };
}

export class HeatMap extends HTMLElement {
  #canvas = document.createElement("canvas");
  /** @type {HeatPicture | null} */
  #picture = null;
  /** At the maximum of the heat-map, in [0, 1]. */
  opacity = 1;
  /** Whether lines of equal value are drawn. */
  contours = true;

  connectedCallback() {
    this.append(this.#canvas);
    this.setAttribute("aria-hidden", "true");
  }

  /** @param {HeatPicture | null} picture null: nothing is shown */
  show(picture) {
    this.#picture = picture;
  }

  clear() {
    const context = this.#canvas.getContext("2d");
    context?.resetTransform();
    context?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** @param {Matrix} m @param {{height: number, width: number}} film
   * @param {{width: number, height: number}} viewport the pane in device pixels */
  draw(m, film, viewport) {
    const canvas = this.#canvas;
    sizeTo(canvas, viewport);
    const context = canvas.getContext("2d");
    if (!context) return;
    this.clear();
    if (!this.#picture || this.opacity === 0) return;
    const { image, lines } = this.#picture;
    context.scale(devicePixelRatio, devicePixelRatio);
    context.save();
    context.globalAlpha = this.opacity;
    context.transform(m.a, m.b, m.c, m.d, m.e, m.f);
    context.drawImage(image, 0, 0, film.width, film.height);
    context.restore();
    const matrix = new DOMMatrix([m.a, m.b, m.c, m.d, m.e, m.f]).scale(film.width / image.width, film.height / image.height);
    if (this.contours) strokeContours(context, lines, matrix);
  }
}

/** Sizes a canvas so that its pixels match those of the screen.
 * @param {HTMLCanvasElement} canvas @param {{width: number, height: number}} viewport */
export function sizeTo(canvas, { width, height }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.style.width = `${width / devicePixelRatio}px`;
  canvas.style.height = `${height / devicePixelRatio}px`;
}

customElements.define("imil-heat-map", HeatMap);
