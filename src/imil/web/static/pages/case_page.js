// The page of a case: viewer, model's prediction, squares, reason and verdict.

import { fill, h } from "../dom.js";
import { keyName, handlesKey } from "../shortcuts.js";
import { allSquares } from "../grid_geometry.js";
import { CaseSession } from "../case_session.js";
import { markOf } from "../reading_state.js";
import { AnswerForm } from "./answer_form.js";
import { ViewerController } from "./viewer_controller.js";
import { opinionCard } from "./model_opinion.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Verdict} Verdict */
/** @typedef {import("../app.js").App} App */
/** @typedef {{practice: boolean, onanswer: () => void}} Mode */

const VERDICTS = /** @type {Record<string, Verdict>} */ ({
  skip: "skip",
  "wrong-label": "wrong label",
  "not-assessable": "not assessable",
});

export class CasePage extends HTMLElement {
  #app;
  #round;
  #mode;
  #controller;
  /** @type {CaseSession | null} */
  #caseSession = null;
  /** @type {AnswerForm | null} */
  #answerForm = null;
  #side = h("div", { class: "side" });
  #message = h("p", { class: "message", role: "alert" });
  #primary = h("button", { type: "button", class: "primary", onclick: () => this.run("submit") });
  #listeners = new AbortController();
  #reasonRequested = false;
  #busy = false;

  /** @param {App} app @param {Round} round @param {Mode} mode */
  constructor(app, round, mode) {
    super();
    this.#app = app;
    this.#round = round;
    this.#mode = mode;
    this.#controller = new ViewerController(app, round, (command) => this.run(command));
    this.#controller.onpainted = () => this.#painted();
    this.#controller.onheat = () => this.#showOpinion();
    this.#controller.viewer.onmarks = (marks, merge) =>
      this.#caseSession?.dispatch(merge ? { type: "set", ...marks, merge } : { type: "set", ...marks });
    this.#controller.viewer.onstrokecancel = () => this.#caseSession?.dispatch({ type: "undo" });
  }

