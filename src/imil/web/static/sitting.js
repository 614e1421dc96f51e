// One reader at one case: the reading in progress, its clock, and its draft in this browser.

import { Clock } from "./clock.js";
import { api } from "./api.js";
import { newId, reduce, startReading } from "./reading.js";

/** @typedef {import("./api.js").Round} Round */
/** @typedef {import("./api.js").Case} Case */
/** @typedef {import("./api.js").Verdict} Verdict */
/** @typedef {import("./shelf.js").Shelf} Shelf */
/** @typedef {import("./queue.js").Queue} Queue */
/** @typedef {{id: string, firstId: string, squares: number[], before: number[] | null,
 *   reason: string, seconds: number}} Draft */

const EVERY = 5000; // ms between savings of the time

export class Sitting extends EventTarget {
  #round;
  #shelf;
  #queue;
  #clock;
  #id;
  #firstId;
  #timer;
  #touched = false;
  #save = () => this.#keep();

  /** @param {{round: Round, kase: Case, shelf: Shelf | null, queue: Queue, blind: boolean}} at
   * shelf null: practice, nothing is kept and nothing sent */
  constructor({ round, kase, shelf, queue, blind }) {
    super();
    this.#round = round;
    this.kase = kase;
    this.#shelf = shelf;
    this.#queue = queue;
    const draft = this.#draft();
    const known = draft ?? kase.reading;
    this.#id = draft && !this.#gone(draft.id) ? draft.id : newId();
    this.#firstId = draft?.firstId ?? newId();
    this.#clock = new Clock(known?.seconds ?? 0);
    this.state = startReading({
      squares: known?.squares ?? kase.firstLook ?? [],
      reason: known?.reason ?? "",
      before: draft?.before ?? kase.reading?.squaresBefore ?? kase.firstLook ?? null,
      phase: !blind ? "paper" : kase.opinion ? "revealed" : "first",
    });
    this.#timer = setInterval(this.#save, EVERY);
    window.addEventListener("pagehide", this.#save);
    document.addEventListener("visibilitychange", this.#save);
    window.addEventListener("storage", this.#elsewhere);
  }

  get seconds() {
    return this.#clock.seconds;
  }

  /** Has the reader changed anything since the case was opened? */
  get touched() {
    return this.#touched;
  }

  /** @param {import("./reading.js").Action} action */
  dispatch(action) {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state.squares !== before.squares || this.state.reason !== before.reason) this.#touched = true;
    this.#keep();
    this.dispatchEvent(new Event("change"));
  }

  /** Blind first: the squares chosen so far are stored, then the opinion is shown.
   * @throws {import("./api.js").ApiError} */
  async reveal() {
    const squares = [...this.state.squares];
    this.#touched = true;
    this.#keep(); // with the id: a second try is the same first look
    const look = { squares, seconds: this.seconds };
    const { opinion } = await api.firstLook(this.#round.id, this.kase.number, this.#firstId, look);
    this.kase.opinion = opinion;
    this.kase.firstLook = squares;
    this.dispatch({ type: "reveal", before: squares });
  }

  /** The reading goes to the server, once; the case is left. @param {Verdict} verdict */
  answer(verdict) {
    const { squares, before, reason } = this.state;
    const body = {
      verdict,
      squares: verdict === "focus" ? [...squares] : [],
      squaresBefore: before && [...before],
      reason: reason.trim(),
      seconds: this.seconds,
    };
    const id = this.#free();
    const { number } = this.kase;
    if (this.#shelf) {
      const path = api.readingPath(this.#round.id, number, id);
      this.#queue.send(id, { path, body, round: this.#round.id, number, what: verdict });
      this.#shelf.remove(this.#key);
    }
    this.kase.reading = { id, ...body, created: new Date().toISOString() };
    this.#touched = false;
    this.end();
  }

  /** The case is left without an answer; the draft stays. */
  end() {
    this.#keep();
    this.#clock.end();
    clearInterval(this.#timer);
    window.removeEventListener("pagehide", this.#save);
    document.removeEventListener("visibilitychange", this.#save);
    window.removeEventListener("storage", this.#elsewhere);
  }

  get #key() {
    return `draft:${this.#round.id}:${this.kase.number}`;
  }

  /** @returns {Draft | null} */
  #draft() {
    return /** @type {Draft | null} */ (this.#shelf?.get(this.#key) ?? null);
  }

  /** @param {string} id @returns {boolean} was a reading of this id sent, or is it on its way? */
  #gone(id) {
    return this.kase.reading?.id === id || this.#queue.carries(id);
  }

  /** The draft's id, or a new one if another tab has used it up. */
  #free() {
    const mine = !this.#shelf || this.#draft()?.id === this.#id;
    return mine && !this.#gone(this.#id) ? this.#id : newId();
  }

  #keep() {
    // a case that was only looked at and is answered leaves no draft behind
    if (!this.#shelf || (!this.#touched && this.kase.reading)) return;
    const { squares, before, reason } = this.state;
    /** @type {Draft} */
    const draft = {
      id: this.#id,
      firstId: this.#firstId,
      squares: [...squares],
      before: before && [...before],
      reason,
      seconds: this.seconds,
    };
    this.#shelf.set(this.#key, draft);
  }

  #elsewhere = (/** @type {StorageEvent} */ event) => {
    if (!this.#shelf || event.key !== this.#shelf.prefix + this.#key || event.newValue !== null) return;
    this.#id = newId(); // another tab has answered with the old one: mine is a change
    this.dispatchEvent(new Event("elsewhere"));
  };
}
