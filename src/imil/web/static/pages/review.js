// All cases of a round with their readings, which can be changed until the round is closed.

import { api } from "../api.js";
import { dayAndTime, fill, h, minutes, percent, plural, s } from "../dom.js";
import { heatMapCanvas } from "../heat_map.js";
import { allSquares, hatchPath, outlinePath } from "../grid_geometry.js";
import { keptSquares, marksText } from "../reading_state.js";

/** @typedef {import("../api.js").Round} Round */
/** @typedef {import("../api.js").Case} Case */
/** @typedef {import("../app.js").App} App */

const VERDICT_LABELS = { focus: "", skip: "skipped", "wrong label": "label looks wrong", "not assessable": "not assessable" };

/** @param {App} app @param {Round} round */
export function reviewPage(app, round) {
  const open = round.state === "open";
  const unread = round.cases.filter((caseData) => !caseData.reading);
  const errorText = h("p", { class: "message", role: "alert" });
  const finish = h("button", { type: "button", class: "primary" }, "Finish the round");
  finish.addEventListener("click", () => void finishRound(app, round, finish, errorText));
  finish.disabled = unread.length > 0;
  const page = h(
    "article",
    { class: "page review" },
    h(
      "header",
      { class: "review-head" },
      h("div", {}, h("h1", {}, open ? "Your readings" : "This round is closed"), h("p", { class: "dim" }, summary(round, unread.length, open) + closing(app, round, open))),
      open && h("div", { class: "finish" }, errorText, unread[0] && h("button", { type: "button", onclick: () => app.openCase(round, unread[0]?.number ?? 1) }, `Go to case ${unread[0].number}`), finish),
    ),
    h("ul", { class: "cards" }, ...round.cases.map((caseData) => card(app, round, caseData, open))),
  );
  const onStored = () => {
    if (!page.isConnected) return app.outbox.removeEventListener("stored", onStored);
    for (const { number } of round.cases.filter((caseData) => !app.outbox.hasPending(round.id, caseData.number))) {
      page.querySelector(`[data-case="${number}"] .wait`)?.remove();
    }
  };
  app.outbox.addEventListener("stored", onStored);
  return page;
}

/** @param {Round} round @param {number} unread @param {boolean} open */
function summary(round, unread, open) {
  if (!open) return "Readings can no longer be changed.";
  if (unread) return `${plural(unread, "case")} of ${round.cases.length} still to read.`;
  const seconds = round.cases.reduce((sum, caseData) => sum + (caseData.reading?.seconds ?? 0), 0);
  return `All ${round.cases.length} cases read in ${minutes(seconds)} min. Check them, change them if needed, then finish the round.`;
}

/** When the round closes by itself. @param {App} app @param {Round} round @param {boolean} open */
function closing({ session }, round, open) {
  const closes = open && session.rounds.find(({ id }) => id === round.id)?.closes;
  return closes ? ` The round closes by itself on ${dayAndTime(closes)}.` : "";
}

/** @param {App} app @param {Round} round @param {HTMLButtonElement} button
 * @param {HTMLElement} errorText */
async function finishRound(app, round, button, errorText) {
  button.disabled = true;
  if (app.outbox.pendingCount > 0) app.outbox.sendNow();
  try {
    if (!(await allSent(app))) throw new Error(`${plural(app.outbox.pendingCount, "reading")} not sent yet. Unsent readings are saved in this browser: finish when the connection is back.`);
    const done = await finishOrAsk(round.id);
    if (!done) return void (button.disabled = false);
    round.state = done.state;
    app.go("#/finished");
  } catch (error) {
    const { status } = /** @type {import("../api.js").ApiError} */ (error);
    if (status === 409) {
      app.go("#/finished");
      return app.notify(/** @type {Error} */ (error).message);
    }
    errorText.textContent = /** @type {Error} */ (error).message;
    button.disabled = false;
  }
}

/** Who skipped every case is asked whether that is meant. @param {string} round */
async function finishOrAsk(round) {
  try {
    return await api.finish(round);
  } catch (error) {
    const { status, message } = /** @type {import("../api.js").ApiError} */ (error);
    if (status !== 428) throw error;
    return confirm(message) ? api.finish(round, true) : null;
  }
}

