// The server's API: types of its JSON, and functions that call it. Paths are relative to the page,
// which a proxy may serve under a prefix.

/** @typedef {import("./grid_geometry.js").Grid} Grid */
/** @typedef {"open" | "closed" | "applied"} RoundState */
/** @typedef {"focus" | "skip" | "wrong label" | "not assessable"} Verdict */

/** @typedef {{id: string, number: number, epoch: number, state: RoundState, cases: number,
 *   read: number, finished?: boolean, waitsFor?: number, closes?: string | null}} RoundLine */
/** @typedef {{state: "running" | "waiting" | "parked" | "finished" | "gone",
 *   epoch: number | null, epochs: number | null}} Training */
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
 * @property {number | null} slices of a volume, whose url takes ?slice=1 and so on
 * @property {number} height
 * @property {number} width
 * @property {1 | 3} channels
 * @property {8 | 16} bits
 * @property {number} low
 * @property {number} high
 * @property {[number, number] | null} spacing mm between rows, mm between columns
 * @property {boolean} atDetector whether that is the detector's, and lengths in the patient are shorter
 * @property {"" | "L" | "R" | "B" | "U"} laterality
 * @property {string} right direction in the patient towards the right edge, such as L
 * @property {string} bottom
 * @property {number | null} hounsfield Hounsfield units of a pixel of value 0; null: they are none
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
 * @property {number[]} misleading
 * @property {string} reason
 * @property {number} seconds
 * @property {string} created
 */
/** @typedef {object} Case
 * @property {number} number from 1; the page gets no other identifier of a case
 * @property {number} label
 * @property {string} labelName
 * @property {Pixels} image
 * @property {Opinion | null} opinion
 * @property {number[] | null} earlier
 * @property {number[] | null} [firstLook]
 * @property {StoredReading | null} reading
 * @property {{reader: string, reading: StoredReading}[] | null} [selections] of the readers, for the arbiter
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
 * @property {number[]} [answer] practice only: the squares of the lesion
 */
/** @typedef {{name: string, read: number, cases: number, secondsMedian: number | null,
 *   lastSeen: string | null, finished: boolean}} ReaderLine */
/** @typedef {{id: string, name: string, kind: string, created: string, expires: string | null,
 *   revoked: string | boolean | null, used: string | boolean | null}} Invitation */
/** @typedef {object} Agreement
 * @property {number} cases in which all readers selected squares
 * @property {number | null} kappa
 * @property {number | null} alpha
 * @property {number | null} jaccard
 * @property {number | null} sameVerdict in [0, 1]
 * @property {number} columns of the grid
 * @property {(number | null)[]} squares kappa of each square, row by row
 * @property {{name: string, kappa: number | null, jaccard: number | null, sensitivity: number | null,
 *   specificity: number | null}[]} readers
 */
/** @typedef {object} Lobby
 * @property {string} run
 * @property {Training} training
 * @property {Result | null} result
 * @property {{id: string, number: number, epoch: number, state: RoundState, cases: number,
 *   waitsFor: string, closes: string | null, merged: string[], readers: ReaderLine[],
 *   agreement: Agreement | null}[]} rounds
 * @property {Invitation[]} invitations
 */

/** @typedef {object} Answer
 * @property {string} reader
 * @property {StoredReading | null} reading
 * @property {{squares: number[], seconds: number, created: string} | null} firstLook
 * @property {number} changes
 */
/** @typedef {object} ResultCase
 * @property {number} number
 * @property {string} labelName
 * @property {string} predictedName
 * @property {number} confidence in [0, 1]
 * @property {number} height
 * @property {number} width
 * @property {Answer[]} answers
 * @property {StoredReading | null} used what training uses; null while the round is open
 * @property {number[] | null} [shares] of each square, where readers' shares are used
 */
/** @typedef {{number: number, epoch: number, state: RoundState, rule: string, grid: Grid,
 *   readers: string[], cases: ResultCase[]}} Results */

/** A failed request, with a message for the reader. Status 0: the server was not reached. */
export class ApiError extends Error {
  /** @param {number} status @param {string} errorDetail
   * @param {boolean} [fromServer] whether the reading room sent it, and not a proxy in between */
  constructor(status, errorDetail, fromServer = false) {
    super(errorDetail);
    this.status = status;
    this.fromServer = fromServer;
  }
}

const TIMEOUT = 20000; // ms until a request is given up

