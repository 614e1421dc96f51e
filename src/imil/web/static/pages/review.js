// Every case of the round side by side, to look over and to change until the round is closed.

import { api } from "../api.js";
import { fill, h, minutes, percent, plural, s } from "../dom.js";
import { heatPicture } from "../heatmap.js";
import { every, outline } from "../squares.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../app.js").App} App */

const WORDS = { focus: "", skip: "skipped", "wrong label": "label looks wrong", "not assessable": "not assessable" };

/** @param {App} app @param {Round} round */
export function reviewPage(app, round) {
  const open = round.state === "open";
  const unread = round.cases.filter((kase) => !kase.reading);
  const said = h("p", { class: "said", role: "alert" });
  const finish = h("button", { type: "button", class: "primary" }, "Finish the round");
  finish.addEventListener("click", () => void done(app, round, finish, said));
  finish.disabled = unread.length > 0;
  const page = h(
    "article",
    { class: "page review" },
    h(
      "header",
      { class: "review-head" },
      h("div", {}, h("h1", {}, open ? "Your readings" : "This round is closed"), h("p", { class: "dim" }, summary(round, unread.length, open))),
      open && h("div", { class: "finish" }, said, unread[0] && h("button", { type: "button", onclick: () => app.openCase(round, unread[0]?.number ?? 1) }, `Go to case ${unread[0].number}`), finish),
    ),
    h("ul", { class: "cards" }, ...round.cases.map((kase) => card(app, round, kase, open))),
  );
  const arrive = () => {
    if (!page.isConnected) return app.queue.removeEventListener("stored", arrive);
    for (const { number } of round.cases.filter((kase) => !app.queue.holds(round.id, kase.number))) {
      page.querySelector(`[data-case="${number}"] .wait`)?.remove();
    }
  };
  app.queue.addEventListener("stored", arrive);
  return page;
}

/** @param {Round} round @param {number} unread @param {boolean} open */
function summary(round, unread, open) {
  if (!open) return "Readings can no longer be changed.";
  if (unread) return `${plural(unread, "case")} of ${round.cases.length} still to read.`;
  const seconds = round.cases.reduce((sum, kase) => sum + (kase.reading?.seconds ?? 0), 0);
  return `All ${round.cases.length} cases read in ${minutes(seconds)} min. Look them over, change what you like, then finish the round.`;
}

/** @param {App} app @param {Round} round @param {HTMLButtonElement} button
 * @param {HTMLElement} said */
async function done(app, round, button, said) {
  button.disabled = true;
  if (app.queue.waiting > 0) app.queue.wake();
  try {
    if (!(await arrived(app))) throw new Error(`${plural(app.queue.waiting, "reading")} could not be sent yet. They are kept here; finish when the network is back.`);
    await api.finish(round.id);
    round.state = "closed";
    app.go("#/thanks");
  } catch (error) {
    const { status } = /** @type {import("../api.js").ApiError} */ (error);
    if (status === 409) {
      app.go("#/thanks");
      return app.say(/** @type {Error} */ (error).message);
    }
    said.textContent = /** @type {Error} */ (error).message;
    button.disabled = false;
  }
}

/** @param {App} app @returns {Promise<boolean>} has every reading reached the server? */
async function arrived(app) {
  for (let tries = 0; tries < 30 && app.queue.waiting > 0 && !app.queue.offline; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return app.queue.waiting === 0;
}

/** @param {App} app @param {Round} round @param {Case} kase @param {boolean} open */
function card(app, round, kase, open) {
  const { reading, opinion } = kase;
  const verdict = reading ? WORDS[reading.verdict] : open ? "not read yet" : "not read";
  const waiting = app.queue.holds(round.id, kase.number);
  return h(
    "li",
    { class: reading ? "card" : "card unread", "data-case": kase.number, "data-squares": reading?.squares.join(" ") ?? "" },
    h("header", {}, h("h2", {}, `Case ${kase.number}`), verdict && h("span", { class: "badge" }, verdict), waiting && h("span", { class: "badge wait" }, "on its way")),
    h("div", { class: "pictures" }, film(app, round, kase), seen(round, kase)),
    h("p", { class: "line" }, opinion && h("span", {}, "Model: ", h("strong", {}, opinion.predictedName), ` ${percent(opinion.confidence)}`), opinion && " · ", h("span", {}, "Truth: ", h("strong", {}, kase.labelName))),
    reading?.reason && h("p", { class: "why" }, reading.reason),
    h(
      "footer",
      {},
      h("span", { class: "dim" }, reading ? [reading.squares.length ? `${reading.squares.length === 1 ? "square" : "squares"} ${reading.squares.join(", ")}` : "", `${minutes(reading.seconds)} min`].filter(Boolean).join(" · ") : ""),
      open && h("button", { type: "button", onclick: () => app.openCase(round, kase.number) }, reading ? "Change" : "Read"),
    ),
  );
}

/** The film with attention and squares. @param {App} app @param {Round} round @param {Case} kase */
function film(app, round, kase) {
  const { height, width, spacing } = kase.image;
  const tall = spacing ? (height * spacing[0]) / spacing[1] : height;
  const picture = h("figure", { class: "thumb" });
  const frame = h("div", { class: "frame" });
  frame.style.aspectRatio = `${width} / ${tall}`;
  frame.append(
    preview(api.previewUrl(round.id, kase.number, every(round.grid)), `The film of case ${kase.number}`),
    h("span", { class: "heat-place" }),
    s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { class: "grid-halo", d: outline(round.grid, kase.reading?.squares ?? [], height, width) }), s("path", { class: "grid-chosen", d: outline(round.grid, kase.reading?.squares ?? [], height, width) })),
  );
  picture.append(frame, h("figcaption", {}, "film, attention, squares"));
  if (kase.opinion) {
    const { opinion } = kase;
    const heat = () =>
      void app.films.heatMap(opinion, "predicted").then(
        (map) => {
          const canvas = heatPicture(map);
          canvas.className = "heat-thumb";
          canvas.setAttribute("aria-hidden", "true");
          fill(/** @type {Element} */ (frame.querySelector(".heat-place")), canvas);
        },
        () => addEventListener("online", heat, { once: true }),
      );
    heat();
  }
  return picture;
}

/** What the model will see. @param {Round} round @param {Case} kase */
function seen(round, kase) {
  const { reading } = kase;
  const focus = reading?.verdict === "focus";
  const squares = focus ? reading.squares : every(round.grid);
  const frame = h("div", { class: "frame" });
  frame.style.aspectRatio = `${round.modelView.width} / ${round.modelView.height}`;
  frame.append(preview(api.previewUrl(round.id, kase.number, squares), focus ? `Black outside squares ${squares.join(", ")}` : "The film as it was"));
  return h("figure", { class: "thumb" }, frame, h("figcaption", {}, focus ? "what the model will see" : "left as it was"));
}

/** A picture that is asked for again when the network is back. @param {string} src
 * @param {string} alt */
function preview(src, alt) {
  const picture = h("img", { src, alt, loading: "lazy" });
  picture.addEventListener("error", () => addEventListener("online", () => (picture.src = src), { once: true }));
  return picture;
}
