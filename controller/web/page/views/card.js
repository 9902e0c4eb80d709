// What is selected: the card of a circuit, line, router, load or source.

import { html } from "../vendor/ui.js";
import { go, route } from "../route.js";
import { store } from "../store.js";
import { CircuitCard } from "./circuit.js";
import { Glyph } from "./glyph.js";
import { TradeCard } from "./trade.js";
import { LineCard, LoadCard, RouterCard, SourceCard } from "./things.js";

const CARDS = { circuit: CircuitCard, line: LineCard, router: RouterCard, load: LoadCard, source: SourceCard };
const TABLES = { circuit: "circuits", line: "links", router: "routers", load: "loads", source: "sources" };

export function Card() {
  const { kind, id } = route.value;
  if (!kind || (kind !== "trade" && store.versions[TABLES[kind]].value < 0)) return null;
  const row = store.find(kind, id);
  return html`<section class="card" aria-label=${`${kind} ${id}`} tabindex="-1" id="card">
    <button class="quiet icon close" aria-label="Close" title="Esc" onClick=${() => go({ kind: "", id: "" })}><${Glyph} name="close" /></button>
    ${kind === "trade" && store.daemon.value?.market ? html`<${TradeCard} key=${id} id=${id} />` : row ? html`<${CARDS[kind]} key=${`${kind}/${id}`} row=${row} />` : html`<${Missing} kind=${kind} id=${id} />`}
  </section>`;
}

function Missing({ kind, id }) {
  return html`<h2>${kind} ${id}</h2><p class="empty">${store.ready.value
    ? `There is no such ${kind} here now: it has ended, or never was.` : "Waiting for the controller…"}</p>`;
}
