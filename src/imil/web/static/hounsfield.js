// Windows of a CT in Hounsfield units, as radiology stations name them.

/** @typedef {{center: number, width: number}} Window */

/** Level and width, in Hounsfield units. @type {Record<string, [label: string, level: number, width: number]>} */
export const CT_WINDOWS = {
  lung: ["Lung", -600, 1500],
  mediastinum: ["Mediastinum", 50, 350],
  "soft-tissue": ["Soft tissue", 50, 400],
  bone: ["Bone", 400, 1800],
  brain: ["Brain", 40, 80],
};

/**
 * The window in values of pixels.
 * @param {string} name of `CT_WINDOWS` @param {number} zero Hounsfield units of a pixel of value 0
 * @returns {Window | null} null if there is none of that name
 */
export function ctWindow(name, zero) {
  const known = CT_WINDOWS[name];
  return known ? { center: known[1] - zero, width: known[2] } : null;
}
