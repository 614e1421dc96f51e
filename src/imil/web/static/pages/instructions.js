// The instructions: shown before the first case, and from the top bar.

import { h } from "../dom.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app @param {() => void} start */
export function instructionsPage(app, start) {
  const blind = app.session.protocol === "blind-first";
  const { rounds } = app.session;
  const cases = rounds.find(({ state }) => state === "open")?.cases ?? rounds.at(-1)?.cases;
  return h(
    "article",
    { class: "page instructions" },
    h("h1", {}, "Show the model where to look"),
    h(
      "p",
      { class: "lead" },
      `A model was trained on these images and is confidently wrong on ${cases ?? "some"} of them. In each case, select the squares that it should look at instead. Training then continues, and the model sees only those squares of the image.`,
    ),
    h("ol", { class: "steps" }, ...(blind ? BLIND_FIRST_STEPS : []), ...steps(blind)),
    h(
      "div",
      { class: "note" },
      h("strong", {}, "The heat-map shows the model’s attention, not ground truth. "),
      "A bright region is where the model took its evidence from. It is not a finding: it may be correct, irrelevant, or a marker in the corner of the image.",
    ),
    h(
      "p",
      {},
      "A case takes about a minute. Your work is saved automatically. Each answer can be undone, and you can change any reading until the round is closed. Press ",
      h("kbd", {}, "?"),
      " for the keyboard shortcuts.",
    ),
    h(
      "div",
      { class: "row buttons" },
      h("button", { type: "button", class: "primary", onclick: () => app.go("#/practice") }, "Try a practice case"),
      h("button", { type: "button", onclick: start }, "Start reading"),
    ),
  );
}

/** @param {string} title @param {string} text */
const step = (title, text) => h("li", {}, h("strong", {}, title), h("span", {}, text));

const BLIND_FIRST_STEPS = [
  step("Read first without the model.", "You see the image and its ground truth. Select the relevant squares. Then show the model’s prediction, and keep your squares or change them."),
];

/** @param {boolean} blind */
function steps(blind) {
  return [
    step("Compare prediction, ground truth and heat-map.", "Which structure did the model mistake for the finding, and where is the real one? Switch to the heat-map of the ground-truth class: it often explains more."),
    step("Select the squares that the model should look at.", "Click them, drag across them, use the arrow keys and space, or type their numbers. Everything outside them becomes black for the model, so include what is needed to see the finding."),
    step("Select the most relevant region.", "If there are several, start with the decisive one. Fewer squares are more informative. If the whole image is relevant, skip the case."),
    step("If there is nothing to find.", "For a film whose ground truth is “normal” select the region that has to be free of findings to call it so, such as the lungs, or mark only the squares that misled the model."),
    step("Mark what misleads the model (optional).", "Click a selected square again, or type -4 for square 4: it is hatched in orange, and says that the model must not look there. A third click clears it. With misleading squares alone, only these become black."),
    step("Give a reason (optional).", "“The model was focused on the clavicle, so I switched the focus towards the left apex.”"),
    step("Submit, or choose another verdict.", `If the label looks wrong or the image is not assessable, use the button for it.${blind ? " You can do so before you have seen the prediction." : ""}`),
  ];
}
