// The answers that were given in this browser, so that each can be undone: from another case, and
// after a reload. A stored reading is never removed; undoing stores what held before it again.

import { newId } from "./reading_state.js";
import { api } from "./api.js";

/** @typedef {import("./api.js").Round} Round */
/** @typedef {import("./api.js").StoredReading} StoredReading */
/** @typedef {import("./case_session.js").Draft} Draft */
/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** @typedef {import("./outbox.js").Outbox} Outbox */
/** @typedef {{number: number, reading: StoredReading, previous: StoredReading | null, draft: Draft}} Answer */

const MAX_ANSWERS = 100; // that can be undone in one round
const UNDONE = "The answer was undone.";

export class AnswerHistory {
  #localStore;
  #outbox;

  /** @param {LocalStore} localStore @param {Outbox} outbox */
  constructor(localStore, outbox) {
    this.#localStore = localStore;
    this.#outbox = outbox;
  }

  /** @param {string} round @param {Answer} answer */
  add(round, answer) {
    const order = `${Date.now()}`.padStart(15, "0");
    this.#localStore.set(`answer:${round}:${order}:${answer.reading.id}`, answer);
    this.#localStore.remove(`undone:${round}:${answer.number}`);
    for (const key of this.#keys(round).slice(0, -MAX_ANSWERS)) this.#localStore.remove(key);
  }

  /** The newest answer of a round that can be undone. @param {string} round @returns {Answer | null} */
  last(round) {
    const key = this.#keys(round).at(-1);
    return key ? /** @type {Answer | null} */ (this.#localStore.get(key)) : null;
  }

  /** Undoes the newest answer; its squares and reason are the draft of its case again.
   * @param {Round} round @returns {number | null} the number of the case */
  undo(round) {
    const key = this.#keys(round.id).at(-1);
    const answer = this.last(round.id);
    const caseData = round.cases.find(({ number }) => number === answer?.number);
    if (!key || !answer || !caseData) return null;
    this.#localStore.remove(key);
    this.#localStore.set(`draft:${round.id}:${answer.number}`, { ...answer.draft, id: newId() });
    const id = this.#restore(round.id, answer);
    caseData.reading = answer.previous && { ...answer.previous, id };
    // until the case is answered again it is unread, whatever the server has
    if (!answer.previous) this.#localStore.set(`undone:${round.id}:${answer.number}`, [answer.reading.id, id]);
    return answer.number;
  }

  /** Brings what was loaded up to date: unsent readings count, undone ones do not. @param {Round} round */
  apply(round) {
    for (const caseData of round.cases) {
      const pending = this.#outbox.pendingReading(round.id, caseData.number);
      if (pending) caseData.reading = pending;
      const undone = /** @type {string[] | null} */ (this.#localStore.get(`undone:${round.id}:${caseData.number}`));
      if (caseData.reading && undone?.includes(caseData.reading.id)) caseData.reading = null;
    }
  }

  /** Sends the reading before the undone one; a skip, which leaves the film unchanged, if there was
   * none. @param {string} round @param {Answer} answer @returns {string} its id */
  #restore(round, { number, reading, previous }) {
    const { squaresBefore, seconds } = reading;
    const none = { verdict: /** @type {const} */ ("skip"), squares: [], misleading: [], reason: UNDONE, squaresBefore, seconds };
    const { verdict, squares, misleading, reason, ...times } = previous ?? none;
    const body = { verdict, squares, misleading, reason, squaresBefore: times.squaresBefore, seconds: times.seconds };
    const id = newId();
    this.#outbox.send(id, { path: api.readingPath(round, number, id), body, round, number, what: verdict });
    return id;
  }

  /** @param {string} round @returns {string[]} oldest first */
  #keys(round) {
    return this.#localStore.keys(`answer:${round}:`);
  }
}
