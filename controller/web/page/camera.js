// Which part of the world is seen, and how large. World: y to the north; screen: y down. All pure.

/** @typedef {{x: number, y: number, zoom: number}} Camera the world's point at the screen's middle; pixels a unit */
/** @typedef {{width: number, height: number}} Size */
/** @typedef {{top: number, right: number, bottom: number, left: number}} Insets what covers the map at its edges */

// A network of one router has no size to fit; and nothing is seen closer than this many times the fitted view.
const LARGEST = 60;
const SMALLEST = 0.5;

/**
 * Fits a box into what is free of the screen.
 * @param {{x0: number, y0: number, x1: number, y1: number}} box
 * @param {Size} size
 * @param {Insets} insets
 * @returns {Camera}
 */
export function fitted(box, size, insets) {
  const free = {
    width: Math.max(60, size.width - insets.left - insets.right),
    height: Math.max(60, size.height - insets.top - insets.bottom),
  };
  const zoom = Math.min(
    free.width / Math.max(box.x1 - box.x0, 1e-9), free.height / Math.max(box.y1 - box.y0, 1e-9), 1e9,
  );
  const shown = zoom === 1e9 ? 100 : zoom;
  return {
    x: (box.x0 + box.x1) / 2 - (insets.left - insets.right) / 2 / shown,
    y: (box.y0 + box.y1) / 2 + (insets.top - insets.bottom) / 2 / shown,
    zoom: shown,
  };
}

/** @param {Camera} camera @param {Size} size @param {number} x @param {number} y @returns {[number, number]} */
export function toScreen(camera, size, x, y) {
  return [size.width / 2 + (x - camera.x) * camera.zoom, size.height / 2 - (y - camera.y) * camera.zoom];
}

/** @param {Camera} camera @param {Size} size @param {number} px @param {number} py @returns {[number, number]} */
export function toWorld(camera, size, px, py) {
  return [camera.x + (px - size.width / 2) / camera.zoom, camera.y - (py - size.height / 2) / camera.zoom];
}

/** @param {Camera} camera @param {number} dx pixels @param {number} dy @returns {Camera} */
export function panned(camera, dx, dy) {
  return { ...camera, x: camera.x - dx / camera.zoom, y: camera.y + dy / camera.zoom };
}

/**
 * Zooms about a point of the screen, which stays where it is.
 * @param {Camera} camera @param {Size} size @param {number} factor @param {number} px @param {number} py
 * @param {number} whole the zoom at which all is seen
 * @returns {Camera}
 */
export function zoomed(camera, size, factor, px, py, whole) {
  const zoom = Math.min(whole * LARGEST, Math.max(whole * SMALLEST, camera.zoom * factor));
  const [x, y] = toWorld(camera, size, px, py);
  return { x: x - (px - size.width / 2) / zoom, y: y + (py - size.height / 2) / zoom, zoom };
}

/** For the URL. @param {Camera} camera */
export const written = ({ x, y, zoom }) => [x, y, zoom].map((value) => Number(value.toPrecision(5))).join(",");

/** @param {string | undefined} text @returns {Camera | null} */
export function read(text) {
  const [x, y, zoom] = (text ?? "").split(",").map(Number);
  return zoom > 0 && Number.isFinite(x) && Number.isFinite(y) && Number.isFinite(zoom) ? { x, y, zoom } : null;
}
