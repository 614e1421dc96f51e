// The form with the square numbers, the preview and the reason.

import { api } from "../api.js";
import { assign, h, plural, s } from "../dom.js";
import { parseMarks, typedMarks, allSquares, countSquares } from "../grid_geometry.js";
import { keptSquares } from "../reading_state.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../reading_state.js").ReadingState} ReadingState */
/** @typedef {import("../reading_state.js").Action} Action */

const REASON_TEMPLATE = "The model was focused on …, so I switched the focus towards ….";
const GAPS = ["focused on …", "focus towards …"]; // of the template, unfilled
const MAX_REASON = 2000; // characters of a reason
const UNFILLED = "The reason has an unfilled gap “…”: fill it in, or delete the sentence.";
const PREVIEW_DELAY = 200; // ms after the last change until the preview is loaded

export class AnswerForm {
  #round;
  #caseData;
  #dispatch;
  #numbers = h("input", { id: "numbers", inputmode: "text", autocomplete: "off", spellcheck: "false", "aria-describedby": "numbers-error" });
  #error = h("p", { id: "numbers-error", class: "message", role: "status" });
  #reason = h("textarea", { id: "reason", rows: 3, maxlength: MAX_REASON, dir: "auto" });
  #undo;
  #redo;
  #image = h("img", { alt: "", width: 224, height: 224, hidden: true });
  #empty = h("p", { class: "dim empty" }, "No square selected.");
  #preview;
  #legend = legend();
  #selectOnly = false;
  /** What is wrong with the numbers that were typed; they mark no squares then. */
  #problem = "";
  #marks = "";
  #timer = 0;
  #previewUrl = "";

