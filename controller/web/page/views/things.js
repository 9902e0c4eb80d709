// Cards of a line, a router, a load and a source: how it is, who depends on it, and what can be done to it.

import { html, useState } from "../vendor/ui.js";
import { linkTo, open } from "../route.js";
import { adminWord, currentsOf, lineState, lossShare, standbyOf } from "../scene.js";
import { store } from "../store.js";
import { givenW } from "../symbols.js";
import { ago, counted, current, duration, LINE_STATES, percent, power, stateOf } from "../words.js";
import { Facts, Figures, Share } from "./bars.js";
import { State } from "./glyph.js";
import { loadStateOf, routerStateOf, shareOf } from "./lists.js";

// Faults, of what is made and mended.
const HARMS = new Set(["cut", "silence", "kill"]);
// Circuits that a card lists before it is asked for all.
const FEW = 6;

/** @param {{row: any}} props */
export function LineCard({ row }) {
  const [ab, ba] = currentsOf(row, null);
  const way = (from, to, amperes) => [`${from} → ${to}`, `${current(amperes)}, ${power(amperes * (row.voltage_v ?? 0))}`];
  const pools = (row.pool_a_to_b_a ?? 0) + (row.pool_b_to_a_a ?? 0);
  return html`
    <header><${State} of=${LINE_STATES[lineState(row)]} /><h2>${row.link_id}</h2></header>
    <${Figures} of=${[["Load", percent(shareOf(row)), `of ${current(row.ampacity_a)}`], ["Loss", percent(lossShare(row, [ab, ba]))], ["Circuits", circuitsOn(row.link_id).length]]} />
    <${Share} share=${shareOf(row)} />
    <${Drained} admin=${row.admin_word} />
    <${Facts} of=${[
      ["Why", row.down_text], ["Between", html`<a href=${linkTo("router", row.a_router_id)}>${row.a_router_id}</a> and <a href=${linkTo("router", row.b_router_id)}>${row.b_router_id}</a>`],
      way(row.a_router_id, row.b_router_id, ab), way(row.b_router_id, row.a_router_id, ba),
      ["Kept", standbyOf(row) ? `${current(standbyOf(row))} for standbys and holds${pools ? `, ${current(pools)} of it shared` : ""}` : ""], ["Resistance", row.resistance_ohm !== undefined ? `${row.resistance_ohm} Ω` : ""],
      ["Toll", row.cost_per_mwh ? `${row.cost_per_mwh} per MWh` : ""], ["May fail with", (row.risk_groups ?? []).join(", ")],
    ]} />
    <${Circuits} of=${circuitsOn(row.link_id)} />
    <${Service} id=${row.link_id} admin=${row.admin} faults=${row.up ? ["cut", "silence"] : [row.silent || row.down_cause === "silent" ? "heal" : "restore"]} />`;
}

/** @param {{row: any}} props */
export function RouterCard({ row }) {
  const lines = [...store.tables.links.values()].filter((link) => link.a_router_id === row.router_id || link.b_router_id === row.router_id);
  const loads = [...store.tables.loads.values()].filter((load) => load.router_id === row.router_id);
  const sources = [...store.tables.sources.values()].filter((source) => source.router_id === row.router_id);
  const circuits = [...store.tables.circuits.values()].filter((circuit) => circuit.router_ids?.includes(row.router_id));
  return html`
    <header><${State} of=${routerStateOf(row)} /><h2>${row.router_id}</h2></header>
    <${Figures} of=${[["Lines", lines.length], ["Circuits", circuits.length], ["Efficiency", percent(row.efficiency)]]} />
    <${Drained} admin=${row.admin_word} />
    <${Facts} of=${[
      ["Late by", row.connected && row.late_ms ? duration(row.late_ms) : ""], ["Kind", row.profile],
      ["Converts", row.through_w ? power(row.through_w) : ""],
      ["Sources", links("source", sources.map((source) => source.source_id))], ["Loads", links("load", loads.map((load) => load.load_id))],
    ]} />
    ${lines.length > 0 && html`<h3>Lines</h3>`}
    <ul class="plain">${lines.map((link) => html`<li key=${link.link_id}><a href=${linkTo("line", link.link_id)}>${link.link_id}</a><${Share} share=${shareOf(link)} /></li>`)}</ul>
    <${Circuits} of=${circuits} />
    <${Service} id=${row.router_id} admin=${row.admin} faults=${[row.connected ? "kill" : "restart"]} />`;
}

function links(kind, ids) {
  return ids.length ? ids.map((id, at) => html`${at > 0 && ", "}<a href=${linkTo(kind, id)}>${id}</a>`) : "";
}

