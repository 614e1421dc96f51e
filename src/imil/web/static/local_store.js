// What this browser stores for one reader: drafts, unsent readings, preferences. One key for each
// entry, so that two tabs never overwrite each other's.

/** Entries in localStorage, or in memory where the browser does not allow that. */
export class LocalStore {
  /** @type {Map<string, string>} */
  #memory = new Map();
  /** Whether entries outlive the tab. */
  persistent = true;
  /** Whether nothing is stored any more, as after signing out. */
  closed = false;

  /** @param {string} scope reader and run */
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
    if (this.closed) return;
    const text = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + key, text);
      this.#memory.delete(this.prefix + key);
    } catch {
      this.persistent = false;
      this.#memory.set(this.prefix + key, text);
    }
  }

  /** @param {string} key */
  remove(key) {
    this.#memory.delete(this.prefix + key);
    try {
      localStorage.removeItem(this.prefix + key);
    } catch {
      this.persistent = false;
    }
  }

  /** @param {string} prefix @returns {string[]} the keys with this prefix, sorted */
  keys(prefix) {
    const fullPrefix = this.prefix + prefix;
    const names = new Set([...this.#memory.keys(), ...storedKeys()]);
    return [...names].filter((key) => key.startsWith(fullPrefix)).map((key) => key.slice(this.prefix.length)).sort();
  }

  /** @param {string} key */
  #read(key) {
    const fallback = this.#memory.get(key);
    if (fallback !== undefined) return fallback;
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }
}

/** @returns {string[]} */
function storedKeys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** Deletes every draft, unsent reading and preference of the reading room in this browser. */
export function clearLocalStores() {
  for (const key of storedKeys().filter((name) => name.startsWith("imil:"))) localStorage.removeItem(key);
}

/** The entries of one reader of one run. @param {{run: string, name: string, kind: string}} session */
export function openLocalStore({ run, name, kind }) {
  return new LocalStore([run, kind, name].map(encodeURIComponent).join("/"));
}
