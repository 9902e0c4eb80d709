// What else a circuit could take: asked for when somebody wants to know, and shown on the map.

import { html, useEffect, useState } from "../vendor/ui.js";
import { call } from "../api.js";
import { addCircuit, nothing } from "../emphasis.js";
import { preview } from "../view_state.js";
import { percent, power } from "../words.js";
import { Refusal } from "./refusal.js";

/** @param {{row: any, whole: any}} props */
export function OtherWays({ row, whole }) {
  const [told, setTold] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => () => { preview.value = null; }, []);
  const ask = async () => {
    setError(null);
    try {
      const request = {
        sink_id: row.sink_id, power_w: row.power_w, source_ids: whole?.source_ids ?? [], constraints: whole?.constraints ?? {},
      };
      setTold(await call("PowerService/ComputePaths", { request, most_paths: 4 }));
    } catch (problem) {
      setError(problem);
    }
  };
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
