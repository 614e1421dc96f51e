// The dialog that lists the keyboard shortcuts and lets the reader change them.

import { fill, h } from "./dom.js";
import { COMMANDS, keyName, displayKey } from "./shortcuts.js";

/** @param {import("./shortcuts.js").Shortcuts} shortcuts */
export function openShortcuts(shortcuts) {
  const body = h("div", { class: "keys" });
  // removed at once, so that the next key is the page's: the event comes a frame later
  const close = () => (dialog.close(), dialog.remove());
  const dialog = h(
    "dialog",
    { class: "sheet", "aria-labelledby": "keys-title", onclose: () => dialog.remove() },
    h("header", {}, h("h2", { id: "keys-title" }, "Keyboard shortcuts"), h("button", { type: "button", onclick: close }, "Close")),
    h("p", { class: "dim" }, "To change a shortcut, select it and press the new key. Esc cancels."),
    body,
    h("footer", {}, h("button", { type: "button", onclick: () => (shortcuts.reset(), draw()) }, "Restore defaults")),
  );
  const draw = () => fill(body, ...groups().map((name) => table(name)));
  /** @param {string} name */
  const table = (name) =>
    h(
      "section",
      {},
      h("h3", {}, name),
      ...COMMANDS.filter((command) => command.group === name).map((command) =>
        h("div", { class: "key-line" }, h("span", {}, command.label), keyButton(shortcuts, command.id, command.label, draw)),
      ),
    );
  draw();
  document.body.append(dialog);
  dialog.showModal();
}

const groups = () => [...new Set(COMMANDS.map((command) => command.group))];

/** @param {import("./shortcuts.js").Shortcuts} shortcuts @param {string} command @param {string} label
 * @param {() => void} redraw */
function keyButton(shortcuts, command, label, redraw) {
  const name = shortcuts.key(command) ? displayKey(shortcuts.key(command)) : "none";
  const button = h("button", { type: "button", class: "key", "aria-label": `${label}: ${name}` }, name);
  button.addEventListener("click", () => {
    button.textContent = "press a key";
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      if (["Control", "Shift", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      button.removeEventListener("keydown", onKeyDown);
      if (event.key !== "Escape") shortcuts.bind(command, keyName(event));
      redraw();
    };
    button.addEventListener("keydown", onKeyDown);
  });
  return button;
}
