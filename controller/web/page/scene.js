// Rows to what is painted: strokes by colour and width, moving dashes by width and speed, symbols, labels. Pure: arrays
// in, arrays out, in pixels from the world's origin, so that panning needs none of it.

import { middleOf } from "./geometry.js";
import { luminance, rampColours, stepOf } from "./palette.js";
import { symbolsOf } from "./symbols.js";

// Width of a casing, in pixels at full size: the least and the most ampacity of the network.
const CASING = [2.4, 8.6];
// The least width of a core: an idle line too is seen.
const LEAST_CORE = 1.2;
// Shorter lines have no dashes.
const LEAST_DASHED_PX = 12;
// What standbys and holds have of a line is drawn as ties across its core, so much wider where there is room.
const TIES = [1.6, 3.4];
const TIES_BEYOND_PX = 2;
// Of the larger direction: from here on both have a lane.
const SECOND_LANE = 0.02;
// Lines that are so far apart, spread evenly, have their full size.
const FULL_APART_PX = 38;
// Pixels a second of dashes on an empty line, and what a full one adds.
const SPEED = [8, 34];
const SPEEDS = 5;

/**
 * @typedef {object} Look what a scene is made of, beside its geometry
 * @property {{links: Map<string, any>, routers: Map<string, any>, loads: Map<string, any>, sources: Map<string, any>,
 *   sinks: Map<string, any>}} tables
 * @property {Map<string, [number, number]> | null} measured amperes of lines; null: what is reserved is shown
 * @property {"load" | "loss" | "price" | "risk"} colour
 * @property {Record<string, any>} theme
 * @property {number} zoom
 * @property {boolean} labels
 * @property {Emphasis | null} emphasis
 * @property {Map<string, string> | null} [prices] of routers, beside their names
 *
 * @typedef {object} Emphasis what is looked at: the rest steps back
 * @property {Map<string, string>} lines id to tone: path, standby, preview, bottleneck, hit
 * @property {Map<string, string>} nodes id to tone; `on` is what a path only passes
 *
 * @typedef {{colour: string, width: number, dash: number[] | null, cap: CanvasLineCap, lines: number[][]}} Stroke
 * @typedef {{width: number, speed: number, lit: boolean, colour: string, lines: number[][]}} Flow
 * @typedef {{x: number, y: number, angle: number, kind: string, lit: boolean}} Badge
 */

/**
 * @param {import("./geometry.js").Geometry} geometry
 * @param {Look} look
 */
export function sceneOf(geometry, look) {
  const scale = scaleOf(geometry, look.zoom);
  const ampacity = rangeOf(look.tables.links.values());
  const colours = coloursOf(look, geometry);
  const buckets = { rest: new Strokes(), lit: new Strokes(), halo: new Strokes() };
  const flows = new Map();
  const badges = [];
  const arrows = [];
  for (const line of geometry.lines) {
    const link = look.tables.links.get(line.id);
    if (!link) continue;
    const tone = look.emphasis?.lines.get(line.id);
    const points = projected(line.xy, look.zoom);
    const dress = dressOf(link, look, scale, ampacity);
    const into = tone ? buckets.lit : buckets.rest;
    if (tone) buckets.halo.add(haloColour(tone, look.theme), dress.casing + (HALO_DASH[tone] ? 6 : 9), HALO_DASH[tone] ?? null, points);
    into.add(look.theme.casing, dress.casing, null, points);
    drawState(dress, link, line, points, colours(link, dress), into, badges, Boolean(tone), look);
    if (dress.state === "up") {
      const colour = dashColour(colours(link, dress), look.theme);
      addFlows(flows, arrows, { ...dress, lit: Boolean(tone), colour }, points, scale);
    }
  }
  const { symbols, labels } = symbolsOf(geometry, look, scale, badges);
  return {
    zoom: look.zoom, scale, dimmed: Boolean(look.emphasis && (look.emphasis.lines.size || look.emphasis.nodes.size)),
    rest: buckets.rest.list(), lit: buckets.lit.list(), halo: buckets.halo.list(),
    flows: [...flows.values()], arrows, badges, symbols, labels,
  };
}

// A standby is dashed, a preview dotted: by dashes of no length, whose ends are round.
const HALO_DASH = { standby: [10, 7], preview: [0, 19] };

/** Lines are thinner where there are many of them on the screen. @param {import("./geometry.js").Geometry} geometry @param {number} zoom */
export function scaleOf(geometry, zoom) {
  return Math.min(1.75, Math.max(0.42, Math.sqrt((geometry.apart * zoom) / FULL_APART_PX)));
}

