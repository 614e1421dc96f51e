// What this browser keeps for one reader: drafts, readings on their way, wishes. One key an
// entry, so that two tabs never overwrite each other's list.

/** Keeps entries in localStorage, or in memory where the browser refuses that. */
export class Shelf {
  /** @type {Map<string, string>} */
  #memory = new Map();
  /** True as long as entries outlive the tab. */
  lasting = true;

  /** @param {string} scope who reads, and which run */
  constructor(scope) {
    this.prefix = `imil:${scope}:`;
  }

  /** @param {string} key @returns {unknown} null if there is none */
  get(key) {
    const text = this.#read(this.prefix + key);
    if (text === null) return null;
    try {
      return JSON.parse(text);
    } catch {
      return null; // written by another version of the page
    }
  }

  /** @param {string} key @param {unknown} value */
  set(key, value) {
    const text = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + key, text);
      this.#memory.delete(this.prefix + key);
    } catch {
      this.lasting = false;
      this.#memory.set(this.prefix + key, text);
    }
  }

  /** @param {string} key */
  remove(key) {
    this.#memory.delete(this.prefix + key);
    try {
      localStorage.removeItem(this.prefix + key);
    } catch {
      this.lasting = false;
    }
  }

  /** @param {string} start @returns {string[]} the keys that begin so, in order */
  keys(start) {
    const whole = this.prefix + start;
    const found = new Set([...this.#memory.keys(), ...stored()]);
    return [...found].filter((key) => key.startsWith(whole)).map((key) => key.slice(this.prefix.length)).sort();
  }

  /** @param {string} key */
  #read(key) {
    const kept = this.#memory.get(key);
    if (kept !== undefined) return kept;
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }
}

/** @returns {string[]} */
function stored() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** The shelf of one reader of one run. @param {{run: string, name: string, kind: string}} who */
export function readersShelf({ run, name, kind }) {
  return new Shelf([run, kind, name].map(encodeURIComponent).join("/"));
}
