// Routers, sources and loads as symbols, and their names. Where many are close to each other they stand as one, with the
// sum of their power, until somebody comes nearer. Pure, in pixels from the world's origin.

// Radius of a load, in pixels at full size: the least, and the largest power of the network; area goes with power.
const LOAD_RADIUS = [2.6, 9.5];
const SOURCE_RADIUS = [5.5, 11];
const ROUTER_RADIUS = 5.2;
// From this distance to the next router on, in pixels, sources and loads stand beside their router, on a stem.
const STEMS_FROM_PX = 54;
const STEM_PX = 25;
// With routers so far apart, spread evenly, symbols have their full size; and with so many more pixels all have names.
const ROOMY_PX = 60;
const ALL_NAMED_PX = 110;
// Of the largest source: a smaller one at a load is a mark on that load.
const LARGE_SOURCE = 0.12;
// Symbols closer than this stand as one.
const CLOSE_PX = 8.5;
// A place in the world's picture for each name: what it is likely to take.
const LETTER_PX = 6.3;
const NAME_PX = 13;

/**
 * @typedef {object} Symbol
 * @property {number} x @property {number} y @property {number} r
 * @property {"router" | "bus" | "load" | "source" | "many"} kind
 * @property {string} target kind of thing that a click selects @property {string} id
 * @property {number} filled share of its power that it gets or gives
 * @property {{waiting: number, moving: number, served: number}} fates of its loads' circuits
 * @property {boolean} gone its router is not connected
 * @property {number[] | null} stem from where
 * @property {string[]} routers that it stands for
 * @property {number} count of loads
 * @property {boolean} lit not dimmed
 * @property {boolean} main it is what is looked at
 * @property {boolean} [gives] a load that has a small source beside it
 * @property {number} [named] the angle at which its name has most room
 * @property {number[]} [spokes] angles at which lines and stems leave it
 * @property {number} [dear] what the market pays here, between the least and the most of the network
 */

/**
 * @param {import("./geometry.js").Geometry} geometry
 * @param {import("./scene.js").Look} look
 * @param {number} scale
 * @param {{x: number, y: number, id: string}[]} badges
 */
export function symbolsOf(geometry, look, scale, badges) {
  const most = {
    load: Math.max(1, ...[...look.tables.loads.values()].map((load) => load.max_power_w ?? 0)),
    source: Math.max(1, ...[...look.tables.sources.values()].map((source) => source.max_power_w ?? 0)),
  };
  const spacingPx = geometry.spacing * look.zoom;
  // Where routers are close to each other on the screen, symbols leave their lines in sight.
  const size = Math.max(0.3, Math.min(1.25, spacingPx / ROOMY_PX));
  const context = { look, scale, most, size, spacingPx };
  const symbols = [];
  const clusters = clustersOf(geometry, context);
  for (const cluster of clusters) symbols.push(...symbolsAt(cluster, context));
  const prices = [...(look.prices?.values() ?? [])].map(Number);
  const [least, top] = [Math.min(...prices), Math.max(...prices)];
  for (const symbol of symbols) {
    const price = Number(priceOf(symbol, look));
    if (price && top > least) symbol.dear = (price - least) / (top - least);
  }
  return { symbols, labels: labelsOf(symbols, badges, look, context) };
}

/** Routers that are close to each other on the screen, around the one with most to show. */
function clustersOf(geometry, context) {
  const { look, size } = context;
  const reach = CLOSE_PX * Math.max(0.55, Math.min(1, size));
  const nodes = [...geometry.nodes.values()].map((node) => ({ node, weight: weightOf(node, context) }))
    .sort((a, b) => b.weight - a.weight || (a.node.id < b.node.id ? -1 : 1));
  const clusters = [];
  const cells = new Map();
  for (const { node, weight } of nodes) {
    const [x, y] = [node.x * look.zoom, -node.y * look.zoom];
    const near = weight < ALONE ? nearest(cells, x, y, reach) : null;
    if (near) near.nodes.push(node);
    else {
      const cluster = { x, y, nodes: [node], alone: weight >= ALONE };
      clusters.push(cluster);
      const key = cellKey(x, y, reach);
      cells.set(key, [...(cells.get(key) ?? []), cluster]);
    }
  }
  return clusters;
}

// From this weight on a router is never part of another one's symbol.
const ALONE = 1e13;

