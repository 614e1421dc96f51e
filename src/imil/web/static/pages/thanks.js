// After the round, before the first one, and between two: what happens now.

import { h } from "../dom.js";

/** @typedef {import("../app.js").App} App */
/** @typedef {import("../api.js").Session} Session */
/** @typedef {import("../api.js").Result} Result */

/** @param {App} app */
export function thanksPage(app) {
  const { session } = app;
  const done = session.rounds.filter(({ state, read, cases }) => state !== "open" || read >= cases);
  const open = done.some(({ state }) => state === "open");
  const read = done.some((round) => round.read > 0);
  const first = read ? STORED : done.length ? NONE : "";
  return h(
    "article",
    { class: "page thanks" },
    h("h1", {}, read ? "Thank you" : done.length ? "The round is closed" : "Nothing to read yet"),
    h("p", { class: "lead", role: "status" }, first + (open ? OPEN : now(session, first !== NONE))),
    session.result && resultTable(session.result),
    h(
      "div",
      { class: "row buttons" },
      ...done.map(({ id, number, read }) => h("button", { type: "button", onclick: () => app.go(`#/round/${id}/review`) }, read ? `Your readings of round ${number}` : `The cases of round ${number}`)),
    ),
  );
}

const STORED = "Your readings are stored. ";
const NONE = "It was closed before a reading of yours was stored. ";
const OPEN = "The round closes when the last reader has finished; until then you can still change them.";

/** @param {Session} session @param {boolean} awaited are there readings that training may take up? */
function now({ training, result }, awaited) {
  const at = training.epoch !== null && training.epochs !== null ? ` (epoch ${training.epoch} of ${training.epochs})` : "";
  if (result) return `Training has ended. This is what the model could do on films it had never seen, before and after the readings.`;
  switch (training.state) {
    case "running":
      return `The model is training on${at}. This page says when there is something to read or a result; you can leave it open or come back by the same link.`;
    case "waiting":
      return `Training waits for the other readers${at}.`;
    case "finished":
      return `Training has ended.`;
    case "gone":
      return `Training is not running just now.${awaited ? " Nothing is lost: it takes up the readings when it comes back." : ""}`;
  }
}

/** @param {Result} result */
export function resultTable({ before, after }) {
  const rows = /** @type {[string, string, "accuracy" | "auroc" | "ece", boolean][]} */ ([
    ["Accuracy", "share of films called right", "accuracy", true],
    ["AUROC", "how well it tells the classes apart", "auroc", true],
    ["Calibration error", "how far its confidence is off", "ece", false],
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
          h("td", {}, digits(before[key])),
          h("td", { class: better(before[key], after[key], higher) ? "better" : "" }, digits(after[key])),
        ),
      ),
    ),
  );
}

/** @param {number | null | undefined} value */
const digits = (value) => (typeof value === "number" ? value.toFixed(3) : "–");

/** @param {number | null | undefined} before @param {number | null | undefined} after
 * @param {boolean} higher is higher better? */
function better(before, after, higher) {
  return typeof before === "number" && typeof after === "number" && after !== before && after > before === higher;
}
