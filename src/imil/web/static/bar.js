// The bar at the top: which study, how far, whether everything is saved.

import { api } from "./api.js";
import { fill, h, plural } from "./dom.js";

/** @typedef {import("./app.js").App} App */
/** @typedef {import("./api.js").Round} Round */
/** @typedef {{round: Round | null, number: number}} Progress round null: practice */

/** @param {App} app */
export function bar(app) {
  const middle = h("nav", { class: "progress", "aria-label": "Cases" });
  const state = h("span", { class: "state", role: "status" });
  const refusals = h("div", { class: "refusals", role: "alert" });
  const owner = app.session.kind === "owner";
  const element = h(
    "header",
    { class: "bar" },
    h("div", { class: "row" }, h("a", { class: "brand", href: "#/", onclick: (/** @type {Event} */ event) => (event.preventDefault(), app.go("#/")) }, "imil"), h("span", { class: "study" }, app.session.run)),
    middle,
    h(
      "div",
      { class: "row end" },
      state,
      owner && h("button", { type: "button", class: "quiet", onclick: () => app.go("#/lobby") }, "Lobby"),
      h("button", { type: "button", class: "quiet", onclick: () => app.go("#/how") }, "How to read"),
      h("button", { type: "button", class: "quiet", title: `Keys${app.keys.hint("keys")}`, "aria-label": "Keys", onclick: () => app.openKeys() }, "?"),
      h("button", { type: "button", class: "quiet who", title: "Sign out", onclick: () => void signOut(app) }, `${app.session.name} · sign out`),
    ),
    refusals,
  );
  const status = () => {
    const { text, kind } = words(app);
    if (state.textContent !== text) state.textContent = text;
    state.dataset["state"] = kind;
    const { trouble } = app.queue;
    const soft = trouble && h("p", { class: "soft" }, `${trouble} Your readings are kept here and are sent as soon as it goes.`);
    fill(refusals, soft, ...app.queue.refused.map((one) => refusal(app, one)));
  };
  status();
  return { element, status, progress: (/** @type {Progress | null} */ at) => fill(middle, ...(at ? progress(app, at) : [])) };
}

/** @param {App} app @returns {{text: string, kind: string}} */
function words({ queue, session, shelf }) {
  const kept = queue.waiting > 0 ? `${plural(queue.waiting, "reading")} kept here` : "";
  if (queue.signedOut) return { text: ["Signed out", kept].filter(Boolean).join(", "), kind: "bad" };
  if (queue.offline) return { text: ["Offline", kept || "your work is kept here"].join(": "), kind: "bad" };
  if (queue.trouble) return { text: kept, kind: "bad" };
  if (queue.waiting > 0) return { text: "Saving…", kind: "busy" };
  if (!shelf.lasting) return { text: "This browser keeps nothing: do not close the tab before a case is submitted", kind: "bad" };
  if (session.training.state === "gone") return { text: "Saved · training paused", kind: "good" };
  return { text: "Saved", kind: "good" };
}

/** @param {App} app @param {Progress} at */
function progress(app, { round, number }) {
  if (!round) return [h("strong", {}, "Practice case"), h("span", { class: "dim" }, "does not count")];
  const at = round.cases.findIndex((kase) => kase.number === number);
  const button = (/** @type {number} */ to, /** @type {string} */ label, /** @type {string} */ sign) => {
    const kase = round.cases[to];
    return h("button", { type: "button", class: "quiet", "aria-label": label, title: label, disabled: !kase, onclick: () => kase && app.openCase(round, kase.number) }, sign);
  };
  const ticks = round.cases.map((kase, i) => h("i", { class: [kase.reading && "read", i === at && "now"].filter(Boolean).join(" ") }));
  return [
    button(at - 1, `Previous case${app.keys.hint("previous")}`, "‹"),
    h("strong", { class: "count" }, `${at + 1} of ${round.cases.length}`),
    h("span", { class: "ticks", "aria-hidden": "true" }, ...ticks),
    button(at + 1, `Next case${app.keys.hint("next")}`, "›"),
    h("button", { type: "button", class: "quiet", onclick: () => app.go(`#/round/${round.id}/review`) }, "Overview"),
  ];
}

/** @param {App} app @param {import("./queue.js").Refusal} one */
function refusal(app, { key, round, number, sentence, body }) {
  const answer = JSON.stringify({ round, case: number, answer: body, refused: sentence }, null, 2);
  const copy = { download: `case-${number}.json`, href: `data:application/json,${encodeURIComponent(answer)}` };
  return h(
    "p",
    {},
    `Case ${number} was not stored: ${sentence} `,
    h("a", copy, "Keep a copy"),
    h("button", { type: "button", class: "quiet", onclick: () => app.queue.forget(key) }, "Understood"),
  );
}

/** @param {App} app */
async function signOut(app) {
  const { waiting } = app.queue;
  if (waiting && !confirm(`${plural(waiting, "reading")} not yet sent; kept in this browser until you sign in again. Sign out?`)) return;
  await api.signOut().catch(() => null);
  location.assign("/");
}
