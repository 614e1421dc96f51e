// Draws an image with WebGL2: the stored integers are the texture, the shader applies the window.

import { transformPoint, inverse } from "./view_transform.js";

/** @typedef {import("./image_cache.js").Plane} Plane */
/** @typedef {import("./view_transform.js").View} View */
/** @typedef {import("./view_transform.js").Matrix} Matrix */

/** A film on the graphics card. `skipped` planes were larger than the card can hold.
 * @typedef {{textures: {texture: WebGLTexture, level: number}[], channels: number,
 *   height: number, width: number, skipped: number}} Uploaded */
/** The pane in device pixels, and from there (counted from the lower left) to pixels of the film.
 * @typedef {{width: number, height: number, toFilm: Matrix}} Viewport */

const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1);
  gl_Position = vec4(corner, 0, 1);
}`;

// Integer textures do not filter: the four neighbours are fetched and mixed here. Grey has a
// program of its own, with a third of the work: it is what a software renderer spends its time on.
const fragment = (/** @type {boolean} */ colour) => `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
#define INK ${colour ? "vec3" : "float"}
#define VALUE(at) INK(texelFetch(film, at, 0).${colour ? "rgb" : "r"})
uniform usampler2D film;
uniform mat3 toPlane;
uniform vec2 window;
out vec4 ink;
void main() {
  vec2 q = (toPlane * vec3(gl_FragCoord.xy, 1)).xy;
  vec2 base = floor(q);
  vec2 part = q - base;
  ivec2 last = textureSize(film, 0) - 1;
  ivec2 a = clamp(ivec2(base), ivec2(0), last);
  ivec2 b = clamp(ivec2(base) + 1, ivec2(0), last);
  INK upper = mix(VALUE(a), VALUE(ivec2(b.x, a.y)), part.x);
  INK lower = mix(VALUE(ivec2(a.x, b.y)), VALUE(b), part.x);
  INK bright = clamp(mix(upper, lower, part.y) * window.x + window.y, 0.0, 1.0);
  ink = vec4(vec3(bright), 1);
}`;

export class WebGLRenderer {
  #gl;
  #grey;
  #colour;

  /** @param {HTMLCanvasElement} canvas @throws {Error} WebGL2 is not available */
  constructor(canvas) {
    this.canvas = canvas;
    const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false });
    if (!gl) throw new Error("no WebGL2");
    this.#gl = gl;
    this.#grey = createProgram(gl, fragment(false));
    this.#colour = createProgram(gl, fragment(true));
    gl.bindVertexArray(gl.createVertexArray());
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1); // rows of odd width are not padded
    gl.clearColor(0.027, 0.035, 0.043, 1);
    this.maxTextureSize = Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), 16384);
  }

  /**
   * The planes as textures. Uploads in parts so that the page stays responsive.
   * @param {Plane[]} planes @param {number} channels @param {() => Promise<void>} pause
   * @returns {Promise<Uploaded>}
   */
  async upload(planes, channels, pause) {
    const [full] = planes;
    const { height, width } = /** @type {Plane} */ (full);
    const fitting = planes
      .map((plane, level) => ({ plane, level }))
      .filter(({ plane }) => Math.max(plane.height, plane.width) <= this.maxTextureSize);
    const textures = [];
    for (const { plane, level } of fitting) {
      textures.push({ texture: await this.#texture(plane, channels, pause), level });
    }
    return { textures, channels, height, width, skipped: planes.length - fitting.length };
  }

  /** @param {Uploaded} film @param {View} view @param {number} magnification device pixels for one
   * pixel of the film @param {Viewport} viewport */
  draw(film, view, magnification, viewport) {
    const gl = this.#gl;
    this.clear(viewport);
    const selected = nearestLevel(film, magnification);
    const { left, bottom, right, top } = filmRectangle(viewport, film);
    if (!selected || right <= left || top <= bottom) return;
    const { program, toPlane, window } = film.channels === 3 ? this.#colour : this.#grey;
    gl.useProgram(program);
    gl.bindTexture(gl.TEXTURE_2D, selected.texture);
    gl.uniform2f(window, ...windowTransform(view));
    const scale = 2 ** -selected.level; // and the middle of the plane's first pixel is 0
    const { a, b, c, d, e, f } = viewport.toFilm;
    const [x, y] = [e * scale - 0.5, f * scale - 0.5];
    gl.uniformMatrix3fv(toPlane, false, [a * scale, b * scale, 0, c * scale, d * scale, 0, x, y, 1]);
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(left, bottom, right - left, top - bottom);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.disable(gl.SCISSOR_TEST);
  }

  /** @param {{width: number, height: number}} viewport */
  clear({ width, height }) {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    this.#gl.viewport(0, 0, width, height);
    this.#gl.clear(this.#gl.COLOR_BUFFER_BIT);
  }

  /** @param {Uploaded} film */
  free(film) {
    for (const { texture } of film.textures) this.#gl.deleteTexture(texture);
    film.textures.length = 0;
  }

  /** @param {Plane} plane @param {number} channels @param {() => Promise<void>} pause */
  async #texture({ height, width, data }, channels, pause) {
    const gl = this.#gl;
    const texture = gl.createTexture();
    const [internal, format, type] = textureFormat(gl, channels, data);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, internal, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    const rows = Math.max(1, Math.floor(4e6 / (width * channels * data.BYTES_PER_ELEMENT)));
    for (let row = 0; row < height; row += rows) {
      if (row > 0) await pause();
      const part = Math.min(rows, height - row);
      gl.bindTexture(gl.TEXTURE_2D, texture); // another film may have been drawn meanwhile
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, row, width, part, format, type, data, row * width * channels);
    }
    return texture;
  }
}

/**
 * The rectangle of the image in a viewport; rotations are quarter turns.
 * @param {Viewport} viewport @param {{height: number, width: number}} film
 */
function filmRectangle({ width, height, toFilm }, film) {
  const toViewport = inverse(toFilm);
  const one = transformPoint(toViewport, 0, 0);
  const other = transformPoint(toViewport, film.width, film.height);
  return {
    left: Math.max(0, Math.round(Math.min(one.x, other.x))),
    bottom: Math.max(0, Math.round(Math.min(one.y, other.y))),
    right: Math.min(width, Math.round(Math.max(one.x, other.x))),
    top: Math.min(height, Math.round(Math.max(one.y, other.y))),
  };
}

/**
 * Window and inversion as one slope and one offset: brightness = value × slope + offset.
 * @param {View} view @returns {[number, number]}
 */
function windowTransform({ center, width, invert }) {
  const slope = 1 / Math.max(width - 1, 1e-3); // a window of one value is a step
  const offset = 0.5 - (center - 0.5) * slope;
  return invert ? [-slope, 1 - offset] : [slope, offset];
}

/**
 * The plane whose pixels are nearest to the screen's, rather too fine than too coarse.
 * @template {{level: number}} T
 * @param {{textures: T[]}} film @param {number} magnification @returns {T | undefined}
 */
export function nearestLevel({ textures }, magnification) {
  const wanted = Math.floor(Math.log2(1 / magnification) + 0.25);
  return textures.findLast(({ level }) => level <= wanted) ?? textures[0];
}

/** @param {WebGL2RenderingContext} gl @param {number} channels
 * @param {Uint8Array | Uint16Array} data @returns {[number, number, number]} */
function textureFormat(gl, channels, data) {
  const is16Bit = data instanceof Uint16Array;
  const type = is16Bit ? gl.UNSIGNED_SHORT : gl.UNSIGNED_BYTE;
  if (channels === 3) return [is16Bit ? gl.RGB16UI : gl.RGB8UI, gl.RGB_INTEGER, type];
  return [is16Bit ? gl.R16UI : gl.R8UI, gl.RED_INTEGER, type];
}

/** @param {WebGL2RenderingContext} gl @param {string} fragment */
function createProgram(gl, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of /** @type {[number, string][]} */ ([
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, fragment],
  ])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`shader: ${gl.getProgramInfoLog(program)}`);
  }
  const at = (/** @type {string} */ name) => gl.getUniformLocation(program, name);
  return { program, toPlane: at("toPlane"), window: at("window") };
}
