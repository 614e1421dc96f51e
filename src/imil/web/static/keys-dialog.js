// `?`: every key, and how to set it otherwise.

import { fill, h } from "./dom.js";
import { ACTS, pressed, shown } from "./keys.js";

/** @param {import("./keys.js").Keys} keys */
export function openKeys(keys) {
  const body = h("div", { class: "keys" });
  const close = () => dialog.close();
  const dialog = h(
    "dialog",
    { class: "sheet", "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("header", {}, h("h2", { id: "keys-title" }, "Keys"), h("button", { type: "button", onclick: close }, "Close")),
    h("p", { class: "dim" }, "To set a key otherwise, choose it and press the new one; Esc leaves it as it is."),
    body,
    h("footer", {}, h("button", { type: "button", onclick: () => (keys.reset(), draw()) }, "As they were")),
  );
  const draw = () => fill(body, ...groups().map((name) => table(name)));
  /** @param {string} name */
  const table = (name) =>
    h(
      "section",
      {},
      h("h3", {}, name),
      ...ACTS.filter((act) => act.group === name).map((act) =>
        h("div", { class: "key-line" }, h("span", {}, act.label), keyButton(keys, act.id, act.label, draw)),
      ),
    );
  draw();
  document.body.append(dialog);
  dialog.showModal();
}

const groups = () => [...new Set(ACTS.map((act) => act.group))];

/** @param {import("./keys.js").Keys} keys @param {string} act @param {string} label
 * @param {() => void} redraw */
function keyButton(keys, act, label, redraw) {
  const name = keys.key(act) ? shown(keys.key(act)) : "none";
  const button = h("button", { type: "button", class: "key", "aria-label": `${label}: ${name}` }, name);
  button.addEventListener("click", () => {
    button.textContent = "press a key";
    const listen = (/** @type {KeyboardEvent} */ event) => {
      if (["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      button.removeEventListener("keydown", listen);
      if (event.key !== "Escape") keys.bind(act, pressed(event));
      redraw();
    };
    button.addEventListener("keydown", listen);
  });
  return button;
}
