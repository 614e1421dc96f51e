// The state of a reading in progress: squares, reason, undo history. A pure reducer.

/** @typedef {"paper" | "first" | "revealed"} Phase `first`: blind, before the prediction is shown */
/** @typedef {readonly number[]} Squares sorted, without duplicates */

/** @typedef {object} ReadingState
 * @property {Squares} squares
 * @property {string} reason
 * @property {Phase} phase
 * @property {Squares | null} before selected before the model's prediction was shown
 * @property {readonly Squares[]} past
 * @property {readonly Squares[]} future
 * @property {string | null} merging changes with this name are undone together
 */

/** @typedef {{type: "set", squares: Squares, merge?: string}
 *   | {type: "toggle", square: number}
 *   | {type: "undo"} | {type: "redo"} | {type: "commit"}
 *   | {type: "reason", text: string}
 *   | {type: "reveal", before: Squares}} Action */

const MAX_UNDO = 200;

/** @param {Partial<ReadingState>} [values] @returns {ReadingState} */
export function initialReading(values = {}) {
  return {
    squares: [],
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
      return withSquares(state, action.squares, action.merge ?? null);
    case "toggle":
      return withSquares(state, withToggled(state.squares, action.square), null);
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

/** @param {ReadingState} state @param {Squares} squares @param {string | null} merge */
function withSquares(state, squares, merge) {
  const next = [...new Set(squares)].sort((a, b) => a - b);
  if (sameSquares(next, state.squares)) return { ...state, merging: merge };
  const merges = merge !== null && merge === state.merging;
  const past = merges ? state.past : [...state.past, state.squares].slice(-MAX_UNDO);
  return { ...state, squares: next, past, future: [], merging: merge };
}

/** @param {ReadingState} state */
function undo(state) {
  const squares = state.past.at(-1);
  if (!squares) return state;
  const future = [state.squares, ...state.future];
  return { ...state, squares, past: state.past.slice(0, -1), future, merging: null };
}

/** @param {ReadingState} state */
function redo(state) {
  const [squares, ...future] = state.future;
  if (!squares) return state;
  return { ...state, squares, past: [...state.past, state.squares], future, merging: null };
}

/** @param {Squares} squares @param {number} square */
export function withToggled(squares, square) {
  return squares.includes(square) ? squares.filter((s) => s !== square) : [...squares, square];
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
