// Signs as small drawings: the same shapes on the map, in tables and in words.

import { html } from "../vendor/ui.js";

const SHAPES = {
  dot: html`<circle cx="6" cy="6" r="4.2" fill="currentColor" />`,
  ring: html`<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5" />`,
  dashed: html`<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2.1 2.1" />`,
  half: html`<g><circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.4" />
    <path d="M6 2a4 4 0 0 0 0 8z" fill="currentColor" /></g>`,
  triangle: html`<path d="M6 1.4 11 10.4H1z" fill="currentColor" />`,
  cross: html`<path d="M2.5 2.5l7 7m0-7l-7 7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />`,
  question: html`<path d="M3.8 4.2a2.2 2.2 0 1 1 3.1 2c-.7.3-.9.6-.9 1.4M6 9.9v.3" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" />`,
  pause: html`<path d="M4 2.5v7M8 2.5v7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />`,
  router: html`<g fill="none" stroke="currentColor" stroke-width="1.3"><circle cx="6" cy="6" r="4.6" /><path d="M6 3.6v4.8M3.6 6h4.8" /></g>`,
  line: html`<path d="M1.5 9.5 5 5.5l2.5 1L10.5 2.5" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round" />`,
  circuit: html`<g fill="none" stroke="currentColor" stroke-width="1.4"><path d="M3.4 8.6C6 8.6 6 3.4 8.6 3.4" /><circle cx="2.4" cy="8.6" r="1.2" /><circle cx="9.6" cy="3.4" r="1.2" /></g>`,
  act: html`<path d="M6.8 1 2.6 6.8h3L5.2 11l4.2-5.8h-3z" fill="currentColor" />`,
  search: html`<g fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"><circle cx="5" cy="5" r="3.3" /><path d="M7.6 7.6 10.6 10.6" /></g>`,
  close: html`<path d="M2.5 2.5l7 7m0-7l-7 7" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" />`,
  sun: html`<g fill="none" stroke="currentColor" stroke-width="1.3" stroke-linecap="round"><circle cx="6" cy="6" r="2.2" /><path d="M6 .8v1.2M6 10v1.2M.8 6H2M10 6h1.2M2.3 2.3l.9.9M8.8 8.8l.9.9M9.7 2.3l-.9.9M3.2 8.8l-.9.9" /></g>`,
  moon: html`<path d="M9.8 7.4A4.4 4.4 0 0 1 4.6 2.2a4.4 4.4 0 1 0 5.2 5.2z" fill="currentColor" />`,
  plus: html`<path d="M6 1.8v8.4M1.8 6h8.4" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />`,
  minus: html`<path d="M1.8 6h8.4" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" />`,
  fit: html`<path d="M1.5 4V1.5H4M8 1.5h2.5V4M10.5 8v2.5H8M4 10.5H1.5V8" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round" />`,
  wide: html`<path d="M4 3 1.2 6 4 9M8 3l2.8 3L8 9M1.5 6h9" fill="none" stroke="currentColor" stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round" />`,
  up: html`<path d="M2.5 7.5 6 4l3.5 3.5" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />`,
  downwards: html`<path d="M2.5 4.5 6 8l3.5-3.5" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />`,
};
/** What stands for each kind of thing. */
export const KIND_GLYPHS = { circuit: "circuit", line: "line", router: "router", load: "dot", source: "triangle" };
const KIND_TONES = { load: "load", source: "source" };

/** @param {{name: string, tone?: string, size?: number}} props */
export function Glyph({ name, tone = "", size = 12 }) {
  return html`<svg class=${`glyph ${tone && `tone-${tone}`}`} width=${size} height=${size} viewBox="0 0 12 12" aria-hidden="true" focusable="false">${SHAPES[name]}</svg>`;
}

/** A state: glyph, word and colour. @param {{of: {glyph: string, word: string, tone: string}}} props */
export function State({ of }) {
  return html`<span class=${`state tone-${of.tone}`}><${Glyph} name=${of.glyph} /><span>${of.word}</span></span>`;
}

/** @param {{kind: string}} props */
export function KindGlyph({ kind }) {
  return html`<${Glyph} name=${KIND_GLYPHS[kind]} tone=${KIND_TONES[kind] ?? ""} />`;
}
