// The tools above the film: what the left button does, windows, turning, fitting.

import { fill, h } from "../dom.js";
import { icon } from "../icons.js";

/** @typedef {import("../gestures.js").Tool} Tool */
/** @typedef {import("../keys.js").Keys} Keys */
/** @typedef {{run: (act: string) => void, keep: (kept: boolean) => void}} Wishes */

const TOOLS = /** @type {[Tool, string][]} */ ([
  ["select", "Select"],
  ["window", "Window"],
  ["zoom", "Zoom"],
  ["pan", "Pan"],
  ["length", "Length"],
]);
const TURNS = /** @type {["left" | "right" | "horizontal" | "vertical" | "invert", string, string][]} */ ([
  ["invert", "invert", "Invert"],
  ["left", "rotate-left", "Rotate left"],
  ["right", "rotate-right", "Rotate right"],
  ["horizontal", "flip-horizontal", "Flip left and right"],
  ["vertical", "flip-vertical", "Flip up and down"],
]);
const PRESETS = ["full range", "no extremes", "dark tissue", "bright tissue"];

export class Toolbar {
  #tools;
  #readout = h("output", { class: "readout", "aria-label": "Window and zoom" });
  #invert;

  /** @param {Keys} keys @param {Wishes} wishes @param {boolean} kept keep the window? */
  constructor(keys, wishes, kept) {
    /** @param {string} act @param {string} label @param {...(Node | string)} inside */
    const button = (act, label, ...inside) =>
      h("button", { type: "button", "data-act": act, title: label + keys.hint(act), "aria-label": label, onclick: () => wishes.run(act) }, ...inside);
    this.#tools = TOOLS.map(([tool, label]) => button(`tool-${tool}`, label, icon(tool), h("span", { class: "word" }, label)));
    const turns = TURNS.map(([name, act, label]) => button(act, label, icon(name)));
    this.#invert = /** @type {HTMLButtonElement} */ (turns[0]);
    const presets = h(
      "select",
      { "aria-label": "Window presets", onchange: () => (wishes.run(presets.value), (presets.value = "")) },
      h("option", { value: "" }, "Window…"),
      ...PRESETS.map((label, i) => h("option", { value: `preset-${i + 1}` }, `${i + 1}  ${label}`)),
    );
    const keep = h("input", { type: "checkbox", checked: kept, onchange: () => wishes.keep(keep.checked) });
    this.element = h(
      "div",
      { class: "tools", role: "toolbar", "aria-label": "Reading tools" },
      h("div", { class: "set", role: "group", "aria-label": "Left button" }, ...this.#tools),
      h("div", { class: "set" }, presets, h("label", { class: "check", title: "The next case starts with this window" }, keep, "keep")),
      h("div", { class: "set" }, ...turns),
      h(
        "div",
        { class: "set" },
        button("fit", "Fit", icon("fit")),
        button("true-size", "One to one", "1:1"),
        button("reset", "Reset the film", icon("reset")),
      ),
      this.#readout,
    );
  }

  /** @param {{tool: Tool, spacing: boolean, invert: boolean, readout: string}} now */
  show({ tool, spacing, invert, readout }) {
    TOOLS.forEach(([name], i) => this.#tools[i]?.setAttribute("aria-pressed", String(name === tool)));
    const length = /** @type {HTMLButtonElement} */ (this.#tools[4]);
    length.disabled = !spacing;
    if (!spacing) length.title = "The pixel spacing of this film is not known";
    this.#invert.setAttribute("aria-pressed", String(invert));
    if (this.#readout.textContent !== readout) fill(this.#readout, readout);
  }
}
