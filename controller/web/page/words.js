// Numbers, units and states as people read them. Inside the page everything is SI and as the API says it.

const PREFIXES = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"]];

/** Three significant digits, with no exponent. @param {number} value */
export function digits(value) {
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return "–";
  if (size >= 99.95 || size === 0) return value.toFixed(0);
  return value.toFixed(size >= 9.995 ? 1 : 2);
}

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function quantity(value, unit) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return `0 ${unit}`;
  // 999.96 kW is 1.00 MW, not 1000 kW.
  const [scale, prefix] = PREFIXES.find(([least]) => size >= least * 0.9995) ?? PREFIXES[4];
  return `${digits(value / scale)} ${prefix}${unit}`;
}

/** @param {number | null | undefined} w */
export const power = (w) => quantity(w, "W");
/** Of integer millijoules: `12.0 kJ`, and Wh from a kilowatt hour on. @param {number | null | undefined} mj */
export function energy(mj) {
  if (mj === null || mj === undefined) return "–";
  return Math.abs(mj) >= 3.6e9 ? quantity(mj / 3.6e6, "Wh") : quantity(mj / 1e3, "J");
}
/** Energies beside each other in the unit of the largest, so that they can be compared; what would be nothing in it has its own. @param {number[]} all of millijoules */
export function energies(all) {
  const most = Math.max(0, ...all.map(Math.abs));
  const [scale, unit] = most >= 3.6e9 ? [3.6e6, "Wh"] : [1e3, "J"];
  const [size, prefix] = PREFIXES.find(([least]) => most / scale >= least * 0.9995) ?? PREFIXES[4];
  const told = (mj) => digits(mj / scale / size);
  return (mj) => (mj === null || mj === undefined ? "–" : Number(told(mj)) === 0 ? energy(mj) : `${told(mj)} ${prefix}${unit}`);
}
/** @param {number | null | undefined} a */
export const current = (a) => quantity(a, "A");

/** @param {number | null | undefined} share */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  const value = share * 100;
  const size = Math.abs(value);
  return `${value.toFixed(size >= 9.95 || size === 0 ? 0 : size >= 0.995 ? 1 : 2)} %`;
}

/** @param {number} ms */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 1000) return `${ms < 10 ? digits(ms) : Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(s % 60)} s`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(minutes / 1440)} d`;
}

/** When something was: the time, and the day where that is not today. @param {number} unixMs */
export function moment(unixMs) {
  if (!unixMs) return "";
  const at = new Date(unixMs);
  // Days as 2026-11-30, which nobody takes for another.
  return at.toDateString() === new Date().toDateString() ? clock(unixMs) : `${at.toLocaleDateString("sv")} ${clock(unixMs)}`;
}

/** @param {number} unixMs */
export const ago = (unixMs) => `${duration(Math.max(0, Date.now() - unixMs))} ago`;

/** @param {number} unixMs */
export const clock = (unixMs) => new Date(unixMs).toTimeString().slice(0, 8);

/** @param {number} n @param {string} one @param {string} [many] */
export const counted = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : (many ?? `${one}s`)}`;

/**
 * States of circuits: glyph (views/glyph.js), word, tone, and rank: the worst comes first.
 * @type {Record<string, {glyph: string, word: string, tone: string, rank: number}>}
 */
export const STATES = {
  FAILED: { glyph: "cross", word: "failed", tone: "alarm", rank: 0 },
  WAITING: { glyph: "triangle", word: "waiting", tone: "alarm", rank: 1 },
  DEGRADED: { glyph: "half", word: "degraded", tone: "warn", rank: 2 },
  REROUTING: { glyph: "half", word: "rerouting", tone: "warn", rank: 3 },
  COMMITTING: { glyph: "half", word: "committing", tone: "muted", rank: 4 },
  STAGING: { glyph: "half", word: "staging", tone: "muted", rank: 5 },
  RESERVED: { glyph: "half", word: "reserved", tone: "muted", rank: 6 },
  REQUESTED: { glyph: "ring", word: "requested", tone: "muted", rank: 7 },
  ACTIVE: { glyph: "dot", word: "active", tone: "ok", rank: 8 },
  WITHDRAWING: { glyph: "dashed", word: "withdrawing", tone: "muted", rank: 9 },
  WITHDRAWN: { glyph: "dashed", word: "withdrawn", tone: "muted", rank: 10 },
};
/** What a circuit's state means for its sink: `waiting`, `moving` or `served`; null of one that is held, or has ended. @param {string} name */
export function fateOf(name) {
  const rank = STATES[name]?.rank ?? 11;
  return rank <= 1 ? "waiting" : rank <= 5 ? "moving" : rank === 8 ? "served" : null;
}
const UNKNOWN = { glyph: "ring", word: "unknown", tone: "muted", rank: 11 };

/** `CIRCUIT_STATE_ACTIVE`, `ACTIVE` and `active` are the same. @param {unknown} state */
export function stateName(state) {
  return String(state ?? "").toUpperCase().replace(/^CIRCUIT_STATE_/, "");
}

/** @param {unknown} state */
export function stateOf(state) {
  const name = stateName(state);
  return STATES[name] ?? { ...UNKNOWN, word: name ? name.toLowerCase() : "unknown" };
}

/** `PROTECTION_LOST` as `lost`; empty where there is none. @param {unknown} value @param {string} prefix */
export function enumWord(value, prefix) {
  const word = String(value ?? "").toUpperCase().replace(`${prefix}_`, "").replace(/_/g, " ").toLowerCase();
  return word === "unspecified" ? "" : word;
}

/** States of lines: by what an operator must know first. */
export const LINE_STATES = {
  down: { glyph: "cross", word: "down", tone: "alarm", rank: 0 },
  silent: { glyph: "question", word: "silent", tone: "alarm", rank: 1 },
  draining: { glyph: "pause", word: "draining", tone: "warn", rank: 2 },
  drained: { glyph: "pause", word: "drained", tone: "muted", rank: 3 },
  up: { glyph: "dot", word: "up", tone: "ok", rank: 4 },
};
/** And of routers. */
export const ROUTER_STATES = {
  gone: { glyph: "cross", word: "gone", tone: "alarm", rank: 0 },
  late: { glyph: "half", word: "late", tone: "warn", rank: 1 },
  draining: LINE_STATES.draining,
  drained: LINE_STATES.drained,
  connected: { glyph: "dot", word: "connected", tone: "ok", rank: 4 },
};

/**
 * A figure as people type it, in SI: `2MW`, `350 kW`, `5%`, `0.3`.
 * @param {string} text
 * @returns {number} NaN where it is none; milliwatts are a likely slip for megawatts, and none
 */
export function parsed(text) {
  const match = /^\s*(-?\d+(?:[.,]\d+)?(?:e-?\d+)?)\s*([kMG]?)(W|A|V|Wh)?(%)?\s*$/.exec(text);
  if (!match) return NaN;
  const scale = { "": 1, k: 1e3, M: 1e6, G: 1e9 }[match[2]];
  return (Number(match[1].replace(",", ".")) * scale) / (match[4] ? 100 : 1);
}
