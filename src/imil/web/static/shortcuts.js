// Keyboard shortcuts, the same as OHIF's where OHIF has them. Each reader can change them. This is
// the one table of keys: what a key does in which place is said here and nowhere else.

/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** Where a command works: outside text fields, only while the grid has the focus, or also in text
 * fields. @typedef {"page" | "grid" | "anywhere"} Where */
/** @typedef {{id: string, group: string, label: string, key: string, where: Where}} Command */
/** What has the focus: a field for text, the grid, another control, or none of these.
 * @typedef {"page" | "grid" | "field" | "control" | "dialog"} Place */

/** @param {string} group @param {([string, string, string] | [string, string, string, Where])[]} commands
 * @returns {Command[]} */
const group = (group, commands) => commands.map(([id, key, label, where = "page"]) => ({ id, group, key, label, where }));

export const COMMANDS = [
  ...group("Answer", [
    ["submit", "enter", "Submit (blind-first: show the model’s prediction)"],
    ["submit-anywhere", "ctrl+enter", "Submit, also from a text field", "anywhere"],
    ["skip", "shift+s", "Skip"],
    ["wrong-label", "shift+l", "Label looks wrong"],
    ["not-assessable", "shift+n", "Not assessable"],
    ["undo-answer", "u", "Undo the last answer"],
    ["previous", "pageup", "Previous case"],
    ["next", "pagedown", "Next case"],
    ["reason", "e", "Enter a reason"],
    ["leave", "esc", "Leave a text field or the grid", "anywhere"],
  ]),
  ...group("Squares", [
    ["grid", "g", "Select by keyboard"],
    ["left", "arrowleft", "Move left on the grid"],
    ["right", "arrowright", "Move right on the grid"],
    ["up", "arrowup", "Move up on the grid"],
    ["down", "arrowdown", "Move down on the grid"],
    ["pick", "space", "On the grid: select, mark as misleading, clear", "grid"],
    ["misleading", "k", "Mark the square at the cursor as misleading, or clear it"],
    ["numbers", "d", "Enter square numbers; -4 marks 4 as misleading"],
    ["all", "a", "Select all squares"],
    ["none", "x", "Clear selection"],
    ["complement", "c", "Invert the selection"],
    ["undo", "ctrl+z", "Undo a change of squares"],
    ["redo", "ctrl+y", "Redo"],
    ["preview", "b", "What the model will see"],
  ]),
  ...group("Heat-map", [
    ["hide", "o", "Hide while the key is held"],
    ["class", "t", "Switch class: predicted or ground truth"],
    ["blink", "j", "Switch between film and heat-map"],
    ["contours", "shift+c", "Contours"],
    ["fainter", "[", "Lower opacity"],
    ["stronger", "]", "Higher opacity"],
  ]),
  ...group("Image", [
    ["slice-back", ",", "Previous slice of a volume (also wheel)"],
    ["slice-on", ".", "Next slice of a volume (also wheel)"],
    ["cine", "shift+v", "Play the slices of a volume, or stop"],
    ["layout", "y", "Next layout: one pane, side by side, one above the other, blink"],
    ["bare", "f", "Film alone: no grid, numbers, squares, heat-map"],
    ["magnify", "q", "Magnifier while the key is held"],
    ["invert", "i", "Invert grey values"],
    ["rotate-right", "r", "Rotate right"],
    ["rotate-left", "l", "Rotate left"],
    ["flip-horizontal", "h", "Flip horizontally"],
    ["flip-vertical", "v", "Flip vertically"],
    ["zoom-in", "+", "Zoom in"],
    ["zoom-out", "-", "Zoom out"],
    ["fit", "=", "Fit to pane"],
    ["true-size", "0", "Actual pixels (1:1)"],
    ["reset", "space", "Reset view (when the grid does not have the focus)"],
    ["preset-1", "1", "Window: full range"],
    ["preset-2", "2", "Window: 1st to 99th percentile"],
    ["preset-3", "3", "Window: dark regions"],
    ["preset-4", "4", "Window: bright regions"],
    ["hounsfield-lung", "5", "Window of a CT: lung"],
    ["hounsfield-mediastinum", "6", "Window of a CT: mediastinum"],
    ["hounsfield-soft-tissue", "7", "Window of a CT: soft tissue"],
    ["hounsfield-bone", "8", "Window of a CT: bone"],
    ["hounsfield-brain", "9", "Window of a CT: brain"],
  ]),
  ...group("Left mouse button", [
    ["tool-select", "s", "Select squares"],
    ["tool-rectangle", "n", "Select a rectangle of squares (also ctrl and drag)"],
    ["tool-window", "w", "Window (also shift and drag)"],
    ["tool-zoom", "z", "Zoom (also right button or wheel)"],
    ["tool-pan", "p", "Pan (also middle button)"],
    ["tool-length", "m", "Measure length"],
  ]),
  ...group("Help", [
    ["keys", "?", "Keyboard shortcuts"],
  ]),
];

