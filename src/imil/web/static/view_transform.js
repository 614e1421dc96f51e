// The view of an image: zoom, pan, orientation and window. All panes draw from one value, so that
// they cannot differ. Pure functions without access to the page.

/** Properties of an image.
 * @typedef {object} Film
 * @property {number} height pixels
 * @property {number} width pixels
 * @property {number} low smallest pixel value
 * @property {number} high largest pixel value
 * @property {number} bits 8 or 16
 * @property {number} [channels] 1: grey; 3: colours
 * @property {readonly [number, number] | null} spacing mm between rows, mm between columns
 */
/** @typedef {object} View
 * @property {number} zoom 1 fits the film into the pane
 * @property {number} x the film's pixel at the middle of the pane
 * @property {number} y
 * @property {number} turns quarter turns clockwise, 0 to 3
 * @property {boolean} mirrored left and right exchanged, before rotation
 * @property {number} center of the window
 * @property {number} width of the window, at least 1
 * @property {boolean} invert
 */
/** @typedef {{width: number, height: number}} Size in CSS pixels */
/** As in CSS and canvas: x' = a x + c y + e, y' = b x + d y + f.
 * @typedef {{a: number, b: number, c: number, d: number, e: number, f: number}} Matrix */
/** @typedef {{x: number, y: number}} Point */

export const MAX_PIXEL_SIZE = 40; // CSS pixels for one pixel of the film
const MIN_ZOOM = 0.25;

/**
 * The default view of an image.
 * @param {Film} film @returns {View}
 */
export function freshView(film) {
  return {
    zoom: 1,
    x: film.width / 2,
    y: film.height / 2,
    turns: 0,
    mirrored: false,
    ...fullWindow(film),
    invert: false,
  };
}

/**
 * The window in which the darkest pixel is black and the brightest is white; of a photograph in
 * colours, the one that shows it as it is stored.
 * @param {Film} film
 */
export function fullWindow({ low, high, bits, channels }) {
  return channels === 3 ? rangeWindow(0, 2 ** bits - 1) : rangeWindow(low, high);
}

/**
 * The window that shows `low` as black and `high` as white (DICOM LINEAR).
 * @param {number} low @param {number} high
 */
export function rangeWindow(low, high) {
  return { center: (low + high + 1) / 2, width: Math.max(1, high - low + 1) };
}

/**
 * The brightness of a stored value, 0 to 1.
 * Source: DICOM PS3.3 C.11.2.1.2.1, VOI LUT function LINEAR.
 * @param {number} value @param {{center: number, width: number}} window
 */
export function brightness(value, { center, width }) {
  const low = center - 0.5 - (width - 1) / 2;
  if (value <= low) return 0;
  if (value > low + (width - 1)) return 1;
  return (value - (center - 0.5)) / (width - 1) + 0.5;
}

/**
 * How much a pixel is longer than wide or wider than long; the shorter side is 1.
 * @param {Film} film
 */
function pixelAspect({ spacing }) {
  if (!spacing) return { x: 1, y: 1 };
  const [row, col] = spacing;
  const unit = Math.min(row, col);
  return { x: col / unit, y: row / unit };
}

/**
 * CSS pixels for one unit of the film at zoom 1.
 * @param {number} turns @param {Film} film @param {Size} pane
 */
export function fitScale(turns, film, pane) {
  const { x, y } = pixelAspect(film);
  const [wide, tall] = turns % 2 ? [film.height * y, film.width * x] : [film.width * x, film.height * y];
  return Math.max(1e-6, Math.min(pane.width / wide, pane.height / tall));
}

/**
 * From pixels of the film to CSS pixels of a pane. All panes use this function.
 * @param {View} view @param {Film} film @param {Size} pane @returns {Matrix}
 */
export function matrix(view, film, pane) {
  const scale = fitScale(view.turns, film, pane) * view.zoom;
  const { x, y } = pixelAspect(film);
  const cos = [1, 0, -1, 0][view.turns] ?? 1;
  const sin = [0, 1, 0, -1][view.turns] ?? 0;
  const sx = (view.mirrored ? -1 : 1) * scale * x;
  const sy = scale * y;
  const [a, b, c, d] = [cos * sx, sin * sx, -sin * sy, cos * sy];
  const e = pane.width / 2 - (a * view.x + c * view.y);
  const f = pane.height / 2 - (b * view.x + d * view.y);
  return { a, b, c, d, e, f };
}

/** @param {Matrix} m @returns {Matrix} */
export function inverse({ a, b, c, d, e, f }) {
  const det = a * d - b * c;
  return {
    a: d / det,
    b: -b / det,
    c: -c / det,
    d: a / det,
    e: (c * f - d * e) / det,
    f: (b * e - a * f) / det,
  };
}

