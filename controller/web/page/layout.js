// Where routers stand. What the network says holds; others get places of their own: the same network has the same
// picture on every screen and after every reload, and a newcomer moves nobody.

/** @typedef {[number, number]} Place x to the east, y to the north */

// Of the distances that a picture is made from: enough that a thousand routers look alike with more.
const PIVOTS = 24;
const ROUNDS = 90;
// Repulsion ends at this many lengths of a line.
const REACH = 2.4;

/**
 * @param {Iterable<{router_id: string, at?: Place | null}>} routers
 * @param {Iterable<{a_router_id: string, b_router_id: string}>} links
 * @param {Map<string, Place>} own places that this page has given before, to those that had none
 * @param {Map<string, Place>} dragged and where somebody has dragged routers to, before that is saved
 * @returns {Map<string, Place>}
 */
export function placesOf(routers, links, own, dragged) {
  const ids = [];
  const places = new Map();
  for (const { router_id: id, at } of routers) {
    ids.push(id);
    const place = dragged.get(id) ?? at ?? own.get(id);
    if (place) places.set(id, place);
  }
  if (places.size === ids.length) return places;
  ids.sort();
  const near = neighboursOf(ids, links);
  if (places.size === 0) return drawn(ids, near);
  return settled(ids, near, places);
}

/** @returns {Map<string, string[]>} */
function neighboursOf(ids, links) {
  const near = new Map(ids.map((id) => [id, []]));
  for (const { a_router_id: a, b_router_id: b } of links) {
    if (a === b || !near.has(a) || !near.has(b)) continue;
    near.get(a).push(b);
    near.get(b).push(a);
  }
  for (const list of near.values()) list.sort();
  return near;
}

/** Newcomers among those that have places: between their neighbours, and a little aside. */
function settled(ids, near, places) {
  const typical = typicalLength(near, places);
  let waiting = ids.filter((id) => !places.has(id));
  while (waiting.length) {
    const ready = waiting.filter((id) => near.get(id).some((other) => places.has(other)));
    for (const id of ready.length ? ready : waiting.slice(0, 1)) {
      const known = near.get(id).map((other) => places.get(other)).filter(Boolean);
      const random = randomOf(id);
      const angle = random() * 2 * Math.PI;
      const aside = typical * (known.length > 1 ? 0.35 : 0.9);
      const [x, y] = known.length ? mean(known) : mean([...places.values()]);
      places.set(id, [x + aside * Math.cos(angle), y + aside * Math.sin(angle)]);
    }
    waiting = waiting.filter((id) => !places.has(id));
  }
  return places;
}

function typicalLength(near, places) {
  const lengths = [];
  for (const [id, others] of near) {
    for (const other of others) {
      const [from, to] = [places.get(id), places.get(other)];
      if (from && to) lengths.push(Math.hypot(from[0] - to[0], from[1] - to[1]));
    }
  }
  lengths.sort((a, b) => a - b);
  return lengths[lengths.length >> 1] || 1;
}

