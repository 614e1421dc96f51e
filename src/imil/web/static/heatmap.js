// The model's attention over the film: a canvas under the same matrix as the film itself.

import { s } from "./dom.js";

/** @typedef {import("./films.js").HeatValues} HeatValues */
/** @typedef {import("./view.js").Matrix} Matrix */

// Indigo, violet, red, orange, straw: lightness rises in nearly equal steps, so the order
// survives every kind of colour blindness. The same as in imil.images.colours.
const ANCHORS = /** @type {const} */ ([
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
export function colour(value) {
  const at = Math.min(Math.max(value, 0), 1) * (ANCHORS.length - 1);
  const i = Math.min(Math.floor(at), ANCHORS.length - 2);
  const low = ANCHORS[i] ?? ANCHORS[0];
  const high = ANCHORS[i + 1] ?? ANCHORS[7];
  const mix = (/** @type {0 | 1 | 2} */ k) => Math.round(low[k] + (high[k] - low[k]) * (at - i));
  return [mix(0), mix(1), mix(2)];
}

/** Red, green, blue and opacity of the values 0/255 to 255/255. */
const INKS = Uint8ClampedArray.from(
  Array.from({ length: 256 }, (_, value) => [...colour(value / 255), value]).flat(),
);

/** Colours from left to right with their values in words, for the side panel. */
export function legend() {
  const stops = ANCHORS.map((rgb, i) =>
    s("stop", { offset: i / (ANCHORS.length - 1), "stop-color": `rgb(${rgb.join()})` }),
  );
  return s(
    "svg",
    { class: "legend", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
    s("defs", {}, s("linearGradient", { id: "heat-colours" }, ...stops)),
    s("rect", { width: 100, height: 6, fill: "url(#heat-colours)" }),
  );
}

/**
 * The heat-map as a picture of its own size. Opacity grows with the value: where the model did
 * not look, the film shows as it is.
 * @param {HeatValues} map
 */
export function heatPicture({ height, width, values }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const picture = new ImageData(width, height);
  const { data: ink } = picture; // plain indices: this runs while the reader waits for the case
  for (let i = 0; i < values.length; i += 1) {
    const from = 4 * Math.round(Math.min(Math.max(values[i] ?? 0, 0), 1) * 255);
    for (let k = 0; k < 4; k += 1) ink[4 * i + k] = INKS[from + k] ?? 0;
  }
  canvas.getContext("2d")?.putImageData(picture, 0, 0);
  return canvas;
}

export class HeatMap extends HTMLElement {
  #canvas = document.createElement("canvas");
  /** @type {HTMLCanvasElement | null} */
  #picture = null;

  connectedCallback() {
    this.append(this.#canvas);
    this.setAttribute("aria-hidden", "true");
  }

  /** @param {HeatValues | null} map none: nothing is shown */
  show(map) {
    this.#picture = map && heatPicture(map);
  }

  /** @param {number} opacity of the hottest place, in [0, 1] */
  set opacity(opacity) {
    this.style.opacity = String(opacity);
  }

  /** @param {Matrix} m @param {{height: number, width: number}} film
   * @param {{width: number, height: number}} port the pane in device pixels */
  draw(m, film, port) {
    const canvas = this.#canvas;
    sizeTo(canvas, port);
    const ink = canvas.getContext("2d");
    if (!ink) return;
    ink.resetTransform();
    ink.clearRect(0, 0, port.width, port.height);
    if (!this.#picture) return;
    ink.scale(devicePixelRatio, devicePixelRatio);
    ink.transform(m.a, m.b, m.c, m.d, m.e, m.f);
    ink.drawImage(this.#picture, 0, 0, film.width, film.height);
  }
}

/** One pixel of the canvas on one of the screen, never stretched by a fraction.
 * @param {HTMLCanvasElement} canvas @param {{width: number, height: number}} port */
export function sizeTo(canvas, { width, height }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.style.width = `${width / devicePixelRatio}px`;
  canvas.style.height = `${height / devicePixelRatio}px`;
}

customElements.define("imil-heat-map", HeatMap);