/** @param {Matrix} m @param {number} x @param {number} y @returns {Point} */
export function transformPoint({ a, b, c, d, e, f }, x, y) {
  return { x: a * x + c * y + e, y: b * x + d * y + f };
}

/** @param {Matrix} m as it stands in a style or an SVG attribute */
export function css({ a, b, c, d, e, f }) {
  return `matrix(${a} ${b} ${c} ${d} ${e} ${f})`;
}

/**
 * Zoomed by a factor; the point of the film under `at` stays where it is.
 * @param {View} view @param {Film} film @param {Size} pane @param {number} factor
 * @param {Point} [at] in the pane; its middle if left out @returns {View}
 */
export function zoomed(view, film, pane, factor, at) {
  const maxZoom = MAX_PIXEL_SIZE / fitScale(view.turns, film, pane);
  const zoom = Math.min(Math.max(view.zoom * factor, MIN_ZOOM), Math.max(1, maxZoom));
  const ratio = zoom / view.zoom;
  const toFilm = inverse(matrix(view, film, pane));
  const anchor = at ? transformPoint(toFilm, at.x, at.y) : { x: view.x, y: view.y };
  const x = anchor.x - (anchor.x - view.x) / ratio;
  const y = anchor.y - (anchor.y - view.y) / ratio;
  return clampToFilm({ ...view, zoom, x, y }, film);
}

/**
 * Panned by a distance on the screen.
 * @param {View} view @param {Film} film @param {Size} pane @param {number} dx CSS pixels
 * @param {number} dy @returns {View}
 */
export function panned(view, film, pane, dx, dy) {
  const { a, b, c, d } = inverse(matrix(view, film, pane));
  return clampToFilm({ ...view, x: view.x - (a * dx + c * dy), y: view.y - (b * dx + d * dy) }, film);
}

/** Keeps the middle of the pane on the image.
 * @param {View} view @param {Film} film @returns {View} */
function clampToFilm(view, film) {
  const x = Math.min(Math.max(view.x, 0), film.width);
  const y = Math.min(Math.max(view.y, 0), film.height);
  return { ...view, x, y };
}

/** The whole film in the pane. @param {View} view @param {Film} film @returns {View} */
export function fitted(view, film) {
  return { ...view, zoom: 1, x: film.width / 2, y: film.height / 2 };
}

/**
 * One pixel of the film on one pixel of the screen.
 * @param {View} view @param {Film} film @param {Size} pane @param {number} ratio device pixels
 * for one CSS pixel @returns {View}
 */
export function trueSize(view, film, pane, ratio) {
  return { ...view, zoom: 1 / (ratio * fitScale(view.turns, film, pane)) };
}

/** Turned by quarter turns clockwise. @param {View} view @param {number} quarters
 * @returns {View} */
export function rotated(view, quarters) {
  return { ...view, turns: (view.turns + quarters + 4) % 4 };
}

/**
 * Flipped as it is seen on the screen, whatever the turns: a flip after a turn is the flip
 * before it with the turn the other way round.
 * @param {View} view @param {"horizontal" | "vertical"} axis @returns {View}
 */
export function flipped(view, axis) {
  const offset = axis === "vertical" ? 2 : 0;
  return { ...view, mirrored: !view.mirrored, turns: (offset + 4 - view.turns) % 4 };
}

/** How the orientation differs from the stored one, as text. @param {View} view */
export function orientation({ turns, mirrored }) {
  const words = [];
  if (turns) words.push(`rotated ${turns * 90}°`);
  if (mirrored) words.push("mirrored");
  return words.join(", ");
}

/**
 * The view for the next film: the default, except for the window if the reader keeps it and
 * the images have the same bit depth, and both have colours or neither has.
 * @param {Film} film @param {{view: View, film: Film} | null} anchor @returns {View}
 */
export function nextView(film, anchor) {
  const fresh = freshView(film);
  if (!anchor || anchor.film.bits !== film.bits || anchor.film.channels !== film.channels) return fresh;
  const { center, width, invert } = anchor.view;
  return { ...fresh, center, width, invert };
}

/** First `inner`, then `outer`. @param {Matrix} outer @param {Matrix} inner @returns {Matrix} */
export function compose(outer, inner) {
  return {
    a: outer.a * inner.a + outer.c * inner.b,
    b: outer.b * inner.a + outer.d * inner.b,
    c: outer.a * inner.c + outer.c * inner.d,
    d: outer.b * inner.c + outer.d * inner.d,
    e: outer.a * inner.e + outer.c * inner.f + outer.e,
    f: outer.b * inner.e + outer.d * inner.f + outer.f,
  };
}