  /** @param {Round} round @param {Case} caseData @param {(action: Action) => void} dispatch
   * @param {(command: string) => void} run @param {import("../shortcuts.js").Shortcuts} shortcuts
   * @param {boolean} previewOpen */
  constructor(round, caseData, dispatch, run, shortcuts, previewOpen) {
    this.#round = round;
    this.#caseData = caseData;
    this.#slice = caseData.image.slices ? Math.ceil(caseData.image.slices / 2) : null;
    this.#dispatch = dispatch;
    /** @param {string} command @param {string} label @param {string} [name] unique on the page */
    const button = (command, label, name = label) =>
      h("button", { type: "button", "data-command": command, title: name + shortcuts.hint(command), "aria-label": name, onclick: () => run(command) }, label);
    this.#undo = button("undo", "Undo", "Undo squares");
    this.#redo = button("redo", "Redo", "Redo squares");
    this.#preview = h("details", { class: "preview", open: previewOpen }, h("summary", {}, "What the model will see"), this.#image, this.#empty);
    this.#preview.addEventListener("toggle", () => this.#updatePreview(0));
    assign(this.#numbers, { placeholder: `numbers, 1–${countSquares(round.grid)}`, oninput: () => this.#parseNumbers(), onblur: () => dispatch({ type: "commit" }) });
    assign(this.#reason, { oninput: () => dispatch({ type: "reason", text: this.#reason.value }) });
    this.squares = h(
      "section",
      { class: "card squares", "aria-label": "Squares" },
      h("div", { class: "row" }, h("label", { for: "numbers" }, "Squares"), this.#numbers),
      this.#error,
      this.#legend,
      h("div", { class: "row buttons" }, button("all", "All"), button("none", "None"), button("complement", "Invert", "Invert selection"), this.#undo, this.#redo),
      this.#preview,
    );
    this.reason = h(
      "section",
      { class: "card reason", "aria-label": "Reason" },
      h("div", { class: "row" }, h("label", { for: "reason" }, "Reason"), h("button", { type: "button", class: "quiet", title: REASON_TEMPLATE, onclick: () => this.#insertTemplate() }, "Insert template")),
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

  /** What the form marks as wrong and must not be submitted; empty: nothing. The focus goes there.
   * @param {"squares" | "reason"} part @returns {string} */
  problem(part) {
    if (part === "squares") {
      if (this.#problem) this.focusNumbers();
      return this.#problem;
    }
    const gap = gapOf(this.#reason.value);
    this.#reason.setAttribute("aria-invalid", String(gap >= 0));
    if (gap < 0) return "";
    this.#reason.focus();
    this.#reason.setSelectionRange(gap, gap + 1);
    return UNFILLED;
  }

  /** Reads the typed numbers again, now that the film can be marked. */
  reread() {
    if (document.activeElement === this.#numbers) this.#parseNumbers();
  }

  /** @param {ReadingState} state */
  show({ squares, misleading, reason, phase, past, future }) {
    this.#legend.hidden = this.#selectOnly = phase === "first";
    const marks = typedMarks(squares, misleading);
    if (marks !== this.#marks || !this.#problem) {
      this.#showError("");
      if (document.activeElement !== this.#numbers) this.#numbers.value = marks;
    }
    this.#marks = marks;
    if (this.#reason.value !== reason) this.#reason.value = reason;
    if (gapOf(reason) < 0) this.#reason.removeAttribute("aria-invalid");
    this.#undo.disabled = past.length === 0;
    this.#redo.disabled = future.length === 0;
    this.#numbers.dataset["count"] = plural(squares.length, "square");
    const marked = squares.length > 0 || misleading.length > 0;
    this.#updatePreview(PREVIEW_DELAY, marked ? keptSquares({ squares, misleading }, allSquares(this.#round.grid)) : []);
  }

  /** @param {string} sentence */
  #showError(sentence) {
    this.#problem = this.#error.textContent = sentence;
    this.#numbers.setAttribute("aria-invalid", String(sentence !== ""));
  }

  #parseNumbers() {
    try {
      const marks = parseMarks(this.#round.grid, this.#numbers.value);
      if (this.#selectOnly && marks.misleading.length) throw new RangeError("Misleading squares can be marked once the model’s prediction is shown.");
      this.#dispatch({ type: "set", ...marks, merge: "typed" });
      this.#showError("");
    } catch (error) {
      // what was typed before does not count while the text is wrong
      this.#dispatch({ type: "set", squares: [], misleading: [], merge: "typed" });
      this.#showError(/** @type {Error} */ (error).message);
    }
  }

  /** Of a volume, the slice on the screen; null: it is an image. @type {number | null} */
  #slice = null;

  /** @param {number} slice of the volume that is on the screen */
  setSlice(slice) {
    this.#slice = slice;
    this.#updatePreview(PREVIEW_DELAY);
  }

  /** The squares that the model will see; none: nothing is marked. @type {readonly number[]} */
  #squares = [];

  /** @param {number} wait @param {readonly number[]} [squares] */
  #updatePreview(wait, squares = this.#squares) {
    this.#squares = squares;
    clearTimeout(this.#timer);
    if (!this.#preview.open) return;
    this.#image.hidden = squares.length === 0;
    this.#empty.hidden = squares.length > 0;
    if (squares.length === 0) return;
    this.#timer = window.setTimeout(() => {
      const url = api.previewUrl(this.#round.id, this.#caseData.number, squares, this.#slice);
      if (url === this.#previewUrl) return;
      this.#previewUrl = url;
      const all = squares.length === allSquares(this.#round.grid).length;
      this.#image.alt = all ? "The whole image." : `The image, black outside squares ${squares.join(", ")}.`;
      this.#image.src = url;
    }, wait);
  }

  /** Inserts the paper's template, with its first gap selected. */
  #insertTemplate() {
    const text = this.#reason.value.trim() ? `${this.#reason.value.trim()} ${REASON_TEMPLATE}` : REASON_TEMPLATE;
    this.#dispatch({ type: "reason", text: text.slice(0, MAX_REASON) });
    this.#reason.value = text.slice(0, MAX_REASON);
    const gap = text.indexOf("…");
    this.#reason.focus();
    this.#reason.setSelectionRange(gap, gap + 1);
  }
}

/** Where the first unfilled gap of a reason is, or -1. @param {string} reason */
function gapOf(reason) {
  const at = GAPS.map((gap) => reason.indexOf(gap) + gap.length - 1).filter((_, i) => reason.includes(GAPS[i] ?? ""));
  return at.length ? Math.min(...at) : -1;
}

/** What the two marks on the grid mean. */
function legend() {
  const sample = (/** @type {string} */ kind, /** @type {string} */ d) =>
    s("svg", { viewBox: "0 0 18 14", class: "sample", "aria-hidden": "true" }, s("path", { class: kind, d }));
  const frame = "M1 1H17V13H1Z";
  return h(
    "p",
    { class: "marks-legend" },
    h("span", {}, sample("grid-chosen", frame), "look here"),
    h("span", {}, sample("grid-misleading", `${frame}M1 9L9 1M4 13L16 1M12 13L17 8`), "misleading: click again, or -4"),
  );
}
