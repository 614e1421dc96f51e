// The squares in words, the reason, and the verdict.

import { api } from "../api.js";
import { assign, h, plural } from "../dom.js";
import { parseSquares, every } from "../squares.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../reading.js").Reading} Reading */
/** @typedef {import("../reading.js").Action} Action */

const FORM = "The model was focused on …, so I switched the focus towards ….";
const MOST = 2000; // characters of a reason
const PAUSE = 200; // ms after the last square until the preview is asked for

export class Answer {
  #round;
  #kase;
  #dispatch;
  #numbers = h("input", { id: "numbers", inputmode: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": "numbers-said" });
  #said = h("p", { id: "numbers-said", class: "said", role: "status" });
  #reason = h("textarea", { id: "reason", rows: 3, maxlength: MOST });
  #undo;
  #redo;
  #image = h("img", { alt: "", width: 224, height: 224, hidden: true });
  #empty = h("p", { class: "dim empty" }, "Nothing yet: no square is selected.");
  #preview;
  #timer = 0;
  #asked = "";

  /** @param {Round} round @param {Case} kase @param {(action: Action) => void} dispatch
   * @param {(act: string) => void} run @param {import("../keys.js").Keys} keys
   * @param {boolean} previewed is the preview open? */
  constructor(round, kase, dispatch, run, keys, previewed) {
    this.#round = round;
    this.#kase = kase;
    this.#dispatch = dispatch;
    /** @param {string} act @param {string} word */
    const button = (act, word) =>
      h("button", { type: "button", "data-act": act, title: word + keys.hint(act), onclick: () => run(act) }, word);
    this.#undo = button("undo", "Undo");
    this.#redo = button("redo", "Redo");
    this.#preview = h("details", { class: "preview", open: previewed }, h("summary", {}, "What the model will see"), this.#image, this.#empty);
    this.#preview.addEventListener("toggle", () => this.#ask(0));
    assign(this.#numbers, { placeholder: `type numbers, 1–${round.grid.rows * round.grid.cols}`, oninput: () => this.#typed(), onblur: () => dispatch({ type: "settle" }) });
    assign(this.#reason, { oninput: () => dispatch({ type: "reason", text: this.#reason.value }) });
    this.squares = h(
      "section",
      { class: "card squares", "aria-label": "Squares" },
      h("div", { class: "row" }, h("label", { for: "numbers" }, "Squares"), this.#numbers),
      this.#said,
      h("div", { class: "row buttons" }, button("all", "All"), button("none", "None"), button("complement", "Invert"), this.#undo, this.#redo),
      this.#preview,
    );
    this.reason = h(
      "section",
      { class: "card reason", "aria-label": "Reason" },
      h("div", { class: "row" }, h("label", { for: "reason" }, "Reason"), h("button", { type: "button", class: "quiet", title: FORM, onclick: () => this.#offer() }, "Start the sentence")),
      this.#reason,
    );
  }

  get open() {
    return this.#preview.open;
  }

  togglePreview() {
    this.#preview.open = !this.#preview.open;
  }

  focusNumbers() {
    this.#numbers.focus();
    this.#numbers.select();
  }

  focusReason() {
    this.#reason.focus();
  }

  /** @param {Reading} state */
  show({ squares, reason, past, future }) {
    if (document.activeElement !== this.#numbers) {
      this.#numbers.value = squares.join(" ");
      this.#tell("");
    }
    if (this.#reason.value !== reason) this.#reason.value = reason;
    this.#undo.disabled = past.length === 0;
    this.#redo.disabled = future.length === 0;
    this.#numbers.dataset["count"] = plural(squares.length, "square");
    this.#ask(PAUSE, squares);
  }

  /** @param {string} sentence */
  #tell(sentence) {
    this.#said.textContent = sentence;
    this.#numbers.setAttribute("aria-invalid", String(sentence !== ""));
  }

  #typed() {
    try {
      const squares = parseSquares(this.#round.grid, this.#numbers.value);
      this.#dispatch({ type: "set", squares, merge: "typed" });
      this.#tell("");
    } catch (error) {
      this.#tell(/** @type {Error} */ (error).message);
    }
  }

  /** @type {readonly number[]} */
  #squares = [];

  /** @param {number} wait @param {readonly number[]} [squares] */
  #ask(wait, squares = this.#squares) {
    this.#squares = squares;
    clearTimeout(this.#timer);
    if (!this.#preview.open) return;
    this.#image.hidden = squares.length === 0;
    this.#empty.hidden = squares.length > 0;
    if (squares.length === 0) return;
    this.#timer = window.setTimeout(() => {
      const url = api.previewUrl(this.#round.id, this.#kase.number, squares);
      if (url === this.#asked) return;
      this.#asked = url;
      const all = squares.length === every(this.#round.grid).length;
      this.#image.alt = all ? "The whole film." : `The film, black outside squares ${squares.join(", ")}.`;
      this.#image.src = url;
    }, wait);
  }

  /** The paper's form, with the first gap ready to be written in. */
  #offer() {
    const text = this.#reason.value.trim() ? `${this.#reason.value.trim()} ${FORM}` : FORM;
    this.#dispatch({ type: "reason", text: text.slice(0, MOST) });
    this.#reason.value = text.slice(0, MOST);
    const gap = text.indexOf("…");
    this.#reason.focus();
    this.#reason.setSelectionRange(gap, gap + 1);
  }
}
