// What else a circuit could take: asked for when somebody wants to know, and shown on the map.

import { html, useEffect, useState } from "../vendor/ui.js";
import { call } from "../api.js";
import { addCircuit, addLine, nothing } from "../emphasis.js";
import { store } from "../store.js";
import { preview } from "../view_state.js";
import { percent, power } from "../words.js";
import { shareOf } from "./lists.js";
import { Refusal } from "./refusal.js";

// As many as the controller gives.
const MOST = 3;

/** @param {{row: any, whole: any}} props */
export function OtherWays({ row, whole }) {
  const [told, setTold] = useState(null);
  const [error, setError] = useState(null);
  const [instead, setInstead] = useState(null);
  useEffect(() => () => { preview.value = null; }, []);
  const ask = async () => {
    setError(null);
    try {
      const request = {
        sink_id: row.sink_id, power_w: row.power_w, source_ids: whole?.source_ids ?? [], constraints: whole?.constraints ?? {},
      };
      setTold(await call("PowerService/ComputePaths", { request, most_paths: MOST }));
    } catch (problem) {
      // Its load takes no more, so that nothing can be tried beside it: then what it would do without its fullest line.
      if (problem.reason === "LOAD_LIMIT_EXCEEDED") await without(fullest(row)).then(setInstead, setError);
      else setError(problem);
    }
  };
  if (instead) return html`<${Instead} row=${row} ...${instead} />`;
  if (!told && !error) return html`<p><button class="link" onClick=${ask}>Which other ways are there now?</button></p>`;
  if (error) return html`<${Refusal} error=${error} />`;
  const own = (row.link_ids ?? []).join();
  return html`<div class="ways"><h3>Ways for as much again, now</h3>
    <ul>${told.circuits.map((way) => html`<${Way} key=${(way.links ?? []).map((link) => link.link_id).join()} way=${way} own=${own} than=${row} />`)}</ul></div>`;
}

function Way({ way, own, than }) {
  const show = () => {
    const shown = nothing();
    addCircuit(shown, than);
    addCircuit(shown, way, "preview");
    preview.value = shown;
  };
  const hide = () => { preview.value = null; };
  const same = (way.links ?? []).map((link) => link.link_id).join() === own;
  const more = way.injected_w / than.injected_w - 1;
  return html`<li><button class="link" onPointerEnter=${show} onPointerLeave=${hide} onFocus=${show} onBlur=${hide}>
    ${(way.router_ids ?? []).join(" → ") || "at one router"}</button>
    <small>${power(way.injected_w)}, loses ${percent(way.loss_fraction)}${Math.abs(more) > 5e-4 ? ` (${more > 0 ? "+" : "−"}${percent(Math.abs(more))})` : ""}${same ? ", the same way" : ""}</small></li>`;
}

/** The fullest line of a circuit's path. @param {any} row */
export function fullest(row) {
  const links = (row.link_ids ?? []).map((id) => store.tables.links.get(id)).filter(Boolean);
  return links.reduce((most, link) => (!most || shareOf(link) > shareOf(most) ? link : most), null);
}

/** What would become of everybody, were a line drained. */
async function without(link) {
  const told = await call("OperationsService/WhatIf", { drain_ids: [link.link_id] });
  return { link, told };
}

function Instead({ row, link, told }) {
  const found = (told.consequences ?? []).find((each) => String(each.circuit_id) === String(row.circuit_id));
  const to = found?.to_router_ids ?? [];
  const show = () => {
    const shown = nothing();
    addCircuit(shown, row);
    for (const each of store.tables.links.values()) {
      const at = to.indexOf(each.a_router_id);
      if (at >= 0 && (to[at + 1] === each.b_router_id || to[at - 1] === each.b_router_id)) addLine(shown, each, "preview");
    }
    preview.value = shown;
  };
  const hide = () => { preview.value = null; };
  if (!to.length) return html`<p class="why">Without ${link.link_id}: ${found?.text || "no other way"}.</p>`;
  return html`<div class="ways"><h3>Next best, without ${link.link_id}</h3><ul><li><button class="link" onPointerEnter=${show} onPointerLeave=${hide} onFocus=${show} onBlur=${hide}>${to.join(" → ")}</button>
    <small>loses ${percent(found.loss_after)} instead of ${percent(found.loss_before)}</small></li></ul></div>`;
}