/**
 * The parsed JSON of the response.
 * @param {"GET" | "PUT" | "POST" | "DELETE"} method @param {string} path
 * @param {unknown} [body] @returns {Promise<unknown>} @throws {ApiError}
 */
export async function call(method, path, body) {
  /** @type {RequestInit} */
  const options = { method, credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT) };
  if (method !== "GET") options.headers = { "Content-Type": "application/json" };
  if (body !== undefined) options.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (!response.ok) {
    const detail = await errorDetail(response);
    throw new ApiError(response.status, detail || `The server returned error ${response.status}.`, detail !== "");
  }
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ApiError(0, "The response did not come from the reading room: a proxy or sign-on page may be in between.");
  }
}

/** @param {Response} response @returns {Promise<string>} the reading room's message; empty if a proxy has answered */
async function errorDetail(response) {
  try {
    const { detail } = /** @type {{detail?: unknown}} */ (await response.json());
    if (typeof detail === "string") return detail;
  } catch {
    // not JSON: a proxy in between has answered
  }
  return "";
}

/** @param {string} round @param {number} number */
const casePath = (round, number) => `api/rounds/${encodeURIComponent(round)}/cases/${number}`;

export const api = {
  session: () => /** @type {Promise<Session>} */ (call("GET", "api/session")),
  /** @param {string} id */
  round: (id) =>
    /** @type {Promise<Round>} */ (call("GET", `api/rounds/${encodeURIComponent(id)}`)),
  practice: () => /** @type {Promise<Round>} */ (call("GET", "api/practice")),
  /** @param {string} round @param {number} number @param {string} id
   * @param {{squares: readonly number[], seconds: number}} look */
  firstLook: (round, number, id, look) =>
    /** @type {Promise<{opinion: Opinion}>} */ (
      call("PUT", `${casePath(round, number)}/first-look/${id}`, look)
    ),
  /** @param {string} round @param {number} number @param {string} id */
  readingPath: (round, number, id) => `${casePath(round, number)}/readings/${id}`,
  /** @param {string} round @param {number} number @param {readonly number[]} squares @param {number | null} slice of a volume */
  previewUrl: (round, number, squares, slice = null) =>
    `${casePath(round, number)}/preview?squares=${squares.join(",")}${slice === null ? "" : `&slice=${slice}`}`,
  /** @param {string} round @param {number} number @param {"predicted" | "true"} which */
  energy: (round, number, which) =>
    /** @type {Promise<{energy: number[]}>} */ (call("GET", `${casePath(round, number)}/heat-map/${which}/energy`)),
  /** @param {string} round */
  learnedUrl: (round) => `api/rounds/${encodeURIComponent(round)}/learned`,
  /** @param {string} round @param {boolean} skipsAll whether the reader was asked, and skips every case
   * @throws {ApiError} 428: every case is skipped, and the reader was not asked */
  finish: (round, skipsAll = false) =>
    /** @type {Promise<{state: RoundState, waitsFor: number}>} */ (
      call("POST", `api/rounds/${encodeURIComponent(round)}/finish`, { skipsAll })
    ),
  lobby: () => /** @type {Promise<Lobby>} */ (call("GET", "api/lobby")),
  /** @param {string} name @param {number} days */
  invite: (name, days) =>
    /** @type {Promise<{link: string, name: string, expires: string}>} */ (
      call("POST", "api/invitations", { name, days })
    ),
  /** @param {string} id */
  renew: (id) =>
    /** @type {Promise<{link: string, name: string, expires: string}>} */ (
      call("POST", `api/invitations/${encodeURIComponent(id)}/renewal`, {})
    ),
  /** @param {string} id */
  revoke: (id) => call("DELETE", `api/invitations/${encodeURIComponent(id)}`),
  /** @param {string} round */
  close: (round) => call("POST", `api/rounds/${encodeURIComponent(round)}/close`, {}),
  /** @param {string} round */
  results: (round) => /** @type {Promise<Results>} */ (call("GET", `api/rounds/${encodeURIComponent(round)}/results`)),
  csvUrl: "api/readings.csv",
  /** @param {string} round */
  reopen: (round) => call("POST", `api/rounds/${encodeURIComponent(round)}/reopen`, {}),
  audit: () =>
    /** @type {Promise<{at: string, who: string, what: string, detail: string}[]>} */ (
      call("GET", "api/audit")
    ),
  lock: () => call("POST", "api/lock", {}),
  signOut: () => call("POST", "api/sign-out", {}),
};