function weightOf(node, { look, most }) {
  const power = node.loads.reduce((sum, id) => sum + (look.tables.loads.get(id)?.max_power_w ?? 0), 0);
  const gone = look.tables.routers.get(node.id)?.connected === false;
  return (hasLargeSource(node, look, most) ? 4 * ALONE : 0) + (isLit(look, node) ? 2 * ALONE : 0) + (gone ? ALONE : 0) + power;
}

function hasLargeSource(node, look, most) {
  return node.sources.some((id) => (look.tables.sources.get(id)?.max_power_w ?? 0) >= LARGE_SOURCE * most.source)
    || (node.sources.length > 0 && !node.loads.length);
}

function cellKey(x, y, reach) {
  return Math.floor(x / reach) * 1000003 + Math.floor(y / reach);
}

function nearest(cells, x, y, reach) {
  let best = null;
  let least = reach;
  for (const dx of [-reach, 0, reach]) {
    for (const dy of [-reach, 0, reach]) {
      for (const cluster of cells.get(cellKey(x + dx, y + dy, reach)) ?? []) {
        const far = Math.hypot(cluster.x - x, cluster.y - y);
        if (far < least && !cluster.alone) [best, least] = [cluster, far];
      }
    }
  }
  return best;
}

function isLit(look, node) {
  const nodes = look.emphasis?.nodes;
  return Boolean(nodes && (nodes.has(node.id) || [...node.loads, ...node.sources].some((id) => nodes.has(id))));
}

/** It, or what hangs on it, is what is looked at, and not only passed. */
function isMain(look, node) {
  return [node.id, ...node.loads, ...node.sources].some((id) => (look.emphasis?.nodes.get(id) ?? "on") !== "on");
}

function symbolsAt(cluster, context) {
  const [node] = cluster.nodes;
  const base = {
    x: cluster.x, y: cluster.y, stem: null, filled: 1, gone: false, count: 0, fates: NONE, target: "router", id: node.id,
    routers: cluster.nodes.map((each) => each.id), lit: cluster.nodes.some((each) => isLit(context.look, each)), main: cluster.nodes.some((each) => isMain(context.look, each)),
  };
  base.gone = cluster.nodes.some((each) => context.look.tables.routers.get(each.id)?.connected === false);
  if (hasStems(cluster, context)) return withStems(node, base, context);
  if (hasLargeSource(node, context.look, context.most)) return [sourceSymbol(node.sources, base, context)];
  const loads = cluster.nodes.flatMap((each) => each.loads);
  const gives = cluster.nodes.some((each) => each.sources.length > 0);
  if (loads.length) return [{ ...loadSymbol(loads, base, context, cluster.nodes.length), gives }];
  return [{ ...routerSymbol(node, base, context), spokes: node.angles }];
}

/** Where there is room around a router, and more to show than one thing. */
function hasStems({ nodes: [node, ...others] }, { look }) {
  const things = node.loads.length + node.sources.length;
  return !others.length && things > 0 && (node.converts || things > 1) && node.room * look.zoom >= STEMS_FROM_PX;
}

const NONE = { waiting: 0, moving: 0, served: 0 };

function routerSymbol(node, base, { scale, size }) {
  const small = size < 0.5;
  const r = node.converts && !small ? ROUTER_RADIUS * Math.max(0.75, scale) : 2.3 * Math.max(0.5, size);
  return { ...base, kind: node.converts && !small ? "router" : "bus", r };
}

function loadSymbol(ids, base, { look, size, most }, routers) {
  const rows = ids.map((id) => look.tables.loads.get(id)).filter(Boolean);
  const sum = rows.reduce((total, row) => total + (row.max_power_w ?? 0), 0);
  const given = rows.reduce((total, row) => total + givenW(row), 0);
  const share = Math.sqrt(Math.min(sum / most.load, 4));
  const r = (LOAD_RADIUS[0] + (LOAD_RADIUS[1] - LOAD_RADIUS[0]) * share * 0.8) * size;
  return {
    ...base, kind: routers > 1 ? "many" : "load", r: Math.max(1.6, Math.min(r, 15)), count: ids.length,
    filled: sum > 0 ? Math.min(1, given / sum) : 0, fates: fatesOf(ids, look.tables.sinks),
    target: ids.length === 1 && routers === 1 ? "load" : "router", id: ids.length === 1 && routers === 1 ? ids[0] : base.id,
  };
}

