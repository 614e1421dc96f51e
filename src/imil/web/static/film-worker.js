// Fetches a film away from the page's own thread and halves it again and again, so that a small
// picture of it is the mean of its pixels and not a sample of them.

/** @typedef {import("./films.js").Plane} Plane */
/** @typedef {import("./api.js").Pixels} Pixels */

const SMALLEST = 128; // pixels; below that nothing is gained

/**
 * The film and its halves. A pixel of the n-th plane is the mean of 2^n × 2^n pixels of the
 * first; what is left over at the right and bottom is the mean of what there is.
 * @param {Plane} whole @param {number} channels @returns {Plane[]}
 */
export function pyramid(whole, channels) {
  const planes = [whole];
  for (let last = whole; Math.max(last.height, last.width) > SMALLEST; ) {
    last = halved(last, channels);
    planes.push(last);
  }
  return planes;
}

/** @param {Plane} plane @param {number} channels @returns {Plane} */
function halved({ height, width, data }, channels) {
  const rows = Math.ceil(height / 2);
  const cols = Math.ceil(width / 2);
  const half = data instanceof Uint16Array ? new Uint16Array(rows * cols * channels) : new Uint8Array(rows * cols * channels);
  let at = 0;
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
        half[at] = (sum + 2) >> 2;
        at += 1;
      }
    }
  }
  return { height: rows, width: cols, data: half };
}

/**
 * The values below which these shares of the pixels lie.
 * @param {Plane} plane @param {number[]} shares in [0, 1] @returns {number[]}
 */
export function quantiles({ data }, shares) {
  const counts = new Uint32Array(65536);
  for (const value of data) counts[value] = (counts[value] ?? 0) + 1;
  return shares.map((share) => {
    let left = share * data.length;
    for (let value = 0; value < counts.length; value += 1) {
      left -= counts[value] ?? 0;
      if (left <= 0) return value;
    }
    return 65535;
  });
}

/** @param {Pixels} image @returns {Promise<import("./films.js").Loaded>} */
async function load({ url, height, width, channels, bits }) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw Object.assign(new Error(await said(answer)), { status: answer.status });
  const bytes = await answer.arrayBuffer();
  const wanted = (height * width * channels * bits) / 8;
  if (bytes.byteLength !== wanted) {
    throw new Error(`The film has ${bytes.byteLength} bytes where ${wanted} were announced.`);
  }
  const data = bits === 16 ? new Uint16Array(bytes) : new Uint8Array(bytes);
  const planes = pyramid({ height, width, data }, channels);
  const small = planes.find((plane) => Math.max(plane.height, plane.width) <= 1024) ?? planes[0];
  const values = quantiles(/** @type {Plane} */ (small), [0.01, 0.45, 0.55, 0.99]);
  return { planes, quantiles: values };
}

/** @param {Response} answer */
async function said(answer) {
  const body = /** @type {{detail?: unknown} | null} */ (await answer.json().catch(() => null));
  return typeof body?.detail === "string" ? body.detail : `The server answered ${answer.status}.`;
}

/** @param {MessageEvent<{id: number, image: Pixels}>} event */
async function answerTo({ data: { id, image } }) {
  try {
    const loaded = await load(image);
    const buffers = loaded.planes.map((plane) => plane.data.buffer);
    self.postMessage({ id, loaded }, { transfer: buffers });
  } catch (error) {
    const status = /** @type {{status?: number}} */ (error).status ?? 0;
    const message = status === 0 && error instanceof TypeError ? "The film cannot be fetched now." : String(/** @type {Error} */ (error).message);
    self.postMessage({ id, failure: { status, message } });
  }
}

self.addEventListener("message", (event) => void answerTo(event));
