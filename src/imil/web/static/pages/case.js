// A case: the film twice, the model's opinion, the squares, the reason, the verdict.

import { fill, h } from "../dom.js";
import { pressed, takes } from "../keys.js";
import { every } from "../squares.js";
import { Sitting } from "../sitting.js";
import { Answer } from "./answer.js";
import { Desk } from "./desk.js";
import { opinionCard } from "./opinion.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../api.js").Verdict} Verdict */
/** @typedef {import("../app.js").App} App */
/** @typedef {{practice: boolean, onanswer: () => void}} Purpose */

const VERDICTS = /** @type {Record<string, Verdict>} */ ({
  skip: "skip",
  "wrong-label": "wrong label",
  "not-assessable": "not assessable",
});

export class CasePage extends HTMLElement {
  #app;
  #round;
  #purpose;
  #desk;
  /** @type {Sitting | null} */
  #sitting = null;
  /** @type {Answer | null} */
  #answer = null;
  #side = h("div", { class: "side" });
  #said = h("p", { class: "said", role: "alert" });
  #primary = h("button", { type: "button", class: "primary", onclick: () => this.run("submit") });
  #leave = new AbortController();
  #skipAsked = false;
  #busy = false;

  /** @param {App} app @param {Round} round @param {Purpose} purpose */
  constructor(app, round, purpose) {
    super();
    this.#app = app;
    this.#round = round;
    this.#purpose = purpose;
    this.#desk = new Desk(app, round, (act) => this.run(act));
    this.#desk.onpainted = () => this.#painted();
    this.#desk.onheat = () => this.#drawOpinion();
    this.#desk.viewer.onsquares = (squares, merge) =>
      this.#sitting?.dispatch(merge ? { type: "set", squares, merge } : { type: "set", squares });
    this.#desk.viewer.onbroken = () => this.#sitting?.dispatch({ type: "undo" });
  }

