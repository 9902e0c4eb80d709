// What was done, or could not be: for a few seconds at the edge, and told to screen readers.

import { html, signal } from "../vendor/ui.js";
import { Glyph } from "./glyph.js";

const SHOWN_MS = 6000;
const notices = signal(/** @type {{n: number, text: string, tone: string}[]} */ ([]));
let last = 0;

/** @param {string} text @param {"ok" | "alarm"} [tone] */
export function say(text, tone = "ok") {
  last += 1;
  const notice = { n: last, text, tone };
  notices.value = [...notices.value.slice(-3), notice];
  setTimeout(() => { notices.value = notices.value.filter((each) => each !== notice); }, SHOWN_MS);
}

export function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">${notices.value.map(({ n, text, tone }) => html`<p key=${n} class=${`notice tone-${tone}`}>
    <${Glyph} name=${tone === "ok" ? "dot" : "cross"} /><span>${text}</span></p>`)}</div>`;
}
