// The network in the world's coordinates: where lines run and what hangs on each router. Pure; made anew when the network
// or its places change, not when power flows otherwise.

/**
 * @typedef {object} Line
 * @property {string} id
 * @property {string} a @property {string} b routers
 * @property {Float64Array} xy corners, from a to b
 *
 * @typedef {object} Node
 * @property {string} id
 * @property {number} x @property {number} y
 * @property {string[]} loads @property {string[]} sources
 * @property {boolean} converts a digital grid router; else a bus, which only joins lines
 * @property {number[]} angles of its lines, as they leave it
 * @property {number} room length of its shortest line
 *
 * @typedef {object} Geometry
 * @property {Map<string, Node>} nodes
 * @property {Line[]} lines
 * @property {Map<string, Line>} byId
 * @property {{x0: number, y0: number, x1: number, y1: number}} box
 * @property {number} typical length of a line
 * @property {number} apart how far lines are from each other, were they spread evenly
 * @property {number} spacing of routers, likewise
 */

// Lines beside each other between the same routers: bent aside by this share of their length.
const BEND = 0.07;

/**
 * @param {{routers: Map<string, any>, links: Map<string, any>, loads: Map<string, any>, sources: Map<string, any>}} tables
 * @param {Map<string, [number, number]>} places
 * @returns {Geometry}
 */
export function geometryOf(tables, places) {
  const nodes = nodesOf(tables, places);
  const lines = linesOf(tables.links, nodes);
  for (const line of lines) {
    const [a, b] = [nodes.get(line.a), nodes.get(line.b)];
    a.angles.push(angleAt(line.xy, 0, 2));
    b.angles.push(angleAt(line.xy, line.xy.length - 2, line.xy.length - 4));
    for (const node of [a, b]) node.room = Math.min(node.room, Math.hypot(a.x - b.x, a.y - b.y));
  }
  const lengths = lines.map(({ xy }) => lengthOf(xy)).sort((a, b) => a - b);
  const all = lengths.reduce((sum, length) => sum + length, 0);
  const box = boxOf(nodes, lines);
  const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
  // A network that is one row of routers has no height.
  const area = Math.max(width, height * 0.1) * Math.max(height, width * 0.1) || 1;
  return {
    nodes, lines, byId: new Map(lines.map((line) => [line.id, line])), box, typical: lengths[lengths.length >> 1] || 1,
    apart: all ? area / all : 1, spacing: Math.sqrt(area / Math.max(1, nodes.size)),
  };
}

function nodesOf({ routers, loads, sources }, places) {
  const nodes = new Map();
  for (const router of routers.values()) {
    const place = places.get(router.router_id);
    if (!place) continue;
    nodes.set(router.router_id, {
      id: router.router_id, x: place[0], y: place[1], loads: [], sources: [], angles: [], room: Infinity,
      converts: (router.efficiency ?? 0) < 0.99999,
    });
  }
  for (const load of loads.values()) nodes.get(load.router_id)?.loads.push(load.load_id);
  for (const source of sources.values()) nodes.get(source.router_id)?.sources.push(source.source_id);
  return nodes;
}

function linesOf(links, nodes) {
  const between = new Map();
  const lines = [];
  for (const link of links.values()) {
    const [a, b] = [nodes.get(link.a_router_id), nodes.get(link.b_router_id)];
    if (!a || !b) continue;
    const pair = a.id < b.id ? `${a.id}\n${b.id}` : `${b.id}\n${a.id}`;
    if (!between.has(pair)) between.set(pair, []);
    between.get(pair).push(link);
    lines.push({ id: link.link_id, a: a.id, b: b.id, xy: cornersOf(a, b, link.via) });
  }
  const byId = new Map(lines.map((line) => [line.id, line]));
  for (const group of between.values()) {
    const straight = group.filter((link) => !link.via?.length);
    if (straight.length > 1) straight.forEach((link, at) => bend(byId.get(link.link_id), at, straight.length, nodes));
  }
  return lines;
}

function cornersOf(a, b, via) {
  const corners = [[a.x, a.y], ...(via ?? []), [b.x, b.y]];
  return Float64Array.from(corners.flat());
}

/** Moves the middle of one of several parallel lines aside. */
function bend(line, at, of, nodes) {
  const [low, high] = [line.a, line.b].sort().map((id) => nodes.get(id));
  const aside = (at - (of - 1) / 2) * BEND * 2;
  const middle = [
    (low.x + high.x) / 2 - (high.y - low.y) * aside,
    (low.y + high.y) / 2 + (high.x - low.x) * aside,
  ];
  line.xy = cornersOf(nodes.get(line.a), nodes.get(line.b), [middle]);
}

