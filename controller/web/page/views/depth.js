// Orders as two curves: how much is wanted, and offered, up to each price; and what the two sides agree on.

import { html } from "../vendor/ui.js";
import { crossing, cumulated, price, upTo, wattHours } from "../market.js";

const [WIDTH, HEIGHT] = [400, 204];
const EDGE = { left: 50, right: 12, top: 10, bottom: 22 };
// Lines of the grid, about so many each way.
const TICKS = 4;

/**
 * @param {{bids: any[], asks: any[], traded?: {wh: number, bid: number, ask: number} | null}} props levels, the best first;
 * `traded` is what was agreed on, without which it is said where the curves meet
 */
export function Depth({ bids, asks, traded = null }) {
  const curves = { bids: cumulated(bids), asks: cumulated(asks) };
  const points = Object.values(curves).flat();
  const levels = points.map(([, micro]) => micro);
  const whs = ticks(0, Math.max(...points.map(([wh]) => wh), 1));
  const micros = ticks(Math.min(...levels), Math.max(...levels));
  const x = scaleOf(whs, EDGE.left, WIDTH - EDGE.right);
  const y = scaleOf(micros, HEIGHT - EDGE.bottom, EDGE.top);
  const met = traded ?? crossing(bids, asks);
  const path = (curve) => curve.map(([wh, micro]) => `${x(wh)} ${y(micro)}`).join("L");
  const told = (curve) => (curve.length ? wattHours(curve.at(-1)[0]) : "nothing");
  const at = met && (met.bid === met.ask ? price(met.bid) : `${price(met.ask)} to ${price(met.bid)}`);
  return html`<svg class="depth" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Wanted ${told(curves.bids)}, offered ${told(curves.asks)}, at ${price(Math.min(...levels))} to ${price(Math.max(...levels))}`}>
    ${micros.map((micro) => html`<path key=${micro} d=${`M${EDGE.left} ${y(micro)}H${WIDTH - EDGE.right}`} /><text x=${EDGE.left - 6} y=${y(micro) + 3.5} text-anchor="end">${price(micro)}</text>`)}
    ${whs.map((wh) => html`<text key=${wh} x=${x(wh)} y=${HEIGHT - 6} text-anchor=${wh === whs.at(-1) ? "end" : "middle"}>${wattHours(wh)}</text>`)}
    ${met && html`<path class="gains" d=${`M${path(upTo(curves.bids, met.wh))}L${path(upTo(curves.asks, met.wh).reverse())}Z`} />`}
    ${Object.entries(curves).map(([name, curve]) => curve.length > 0 && html`<path key=${name} class=${name} d=${`M${path(curve)}`} />`)}
    ${met && html`<path class="met" d=${`M${x(met.wh)} ${HEIGHT - EDGE.bottom}V${y(met.bid)}`} /><circle cx=${x(met.wh)} cy=${y((met.bid + met.ask) / 2)} r="4" />`}
  </svg><p class="depth-key"><span class="bids">${told(curves.bids)} wanted</span><span class="asks">${told(curves.asks)} offered</span>
    ${met && html`<span class="met">${traded ? "traded" : "meet up to"} ${wattHours(met.wh)}, at ${at}</span>`}</p>`;
}

/** From a round number at or below to one at or above. @param {number} least @param {number} most @returns {number[]} */
function ticks(least, most) {
  const rough = Math.max((most - least) / TICKS, Math.abs(most) / 50, 1);
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * base).find((each) => each >= rough * 0.999);
  const first = Math.floor(least / step);
  const count = Math.max(1, Math.ceil(most / step) - first);
  return Array.from({ length: count + 1 }, (_, at) => (first + at) * step);
}

/** From what stands at an axis' ends to pixels. */
const scaleOf = (all, from, to) => (value) => Number((from + ((value - all[0]) / (all.at(-1) - all[0])) * (to - from)).toFixed(1));
