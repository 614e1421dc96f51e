// The model's prediction, the ground truth, and the controls of the heat-map.

import { h, percent } from "../dom.js";
import { legend } from "../heat_map.js";

/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("./heat_controller.js").HeatController} HeatController */
/** @typedef {import("../shortcuts.js").Shortcuts} Shortcuts */

// names of a class of films on which there is nothing to find
const NORMAL = /^(normal|healthy|negative|none|no|without|not|non)\b|^no[ _-]?finding|^0$/i;

/** @param {Case} caseData @param {HeatController} heat @param {Shortcuts} shortcuts */
export function opinionCard(caseData, heat, shortcuts) {
  const { opinion, labelName } = caseData;
  return h(
    "section",
    { class: "card opinion", "aria-label": "Model’s prediction" },
    h(
      "dl",
      { class: "facts" },
      h("div", { class: "fact model" }, h("dt", {}, "Model"), h("dd", { dir: "auto" }, ...prediction(opinion))),
      h("div", { class: "fact truth" }, h("dt", {}, "Ground truth"), h("dd", { dir: "auto" }, h("strong", {}, labelName))),
    ),
    NORMAL.test(labelName.trim()) && h("p", { class: "dim normal" }, NORMAL_TEXT),
    opinion ? heatControls(caseData, heat, shortcuts) : h("p", { class: "first" }, FIRST_TEXT),
  );
}

const NORMAL_TEXT = "Nothing to find here? Select the region that has to be free of findings, or mark only the squares that misled the model.";
const FIRST_TEXT = "First reading, without the model: select the squares that are relevant for the ground truth, then show the model’s prediction. Both selections are stored.";

/** @param {Case["opinion"]} opinion */
function prediction(opinion) {
  if (!opinion) return [h("span", { class: "dim" }, "after your first reading")];
  return [h("strong", {}, opinion.predictedName), " ", h("span", { class: "sure" }, percent(opinion.confidence))];
}

/** @param {Case} caseData @param {HeatController} heat @param {Shortcuts} shortcuts */
function heatControls(caseData, heat, shortcuts) {
  const slider = h("input", {
    type: "range",
    id: "opacity",
    min: 0,
    max: 100,
    step: 5,
    value: Math.round(heat.opacity * 100),
    oninput: () => heat.setStyle({ opacity: Number(slider.value) / 100 }),
  });
  const contours = h("input", { type: "checkbox", checked: heat.contours, onchange: () => heat.setStyle({ contours: contours.checked }) });
  const hide = h("button", { type: "button", class: "hold", title: `Hide while held${shortcuts.hint("hide")}` }, "Hold to hide");
  for (const [event, hidden] of /** @type {[string, boolean][]} */ ([
    ["pointerdown", true],
    ["pointerup", false],
    ["pointerleave", false],
    ["pointercancel", false],
  ])) hide.addEventListener(event, () => heat.hide(hidden));
  return h(
    "fieldset",
    { class: "heat" },
    h("legend", {}, "Heat-map: model attention, not ground truth"),
    h(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "Class of the heat-map" },
      radio("predicted", `${caseData.opinion?.predictedName} (model)`, heat),
      radio("true", `${caseData.labelName} (truth)`, heat),
    ),
    h("div", { class: "scale" }, h("span", {}, "less"), legend(), h("span", {}, "more"), h("label", { class: "check", title: `Lines at 25, 50 and 75 %${shortcuts.hint("contours")}` }, contours, "contours")),
    h("div", { class: "row" }, h("label", { for: "opacity" }, "Opacity"), slider, hide),
  );
}

/** @param {"predicted" | "true"} which @param {string} label @param {HeatController} heat */
function radio(which, label, heat) {
  const input = h("input", {
    type: "radio",
    name: "heat-class",
    value: which,
    checked: heat.which === which,
    onchange: () => heat.setClass(which),
  });
  return h("label", {}, input, h("span", { dir: "auto" }, label));
}
