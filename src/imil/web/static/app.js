// The application: the session, routing between pages, and polling the server for changes.

import { ApiError, api } from "./api.js";
import { topBar } from "./top_bar.js";
import { fill, h, plural } from "./dom.js";
import { ImageCache } from "./image_cache.js";
import { Shortcuts } from "./shortcuts.js";
import { CasePage } from "./pages/case_page.js";
import { instructionsPage } from "./pages/instructions.js";
import { AnswerHistory } from "./answer_history.js";
import { PAUSE } from "./answer_gate.js";
import { Outbox } from "./outbox.js";
import { openLocalStore } from "./local_store.js";
import { watchIdle } from "./idle_timer.js";

/** @typedef {import("./api.js").Session} Session */
/** @typedef {import("./api.js").Round} Round */

// Modules that the first case does not need are loaded after it.
const lazyModules = {
  shortcuts: () => import("./shortcuts_dialog.js"),
  lobby: () => import("./pages/lobby.js"),
  practice: () => import("./pages/practice.js"),
  review: () => import("./pages/review.js"),
  finished: () => import("./pages/finished.js"),
  results: () => import("./pages/results.js"),
};

const POLL_INTERVAL = 10000; // ms between polls of the session
const NOTICE_DURATION = 8000; // ms until a notice is hidden

export class App {
  /** @type {CasePage | null} */
  #casePage = null;
  /** @type {Round | null} */
  #round = null;
  #noticeTimer = 0;
  #undoneAt = -Infinity; // ms since the page was loaded

  /** @param {Session} session @param {Element} root */
  constructor(session, root) {
    this.session = session;
    /** Since when the server has not answered. @type {Date | null} */
    this.unreachableSince = null;
    this.localStore = openLocalStore(session);
    this.outbox = new Outbox(this.localStore);
    this.history = new AnswerHistory(this.localStore, this.outbox);
    this.imageCache = new ImageCache();
    this.shortcuts = new Shortcuts(this.localStore);
    this.main = h("main", { id: "main" });
    this.notice = h("p", { class: "notice", role: "status", hidden: true });
    this.topBar = topBar(this);
    fill(root, this.topBar.element, this.notice, this.main);
    this.outbox.addEventListener("change", () => this.topBar.updateStatus());
    this.outbox.addEventListener("rejected", () => void this.poll());
    window.addEventListener("popstate", () => void this.route());
    for (const event of ["online", "focus"]) window.addEventListener(event, () => void this.poll());
    setInterval(() => void this.poll(), POLL_INTERVAL);
  }

  /** Opens a page. @param {string} path such as #/instructions */
  go(path) {
    if (path !== location.hash) history.pushState(null, "", path);
    void this.route();
  }

  /** @param {Round} round @param {number} number */
  openCase(round, number) {
    this.go(`#/round/${round.id}/case/${number}`);
  }

  /** An answer was given; it can be undone. @param {Round} round @param {import("./answer_history.js").Answer} answer */
  answered(round, answer) {
    this.history.add(round.id, answer);
    this.topBar.updateStatus();
  }

  /** The newest answer of the round on the screen, which can be undone, or null. */
  get lastAnswer() {
    return this.#round?.state === "open" ? this.history.last(this.#round.id) : null;
  }

  /** Undoes the newest answer and opens its case. */
  undoAnswer() {
    const round = this.#round;
    if (!round || !this.lastAnswer || performance.now() - this.#undoneAt < PAUSE) return; // not twice by a double click
    this.#undoneAt = performance.now();
    this.#casePage?.leave();
    const number = this.history.undo(round);
    this.topBar.updateStatus();
    if (number) this.openCase(round, number);
  }

  /** For when the session has ended: the link was revoked or has expired. */
  showSignedOut() {
    this.#casePage = null;
    this.topBar.progress(null);
    fill(this.main, signedOutPage(this.outbox.pendingCount));
  }

  /** Shows a notice for some seconds. @param {string} sentence */
  notify(sentence) {
    this.notice.textContent = sentence;
    this.notice.hidden = false;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = window.setTimeout(() => (this.notice.hidden = true), NOTICE_DURATION);
  }

  openShortcuts() {
    void lazyModules.shortcuts().then(({ openShortcuts }) => openShortcuts(this.shortcuts));
  }

  /** Loads the remaining modules, so that they are there when the connection is not. */
  async prefetchModules() {
    for (const page of [lazyModules.practice, lazyModules.shortcuts, lazyModules.review, lazyModules.finished]) await page().catch(() => null);
  }

  /** Shows the page that the address names. */
  async route() {
    try {
      await this.#showRoute(location.hash.slice(2).split("/"));
    } catch (error) {
      const { status, message } = /** @type {ApiError} */ (error);
      if (status === 401) this.showSignedOut();
      else fill(this.main, errorPage(error instanceof ApiError ? message : "The connection was interrupted.", () => void this.route()));
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
    }
  }

  /** @param {string[]} words */
  async #showRoute([page, id, kind, number]) {
    if (this.session.kind === "owner" && (!page || page === "lobby")) {
      const { LobbyPage } = await lazyModules.lobby();
      return this.#showPage(new LobbyPage(this));
    }
    if (this.session.kind === "owner" && page === "results" && id) {
      const { resultsPage } = await lazyModules.results();
      return this.#showPage(await resultsPage(this, id));
    }
    if (page === "instructions") return this.#showPage(instructionsPage(this, () => this.#startReading()));
    if (page === "practice") return this.#showPractice();
    if (page === "round" && id) {
      const round = await this.#loadRound(id);
      if (kind === "case" && round.state === "open") return this.#showCase(round, Number(number));
      const { reviewPage } = await lazyModules.review();
      return this.#showPage(reviewPage(this, round));
    }
    if (page === "finished") return this.#showFinished();
    const open = this.session.rounds.find(({ state }) => state === "open");
    if (!open) return this.#showFinished();
    if (!this.localStore.get("instructed")) return this.go("#/instructions");
    return this.#showNextCase(await this.#loadRound(open.id), 0);
  }