function mean(points) {
  const sum = points.reduce(([x, y], point) => [x + point[0], y + point[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

/** A whole network without places: each connected part by itself, beside the larger ones. */
function drawn(ids, near) {
  const places = new Map();
  let right = 0;
  for (const part of partsOf(ids, near)) {
    const xy = relaxed(part, near, pivoted(part, near));
    const xs = part.map((_, index) => xy[2 * index]);
    const shift = right - Math.min(...xs);
    part.forEach((id, index) => places.set(id, [xy[2 * index] + shift, xy[2 * index + 1]]));
    right = Math.max(...xs) + shift + 2;
  }
  return places;
}

/** Connected parts, the largest first. */
function partsOf(ids, near) {
  const seen = new Set();
  const parts = [];
  for (const id of ids) {
    if (seen.has(id)) continue;
    const part = [id];
    seen.add(id);
    for (const at of part) {
      for (const other of near.get(at)) {
        if (!seen.has(other)) part.push(other);
        seen.add(other);
      }
    }
    parts.push(part.sort());
  }
  return parts.sort((a, b) => b.length - a.length);
}

/** Pivot multidimensional scaling (Brandes and Pich 2006): hops to a few pivots, along their two main directions. */
function pivoted(part, near) {
  const columns = [];
  let pivot = part[0];
  const nearest = new Map(part.map((id) => [id, Infinity]));
  while (columns.length < Math.min(PIVOTS, part.length)) {
    const hops = hopsFrom(pivot, near);
    columns.push(part.map((id) => hops.get(id)));
    for (const id of part) nearest.set(id, Math.min(nearest.get(id), hops.get(id)));
    pivot = part.reduce((far, id) => (nearest.get(id) > nearest.get(far) ? id : far), part[0]);
  }
  return mainDirections(columns, part.length);
}

function hopsFrom(start, near) {
  const hops = new Map([[start, 0]]);
  const queue = [start];
  for (const id of queue) {
    for (const other of near.get(id)) {
      if (hops.has(other)) continue;
      hops.set(other, hops.get(id) + 1);
      queue.push(other);
    }
  }
  return hops;
}

/** Two first principal components of centred columns, by power iteration. @returns {Float64Array} x, y of each row */
function mainDirections(columns, rows) {
  const centred = columns.map((column) => {
    const middle = column.reduce((sum, value) => sum + value, 0) / rows;
    return column.map((value) => value - middle);
  });
  const xy = new Float64Array(rows * 2);
  for (const axis of [0, 1]) {
    let weights = centred.map((_, index) => 1 + ((index * 7 + axis * 3) % 5));
    let row = new Float64Array(rows);
    for (let round = 0; round < 40; round += 1) {
      row = new Float64Array(rows);
      centred.forEach((column, index) => column.forEach((value, at) => { row[at] += weights[index] * value; }));
      if (axis) removeDirection(row, xy, rows);
      weights = centred.map((column) => column.reduce((sum, value, at) => sum + value * row[at], 0));
      const size = Math.hypot(...weights) || 1;
      weights = weights.map((weight) => weight / size);
    }
    const spread = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / rows) || 1;
    for (let at = 0; at < rows; at += 1) xy[2 * at + axis] = (row[at] / spread) * Math.sqrt(rows) * 0.5;
  }
  return xy;
}

/** Takes from a component what it has of the first one. */
function removeDirection(row, xy, rows) {
  let dot = 0;
  let size = 0;
  for (let at = 0; at < rows; at += 1) {
    dot += row[at] * xy[2 * at];
    size += xy[2 * at] ** 2;
  }
  for (let at = 0; at < rows; at += 1) row[at] -= (dot / (size || 1)) * xy[2 * at];
}

/** Springs along lines, and repulsion within reach (Fruchterman and Reingold 1991, with a grid); a line is 1 long. */
function relaxed(part, near, xy) {
  const index = new Map(part.map((id, at) => [id, at]));
  const edges = part.flatMap((id, at) => near.get(id).map((other) => index.get(other)).filter((to) => to > at)
    .map((to) => [at, to]));
  part.forEach((id, at) => {
    const random = randomOf(id);
    xy[2 * at] += (random() - 0.5) * 0.2;
    xy[2 * at + 1] += (random() - 0.5) * 0.2;
  });
  const push = new Float64Array(xy.length);
  for (let round = 0; round < ROUNDS; round += 1) {
    push.fill(0);
    repel(xy, push);
    for (const [a, b] of edges) pull(xy, push, a, b);
    const most = 0.35 * (1 - round / ROUNDS) + 0.01;
    for (let at = 0; at < part.length; at += 1) {
      const size = Math.hypot(push[2 * at], push[2 * at + 1]) || 1;
      const step = Math.min(size, most) / size;
      xy[2 * at] += push[2 * at] * step;
      xy[2 * at + 1] += push[2 * at + 1] * step;
    }
  }
  return xy;
}

function pull(xy, push, a, b) {
  const dx = xy[2 * b] - xy[2 * a];
  const dy = xy[2 * b + 1] - xy[2 * a + 1];
  const length = Math.hypot(dx, dy) || 1e-6;
  const force = (0.5 * (length - 1)) / length;
  push[2 * a] += dx * force;
  push[2 * a + 1] += dy * force;
  push[2 * b] -= dx * force;
  push[2 * b + 1] -= dy * force;
}

function repel(xy, push) {
  const cells = new Map();
  const key = (x, y) => x * 100003 + y;
  const count = xy.length / 2;
  for (let at = 0; at < count; at += 1) {
    const cell = key(Math.floor(xy[2 * at] / REACH), Math.floor(xy[2 * at + 1] / REACH));
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push(at);
  }
  for (let at = 0; at < count; at += 1) {
    const [cx, cy] = [Math.floor(xy[2 * at] / REACH), Math.floor(xy[2 * at + 1] / REACH)];
    for (let x = cx - 1; x <= cx + 1; x += 1) {
      for (let y = cy - 1; y <= cy + 1; y += 1) {
        for (const other of cells.get(key(x, y)) ?? []) if (other !== at) repelOne(xy, push, at, other);
      }
    }
  }
}

function repelOne(xy, push, at, other) {
  const dx = xy[2 * at] - xy[2 * other];
  const dy = xy[2 * at + 1] - xy[2 * other + 1];
  const square = dx * dx + dy * dy + 1e-4;
  if (square > REACH * REACH) return;
  const force = 0.32 / square - 0.32 / (REACH * REACH);
  push[2 * at] += dx * force;
  push[2 * at + 1] += dy * force;
}

/** Random numbers of an id: the same in every browser (mulberry32 over FNV-1a). @param {string} id */
export function randomOf(id) {
  let state = 2166136261;
  for (const char of id) state = Math.imul(state ^ char.codePointAt(0), 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
