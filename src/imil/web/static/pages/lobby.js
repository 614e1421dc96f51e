// For the person who runs the study: rounds, readers, links. Looks again every few seconds.

import { api } from "../api.js";
import { fill, h, minutes, plural } from "../dom.js";
import { resultTable } from "./thanks.js";

/** @typedef {import("../api.js").Lobby} Lobby */
/** @typedef {import("../app.js").App} App */

const EVERY = 3000; // ms
const TRAINING = { running: "training", waiting: "waiting for readers", finished: "finished", gone: "not running" };

export class LobbyPage extends HTMLElement {
  #app;
  #live = h("div", { class: "live" });
  #links = h("div", { class: "links" });
  #said = h("p", { class: "said", role: "alert" });
  #timer = 0;
  #last = "";

  /** @param {App} app */
  constructor(app) {
    super();
    this.#app = app;
    this.className = "page lobby";
  }

  connectedCallback() {
    if (!this.firstChild) this.append(h("h1", {}, "Lobby"), this.#said, this.#live, h("section", { class: "card" }, h("h2", {}, "Invite a reader"), this.#form(), this.#links), this.#audit());
    void this.#look();
    this.#timer = window.setInterval(() => void this.#look(), EVERY);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  async #look() {
    if (document.hidden) return;
    try {
      const lobby = await api.lobby();
      this.#tell("");
      const text = JSON.stringify(lobby);
      if (text === this.#last) return; // what has the keyboard keeps it
      this.#last = text;
      fill(this.#live, this.#head(lobby), ...lobby.rounds.map((round) => this.#round(round)));
      fill(this.#links, this.#invitations(lobby));
    } catch (error) {
      if (/** @type {import("../api.js").ApiError} */ (error).status === 401) return this.#app.leave();
      this.#tell(/** @type {Error} */ (error).message);
    }
  }

  /** @param {Lobby} lobby */
  #head({ run, training, result }) {
    const at = training.epoch !== null ? `epoch ${training.epoch}${training.epochs !== null ? ` of ${training.epochs}` : ""}` : "";
    return h(
      "section",
      { class: "card head" },
      h("div", {}, h("h2", {}, run), h("p", {}, h("span", { class: `lamp ${training.state}` }), TRAINING[training.state], at && ` · ${at}`)),
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
        round.state === "open" && h("span", { class: "row" }, h("button", { type: "button", onclick: () => this.#app.go("#/read") }, "Read it yourself"), h("button", { type: "button", onclick: () => void this.#close(round) }, "Close the round")),
      ),
      round.readers.length ? readers(round) : h("p", { class: "dim" }, "Nobody has opened it yet."),
    );
  }

  /** @param {Lobby} lobby */
  #invitations({ invitations }) {
    const rows = invitations.map((one) =>
      h(
        "tr",
        { class: one.revoked ? "revoked" : "" },
        h("th", { scope: "row" }, one.name),
        h("td", {}, one.kind),
        h("td", {}, state(one)),
        h("td", {}, !one.revoked && one.kind === "reader" && h("button", { type: "button", class: "quiet", onclick: () => void this.#revoke(one) }, "Revoke")),
      ),
    );
    return table(["Name", "Kind", "Link", ""], rows);
  }

  #form() {
    const name = h("input", { id: "invite-name", required: true, maxlength: 80, autocomplete: "off", placeholder: "Dr. Lee" });
    const days = h("input", { id: "invite-days", type: "number", min: 1, max: 365, value: 30, required: true });
    const shown = h("div", { class: "link", role: "status" });
    const send = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      try {
        const { link } = await api.invite(name.value.trim(), days.valueAsNumber);
        fill(shown, ...linkShown(name.value.trim(), link));
        name.value = "";
        await this.#look();
      } catch (error) {
        this.#tell(/** @type {Error} */ (error).message);
      }
    };
    return h("form", { class: "invite", onsubmit: send }, h("label", { for: "invite-name" }, "Name"), name, h("label", { for: "invite-days" }, "valid for days"), days, h("button", { type: "submit", class: "primary" }, "Make a link"), shown);
  }

  #audit() {
    const body = h("div", {});
    const details = h("details", { class: "card audit" }, h("summary", {}, "What happened (newest first)"), body);
    details.addEventListener("toggle", async () => {
      if (!details.open) return;
      const rows = await api.audit().catch(() => []);
      fill(body, table(["When", "Who", "What", ""], rows.map(({ at, who, what, detail }) => h("tr", {}, h("td", {}, when(at)), h("td", {}, who), h("td", {}, what), h("td", { class: "dim" }, detail)))));
    });
    return details;
  }

  /** @param {Lobby["rounds"][number]} round */
  async #close(round) {
    if (!confirm(`Close round ${round.number}? Cases that nobody has read count as skipped, and training goes on.`)) return;
    await this.#try(() => api.close(round.id));
  }

  /** @param {{id: string, name: string}} invitation */
  async #revoke({ id, name }) {
    if (!confirm(`Revoke the link of ${name}? It stops working at once, also where it is open.`)) return;
    await this.#try(() => api.revoke(id));
  }

  /** @param {() => Promise<unknown>} act */
  async #try(act) {
    try {
      await act();
      await this.#look();
    } catch (error) {
      this.#tell(/** @type {Error} */ (error).message);
    }
  }

  /** @param {string} sentence */
  #tell(sentence) {
    if (this.#said.textContent !== sentence) this.#said.textContent = sentence;
  }
}

/** @param {Lobby["rounds"][number]} round */
function readers({ readers: lines, cases }) {
  const rows = lines.map(({ name, read, secondsMedian, lastSeen }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      h("td", {}, h("progress", { max: cases, value: read, "aria-label": `Read by ${name}` }), ` ${read} of ${cases}`),
      h("td", {}, secondsMedian === null ? "" : `${minutes(secondsMedian)} min`),
      h("td", {}, lastSeen ? when(lastSeen) : "not yet"),
    ),
  );
  return table(["Reader", "Read", "Time per case", "Last seen"], rows);
}

/** @param {string[]} heads @param {HTMLElement[]} rows */
function table(heads, rows) {
  return h("div", { class: "table" }, h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows)));
}

/** @param {string} name @param {string} link */
function linkShown(name, link) {
  const field = h("input", { readonly: true, value: link, "aria-label": `Link for ${name}`, onfocus: () => field.select() });
  const copy = h("button", { type: "button", onclick: () => void navigator.clipboard?.writeText(link).then(() => (copy.textContent = "Copied"), () => field.select()) }, "Copy");
  return [h("p", {}, `The link for ${name}. It is shown only now; whoever has it reads as ${name}.`), h("div", { class: "row" }, field, copy)];
}

/** @param {Lobby["invitations"][number]} one */
function state({ revoked, used, expires }) {
  if (revoked) return "revoked";
  if (expires && Date.parse(expires) < Date.now()) return `expired ${when(expires)}`;
  return [used ? "used" : "not used yet", expires && `until ${when(expires)}`].filter(Boolean).join(", ");
}

/** @param {string} iso */
function when(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const today = date.toDateString() === new Date().toDateString();
  return today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" });
}

customElements.define("imil-lobby", LobbyPage);
