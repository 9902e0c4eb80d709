// Shares as bars, and pairs of a name and a figure.

import { html } from "../vendor/ui.js";
import { rampColours, stepOf } from "../palette.js";
import { theme } from "../view_state.js";
import { percent } from "../words.js";

/** The map's colour of a share of ampacity. @param {number} share */
export const colourOf = (share) => rampColours(theme.value.ramp)[stepOf(share)];

/** A share of ampacity. @param {{share: number}} props */
export function Bar({ share }) {
  return html`<span class="bar" aria-hidden="true"><span style=${{ width: `${Math.min(100, share * 100)}%`, background: colourOf(share) }} /></span>`;
}

/** @param {{share: number}} props */
export function Share({ share }) {
  return html`<span class="share"><${Bar} share=${share} /><span class="figure">${percent(share)}</span></span>`;
}

/** Figures with their names: [name, figure, aside]. @param {{of: any[][]}} props */
export function Figures({ of }) {
  return html`<dl class="figures">${of.filter(Boolean).map(([name, figure, aside]) => html`<div key=${name}><dt>${name}</dt>
    <dd>${figure}${aside && html` <small>${aside}</small>`}</dd></div>`)}</dl>`;
}

/** Names and what they are, one below the other; figures end below each other. @param {{of: any[][], figures?: boolean}} props */
export function Facts({ of, figures = false }) {
  return html`<dl class=${figures ? "facts as-figures" : "facts"}>${of.filter((each) => each && each[1] !== undefined && each[1] !== null && each[1] !== "").map(
    ([name, what]) => html`<div key=${name}><dt>${name}</dt><dd>${what}</dd></div>`)}</dl>`;
}
