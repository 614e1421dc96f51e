// The keys, as OHIF has them where it has them. Each reader may set them otherwise.

/** @typedef {import("./shelf.js").Shelf} Shelf */
/** @typedef {{id: string, group: string, label: string, key: string}} Act */

/** @param {string} group @param {[string, string, string][]} acts @returns {Act[]} */
const group = (group, acts) => acts.map(([id, key, label]) => ({ id, group, key, label }));

export const ACTS = [
  ...group("Answer", [
    ["submit", "enter", "Submit (blind first: show the model’s opinion)"],
    ["submit-anywhere", "ctrl+enter", "Submit, also from the text fields"],
    ["skip", "shift+s", "Skip"],
    ["wrong-label", "shift+l", "Label looks wrong"],
    ["not-assessable", "shift+n", "Not assessable"],
    ["previous", "pageup", "Previous case"],
    ["next", "pagedown", "Next case"],
    ["reason", "e", "Write a reason"],
  ]),
  ...group("Squares", [
    ["grid", "g", "Squares by keyboard: arrows move, space selects"],
    ["numbers", "d", "Type square numbers"],
    ["all", "a", "All squares"],
    ["none", "x", "No square"],
    ["complement", "c", "Invert the selection"],
    ["undo", "ctrl+z", "Undo"],
    ["redo", "ctrl+y", "Redo"],
    ["preview", "b", "What the model will see"],
  ]),
  ...group("Heat-map", [
    ["hide", "o", "Hide while held"],
    ["class", "t", "Other class: predicted or true"],
    ["fainter", "[", "Fainter"],
    ["stronger", "]", "Stronger"],
  ]),
  ...group("Film", [
    ["invert", "i", "Invert"],
    ["rotate-right", "r", "Rotate right"],
    ["rotate-left", "l", "Rotate left"],
    ["flip-horizontal", "h", "Flip left and right"],
    ["flip-vertical", "v", "Flip up and down"],
    ["zoom-in", "+", "Zoom in"],
    ["zoom-out", "-", "Zoom out"],
    ["fit", "=", "Fit into the pane"],
    ["true-size", "0", "One pixel of the film on one of the screen"],
    ["reset", "space", "Reset the film"],
    ["preset-1", "1", "Window: full range"],
    ["preset-2", "2", "Window: without the extremes"],
    ["preset-3", "3", "Window: dark tissue"],
    ["preset-4", "4", "Window: bright tissue"],
  ]),
  ...group("Tool for the left button", [
    ["tool-select", "s", "Select squares"],
    ["tool-window", "w", "Window (also shift and drag)"],
    ["tool-zoom", "z", "Zoom (also right button or wheel)"],
    ["tool-pan", "p", "Pan (also middle button)"],
    ["tool-length", "m", "Measure a length"],
  ]),
  ...group("Help", [
    ["keys", "?", "These keys"],
  ]),
];

const NAMES = /** @type {Record<string, string>} */ ({ " ": "space", escape: "esc" });
const WORDS = /** @type {Record<string, string>} */ ({ pageup: "Page up", pagedown: "Page down" });

/**
 * The name of what was pressed, such as `ctrl+z`; command counts as ctrl.
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">} event
 */
export function pressed({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const low = key.toLowerCase();
  const name = NAMES[low] ?? low;
  // a sign such as ? or + says by itself that shift was down
  const shift = shiftKey && (name.length > 1 || /\p{L}/u.test(name));
  return [(ctrlKey || metaKey) && "ctrl", altKey && "alt", shift && "shift", name].filter(Boolean).join("+");
}

/** @param {string} key as a person reads it */
export function shown(key) {
  return key
    .split(/\+(?=.)/)
    .map((part) => WORDS[part] ?? (part.length > 1 ? part[0]?.toUpperCase() + part.slice(1) : part.toUpperCase()))
    .join(" + ");
}

export class Keys {
  #shelf;
  /** @type {Record<string, string>} act → key, where the reader set another */
  #own;

  /** @param {Shelf} shelf */
  constructor(shelf) {
    this.#shelf = shelf;
    this.#own = /** @type {Record<string, string> | null} */ (shelf.get("keys")) ?? {};
  }

  /** @param {string} act */
  key(act) {
    return this.#own[act] ?? ACTS.find(({ id }) => id === act)?.key ?? "";
  }

  /** The key in brackets, for a tooltip. @param {string} act */
  hint(act) {
    return this.key(act) ? ` (${shown(this.key(act))})` : "";
  }

  /** @param {KeyboardEvent} event @returns {string | null} the act */
  act(event) {
    const key = pressed(event);
    const also = key === "ctrl+shift+z" ? "redo" : null; // the other habit
    return ACTS.find(({ id }) => this.key(id) === key)?.id ?? also;
  }

  /** An act that had the key before goes without. @param {string} act @param {string} key */
  bind(act, key) {
    for (const { id } of ACTS) if (this.key(id) === key) this.#own[id] = "";
    this.#own[act] = key;
    this.#shelf.set("keys", this.#own);
  }

  /** As they were. */
  reset() {
    this.#own = {};
    this.#shelf.remove("keys");
  }
}

/** Does this element need its keys itself? @param {EventTarget | null} target
 * @param {string} key */
export function takes(target, key) {
  if (!(target instanceof HTMLElement || target instanceof SVGElement)) return false;
  if (target.closest("dialog")) return true;
  const typing = target.matches("textarea, select, input:not([type=range], [type=radio], [type=checkbox])");
  if (typing) return key !== "ctrl+enter";
  const pressing = key === "enter" || key === "space";
  if (target.matches("button, a, summary, input")) return pressing || (target.matches("input") && key.startsWith("arrow"));
  return false;
}
