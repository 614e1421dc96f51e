// The answers to a case: submit, the other verdicts, and what was answered before.

import { h } from "../dom.js";
import { answerText } from "../reading_state.js";

/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Verdict} Verdict */

export const VERDICTS = /** @type {Record<string, Verdict>} */ ({
  skip: "skip",
  "wrong-label": "wrong label",
  "not-assessable": "not assessable",
});

export class VerdictBar {
  #message = h("p", { class: "message", role: "alert" });
  #given = h("p", { class: "given", dir: "auto" });
  #primary;
  #others;

  /** @param {(command: string) => void} run @param {import("../shortcuts.js").Shortcuts} shortcuts */
  constructor(run, shortcuts) {
    /** @param {string} command @param {string} label */
    const button = (command, label) =>
      h("button", { type: "button", "data-command": command, title: label + shortcuts.hint(command), onclick: () => run(command) }, label);
    this.#primary = h("button", { type: "button", class: "primary", onclick: () => run("submit") });
    this.#others = [button("skip", "Skip"), button("wrong-label", "Label looks wrong"), button("not-assessable", "Not assessable")];
    this.element = h("section", { class: "verdict", "aria-label": "Verdict" }, this.#given, this.#message, this.#primary, h("div", { class: "others" }, ...this.#others));
  }

  /** @param {Case} caseData @param {import("../reading_state.js").ReadingState} state */
  show({ reading }, { phase, squares, misleading }) {
    const counts = misleading.length ? ` (${squares.length} selected, ${misleading.length} misleading)` : "";
    const label = phase === "first" ? "Show the model’s prediction" : reading ? `Save changes${counts}` : `Submit${counts}`;
    if (this.#primary.textContent !== label) this.#primary.textContent = label;
    this.#given.hidden = !reading;
    if (!reading) return this.#press("");
    const given = `Your answer: ${answerText(reading)}. It counts until you give another.`;
    if (this.#given.textContent !== given) this.#given.textContent = given;
    this.#press(reading.verdict);
  }

  /** Marks the verdict that was given. @param {string} verdict empty: none */
  #press(verdict) {
    for (const button of this.#others) button.setAttribute("aria-pressed", String(VERDICTS[button.dataset["command"] ?? ""] === verdict));
  }

  /** Marks the answers that are not taken now. @param {(verdict: Verdict) => boolean} isTaken */
  showTaken(isTaken) {
    for (const button of [this.#primary, ...this.#others]) {
      const verdict = VERDICTS[button.dataset["command"] ?? ""] ?? "focus";
      button.setAttribute("aria-disabled", String(!isTaken(verdict)));
    }
  }

  /** @param {boolean} busy */
  set busy(busy) {
    this.#primary.disabled = busy;
  }

  get text() {
    return this.#message.textContent;
  }

  /** @param {string} sentence */
  say(sentence) {
    if (this.#message.textContent !== sentence) this.#message.textContent = sentence;
  }
}