/** @param {{row: any}} props */
export function LoadCard({ row }) {
  const circuits = [...store.tables.circuits.values()].filter((circuit) => circuit.sink_id === row.load_id);
  return html`
    <header><${State} of=${loadStateOf(row)} /><h2>${row.load_id}</h2></header>
    <${Figures} of=${[["Reserved", power(row.reserved_w), row.held_w ? `${power(row.held_w)} held` : ""], ["May take", power(row.max_power_w)], ["Circuits", circuits.length]]} />
    <${Share} share=${row.max_power_w ? row.reserved_w / row.max_power_w : 0} />
    <${Facts} of=${[["Router", html`<a href=${linkTo("router", row.router_id)}>${row.router_id}</a>`], ["Priority", row.priority], ["Worth", row.value_per_mwh ? `${row.value_per_mwh} per MWh` : ""]]} />
    <${Circuits} of=${circuits} />
    <div class="actions"><button class="primary" onClick=${() => open("request", { sink: row.load_id })}>Request power…</button>
      ${store.daemon.value?.emulation && html`<span class="emulation-acts" role="group" aria-label="Emulation"><span class="chip">emulation</span>
        <button class="danger" onClick=${() => open("fault", { verb: "unplug", id: row.load_id })}>Unplug…</button>
        <button onClick=${() => open("fault", { verb: "plug", id: row.load_id })}>Plug in…</button></span>`}</div>`;
}

/** @param {{row: any}} props */
export function SourceCard({ row }) {
  const circuits = [...store.tables.circuits.values()].filter((circuit) => circuit.source_id === row.source_id);
  return html`
    <header><h2>${row.source_id}</h2></header>
    <${Figures} of=${[["Gives", power(givenW(row))], ["Has", power(row.max_power_w)], ["Circuits", circuits.length]]} />
    <${Share} share=${row.max_power_w ? row.reserved_w / row.max_power_w : 0} />
    <${Facts} of=${[
      ["Router", html`<a href=${linkTo("router", row.router_id)}>${row.router_id}</a>`], ["Cost", row.cost_per_mwh ? `${row.cost_per_mwh} per MWh` : ""],
      ["Kept", row.standby_w ? `${power(row.standby_w)} for standbys and holds` : ""], ["Carbon", row.carbon_kg_per_mwh ? `${row.carbon_kg_per_mwh} kg per MWh` : ""], ["Renewable", row.renewable ? "yes" : ""],
    ]} />
    <${Circuits} of=${circuits} />
    <div class="actions"><button onClick=${() => open("whatif", { cut: row.source_id })}>What if it fails…</button>
      ${store.daemon.value?.emulation && html`<span class="emulation-acts" role="group" aria-label="Emulation"><span class="chip">emulation</span>
        <button class="danger" onClick=${() => open("cloud", { id: row.source_id })}>Cloud…</button>
        <button onClick=${() => open("fault", { verb: "clear", id: row.source_id })}>Clear…</button></span>`}</div>`;
}

function circuitsOn(linkId) {
  if (store.versions.circuits.value < 0) return [];
  return [...store.tables.circuits.values()].filter((circuit) => circuit.link_ids?.includes(linkId));
}

/** Who depends on it: the largest first. */
function Circuits({ of }) {
  const [all, setAll] = useState(false);
  if (!of.length) return html`<p class="small">No circuit.</p>`;
  const ranked = [...of].sort((a, b) => stateOf(a.state).rank - stateOf(b.state).rank || b.power_w - a.power_w);
  return html`<h3>Circuits</h3><ul class="plain">${(all ? ranked : ranked.slice(0, FEW)).map((circuit) => html`<li key=${circuit.circuit_id}>
      <a href=${linkTo("circuit", circuit.circuit_id)}>${circuit.circuit_id} to ${circuit.sink_id}</a><${State} of=${stateOf(circuit.state)} /><span class="figure">${power(circuit.power_w)}</span></li>`)}</ul>
    ${!all && of.length > FEW && html`<button class="link" onClick=${() => setAll(true)}>${counted(of.length - FEW, "more circuit")}</button>`}`;
}

/** What keeps a drain from its end. */
function Drained({ admin }) {
  if (!admin) return null;
  return html`<div class="guard"><h3>${adminWord(admin)} since ${ago(admin.since_unix_ms)}</h3>
    ${(admin.blocks ?? []).map(([circuit, , text]) => html`<p key=${circuit}>${text}</p>`)}</div>`;
}

/** In and out of service; and in an emulation, faults. */
function Service({ id, admin, faults }) {
  const emulation = store.daemon.value?.emulation;
  return html`<div class="actions">
    ${adminWord(admin) ? html`<button onClick=${() => open("undrain", { id })}>Put into service…</button>` : html`<button onClick=${() => open("drain", { id })}>Drain…</button>`}
    <button onClick=${() => open("whatif", { cut: id })}>What if it fails…</button>
    ${emulation && html`<span class="emulation-acts" role="group" aria-label="Emulation"><span class="chip">emulation</span>
      ${faults.map((verb) => html`<button key=${verb} class=${HARMS.has(verb) ? "danger" : ""} onClick=${() => open("fault", { verb, id })}>${verb[0].toUpperCase()}${verb.slice(1)}…</button>`)}</span>`}
  </div>`;
}
