// What the map's widths, colours and shapes mean; folded away, only the ramp is left.

import { html } from "../vendor/ui.js";
import { LOSS_TOP, riskGroups } from "../scene.js";
import { store } from "../store.js";
import { choices, colour, flow } from "../view_state.js";
import { counted, percent } from "../words.js";
import { Glyph } from "./glyph.js";

const TITLES = { load: "Load of lines", loss: "Loss of lines", price: "Toll of lines" };

export function Legend() {
  const open = choices.legend.value === "open";
  return html`<div class=${open ? "legend open" : "legend"}>
    <button class="legend-head" aria-expanded=${open} onClick=${() => { choices.legend.value = open ? "" : "open"; }}>
      <span>${colour.value === "risk" ? counted(riskGroups([...store.tables.links.values()]).size, "risk group") : TITLES[colour.value]}</span>${colour.value === "risk" ? "" : html`<${Ramp} />`}<${Glyph} name=${open ? "downwards" : "up"} />
    </button>
    ${open && html`<div class="legend-body">
      ${colour.value === "risk" && html`<${Groups} />`}
      <p><svg width="74" height="14" aria-hidden="true"><path d="M4 7H70" class="lg-casing" /><path d="M4 7H70" class="lg-core" /><path d="M4 7H70" class="lg-dash" /></svg>
        <span>casing ampacity, core ${flow.value} current, dashes its direction</span></p>
      ${flow.value === "reserved" && html`<p><svg width="74" height="14" aria-hidden="true"><path d="M4 7H70" class="lg-casing" /><path d="M4 7H70" class="lg-ties" /></svg>
        <span>kept for standbys and holds, carries nothing</span></p>`}
      <p><svg width="74" height="18" aria-hidden="true"><path d="M4 9H70" class="lg-down" /><circle cx="37" cy="9" r="7.4" class="lg-badge" /><path d="M34 6l6 6m0-6l-6 6" class="lg-cross" /></svg>
        <span>down; <b>?</b> silent, <b>‖</b> out of service</span></p>
      <p class="signs"><span><${Glyph} name="triangle" tone="source" /> source, filled to what it gives</span>
        <span><${Glyph} name="dot" tone="load" /> load</span><span><${Glyph} name="router" /> router</span>
        <span><${Glyph} name="ring" tone="alarm" /> load that waits</span><span><${Glyph} name="half" tone="warn" /> whose circuit moves</span></p>
    </div>`}
  </div>`;
}

function Ramp() {
  const ends = { load: ["0", "100 %"], loss: ["0", percent(LOSS_TOP)], price: ["0", "most"] }[colour.value];
  return html`<span class="ramp-ends">${ends[0]}</span><span class="ramp" aria-hidden="true" /><span class="ramp-ends">${ends[1]}</span>`;
}

function Groups() {
  const groups = [...riskGroups([...store.tables.links.values()])];
  if (!groups.length) return html`<p>No line says with what it may fail together.</p>`;
  return html`<p class="signs">${groups.slice(0, 12).map(([name, at]) => html`<span key=${name}><span class=${`swatch risk-${at % 6}`} />${name}</span>`)}
    ${groups.length > 12 && html`<span>and ${groups.length - 12} more</span>`}</p>`;
}
