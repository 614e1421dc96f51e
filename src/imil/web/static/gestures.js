// Mouse and touch input on a pane: the left button uses the selected tool, with shift it sets the
// window; middle button pans, right button and wheel zoom, two fingers zoom and pan. Over a volume the
// wheel turns to another slice, and zooms with ctrl.

import { releaseFocus } from "./shortcuts.js";
import { panned, zoomed } from "./view_transform.js";

/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./view_transform.js").Film} Film */
/** @typedef {import("./view_transform.js").Size} Size */
/** @typedef {import("./view_transform.js").Point} Point */
/** @typedef {"select" | "rectangle" | "length"} Mark what a drag draws */
/** @typedef {Mark | "window" | "zoom" | "pan"} Tool */
/** @typedef {object} GestureTarget
 * @property {() => Tool} tool
 * @property {() => {view: View, film: Film, size: Size} | null} current null while nothing is shown
 * @property {(view: View) => void} change
 * @property {(pixels: number) => boolean} scroll turns to another slice, where there are some
 * @property {(kind: Mark, point: Point) => void} begin
 * @property {(kind: Mark, from: Point, to: Point) => void} move
 * @property {(kind: Mark, completed: boolean) => void} end
 */
/** @typedef {{kind: Tool, id: number, start: Point, last: Point, begun: boolean}} Drag */

const DRAG_THRESHOLD = 12; // CSS pixels; a shorter movement of a finger is a tap
const BUTTONS = /** @type {Record<number, Tool>} */ ({ 1: "pan", 2: "zoom" });

/** @param {HTMLElement} pane @param {GestureTarget} target */
export function attachGestures(pane, target) {
  /** @type {Map<number, Point>} */
  const pointers = new Map();
  /** @type {Drag | null} */
  let drag = null;

  /** @param {boolean} completed */
  const finish = (completed) => {
    if (drag && marks(drag.kind)) {
      if (!drag.begun && completed) target.begin(drag.kind, drag.start);
      if (drag.begun || completed) target.end(drag.kind, completed);
    }
    drag = null;
  };

  pane.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays off the grid
  pane.addEventListener("pointerdown", (event) => {
    if (!target.current() || coveredAt(event)) return;
    releaseFocus();
    const point = position(pane, event);
    pointers.set(event.pointerId, point);
    pane.setPointerCapture(event.pointerId);
    if (pointers.size > 1) return finish(false);
    const kind = BUTTONS[event.button] ?? toolOf(event, target.tool());
    drag = { kind, id: event.pointerId, start: point, last: point, begun: event.pointerType !== "touch" };
    if (drag.begun && marks(kind)) target.begin(kind, point);
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
  });

  pane.addEventListener("pointermove", (event) => {
    const previous = pointers.get(event.pointerId);
    if (!previous) return;
    const point = position(pane, event);
    if (pointers.size === 2) pinch(target, pointers, event.pointerId, point);
    pointers.set(event.pointerId, point);
    if (!drag || drag.id !== event.pointerId) return;
    if (!drag.begun) {
      if (Math.hypot(point.x - drag.start.x, point.y - drag.start.y) < DRAG_THRESHOLD) return;
      drag.begun = true;
      if (marks(drag.kind)) target.begin(drag.kind, drag.start);
    }
    applyDrag(target, drag, point);
    drag.last = point;
  });

  const up = (/** @type {PointerEvent} */ event) => {
    pointers.delete(event.pointerId);
    if (drag?.id === event.pointerId) finish(event.type === "pointerup");
  };
  pane.addEventListener("pointerup", up);
  pane.addEventListener("pointercancel", up);
  pane.addEventListener("contextmenu", (event) => event.preventDefault());
  pane.addEventListener("wheel", (event) => wheel(target, pane, event), { passive: false });
}

/** @param {Tool} kind @returns {kind is Mark} */
function marks(kind) {
  return kind === "select" || kind === "rectangle" || kind === "length";
}

/** The tool of the left button, with the keys that are held. @param {PointerEvent} event @param {Tool} tool @returns {Tool} */
function toolOf({ shiftKey, ctrlKey, metaKey }, tool) {
  if (shiftKey) return "window";
  return tool === "select" && (ctrlKey || metaKey) ? "rectangle" : tool;
}

/** @param {GestureTarget} target @param {Drag} drag @param {Point} point */
function applyDrag(target, drag, point) {
  const current = target.current();
  if (!current) return;
  const { view, film, size } = current;
  const [dx, dy] = [point.x - drag.last.x, point.y - drag.last.y];
  if (drag.kind === "pan") target.change(panned(view, film, size, dx, dy));
  else if (drag.kind === "zoom") {
    target.change(zoomed(view, film, size, Math.exp(-dy * 0.01), drag.start));
  } else if (drag.kind === "window") target.change(withWindow(view, film, dx, dy));
  else target.move(drag.kind, drag.last, point);
}

/**
 * Sideways the contrast, up and down the brightness.
 * @param {View} view @param {Film} film @param {number} dx @param {number} dy @returns {View}
 */
function withWindow(view, film, dx, dy) {
  const step = (film.high - film.low + 1) / 500; // the whole range in about half a screen
  const width = Math.max(1, view.width + dx * step);
  return { ...view, width, center: view.center + dy * step };
}

/** @param {GestureTarget} target @param {Map<number, Point>} pointers @param {number} id
 * @param {Point} point where the moving finger is now */
function pinch(target, pointers, id, point) {
  const current = target.current();
  const previous = pointers.get(id);
  const other = [...pointers].find(([key]) => key !== id)?.[1];
  if (!current || !previous || !other) return;
  const spread = (/** @type {Point} */ p) => Math.max(1, Math.hypot(p.x - other.x, p.y - other.y));
  const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
  const zoomedView = zoomed(current.view, current.film, current.size, spread(point) / spread(previous), middle);
  target.change(panned(zoomedView, current.film, current.size, (point.x - previous.x) / 2, (point.y - previous.y) / 2));
}

/** @param {GestureTarget} target @param {HTMLElement} pane @param {WheelEvent} event */
function wheel(target, pane, event) {
  const current = target.current();
  if (!current || coveredAt(event)) return;
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
  if (!event.ctrlKey && target.scroll(event.deltaY * lines)) return;
  const factor = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015));
  target.change(zoomed(current.view, current.film, current.size, factor, position(pane, event)));
}

/** Whether something lies over the film there: it takes what is meant for it. @param {Event} event */
function coveredAt({ target }) {
  return target instanceof Element && target.closest("[data-covers]") !== null;
}

/** @param {HTMLElement} pane @param {MouseEvent} event @returns {Point} */
function position(pane, event) {
  const { left, top } = pane.getBoundingClientRect();
  return { x: event.clientX - left - pane.clientLeft, y: event.clientY - top - pane.clientTop };
}
