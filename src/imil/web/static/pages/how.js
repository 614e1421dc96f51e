// How to read: shown before the first case, and whenever it is asked for.

import { h } from "../dom.js";

/** @typedef {import("../app.js").App} App */

/** @param {App} app @param {() => void} start */
export function howPage(app, start) {
  const blind = app.session.protocol === "blind-first";
  const { rounds } = app.session;
  const cases = rounds.find(({ state }) => state === "open")?.cases ?? rounds.at(-1)?.cases;
  return h(
    "article",
    { class: "page how" },
    h("h1", {}, "Show the model where to look"),
    h(
      "p",
      { class: "lead" },
      `A model learned from these films and got ${cases ? `these ${cases}` : "some"} wrong while being sure of itself. For each, you select the squares that it should look at instead. It then trains on, seeing only those squares of the film.`,
    ),
    h("ol", { class: "steps" }, ...(blind ? BLIND : []), ...steps(blind)),
    h(
      "div",
      { class: "note" },
      h("strong", {}, "The heat-map shows attention, not truth. "),
      "A bright place is where the model took its evidence from. It is no finding: it may be right, beside the point, or a letter in the corner of the film.",
    ),
    h(
      "p",
      {},
      "There is no hurry and no test: a case takes about a minute, everything is saved as you go, and you can change any reading until the round is closed. Press ",
      h("kbd", {}, "?"),
      " at any time for the keys.",
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

const BLIND = [
  step("Look first, alone.", "You see the film and its ground truth. Select the squares that matter before you know what the model thought; then show its opinion and keep your squares or change them."),
];

/** @param {boolean} blind */
function steps(blind) {
  return [
    step("Read label and heat-map together.", "Compare what the model said with the ground truth, then look at where its attention lay on the film. Ask: what did it take for the sign, and where is the real one? The heat-map of the true class, one key away, often tells more."),
    step("Select the squares that the model should look at.", "Click them, drag across them, walk with the arrow keys and press space, or type their numbers. Everything outside them goes black for the model, so leave in what is needed to see the sign."),
    step("One region first, the most relevant one.", "Where there are several, begin with the one that decides. A few squares say more than many; if the whole film matters, skip the case instead."),
    step("Say why, if you like.", "“The model was focused on the clavicle, so I switched the focus towards the left apex.”"),
    step("Submit, or say why not.", `A label can look wrong and a film can be not assessable: say so with one button.${blind ? " That is possible before you have seen the opinion, too." : ""}`),
  ];
}