  connectedCallback() {
    const { signal } = (this.#leave = new AbortController());
    this.append(this.#desk.toolbar.element, this.#desk.viewer, this.#side, this.#verdicts());
    document.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    document.addEventListener("keyup", (event) => this.#app.keys.act(event) === "hide" && this.#desk.hide(false), { signal });
    window.addEventListener("blur", () => this.#desk.hide(false), { signal });
  }

  disconnectedCallback() {
    this.#leave.abort();
    this.#sitting?.end();
    this.#sitting = null;
  }

  get number() {
    return Number(this.dataset["case"]);
  }

  /** @param {number} number */
  open(number) {
    const kase = this.#round.cases.find((one) => one.number === number);
    if (!kase) return;
    this.#sitting?.end();
    Object.assign(this.dataset, { case: number, state: "loading" });
    this.#skipAsked = false;
    this.#tell("");
    const { practice } = this.#purpose;
    const { queue, shelf, session } = this.#app;
    const blind = session.protocol === "blind-first" && !practice;
    const sitting = new Sitting({ round: this.#round, kase, shelf: practice ? null : shelf, queue, blind });
    this.#sitting = sitting;
    this.#answer = new Answer(this.#round, kase, (action) => sitting.dispatch(action), (act) => this.run(act), this.#app.keys, this.#answer?.open ?? roomy());
    fill(this.#side, h("div", { class: "opinion-place" }), this.#answer.squares, this.#answer.reason);
    sitting.addEventListener("change", () => this.#show());
    sitting.addEventListener("elsewhere", () => this.#tell("This case was just answered in another tab; submitting here changes that answer."));
    this.#desk.open(kase);
    this.#drawOpinion();
    this.#show();
    window.scrollTo(0, 0);
  }

  /** @param {string} act */
  run(act) {
    const sitting = this.#sitting;
    if (!sitting || this.#desk.run(act)) return;
    const all = every(this.#round.grid);
    const acts = /** @type {Record<string, () => void>} */ ({
      submit: () => this.#submit(),
      "submit-anywhere": () => this.#submit(),
      all: () => sitting.dispatch({ type: "set", squares: all }),
      none: () => sitting.dispatch({ type: "set", squares: [] }),
      complement: () => sitting.dispatch({ type: "set", squares: all.filter((n) => !sitting.state.squares.includes(n)) }),
      undo: () => sitting.dispatch({ type: "undo" }),
      redo: () => sitting.dispatch({ type: "redo" }),
      hide: () => this.#desk.hide(true),
      grid: () => this.#desk.viewer.focusGrid(),
      numbers: () => this.#answer?.focusNumbers(),
      reason: () => this.#answer?.focusReason(),
      preview: () => this.#answer?.togglePreview(),
      previous: () => this.#go(-1),
      next: () => this.#go(1),
      keys: () => this.#app.openKeys(),
      ...Object.fromEntries(Object.keys(VERDICTS).map((name) => [name, () => this.#judge(name)])),
    });
    acts[act]?.();
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.defaultPrevented || takes(event.target, pressed(event))) return;
    if (event.key.startsWith("Arrow") && pressed(event) === event.key.toLowerCase()) {
      event.preventDefault();
      return this.#desk.viewer.step(event.key);
    }
    const act = this.#app.keys.act(event);
    if (!act) return;
    event.preventDefault();
    if (!event.repeat || act.startsWith("zoom") || act.endsWith("er")) this.run(act);
  }

  #show() {
    const sitting = this.#sitting;
    if (!sitting) return;
    const { state, kase } = sitting;
    this.dataset["squares"] = state.squares.join(" ");
    this.dataset["phase"] = state.phase;
    this.#desk.viewer.select(state.squares);
    this.#answer?.show(state);
    const first = state.phase === "first";
    const word = first ? "Show the model’s opinion" : kase.reading ? "Save the change" : "Submit";
    if (this.#primary.textContent !== word) this.#primary.textContent = word;
    this.#desk.viewer.veil(first ? firstLook() : null);
    if (state.squares.length) this.#tell("");
  }

  #drawOpinion() {
    const kase = this.#sitting?.kase;
    const place = this.#side.querySelector(".opinion-place");
    if (!kase || !place) return;
    const desk = this.#desk;
    const wishes = {
      which: (/** @type {"predicted" | "true"} */ which) => desk.setClass(which),
      opacity: (/** @type {number} */ opacity) => desk.setOpacity(opacity),
      hide: (/** @type {boolean} */ hidden) => desk.hide(hidden),
    };
    fill(place, opinionCard(kase, { which: desk.which, opacity: desk.opacity }, wishes, this.#app.keys));
  }

  #verdicts() {
    const { keys } = this.#app;
    const button = (/** @type {string} */ act, /** @type {string} */ word) =>
      h("button", { type: "button", "data-act": act, title: word + keys.hint(act), onclick: () => this.run(act) }, word);
    return h(
      "section",
      { class: "verdict", "aria-label": "Verdict" },
      this.#said,
      this.#primary,
      h("div", { class: "others" }, button("skip", "Skip"), button("wrong-label", "Label looks wrong"), button("not-assessable", "Not assessable")),
    );
  }

  #submit() {
    const sitting = this.#sitting;
    if (!sitting || this.#busy) return;
    if (sitting.state.squares.length === 0) {
      return this.#tell("No square is selected: select at least one, or choose another verdict.");
    }
    if (sitting.state.phase === "first") return void this.#reveal(sitting);
    this.#finish("focus");
  }

  /** @param {string} name of the act */
  #judge(name) {
    const verdict = VERDICTS[name];
    if (!verdict || this.#busy) return;
    if (verdict === "skip" && !this.#sitting?.state.reason.trim() && !this.#skipAsked) {
      this.#skipAsked = true;
      this.#answer?.focusReason();
      return this.#tell("Why skip? A few words help; then press Skip again.");
    }
    this.#finish(verdict);
  }

  /** @param {Verdict} verdict */
  #finish(verdict) {
    performance.mark("submit");
    this.#sitting?.answer(verdict);
    this.#sitting = null;
    this.#purpose.onanswer();
  }

  /** @param {Sitting} sitting */
  async #reveal(sitting) {
    this.#busy = this.#primary.disabled = true;
    try {
      await sitting.reveal();
      if (sitting !== this.#sitting) return;
      this.#drawOpinion();
      await this.#desk.heat();
    } catch (error) {
      const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
      if (status === 401) this.#app.leave();
      const kept = "Your squares are kept here; the opinion comes when the network is back. You can go on to another case.";
      if (sitting === this.#sitting) this.#tell(status === 0 ? `Offline. ${kept}` : message);
    } finally {
      this.#busy = this.#primary.disabled = false;
    }
  }

  /** @param {number} step */
  #go(step) {
    const at = this.#round.cases.findIndex((kase) => kase.number === this.number) + step;
    const kase = this.#round.cases[at];
    if (kase) this.#app.openCase(this.#round, kase.number);
  }

  #painted() {
    performance.mark("painted");
    this.dataset["state"] = "painted";
    const at = this.#round.cases.findIndex((kase) => kase.number === this.number);
    void this.#desk.prefetch(this.#round.cases.slice(at + 1, at + 3));
  }

  /** @param {string} sentence */
  #tell(sentence) {
    if (this.#said.textContent !== sentence) this.#said.textContent = sentence;
  }
}

/** Is there room to show what the model will see from the start? */
function roomy() {
  return innerHeight >= 860 && innerWidth >= 1200;
}

function firstLook() {
  return h(
    "div",
    { class: "first-look" },
    h("h2", {}, "Your first look"),
    h("p", {}, "Select the squares that matter for the ground truth, by your own judgement."),
    h("p", {}, "Then show the model’s opinion: its prediction and its heat-map appear here, and you can keep your squares or change them."),
    h("p", { class: "dim" }, "Both selections are stored."),
  );
}

customElements.define("imil-case", CasePage);
