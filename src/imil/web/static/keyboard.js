// Keys pressed on the page of a case: each is looked up in the table of keys and run as a command.

import { HELD, REPEATED, releaseFocus } from "./shortcuts.js";

/** @typedef {import("./shortcuts.js").Shortcuts} Shortcuts */
/** @typedef {{run: (command: string) => void, release: (command: string) => void}} KeyCallbacks
 * release: a held command ends */

export class Keyboard {
  #shortcuts;
  #callbacks;
  /** @type {Map<string, string>} held commands by the code of their key */
  #held = new Map();

  /** @param {Shortcuts} shortcuts @param {KeyCallbacks} callbacks */
  constructor(shortcuts, callbacks) {
    this.#shortcuts = shortcuts;
    this.#callbacks = callbacks;
  }

  /** Listens until the signal is aborted. @param {AbortSignal} signal */
  attach(signal) {
    document.addEventListener("keydown", (event) => this.#onKeyDown(event), { signal });
    document.addEventListener("keyup", ({ code }) => this.#release(code), { signal });
    window.addEventListener("blur", () => [...this.#held.keys()].forEach((code) => this.#release(code)), { signal });
    // a control that was used with a pointer gives the focus back: Enter and space are the page's
    for (const kind of ["click", "change"]) document.addEventListener(kind, giveBack, { signal });
  }

  /** @param {KeyboardEvent} event */
  #onKeyDown(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const command = this.#shortcuts.command(event);
    if (!command) return;
    event.preventDefault();
    if (event.repeat && !REPEATED.has(command)) return;
    if (HELD.has(command)) this.#held.set(event.code, command);
    this.#callbacks.run(command);
  }

  /** @param {string} code */
  #release(code) {
    const command = this.#held.get(code);
    this.#held.delete(code);
    if (command) this.#callbacks.release(command);
  }
}

/** @param {Event} event a click or a change */
function giveBack({ target }) {
  // an open dialog keeps the focus, also where this click opened it
  if (document.querySelector("dialog[open]")) return;
  if (target instanceof Element && target.closest("dialog")) return; // its keys are its own
  if (!document.activeElement?.matches(":focus-visible")) releaseFocus();
}
