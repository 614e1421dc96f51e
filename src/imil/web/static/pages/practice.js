// The feedback after the practice case, which is not stored.

import { h } from "../dom.js";
import { sameSquares } from "../reading_state.js";

/** @param {import("../api.js").Round} round @param {{again: () => void, start: () => void}} callbacks */
export function showPracticeFeedback(round, { again, start }) {
  const reading = round.cases[0]?.reading;
  const dialog = h(
    "dialog",
    { class: "sheet practice", "aria-labelledby": "practice-title", oncancel: again },
    h("h2", { id: "practice-title" }, title(round, reading)),
    ...feedback(round, reading).map((text) => h("p", {}, text)),
    h("p", { class: "dim" }, "Practice cases are not stored."),
    h(
      "footer",
      {},
      h("button", { type: "button", onclick: () => (dialog.remove(), again()) }, "Try again"),
      h("button", { type: "button", class: "primary", onclick: () => (dialog.remove(), start()) }, "Start reading"),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {import("../api.js").Round} round
 * @param {import("../api.js").StoredReading | null | undefined} reading */
function title({ answer }, reading) {
  if (reading?.verdict !== "focus" || !answer || !reading.squares.length) return "Practice case submitted";
  if (answer.every((square) => reading.squares.includes(square))) return "Correct";
  return answer.some((square) => reading.squares.includes(square)) ? "Partly correct" : "Not correct";
}

/** @param {import("../api.js").Round} round
 * @param {import("../api.js").StoredReading | null | undefined} reading */
function feedback({ answer }, reading) {
  if (!answer) return ["The next cases are stored."];
  const location = `The simulated lesion is in ${answer.length === 1 ? "square" : "squares"} ${answer.join(", ")}. The model looked elsewhere.`;
  if (reading?.verdict !== "focus") return [location];
  const marked = reading.misleading.join(", ");
  const misleading = marked ? [`You marked ${marked} as misleading${reading.misleading.some((square) => answer.includes(square)) ? ", where the lesion is" : ""}.`] : [];
  if (!reading.squares.length) return [location, ...misleading];
  if (sameSquares(answer, reading.squares)) return [location, "You selected exactly these squares.", ...misleading];
  const extra = reading.squares.filter((square) => !answer.includes(square)).length;
  const selection = `You selected ${reading.squares.join(", ")}.`;
  const advice = extra > answer.length ? "Select fewer squares: the model sees everything inside them and nothing outside." : "";
  return [location, [selection, advice].filter(Boolean).join(" "), ...misleading];
}
