// Keeps the map up to date: what changes in the store, in the URL and under the pointer becomes a new geometry, scene or
// camera, no more often than it is worth. Urgent is what needs somebody: a line that went down is in the next frame.

import { effect, signal, untracked } from "./vendor/ui.js";
import * as cameras from "./camera.js";
import { emphasisOf, emphasisOfTrade } from "./emphasis.js";
import { geometryOf, HitGrid, middleOf } from "./geometry.js";
import { placesOf } from "./layout.js";
import { Painter } from "./painter.js";
import { lineState, projected, sceneOf } from "./scene.js";
import { store } from "./store.js";
import { go, route } from "./route.js";
import { arranging, choices, colour, cursorMs, flow, labels, motion, pointed, preview, prices, theme, trade } from "./view_state.js";

// How full lines are is drawn anew at most so often. A large network takes longer, and then less often: of what it costs,
// this share of the time is the script, and several times that what the browser does afterwards.
const CALM_MS = 250;
const CALM_SHARE = 0.006;
// Nor while somebody moves the map.
const MOVING_MS = 500;
// After the last turn of the wheel.
const SETTLED_MS = 130;
// Marks of faults that are drawn as a flash: older ones come with the first view.
const FRESH_MS = 3000;

export class Mapper {
  /** @param {HTMLElement} host @param {() => import("./camera.js").Insets} insets */
  constructor(host, insets) {
    this.host = host;
    this.insets = insets;
    this.painter = new Painter(host, theme.value);
    this.geometry = null;
    this.grid = null;
    this.camera = null;
    /** Whether the camera is where it fits all, and so follows the window. */
    this.isFitted = signal(true);
    this.own = new Map();
    this.states = new Map();
    this.calmTimer = 0;
    this.settleTimer = 0;
    this.costMs = 0;
    store.listeners.push((what, ids) => this.changed(what, ids));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(host);
    effect(() => this.follow());
    effect(() => this.painter.setMotion(motion.value));
    effect(() => this.point());
    // An open legend covers a part of the map.
    effect(() => {
      const open = choices.legend.value;
      requestAnimationFrame(() => { if (this.isFitted.peek() && open !== null) this.fit(); });
    });
    for (const weight of [400, 600]) {
      document.fonts.load(`${weight} 12px Inter`).then(() => this.refresh());
    }
  }

  /** Draws anew when what is looked at changes. */
  follow() {
    const { kind, id, params } = route.value;
    this.look = {
      theme: theme.value, colour: colour.value, labels: labels.value, flow: flow.value, cursor: cursorMs.value, kind, id,
      preview: preview.value, prices: prices.value, trade: trade.value, known: cursorMs.value ? store.history.version.value : 0,
    };
    this.painter.theme = theme.value;
    const dragged = arranging.value;
    const camera = cameras.read(params.camera);
    untracked(() => {
      if (this.dragged !== dragged) this.rebuild(dragged);
      if (camera && !this.moving) this.goTo(camera, false);
      else if (!camera && !this.moving && !this.isFitted.value) this.fit();
      this.refresh();
    });
  }

  /** @param {string} what @param {any[] | null} ids */
  changed(what, ids) {
    // With the whole they come last, and belong to the same picture.
    if (what === "circuits" && ids) this.calm();
    else if (what === "circuits") this.refresh();
    else if (what === "marks") this.flash(ids);
    else if (what === "now") this.calmIf(this.look.cursor > 0);
    else if (what === "measured") this.calmIf(this.look.flow === "measured");
    else if (this.isNewShape(what, ids)) this.rebuild(this.dragged);
    else if (what === "links" && this.isUrgent(ids)) this.refresh();
    else if (what === "routers") this.refresh();
    else this.calm();
  }

  isNewShape(what, ids) {
    if (!this.geometry || !ids) return true;
    const { nodes, byId } = this.geometry;
    if (what === "routers") return ids.some((id) => this.isNewPlace(id, nodes.get(id)));
    if (what === "links") return ids.some((id) => byId.has(id) !== store.tables.links.has(id));
    return ids.some((id) => !store.tables[what].has(id) || !this.hasHung(what, id));
  }

  isNewPlace(id, node) {
    const row = store.tables.routers.get(id);
    if (!row || !node) return true;
    return Boolean(row.at && !this.dragged?.has(id) && (row.at[0] !== node.x || row.at[1] !== node.y));
  }

  hasHung(what, id) {
    const node = this.geometry.nodes.get(store.tables[what].get(id).router_id);
    return Boolean(node?.[what]?.includes(id));
  }

  isUrgent(ids) {
    let urgent = false;
    for (const id of ids) {
      const state = lineState(store.tables.links.get(id));
      if (this.states.get(id) !== state) urgent = true;
      this.states.set(id, state);
    }
    return urgent;
  }

  rebuild(dragged) {
    this.dragged = dragged;
    const { routers, links } = store.tables;
    const places = placesOf(routers.values(), links.values(), this.own, dragged ?? new Map());
    for (const [id, place] of places) if (!routers.get(id)?.at && !dragged?.has(id)) this.own.set(id, place);
    this.geometry = geometryOf(store.tables, places);
    this.grid = new HitGrid(this.geometry);
    for (const [id, link] of links) this.states.set(id, lineState(link));
    if (this.isFitted.value || !this.camera) this.fit();
    this.refresh();
  }