  #startReading() {
    this.localStore.set("instructed", true);
    this.go("#/read");
  }

  async #showFinished() {
    this.session = await api.session();
    const { finishedPage } = await lazyModules.finished();
    this.#showPage(finishedPage(this));
  }

  /** @param {string} id @returns {Promise<Round>} */
  async #loadRound(id) {
    if (this.#round?.id !== id) {
      this.#round = await api.round(id);
      this.history.apply(this.#round);
      this.topBar.updateStatus();
    }
    return this.#round;
  }

  /** @param {Round} round @param {number} number */
  #showCase(round, number) {
    const caseData = round.cases.find((item) => item.number === number);
    if (!caseData) return this.go(`#/round/${round.id}/review`);
    if (!this.#casePage) {
      const page = new CasePage(this, round, { practice: false, onanswer: () => this.#showNextCase(round, page.number) });
      this.#showPage(page);
      this.#casePage = page;
    }
    this.topBar.progress({ round, number });
    this.#casePage.open(number);
  }

  /** The next case without a reading, or the review. @param {Round} round
   * @param {number} after number of the last case; 0 at the start */
  #showNextCase(round, after) {
    const at = round.cases.findIndex(({ number }) => number === after);
    const ordered = [...round.cases.slice(at + 1), ...round.cases.slice(0, at + 1)];
    const next = ordered.find(({ reading }) => !reading);
    this.go(next ? `#/round/${round.id}/case/${next.number}` : `#/round/${round.id}/review`);
  }

  async #showPractice() {
    const round = await api.practice();
    const first = round.cases[0]?.number ?? 1;
    const callbacks = { again: () => void this.#showPractice(), start: () => this.#startReading() };
    const { showPracticeFeedback } = await lazyModules.practice();
    const withheld = this.session.protocol === "blind-first" ? withholdOpinion(round) : null;
    const page = new CasePage(this, round, { practice: true, withheld, onanswer: () => showPracticeFeedback(round, callbacks) });
    this.#showPage(page);
    this.topBar.progress({ round: null, number: 0 });
    page.open(first);
  }

  /** @param {HTMLElement} page */
  #showPage(page) {
    this.#casePage = null;
    this.topBar.progress(null);
    fill(this.main, page);
    if (!(page instanceof CasePage)) window.scrollTo(0, 0);
  }

  /** Fetches the session and shows what has changed. */
  async poll() {
    if (document.hidden) return;
    try {
      const before = JSON.stringify([this.session.rounds.map(({ id, state }) => [id, state]), this.session.training, this.session.result]);
      this.session = await api.session();
      this.#setReachable(true);
      const { rounds, training, result } = this.session;
      this.topBar.updateStatus();
      if (JSON.stringify([rounds.map(({ id, state }) => [id, state]), training, result]) === before) return;
      this.#sessionChanged();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 401) this.showSignedOut();
      else this.#setReachable(false);
    }
  }

  /** What the page says of training and saving holds only while the server answers.
   * @param {boolean} reachable */
  #setReachable(reachable) {
    if (reachable === (this.unreachableSince === null)) return;
    this.unreachableSince = reachable ? null : new Date();
    this.topBar.updateStatus();
    const finished = this.main.querySelector(".finished");
    if (finished) void lazyModules.finished().then(({ finishedPage }) => finished.isConnected && fill(this.main, finishedPage(this)));
  }

  #sessionChanged() {
    const closed = this.session.rounds.find(({ id, state }) => id === this.#round?.id && state !== "open");
    if (closed && this.#round?.state === "open") {
      this.#round = null;
      this.notify("The round has been closed. All readings that were sent are included.");
      return this.go(`#/round/${closed.id}/review`);
    }
    if (this.main.querySelector(".finished")) this.go("#/");
  }
}

/** Takes the opinion out of a practice round, as a blind-first reader gets it. @param {Round} round */
function withholdOpinion({ cases: [first] }) {
  const opinion = first?.opinion ?? null;
  if (first) first.opinion = null;
  return opinion;
}

/** @param {number} pendingCount unsent readings in this browser */
function signedOutPage(pendingCount) {
  return h(
    "article",
    { class: "page" },
    h("h1", {}, "Sign in with your link"),
    h("p", { class: "lead" }, "This page is for invited readers. Open your personal link to sign in. If it has expired or was revoked, ask the study lead for a new one."),
    pendingCount > 0 && h("p", {}, `${plural(pendingCount, "unsent reading")} saved in this browser; sent when you sign in again.`),
  );
}

/** @param {string} sentence @param {() => void} retry */
function errorPage(sentence, retry) {
  addEventListener("online", retry, { once: true });
  return h("article", { class: "page" }, h("h1", {}, "This page could not be loaded"), h("p", { class: "lead" }, sentence), h("div", { class: "row buttons" }, h("button", { type: "button", onclick: retry }, "Try again")));
}

async function start() {
  const root = /** @type {Element} */ (document.querySelector("#app"));
  try {
    const app = new App(await api.session(), root);
    watchIdle(app);
    await app.route();
    setTimeout(() => void app.prefetchModules(), 1500);
  } catch (error) {
    const { status, message } = /** @type {ApiError} */ (error);
    fill(root, h("main", {}, status === 401 ? signedOutPage(0) : errorPage(message, () => void start())));
    if (!(error instanceof ApiError)) throw error;
  }
}

void start();
