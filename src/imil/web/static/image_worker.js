// Web worker: loads an image and builds its pyramid of half-size levels, so that a reduced image is
// the mean of its pixels and not a sample of them.

/** @typedef {import("./image_cache.js").Plane} Plane */
/** @typedef {import("./api.js").Pixels} Pixels */

const MIN_SIDE = 128; // pixels; below that nothing is gained

/**
 * The image and its reduced levels. A pixel of level n is the mean of 2^n × 2^n pixels of the
 * first level; at the right and bottom edges, of those that exist.
 * @param {Plane} full @param {number} channels @returns {Plane[]}
 */
export function pyramid(full, channels) {
  const planes = [full];
  for (let last = full; Math.max(last.height, last.width) > MIN_SIDE; ) {
    last = halve(last, channels);
    planes.push(last);
  }
  return planes;
}

/** @param {Plane} plane @param {number} channels @returns {Plane} */
function halve({ height, width, data }, channels) {
  const rows = Math.ceil(height / 2);
  const cols = Math.ceil(width / 2);
  const half = data instanceof Uint16Array ? new Uint16Array(rows * cols * channels) : new Uint8Array(rows * cols * channels);
  let index = 0;
  for (let row = 0; row < rows; row += 1) {
    const upper = 2 * row * width * channels;
    const lower = Math.min(2 * row + 1, height - 1) * width * channels;
    for (let col = 0; col < cols; col += 1) {
      const left = 2 * col * channels;
      const right = Math.min(2 * col + 1, width - 1) * channels;
      for (let channel = 0; channel < channels; channel += 1) {
        const l = left + channel;
        const r = right + channel;
        const sum = /** @type {number} */ (data[upper + l]) + /** @type {number} */ (data[upper + r])
          + /** @type {number} */ (data[lower + l]) + /** @type {number} */ (data[lower + r]);
        half[index] = (sum + 2) >> 2;
        index += 1;
      }
    }
  }
  return { height: rows, width: cols, data: half };
}

/**
 * Quantiles of the pixel values.
 * @param {Plane} plane @param {number[]} fractions in [0, 1] @returns {number[]}
 */
export function quantiles({ data }, fractions) {
  const counts = new Uint32Array(65536);
  for (const value of data) counts[value] = (counts[value] ?? 0) + 1;
  return fractions.map((fraction) => {
    let remaining = fraction * data.length;
    for (let value = 0; value < counts.length; value += 1) {
      remaining -= counts[value] ?? 0;
      if (remaining <= 0) return value;
    }
    return 65535;
  });
}

/** @param {Pixels} image @returns {Promise<import("./image_cache.js").Loaded>} */
async function load({ url, height, width, channels, bits }) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw Object.assign(new Error(await errorDetail(response)), { status: response.status });
  const bytes = await response.arrayBuffer();
  const expected = (height * width * channels * bits) / 8;
  if (bytes.byteLength !== expected) {
    throw new Error(`The image has ${bytes.byteLength} bytes, expected ${expected}.`);
  }
  const data = bits === 16 ? new Uint16Array(bytes) : new Uint8Array(bytes);
  const planes = pyramid({ height, width, data }, channels);
  const small = planes.find((plane) => Math.max(plane.height, plane.width) <= 1024) ?? planes[0];
  const values = quantiles(/** @type {Plane} */ (small), [0.01, 0.45, 0.55, 0.99]);
  return { planes, quantiles: values };
}

/** @param {Response} response */
async function errorDetail(response) {
  const body = /** @type {{detail?: unknown} | null} */ (await response.json().catch(() => null));
  return typeof body?.detail === "string" ? body.detail : `The server returned error ${response.status}.`;
}

/** @param {MessageEvent<{id: number, image: Pixels}>} event */
async function handleRequest({ data: { id, image } }) {
  try {
    const loaded = await load(image);
    const buffers = loaded.planes.map((plane) => plane.data.buffer);
    self.postMessage({ id, loaded }, { transfer: buffers });
  } catch (error) {
    const status = /** @type {{status?: number}} */ (error).status ?? 0;
    const message = status === 0 && error instanceof TypeError ? "The image could not be loaded." : String(/** @type {Error} */ (error).message);
    self.postMessage({ id, failure: { status, message } });
  }
}

self.addEventListener("message", (event) => void handleRequest(event));
