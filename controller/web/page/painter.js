// Canvas 2D: a still layer, kept as a bitmap that is larger than the view, so that panning only moves it; and above it a
// layer of dashes that travel. At most 30 frames a second; none where nothing moves, motion is off or nobody sees it.

import { toScreen } from "./camera.js";
import { paintSymbols } from "./paint_symbols.js";

// A little more than 30 a second: a screen's sixty are never quite that, and what is late once is made up for.
const FRAME_MS = 1000 / 30.5;
// A timer is late by some milliseconds, and the screen does not wait: so much earlier it is set, almost a frame of a screen
// that has sixty a second. What a screen shows sooner than so much before a frame is due is let go by.
const EARLY_MS = 14;
const SOON_MS = 5;
// After a frame that came late the next comes when it would have come, but not sooner than this.
const LEAST_MS = 15;
// Of the still layer, beyond the view on each side.
const MARGIN_PX = 180;
// Of the margin: so far ahead of a camera that moves on, what is drawn lasts nearly twice as long.
const AHEAD = 0.85;
// More pixels than these a CSS pixel cost more than they show.
const MOST_DENSITY = 2;
// Length of a dash and of its gap.
const DASH = [3.4, 12.6];
const FLASH_MS = 600;
// The rest of the network, while something is looked at: no dimmer than this.
const DIMMED = 0.62;
const FONT = "11.5px Inter, system-ui, sans-serif";

export class Painter {
  /**
   * @param {HTMLElement} host
   * @param {Record<string, any>} theme
   */
  constructor(host, theme) {
    this.theme = theme;
    this.still = host.appendChild(document.createElement("canvas"));
    this.moving = host.appendChild(document.createElement("canvas"));
    for (const canvas of [this.still, this.moving]) canvas.setAttribute("aria-hidden", "true");
    this.size = { width: 0, height: 0 };
    this.camera = null;
    this.scene = null;
    this.motion = true;
    this.dirty = false;
    /** What is painted of the scene: where the bitmap's middle was, and paths of what is near. */
    this.bitmap = null;
    this.hovered = null;
    /** @type {{x: number, y: number, sinceMs: number}[]} in the world's coordinates */
    this.flashes = [];
    /** Frames and still layers drawn, and when the first and the last were: for whoever measures. */
    this.frames = 0;
    this.stills = 0;
    this.firstMs = 0;
    this.costMs = 0;
    this.heading = [0, 0];
    /** When the next frame is due. */
    this.dueMs = 0;
    this.waiting = false;
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    this.size = { width, height };
    this.density = Math.min(MOST_DENSITY, devicePixelRatio || 1);
    fit(this.moving, width, height, this.density);
    fit(this.still, width + 2 * MARGIN_PX, height + 2 * MARGIN_PX, this.density);
    this.dirty = true;
    this.wake();
  }

  setScene(scene) {
    this.scene = scene;
    this.dirty = true;
    this.wake();
  }

  setCamera(camera) {
    // Where it is going: the bitmap reaches farther there.
    const before = this.camera ?? camera;
    this.heading = [Math.sign(camera.x - before.x), Math.sign(camera.y - before.y)];
    this.camera = camera;
    this.wake();
  }

  setMotion(motion) {
    this.motion = motion;
    this.dirty = true;
    this.wake();
  }

  setHovered(points) {
    this.hovered = points;
    this.wake();
  }

  /** Once, for a moment: something has happened there. @param {number} x @param {number} y in the world's coordinates */
  flash(x, y) {
    if (this.motion) this.flashes.push({ x, y, sinceMs: performance.now() });
    this.wake();
  }

  /** Draws a frame soon, no sooner than the cap allows. */
  wake() {
    if (this.waiting || document.hidden) return;
    this.waiting = true;
    const wait = this.dueMs - EARLY_MS - performance.now();
    const ask = () => requestAnimationFrame((now) => {
      if (now < this.dueMs - SOON_MS) return ask();
      this.waiting = false;
      this.frame(now);
    });
    if (wait > 1) setTimeout(ask, wait);
    else ask();
  }

  frame(now) {
    if (!this.scene || !this.camera || !this.size.width) return;
    this.dueMs = Math.max(this.dueMs + FRAME_MS, now + LEAST_MS);
    this.frames += 1;
    if (this.dirty) this.paintStill([0, 0]);
    else if (!this.covers()) this.paintStill(this.heading);
    this.place();
    this.paintMoving(now);
    const moves = this.motion && this.bitmap.flows.length > 0;
    if (moves || this.flashes.length) this.wake();
  }

  /** Whether the bitmap shows all of the view: closely enough, while somebody zooms. */
  covers() {
    if (!this.bitmap) return false;
    const factor = this.camera.zoom / this.bitmap.camera.zoom;
    const [x, y] = toScreen(this.camera, this.size, this.bitmap.camera.x, this.bitmap.camera.y);
    const [halfWidth, halfHeight] = [(this.size.width / 2 + MARGIN_PX) * factor, (this.size.height / 2 + MARGIN_PX) * factor];
    if (this.scene.zoom !== this.camera.zoom) return true;
    return x - halfWidth <= 0 && x + halfWidth >= this.size.width && y - halfHeight <= 0 && y + halfHeight >= this.size.height;
  }

  /** Puts the bitmap where the camera sees it. */
  place() {
    const factor = this.camera.zoom / this.bitmap.camera.zoom;
    const [x, y] = toScreen(this.camera, this.size, this.bitmap.camera.x, this.bitmap.camera.y);
    const left = x - (this.size.width / 2 + MARGIN_PX) * factor;
    const top = y - (this.size.height / 2 + MARGIN_PX) * factor;
    this.still.style.transform = `translate(${left}px, ${top}px) scale(${factor})`;
  }

