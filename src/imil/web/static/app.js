// The frame around the pages: who is here, which page is shown, what goes on at the server.

import { ApiError, api } from "./api.js";
import { bar } from "./bar.js";
import { fill, h } from "./dom.js";
import { Films } from "./films.js";
import { Keys } from "./keys.js";
import { CasePage } from "./pages/case.js";
import { howPage } from "./pages/how.js";
import { Queue } from "./queue.js";
import { readersShelf } from "./shelf.js";

/** @typedef {import("./api.js").Session} Session */
/** @typedef {import("./api.js").Round} Round */

// What the first case does not need comes after it, so that the first case comes sooner.
const later = {
  keys: () => import("./keys-dialog.js"),
  lobby: () => import("./pages/lobby.js"),
  practice: () => import("./pages/practice.js"),
  review: () => import("./pages/review.js"),
  thanks: () => import("./pages/thanks.js"),
};

const EVERY = 10000; // ms between looks at the training and the rounds
const QUIET = 8000; // ms until a passing notice goes

export class App {
  /** @type {CasePage | null} */
  #page = null;
  /** @type {Round | null} */
  #round = null;
  #quiet = 0;

  /** @param {Session} session @param {Element} root */
  constructor(session, root) {
    this.session = session;
    this.shelf = readersShelf(session);
    this.queue = new Queue(this.shelf);
    this.films = new Films();
    this.keys = new Keys(this.shelf);
    this.main = h("main", { id: "main" });
    this.notice = h("p", { class: "notice", role: "status", hidden: true });
    this.bar = bar(this);
    fill(root, this.bar.element, this.notice, this.main);
    this.queue.addEventListener("change", () => this.bar.status());
    this.queue.addEventListener("refused", () => void this.poll());
    window.addEventListener("popstate", () => void this.route());
    setInterval(() => void this.poll(), EVERY);
  }

  /** Another page of ours. @param {string} path such as #/how */
  go(path) {
    if (path !== location.hash) history.pushState(null, "", path);
    void this.route();
  }

  /** @param {Round} round @param {number} number */
  openCase(round, number) {
    this.go(`#/round/${round.id}/case/${number}`);
  }

  /** The session no longer holds: the link was revoked or has expired. */
  leave() {
    this.#page = null;
    this.bar.progress(null);
    fill(this.main, signedOut(this.queue.waiting));
  }

  /** A sentence for the person, for a while. @param {string} sentence */
  say(sentence) {
    this.notice.textContent = sentence;
    this.notice.hidden = false;
    clearTimeout(this.#quiet);
    this.#quiet = window.setTimeout(() => (this.notice.hidden = true), QUIET);
  }

  openKeys() {
    void later.keys().then(({ openKeys }) => openKeys(this.keys));
  }

  /** Fetches the rest while the network is there. */
  async settle() {
    for (const page of [later.practice, later.keys, later.review, later.thanks]) await page().catch(() => null);
  }

  /** Shows what the address says. */
  async route() {
    try {
      await this.#show(location.hash.slice(2).split("/"));
    } catch (error) {
      const { status, message } = /** @type {ApiError} */ (error);
      if (status === 401) this.leave();
      else fill(this.main, failed(error instanceof ApiError ? message : "This page cannot be fetched now.", () => void this.route()));
      if (!(error instanceof ApiError || error instanceof TypeError)) throw error;
    }
  }

  /** @param {string[]} words */
  async #show([place, id, kind, number]) {
    if (this.session.kind === "owner" && (!place || place === "lobby")) {
      const { LobbyPage } = await later.lobby();
      return this.#put(new LobbyPage(this));
    }
    if (place === "how") return this.#put(howPage(this, () => this.#start()));
    if (place === "practice") return this.#practice();
    if (place === "round" && id) {
      const round = await this.#fetch(id);
      if (kind === "case" && round.state === "open") return this.#case(round, Number(number));
      const { reviewPage } = await later.review();
      return this.#put(reviewPage(this, round));
    }
    if (place === "thanks") return this.#thanks();
    const open = this.session.rounds.find(({ state }) => state === "open");
    if (!open) return this.#thanks();
    if (!this.shelf.get("instructed")) return this.go("#/how");
    return this.#next(await this.#fetch(open.id), 0);
  }

