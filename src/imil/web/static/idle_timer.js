// Ends the session when nobody uses the page: films must not stay on a screen that was left.

import { api } from "./api.js";

/** @typedef {import("./app.js").App} App */

const LIMIT = 30; // minutes without input until the session ends
const WARNING = 25; // minutes without input until the person is warned
const CHECK_INTERVAL = 15000; // ms
const INPUT = ["pointerdown", "pointermove", "keydown", "wheel"];

/** Watches for input until the session has ended. @param {App} app */
export function watchIdle(app) {
  let last = Date.now();
  let warned = false;
  const onInput = () => {
    last = Date.now();
    if (warned) app.notice.hidden = true;
    warned = false;
  };
  for (const kind of INPUT) addEventListener(kind, onInput, { passive: true, capture: true });
  const timer = setInterval(() => {
    const minutes = (Date.now() - last) / 60000;
    if (minutes >= LIMIT) {
      clearInterval(timer);
      for (const kind of INPUT) removeEventListener(kind, onInput, { capture: true });
      void api.lock().catch(() => null).then(() => app.showSignedOut());
    } else if (minutes >= WARNING && !warned) {
      warned = true;
      app.notify(`Without input you will be signed out in ${LIMIT - WARNING} minutes; your link opens the page again in this browser.`);
    }
  }, CHECK_INTERVAL);
}
