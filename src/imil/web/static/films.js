// The films of a round: fetched once, kept while they are near, let go when they are not.

import { ApiError } from "./api.js";

/** @typedef {import("./api.js").Pixels} Pixels */
/** @typedef {import("./api.js").Opinion} Opinion */
/** @typedef {{height: number, width: number, data: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>}} Plane */
/** The film and its halves, and the pixel values at 1, 45, 55 and 99 % of the pixels.
 * @typedef {{planes: Plane[], quantiles: number[]}} Loaded */
/** @typedef {{id: number, loaded?: Loaded, failure?: {status: number, message: string}}} Report */
/** @typedef {{height: number, width: number, values: Float32Array}} HeatValues */

const KEPT = 4; // films in memory: the one before, this one and the next two

export class Films {
  #worker = new Worker(new URL("./film-worker.js", import.meta.url), { type: "module" });
  /** @type {Map<number, {resolve: (loaded: Loaded) => void, reject: (error: Error) => void}>} */
  #asked = new Map();
  /** @type {Map<string, Promise<Loaded>>} by url, least lately used first */
  #films = new Map();
  /** @type {Map<string, Promise<HeatValues>>} */
  #heat = new Map();
  #count = 0;

  constructor() {
    this.#worker.addEventListener("message", (/** @type {MessageEvent<Report>} */ { data }) => {
      const asked = this.#asked.get(data.id);
      this.#asked.delete(data.id);
      if (data.loaded) asked?.resolve(data.loaded);
      else asked?.reject(new ApiError(data.failure?.status ?? 0, data.failure?.message ?? ""));
    });
  }

  /** @param {Pixels} image @returns {Promise<Loaded>} @throws {ApiError} */
  load(image) {
    const known = this.#films.get(image.url);
    this.#films.delete(image.url);
    const film = known ?? this.#fetch(image);
    this.#films.set(image.url, film);
    for (const url of [...this.#films.keys()].slice(0, -KEPT)) this.#films.delete(url);
    return film;
  }

  /** @param {Opinion} opinion @param {"predicted" | "true"} which
   * @returns {Promise<HeatValues>} @throws {ApiError} */
  heatMap({ heatMaps }, which) {
    const url = heatMaps[which];
    const known = this.#heat.get(url);
    if (known) return known;
    const map = fetchHeatMap(url, heatMaps.height, heatMaps.width);
    this.#heat.set(url, map);
    map.catch(() => this.#heat.delete(url));
    return map;
  }

  /** @param {Pixels} image */
  #fetch(image) {
    const id = (this.#count += 1);
    /** @type {Promise<Loaded>} */
    const film = new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
    film.catch(() => this.#films.delete(image.url)); // the next try asks anew
    this.#worker.postMessage({ id, image });
    return film;
  }
}

/** @param {string} url @param {number} height @param {number} width */
async function fetchHeatMap(url, height, width) {
  const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
  if (!answer?.ok) throw new ApiError(answer?.status ?? 0, "The heat-map cannot be fetched now.");
  const values = new Float32Array(await answer.arrayBuffer());
  if (values.length !== height * width) throw new ApiError(0, "The heat-map has the wrong size.");
  return { height, width, values };
}
