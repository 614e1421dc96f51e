// Draws an image on a 2D canvas, where WebGL2 is not available or its context is lost. The same
// interface and result as webgl_renderer.js, slower.

import { compose, brightness, inverse } from "./view_transform.js";
import { nearestLevel } from "./webgl_renderer.js";

/** @typedef {import("./image_cache.js").Plane} Plane */
/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./webgl_renderer.js").Viewport} Viewport */
/** @typedef {{textures: {plane: Plane, level: number}[], channels: number, height: number,
 *   width: number, skipped: number, rendered: {name: string, canvas: HTMLCanvasElement} | null
 *   }} CanvasImage */

export class CanvasRenderer {
  #context;

  canvas = document.createElement("canvas");

  constructor() {
    const context = this.canvas.getContext("2d", { alpha: false });
    if (!context) throw new Error("this browser cannot draw");
    this.#context = context;
  }

  /** @param {Plane[]} planes @param {number} channels @returns {Promise<CanvasImage>} */
  async upload(planes, channels) {
    const { height, width } = /** @type {Plane} */ (planes[0]);
    const textures = planes.map((plane, level) => ({ plane, level }));
    return { textures, channels, height, width, skipped: 0, rendered: null };
  }

  /** @param {CanvasImage} film @param {View} view @param {number} magnification @param {Viewport} viewport */
  draw(film, view, magnification, viewport) {
    this.clear(viewport);
    const selected = nearestLevel(film, magnification);
    if (!selected) return;
    const bitmap = renderLevel(film, selected, view);
    const context = this.#context;
    const scale = 2 ** selected.level;
    const { a, b, c, d, e, f } = viewport.toFilm;
    // the viewport's origin is the lower left corner, as in WebGL; this canvas has the upper left
    const m = inverse(compose({ a, b, c, d, e, f }, { a: 1, b: 0, c: 0, d: -1, e: 0, f: viewport.height }));
    context.save();
    context.setTransform(m.a, m.b, m.c, m.d, m.e, m.f);
    context.beginPath();
    context.rect(0, 0, film.width, film.height); // a reduced level may reach past the image
    context.clip();
    context.drawImage(bitmap, 0, 0, bitmap.width * scale, bitmap.height * scale);
    context.restore();
  }

  /** @param {{width: number, height: number}} viewport */
  clear({ width, height }) {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#context.fillStyle = "#07090b";
    this.#context.fillRect(0, 0, width, height);
  }

  /** @param {CanvasImage} film */
  free(film) {
    film.rendered = null;
    film.textures.length = 0;
  }
}

/** @param {CanvasImage} film @param {{plane: Plane, level: number}} selected @param {View} view */
function renderLevel(film, { plane, level }, view) {
  const name = [level, view.center, view.width, view.invert].join();
  if (film.rendered?.name === name) return film.rendered.canvas;
  const canvas = document.createElement("canvas");
  canvas.width = plane.width;
  canvas.height = plane.height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(toImageData(plane, film.channels, view), 0, 0);
  film.rendered = { name, canvas };
  return canvas;
}

/** @param {Plane} plane @param {number} channels @param {View} view */
function toImageData({ height, width, data }, channels, view) {
  const table = new Uint8ClampedArray(data.BYTES_PER_ELEMENT === 2 ? 65536 : 256);
  for (let value = 0; value < table.length; value += 1) {
    const bright = brightness(value, view);
    table[value] = 255 * (view.invert ? 1 - bright : bright);
  }
  const out = new ImageData(width, height);
  const { data: bytes } = out;
  for (let i = 0, at = 0; i < height * width; i += 1, at += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      const value = data[channels === 3 ? i * 3 + channel : i] ?? 0;
      bytes[at + channel] = table[value] ?? 0;
    }
    bytes[at + 3] = 255;
  }
  return out;
}
