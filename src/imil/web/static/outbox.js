// Unsent readings. Each stays in the browser until the server has stored it; its id never changes,
// so sending it twice stores it once.

import { ApiError, call } from "./api.js";

/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** @typedef {import("./api.js").StoredReading} StoredReading */
/** @typedef {{path: string, body: Omit<StoredReading, "id" | "created">, round: string, number: number, what: string}} PendingReading */
/** @typedef {{key: string, round: string, number: number, sentence: string, body: unknown}} Rejection */

const RETRY_DELAYS = [1, 2, 5, 10, 20, 30]; // seconds between attempts
// Statuses that another attempt would not change. All others are retried: a locked store (423), a
// server that was opened under another name (421), any response of a proxy.
const FINAL_STATUSES = new Set([400, 404, 405, 409, 413, 422]);

/** Sends readings one after the other. Fires `change` when anything here has changed, `stored`
 * when the server has stored a reading, `rejected` when it has refused one for good. */
export class Outbox extends EventTarget {
  #localStore;
  #attempts = 0;
  #timer = 0;
  #sending = false;
  /** Whether the server could not be reached at the last attempt. */
  offline = !navigator.onLine;
  /** Whether the session has ended. */
  signedOut = false;
  /** The server's message while its store cannot be written (locked, full, read-only). */
  storeError = "";

  /** @param {LocalStore} localStore */
  constructor(localStore) {
    super();
    this.#localStore = localStore;
    window.addEventListener("online", () => this.sendNow());
    window.addEventListener("offline", () => this.#update({ offline: true }));
    window.addEventListener("storage", (event) => {
      if (event.key?.startsWith(`${localStore.prefix}queue:`)) this.#update({});
    });
    void this.#sendPending();
  }

  /** How many are not yet stored. */
  get pendingCount() {
    return this.#localStore.keys("queue:").length;
  }

  /** @returns {Rejection[]} what the server has refused, newest last */
  get rejected() {
    return this.#localStore.keys("refused:").map((key) => {
      const stored = /** @type {Rejection} */ (this.#localStore.get(key));
      return { ...stored, key };
    });
  }

  /** @param {string} round @param {number} number @returns {boolean} */
  hasPending(round, number) {
    return this.#unsent().some(([, pending]) => pending.round === round && pending.number === number);
  }

  /** The newest unsent reading of a case. @param {string} round @param {number} number
   * @returns {StoredReading | null} */
  pendingReading(round, number) {
    const newest = this.#unsent().findLast(([, pending]) => pending.round === round && pending.number === number);
    if (!newest) return null;
    const [key, { body }] = newest;
    const id = key.slice(key.lastIndexOf(":") + 1);
    return { ...body, id, created: "" };
  }

  /** @param {string} id @returns {boolean} whether a reading of this id is unsent */
  hasReading(id) {
    return this.#localStore.keys("queue:").some((key) => key.endsWith(`:${id}`));
  }

  /** @param {string} id of the reading @param {PendingReading} pending */
  send(id, pending) {
    const order = `${Date.now()}`.padStart(15, "0");
    this.#localStore.set(`queue:${order}:${id}`, pending);
    this.#update({});
    this.sendNow();
  }

  /** Sends without waiting for the next attempt. */
  sendNow() {
    clearTimeout(this.#timer);
    this.#attempts = 0;
    void this.#sendPending();
  }

  /** @param {string} key of a rejection that the reader has seen */
  dismiss(key) {
    this.#localStore.remove(key);
    this.#update({});
  }

  /** @returns {[string, PendingReading][]} oldest first */
  #unsent() {
    return this.#localStore
      .keys("queue:")
      .map((key) => /** @type {[string, PendingReading]} */ ([key, this.#localStore.get(key)]))
      .filter(([, pending]) => pending !== null);
  }

  async #sendPending() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      // one tab sends at a time where the browser has locks; elsewhere the id prevents duplicates
      if (navigator.locks) {
        await navigator.locks.request(`${this.#localStore.prefix}send`, () => this.#sendAll());
      } else {
        await this.#sendAll();
      }
    } finally {
      this.#sending = false;
    }
    if (this.pendingCount > 0 && !this.signedOut) this.#scheduleRetry();
  }

  async #sendAll() {
    for (let next = this.#unsent()[0]; next; next = this.#unsent()[0]) {
      if (!(await this.#sendOne(...next))) return;
    }
  }

  /** @param {string} key @param {PendingReading} pending @returns {Promise<boolean>} whether to continue with the next */
  async #sendOne(key, pending) {
    try {
      const response = await call("PUT", pending.path, pending.body);
      this.#localStore.remove(key);
      this.#update({ offline: false, signedOut: false, storeError: "" });
      this.dispatchEvent(new CustomEvent("stored", { detail: { pending, response } }));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return this.#handleError(key, pending, error);
    }
  }

  /** @param {string} key @param {PendingReading} pending @param {ApiError} error */
  #handleError(key, pending, { status, message, fromServer }) {
    if (status === 401 || status === 410) {
      this.#update({ signedOut: true, offline: false });
      return false;
    }
    if (!fromServer || !FINAL_STATUSES.has(status)) {
      this.#update({ offline: status === 0, storeError: status === 0 ? "" : message });
      return false;
    }
    const { round, number } = pending;
    this.#localStore.set(`refused:${key.slice("queue:".length)}`, { round, number, sentence: message, body: pending.body });
    this.#localStore.remove(key);
    this.#update({ offline: false, storeError: "" });
    this.dispatchEvent(new CustomEvent("rejected", { detail: { pending, status, message } }));
    return true;
  }

  #scheduleRetry() {
    const seconds = RETRY_DELAYS[Math.min(this.#attempts, RETRY_DELAYS.length - 1)] ?? 30;
    this.#attempts += 1;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => void this.#sendPending(), seconds * 1000);
  }

  /** @param {{offline?: boolean, signedOut?: boolean, storeError?: string}} changes */
  #update(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event("change"));
  }
}
