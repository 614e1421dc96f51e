// The state of a reading in progress: marked squares, reason, undo history. A pure reducer.

/** @typedef {"paper" | "first" | "revealed"} Phase `first`: blind, before the prediction is shown */
/** @typedef {readonly number[]} Squares sorted, without duplicates */
/** @typedef {{squares: Squares, misleading: Squares}} Marks selected and misleading; no square is in both */
/** @typedef {"selected" | "misleading" | "none"} Mark the state of a square */

/** @typedef {object} ReadingState
 * @property {Squares} squares
 * @property {Squares} misleading
 * @property {string} reason
 * @property {Phase} phase
 * @property {Squares | null} before selected before the model's prediction was shown
 * @property {readonly Marks[]} past
 * @property {readonly Marks[]} future
 * @property {string | null} merging changes with this name are undone together
 */

/** @typedef {{type: "set", squares: Squares, misleading?: Squares, merge?: string}
 *   | {type: "undo"} | {type: "redo"} | {type: "commit"}
 *   | {type: "reason", text: string}
 *   | {type: "reveal", before: Squares}} Action */

const MAX_UNDO = 200;

/** @param {Partial<ReadingState>} [values] @returns {ReadingState} */
export function initialReading(values = {}) {
  return {
    squares: [],
    misleading: [],
    reason: "",
    phase: "paper",
    before: null,
    past: [],
    future: [],
    merging: null,
    ...values,
  };
}

/** @param {ReadingState} state @param {Action} action @returns {ReadingState} */
export function reduce(state, action) {
  switch (action.type) {
    case "set":
      return withMarks(state, marks(action.squares, action.misleading ?? state.misleading), action.merge ?? null);
    case "undo":
      return undo(state);
    case "redo":
      return redo(state);
    case "commit":
      return { ...state, merging: null };
    case "reason":
      return { ...state, reason: action.text };
    case "reveal":
      // the first reading is final: undo does not go back to before it
      return { ...state, phase: "revealed", before: action.before, past: [], future: [] };
  }
}

/** @param {ReadingState} state @param {Marks} next @param {string | null} merge */
function withMarks(state, next, merge) {
  if (sameSquares(next.squares, state.squares) && sameSquares(next.misleading, state.misleading)) return { ...state, merging: merge };
  const merges = merge !== null && merge === state.merging;
  const past = merges ? state.past : [...state.past, marksOf(state)].slice(-MAX_UNDO);
  return { ...state, ...next, past, future: [], merging: merge };
}

/** @param {ReadingState} state */
function undo(state) {
  const last = state.past.at(-1);
  if (!last) return state;
  const future = [marksOf(state), ...state.future];
  return { ...state, ...last, past: state.past.slice(0, -1), future, merging: null };
}

/** @param {ReadingState} state */
function redo(state) {
  const [next, ...future] = state.future;
  if (!next) return state;
  return { ...state, ...next, past: [...state.past, marksOf(state)], future, merging: null };
}

/** @param {Marks} state @returns {Marks} */
function marksOf({ squares, misleading }) {
  return { squares, misleading };
}

/** Sorted; a square in both lists is selected. @param {Squares} squares @param {Squares} misleading @returns {Marks} */
function marks(squares, misleading) {
  const sorted = (/** @type {Squares} */ list) => [...new Set(list)].sort((a, b) => a - b);
  return { squares: sorted(squares), misleading: sorted(misleading.filter((square) => !squares.includes(square))) };
}

/** @param {Marks} given @param {number} square @returns {Mark} */
export function markOf({ squares, misleading }, square) {
  return squares.includes(square) ? "selected" : misleading.includes(square) ? "misleading" : "none";
}

/** What a click makes of a square: selected, then misleading, then neither.
 * @param {Mark} mark @param {boolean} two whether squares can only be selected @returns {Mark} */
export function nextMark(mark, two) {
  if (mark === "none") return "selected";
  return mark === "selected" && !two ? "misleading" : "none";
}

/** The marks with these squares in that state.
 * @param {Marks} given @param {Iterable<number>} changed @param {Mark} mark @returns {Marks} */
export function withMark({ squares, misleading }, changed, mark) {
  const touched = new Set(changed);
  const others = (/** @type {Squares} */ list) => list.filter((square) => !touched.has(square));
  return {
    squares: mark === "selected" ? [...others(squares), ...touched] : others(squares),
    misleading: mark === "misleading" ? [...others(misleading), ...touched] : others(misleading),
  };
}

/** The squares that the model will see: those selected, or else all but the misleading ones.
 * @param {Marks} given @param {readonly number[]} all squares of the grid @returns {Squares} */
export function keptSquares({ squares, misleading }, all) {
  return squares.length ? squares : all.filter((square) => !misleading.includes(square));
}

/** Such as “squares 2, 3; misleading 4”. @param {Marks} given */
export function marksText({ squares, misleading }) {
  const parts = [squares.length && `${squares.length === 1 ? "square" : "squares"} ${squares.join(", ")}`, misleading.length && `misleading ${misleading.join(", ")}`];
  return parts.filter(Boolean).join("; ");
}

/** What was answered, in a few words. @param {Marks & {verdict: import("./api.js").Verdict}} reading */
export function answerText({ verdict, squares, misleading }) {
  if (verdict === "wrong label") return "label looks wrong";
  if (verdict !== "focus") return verdict === "skip" ? "skipped" : verdict;
  if (squares.length + misleading.length <= 6) return marksText({ squares, misleading });
  return [squares.length && `${squares.length} squares`, misleading.length && `${misleading.length} misleading`].filter(Boolean).join(", ");
}

/** @param {Squares} a @param {Squares} b */
export function sameSquares(a, b) {
  return a.length === b.length && a.every((square, i) => square === b[i]);
}

/** Thirty-two hex digits (UUID version 4), also where the page is not served over TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
