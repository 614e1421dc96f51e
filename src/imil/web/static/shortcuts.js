// Keyboard shortcuts, the same as OHIF's where OHIF has them. Each reader can change them.

/** @typedef {import("./local_store.js").LocalStore} LocalStore */
/** @typedef {{id: string, group: string, label: string, key: string}} Command */

/** @param {string} group @param {[string, string, string][]} commands @returns {Command[]} */
const group = (group, commands) => commands.map(([id, key, label]) => ({ id, group, key, label }));

export const COMMANDS = [
  ...group("Answer", [
    ["submit", "enter", "Submit (blind-first: show the model’s prediction)"],
    ["submit-anywhere", "ctrl+enter", "Submit, also from a text field"],
    ["skip", "shift+s", "Skip"],
    ["wrong-label", "shift+l", "Label looks wrong"],
    ["not-assessable", "shift+n", "Not assessable"],
    ["previous", "pageup", "Previous case"],
    ["next", "pagedown", "Next case"],
    ["reason", "e", "Enter a reason"],
  ]),
  ...group("Squares", [
    ["grid", "g", "Select by keyboard: arrows move, space selects, marks as misleading, clears"],
    ["misleading", "k", "Mark the square at the keyboard’s cursor as misleading, or clear it"],
    ["numbers", "d", "Enter square numbers; -4 marks 4 as misleading"],
    ["all", "a", "Select all squares"],
    ["none", "x", "Clear selection"],
    ["complement", "c", "Invert the selection"],
    ["undo", "ctrl+z", "Undo"],
    ["redo", "ctrl+y", "Redo"],
    ["preview", "b", "What the model will see"],
  ]),
  ...group("Heat-map", [
    ["hide", "o", "Hide while the key is held"],
    ["class", "t", "Switch class: predicted or ground truth"],
    ["fainter", "[", "Lower opacity"],
    ["stronger", "]", "Higher opacity"],
  ]),
  ...group("Image", [
    ["invert", "i", "Invert"],
    ["rotate-right", "r", "Rotate right"],
    ["rotate-left", "l", "Rotate left"],
    ["flip-horizontal", "h", "Flip horizontally"],
    ["flip-vertical", "v", "Flip vertically"],
    ["zoom-in", "+", "Zoom in"],
    ["zoom-out", "-", "Zoom out"],
    ["fit", "=", "Fit to pane"],
    ["true-size", "0", "Actual pixels (1:1)"],
    ["reset", "space", "Reset view"],
    ["preset-1", "1", "Window: full range"],
    ["preset-2", "2", "Window: 1st to 99th percentile"],
    ["preset-3", "3", "Window: dark regions"],
    ["preset-4", "4", "Window: bright regions"],
  ]),
  ...group("Left mouse button", [
    ["tool-select", "s", "Select squares"],
    ["tool-window", "w", "Window (also shift and drag)"],
    ["tool-zoom", "z", "Zoom (also right button or wheel)"],
    ["tool-pan", "p", "Pan (also middle button)"],
    ["tool-length", "m", "Measure length"],
  ]),
  ...group("Help", [
    ["keys", "?", "Keyboard shortcuts"],
  ]),
];

const KEY_NAMES = /** @type {Record<string, string>} */ ({ " ": "space", escape: "esc" });
const KEY_LABELS = /** @type {Record<string, string>} */ ({ pageup: "Page up", pagedown: "Page down" });

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

  /** @param {KeyboardEvent} event @returns {string | null} the command */
  command(event) {
    const key = keyName(event);
    const alternative = key === "ctrl+shift+z" ? "redo" : null; // common in other programs
    return COMMANDS.find(({ id }) => this.key(id) === key)?.id ?? alternative;
  }

  /** Assigns a key; a command that had it before has none. @param {string} command @param {string} key */
  bind(command, key) {
    for (const { id } of COMMANDS) if (this.key(id) === key) this.#custom[id] = "";
    this.#custom[command] = key;
    this.#localStore.set("keys", this.#custom);
  }

  /** Restores the defaults. */
  reset() {
    this.#custom = {};
    this.#localStore.remove("keys");
  }
}

/** Whether the focused element uses this key itself. @param {EventTarget | null} target
 * @param {string} key */
export function handlesKey(target, key) {
  if (!(target instanceof HTMLElement || target instanceof SVGElement)) return false;
  if (target.closest("dialog")) return true;
  const isTextField = target.matches("textarea, select, input:not([type=range], [type=radio], [type=checkbox])");
  if (isTextField) return key !== "ctrl+enter";
  const isActivation = key === "enter" || key === "space";
  if (target.matches("button, a, summary, input")) return isActivation || (target.matches("input") && key.startsWith("arrow"));
  return false;
}
