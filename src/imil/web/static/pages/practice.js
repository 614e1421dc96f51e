// What the practice case teaches: said after it was answered. Nothing of it is stored.

import { h } from "../dom.js";
import { same } from "../reading.js";

/** @param {import("../api.js").Round} round @param {{again: () => void, start: () => void}} ways */
export function practiceAnswered(round, { again, start }) {
  const reading = round.cases[0]?.reading;
  const dialog = h(
    "dialog",
    { class: "sheet practice", "aria-labelledby": "practice-title", oncancel: again },
    h("h2", { id: "practice-title" }, title(round, reading)),
    ...words(round, reading).map((text) => h("p", {}, text)),
    h("p", { class: "dim" }, "This was practice: nothing of it is stored."),
    h(
      "footer",
      {},
      h("button", { type: "button", onclick: () => (dialog.remove(), again()) }, "Again"),
      h("button", { type: "button", class: "primary", onclick: () => (dialog.remove(), start()) }, "Start reading"),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** @param {import("../api.js").Round} round
 * @param {import("../api.js").StoredReading | null | undefined} reading */
function title({ answer }, reading) {
  if (reading?.verdict !== "focus" || !answer) return "That is how a case is answered";
  if (answer.every((square) => reading.squares.includes(square))) return "Well seen";
  return answer.some((square) => reading.squares.includes(square)) ? "Nearly" : "Look again";
}

/** @param {import("../api.js").Round} round
 * @param {import("../api.js").StoredReading | null | undefined} reading */
function words({ answer }, reading) {
  if (!answer) return ["The next cases are real."];
  const where = `The drawn lesion lies in ${answer.length === 1 ? "square" : "squares"} ${answer.join(", ")}, while the model looked elsewhere.`;
  if (reading?.verdict !== "focus") return [where];
  if (same(answer, reading.squares)) return [where, "You chose exactly these."];
  const spare = reading.squares.filter((square) => !answer.includes(square)).length;
  const chose = `You chose ${reading.squares.join(", ")}.`;
  const advice = spare > answer.length ? "Fewer squares would say more: the model sees nothing outside them, and everything inside." : "";
  return [where, [chose, advice].filter(Boolean).join(" ")];
}