/** Strokes by colour, width and dash: one path each. */
class Strokes {
  constructor() {
    /** @type {Map<string, Stroke>} */
    this.byLook = new Map();
  }

  add(colour, width, dash, points) {
    const rounded = Math.round(width * 2) / 2 || 0.5;
    const key = `${colour}|${rounded}|${dash ?? ""}`;
    let stroke = this.byLook.get(key);
    if (!stroke) {
      stroke = { colour, width: rounded, dash, cap: dash?.[0] ? "butt" : "round", lines: [] };
      this.byLook.set(key, stroke);
    }
    stroke.lines.push(points);
  }

  /** Wide ones below. */
  list() {
    return [...this.byLook.values()].sort((a, b) => b.width - a.width);
  }
}

function rangeOf(links) {
  let [least, most] = [Infinity, 0];
  for (const { ampacity_a: a } of links) {
    if (a < least) least = a;
    if (a > most) most = a;
  }
  return [Math.sqrt(Math.min(least, most)), Math.sqrt(most)];
}

/** How a line looks: its widths, its direction, its state. */
function dressOf(link, look, scale, [least, most]) {
  const [ab, ba] = currentsOf(link, look.measured);
  const ampacity = link.ampacity_a || Infinity;
  const standby = look.measured ? 0 : standbyOf(link);
  const carried = (ab + ba) / ampacity;
  const rank = most > least ? (Math.sqrt(link.ampacity_a ?? 0) - least) / (most - least) : 0.6;
  const casing = (CASING[0] + (CASING[1] - CASING[0]) * rank) * scale;
  const width = (share) => Math.min(casing, Math.max(LEAST_CORE * Math.min(1, scale + 0.3), casing * Math.min(1, share) ** 0.7));
  const share = carried + standby / ampacity;
  const core = width(carried);
  return {
    ab, ba, carried, share, casing, state: lineState(link), core,
    ties: standby > 0 ? Math.min(casing, Math.max(width(share), core + TIES_BEYOND_PX)) : 0,
  };
}

/** What flows from a to b, and from b to a, in amperes; by what is reserved, where nothing is measured. @returns {[number, number]} */
export function currentsOf(link, measured) {
  if (measured) return measured.get(link.link_id) ?? [0, 0];
  return [(link.reserved_a_to_b_a ?? 0) - (link.standby_a_to_b_a ?? 0), (link.reserved_b_to_a_a ?? 0) - (link.standby_b_to_a_a ?? 0)];
}

/** What standbys and holds have of a line, in amperes of both directions: nothing flows by it. */
export function standbyOf(link) {
  return (link.standby_a_to_b_a ?? 0) + (link.standby_b_to_a_a ?? 0);
}

/** up, down, silent, draining or drained. */
export function lineState(link) {
  if (!link.up) return link.silent ? "silent" : "down";
  const word = adminWord(link.admin);
  return word || "up";
}

/** What an operator said of a line or router: "", "draining" or "drained". @param {any} admin */
export function adminWord(admin) {
  const state = String(admin?.state ?? admin ?? "").toLowerCase();
  return state.includes("drained") ? "drained" : state.includes("draining") ? "draining" : "";
}

/** Part of what enters a line that it loses: R·I/U of the larger direction's current. */
export function lossShare(link, [ab, ba]) {
  const current = Math.max(ab, ba);
  const sent = link.voltage_v + link.resistance_ohm * current;
  return sent > 0 ? (link.resistance_ohm * current) / sent : 0;
}

/** The colour of a line's core by the chosen view. */
function coloursOf(look, geometry) {
  const ramp = rampColours(look.theme.ramp);
  const links = [...look.tables.links.values()];
  if (look.colour === "loss") {
    return (link, dress) => ramp[stepOf(lossShare(link, [dress.ab, dress.ba]) / LOSS_TOP)];
  }
  if (look.colour === "price") {
    const top = Math.max(...links.map((link) => link.cost_per_mwh ?? 0), 1e-9);
    return (link) => ramp[stepOf((link.cost_per_mwh ?? 0) / top)];
  }
  if (look.colour === "risk") {
    const groups = riskGroups(links);
    return (link) => {
      const group = link.risk_groups?.[0];
      return group === undefined ? ramp[0] : look.theme.risk[groups.get(group) % look.theme.risk.length];
    };
  }
  return (_, dress) => ramp[stepOf(dress.share)];
}

/** Loss of one line at which the ramp ends. */
export const LOSS_TOP = 0.04;

/** Groups of lines that may fail together, with a number each. @param {any[]} links @returns {Map<string, number>} */
export function riskGroups(links) {
  const names = [...new Set(links.flatMap((link) => link.risk_groups ?? []))].sort();
  return new Map(names.map((name, at) => [name, at]));
}