  /** @param {number[]} heading of the camera, to the east and to the north: -1, 0 or 1 */
  paintStill([east, north]) {
    const began = performance.now();
    const { scene, theme, size } = this;
    // Drawn at the scene's zoom, about the camera's place or ahead of it.
    const ahead = (MARGIN_PX * AHEAD) / scene.zoom;
    const camera = { x: this.camera.x + east * ahead, y: this.camera.y + north * ahead, zoom: scene.zoom };
    const [originX, originY] = [
      size.width / 2 + MARGIN_PX - camera.x * scene.zoom, size.height / 2 + MARGIN_PX + camera.y * scene.zoom,
    ];
    const region = [-originX - 20, -originY - 20, size.width + 2 * MARGIN_PX - originX + 20, size.height + 2 * MARGIN_PX - originY + 20];
    const context = this.still.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.still.width, this.still.height);
    context.setTransform(this.density, 0, 0, this.density, originX * this.density, originY * this.density);
    context.lineJoin = "round";
    const dim = scene.dimmed ? DIMMED : 1;
    context.globalAlpha = dim;
    for (const stroke of scene.rest) strokeAll(context, stroke, region);
    context.globalAlpha = 0.3;
    for (const stroke of scene.halo) strokeAll(context, stroke, region);
    context.globalAlpha = 1;
    for (const stroke of scene.lit) strokeAll(context, stroke, region);
    if (!this.motion) paintArrows(context, scene, theme, dim);
    paintSymbols(context, scene, theme, dim, region, FONT);
    this.bitmap = { camera, flows: pathsOf(scene.flows, region) };
    this.dirty = false;
    this.stills += 1;
    this.firstMs ||= performance.now();
    this.costMs = performance.now() - began;
  }

  paintMoving(now) {
    const context = this.moving.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.moving.width, this.moving.height);
    const factor = this.camera.zoom / this.scene.zoom;
    const scaled = this.density * factor;
    context.setTransform(
      scaled, 0, 0, scaled, (this.size.width / 2 - this.camera.x * this.camera.zoom) * this.density,
      (this.size.height / 2 + this.camera.y * this.camera.zoom) * this.density,
    );
    if (this.hovered) this.paintHovered(context);
    if (this.motion) this.paintDashes(context, now / 1000);
    this.paintFlashes(context);
  }

  paintDashes(context, seconds) {
    context.lineCap = "butt";
    context.setLineDash(DASH);
    const period = DASH[0] + DASH[1];
    for (const { path, width, speed, lit, colour } of this.bitmap.flows) {
      context.globalAlpha = this.scene.dimmed && !lit ? 0.86 * DIMMED : 0.86;
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineDashOffset = -((seconds * speed) % period);
      context.stroke(path);
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  }

  paintHovered(context) {
    context.globalAlpha = 0.35;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.lineWidth = 12;
    context.strokeStyle = this.theme.accent;
    context.stroke(pathOf([this.hovered], null));
    context.globalAlpha = 1;
  }

  paintFlashes(context) {
    const now = performance.now();
    this.flashes = this.flashes.filter(({ sinceMs }) => now - sinceMs < FLASH_MS);
    for (const { x, y, sinceMs } of this.flashes) {
      const part = (now - sinceMs) / FLASH_MS;
      context.globalAlpha = 1 - part;
      context.strokeStyle = this.theme.alarm;
      context.lineWidth = 3;
      context.beginPath();
      context.arc(x * this.scene.zoom, -y * this.scene.zoom, 8 + 26 * part, 0, 2 * Math.PI);
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}

function fit(canvas, width, height, density) {
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}

function strokeAll(context, { colour, width, dash, cap, lines }, region) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineCap = cap;
  context.setLineDash(dash ?? []);
  context.stroke(pathOf(lines, region));
  context.setLineDash([]);
}

function pathsOf(flows, region) {
  return flows.map(({ lines, ...rest }) => ({ ...rest, path: pathOf(lines, region) }));
}

/** One path of all polylines that meet a region. @param {number[][]} lines @param {number[] | null} region */
function pathOf(lines, region) {
  const path = new Path2D();
  for (const points of lines) {
    if (region && isOutside(points, region)) continue;
    path.moveTo(points[0], points[1]);
    for (let at = 2; at < points.length; at += 2) path.lineTo(points[at], points[at + 1]);
  }
  return path;
}

function isOutside(points, [left, top, right, bottom]) {
  let [west, east, north, south] = [true, true, true, true];
  for (let at = 0; at < points.length; at += 2) {
    west &&= points[at] < left;
    east &&= points[at] > right;
    north &&= points[at + 1] < top;
    south &&= points[at + 1] > bottom;
  }
  return west || east || north || south;
}

/** Directions without motion: arrowheads at the middle of lines, light with a dark rim. */
function paintArrows(context, scene, theme, dim) {
  context.lineWidth = 1.2;
  context.strokeStyle = theme.ground;
  context.fillStyle = theme.text;
  for (const { x, y, angle, size, both, lit } of scene.arrows) {
    context.globalAlpha = lit ? 1 : dim;
    const [cos, sin] = [Math.cos(angle) * size, Math.sin(angle) * size];
    for (const sign of both ? [1, -1] : [1]) {
      const [ax, ay] = both ? [x + sign * cos * 1.3, y + sign * sin * 1.3] : [x, y];
      context.beginPath();
      context.moveTo(ax + sign * cos * 1.3, ay + sign * sin * 1.3);
      context.lineTo(ax - sign * cos - sin * 0.95, ay - sign * sin + cos * 0.95);
      context.lineTo(ax - sign * cos + sin * 0.95, ay - sign * sin - cos * 0.95);
      context.closePath();
      context.stroke();
      context.fill();
    }
  }
  context.globalAlpha = 1;
}
