// The bar at the top: study, progress, and whether all readings are saved.

import { api } from "./api.js";
import { clock, fill, h, plural } from "./dom.js";
import { clearLocalStores } from "./local_store.js";
import { answerText } from "./reading_state.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./api.js").Round} Round */
/** @typedef {{round: Round | null, number: number}} Progress round null: practice */

/** @param {App} app */
export function topBar(app) {
  const middle = h("nav", { class: "progress", "aria-label": "Cases" });
  const answer = h("span", { class: "answer", role: "status" });
  const state = h("span", { class: "state", role: "status" });
  const rejections = h("div", { class: "rejections", role: "alert" });
  const owner = app.session.kind === "owner";
  const element = h(
    "header",
    { class: "top-bar" },
    h("div", { class: "row" }, h("a", { class: "brand", href: "#/", onclick: (/** @type {Event} */ event) => (event.preventDefault(), app.go("#/")) }, "imil"), h("span", { class: "study", dir: "auto" }, app.session.run), answer),
    middle,
    h(
      "div",
      { class: "row end" },
      state,
      owner && h("button", { type: "button", class: "quiet", onclick: () => app.go("#/lobby") }, "Lobby"),
      h("button", { type: "button", class: "quiet", onclick: () => app.go("#/instructions") }, "Instructions"),
      h("button", { type: "button", class: "quiet", title: `Keyboard shortcuts${app.shortcuts.hint("keys")}`, "aria-label": "Keyboard shortcuts", onclick: () => app.openShortcuts() }, "?"),
      h("button", { type: "button", class: "quiet who", dir: "auto", title: "Sign out", onclick: () => void signOut(app) }, `${app.session.name} · sign out`),
    ),
    rejections,
  );
  const updateStatus = () => {
    const { text, kind } = saveState(app);
    if (state.textContent !== text) state.textContent = text;
    state.dataset["state"] = kind;
    showAnswer(app, answer);
    const { storeError } = app.outbox;
    const warning = storeError && h("p", { class: "warning" }, `${storeError} Your readings are saved in this browser and will be sent automatically.`);
    fill(rejections, warning, ...app.outbox.rejected.map((rejection) => rejectionMessage(app, rejection)));
  };
  updateStatus();
  return { element, updateStatus, progress: (/** @type {Progress | null} */ position) => fill(middle, ...(position ? progress(app, position) : [])) };
}

/** What was answered last, and a button that undoes it. @param {App} app @param {HTMLElement} place */
function showAnswer(app, place) {
  const last = app.lastAnswer;
  place.dataset["id"] ??= "";
  if (place.dataset["id"] === (last?.reading.id ?? "")) return;
  place.dataset["id"] = last?.reading.id ?? "";
  if (!last) return fill(place);
  const undo = h("button", { type: "button", class: "quiet", title: `Undo this answer${app.shortcuts.hint("undo-answer")}`, "aria-label": `Undo the answer to case ${last.number}`, onclick: () => app.undoAnswer() }, "Undo");
  fill(place, h("span", {}, `Case ${last.number}: ${answerText(last.reading)} · `), undo);
}

/** @param {App} app @returns {{text: string, kind: string}} */
function saveState({ outbox, session, localStore, unreachableSince }) {
  const pendingText = outbox.pendingCount > 0 ? `${plural(outbox.pendingCount, "reading")} not sent yet` : "";
  if (outbox.signedOut) return { text: ["Signed out", pendingText].filter(Boolean).join(", "), kind: "bad" };
  if (outbox.offline) return { text: ["Offline", pendingText || "your work is saved in this browser"].join(": "), kind: "bad" };
  if (unreachableSince) return { text: [`Server not reached since ${clock(unreachableSince)}`, pendingText].filter(Boolean).join(", "), kind: "bad" };
  if (outbox.storeError) return { text: pendingText, kind: "bad" };
  if (outbox.pendingCount > 0) return { text: "Saving…", kind: "busy" };
  if (!localStore.persistent) return { text: "This browser cannot save drafts: submit the case before you close the tab", kind: "bad" };
  if (session.training.state === "gone" || session.training.state === "parked") return { text: "Saved · training paused", kind: "good" };
  return { text: "Saved", kind: "good" };
}

/** @param {App} app @param {Progress} position */
function progress(app, { round, number }) {
  if (!round) return [h("strong", {}, "Practice case"), h("span", { class: "dim" }, "not stored")];
  const position = round.cases.findIndex((caseData) => caseData.number === number);
  const button = (/** @type {number} */ to, /** @type {string} */ label, /** @type {string} */ symbol) => {
    const caseData = round.cases[to];
    return h("button", { type: "button", class: "quiet", "aria-label": label, title: label, disabled: !caseData, onclick: () => caseData && app.openCase(round, caseData.number) }, symbol);
  };
  const ticks = round.cases.map((caseData, i) => h("i", { class: [caseData.reading && "read", i === position && "now"].filter(Boolean).join(" ") }));
  return [
    button(position - 1, `Previous case${app.shortcuts.hint("previous")}`, "‹"),
    h("strong", { class: "count" }, `${position + 1} of ${round.cases.length}`),
    h("span", { class: "ticks", "aria-hidden": "true" }, ...ticks),
    button(position + 1, `Next case${app.shortcuts.hint("next")}`, "›"),
    h("button", { type: "button", class: "quiet", onclick: () => app.go(`#/round/${round.id}/review`) }, "Overview"),
  ];
}

/** @param {App} app @param {import("./outbox.js").Rejection} rejection */
function rejectionMessage(app, { key, round, number, sentence, body }) {
  const text = JSON.stringify({ round, case: number, answer: body, refused: sentence }, null, 2);
  const download = { download: `case-${number}.json`, href: `data:application/json,${encodeURIComponent(text)}` };
  return h(
    "p",
    {},
    `Case ${number} was not saved: ${sentence} `,
    h("a", download, "Download a copy"),
    h("button", { type: "button", class: "quiet", onclick: () => app.outbox.dismiss(key) }, "Dismiss"),
  );
}

/** @param {App} app */
async function signOut(app) {
  const { pendingCount } = app.outbox;
  const unsent = pendingCount ? `${plural(pendingCount, "reading")} not sent yet will be lost. ` : "";
  if (!confirm(`${unsent}Signing out clears this browser: to come back you need a new link from the study lead. Sign out?`)) return;
  await api.signOut().catch(() => null);
  app.localStore.closed = true; // a page that is left saves its draft
  clearLocalStores(); // over http the browser ignores Clear-Site-Data
  location.assign("./");
}