  #start() {
    this.shelf.set("instructed", true);
    this.go("#/read");
  }

  async #thanks() {
    this.session = await api.session();
    const { thanksPage } = await later.thanks();
    this.#put(thanksPage(this));
  }

  /** @param {string} id @returns {Promise<Round>} */
  async #fetch(id) {
    if (this.#round?.id !== id) this.#round = await api.round(id);
    return this.#round;
  }

  /** @param {Round} round @param {number} number */
  #case(round, number) {
    const kase = round.cases.find((one) => one.number === number);
    if (!kase) return this.go(`#/round/${round.id}/review`);
    if (!this.#page) {
      const page = new CasePage(this, round, { practice: false, onanswer: () => this.#next(round, page.number) });
      this.#put(page);
      this.#page = page;
    }
    this.bar.progress({ round, number });
    this.#page.open(number);
  }

  /** The next case without a reading, or the review. @param {Round} round
   * @param {number} after the case that was just left; 0 at the start */
  #next(round, after) {
    const at = round.cases.findIndex(({ number }) => number === after);
    const coming = [...round.cases.slice(at + 1), ...round.cases.slice(0, at + 1)];
    const next = coming.find(({ reading }) => !reading);
    this.go(next ? `#/round/${round.id}/case/${next.number}` : `#/round/${round.id}/review`);
  }

  async #practice() {
    const round = await api.practice();
    const first = round.cases[0]?.number ?? 1;
    const ways = { again: () => void this.#practice(), start: () => this.#start() };
    const { practiceAnswered } = await later.practice();
    const page = new CasePage(this, round, { practice: true, onanswer: () => practiceAnswered(round, ways) });
    this.#put(page);
    this.bar.progress({ round: null, number: 0 });
    page.open(first);
  }

  /** @param {HTMLElement} page */
  #put(page) {
    this.#page = null;
    this.bar.progress(null);
    fill(this.main, page);
    if (!(page instanceof CasePage)) window.scrollTo(0, 0);
  }

  /** What has changed at the server? */
  async poll() {
    if (document.hidden) return;
    try {
      const before = JSON.stringify([this.session.rounds.map(({ id, state }) => [id, state]), this.session.training, this.session.result]);
      this.session = await api.session();
      const { rounds, training, result } = this.session;
      this.bar.status();
      if (JSON.stringify([rounds.map(({ id, state }) => [id, state]), training, result]) === before) return;
      this.#changed();
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.leave();
    }
  }

  #changed() {
    const closed = this.session.rounds.find(({ id, state }) => id === this.#round?.id && state !== "open");
    if (closed && this.#round?.state === "open") {
      this.#round = null;
      this.say("The round was closed. Every reading that had been sent counts.");
      return this.go(`#/round/${closed.id}/review`);
    }
    if (this.main.querySelector(".thanks")) this.go("#/");
  }
}

/** @param {number} waiting readings that lie in this browser */
function signedOut(waiting) {
  return h(
    "article",
    { class: "page" },
    h("h1", {}, "Open the link you were given"),
    h("p", { class: "lead" }, "This page is for invited readers. Your link signs you in; it may have expired or been revoked. The person who runs the study can make a new one."),
    waiting > 0 && h("p", {}, `${waiting} of your readings are kept in this browser and are sent when you sign in again.`),
  );
}

/** @param {string} sentence @param {() => void} again */
function failed(sentence, again) {
  addEventListener("online", again, { once: true });
  return h("article", { class: "page" }, h("h1", {}, "Just a moment"), h("p", { class: "lead" }, sentence), h("div", { class: "row buttons" }, h("button", { type: "button", onclick: again }, "Try again")));
}

async function start() {
  const root = /** @type {Element} */ (document.querySelector("#app"));
  try {
    const app = new App(await api.session(), root);
    await app.route();
    setTimeout(() => void app.settle(), 1500);
  } catch (error) {
    const { status, message } = /** @type {ApiError} */ (error);
    fill(root, h("main", {}, status === 401 ? signedOut(0) : failed(message, () => void start())));
    if (!(error instanceof ApiError)) throw error;
  }
}

void start();
