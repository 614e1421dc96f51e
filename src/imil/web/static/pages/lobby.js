// The study lead's page: rounds, readers, links. Refreshed every few seconds.

import { api } from "../api.js";
import { dayAndTime, fill, h, minutes, percent, plural } from "../dom.js";
import { resultTable } from "./finished.js";

/** @typedef {import("../api.js").Lobby} Lobby */
/** @typedef {import("../app.js").App} App */

const POLL_INTERVAL = 3000; // ms
const TRAINING_LABELS = { running: "training", waiting: "waiting for readers", parked: "parked until the round is read", finished: "finished", gone: "not running" };

export class LobbyPage extends HTMLElement {
  #app;
  #live = h("div", { class: "live" });
  #links = h("div", { class: "links" });
  #newLink = h("div", { class: "link", role: "status" });
  #error = h("p", { class: "message", role: "alert" });
  #timer = 0;
  #last = "";

  /** @param {App} app */
  constructor(app) {
    super();
    this.#app = app;
    this.className = "page lobby";
  }

  connectedCallback() {
    if (!this.firstChild) this.append(h("h1", {}, "Lobby"), this.#error, this.#live, h("section", { class: "card" }, h("h2", {}, "Invite a reader"), this.#form(), this.#links), this.#audit());
    void this.#refresh();
    this.#timer = window.setInterval(() => void this.#refresh(), POLL_INTERVAL);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  async #refresh() {
    if (document.hidden) return;
    try {
      const lobby = await api.lobby();
      this.#showError("");
      const text = JSON.stringify(lobby);
      if (text === this.#last) return; // unchanged: keeps the focus where it is
      this.#last = text;
      fill(this.#live, this.#head(lobby), ...lobby.rounds.map((round) => this.#round(round)));
      fill(this.#links, this.#invitations(lobby));
    } catch (error) {
      if (/** @type {import("../api.js").ApiError} */ (error).status === 401) return this.#app.showSignedOut();
      this.#showError(/** @type {Error} */ (error).message);
    }
  }

  /** @param {Lobby} lobby */
  #head({ run, training, result }) {
    const at = training.epoch !== null ? `epoch ${training.epoch}${training.epochs !== null ? ` of ${training.epochs}` : ""}` : "";
    return h(
      "section",
      { class: "card head" },
      h("div", {}, h("h2", {}, run), h("p", {}, h("span", { class: `indicator ${training.state}` }), TRAINING_LABELS[training.state], at && ` · ${at}`)),
      training.epoch !== null && training.epochs !== null && h("progress", { max: training.epochs, value: training.epoch, "aria-label": "Epochs" }),
      result && resultTable(result),
    );
  }

  /** @param {Lobby["rounds"][number]} round */
  #round(round) {
    return h(
      "section",
      { class: "card" },
      h(
        "header",
        { class: "row" },
        h("h2", {}, `Round ${round.number}`),
        h("span", { class: "dim" }, `after epoch ${round.epoch} · ${plural(round.cases, "case")}`),
        h("span", { class: `badge ${round.state}` }, round.state),
        h("span", { class: "row" }, ...this.#buttons(round)),
      ),
      round.state === "open" && h("p", { class: "dim" }, round.waitsFor ? `Waits for ${round.waitsFor}.` : "Waits for nobody: it closes when a reader finishes, or when you close it."),
      round.closes && h("p", { class: "dim" }, `Closes on ${dayAndTime(round.closes)} with the readings that are there.`),
      round.readers.length ? readers(round) : h("p", { class: "dim" }, "No reader has opened this round yet."),
      round.merged.length > 0 && mergedAnswers(round.merged),
      round.agreement && agreementOf(round.agreement),
    );
  }

  /** @param {Lobby["rounds"][number]} round */
  #buttons(round) {
    const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) => h("button", { type: "button", onclick }, text);
    const results = button("All answers", () => this.#app.go(`#/results/${round.id}`));
    if (round.state === "open") return [results, button("Read this round", () => this.#app.go("#/read")), button("Close the round", () => void this.#close(round))];
    return round.state === "closed" ? [results, button("Reopen the round", () => void this.#reopen(round))] : [results];
  }

  /** @param {Lobby} lobby */
  #invitations({ invitations }) {
    const rows = invitations.map((invitation) =>
      h(
        "tr",
        { class: invitation.revoked ? "revoked" : "" },
        h("th", { scope: "row", dir: "auto" }, invitation.name),
        h("td", {}, invitation.kind),
        h("td", {}, linkState(invitation)),
        h(
          "td",
          {},
          invitation.kind === "reader" && h("button", { type: "button", class: "quiet", onclick: () => void this.#renew(invitation) }, "New link"),
          !invitation.revoked && h("button", { type: "button", class: "quiet", onclick: () => void this.#revoke(invitation) }, "Revoke"),
        ),
      ),
    );
    return table(["Name", "Kind", "Link", ""], rows);
  }

  #form() {
    const name = h("input", { id: "invite-name", required: true, maxlength: 80, autocomplete: "off", placeholder: "Dr. Lee" });
    const days = h("input", { id: "invite-days", type: "number", min: 1, max: 365, value: 30, required: true });
    const output = this.#newLink;
    const send = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      try {
        const { link } = await api.invite(name.value.trim(), days.valueAsNumber);
        fill(output, ...newLinkFields(name.value.trim(), link));
        name.value = "";
        await this.#refresh();
      } catch (error) {
        this.#showError(/** @type {Error} */ (error).message);
      }
    };
    return h("form", { class: "invite", onsubmit: send }, h("label", { for: "invite-name" }, "Name"), name, h("label", { for: "invite-days" }, "Valid for (days)"), days, h("button", { type: "submit", class: "primary" }, "Create link"), output);
  }

  #audit() {
    const body = h("div", {});
    const details = h("details", { class: "card audit" }, h("summary", {}, "Audit log (newest first)"), body);
    details.addEventListener("toggle", async () => {
      if (!details.open) return;
      const rows = await api.audit().catch(() => []);
      fill(body, table(["When", "Who", "What", ""], rows.map(({ at, who, what, detail }) => h("tr", {}, h("td", {}, formatDate(at)), h("td", { dir: "auto" }, who), h("td", {}, what), h("td", { class: "dim" }, detail)))));
    });
    return details;
  }

  /** @param {Lobby["rounds"][number]} round */
  async #close(round) {
    const waits = round.waitsFor ? ` It still waits for ${round.waitsFor}.` : "";
    if (!confirm(`Close round ${round.number}?${waits} Cases without a reading count as skipped, and training continues.`)) return;
    await this.#runAction(() => api.close(round.id));
  }

  /** @param {Lobby["rounds"][number]} round */
  async #reopen(round) {
    if (!confirm(`Reopen round ${round.number}? Every reader has to finish it again.`)) return;
    await this.#runAction(() => api.reopen(round.id));
  }

  /** @param {{id: string, name: string}} invitation */
  async #revoke({ id, name }) {
    if (!confirm(`Revoke the link of ${name}? It stops working immediately, also in open browsers.`)) return;
    await this.#runAction(() => api.revoke(id));
  }

  /** @param {{id: string, name: string}} invitation */
  async #renew({ id, name }) {
    if (!confirm(`Make a new link for ${name}? The old one stops working immediately, also in open browsers.`)) return;
    await this.#runAction(async () => fill(this.#newLink, ...newLinkFields(name, (await api.renew(id)).link)));
  }

  /** @param {() => Promise<unknown>} command */
  async #runAction(command) {
    try {
      await command();
      await this.#refresh();
    } catch (error) {
      this.#showError(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} sentence */
  #showError(sentence) {
    if (this.#error.textContent !== sentence) this.#error.textContent = sentence;
  }
}

/** @param {Lobby["rounds"][number]} round */
function readers({ readers: readerLines }) {
  const rows = readerLines.map(({ name, read, cases, secondsMedian, lastSeen, finished }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", dir: "auto" }, name),
      h("td", {}, h("progress", { max: cases, value: read, "aria-label": `Read by ${name}` }), ` ${read} of ${cases} `, finished && h("span", { class: "badge" }, "finished")),
      h("td", {}, secondsMedian === null ? "" : `${minutes(secondsMedian)} min`),
      h("td", {}, lastSeen ? formatDate(lastSeen) : "not yet"),
    ),
  );
  return table(["Reader", "Read", "Time per case", "Last seen"], rows);
}

/** @param {string[]} lines one for each case in which somebody's answer is not what training uses */
function mergedAnswers(lines) {
  return h("details", {}, h("summary", {}, `Merged answers: ${plural(lines.length, "case")} with different answers`), h("ul", { class: "merged" }, ...lines.map((line) => h("li", {}, line))));
}

/** How far the readers agree. @param {import("../api.js").Agreement} agreement */
function agreementOf({ cases, kappa, alpha, jaccard, sameVerdict, columns, squares, readers: lines }) {
  const staple = lines.some(({ sensitivity }) => sensitivity !== null);
  const heads = ["Reader", "Kappa", "Overlap", ...(staple ? ["Sensitivity", "Specificity"] : [])];
  const rows = lines.map(({ name, sensitivity, specificity, ...line }) =>
    h("tr", {}, h("th", { scope: "row", dir: "auto" }, name), ...[line.kappa, line.jaccard, ...(staple ? [sensitivity, specificity] : [])].map((value) => h("td", {}, decimal(value)))),
  );
  const grid = h("div", { class: "kappas", role: "img", "aria-label": "Kappa of each square" }, ...squares.map((value) => h("span", {}, decimal(value))));
  grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  return h(
    "details",
    { class: "agreement" },
    h("summary", {}, `Agreement of ${plural(lines.length, "reader")}`),
    h("p", {}, `Fleiss’s kappa ${decimal(kappa)} over ${plural(cases, "case")} in which all selected squares · Krippendorff’s alpha ${decimal(alpha)} · overlap (Jaccard) ${decimal(jaccard)} · same verdict in ${sameVerdict === null ? "–" : percent(sameVerdict)} of the cases`),
    h("p", { class: "dim" }, "0 is what chance gives, 1 full agreement. Each reader with the others:"),
    table(heads, rows),
    h("p", { class: "dim" }, "Kappa of each square, as the squares lie in the image; –: the same answer from everybody every time."),
    grid,
  );
}

/** @param {number | null} value */
function decimal(value) {
  return value === null ? "–" : value.toFixed(2);
}

/** @param {string[]} heads @param {HTMLElement[]} rows */
function table(heads, rows) {
  return h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows)));
}

/** @param {string} name @param {string} link */
function newLinkFields(name, link) {
  const field = h("input", { readonly: true, value: link, "aria-label": `Link for ${name}`, onfocus: () => field.select() });
  const copy = h("button", { type: "button", onclick: () => void navigator.clipboard?.writeText(link).then(() => (copy.textContent = "Copied"), () => field.select()) }, "Copy");
  return [h("p", {}, `Link for ${name}. It is shown only once. Anyone who has it can read as ${name}.`), h("div", { class: "row" }, field, copy)];
}

/** @param {Lobby["invitations"][number]} invitation */
function linkState({ revoked, used, expires }) {
  if (revoked) return "revoked";
  if (expires && Date.parse(expires) < Date.now()) return `expired ${formatDate(expires)}`;
  return [used ? "used" : "not used yet", expires && `until ${formatDate(expires)}`].filter(Boolean).join(", ");
}

/** @param {string} iso */
function formatDate(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}

customElements.define("imil-lobby", LobbyPage);
