// Draws a film where there is no WebGL2, or while its context is lost. The same interface as
// webgl.js: slower, the same picture.

import { after, brightness, inverse } from "./view.js";
import { nearest } from "./webgl.js";

/** @typedef {import("./films.js").Plane} Plane */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./webgl.js").Port} Port */
/** @typedef {{textures: {plane: Plane, level: number}[], channels: number, height: number,
 *   width: number, skipped: number, painted: {name: string, canvas: HTMLCanvasElement} | null
 *   }} Sheets */

export class CanvasFilm {
  #ink;

  canvas = document.createElement("canvas");

  constructor() {
    const ink = this.canvas.getContext("2d", { alpha: false });
    if (!ink) throw new Error("this browser cannot draw");
    this.#ink = ink;
  }

  /** @param {Plane[]} planes @param {number} channels @returns {Promise<Sheets>} */
  async upload(planes, channels) {
    const { height, width } = /** @type {Plane} */ (planes[0]);
    const textures = planes.map((plane, level) => ({ plane, level }));
    return { textures, channels, height, width, skipped: 0, painted: null };
  }

  /** @param {Sheets} film @param {View} view @param {number} magnified @param {Port} port */
  draw(film, view, magnified, port) {
    this.clear(port);
    const chosen = nearest(film, magnified);
    if (!chosen) return;
    const sheet = painted(film, chosen, view);
    const ink = this.#ink;
    const step = 2 ** chosen.level;
    const { a, b, c, d, e, f } = port.toFilm;
    // the port counts from the lower left as WebGL does; this canvas counts from the upper left
    const m = inverse(after({ a, b, c, d, e, f }, { a: 1, b: 0, c: 0, d: -1, e: 0, f: port.height }));
    ink.save();
    ink.setTransform(m.a, m.b, m.c, m.d, m.e, m.f);
    ink.beginPath();
    ink.rect(0, 0, film.width, film.height); // the last box of a half may reach past the film
    ink.clip();
    ink.drawImage(sheet, 0, 0, sheet.width * step, sheet.height * step);
    ink.restore();
  }

  /** @param {{width: number, height: number}} port */
  clear({ width, height }) {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#ink.fillStyle = "#07090b";
    this.#ink.fillRect(0, 0, width, height);
  }

  /** @param {Sheets} film */
  free(film) {
    film.painted = null;
    film.textures.length = 0;
  }
}

/** @param {Sheets} film @param {{plane: Plane, level: number}} chosen @param {View} view */
function painted(film, { plane, level }, view) {
  const name = [level, view.center, view.width, view.invert].join();
  if (film.painted?.name === name) return film.painted.canvas;
  const canvas = document.createElement("canvas");
  canvas.width = plane.width;
  canvas.height = plane.height;
  const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  ink.putImageData(picture(plane, film.channels, view), 0, 0);
  film.painted = { name, canvas };
  return canvas;
}

/** @param {Plane} plane @param {number} channels @param {View} view */
function picture({ height, width, data }, channels, view) {
  const table = new Uint8ClampedArray(data.BYTES_PER_ELEMENT === 2 ? 65536 : 256);
  for (let value = 0; value < table.length; value += 1) {
    const bright = brightness(value, view);
    table[value] = 255 * (view.invert ? 1 - bright : bright);
  }
  const out = new ImageData(width, height);
  const { data: ink } = out;
  for (let i = 0, at = 0; i < height * width; i += 1, at += 4) {
    for (let channel = 0; channel < 3; channel += 1) {
      const value = data[channels === 3 ? i * 3 + channel : i] ?? 0;
      ink[at + channel] = table[value] ?? 0;
    }
    ink[at + 3] = 255;
  }
  return out;
}