  resized() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    this.painter.resize(width, height);
    if (this.isFitted.value) this.fit();
  }

  /** Where everything is seen. */
  fit() {
    if (!this.geometry || !this.painter.size.width) return;
    this.whole = cameras.fitted(this.geometry.box, this.painter.size, this.insets());
    this.isFitted.value = true;
    this.moving = false;
    this.goTo(this.whole, false);
    this.refresh();
  }

  /** Brings what is looked at into view, where it is not. @param {import("./scene.js").Emphasis | null} emphasis */
  show(emphasis) {
    if (!emphasis || !this.geometry) return;
    const points = [...emphasis.nodes.keys()].map((id) => this.geometry.nodes.get(id)).filter(Boolean);
    for (const id of emphasis.lines.keys()) {
      const line = this.geometry.byId.get(id);
      if (line) points.push(this.geometry.nodes.get(line.a), this.geometry.nodes.get(line.b));
    }
    if (!points.length) return;
    const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
    const box = { x0: Math.min(...xs), x1: Math.max(...xs), y0: Math.min(...ys), y1: Math.max(...ys) };
    const aim = cameras.fitted(box, this.painter.size, this.insets());
    this.moveTo({ ...aim, zoom: Math.min(aim.zoom * 0.8, this.whole.zoom * 6) });
  }

  /** By somebody's hand: kept in the URL. */
  moveTo(camera) {
    this.isFitted.value = false;
    this.goTo(camera, true);
  }

  goTo(camera, kept) {
    this.camera = camera;
    this.painter.setCamera(camera);
    clearTimeout(this.settleTimer);
    if (kept) {
      this.moving = true;
      this.settleTimer = setTimeout(() => this.settle(), SETTLED_MS);
    } else if (cameras.read(route.value.params.camera) && this.whole !== camera) {
      this.isFitted.value = false;
    }
  }

  settle() {
    this.moving = false;
    go({ params: { camera: this.isFitted.value ? "" : cameras.written(this.camera) } }, true);
    if (this.painter.scene?.zoom !== this.camera.zoom) this.refresh();
  }

  calmIf(wanted) {
    if (wanted) this.calm();
  }

  /** Soon, and not often. */
  calm() {
    if (this.calmTimer) return;
    const wait = Math.max(CALM_MS, (this.costMs + this.painter.costMs) / CALM_SHARE);
    this.calmTimer = setTimeout(() => this.calmed(), wait);
  }

  calmed() {
    if (this.moving) this.calmTimer = setTimeout(() => this.calmed(), MOVING_MS);
    else this.refresh();
  }

  /** In the next frame, with everything that changed meanwhile. */
  refresh() {
    clearTimeout(this.calmTimer);
    this.calmTimer = 0;
    if (this.wanted) return;
    this.wanted = true;
    queueMicrotask(() => this.compose());
  }

  compose() {
    this.wanted = false;
    if (!this.geometry || !this.camera) return;
    const began = performance.now();
    const { look } = this;
    const scene = sceneOf(this.geometry, {
      tables: this.tables(), theme: look.theme, colour: look.colour, labels: look.labels, zoom: this.camera.zoom,
      measured: look.flow === "measured" && !look.cursor ? measuredFlows(store.measured.value) : null,
      emphasis: look.preview ?? (look.kind === "trade" ? emphasisOfTrade(look.trade) : emphasisOf(look.kind, look.id)), prices: look.prices,
    });
    this.painter.setScene(scene);
    this.costMs = performance.now() - began;
  }

  /** As things are, or as they were at the cursor. */
  tables() {
    return (this.look.cursor && store.history.mapAt(this.look.cursor, store.tables)) || store.tables;
  }

  /** @param {any[]} marks */
  flash(marks) {
    for (const mark of marks) {
      if (mark.severity === "info" || Date.now() - mark.at_unix_ms > FRESH_MS || !this.geometry) continue;
      const line = this.geometry.byId.get(mark.id);
      const node = this.geometry.nodes.get(mark.id);
      if (line) this.painter.flash(...middleOf(line.xy).slice(0, 2));
      else if (node) this.painter.flash(node.x, node.y);
    }
  }

  /** Shows what the pointer is on, in a table or on the map. */
  point() {
    const on = pointed.value;
    const line = on?.kind === "line" ? this.geometry?.byId.get(on.id) : null;
    this.painter.setHovered(line ? projected(line.xy, this.painter.scene?.zoom ?? this.camera.zoom) : null);
  }

  /** What is at a point of the screen: a symbol, else a line. @returns {{kind: string, id: string, routers: string[]} | null} */
  hit(px, py, reach) {
    const { scene } = this.painter;
    if (!scene || !this.geometry) return null;
    const [x, y] = cameras.toWorld(this.camera, this.painter.size, px, py);
    const [sx, sy] = [x * scene.zoom, -y * scene.zoom];
    let best = null;
    let least = reach;
    for (const symbol of scene.symbols) {
      const far = Math.hypot(symbol.x - sx, symbol.y - sy) - symbol.r;
      if (far < least && far < reach * 0.6) [best, least] = [symbol, far];
    }
    if (best) return { kind: best.target, id: best.id, routers: best.routers };
    const line = this.grid.lineAt(x, y, reach / this.camera.zoom);
    return line ? { kind: "line", id: line.id, routers: [] } : null;
  }
}

/** Amperes of each line, as meters saw them. @param {any} measured @returns {Map<string, [number, number]> | null} */
export function measuredFlows(measured) {
  return measured && new Map(measured.links.map(([id, ab, ba]) => [id, [ab, ba]]));
}
