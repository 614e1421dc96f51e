// Readings on their way to the server. Each lies in the browser until the server has it; its id
// never changes, so sending it twice stores it once.

import { ApiError, call } from "./api.js";

/** @typedef {import("./shelf.js").Shelf} Shelf */
/** @typedef {{path: string, body: unknown, round: string, number: number, what: string}} Parcel */
/** @typedef {{key: string, round: string, number: number, sentence: string, body: unknown}} Refusal */

const WAITS = [1, 2, 5, 10, 20, 30]; // seconds between tries
// What the reading room says of this very reading, and would say again. All else may pass: a store
// that is locked (423), a room that was opened under another name (421), whatever a proxy answers.
const FINAL = new Set([400, 404, 405, 409, 413, 422]);

/** Sends parcels one after the other. Fires `change` when something about them has changed, and
 * `stored` (detail: the parcel) when the server has one. */
export class Queue extends EventTarget {
  #shelf;
  #tries = 0;
  #timer = 0;
  #busy = false;
  /** Was the server out of reach at the last try? */
  offline = !navigator.onLine;
  /** Did the server say that the link no longer holds? */
  signedOut = false;
  /** Does the store take nothing for now (locked, full, read-only)? The server's own words. */
  trouble = "";

  /** @param {Shelf} shelf */
  constructor(shelf) {
    super();
    this.#shelf = shelf;
    window.addEventListener("online", () => this.wake());
    window.addEventListener("offline", () => this.#say({ offline: true }));
    window.addEventListener("storage", (event) => {
      if (event.key?.startsWith(`${shelf.prefix}queue:`)) this.#say({});
    });
    void this.#drain();
  }

  /** How many are not yet stored. */
  get waiting() {
    return this.#shelf.keys("queue:").length;
  }

  /** @returns {Refusal[]} what the server would not take, newest last */
  get refused() {
    return this.#shelf.keys("refused:").map((key) => {
      const found = /** @type {Refusal} */ (this.#shelf.get(key));
      return { ...found, key };
    });
  }

  /** @param {string} round @param {number} number @returns {boolean} */
  holds(round, number) {
    return this.#parcels().some(([, parcel]) => parcel.round === round && parcel.number === number);
  }

  /** @param {string} id @returns {boolean} is a reading of this id on its way? */
  carries(id) {
    return this.#shelf.keys("queue:").some((key) => key.endsWith(`:${id}`));
  }

  /** @param {string} id of the reading @param {Parcel} parcel */
  send(id, parcel) {
    const order = `${Date.now()}`.padStart(15, "0");
    this.#shelf.set(`queue:${order}:${id}`, parcel);
    this.#say({});
    this.wake();
  }

  /** Try now. */
  wake() {
    clearTimeout(this.#timer);
    this.#tries = 0;
    void this.#drain();
  }

  /** @param {string} key of a refusal that the person has read */
  forget(key) {
    this.#shelf.remove(key);
    this.#say({});
  }

  /** @returns {[string, Parcel][]} oldest first */
  #parcels() {
    return this.#shelf
      .keys("queue:")
      .map((key) => /** @type {[string, Parcel]} */ ([key, this.#shelf.get(key)]))
      .filter(([, parcel]) => parcel !== null);
  }

  async #drain() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      // one tab sends at a time, where the browser can say so; elsewhere the id does the same
      if (navigator.locks) {
        await navigator.locks.request(`${this.#shelf.prefix}send`, () => this.#sendAll());
      } else {
        await this.#sendAll();
      }
    } finally {
      this.#busy = false;
    }
    if (this.waiting > 0 && !this.signedOut) this.#later();
  }

  async #sendAll() {
    for (let next = this.#parcels()[0]; next; next = this.#parcels()[0]) {
      if (!(await this.#sendOne(...next))) return;
    }
  }

  /** @param {string} key @param {Parcel} parcel @returns {Promise<boolean>} may the next go? */
  async #sendOne(key, parcel) {
    try {
      const answer = await call("PUT", parcel.path, parcel.body);
      this.#shelf.remove(key);
      this.#say({ offline: false, signedOut: false, trouble: "" });
      this.dispatchEvent(new CustomEvent("stored", { detail: { parcel, answer } }));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.#failed(key, parcel, error);
    }
  }

  /** @param {string} key @param {Parcel} parcel @param {ApiError} error */
  #failed(key, parcel, { status, message, ours }) {
    if (status === 401 || status === 410) {
      this.#say({ signedOut: true, offline: false });
      return false;
    }
    if (!ours || !FINAL.has(status)) {
      this.#say({ offline: status === 0, trouble: status === 0 ? "" : message });
      return false;
    }
    const { round, number } = parcel;
    this.#shelf.set(`refused:${key.slice("queue:".length)}`, { round, number, sentence: message, body: parcel.body });
    this.#shelf.remove(key);
    this.#say({ offline: false, trouble: "" });
    this.dispatchEvent(new CustomEvent("refused", { detail: { parcel, status, message } }));
    return true;
  }

  #later() {
    const seconds = WAITS[Math.min(this.#tries, WAITS.length - 1)] ?? 30;
    this.#tries += 1;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#drain(), seconds * 1000);
  }

  /** @param {{offline?: boolean, signedOut?: boolean, trouble?: string}} news */
  #say(news) {
    Object.assign(this, news);
    this.dispatchEvent(new Event("change"));
  }
}