/** Commands that last while their key is held. */
export const HELD = new Set(["hide", "magnify"]);
/** Commands that a held key repeats. */
export const REPEATED = new Set(["slice-back", "slice-on", "zoom-in", "zoom-out", "fainter", "stronger", "left", "right", "up", "down"]);

const KEY_NAMES = /** @type {Record<string, string>} */ ({ " ": "space", escape: "esc" });
const KEY_LABELS = /** @type {Record<string, string>} */ ({
  pageup: "Page up",
  pagedown: "Page down",
  arrowleft: "←",
  arrowright: "→",
  arrowup: "↑",
  arrowdown: "↓",
});

/**
 * The name of a key combination, such as `ctrl+z`; the command key counts as ctrl.
 * @param {Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">} event
 */
export function keyName({ key, ctrlKey, metaKey, altKey, shiftKey }) {
  const lower = key.toLowerCase();
  const name = KEY_NAMES[lower] ?? lower;
  // a character such as ? or + implies shift
  const shift = shiftKey && (name.length > 1 || /\p{L}/u.test(name));
  return [(ctrlKey || metaKey) && "ctrl", altKey && "alt", shift && "shift", name].filter(Boolean).join("+");
}

/** @param {string} key as it is displayed */
export function displayKey(key) {
  return key
    .split(/\+(?=.)/)
    .map((part) => KEY_LABELS[part] ?? (part.length > 1 ? part[0]?.toUpperCase() + part.slice(1) : part.toUpperCase()))
    .join(" + ");
}

export class Shortcuts {
  #localStore;
  /** @type {Record<string, string>} command → key, where the reader has changed it */
  #custom;

  /** @param {LocalStore} localStore */
  constructor(localStore) {
    this.#localStore = localStore;
    this.#custom = /** @type {Record<string, string> | null} */ (localStore.get("keys")) ?? {};
  }

  /** @param {string} command */
  key(command) {
    return this.#custom[command] ?? COMMANDS.find(({ id }) => id === command)?.key ?? "";
  }

  /** The key in brackets, for a tooltip. @param {string} command */
  hint(command) {
    return this.key(command) ? ` (${displayKey(this.key(command))})` : "";
  }

  /** The command of a key at the place that has the focus, or null: the key is the place's own.
   * @param {KeyboardEvent} event @returns {string | null} */
  command(event) {
    const key = keyName(event);
    const place = placeOf(event.target);
    if (place === "dialog" || (place === "control" && isKeyOfControl(event.target, key))) return null;
    if (key === "ctrl+shift+z" && place !== "field") return "redo"; // common in other programs
    const named = COMMANDS.filter(({ id }) => this.key(id) === key);
    const works = (/** @type {Where} */ where) => named.find((command) => command.where === where)?.id ?? null;
    if (place === "field") return works("anywhere");
    return (place === "grid" && works("grid")) || works("page") || works("anywhere");
  }

  /** Assigns a key; a command that had it in the same place has none. @param {string} command @param {string} key */
  bind(command, key) {
    const where = COMMANDS.find(({ id }) => id === command)?.where;
    for (const other of COMMANDS) {
      const meets = other.where === where || other.where === "anywhere" || where === "anywhere";
      if (meets && this.key(other.id) === key) this.#custom[other.id] = "";
    }
    this.#custom[command] = key;
    this.#localStore.set("keys", this.#custom);
  }

  /** Restores the defaults. */
  reset() {
    this.#custom = {};
    this.#localStore.remove("keys");
  }
}

const TEXT_FIELD = "textarea, input:not([type=range], [type=radio], [type=checkbox])";
const ARROWS = ["arrowleft", "arrowright", "arrowup", "arrowdown"];
const KEYS_OF_CONTROLS = /** @type {[string, (key: string) => boolean][]} */ ([
  ["button, a, summary", (key) => key === "enter" || key === "space"],
  ["input[type=checkbox]", (key) => key === "space"],
  ["input[type=radio]", (key) => key === "space" || ARROWS.includes(key)],
  ["input[type=range]", (key) => [...ARROWS, "pageup", "pagedown", "home", "end"].includes(key)],
  ["select", (key) => key !== "enter" && !key.includes("+")], // letters search in the list
]);

/** @param {EventTarget | null} target of a key @returns {Place} */
export function placeOf(target) {
  if (!(target instanceof Element)) return "page";
  if (target.closest("dialog")) return "dialog";
  if (target.matches(TEXT_FIELD)) return "field";
  if (target.closest("imil-grid")) return "grid";
  return target.matches("button, a, summary, input, select") ? "control" : "page";
}

/** Whether a control uses a key itself. @param {EventTarget | null} target @param {string} key */
function isKeyOfControl(target, key) {
  return KEYS_OF_CONTROLS.some(([selector, uses]) => target instanceof Element && target.matches(selector) && uses(key));
}

/** Takes the focus from what has it: for controls that were used with a pointer, so that the next
 * key is not theirs. */
export function releaseFocus() {
  const { activeElement } = document;
  if (activeElement instanceof HTMLElement || activeElement instanceof SVGElement) activeElement.blur();
}