  connectedCallback() {
    const { signal } = (this.#listeners = new AbortController());
    this.append(this.#controller.toolbar.element, this.#controller.viewer, this.#side, this.#verdicts());
    document.addEventListener("keydown", (event) => this.#onKeyDown(event), { signal });
    document.addEventListener("keyup", (event) => this.#app.shortcuts.command(event) === "hide" && this.#controller.hide(false), { signal });
    window.addEventListener("blur", () => this.#controller.hide(false), { signal });
  }

  disconnectedCallback() {
    this.#listeners.abort();
    this.#caseSession?.end();
    this.#caseSession = null;
  }

  get number() {
    return Number(this.dataset["case"]);
  }

  /** @param {number} number */
  open(number) {
    const caseData = this.#round.cases.find((item) => item.number === number);
    if (!caseData) return;
    this.#caseSession?.end();
    Object.assign(this.dataset, { case: number, state: "loading" });
    this.#reasonRequested = false;
    this.#showMessage("");
    const { practice } = this.#mode;
    const { outbox, localStore, session } = this.#app;
    const blind = session.protocol === "blind-first" && !practice;
    const caseSession = new CaseSession({ round: this.#round, caseData, localStore: practice ? null : localStore, outbox, blind });
    this.#caseSession = caseSession;
    this.#answerForm = new AnswerForm(this.#round, caseData, (action) => caseSession.dispatch(action), (command) => this.run(command), this.#app.shortcuts, this.#answerForm?.open ?? hasRoomForPreview());
    fill(this.#side, h("div", { class: "opinion-place" }), this.#answerForm.squares, this.#answerForm.reason);
    caseSession.addEventListener("change", () => this.#show());
    caseSession.addEventListener("submitted-elsewhere", () => this.#showMessage("This case was submitted in another tab. Submitting here replaces that reading."));
    this.#controller.open(caseData);
    this.#showOpinion();
    this.#show();
    window.scrollTo(0, 0);
  }

  /** @param {string} command */
  run(command) {
    const caseSession = this.#caseSession;
    if (!caseSession || this.#controller.run(command)) return;
    const all = allSquares(this.#round.grid);
    const commands = /** @type {Record<string, () => void>} */ ({
      submit: () => this.#submit(),
      "submit-anywhere": () => this.#submit(),
      all: () => caseSession.dispatch({ type: "set", squares: all }),
      none: () => caseSession.dispatch({ type: "set", squares: [], misleading: [] }),
      complement: () => caseSession.dispatch({ type: "set", squares: all.filter((n) => markOf(caseSession.state, n) === "none") }),
      misleading: () => this.#controller.viewer.toggleMisleading(),
      undo: () => caseSession.dispatch({ type: "undo" }),
      redo: () => caseSession.dispatch({ type: "redo" }),
      hide: () => this.#controller.hide(true),
      grid: () => this.#controller.viewer.focusGrid(),
      numbers: () => this.#answerForm?.focusNumbers(),
      reason: () => this.#answerForm?.focusReason(),
      preview: () => this.#answerForm?.togglePreview(),
      previous: () => this.#step(-1),
      next: () => this.#step(1),
      keys: () => this.#app.openShortcuts(),
      ...Object.fromEntries(Object.keys(VERDICTS).map((name) => [name, () => this.#giveVerdict(name)])),
    });
    commands[command]?.();
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    if (event.defaultPrevented || handlesKey(event.target, keyName(event))) return;
    if (event.key.startsWith("Arrow") && keyName(event) === event.key.toLowerCase()) {
      event.preventDefault();
      return this.#controller.viewer.step(event.key);
    }
    const command = this.#app.shortcuts.command(event);
    if (!command) return;
    event.preventDefault();
    if (!event.repeat || command.startsWith("zoom") || command.endsWith("er")) this.run(command);
  }

  #show() {
    const caseSession = this.#caseSession;
    if (!caseSession) return;
    const { state, caseData } = caseSession;
    this.dataset["squares"] = state.squares.join(" ");
    this.dataset["misleading"] = state.misleading.join(" ");
    this.dataset["phase"] = state.phase;
    const first = state.phase === "first";
    this.#controller.viewer.selectOnly = first; // what misleads the model is not known yet
    this.#controller.viewer.mark(state);
    this.#answerForm?.show(state);
    const label = first ? "Show the model’s prediction" : submitLabel(caseData, state);
    if (this.#primary.textContent !== label) this.#primary.textContent = label;
    this.#controller.viewer.setRightMessage(first ? firstLookMessage() : null);
    if (state.squares.length || state.misleading.length) this.#showMessage("");
  }

  #showOpinion() {
    const caseData = this.#caseSession?.caseData;
    const container = this.#side.querySelector(".opinion-place");
    if (!caseData || !container) return;
    const controller = this.#controller;
    const callbacks = {
      which: (/** @type {"predicted" | "true"} */ which) => controller.setClass(which),
      opacity: (/** @type {number} */ opacity) => controller.setOpacity(opacity),
      hide: (/** @type {boolean} */ hidden) => controller.hide(hidden),
    };
    fill(container, opinionCard(caseData, { which: controller.which, opacity: controller.opacity }, callbacks, this.#app.shortcuts));
  }

  #verdicts() {
    const { shortcuts } = this.#app;
    const button = (/** @type {string} */ command, /** @type {string} */ label) =>
      h("button", { type: "button", "data-command": command, title: label + shortcuts.hint(command), onclick: () => this.run(command) }, label);
    return h(
      "section",
      { class: "verdict", "aria-label": "Verdict" },
      this.#message,
      this.#primary,
      h("div", { class: "others" }, button("skip", "Skip"), button("wrong-label", "Label looks wrong"), button("not-assessable", "Not assessable")),
    );
  }

  #submit() {
    const caseSession = this.#caseSession;
    if (!caseSession || this.#busy) return;
    const { squares, misleading, phase } = caseSession.state;
    if (squares.length === 0 && (misleading.length === 0 || phase === "first")) {
      return this.#showMessage("No square is selected: select at least one, or choose another verdict.");
    }
    if (misleading.length === allSquares(this.#round.grid).length) {
      return this.#showMessage("All squares are misleading: leave one to look at, or choose another verdict.");
    }
    if (phase === "first") return void this.#reveal(caseSession);
    this.#finish("focus");
  }

  /** @param {string} name of the act */
  #giveVerdict(name) {
    const verdict = VERDICTS[name];
    if (!verdict || this.#busy) return;
    if (verdict === "skip" && !this.#caseSession?.state.reason.trim() && !this.#reasonRequested) {
      this.#reasonRequested = true;
      this.#answerForm?.focusReason();
      return this.#showMessage("Add a reason if you can, then press Skip again.");
    }
    this.#finish(verdict);
  }

  /** @param {Verdict} verdict */
  #finish(verdict) {
    performance.mark("submit");
    this.#caseSession?.answer(verdict);
    this.#caseSession = null;
    this.#mode.onanswer();
  }

  /** @param {CaseSession} caseSession */
  async #reveal(caseSession) {
    this.#busy = this.#primary.disabled = true;
    try {
      await caseSession.reveal();
      if (caseSession !== this.#caseSession) return;
      this.#showOpinion();
      await this.#controller.heat();
    } catch (error) {
      const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
      if (status === 401) this.#app.showSignedOut();
      const keptText = "Your squares are saved in this browser. Try again when the connection is back, or continue with another case.";
      if (caseSession === this.#caseSession) this.#showMessage(status === 0 ? `Offline. ${keptText}` : message);
    } finally {
      this.#busy = this.#primary.disabled = false;
    }
  }

  /** @param {number} step */
  #step(step) {
    const at = this.#round.cases.findIndex((caseData) => caseData.number === this.number) + step;
    const caseData = this.#round.cases[at];
    if (caseData) this.#app.openCase(this.#round, caseData.number);
  }

  #painted() {
    performance.mark("painted");
    this.dataset["state"] = "painted";
    const at = this.#round.cases.findIndex((caseData) => caseData.number === this.number);
    void this.#controller.prefetch(this.#round.cases.slice(at + 1, at + 3));
  }

  /** @param {string} sentence */
  #showMessage(sentence) {
    if (this.#message.textContent !== sentence) this.#message.textContent = sentence;
  }
}

/** What the button submits, with the count of squares where some are misleading.
 * @param {Case} caseData @param {import("../reading_state.js").Marks} marks */
function submitLabel({ reading }, { squares, misleading }) {
  if (!misleading.length) return reading ? "Save changes" : "Submit";
  return `${reading ? "Save" : "Submit"} (${squares.length} selected, ${misleading.length} misleading)`;
}

/** Whether the screen is large enough to open the preview from the start. */
function hasRoomForPreview() {
  return innerHeight >= 860 && innerWidth >= 1200;
}

function firstLookMessage() {
  return h(
    "div",
    { class: "first-look" },
    h("h2", {}, "First reading, without the model"),
    h("p", {}, "Select the squares that are relevant for the ground truth."),
    h("p", {}, "Then show the model’s prediction and heat-map. You can keep your squares or change them."),
    h("p", { class: "dim" }, "Both selections are stored."),
  );
}

customElements.define("imil-case", CasePage);