function angleAt(xy, at, towards) {
  return Math.atan2(xy[towards + 1] - xy[at + 1], xy[towards] - xy[at]);
}

/** @param {Float64Array} xy */
export function lengthOf(xy) {
  let sum = 0;
  for (let at = 2; at < xy.length; at += 2) sum += Math.hypot(xy[at] - xy[at - 2], xy[at + 1] - xy[at - 1]);
  return sum;
}

/** The point at half of a line's length, and its direction there. @param {Float64Array} xy @returns {[number, number, number]} */
export function middleOf(xy) {
  let left = lengthOf(xy) / 2;
  for (let at = 2; at < xy.length; at += 2) {
    const [dx, dy] = [xy[at] - xy[at - 2], xy[at + 1] - xy[at - 1]];
    const size = Math.hypot(dx, dy);
    if (size >= left && size > 0) {
      return [xy[at - 2] + (dx * left) / size, xy[at - 1] + (dy * left) / size, Math.atan2(dy, dx)];
    }
    left -= size;
  }
  return [xy[0], xy[1], 0];
}

function boxOf(nodes, lines) {
  const box = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
  const take = (x, y) => {
    box.x0 = Math.min(box.x0, x);
    box.x1 = Math.max(box.x1, x);
    box.y0 = Math.min(box.y0, y);
    box.y1 = Math.max(box.y1, y);
  };
  for (const node of nodes.values()) take(node.x, node.y);
  for (const { xy } of lines) for (let at = 0; at < xy.length; at += 2) take(xy[at], xy[at + 1]);
  return box.x0 <= box.x1 ? box : { x0: -1, y0: -1, x1: 1, y1: 1 };
}

/** What is near a point: lines by a uniform grid of their pieces, so that a pointer asks for few of them. */
export class HitGrid {
  /** @param {Geometry} geometry */
  constructor(geometry) {
    this.geometry = geometry;
    this.cell = geometry.typical;
    /** @type {Map<number, [number, number][]>} index of a line and of its piece */
    this.cells = new Map();
    geometry.lines.forEach(({ xy }, line) => {
      for (let at = 2; at < xy.length; at += 2) this.put(line, at, xy);
    });
  }

  put(line, at, xy) {
    const steps = Math.ceil(Math.hypot(xy[at] - xy[at - 2], xy[at + 1] - xy[at - 1]) / this.cell) + 1;
    for (let step = 0; step <= steps; step += 1) {
      const part = step / steps;
      const key = this.key(xy[at - 2] + (xy[at] - xy[at - 2]) * part, xy[at - 1] + (xy[at + 1] - xy[at - 1]) * part);
      const list = this.cells.get(key) ?? [];
      if (!list.length) this.cells.set(key, list);
      if (list.at(-1)?.[0] !== line || list.at(-1)?.[1] !== at) list.push([line, at]);
    }
  }

  key(x, y) {
    return Math.floor(x / this.cell) * 1000003 + Math.floor(y / this.cell);
  }

  /** The line nearest to a point, within a reach. @param {number} x @param {number} y @param {number} reach @returns {Line | null} */
  lineAt(x, y, reach) {
    let best = null;
    let least = reach;
    for (const dx of [-this.cell, 0, this.cell]) {
      for (const dy of [-this.cell, 0, this.cell]) {
        for (const [index, at] of this.cells.get(this.key(x + dx, y + dy)) ?? []) {
          const line = this.geometry.lines[index];
          const far = distance(line.xy, at, x, y);
          if (far < least) [best, least] = [line, far];
        }
      }
    }
    return best;
  }

  /** The router nearest to a point, within a reach. @param {number} x @param {number} y @param {number} reach @returns {Node | null} */
  nodeAt(x, y, reach) {
    let best = null;
    let least = reach;
    for (const node of this.geometry.nodes.values()) {
      const far = Math.hypot(node.x - x, node.y - y);
      if (far < least) [best, least] = [node, far];
    }
    return best;
  }
}

function distance(xy, at, x, y) {
  const [dx, dy] = [xy[at] - xy[at - 2], xy[at + 1] - xy[at - 1]];
  const size = dx * dx + dy * dy || 1e-12;
  const part = Math.min(1, Math.max(0, ((x - xy[at - 2]) * dx + (y - xy[at - 1]) * dy) / size));
  return Math.hypot(x - xy[at - 2] - dx * part, y - xy[at - 1] - dy * part);
}
