// The model's prediction, the ground truth, and the controls of the heat-map.

import { h, percent } from "../dom.js";
import { legend } from "../heat_map.js";

/** @typedef {import("../api.js").Case} Case */
/** @typedef {{which: "predicted" | "true", opacity: number}} HeatChoice */

/**
 * @param {Case} caseData @param {HeatChoice} choice
 * @param {{which: (which: "predicted" | "true") => void, opacity: (opacity: number) => void,
 *   hide: (hidden: boolean) => void}} callbacks
 * @param {import("../shortcuts.js").Shortcuts} shortcuts
 */
export function opinionCard(caseData, choice, callbacks, shortcuts) {
  const { opinion } = caseData;
  return h(
    "section",
    { class: "card opinion", "aria-label": "Model’s prediction" },
    h(
      "dl",
      { class: "facts" },
      h("div", { class: "fact model" }, h("dt", {}, "Model"), h("dd", {}, ...prediction(opinion))),
      h("div", { class: "fact truth" }, h("dt", {}, "Ground truth"), h("dd", {}, h("strong", {}, caseData.labelName))),
    ),
    opinion && heatControls(caseData, choice, callbacks, shortcuts),
  );
}

/** @param {Case["opinion"]} opinion */
function prediction(opinion) {
  if (!opinion) return [h("span", { class: "dim" }, "after your first reading")];
  return [h("strong", {}, opinion.predictedName), " ", h("span", { class: "sure" }, percent(opinion.confidence))];
}

/** @param {Case} caseData @param {HeatChoice} choice
 * @param {Parameters<typeof opinionCard>[2]} callbacks @param {import("../shortcuts.js").Shortcuts} shortcuts */
function heatControls(caseData, choice, callbacks, shortcuts) {
  const slider = h("input", {
    type: "range",
    id: "opacity",
    min: 0,
    max: 100,
    step: 5,
    value: Math.round(choice.opacity * 100),
    oninput: () => callbacks.opacity(Number(slider.value) / 100),
  });
  const hide = h("button", { type: "button", class: "hold", title: `Hide while held${shortcuts.hint("hide")}` }, "Hold to hide");
  for (const [event, hidden] of /** @type {[string, boolean][]} */ ([
    ["pointerdown", true],
    ["pointerup", false],
    ["pointerleave", false],
    ["pointercancel", false],
  ])) hide.addEventListener(event, () => callbacks.hide(hidden));
  return h(
    "fieldset",
    { class: "heat" },
    h("legend", {}, "Heat-map: model attention, not ground truth"),
    h(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "Class of the heat-map" },
      radio("predicted", `${caseData.opinion?.predictedName} (model)`, choice, callbacks),
      radio("true", `${caseData.labelName} (truth)`, choice, callbacks),
    ),
    h("div", { class: "scale" }, h("span", {}, "less"), legend(), h("span", {}, "more")),
    h("div", { class: "row" }, h("label", { for: "opacity" }, "Opacity"), slider, hide),
  );
}

/** @param {"predicted" | "true"} which @param {string} label @param {HeatChoice} choice
 * @param {Parameters<typeof opinionCard>[2]} callbacks */
function radio(which, label, choice, callbacks) {
  const input = h("input", {
    type: "radio",
    name: "heat-class",
    value: which,
    checked: choice.which === which,
    onchange: () => callbacks.which(which),
  });
  return h("label", {}, input, h("span", {}, label));
}
