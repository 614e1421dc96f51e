// What the readers of a case selected, side by side, for the arbiter who decides between them.

import { h } from "../dom.js";
import { film, marks } from "./answered_film.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */

/** @param {Round} round @param {Case} caseData
 * @returns {HTMLElement | null} null for everybody but the arbiter */
export function selectionsCard(round, caseData) {
  const { selections, number, image } = caseData;
  if (!selections?.length) return null;
  const one = { number, height: image.height, width: image.width };
  return h(
    "section",
    { class: "card selections", "aria-label": "Selections of the readers" },
    h("h2", {}, "The readers differ"),
    h("p", { class: "dim" }, "You are the arbiter: your answer counts. Outlined: selected. Hatched: misleading."),
    h("ul", {}, ...selections.map(({ reader, reading }) => h("li", { "data-reader": reader, "data-squares": reading.squares.join(" ") }, h("h3", { dir: "auto" }, reader), !image.slices && film(round.grid, round.id, one, reading, null), marks(reading), reading.reason && h("p", { class: "dim", dir: "auto" }, reading.reason)))),
  );
}
