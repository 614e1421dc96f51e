// Icons of the toolbar.

import { s } from "./dom.js";

const PATHS = /** @type {const} */ ({
  select: "M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9l5 2.2-2.2.6-.6 2.2z",
  rectangle: "M2.5 4h11v8h-11zM2.5 4h.01M13.5 12l2 2.5",
  single: "M2.5 2.5h11v11h-11z",
  side: "M1.5 4h13v8h-13zM8 4v8",
  stacked: "M4 1.5h8v13H4zM4 8h8",
  blink: "M2 2h9v9H2zM5 11v3h9V5h-3",
  bare: "M2.5 2.5h11v11h-11zM6 2.5v11M2.5 6h11M1 15 15 1",
  window: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12M8 5h4.6M8 8h6M8 11h4.6",
  zoom: "M6.5 2a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10 10l4 4M4.5 6.5h4M6.5 4.5v4",
  pan: "M8 1.5v13M1.5 8h13M8 1.5 6.2 3.4M8 1.5l1.8 1.9M8 14.5l-1.8-1.9M8 14.5l1.8-1.9M1.5 8l1.9-1.8M1.5 8l1.9 1.8M14.5 8l-1.9-1.8M14.5 8l-1.9 1.8",
  length: "M2 11.5 11.5 2 14 4.5 4.5 14zM5 8.5 6.5 10M7.5 6 9 7.5M10 3.5 11.5 5",
  invert: "M2.5 2.5h11v11h-11zM2.5 13.5l11-11M9 11h3",
  left: "M3 3v4h4M3.3 7A5.5 5.5 0 1 1 3 10.5",
  right: "M13 3v4H9M12.7 7A5.5 5.5 0 1 0 13 10.5",
  horizontal: "M8 1.5v13M6 4 1.5 12H6zM10 4l4.5 8H10z",
  vertical: "M1.5 8h13M4 6l8-4.5V6zM4 10l8 4.5V10z",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  reset: "M8 2.5a5.5 5.5 0 1 1-5 3.2M3 2.5v3.4h3.4",
});

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  return s(
    "svg",
    { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("path", { d: PATHS[name] }),
  );
}