/** @param {Float64Array} xy @param {number} zoom @returns {number[]} pixels from the world's origin, corners closer than a pixel left out */
export function projected(xy, zoom) {
  const points = [xy[0] * zoom, -xy[1] * zoom];
  for (let at = 2; at < xy.length; at += 2) {
    const [x, y] = [xy[at] * zoom, -xy[at + 1] * zoom];
    const last = at === xy.length - 2;
    if (last || Math.abs(x - points.at(-2)) + Math.abs(y - points.at(-1)) > 1.5) points.push(x, y);
  }
  return points;
}

function drawState(dress, link, line, points, colour, into, badges, lit, look) {
  const { theme } = look;
  if (dress.state === "up") {
    if (dress.ties) into.add(colour, dress.ties, TIES, points);
    if (!dress.ties || dress.carried > 0) into.add(colour, dress.core, null, points);
    if (lit && look.emphasis.lines.get(line.id) === "bottleneck") badgeOn(badges, line, look.zoom, "bottleneck", lit);
    return;
  }
  const alarm = dress.state === "down" || dress.state === "silent";
  into.add(alarm ? theme.alarm : theme.idle, Math.max(1.6, dress.casing * 0.45), [5, 4], points);
  badgeOn(badges, line, look.zoom, dress.state === "draining" ? "drained" : dress.state, lit || alarm);
}

function badgeOn(badges, line, zoom, kind, lit) {
  const [x, y, angle] = middleOf(line.xy);
  badges.push({ x: x * zoom, y: -y * zoom, angle: -angle, kind, lit, id: line.id });
}

function haloColour(tone, theme) {
  return tone === "bottleneck" || tone === "hit" ? theme.alarm : tone === "path" ? theme.halo : theme.accent;
}

/** Dashes in the direction of the power; both directions keep right. */
function addFlows(flows, arrows, dress, points, scale) {
  const length = pixels(points);
  if (length < LEAST_DASHED_PX || dress.ab + dress.ba <= 0) return;
  const [more, less] = [Math.max(dress.ab, dress.ba), Math.min(dress.ab, dress.ba)];
  const forth = dress.ab >= dress.ba;
  const two = less > SECOND_LANE * more;
  const width = Math.max(0.9, Math.min(2.6, dress.core * (two ? 0.3 : 0.5)));
  const aside = two ? Math.max(0.8, dress.core * 0.26) : 0;
  const lane = lanePoints(forth ? points : reversed(points), aside);
  addFlow(flows, width, dress, lane);
  if (two) addFlow(flows, width, dress, lanePoints(forth ? reversed(points) : points, aside));
  const [x, y, angle] = middleOf(Float64Array.from(lane));
  arrows.push({ x, y, angle, both: two, lit: dress.lit, size: Math.max(2.6, 4.4 * scale) });
}

/** Dashes contrast with their core by lightness: dark ones on a light core. @param {string} core */
function dashColour(core, theme) {
  return luminance(core) > 0.4 ? theme["dash-on-light"] : theme.dash;
}

function addFlow(flows, width, { carried, lit, colour }, points) {
  const speed = SPEED[0] + SPEED[1] * (Math.round(Math.min(1, carried) * SPEEDS) / SPEEDS);
  const rounded = Math.round(width * 2) / 2 || 0.5;
  const key = `${rounded}|${speed}|${lit}|${colour}`;
  let flow = flows.get(key);
  if (!flow) flows.set(key, (flow = { width: rounded, speed, lit, colour, lines: [] }));
  flow.lines.push(points);
}

export function pixels(points) {
  let sum = 0;
  for (let at = 2; at < points.length; at += 2) {
    sum += Math.hypot(points[at] - points[at - 2], points[at + 1] - points[at - 1]);
  }
  return sum;
}

function reversed(points) {
  const back = [];
  for (let at = points.length - 2; at >= 0; at -= 2) back.push(points[at], points[at + 1]);
  return back;
}

/** A polyline moved to its right by some pixels. */
function lanePoints(points, aside) {
  if (!aside) return points;
  const lane = [];
  for (let at = 0; at < points.length; at += 2) {
    const from = Math.max(0, at - 2);
    const to = Math.min(points.length - 2, at + 2);
    const [dx, dy] = [points[to] - points[from], points[to + 1] - points[from + 1]];
    const size = Math.hypot(dx, dy) || 1;
    lane.push(points[at] - (dy / size) * aside, points[at + 1] + (dx / size) * aside);
  }
  return lane;
}
