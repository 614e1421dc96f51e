// Uploads and draws images: with WebGL2, or on a 2D canvas where WebGL2 is not available or its
// context is lost. Frees images that are no longer needed.

import { CanvasRenderer } from "./canvas_renderer.js";
import { WebGLRenderer } from "./webgl_renderer.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./image_cache.js").ImageCache} ImageCache */
/** @typedef {import("./image_cache.js").Loaded} Loaded */
/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./webgl_renderer.js").Viewport} Viewport */
/** @typedef {{free: () => void, draw: (view: View, magnification: number, viewport: Viewport) => void,
 *   skipped: number}} UploadedImage */

export class RenderBackend {
  /** @type {"webgl2" | "canvas"} */
  kind = "webgl2";
  #imageCache;
  /** @type {WebGLRenderer | CanvasRenderer} */
  #renderer;
  /** @type {Map<string, Promise<UploadedImage>>} */
  #uploads = new Map();
  /** @type {Map<string, UploadedImage>} */
  #uploaded = new Map();
  #urgent = "";
  #canvas = document.createElement("canvas"); // kept while its context is lost, since it may be restored

  /** @param {ImageCache} imageCache @param {() => void} onchange called when prepared images were lost */
  constructor(imageCache, onchange) {
    this.#imageCache = imageCache;
    this.onchange = onchange;
    this.#renderer = this.#createRenderer();
  }

  /** The last drawing; the panes copy it in the same frame. */
  get canvas() {
    return this.#renderer.canvas;
  }

  /**
   * Uploads an image, so that it can be drawn.
   * @param {Pixels} image @param {{urgent: boolean}} how urgent: upload without pauses
   * @returns {Promise<Loaded>} @throws {import("./api.js").ApiError}
   */
  async prepare(image, { urgent }) {
    if (urgent) this.#urgent = image.url;
    const loaded = await this.#imageCache.load(image);
    if (!this.#uploads.has(image.url)) this.#uploads.set(image.url, this.#upload(image, loaded));
    await this.#uploads.get(image.url);
    return loaded;
  }

  /** @param {string} url @returns {UploadedImage | null} */
  uploaded(url) {
    return this.#uploaded.get(url) ?? null;
  }

  /** Frees all images but these. @param {string[]} urls */
  retain(urls) {
    for (const url of [...this.#uploads.keys()].filter((uploaded) => !urls.includes(uploaded))) {
      this.#uploads.delete(url);
      this.#uploaded.get(url)?.free();
      this.#uploaded.delete(url);
    }
  }

  /** @param {{width: number, height: number}} viewport */
  clear(viewport) {
    this.#renderer.clear(viewport);
  }

  /** @param {Pixels} image @param {Loaded} loaded @returns {Promise<UploadedImage>} */
  async #upload(image, { planes }) {
    const renderer = this.#renderer;
    const pause = () => (this.#urgent === image.url ? Promise.resolve() : whenIdle());
    const uploaded = await uploadImage(renderer, planes, image.channels, pause);
    // meanwhile the context may have been lost, or another case opened
    if (renderer !== this.#renderer || !this.#uploads.has(image.url)) uploaded.free();
    else this.#uploaded.set(image.url, uploaded);
    return uploaded;
  }

  #createRenderer() {
    try {
      const renderer = new WebGLRenderer(this.#canvas);
      this.#handleContextLoss(this.#canvas);
      return renderer;
    } catch {
      return this.#useCanvas();
    }
  }

  /** @param {HTMLCanvasElement} canvas */
  #handleContextLoss(canvas) {
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // otherwise it is never restored
      this.#replaceRenderer(this.#useCanvas());
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.kind = "webgl2";
      this.#replaceRenderer(new WebGLRenderer(canvas));
    });
  }

  #useCanvas() {
    this.kind = "canvas";
    return new CanvasRenderer();
  }

  /** @param {WebGLRenderer | CanvasRenderer} renderer */
  #replaceRenderer(renderer) {
    this.#uploads.clear();
    this.#uploaded.clear();
    this.#renderer = renderer;
    this.onchange();
  }
}

/** @param {WebGLRenderer | CanvasRenderer} renderer @param {Loaded["planes"]} planes
 * @param {number} channels @param {() => Promise<void>} pause @returns {Promise<UploadedImage>} */
async function uploadImage(renderer, planes, channels, pause) {
  if (renderer instanceof WebGLRenderer) {
    const film = await renderer.upload(planes, channels, pause);
    return {
      free: () => renderer.free(film),
      draw: (view, magnification, viewport) => renderer.draw(film, view, magnification, viewport),
      skipped: film.skipped,
    };
  }
  const film = await renderer.upload(planes, channels);
  return {
    free: () => renderer.free(film),
    draw: (view, magnification, viewport) => renderer.draw(film, view, magnification, viewport),
    skipped: film.skipped,
  };
}

/** @returns {Promise<void>} when the browser is idle */
function whenIdle() {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => resolve(), { timeout: 250 });
    else setTimeout(resolve, 30);
  });
}
