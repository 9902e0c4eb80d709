// A book as two curves: how much is wanted, and offered, up to each price.

import { html } from "../vendor/ui.js";
import { crossing, cumulated, price, wattHours } from "../market.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [360, 170, 6, 18, 8];

/** @param {{bids: any[], asks: any[]}} props levels, the best first */
export function Depth({ bids, asks }) {
  const curves = [["bids", cumulated(bids)], ["asks", cumulated(asks)]];
  const points = curves.flatMap(([, curve]) => curve);
  const most = Math.max(...points.map(([wh]) => wh), 1);
  const levels = points.map(([, micro]) => micro);
  const [least, top] = [Math.min(...levels), Math.max(...levels)];
  const x = (wh) => LEFT + (wh / most) * (WIDTH - 2 * LEFT);
  const y = (micro) => HEIGHT - BOTTOM - (top > least ? (micro - least) / (top - least) : 0.5) * (HEIGHT - BOTTOM - TOP - 12);
  const met = crossing(bids, asks);
  const told = (curve) => (curve.length ? wattHours(curve.at(-1)[0]) : "nothing");
  return html`<svg class="depth" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${`Wanted ${told(curves[0][1])}, offered ${told(curves[1][1])}, at ${price(least)} to ${price(top)}`}>
    <path class="axis" d=${`M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - LEFT}`} />
    ${curves.map(([name, curve]) => curve.length > 0 && html`<path key=${name} class=${name} d=${`M${curve.map(([wh, micro]) => `${x(wh).toFixed(1)} ${y(micro).toFixed(1)}`).join("L")}`} />`)}
    ${met && html`<path class="met" d=${`M${x(met.wh).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}`} />`}
    <text x=${LEFT + 4} y=${TOP + 4}>${price(top)}</text><text x=${LEFT + 4} y=${HEIGHT - BOTTOM - 4}>${top > least ? price(least) : ""}</text>
    <text x=${WIDTH - LEFT} y=${HEIGHT - 5} text-anchor="end">${wattHours(most)}</text><text x=${LEFT} y=${HEIGHT - 5}>0</text>
  </svg><p class="depth-key"><span class="bids">bids: ${told(curves[0][1])} wanted</span><span class="asks">asks: ${told(curves[1][1])} offered</span>
    ${met && html`<span>meet up to ${wattHours(met.wh)}, at ${met.bid === met.ask ? price(met.bid) : `${price(met.ask)} to ${price(met.bid)}`}</span>`}</p>`;
}
