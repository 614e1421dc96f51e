// How film and heat-map are laid out: chosen by the shape of the window, or by the reader, whose
// choice is remembered for each shape.

/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** @typedef {import("./view_transform.js").Size} Size */
/** @typedef {"single" | "side" | "stacked" | "blink"} Layout */

export const LAYOUTS = /** @type {[Layout, string][]} */ ([
  ["single", "One pane"],
  ["side", "Side by side"],
  ["stacked", "One above the other"],
  ["blink", "Blink"],
]);
// two panes from the start only where each film stays nearly as long as in one pane
const MIN_LENGTH = 0.85; // of the film's side in one pane

/**
 * The layout for a shape.
 * @param {Size} area for all panes @param {{height: number, width: number}} film @returns {Layout}
 */
export function layoutFor({ width, height }, film) {
  const scale = (/** @type {number} */ w, /** @type {number} */ t) => Math.min(w / film.width, t / film.height);
  const single = scale(width, height) * MIN_LENGTH;
  if (scale(width / 2, height) >= single) return "side";
  return scale(width, height / 2) >= single ? "stacked" : "single";
}

/** Whether the panes of a layout are the film alone and the film with its heat-map.
 * @param {Layout} layout */
export function hasTwoPanes(layout) {
  return layout === "side" || layout === "stacked";
}

export class LayoutChoice {
  #localStore;

  /** @param {LocalStore} localStore */
  constructor(localStore) {
    this.#localStore = localStore;
  }

  /** The reader's choice for the window's shape, or the one that fits. @param {Size} area
   * @param {{height: number, width: number}} film @returns {Layout} */
  get(area, film) {
    const chosen = this.#chosen()[shape()];
    return LAYOUTS.find(([name]) => name === chosen)?.[0] ?? layoutFor(area, film);
  }

  /** @param {Layout} layout */
  set(layout) {
    this.#localStore.set("layout", { ...this.#chosen(), [shape()]: layout });
  }

  #chosen() {
    return /** @type {Record<string, string>} */ (this.#localStore.get("layout") ?? {});
  }
}

/** @param {Layout} layout @returns {Layout} */
export function nextLayout(layout) {
  const at = LAYOUTS.findIndex(([name]) => name === layout);
  return LAYOUTS[(at + 1) % LAYOUTS.length]?.[0] ?? "single";
}

function shape() {
  return innerWidth >= innerHeight ? "landscape" : "portrait";
}