function fatesOf(ids, sinks) {
  const sum = { waiting: 0, moving: 0, served: 0 };
  for (const id of ids) {
    const fates = sinks.get(id);
    if (!fates) continue;
    // A load that lacks anything counts as that, whatever else it gets.
    sum[fates.waiting ? "waiting" : fates.moving ? "moving" : "served"] += fates.waiting || fates.moving || fates.served ? 1 : 0;
  }
  return sum;
}

/** What a source gives, or a load gets: all that is reserved but for standbys and holds. */
export function givenW(row) {
  return (row.reserved_w ?? 0) - (row.standby_w ?? 0) - (row.held_w ?? 0);
}

function sourceSymbol(ids, base, { look, size, most }) {
  const rows = ids.map((id) => look.tables.sources.get(id)).filter(Boolean);
  const sum = rows.reduce((total, row) => total + (row.max_power_w ?? 0), 0);
  const drawn = rows.reduce((total, row) => total + givenW(row), 0);
  const r = (SOURCE_RADIUS[0] + (SOURCE_RADIUS[1] - SOURCE_RADIUS[0]) * Math.sqrt(Math.min(1, sum / most.source)))
    * Math.max(0.5, Math.min(1.1, size));
  return {
    ...base, kind: "source", r, filled: sum > 0 ? Math.min(1, drawn / sum) : 0,
    target: ids.length === 1 ? "source" : "router", id: ids.length === 1 ? ids[0] : base.id,
  };
}

/** A router with its sources and loads around it, where its lines leave most room. */
function withStems(node, base, context) {
  const { look } = context;
  const around = [...node.sources.map((id) => ["source", id]), ...node.loads.map((id) => ["load", id])];
  const gaps = freeAngles(node.angles, around.length + 1);
  const hung = around.map(([kind, id], at) => {
    const [x, y] = [base.x + STEM_PX * context.scale * Math.cos(gaps[at]), base.y - STEM_PX * context.scale * Math.sin(gaps[at])];
    const place = { ...base, x, y, gone: false, named: gaps[at], stem: [base.x, base.y], lit: base.lit && isHung(context.look, node, id), main: base.main && isHung(context.look, node, id) };
    return kind === "source" ? sourceSymbol([id], place, context) : loadSymbol([id], place, context, 1);
  });
  const spokes = [...node.angles, ...gaps.slice(0, -1)];
  return [...hung, { ...routerSymbol(node, { ...base, main: (look.emphasis?.nodes.get(node.id) ?? "on") !== "on" }, context), named: gaps.at(-1), spokes }];
}

function isHung(look, node, id) {
  const { nodes } = look.emphasis;
  return nodes.has(id) || nodes.get(node.id) === "hit";
}

/** Angles in the middle of the widest gaps between lines. @param {number[]} angles @param {number} wanted */
export function freeAngles(angles, wanted) {
  const taken = [...angles];
  const found = [];
  while (found.length < wanted) {
    const sorted = [...taken].sort((a, b) => a - b);
    if (!sorted.length) sorted.push(-Math.PI / 2 - Math.PI);
    let [best, width] = [0, -1];
    sorted.forEach((angle, at) => {
      const next = at + 1 < sorted.length ? sorted[at + 1] : sorted[0] + 2 * Math.PI;
      if (next - angle > width + 1e-9) [best, width] = [(angle + next) / 2, next - angle];
    });
    found.push(best);
    taken.push(best > Math.PI ? best - 2 * Math.PI : best);
  }
  return found;
}

/** Names that fit without covering each other, the most important first. */
function labelsOf(symbols, badges, look, { size, spacingPx }) {
  const taken = new Boxes();
  for (const badge of badges) taken.put(badge.x - 8, badge.y - 8, badge.x + 8, badge.y + 8);
  for (const symbol of symbols) {
    taken.put(symbol.x - symbol.r, symbol.y - symbol.r, symbol.x + symbol.r, symbol.y + symbol.r);
  }
  const wanted = symbols.filter((symbol) => symbol.main || priceOf(symbol, look) || (look.labels && isNamed(symbol, size, spacingPx)));
  const badged = badges.filter((badge) => badge.kind !== "drained" || look.labels)
    .map((badge) => ({ x: badge.x, y: badge.y, r: 8, kind: "badge", id: badge.id, main: true, alarm: badge.kind !== "drained" }));
  const rank = (symbol) => (priceOf(symbol, look) ? 0.2 : rankOf(symbol));
  const ranked = [...badged, ...wanted].sort((a, b) => rank(a) - rank(b));
  return ranked.flatMap((symbol) => {
    const price = priceOf(symbol, look);
    const width = (symbol.id.length + (price && price.length + 1)) * LETTER_PX + 2;
    const place = placesAround(symbol, width).find(([x, y]) => taken.free(x, y - NAME_PX / 2, x + width, y + NAME_PX / 2));
    if (!place) return [];
    taken.put(place[0], place[1] - NAME_PX / 2, place[0] + width, place[1] + NAME_PX / 2);
    return [{ x: place[0], y: place[1], text: symbol.id, price, lit: symbol.main, alarm: Boolean(symbol.alarm), quiet: symbol.kind === "router" || symbol.kind === "bus" }];
  });
}

