// Images and heat-maps of a round in memory: loaded once, the least recently used image removed.

import { ApiError } from "./api.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./api.js").Opinion} Opinion */
/** @typedef {{height: number, width: number, data: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>}} Plane */
/** The image and its reduced levels, and the pixel values at 1, 45, 55 and 99 % of the pixels.
 * @typedef {{planes: Plane[], quantiles: number[]}} Loaded */
/** @typedef {{id: number, loaded?: Loaded, failure?: {status: number, message: string}}} WorkerMessage */
/** @typedef {{height: number, width: number, values: Float32Array}} HeatValues */

const CACHE_SIZE = 4; // images in memory: the previous one, the current one and the next two
const SLICES = 48; // of volumes, which are small and turned to and fro
const HEAT_MAPS = 96;

export class ImageCache {
  #worker = new Worker(new URL("./image_worker.js", import.meta.url), { type: "module" });
  /** @type {Map<number, {resolve: (loaded: Loaded) => void, reject: (error: Error) => void}>} */
  #pending = new Map();
  /** @type {Map<string, Promise<Loaded>>} by url, least recently used first */
  #images = new Map();
  /** @type {Map<string, Promise<HeatValues>>} */
  #heatMaps = new Map();
  #nextId = 0;

  constructor() {
    this.#worker.addEventListener("message", (/** @type {MessageEvent<WorkerMessage>} */ { data }) => {
      const request = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if (data.loaded) request?.resolve(data.loaded);
      else request?.reject(new ApiError(data.failure?.status ?? 0, data.failure?.message ?? ""));
    });
  }

  /** @param {Pixels} image @returns {Promise<Loaded>} @throws {ApiError} */
  load(image) {
    const cached = this.#images.get(image.url);
    this.#images.delete(image.url);
    const film = cached ?? this.#fetch(image);
    this.#images.set(image.url, film);
    const isSlice = image.url.includes("slice=");
    const alike = [...this.#images.keys()].filter((url) => url.includes("slice=") === isSlice);
    for (const url of alike.slice(0, isSlice ? -SLICES : -CACHE_SIZE)) this.#images.delete(url);
    return film;
  }

  /** @param {Opinion} opinion @param {"predicted" | "true"} which @param {number | null} slice of a volume
   * @returns {Promise<HeatValues>} @throws {ApiError} */
  heatMap({ heatMaps }, which, slice = null) {
    const url = heatMaps[which] + (slice === null ? "" : `&slice=${slice}`);
    const cached = this.#heatMaps.get(url);
    if (cached) return cached;
    const map = fetchHeatMap(url, heatMaps.height, heatMaps.width);
    this.#heatMaps.set(url, map);
    for (const old of [...this.#heatMaps.keys()].slice(0, -HEAT_MAPS)) this.#heatMaps.delete(old);
    map.catch(() => this.#heatMaps.delete(url));
    return map;
  }

  /** @param {Pixels} image */
  #fetch(image) {
    const id = (this.#nextId += 1);
    /** @type {Promise<Loaded>} */
    const film = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    film.catch(() => this.#images.delete(image.url)); // so that the next call tries again
    // a worker takes relative addresses from its own
    this.#worker.postMessage({ id, image: { ...image, url: new URL(image.url, document.baseURI).href } });
    return film;
  }
}

/** @param {string} url @param {number} height @param {number} width */
async function fetchHeatMap(url, height, width) {
  const response = await fetch(url, { credentials: "same-origin" }).catch(() => null);
  if (!response?.ok) throw new ApiError(response?.status ?? 0, "The heat-map could not be loaded.");
  const values = new Float32Array(await response.arrayBuffer());
  if (values.length !== height * width) throw new ApiError(0, "The heat-map has the wrong size.");
  return { height, width, values };
}
