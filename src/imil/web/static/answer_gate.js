// When a case may be answered: once film and opinion have been painted, and a moment after either, so
// that a double click or a repeated key does not answer what was not seen.

/** @typedef {import("./api.js").Verdict} Verdict */
/** @typedef {"film" | "opinion"} Part */

export const PAUSE = 400; // ms after the last part was painted
const NAMES = { film: "film", opinion: "model’s prediction" };

export class AnswerGate {
  /** @type {Set<Part>} parts that have not been painted yet */
  #awaited = new Set();
  /** @type {Part | null} */
  #missing = null;
  #timer = 0;
  /** Whether the case can be answered. */
  ready = false;
  /** Called when the case can be answered, or can no longer. */
  onchange = () => {};

  /** A case was opened. @param {Part[]} parts what has to be painted */
  open(parts) {
    this.#missing = null;
    this.#awaited = new Set(parts);
    this.#close();
  }

  /** Another part has to be painted: the opinion after a first look. @param {Part} part */
  expect(part) {
    this.#awaited.add(part);
    this.#close();
  }

  /** @param {Part} part that is on the screen now */
  painted(part) {
    if (!this.#awaited.delete(part) || this.#awaited.size) return;
    this.#timer = window.setTimeout(() => {
      this.ready = true;
      this.onchange();
    }, PAUSE);
  }

  /** @param {Part} part that the server does not have */
  fail(part) {
    this.#missing = part;
    this.onchange();
  }

  /** Whether the film has been painted. */
  get filmSeen() {
    return !this.#awaited.has("film");
  }

  /** Why no answer is taken now; empty: it is. @param {Verdict} verdict */
  refusal(verdict) {
    if (this.#missing) return verdict === "skip" ? "" : `The ${NAMES[this.#missing]} is missing: this case can only be skipped.`;
    const [awaited] = this.#awaited;
    if (awaited) return `Not answered: the ${NAMES[awaited]} is not on the screen yet.`;
    return this.ready ? "" : "Not answered: the case has been on the screen for less than half a second.";
  }

  #close() {
    clearTimeout(this.#timer);
    this.ready = false;
    this.onchange();
  }
}
