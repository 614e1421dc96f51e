// The toolbar above the images: tool of the left mouse button, window, orientation, zoom.

import { fill, h } from "../dom.js";
import { CT_WINDOWS } from "../hounsfield.js";
import { icon } from "../icons.js";
import { LAYOUTS } from "../layouts.js";

/** @typedef {import("../gestures.js").Tool} Tool */
/** @typedef {import("../shortcuts.js").Shortcuts} Shortcuts */
/** @typedef {{run: (command: string) => void, keep: (keepWindow: boolean) => void}} ToolbarCallbacks */

const TOOLS = /** @type {[Tool, string][]} */ ([
  ["select", "Select"],
  ["rectangle", "Rectangle"],
  ["window", "Window"],
  ["zoom", "Zoom"],
  ["pan", "Pan"],
  ["length", "Length"],
]);
const ORIENTATIONS = /** @type {["left" | "right" | "horizontal" | "vertical" | "invert", string, string][]} */ ([
  ["invert", "invert", "Invert grey values"],
  ["left", "rotate-left", "Rotate left"],
  ["right", "rotate-right", "Rotate right"],
  ["horizontal", "flip-horizontal", "Flip horizontally"],
  ["vertical", "flip-vertical", "Flip vertically"],
]);
const PRESETS = ["full range", "1st to 99th percentile", "dark regions", "bright regions"];

export class Toolbar {
  #tools;
  #readout = h("output", { class: "readout", "aria-label": "Window and zoom" });
  #invert;
  #layouts;
  #bare;
  #ct;

  /** @param {Shortcuts} shortcuts @param {ToolbarCallbacks} callbacks @param {boolean} keepWindow keep the window? */
  constructor(shortcuts, callbacks, keepWindow) {
    /** @param {string} command @param {string} label @param {...(Node | string)} content */
    const button = (command, label, ...content) =>
      h("button", { type: "button", "data-command": command, title: label + shortcuts.hint(command), "aria-label": label, onclick: () => callbacks.run(command) }, ...content);
    this.#tools = TOOLS.map(([tool, label]) => button(`tool-${tool}`, label, icon(tool), h("span", { class: "word" }, label)));
    const orientationButtons = ORIENTATIONS.map(([name, command, label]) => button(command, label, icon(name)));
    this.#invert = /** @type {HTMLButtonElement} */ (orientationButtons[0]);
    this.#layouts = LAYOUTS.map(([name, label]) => button(`layout-${name}`, label, icon(name)));
    this.#bare = button("bare", "Film alone", icon("bare"));
    const presets = PRESETS.map((label, i) => button(`preset-${i + 1}`, `Window ${i + 1}: ${label}`, String(i + 1)));
    const ct = Object.entries(CT_WINDOWS).map(([name, [label, level, width]]) =>
      button(`hounsfield-${name}`, `${label} window: level ${level}, width ${width} HU`, label));
    this.#ct = h("div", { class: "set words", role: "group", "aria-label": "Window of a CT", hidden: true }, ...ct);
    const keep = h("input", { type: "checkbox", checked: keepWindow, onchange: () => callbacks.keep(keep.checked) });
    this.element = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": "Image tools" },
      h("div", { class: "set", role: "group", "aria-label": "Left mouse button" }, ...this.#tools),
      h("div", { class: "set", role: "group", "aria-label": "Window" }, ...presets, h("label", { class: "check", title: "Use this window for the next case too" }, keep, "keep")),
      this.#ct,
      h("div", { class: "set" }, ...orientationButtons),
      h(
        "div",
        { class: "set" },
        button("fit", "Fit", icon("fit")),
        button("true-size", "Actual pixels", "1:1"),
        button("reset", "Reset view", icon("reset")),
      ),
      h("div", { class: "set", role: "group", "aria-label": "Layout" }, ...this.#layouts, this.#bare),
      this.#readout,
    );
  }

  /** @param {{tool: Tool, layout: import("../layouts.js").Layout, bare: boolean, spacing: boolean, hounsfield: boolean, invert: boolean, readout: string}} state */
  show({ tool, layout, bare, spacing, hounsfield, invert, readout }) {
    TOOLS.forEach(([name], i) => this.#tools[i]?.setAttribute("aria-pressed", String(name === tool)));
    LAYOUTS.forEach(([name], i) => this.#layouts[i]?.setAttribute("aria-pressed", String(name === layout)));
    this.#bare.setAttribute("aria-pressed", String(bare));
    const length = /** @type {HTMLButtonElement} */ (this.#tools.at(-1));
    length.hidden = !spacing; // there is nothing to measure with
    this.#ct.hidden = !hounsfield; // their windows would mean nothing
    this.#invert.setAttribute("aria-pressed", String(invert));
    if (this.#readout.textContent !== readout) fill(this.#readout, readout);
  }
}
