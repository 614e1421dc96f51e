// The reading in progress: what is selected, why, and every step back. A pure reducer.

/** @typedef {"paper" | "first" | "revealed"} Phase `first`: blind, before the opinion is shown */
/** @typedef {readonly number[]} Squares in order, each once */

/** @typedef {object} Reading
 * @property {Squares} squares
 * @property {string} reason
 * @property {Phase} phase
 * @property {Squares | null} before chosen before the model's opinion was shown
 * @property {readonly Squares[]} past
 * @property {readonly Squares[]} future
 * @property {string | null} merging steps with this name are undone as one
 */

/** @typedef {{type: "set", squares: Squares, merge?: string}
 *   | {type: "toggle", square: number}
 *   | {type: "undo"} | {type: "redo"} | {type: "settle"}
 *   | {type: "reason", text: string}
 *   | {type: "reveal", before: Squares}} Action */

const DEEPEST = 200;

/** @param {Partial<Reading>} [known] @returns {Reading} */
export function startReading(known = {}) {
  return {
    squares: [],
    reason: "",
    phase: "paper",
    before: null,
    past: [],
    future: [],
    merging: null,
    ...known,
  };
}

/** @param {Reading} state @param {Action} action @returns {Reading} */
export function reduce(state, action) {
  switch (action.type) {
    case "set":
      return changed(state, action.squares, action.merge ?? null);
    case "toggle":
      return changed(state, toggled(state.squares, action.square), null);
    case "undo":
      return undone(state);
    case "redo":
      return redone(state);
    case "settle":
      return { ...state, merging: null };
    case "reason":
      return { ...state, reason: action.text };
    case "reveal":
      // the first look stands: what was chosen blind cannot be undone into
      return { ...state, phase: "revealed", before: action.before, past: [], future: [] };
  }
}

/** @param {Reading} state @param {Squares} squares @param {string | null} merge */
function changed(state, squares, merge) {
  const next = [...new Set(squares)].sort((a, b) => a - b);
  if (same(next, state.squares)) return { ...state, merging: merge };
  const goesOn = merge !== null && merge === state.merging;
  const past = goesOn ? state.past : [...state.past, state.squares].slice(-DEEPEST);
  return { ...state, squares: next, past, future: [], merging: merge };
}

/** @param {Reading} state */
function undone(state) {
  const squares = state.past.at(-1);
  if (!squares) return state;
  const future = [state.squares, ...state.future];
  return { ...state, squares, past: state.past.slice(0, -1), future, merging: null };
}

/** @param {Reading} state */
function redone(state) {
  const [squares, ...future] = state.future;
  if (!squares) return state;
  return { ...state, squares, past: [...state.past, state.squares], future, merging: null };
}

/** @param {Squares} squares @param {number} square */
export function toggled(squares, square) {
  return squares.includes(square) ? squares.filter((s) => s !== square) : [...squares, square];
}

/** @param {Squares} one @param {Squares} other */
export function same(one, other) {
  return one.length === other.length && one.every((square, i) => square === other[i]);
}

/** Thirty-two hex digits (UUID version 4), also where the page is not served over TLS. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
