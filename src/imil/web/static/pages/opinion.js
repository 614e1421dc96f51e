// What the model said, what the truth is said to be, and how its attention is shown.

import { h, percent } from "../dom.js";
import { legend } from "../heatmap.js";

/** @typedef {import("../api.js").Case} Case */
/** @typedef {{which: "predicted" | "true", opacity: number}} HeatChoice */

/**
 * @param {Case} kase @param {HeatChoice} choice
 * @param {{which: (which: "predicted" | "true") => void, opacity: (opacity: number) => void,
 *   hide: (hidden: boolean) => void}} wishes
 * @param {import("../keys.js").Keys} keys
 */
export function opinionCard(kase, choice, wishes, keys) {
  const { opinion } = kase;
  return h(
    "section",
    { class: "card opinion", "aria-label": "The model’s opinion" },
    h(
      "dl",
      { class: "facts" },
      h("div", { class: "fact model" }, h("dt", {}, "Model"), h("dd", {}, ...said(opinion))),
      h("div", { class: "fact truth" }, h("dt", {}, "Ground truth"), h("dd", {}, h("strong", {}, kase.labelName))),
    ),
    opinion && heatControls(kase, choice, wishes, keys),
  );
}

/** @param {Case["opinion"]} opinion */
function said(opinion) {
  if (!opinion) return [h("span", { class: "dim" }, "after your first look")];
  return [h("strong", {}, opinion.predictedName), " ", h("span", { class: "sure" }, percent(opinion.confidence))];
}

/** @param {Case} kase @param {HeatChoice} choice
 * @param {Parameters<typeof opinionCard>[2]} wishes @param {import("../keys.js").Keys} keys */
function heatControls(kase, choice, wishes, keys) {
  const slider = h("input", {
    type: "range",
    id: "opacity",
    min: 0,
    max: 100,
    step: 5,
    value: Math.round(choice.opacity * 100),
    oninput: () => wishes.opacity(Number(slider.value) / 100),
  });
  const hide = h("button", { type: "button", class: "hold", title: `Hide while held${keys.hint("hide")}` }, "Hold to hide");
  for (const [event, hidden] of /** @type {[string, boolean][]} */ ([
    ["pointerdown", true],
    ["pointerup", false],
    ["pointerleave", false],
    ["pointercancel", false],
  ])) hide.addEventListener(event, () => wishes.hide(hidden));
  return h(
    "fieldset",
    { class: "heat" },
    h("legend", {}, "Heat-map: model attention, not truth"),
    h(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": "Heat-map of which class" },
      radio("predicted", `${kase.opinion?.predictedName} (model)`, choice, wishes),
      radio("true", `${kase.labelName} (truth)`, choice, wishes),
    ),
    h("div", { class: "scale" }, h("span", {}, "less"), legend(), h("span", {}, "more")),
    h("div", { class: "row" }, h("label", { for: "opacity" }, "Strength"), slider, hide),
  );
}

/** @param {"predicted" | "true"} which @param {string} label @param {HeatChoice} choice
 * @param {Parameters<typeof opinionCard>[2]} wishes */
function radio(which, label, choice, wishes) {
  const input = h("input", {
    type: "radio",
    name: "heat-class",
    value: which,
    checked: choice.which === which,
    onchange: () => wishes.which(which),
  });
  return h("label", {}, input, h("span", {}, label));
}
