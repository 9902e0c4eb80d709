// What else a circuit could take: asked for when somebody wants to know, and shown on the map.

import { html, useEffect, useState } from "../vendor/ui.js";
import { call } from "../api.js";
import { addCircuit, nothing } from "../emphasis.js";
import { store } from "../store.js";
import { preview } from "../view_state.js";
import { duration, percent, power } from "../words.js";
import { shareOf } from "./lists.js";
import { Refusal } from "./refusal.js";

const MOST = 4;

/**
 * The best ways for a circuit that stands, as if what it holds were free, with all that it was asked for.
 * With names of routing algorithms, what those would choose is told too.
 * @param {any} row @param {number} power_w @param {number} most_paths @param {string[]} [algorithms]
 */
export async function waysFor(row, power_w, most_paths, algorithms = []) {
  const id = String(row.circuit_id);
  const { circuit } = await call("PowerService/GetCircuit", { circuit_id: id });
  const request = { sink_id: row.sink_id, power_w, source_ids: circuit.source_ids ?? [], constraints: circuit.constraints ?? {} };
  return call("PowerService/ComputePaths", { request, most_paths, as_circuit_id: id, algorithms });
}

/** The fullest line of a circuit's path. @param {any} row */
export function fullest(row) {
  const links = (row.link_ids ?? []).map((id) => store.tables.links.get(id)).filter(Boolean);
  return links.reduce((most, link) => (!most || shareOf(link) > shareOf(most) ? link : most), null);
}

/** @param {{row: any}} props */
export function OtherWays({ row }) {
  const [told, setTold] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => () => { preview.value = null; }, []);
  const [proposals, setProposals] = useState(null);
  const ask = () => {
    waysFor(row, row.power_w, MOST).then(setTold, setError);
    // Beside the best ways, which need not wait for what others take long to find.
    if (store.daemon.value?.algorithms?.length > 1) waysFor(row, row.power_w, 1, ["*"]).then((all) => setProposals(all.proposals), setError);
  };
  if (error) return html`<${Refusal} error=${error} />`;
  if (!told) return html`<p><button class="link" onClick=${ask}>Which other ways are there now?</button></p>`;
  const own = (row.link_ids ?? []).join();
  return html`<div class="ways"><h3>Its best ways now</h3>
    <ul>${told.circuits.map((way) => html`<${Way} key=${linksOf(way)} way=${way} own=${own} than=${row} />`)}</ul>
    ${told.circuits.length < 2 && html`<small>No other has room for it.</small>`}
    ${proposals && html`<${Compared} proposals=${proposals} own=${own} than=${row} />`}</div>`;
}

/** What each routing algorithm that is installed would choose, side by side. */
function Compared({ proposals, own, than }) {
  return html`<h3>By algorithm</h3><table class="compared">
    <thead><tr><th scope="col">Algorithm</th><th scope="col">Would choose</th></tr></thead>
    <tbody>${proposals.map(({ algorithm, package: from, circuit, refused, chosen, took_ns }) => html`<tr key=${algorithm}>
      <th scope="row" title=${from}>${algorithm}${chosen && html` <small>asked first</small>`}</th>
      <td>${circuit ? html`<ul><${Way} way=${circuit} own=${own} than=${than} /></ul>` : html`<small>nothing: ${refused}</small>`}
        ${Number(took_ns) > 0 && html`<small>in ${duration(Number(took_ns) / 1e6)}</small>`}</td></tr>`)}</tbody></table>`;
}

const linksOf = (way) => (way.links ?? []).map((link) => link.link_id).join();

function Way({ way, own, than }) {
  const full = fullest({ link_ids: linksOf(way).split(",") });
  const show = () => {
    const shown = nothing();
    addCircuit(shown, than);
    addCircuit(shown, way, "preview");
    preview.value = shown;
  };
  const hide = () => { preview.value = null; };
  const more = way.injected_w / than.injected_w - 1;
  return html`<li><button class="link" onPointerEnter=${show} onPointerLeave=${hide} onFocus=${show} onBlur=${hide}>
    ${(way.router_ids ?? []).join(" → ") || "at one router"}</button>
    <small>${power(way.injected_w)}, loses ${percent(way.loss_fraction)}${Math.abs(more) > 5e-4 ? ` (${more > 0 ? "+" : "−"}${percent(Math.abs(more))})` : ""}${full ? `, fullest line ${full.link_id}, ${percent(shareOf(full))} now` : ""}${linksOf(way) === own ? ", the way it takes" : ""}</small></li>`;
}