/** @param {App} app @returns {Promise<boolean>} whether every reading has reached the server */
async function allSent(app) {
  for (let tries = 0; tries < 30 && app.outbox.pendingCount > 0 && !app.outbox.offline; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return app.outbox.pendingCount === 0;
}

/** @param {App} app @param {Round} round @param {Case} caseData @param {boolean} open */
function card(app, round, caseData, open) {
  const { reading, opinion } = caseData;
  const verdict = reading ? VERDICT_LABELS[reading.verdict] : open ? "not read yet" : "not read";
  const unsent = app.outbox.hasPending(round.id, caseData.number);
  return h(
    "li",
    { class: reading ? "card" : "card unread", "data-case": caseData.number, "data-squares": reading?.squares.join(" ") ?? "", "data-misleading": reading?.misleading.join(" ") ?? "" },
    h("header", {}, h("h2", {}, `Case ${caseData.number}`), verdict && h("span", { class: "badge" }, verdict), unsent && h("span", { class: "badge wait" }, "not sent yet")),
    caseData.image.slices
      ? h("p", { class: "dim" }, `A volume of ${caseData.image.slices} slices: open the case to see its squares.`)
      : h("div", { class: "pictures" }, imageFigure(app, round, caseData), modelView(round, caseData)),
    h("p", { class: "line" }, opinion && h("span", {}, "Model: ", h("strong", {}, opinion.predictedName), ` ${percent(opinion.confidence)}`), opinion && " · ", h("span", {}, "Ground truth: ", h("strong", {}, caseData.labelName))),
    reading?.reason && h("p", { class: "reason-text", dir: "auto" }, reading.reason),
    h(
      "footer",
      {},
      h("span", { class: "dim" }, reading ? [marksText(reading), `${minutes(reading.seconds)} min`].filter(Boolean).join(" · ") : ""),
      open && h("button", { type: "button", "aria-label": `${reading ? "Change" : "Read"} case ${caseData.number}`, onclick: () => app.openCase(round, caseData.number) }, reading ? "Change" : "Read"),
    ),
  );
}

/** The image with heat-map and squares. @param {App} app @param {Round} round @param {Case} caseData */
function imageFigure(app, round, caseData) {
  const { height, width, spacing } = caseData.image;
  const scaledHeight = spacing ? (height * spacing[0]) / spacing[1] : height;
  const picture = h("figure", { class: "thumb" });
  const frame = h("div", { class: "frame" });
  frame.style.aspectRatio = `${width} / ${scaledHeight}`;
  const { squares, misleading } = caseData.reading ?? { squares: [], misleading: [] };
  const chosen = outlinePath(round.grid, squares, height, width);
  const hatched = outlinePath(round.grid, misleading, height, width) + hatchPath(round.grid, misleading, height, width);
  frame.append(
    previewImage(api.previewUrl(round.id, caseData.number, allSquares(round.grid)), `The image of case ${caseData.number}`),
    h("span", { class: "heat-place" }),
    s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, s("path", { class: "grid-halo", d: hatched + chosen }), s("path", { class: "grid-misleading", d: hatched }), s("path", { class: "grid-chosen", d: chosen })),
  );
  picture.append(frame, h("figcaption", {}, misleading.length ? "image, heat-map, squares; hatched: misleading" : "image, heat-map, squares"));
  if (caseData.opinion) {
    const { opinion } = caseData;
    const heat = () =>
      void app.imageCache.heatMap(opinion, "predicted").then(
        (map) => {
          const canvas = heatMapCanvas(map);
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

/** What the model will see. @param {Round} round @param {Case} caseData */
function modelView(round, caseData) {
  const { reading } = caseData;
  const focus = reading?.verdict === "focus";
  const squares = focus ? keptSquares(reading, allSquares(round.grid)) : allSquares(round.grid);
  const frame = h("div", { class: "frame" });
  frame.style.aspectRatio = `${round.modelView.width} / ${round.modelView.height}`;
  frame.append(previewImage(api.previewUrl(round.id, caseData.number, squares), focus ? `Black outside squares ${squares.join(", ")}` : "The image, unchanged"));
  return h("figure", { class: "thumb" }, frame, h("figcaption", {}, focus ? "what the model will see" : "unchanged"));
}

/** An image that is loaded again when the connection is back. @param {string} src
 * @param {string} alt */
function previewImage(src, alt) {
  const picture = h("img", { src, alt, loading: "lazy" });
  picture.addEventListener("error", () => addEventListener("online", () => (picture.src = src), { once: true }));
  return picture;
}
