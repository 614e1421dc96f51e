// What fingers and mice do on a pane: left with the tool in hand, middle pans, right zooms, the
// wheel zooms, shift and left sets the window, two fingers zoom and pan.

import { panned, zoomed } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {import("./view.js").Film} Film */
/** @typedef {import("./view.js").Size} Size */
/** @typedef {import("./view.js").Point} Point */
/** @typedef {"select" | "window" | "zoom" | "pan" | "length"} Tool */
/** @typedef {object} Owner
 * @property {() => Tool} tool
 * @property {() => {view: View, film: Film, size: Size} | null} now null while nothing is shown
 * @property {(view: View) => void} change
 * @property {(kind: "select" | "length", at: Point) => void} begin
 * @property {(kind: "select" | "length", from: Point, to: Point) => void} move
 * @property {(kind: "select" | "length", kept: boolean) => void} end
 */
/** @typedef {{kind: Tool, id: number, start: Point, last: Point, begun: boolean}} Drag */

const SLOP = 12; // CSS pixels a finger may tremble; a tap is not a drag
const BUTTONS = /** @type {Record<number, Tool>} */ ({ 1: "pan", 2: "zoom" });

/** @param {HTMLElement} pane @param {Owner} owner */
export function listen(pane, owner) {
  /** @type {Map<number, Point>} */
  const fingers = new Map();
  /** @type {Drag | null} */
  let drag = null;

  /** @param {boolean} kept */
  const finish = (kept) => {
    if (drag && (drag.kind === "select" || drag.kind === "length")) {
      if (!drag.begun && kept) owner.begin(drag.kind, drag.start);
      if (drag.begun || kept) owner.end(drag.kind, kept);
    }
    drag = null;
  };

  pane.addEventListener("pointerdown", (event) => {
    if (!owner.now()) return;
    const at = place(pane, event);
    fingers.set(event.pointerId, at);
    pane.setPointerCapture(event.pointerId);
    if (fingers.size > 1) return finish(false);
    const kind = BUTTONS[event.button] ?? (event.shiftKey ? "window" : owner.tool());
    drag = { kind, id: event.pointerId, start: at, last: at, begun: event.pointerType !== "touch" };
    if (drag.begun && (kind === "select" || kind === "length")) owner.begin(kind, at);
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
  });

  pane.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const at = place(pane, event);
    if (fingers.size === 2) pinch(owner, fingers, event.pointerId, at);
    fingers.set(event.pointerId, at);
    if (!drag || drag.id !== event.pointerId) return;
    if (!drag.begun) {
      if (Math.hypot(at.x - drag.start.x, at.y - drag.start.y) < SLOP) return;
      drag.begun = true;
      if (drag.kind === "select" || drag.kind === "length") owner.begin(drag.kind, drag.start);
    }
    act(owner, drag, at);
    drag.last = at;
  });

  const up = (/** @type {PointerEvent} */ event) => {
    fingers.delete(event.pointerId);
    if (drag?.id === event.pointerId) finish(event.type === "pointerup");
  };
  pane.addEventListener("pointerup", up);
  pane.addEventListener("pointercancel", up);
  pane.addEventListener("contextmenu", (event) => event.preventDefault());
  pane.addEventListener("wheel", (event) => wheel(owner, pane, event), { passive: false });
}

/** @param {Owner} owner @param {Drag} drag @param {Point} at */
function act(owner, drag, at) {
  const now = owner.now();
  if (!now) return;
  const { view, film, size } = now;
  const [dx, dy] = [at.x - drag.last.x, at.y - drag.last.y];
  if (drag.kind === "pan") owner.change(panned(view, film, size, dx, dy));
  else if (drag.kind === "zoom") {
    owner.change(zoomed(view, film, size, Math.exp(-dy * 0.01), drag.start));
  } else if (drag.kind === "window") owner.change(windowed(view, film, dx, dy));
  else owner.move(drag.kind, drag.last, at);
}

/**
 * Sideways the contrast, up and down the brightness.
 * @param {View} view @param {Film} film @param {number} dx @param {number} dy @returns {View}
 */
function windowed(view, film, dx, dy) {
  const step = (film.high - film.low + 1) / 500; // the whole range in about half a screen
  const width = Math.max(1, view.width + dx * step);
  return { ...view, width, center: view.center + dy * step };
}

/** @param {Owner} owner @param {Map<number, Point>} fingers @param {number} id
 * @param {Point} at where the moving finger is now */
function pinch(owner, fingers, id, at) {
  const now = owner.now();
  const before = fingers.get(id);
  const other = [...fingers].find(([key]) => key !== id)?.[1];
  if (!now || !before || !other) return;
  const spread = (/** @type {Point} */ p) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
  const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
  const near = zoomed(now.view, now.film, now.size, spread(at) / spread(before), middle);
  owner.change(panned(near, now.film, now.size, (at.x - before.x) / 2, (at.y - before.y) / 2));
}

/** @param {Owner} owner @param {HTMLElement} pane @param {WheelEvent} event */
function wheel(owner, pane, event) {
  const now = owner.now();
  if (!now) return;
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
  const factor = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015));
  owner.change(zoomed(now.view, now.film, now.size, factor, place(pane, event)));
}

/** @param {HTMLElement} pane @param {MouseEvent} event @returns {Point} */
function place(pane, event) {
  const { left, top } = pane.getBoundingClientRect();
  return { x: event.clientX - left - pane.clientLeft, y: event.clientY - top - pane.clientTop };
}
