// The page without open cases: before the first round, between rounds and after the last.

import { api } from "../api.js";
import { clock, dayAndTime, h } from "../dom.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../api.js").Session} Session */
/** @typedef {import("../api.js").Result} Result */

/** @param {App} app */
export function finishedPage(app) {
  const { session } = app;
  const done = session.rounds.filter(({ state, read, cases }) => state !== "open" || read >= cases);
  const open = done.some(({ state }) => state === "open");
  const read = done.some((round) => round.read > 0);
  const storedText = read ? STORED_TEXT : done.length ? NONE_STORED_TEXT : "";
  return h(
    "article",
    { class: "page finished" },
    h("h1", {}, read ? "Thank you" : done.length ? "The round is closed" : "No cases to read yet"),
    h("p", { class: "lead", role: "status" }, storedText + stateText(app, open, read)),
    session.result && resultTable(session.result),
    learnedMap(done),
    h(
      "div",
      { class: "row buttons" },
      ...done.map(({ id, number, read }) => h("button", { type: "button", onclick: () => app.go(`#/round/${id}/review`) }, read ? `Your readings of round ${number}` : `The cases of round ${number}`)),
    ),
  );
}

const STORED_TEXT = "Your readings are stored. ";
const NONE_STORED_TEXT = "The round was closed before any of your readings was stored. ";
const OPEN_TEXT = "The round is still open: it closes when every reader that it waits for has finished, or when the study lead closes it. Until then you can change your readings.";

/** How round and training are, as far as this page knows.
 * @param {App} app @param {boolean} open whether the reader's round is still open
 * @param {boolean} hasReadings whether there are readings that training can use */
function stateText({ session, unreachableSince }, open, hasReadings) {
  if (unreachableSince) return `The reading room has not been reached since ${clock(unreachableSince)}, so it is not known how training is. This page goes on trying.`;
  return open ? OPEN_TEXT + closingText(session) : trainingText(session, hasReadings);
}

/** When the open round closes by itself. @param {Session} session */
function closingText({ rounds }) {
  const closes = rounds.find(({ state }) => state === "open")?.closes;
  return closes ? ` On ${dayAndTime(closes)} it closes by itself.` : "";
}

/** @param {Session} session @param {boolean} hasReadings */
function trainingText({ training, result }, hasReadings) {
  const at = training.epoch !== null && training.epochs !== null ? ` (epoch ${training.epoch} of ${training.epochs})` : "";
  if (result) return `Training has finished. Results on the test images, before and after the readings:`;
  switch (training.state) {
    case "running":
      return `The model is training${at}. New cases and results appear on this page: leave it open, or return with the same link.`;
    case "waiting":
      return hasReadings ? `Training goes on when it has taken up the readings${at}.` : `Training is paused${at}.`;
    case "parked":
      return `Training has stopped until the round is read${at}.${hasReadings ? " Your readings are used when it goes on." : ""}`;
    case "finished":
      return "Training has finished.";
    case "gone":
      return `Training is not running at the moment.${hasReadings ? " Your readings are stored and will be used when it resumes." : ""}`;
  }
}

/** Where the reader's squares of the newest round lie; nothing where none was selected.
 * @param {Session["rounds"]} rounds */
function learnedMap(rounds) {
  const round = rounds.filter(({ read }) => read > 0).at(-1);
  if (!round) return null;
  const figure = h(
    "figure",
    { class: "learned" },
    h("img", { src: api.learnedUrl(round.id), alt: "The mean of the images, with the share of your readings that selected each square", onerror: () => figure.remove() }),
    h("figcaption", { class: "dim" }, "What the model can learn from your squares"),
  );
  return figure;
}

/** @param {Result} result */
export function resultTable({ before, after }) {
  const rows = /** @type {[string, string, "accuracy" | "auroc" | "ece", boolean][]} */ ([
    ["Accuracy", "proportion of images classified correctly", "accuracy", true],
    ["AUROC", "area under the ROC curve", "auroc", true],
    ["Calibration error", "gap between confidence and accuracy", "ece", false],
  ]);
  return h(
    "table",
    { class: "result" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, ""), h("th", { scope: "col" }, "before"), h("th", { scope: "col" }, "after"))),
    h(
      "tbody",
      {},
      ...rows.map(([name, meaning, key, higher]) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, name, h("small", {}, `${meaning}; ${higher ? "higher" : "lower"} is better`)),
          h("td", {}, formatNumber(before[key])),
          h("td", { class: improved(before[key], after[key], higher) ? "better" : "" }, formatNumber(after[key])),
        ),
      ),
    ),
  );
}

/** @param {number | null | undefined} value */
const formatNumber = (value) => (typeof value === "number" ? value.toFixed(3) : "–");

/** @param {number | null | undefined} before @param {number | null | undefined} after
 * @param {boolean} higher is higher better? */
function improved(before, after, higher) {
  return typeof before === "number" && typeof after === "number" && after !== before && after > before === higher;
}
