// The page of a case: viewer, model's prediction, squares, reason and verdict.

import { fill, h } from "../dom.js";
import { AnswerGate, PAUSE } from "../answer_gate.js";
import { Keyboard } from "../keyboard.js";
import { releaseFocus } from "../shortcuts.js";
import { allSquares } from "../grid_geometry.js";
import { CaseSession } from "../case_session.js";
import { markOf } from "../reading_state.js";
import { AnswerForm } from "./answer_form.js";
import { ViewerController } from "./viewer_controller.js";
import { opinionCard } from "./model_opinion.js";
import { VERDICTS, VerdictBar } from "./verdict_bar.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Opinion} Opinion */
/** @typedef {import("../api.js").Verdict} Verdict */
/** @typedef {import("../answer_gate.js").Part} Part */
/** @typedef {import("../reading_state.js").Action} Action */
/** @typedef {import("../app.js").App} App */
/** `withheld`: in a practice, the opinion that a blind-first reader has not seen yet
 * @typedef {{practice: boolean, onanswer: () => void, withheld?: Opinion | null}} Mode */

export class CasePage extends HTMLElement {
  #app;
  #round;
  #mode;
  #controller;
  #verdicts;
  #keyboard;
  #gate = new AnswerGate();
  /** @type {CaseSession | null} */
  #caseSession = null;
  /** @type {AnswerForm | null} */
  #answerForm = null;
  #side = h("div", { class: "side" });
  #listeners = new AbortController();
  /** When Skip was pressed first, without a reason; Infinity: it was not. */
  #skipRequestedAt = Infinity;
  #busy = false;

  /** @param {App} app @param {Round} round @param {Mode} mode */
  constructor(app, round, mode) {
    super();
    this.#app = app;
    this.#round = round;
    this.#mode = mode;
    this.#controller = new ViewerController(app, round, (command) => this.run(command));
    this.#controller.onpainted = (part) => this.#painted(part);
    this.#controller.onmissing = (part) => this.#missing(part);
    this.#controller.onslice = (slice) => this.#answerForm?.setSlice(slice);
    this.#controller.heat.onchange = () => this.#showOpinion();
    this.#controller.viewer.onmarks = (marks, merge) => this.#dispatch(merge ? { type: "set", ...marks, merge } : { type: "set", ...marks });
    this.#controller.viewer.onstrokecancel = () => this.#dispatch({ type: "undo" });
    this.#verdicts = new VerdictBar((command) => this.run(command), app.shortcuts);
    this.#gate.onchange = () => this.#showReady();
    this.#keyboard = new Keyboard(app.shortcuts, { run: (command) => this.run(command), release: (command) => this.#release(command) });
  }

