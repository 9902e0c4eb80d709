// The map with what stands around it: how it is coloured, its legend, what the pointer is on.

import { effect, html, useEffect, useRef, useState } from "../vendor/ui.js";
import { keepPlaces } from "../api.js";
import { listen } from "../gestures.js";
import { Mapper } from "../mapper.js";
import { go } from "../route.js";
import { store } from "../store.js";
import { arranging, choices, colour, COLOURS, cursorMs, flow, labels, motion } from "../view_state.js";
import { ago, clock, counted } from "../words.js";
import { Alarm } from "./alarm.js";
import { Glyph } from "./glyph.js";
import { Legend } from "./legend.js";
import { say } from "./notices.js";
import { Tip } from "./tip.js";

/** @param {{mapper: {current: Mapper | null}}} props */
export function MapView({ mapper }) {
  const host = useRef(null);
  const [tip, setTip] = useState(null);
  useEffect(() => {
    mapper.current = new Mapper(host.current, insets);
    listen(mapper.current, setTip);
    return effect(() => {
      const now = mapper.current.isFitted.value;
      host.current.dataset.fitted = String(now);
    });
  }, []);
  return html`<section class="map-place" aria-label="Map">
    <${Alarm} mapper=${mapper} />
    <div class="map">
      <div class="canvas-host" ref=${host} tabindex="0" role="application" aria-roledescription="map" aria-label=${summary()}></div>
      <${Toolbar} />
      <${Then} />
      <${Legend} />
      <div class="zoom" role="group" aria-label="Zoom">
        <button aria-label="Nearer" title="Nearer: +" onClick=${() => press(host.current, "+")}><${Glyph} name="plus" /></button>
        <button aria-label="Farther" title="Farther: -" onClick=${() => press(host.current, "-")}><${Glyph} name="minus" /></button>
        <button aria-label="Whole network" title="Whole network: 0" onClick=${() => press(host.current, "0")}><${Glyph} name="fit" /></button>
      </div>
      ${tip && html`<${Tip} at=${tip} />`}
      ${!store.ready.value && html`<p class="map-wait" role="status">Waiting for the controller…</p>`}
      ${store.ready.value && store.versions.routers.value >= 0 && !store.tables.routers.size && html`<p class="map-wait">No router has connected yet.</p>`}
    </div>
  </section>`;
}

// What hangs on a router that stands at the edge: its stem and symbol, which are smaller on a phone, and each letter of its name.
const STEM_PX = 68;
const SMALL_STEM_PX = 42;
const LETTER_PX = 6.3;
// Below a router, where the folded legend covers the map: the name of a load too, for which a phone has no room.
const BELOW_PX = 68;
const SMALL_BELOW_PX = 50;

/** What covers the map at its edges. */
function insets() {
  const small = innerWidth < 760;
  // On a phone it covers all, and is looked at instead.
  const legend = document.querySelector(".legend.open");
  // Names of sources and loads stand outside of a small network.
  const { routers, sources, loads } = store.tables;
  const few = routers.size < 40;
  const longest = few ? Math.max(0, ...[...sources.keys(), ...loads.keys()].map((id) => id.length)) : 0;
  const side = Math.max(small ? 44 : 84, Math.min(innerWidth * 0.24, (small ? SMALL_STEM_PX : STEM_PX) + LETTER_PX * longest));
  return { top: small ? 92 : few ? 118 : 104, right: side, bottom: (legend && !small ? legend.clientHeight + 42 : 50) + (small ? SMALL_BELOW_PX : BELOW_PX) / (few ? 1 : 2), left: side };
}

function summary() {
  if (store.versions.routers.value < 0) return "";
  const { routers, links, loads } = store.tables;
  const down = [...links.values()].filter((link) => !link.up).length;
  return `Network of ${counted(routers.size, "router")}, ${counted(links.size, "line")} (${down} not up) and ${counted(loads.size, "load")}. Arrows move, plus and minus zoom, 0 shows all; the lists have the same in words.`;
}

function press(host, key) {
  host.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: false }));
}

function Toolbar() {
  const measured = store.measured.value;
  const choose = (params) => go({ params });
  return html`<div class="toolbar" role="toolbar" aria-label="Map">
    <div class="choices" role="group" aria-label="Colour of lines">
      ${Object.entries(COLOURS).map(([key, title]) => html`<button key=${key} aria-pressed=${colour.value === key}
        onClick=${() => choose({ colour: key === "load" ? "" : key })}>${title}</button>`)}
    </div>
    <div class="choices" role="group" aria-label="Currents">
      <button aria-pressed=${flow.value === "reserved"} onClick=${() => choose({ flow: "" })} title="What circuits have reserved">Reserved</button>
      <button aria-pressed=${flow.value === "measured"} disabled=${!measured && flow.value !== "measured"} onClick=${() => choose({ flow: "measured" })}
        title=${measured ? `What meters saw, ${ago(measured.at_unix_ms)}` : "No meter has been read yet"}>Measured</button>
    </div>
    <div class="choices">
      <button aria-pressed=${labels.value} onClick=${() => choose({ labels: labels.value ? "off" : "" })}>Labels</button>
      <button aria-pressed=${motion.value} onClick=${() => { choices.motion.value = motion.value ? "off" : "on"; }}>Motion</button>
      <${Arrange} />
    </div>
  </div>`;
}

/** Routers are dragged, and where they stand is kept. */
function Arrange() {
  const places = arranging.value;
  if (!places) return html`<button aria-pressed="false" title="Drag routers to where they belong" onClick=${() => { arranging.value = new Map(); }}>Arrange</button>`;
  const save = async () => {
    try {
      await keepPlaces(Object.fromEntries(places));
      say(`${counted(places.size, "place")} kept.`);
      arranging.value = null;
    } catch (error) {
      say(error.message, "alarm");
    }
  };
  return html`<button aria-pressed="true" onClick=${() => { arranging.value = null; }}>Cancel</button>
    <button class="primary" disabled=${!places.size} onClick=${save}>Save ${counted(places.size, "place")}</button>`;
}

/** Says that the map shows what was. */
function Then() {
  const atMs = cursorMs.value;
  if (!atMs || store.history.version.value < 0 || !store.ready.value) return null;
  const words = store.history.knows(atMs) ? `The map as it was at ${clock(atMs)}`
    : store.history.asking ? `Asking how the map was at ${clock(atMs)}…`
      : `How the map was at ${clock(atMs)} is not known: it shows what is now`;
  return html`<p class="then-note" role="status">${words} <button onClick=${() => go({ params: { at: "" } })}>Back to now</button></p>`;
}
