// A market as its exchange tells it: asked for anew while a view of it is open and in sight, and not otherwise. Its words:
// energy in Wh, prices per kWh and money of the currency, each with exactly as many digits as there are.

import { useEffect, useState } from "./vendor/ui.js";
import { ApiError } from "./api.js";

// From an answer to the next question.
const AGAIN_MS = 1000;

/**
 * What is answered, why nothing is, when it was last, and how often.
 * @param {(signal: AbortSignal) => Promise<any>} ask
 * @param {any[]} of what is asked about: with another it is asked at once
 * @param {number} [againMs]
 */
export function useAsked(ask, of, againMs = AGAIN_MS) {
  const [state, setState] = useState({ told: null, error: null, atMs: 0, turn: 0 });
  useEffect(() => {
    const aborter = new AbortController();
    let timer = 0;
    const look = async () => {
      if (!document.hidden) {
        try {
          const told = await ask(aborter.signal);
          setState(({ turn }) => ({ told, error: null, atMs: Date.now(), turn: turn + 1 }));
        } catch (error) {
          if (aborter.signal.aborted) return;
          if (!(error instanceof ApiError)) throw error;
          setState((before) => ({ ...before, error }));
        }
      }
      if (!aborter.signal.aborted) timer = setTimeout(look, againMs);
    };
    look();
    return () => {
      aborter.abort();
      clearTimeout(timer);
    };
  }, of);
  return state;
}

/** A decimal fraction of an integer of any size, without zeros at its end. @param {string | number} value @param {number} digits */
function fixed(value, digits) {
  const whole = BigInt(value);
  const text = String(whole < 0n ? -whole : whole).padStart(digits + 1, "0");
  const decimals = text.slice(-digits).replace(/0+$/, "");
  return `${whole < 0n ? "−" : ""}${text.slice(0, -digits)}${decimals && `.${decimals}`}`;
}

/** Of millionths of the currency per kWh. @param {string | number} micro */
export const price = (micro) => fixed(micro, 6);
/** Of thousand-millionths of the currency. @param {string | number} nano */
export const money = (nano) => fixed(nano, 9);
/** @param {string | number} wh */
export const wattHours = (wh) => (Math.abs(Number(wh)) < 1000 ? `${wh} Wh` : `${fixed(wh, 3)} kWh`);
/** As meters count, to a ten-thousandth of a Wh. @param {string | number} mj */
export const metered = (mj) => `${fixed(Math.round(Number(mj) / 360), 4)} Wh`;
/** Of nanoseconds since 1970. @param {string | number} ns */
export const msOf = (ns) => Number(ns) / 1e6;
/** @param {string | number} ns */
export const timeOf = (ns) => (Number(ns) ? new Date(msOf(ns)).toTimeString().slice(0, 8) : "");

const PHASES = {
  OPEN: ["ring", "open", "ok"], CLEARING: ["half", "clearing", "warn"], DELIVERING: ["dot", "delivering", "ok"],
  SETTLING: ["half", "settling", "muted"], ENDED: ["dashed", "ended", "muted"],
};
/** @param {string} phase */
export function phaseOf(phase) {
  const name = String(phase).replace("INTERVAL_PHASE_", "");
  const [glyph, word, tone] = PHASES[name] ?? ["ring", name.toLowerCase(), "muted"];
  return { glyph, word, tone };
}

/** States of trades: glyph, tone; the worst comes first. */
const TRADES = {
  DISPUTED: ["cross", "alarm"], UNDELIVERED: ["cross", "alarm"], PARTIAL: ["half", "warn"], UNWINDING: ["half", "warn"], REVOKING: ["half", "warn"],
  MATCHED: ["ring", "muted"], HOLDING: ["ring", "muted"], HELD: ["half", "muted"], FUNDED: ["half", "muted"], CONFIRMED: ["half", "ok"],
  DELIVERING: ["dot", "ok"], METERING: ["half", "muted"], BILLED: ["half", "muted"], SETTLING: ["half", "muted"], SETTLED: ["dot", "ok"],
  REJECTED: ["cross", "warn"], EXPIRED: ["dashed", "muted"], CANCELLED: ["dashed", "muted"],
};
const RANKS = Object.keys(TRADES);
export const tradeState = (state) => String(state).replace("TRANSACTION_STATE_", "");
/** @param {any} trade */
export function tradeStateOf(trade) {
  const name = tradeState(trade.state);
  const [glyph, tone] = TRADES[name] ?? ["ring", "muted"];
  return { glyph, tone, word: name.toLowerCase(), rank: RANKS.indexOf(name) };
}

/**
 * Levels of one side of a book as a curve: [Wh up to there, price], two points a level.
 * @param {any[]} levels the best first
 * @returns {[number, number][]}
 */
export function cumulated(levels) {
  let wh = 0;
  return levels.flatMap((level) => {
    const micro = Number(level.limit_micro_per_kwh);
    const from = wh;
    wh += Number(level.wh);
    return [[from, micro], [wh, micro]];
  });
}

/** A curve as far as some energy. @param {[number, number][]} curve @param {number} wh @returns {[number, number][]} */
export function upTo(curve, wh) {
  const within = curve.filter(([from]) => from <= wh);
  const beyond = curve.find(([from]) => from > wh);
  return beyond ? [...within, [wh, beyond[1]]] : within;
}

/**
 * Orders as levels of a book, the best first: all that was tendered, whatever became of it.
 * @param {any[]} orders of one interval @param {string} side
 */
export function levelsOf(orders, side) {
  const whs = new Map();
  for (const { tender } of orders) {
    const limit = Number(tender.limit_micro_per_kwh);
    if (tender.side === side) whs.set(limit, (whs.get(limit) ?? 0) + Number(tender.wh));
  }
  const sign = side === "SIDE_BUY" ? -1 : 1;
  return [...whs].sort(([a], [b]) => sign * (a - b)).map(([limit_micro_per_kwh, wh]) => ({ limit_micro_per_kwh, wh }));
}

/**
 * How much is wanted at prices that others offer it for: where the curves of a book cross. The network may let through less.
 * @param {any[]} bids the best first @param {any[]} asks
 * @returns {{wh: number, bid: number, ask: number} | null} with the last prices that meet; null where none do
 */
export function crossing(bids, asks) {
  const left = [bids, asks].map((levels) => levels.map((level) => [Number(level.limit_micro_per_kwh), Number(level.wh)]));
  let found = null;
  for (let [bid, ask] = [left[0].shift(), left[1].shift()]; bid && ask && bid[0] >= ask[0];) {
    const wh = Math.min(bid[1], ask[1]);
    found = { wh: (found?.wh ?? 0) + wh, bid: bid[0], ask: ask[0] };
    bid[1] -= wh;
    ask[1] -= wh;
    if (!bid[1]) bid = left[0].shift();
    if (!ask[1]) ask = left[1].shift();
  }
  return found;
}
