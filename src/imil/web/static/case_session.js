// One reader's work on one case: the reading in progress, its timer, and its draft in the browser.

import { ActiveTimer } from "./active_timer.js";
import { api } from "./api.js";
import { newId, reduce, initialReading } from "./reading_state.js";

/** @typedef {import("./api.js").Round} Round */
/** @typedef {import("./api.js").Case} Case */
/** @typedef {import("./api.js").Opinion} Opinion */
/** @typedef {import("./api.js").Verdict} Verdict */
/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** @typedef {import("./outbox.js").Outbox} Outbox */
/** @typedef {{id: string, firstId: string, squares: number[], misleading?: number[], before: number[] | null,
 *   reason: string, seconds: number}} Draft */

const SAVE_INTERVAL = 5000; // ms between saves of the draft

export class CaseSession extends EventTarget {
  #round;
  #localStore;
  #outbox;
  #withheld;
  #timer;
  #id;
  #firstLookId;
  #saveInterval;
  #changed = false;
  #save = () => this.#saveDraft();

  /** @param {{round: Round, caseData: Case, localStore: LocalStore | null, outbox: Outbox, blind: boolean, withheld?: Opinion | null}} options
   * localStore null: practice, nothing is saved or sent; withheld: the opinion in a blind-first practice */
  constructor({ round, caseData, localStore, outbox, blind, withheld = null }) {
    super();
    this.#round = round;
    this.caseData = caseData;
    this.#localStore = localStore;
    this.#outbox = outbox;
    this.#withheld = withheld;
    const draft = this.#draft();
    const previous = draft ?? caseData.reading;
    this.#id = draft && !this.#isUsed(draft.id) ? draft.id : newId();
    this.#firstLookId = draft?.firstId ?? newId();
    this.#timer = new ActiveTimer(previous?.seconds ?? 0);
    this.state = initialReading({
      squares: previous?.squares ?? caseData.firstLook ?? [],
      misleading: previous?.misleading ?? [],
      reason: previous?.reason ?? "",
      before: draft?.before ?? caseData.reading?.squaresBefore ?? caseData.firstLook ?? null,
      phase: !blind ? "paper" : caseData.opinion ? "revealed" : "first",
    });
    this.#saveInterval = setInterval(this.#save, SAVE_INTERVAL);
    window.addEventListener("pagehide", this.#save);
    document.addEventListener("visibilitychange", this.#save);
    window.addEventListener("storage", this.#onStorage);
  }

  get seconds() {
    return this.#timer.seconds;
  }

  /** Whether the reader has changed anything since the case was opened. */
  get changed() {
    return this.#changed;
  }

  /** @param {import("./reading_state.js").Action} action */
  dispatch(action) {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state.squares !== before.squares || this.state.misleading !== before.misleading || this.state.reason !== before.reason) this.#changed = true;
    this.#saveDraft();
    this.dispatchEvent(new Event("change"));
  }

  /** Blind-first: stores the squares selected so far, then shows the prediction.
   * @throws {import("./api.js").ApiError} */
  async reveal() {
    const squares = [...this.state.squares];
    this.#changed = true;
    this.#saveDraft(); // with the id, so that a second attempt is the same first look
    const look = { squares, seconds: this.seconds };
    this.caseData.opinion = this.#withheld ?? (await api.firstLook(this.#round.id, this.caseData.number, this.#firstLookId, look)).opinion;
    this.caseData.firstLook = squares;
    this.dispatch({ type: "reveal", before: squares });
  }

  /** Submits the reading and leaves the case. @param {Verdict} verdict
   * @returns {import("./answer_history.js").Answer} */
  answer(verdict) {
    const draft = this.#currentDraft();
    const { squares, misleading, before, reason } = this.state;
    const body = {
      verdict,
      squares: verdict === "focus" ? [...squares] : [],
      misleading: verdict === "focus" ? [...misleading] : [],
      squaresBefore: before && [...before],
      reason: reason.trim(),
      seconds: this.seconds,
    };
    const id = this.#unusedId();
    const { number, reading: previous } = this.caseData;
    if (this.#localStore) {
      const path = api.readingPath(this.#round.id, number, id);
      this.#outbox.send(id, { path, body, round: this.#round.id, number, what: verdict });
      this.#localStore.remove(this.#key);
    }
    const reading = (this.caseData.reading = { id, ...body, created: new Date().toISOString() });
    this.#changed = false;
    this.end();
    return { number, reading, previous, draft };
  }

  /** Leaves the case; the draft stays. */
  end() {
    this.#saveDraft();
    this.#timer.end();
    clearInterval(this.#saveInterval);
    window.removeEventListener("pagehide", this.#save);
    document.removeEventListener("visibilitychange", this.#save);
    window.removeEventListener("storage", this.#onStorage);
  }

  get #key() {
    return `draft:${this.#round.id}:${this.caseData.number}`;
  }

  /** @returns {Draft | null} */
  #draft() {
    return /** @type {Draft | null} */ (this.#localStore?.get(this.#key) ?? null);
  }

  /** @param {string} id @returns {boolean} whether a reading of this id was sent or is unsent */
  #isUsed(id) {
    return this.caseData.reading?.id === id || this.#outbox.hasReading(id);
  }

  /** The draft's id, or a new one if another tab has used it. */
  #unusedId() {
    const isOwnDraft = !this.#localStore || this.#draft()?.id === this.#id;
    return isOwnDraft && !this.#isUsed(this.#id) ? this.#id : newId();
  }

  #saveDraft() {
    // a case that has a reading and was only looked at needs no draft
    if (!this.#localStore || (!this.#changed && this.caseData.reading)) return;
    this.#localStore.set(this.#key, this.#currentDraft());
  }

  /** @returns {Draft} */
  #currentDraft() {
    const { squares, misleading, before, reason } = this.state;
    return {
      id: this.#id,
      firstId: this.#firstLookId,
      squares: [...squares],
      misleading: [...misleading],
      before: before && [...before],
      reason,
      seconds: this.seconds,
    };
  }

  #onStorage = (/** @type {StorageEvent} */ event) => {
    if (!this.#localStore || event.key !== this.#localStore.prefix + this.#key || event.newValue !== null) return;
    this.#id = newId(); // another tab has submitted with the old id
    this.dispatchEvent(new Event("submitted-elsewhere"));
  };
}
