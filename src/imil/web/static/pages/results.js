// The study lead's table of a round: a row for each case, a column for each reader, the squares
// drawn on the film.

import { api } from "../api.js";
import { h, minutes, percent } from "../dom.js";
import { film, marks } from "./answered_film.js";

/** @typedef {import("../api.js").Results} Results */
/** @typedef {import("../api.js").ResultCase} ResultCase */
/** @typedef {import("../api.js").Answer} Answer */
/** @typedef {import("../app.js").App} App */

/** @param {App} app @param {string} id of the round */
export async function resultsPage(app, id) {
  const results = await api.results(id);
  const closed = results.state !== "open";
  const heads = ["Case", ...results.readers, ...(closed ? [`Training uses (${results.rule})`] : [])];
  const rows = results.cases.map((one) => row(results, id, one, closed));
  return h(
    "article",
    { class: "page results" },
    h(
      "header",
      { class: "row" },
      h("h1", {}, `Round ${results.number}: all answers`),
      h("span", { class: "dim" }, `after epoch ${results.epoch}`),
      h("span", { class: `badge ${results.state}` }, results.state),
    ),
    h(
      "div",
      { class: "row buttons" },
      h("button", { type: "button", onclick: () => app.go("#/lobby") }, "Back to the lobby"),
      h("a", { class: "button", href: api.csvUrl, download: "readings.csv" }, "Download all readings (CSV)"),
    ),
    h("p", { class: "dim" }, "Outlined: selected. Hatched: misleading. Dashed: selected at the first look, before the model’s prediction was shown."),
    results.readers.length === 0
      ? h("p", {}, "Nobody has answered a case of this round yet.")
      : h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col", dir: "auto" }, head)))), h("tbody", {}, ...rows))),
  );
}

/** @param {Results} results @param {string} id @param {ResultCase} one @param {boolean} closed */
function row(results, id, one, closed) {
  const facts = [h("strong", {}, `Case ${one.number}`), h("p", {}, `Ground truth: ${one.labelName}`), h("p", {}, `Predicted: ${one.predictedName}, ${percent(one.confidence)}`)];
  const used = closed && h("td", { class: "used" }, ...(one.used ? [film(results.grid, id, one, one.used, null), one.shares ? sharesText(one.shares) : marks(one.used)] : ["unchanged: not read"]));
  const cells = one.answers.map((answer) => h("td", { "data-reader": answer.reader, "data-squares": answer.reading?.squares.join(" ") ?? "" }, ...cell(results, id, one, answer)));
  return h("tr", { "data-case": one.number }, h("th", { scope: "row" }, ...facts), ...cells, used);
}

/** @param {Results} results @param {string} id @param {ResultCase} one @param {Answer} answer */
function cell(results, id, one, { reading, firstLook, changes }) {
  if (!reading && !firstLook) return [h("p", { class: "dim" }, "not read")];
  const look = firstLook && h("p", { class: "dim" }, `first look: ${firstLook.squares.join(" ") || "no square"} (${minutes(firstLook.seconds)} min, ${when(firstLook.created)})`);
  if (!reading) return [film(results.grid, id, one, null, firstLook), look, h("p", { class: "dim" }, "no final answer")];
  return [
    film(results.grid, id, one, reading, firstLook),
    marks(reading),
    look,
    h("p", { class: "dim" }, [`${minutes(reading.seconds)} min`, when(reading.created), changes > 0 && `changed ${changes}×`].filter(Boolean).join(" · ")),
    reading.reason && h("p", { class: "reason-text", dir: "auto", title: reading.reason }, reading.reason),
  ];
}

/** @param {string} iso */
function when(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : date.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
}

/** How far each square is kept. @param {number[]} shares */
function sharesText(shares) {
  const kept = shares.map((share, i) => share && `${i + 1} (${percent(share)})`).filter(Boolean);
  return h("p", {}, kept.join(" "));
}
