// Brings films to the screen: WebGL2 where there is one, a plain canvas where there is none or
// while the graphics context is lost. Films that are no longer near are let go.

import { CanvasFilm } from "./canvas2d.js";
import { WebGLFilm } from "./webgl.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./films.js").Films} Films */
/** @typedef {import("./films.js").Loaded} Loaded */
/** @typedef {import("./view.js").View} View */
/** @typedef {import("./webgl.js").Port} Port */
/** @typedef {{free: () => void, draw: (view: View, magnified: number, port: Port) => void,
 *   skipped: number}} Ready */

export class Projector {
  /** @type {"webgl2" | "canvas"} */
  kind = "webgl2";
  #films;
  /** @type {WebGLFilm | CanvasFilm} */
  #painter;
  /** @type {Map<string, Promise<Ready>>} */
  #uploads = new Map();
  /** @type {Map<string, Ready>} */
  #ready = new Map();
  #urgent = "";
  #sheet = document.createElement("canvas"); // kept while its context is lost: it may come back

  /** @param {Films} films @param {() => void} onchange what was prepared is gone: do it anew */
  constructor(films, onchange) {
    this.#films = films;
    this.onchange = onchange;
    this.#painter = this.#begin();
  }

  /** What was drawn last; the panes take their copies from it in the same frame. */
  get canvas() {
    return this.#painter.canvas;
  }

  /**
   * The film is on the graphics card and can be drawn at once.
   * @param {Pixels} image @param {{urgent: boolean}} how urgent: the page may stutter for it
   * @returns {Promise<Loaded>} @throws {import("./api.js").ApiError}
   */
  async prepare(image, { urgent }) {
    if (urgent) this.#urgent = image.url;
    const loaded = await this.#films.load(image);
    if (!this.#uploads.has(image.url)) this.#uploads.set(image.url, this.#upload(image, loaded));
    await this.#uploads.get(image.url);
    return loaded;
  }

  /** @param {string} url @returns {Ready | null} */
  ready(url) {
    return this.#ready.get(url) ?? null;
  }

  /** Everything but these films leaves the graphics card. @param {string[]} urls */
  keep(urls) {
    for (const url of [...this.#uploads.keys()].filter((known) => !urls.includes(known))) {
      this.#uploads.delete(url);
      this.#ready.get(url)?.free();
      this.#ready.delete(url);
    }
  }

  /** @param {{width: number, height: number}} port */
  clear(port) {
    this.#painter.clear(port);
  }

  /** @param {Pixels} image @param {Loaded} loaded @returns {Promise<Ready>} */
  async #upload(image, { planes }) {
    const painter = this.#painter;
    const pause = () => (this.#urgent === image.url ? Promise.resolve() : idle());
    const ready = await put(painter, planes, image.channels, pause);
    // meanwhile the context may have gone, or the reader to another case
    if (painter !== this.#painter || !this.#uploads.has(image.url)) ready.free();
    else this.#ready.set(image.url, ready);
    return ready;
  }

  #begin() {
    try {
      const painter = new WebGLFilm(this.#sheet);
      this.#watch(this.#sheet);
      return painter;
    } catch {
      return this.#plain();
    }
  }

  /** @param {HTMLCanvasElement} canvas */
  #watch(canvas) {
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // or it never comes back
      this.#exchange(this.#plain());
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.kind = "webgl2";
      this.#exchange(new WebGLFilm(canvas));
    });
  }

  #plain() {
    this.kind = "canvas";
    return new CanvasFilm();
  }

  /** @param {WebGLFilm | CanvasFilm} painter */
  #exchange(painter) {
    this.#uploads.clear();
    this.#ready.clear();
    this.#painter = painter;
    this.onchange();
  }
}

/** @param {WebGLFilm | CanvasFilm} painter @param {Loaded["planes"]} planes
 * @param {number} channels @param {() => Promise<void>} pause @returns {Promise<Ready>} */
async function put(painter, planes, channels, pause) {
  if (painter instanceof WebGLFilm) {
    const film = await painter.upload(planes, channels, pause);
    return {
      free: () => painter.free(film),
      draw: (view, magnified, port) => painter.draw(film, view, magnified, port),
      skipped: film.skipped,
    };
  }
  const film = await painter.upload(planes, channels);
  return {
    free: () => painter.free(film),
    draw: (view, magnified, port) => painter.draw(film, view, magnified, port),
    skipped: film.skipped,
  };
}

/** @returns {Promise<void>} when the page has nothing better to do */
function idle() {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => resolve(), { timeout: 250 });
    else setTimeout(resolve, 30);
  });
}
