// A small film with the squares that somebody marked on it.

import { api } from "../api.js";
import { h, s } from "../dom.js";
import { allSquares, hatchPath, outlinePath, typedMarks } from "../grid_geometry.js";

const VERDICT_LABELS = { focus: "", skip: "skipped", "wrong label": "label looks wrong", "not assessable": "not assessable" };

/** The film with the squares of an answer.
 * @param {import("../api.js").Grid} grid @param {string} id of the round
 * @param {{number: number, height: number, width: number}} one the case
 * @param {import("../api.js").StoredReading | null} reading
 * @param {{squares: number[]} | null} look */
export function film(grid, id, { number, height, width }, reading, look) {
  const [squares, misleading] = [reading?.squares ?? [], reading?.misleading ?? []];
  const chosen = outlinePath(grid, squares, height, width);
  const hatched = hatchPath(grid, misleading, height, width) + outlinePath(grid, misleading, height, width);
  const before = outlinePath(grid, look?.squares ?? [], height, width);
  const frame = h(
    "div",
    { class: "frame" },
    h("img", { src: api.previewUrl(id, number, allSquares(grid)), alt: `Case ${number}`, loading: "lazy" }),
    s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { class: "grid-halo", d: hatched + chosen }), s("path", { class: "grid-misleading", d: hatched }), s("path", { class: "grid-chosen", d: chosen }), s("path", { class: "first-look", d: before })),
  );
  frame.style.aspectRatio = `${width} / ${height}`;
  return frame;
}

/** @param {import("../api.js").StoredReading} reading */
export function marks({ verdict, squares, misleading }) {
  const label = VERDICT_LABELS[verdict];
  return h("p", {}, label ? h("span", { class: "badge" }, label) : typedMarks(squares, misleading));
}