  connectedCallback() {
    const { signal } = (this.#listeners = new AbortController());
    this.append(this.#controller.toolbar.element, this.#controller.viewer, this.#side, this.#verdicts.element);
    this.#keyboard.attach(signal);
    window.addEventListener("resize", () => this.#controller.arrange(), { signal });
  }

  disconnectedCallback() {
    this.#listeners.abort();
    this.#controller.heat.end();
    this.#controller.stack.pause();
    this.leave();
  }

  /** Ends the work on the case; what was not submitted stays as a draft. */
  leave() {
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
    this.#skipRequestedAt = Infinity;
    this.#verdicts.say("");
    const { practice, withheld } = this.#mode;
    const { outbox, localStore, session } = this.#app;
    const blind = session.protocol === "blind-first";
    this.#gate.open(blind && !caseData.opinion ? ["film"] : ["film", "opinion"]);
    const caseSession = new CaseSession({ round: this.#round, caseData, localStore: practice ? null : localStore, outbox, blind, withheld });
    this.#caseSession = caseSession;
    this.#answerForm = new AnswerForm(this.#round, caseData, (action) => this.#dispatch(action), (command) => this.run(command), this.#app.shortcuts, this.#answerForm?.open ?? hasRoomForPreview());
    fill(this.#side, h("div", { class: "opinion-place" }), h("div", { class: "selections-place" }), this.#controller.stack.element, this.#answerForm.squares, this.#answerForm.reason);
    caseSession.addEventListener("change", () => this.#show());
    caseSession.addEventListener("submitted-elsewhere", () => this.#verdicts.say("This case was submitted in another tab. Submitting here replaces that reading."));
    this.#controller.open(caseData);
    if (caseData.selections) void this.#showSelections(caseData);
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
      all: () => this.#dispatch({ type: "set", squares: all }),
      none: () => this.#dispatch({ type: "set", squares: [], misleading: [] }),
      complement: () => this.#dispatch({ type: "set", squares: all.filter((n) => markOf(caseSession.state, n) === "none") }),
      misleading: () => this.#controller.viewer.toggleMisleading(),
      pick: () => this.#controller.viewer.pick(),
      undo: () => this.#dispatch({ type: "undo" }),
      redo: () => this.#dispatch({ type: "redo" }),
      magnify: () => (this.#controller.viewer.magnified = true),
      grid: () => this.#controller.viewer.focusGrid(),
      numbers: () => this.#answerForm?.focusNumbers(),
      reason: () => this.#answerForm?.focusReason(),
      preview: () => this.#answerForm?.togglePreview(),
      previous: () => this.#step(-1),
      next: () => this.#step(1),
      ...Object.fromEntries(["left", "right", "up", "down"].map((way) => [way, () => this.#controller.viewer.step(way)])),
      leave: releaseFocus,
      "undo-answer": () => this.#app.undoAnswer(),
      keys: () => this.#app.openShortcuts(),
      ...Object.fromEntries(Object.keys(VERDICTS).map((name) => [name, () => this.#giveVerdict(name)])),
    });
    commands[command]?.();
  }

  /** @param {string} command whose key was let go */
  #release(command) {
    if (command === "hide") this.#controller.heat.hide(false);
    if (command === "magnify") this.#controller.viewer.magnified = false;
  }

  /** A change of the reading; squares of a film that is not on the screen stay as they are.
   * @param {Action} action */
  #dispatch(action) {
    const marks = action.type === "set" || action.type === "undo" || action.type === "redo";
    if (marks && !this.#gate.filmSeen) return this.#verdicts.say("The film is not on the screen yet: its squares cannot be marked.");
    this.#caseSession?.dispatch(action);
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
    this.#verdicts.show(caseData, state);
    this.#controller.viewer.setRightMessage(first ? firstLookMessage() : null);
    if (state.squares.length || state.misleading.length) this.#verdicts.say("");
  }

  #showReady() {
    this.toggleAttribute("data-ready", this.#gate.ready);
    this.#verdicts.showTaken((verdict) => !this.#gate.refusal(verdict));
  }

  #showOpinion() {
    const caseData = this.#caseSession?.caseData;
    const container = this.#side.querySelector(".opinion-place");
    if (!caseData || !container) return;
    fill(container, opinionCard(caseData, this.#controller.heat, this.#app.shortcuts));
  }

  /** The readers' selections, which the arbiter alone gets. @param {Case} caseData */
  async #showSelections(caseData) {
    const { selectionsCard } = await import("./selections.js");
    const place = this.#side.querySelector(".selections-place");
    if (place && this.#caseSession?.caseData === caseData) fill(place, selectionsCard(this.#round, caseData));
  }

  #submit() {
    const caseSession = this.#caseSession;
    if (!caseSession || this.#busy) return;
    const { squares, misleading, phase } = caseSession.state;
    const wrong = this.#answerForm?.problem("squares") || this.#gate.refusal("focus");
    if (wrong) return this.#verdicts.say(wrong);
    if (squares.length === 0 && (misleading.length === 0 || phase === "first")) {
      return this.#verdicts.say("No square is selected: select at least one, or choose another verdict.");
    }
    if (misleading.length === allSquares(this.#round.grid).length) {
      return this.#verdicts.say("All squares are misleading: leave one to look at, or choose another verdict.");
    }
    if (phase === "first") return void this.#reveal(caseSession);
    this.#finish("focus");
  }

  /** @param {string} name of the command */
  #giveVerdict(name) {
    const verdict = VERDICTS[name];
    if (!verdict || this.#busy) return;
    if (verdict === "skip" && !this.#skipConfirmed()) return;
    this.#finish(verdict);
  }

  /** Whether a skip has a reason, or was asked for a second time, and not by a double click. */
  #skipConfirmed() {
    if (this.#gate.refusal("skip") || this.#caseSession?.state.reason.trim()) return true;
    const waited = performance.now() - this.#skipRequestedAt;
    if (waited >= PAUSE) return true;
    this.#skipRequestedAt = Math.min(this.#skipRequestedAt, performance.now());
    this.#verdicts.say(`Press Skip again to skip without a reason, or enter one${this.#app.shortcuts.hint("reason")}.`);
    return false;
  }

  /** @param {Verdict} verdict */
  #finish(verdict) {
    const wrong = this.#gate.refusal(verdict) || this.#answerForm?.problem("reason");
    if (wrong || !this.#caseSession) return this.#verdicts.say(wrong ?? "");
    performance.mark("submit");
    const answer = this.#caseSession.answer(verdict);
    this.#caseSession = null;
    if (!this.#mode.practice) this.#app.answered(this.#round, answer);
    this.#mode.onanswer();
  }

  /** @param {CaseSession} caseSession */
  async #reveal(caseSession) {
    this.#busy = this.#verdicts.busy = true;
    try {
      await caseSession.reveal();
      if (caseSession !== this.#caseSession) return;
      this.#gate.expect("opinion");
      this.#showOpinion();
      await this.#controller.heat.load();
      void this.#controller.showEnergy();
    } catch (error) {
      const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
      if (status === 401) this.#app.showSignedOut();
      const keptText = "Your squares are saved in this browser. Try again when the connection is back, or continue with another case.";
      if (caseSession === this.#caseSession) this.#verdicts.say(status === 0 ? `Offline. ${keptText}` : message);
    } finally {
      this.#busy = this.#verdicts.busy = false;
    }
  }

  /** @param {number} step */
  #step(step) {
    const at = this.#round.cases.findIndex((caseData) => caseData.number === this.number) + step;
    const caseData = this.#round.cases[at];
    if (caseData) this.#app.openCase(this.#round, caseData.number);
  }

  /** @param {Part} part that is on the screen now */
  #painted(part) {
    this.#gate.painted(part);
    if (part !== "film") return;
    performance.mark("painted");
    this.dataset["state"] = "painted";
    this.#answerForm?.reread();
    const at = this.#round.cases.findIndex((caseData) => caseData.number === this.number);
    void this.#controller.prefetch(this.#round.cases.slice(at + 1, at + 3));
  }

  /** @param {Part} part that the server does not have */
  #missing(part) {
    this.dataset["state"] = "missing";
    this.#gate.fail(part);
  }
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