/** What the market pays at a router, beside the name of whatever stands for it. */
function priceOf({ routers, stem }, { prices }) {
  return (prices && routers?.length === 1 && !stem && prices.get(routers[0])) || "";
}

function isNamed(symbol, size, spacingPx) {
  return symbol.kind === "source" || Boolean(symbol.stem) || (symbol.kind === "router" && size >= 0.5) || spacingPx >= ALL_NAMED_PX;
}

function rankOf(symbol) {
  if (symbol.kind === "badge") return 0;
  return (symbol.main ? 0.5 : 1) + { source: 0, router: 1, many: 2, load: 3, bus: 4 }[symbol.kind];
}

/** Where a name may stand: where the fewest of its symbol's own lines run, and of those first where there is most room. */
function placesAround({ x, y, r: radius, named, spokes, main, dear, kind }, width) {
  // Of what has a ring, or a disc for its price, beyond that.
  const r = radius + (dear !== undefined ? 6 : main && kind !== "router" && kind !== "badge" ? 5 : 0);
  const places = [[x + r + 4, y], [x - r - 4 - width, y], [x - width / 2, y + r + 9], [x - width / 2, y - r - 9]];
  if (named !== undefined) {
    const [cos, sin] = [Math.cos(named), -Math.sin(named)];
    // With a corner or a side towards it.
    const beyond = (part, half) => part * (r + 4 + half * Math.min(1.4, 1 / Math.abs(part)));
    places.unshift([x + beyond(cos, width / 2) - width / 2, y + beyond(sin, NAME_PX / 2)]);
  }
  if (!spokes?.length) return places;
  for (const [dx, dy] of CORNERS) places.push([x + (dx > 0 ? r + 1 : -r - 1 - width), y + dy * (r + 6)]);
  const crossed = new Map(places.map((place) => [place, crossings(place, width, x, y, spokes)]));
  return places.sort((a, b) => crossed.get(a) - crossed.get(b));
}

const CORNERS = [[1, 1], [1, -1], [-1, 1], [-1, -1]];
// How far a line is followed that might run under its router's name, and how often it is looked at.
const FOLLOWED_PX = 60;
const LOOKS = 12;

/** How many of these lines run under a name. @param {number[]} place its left, and its middle's height */
function crossings([left, middle], width, x, y, spokes) {
  let count = 0;
  for (const angle of spokes) {
    const [cos, sin] = [Math.cos(angle), -Math.sin(angle)];
    for (let look = 1; look <= LOOKS; look += 1) {
      const far = (look * FOLLOWED_PX) / LOOKS;
      const [px, py] = [x + cos * far, y + sin * far];
      if (px >= left && px <= left + width && Math.abs(py - middle) <= NAME_PX / 2) {
        count += 1;
        break;
      }
    }
  }
  return count;
}

/** Boxes that are taken, by a grid. */
class Boxes {
  constructor() {
    this.cells = new Map();
  }

  keys(x0, y0, x1, y1) {
    const keys = [];
    for (let x = Math.floor(x0 / 40); x <= Math.floor(x1 / 40); x += 1) {
      for (let y = Math.floor(y0 / 40); y <= Math.floor(y1 / 40); y += 1) keys.push(x * 1000003 + y);
    }
    return keys;
  }

  put(...box) {
    for (const key of this.keys(...box)) this.cells.set(key, [...(this.cells.get(key) ?? []), box]);
  }

  free(x0, y0, x1, y1) {
    return this.keys(x0, y0, x1, y1).every((key) => (this.cells.get(key) ?? []).every(
      (box) => box[2] <= x0 || box[0] >= x1 || box[3] <= y0 || box[1] >= y1,
    ));
  }
}
