// The server's words, and how they are fetched.

/** @typedef {import("./squares.js").Grid} Grid */
/** @typedef {"open" | "closed" | "applied"} RoundState */
/** @typedef {"focus" | "skip" | "wrong label" | "not assessable"} Verdict */

/** @typedef {{id: string, number: number, epoch: number, state: RoundState, cases: number,
 *   read: number}} RoundLine */
/** @typedef {{state: "running" | "waiting" | "finished" | "gone", epoch: number | null,
 *   epochs: number | null}} Training */
/** @typedef {Partial<Record<"accuracy" | "auroc" | "ece", number | null>>} Scores */
/** @typedef {{before: Scores, after: Scores}} Result */
/** @typedef {object} Session
 * @property {"reader" | "owner"} kind
 * @property {string} name
 * @property {string} run
 * @property {"paper" | "blind-first"} protocol
 * @property {RoundLine[]} rounds
 * @property {Training} training
 * @property {Result | null} result
 */
/** @typedef {object} Pixels
 * @property {string} url
 * @property {number} height
 * @property {number} width
 * @property {1 | 3} channels
 * @property {8 | 16} bits
 * @property {number} low
 * @property {number} high
 * @property {[number, number] | null} spacing
 */
/** @typedef {object} Opinion
 * @property {number} predicted
 * @property {string} predictedName
 * @property {number} confidence in [0, 1]
 * @property {{predicted: string, true: string, height: number, width: number}} heatMaps
 */
/** @typedef {object} StoredReading
 * @property {string} id
 * @property {Verdict} verdict
 * @property {number[]} squares
 * @property {number[] | null} squaresBefore
 * @property {string} reason
 * @property {number} seconds
 * @property {string} created
 */
/** @typedef {object} Case
 * @property {number} number from 1; the only name of a case that the page ever sees
 * @property {number} label
 * @property {string} labelName
 * @property {Pixels} image
 * @property {Opinion | null} opinion
 * @property {number[] | null} earlier
 * @property {number[] | null} [firstLook]
 * @property {StoredReading | null} reading
 */
/** @typedef {object} Round
 * @property {string} id
 * @property {number} number
 * @property {number} epoch
 * @property {RoundState} state
 * @property {Grid} grid
 * @property {string[]} classNames
 * @property {{height: number, width: number}} modelView
 * @property {Case[]} cases
 * @property {number[]} [answer] practice only: where the lesion lies
 */
/** @typedef {{name: string, read: number, secondsMedian: number | null,
 *   lastSeen: string | null}} ReaderLine */
/** @typedef {{id: string, name: string, kind: string, created: string, expires: string | null,
 *   revoked: string | boolean | null, used: string | boolean | null}} Invitation */
/** @typedef {object} Lobby
 * @property {string} run
 * @property {Training} training
 * @property {Result | null} result
 * @property {(RoundLine & {readers: ReaderLine[]})[]} rounds
 * @property {Invitation[]} invitations
 */

/** What went wrong, in a sentence for the person. Status 0: the server was not reached. */
export class ApiError extends Error {
  /** @param {number} status @param {string} sentence
   * @param {boolean} [ours] did the reading room itself say so, and no proxy in between? */
  constructor(status, sentence, ours = false) {
    super(sentence);
    this.status = status;
    this.ours = ours;
  }
}

const PATIENCE = 20000; // ms until an answer is given up

/**
 * The server's answer.
 * @param {"GET" | "PUT" | "POST" | "DELETE"} method @param {string} path
 * @param {unknown} [body] @returns {Promise<unknown>} @throws {ApiError}
 */
export async function call(method, path, body) {
  /** @type {RequestInit} */
  const options = { method, credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) };
  if (method !== "GET") options.headers = { "Content-Type": "application/json" };
  if (body !== undefined) options.body = JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (!answer.ok) {
    const said = await sentence(answer);
    throw new ApiError(answer.status, said || `The server answered ${answer.status}.`, said !== "");
  }
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch {
    throw new ApiError(0, "Something between here and the server answers in its place.");
  }
}

/** @param {Response} answer @returns {Promise<string>} the reading room's own; empty if a proxy's */
async function sentence(answer) {
  try {
    const { detail } = /** @type {{detail?: unknown}} */ (await answer.json());
    if (typeof detail === "string") return detail;
  } catch {
    // not JSON: a proxy in between has answered
  }
  return "";
}

/** @param {string} round @param {number} number */
const casePath = (round, number) => `/api/rounds/${encodeURIComponent(round)}/cases/${number}`;

export const api = {
  session: () => /** @type {Promise<Session>} */ (call("GET", "/api/session")),
  /** @param {string} id */
  round: (id) =>
    /** @type {Promise<Round>} */ (call("GET", `/api/rounds/${encodeURIComponent(id)}`)),
  practice: () => /** @type {Promise<Round>} */ (call("GET", "/api/practice")),
  /** @param {string} round @param {number} number @param {string} id
   * @param {{squares: readonly number[], seconds: number}} look */
  firstLook: (round, number, id, look) =>
    /** @type {Promise<{opinion: Opinion}>} */ (
      call("PUT", `${casePath(round, number)}/first-look/${id}`, look)
    ),
  /** @param {string} round @param {number} number @param {string} id */
  readingPath: (round, number, id) => `${casePath(round, number)}/readings/${id}`,
  /** @param {string} round @param {number} number @param {readonly number[]} squares */
  previewUrl: (round, number, squares) =>
    `${casePath(round, number)}/preview?squares=${squares.join(",")}`,
  /** @param {string} round */
  finish: (round) => call("POST", `/api/rounds/${encodeURIComponent(round)}/finish`, {}),
  lobby: () => /** @type {Promise<Lobby>} */ (call("GET", "/api/lobby")),
  /** @param {string} name @param {number} days */
  invite: (name, days) =>
    /** @type {Promise<{link: string, name: string, expires: string}>} */ (
      call("POST", "/api/invitations", { name, days })
    ),
  /** @param {string} id */
  revoke: (id) => call("DELETE", `/api/invitations/${encodeURIComponent(id)}`),
  /** @param {string} round */
  close: (round) => call("POST", `/api/rounds/${encodeURIComponent(round)}/close`, {}),
  audit: () =>
    /** @type {Promise<{at: string, who: string, what: string, detail: string}[]>} */ (
      call("GET", "/api/audit")
    ),
  signOut: () => call("POST", "/api/sign-out", {}),
};
