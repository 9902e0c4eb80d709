// Request power, change what a circuit has, release it; each shows what it would do before it does it.

import { html, useRef } from "../vendor/ui.js";
import { ApiError, call } from "../api.js";
import { addCircuit, addIds, nothing } from "../emphasis.js";
import { go, route } from "../route.js";
import { store } from "../store.js";
import { preview } from "../view_state.js";
import { counted, parsed, percent, power } from "../words.js";
import { Course, Dialog, Field, IdInput, idsOf } from "./dialog.js";
import { Facts, Figures } from "./bars.js";
import { waysFor } from "./ways.js";

const PROTECT = [["", "none"], ["PROTECT_LINK", "against loss of a line"], ["PROTECT_ROUTER", "of a line or router"], ["PROTECT_RISK", "of a risk group"]];

export function RequestDialog() {
  const { kind, id, params: { sink: given = "", power: amount = "", source = "" } } = route.value;
  const sink = given || (kind === "load" ? id : "");
  const fields = html`
    <div class="fields two">
      <${Field} label="Load"><${IdInput} name="sink" list="loads" ids=${[...store.tables.loads.keys()]} value=${sink} required focus=${!sink} /><//>
      <${Field} label="Power"><input name="power" defaultValue=${amount} placeholder="2 MW" required autocomplete="off" autofocus=${Boolean(sink)} /><//>
      <${Field} label="Source" hint="none: any with spare power"><${IdInput} name="source" list="sources" ids=${[...store.tables.sources.keys()]} value=${source} placeholder="any" /><//>
      <${Field} label="Protection"><select name="protect">${PROTECT.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select><//>
    </div>
    <details><summary>More</summary><div class="fields two">
      <${Field} label="Loss at most"><input name="loss" placeholder="5 %" autocomplete="off" /><//>
      <${Field} label="Lines at most"><input name="hops" inputmode="numeric" autocomplete="off" /><//>
      <${Field} label="Not over" hint="routers and lines"><input name="avoid" placeholder="r2 r3-r5" autocomplete="off" spellcheck=${false} /><//>
      <${Field} label="Kept when power is short"><input name="floor" placeholder="500 kW" autocomplete="off" /><//>
      <${Field} label="Hold priority" hint="none: the load's"><input name="hold" inputmode="numeric" autocomplete="off" /><//>
      <${Field} label="Setup priority"><input name="setup" inputmode="numeric" autocomplete="off" /><//>
      <label class="check"><input type="checkbox" name="split" /> may be split over several circuits</label>
      <label class="check"><input type="checkbox" name="dedicated" /> standby with room of its own</label>
    </div></details>`;
  return html`<${Dialog} title="Request power"><${Course} by_itself fields=${fields} request=${requestOf} dryRun=${computed} shown=${(told) => html`<${Planned} circuits=${told.circuits ?? []} />`}
    verb=${(asked) => (asked ? `Request ${power(asked.power_w)}` : "Request")} act=${requested} /><//>`;
}

/** @param {FormData} form @returns {any} a PowerRequest, or what is wrong */
function requestOf(form) {
  const text = (name) => String(form.get(name) ?? "").trim();
  const power_w = parsed(text("power"));
  if (!(power_w > 0)) return `“${text("power")}” is no power. Write it as 2 MW, 350 kW or 1500.`;
  const request = { sink_id: text("sink"), power_w, source_ids: idsOf(form.get("source")), constraints: {} };
  if (text("loss")) request.constraints.max_loss_fraction = parsed(text("loss"));
  if (text("hops")) request.constraints.max_hops = Number(text("hops"));
  if (text("avoid")) request.constraints.avoid_ids = idsOf(form.get("avoid"));
  if (text("floor")) request.floor_w = parsed(text("floor"));
  if (text("hold")) request.hold_priority = Number(text("hold"));
  if (text("setup")) request.setup_priority = Number(text("setup"));
  if (text("protect")) request.protect = text("protect");
  if (form.get("split")) request.allow_split = true;
  if (form.get("dedicated")) request.dedicated = true;
  const wrong = Object.entries({ ...request, ...request.constraints }).find(([, value]) => Number.isNaN(value));
  return wrong ? `${wrong[0].replace(/_/g, " ")} is no number.` : request;
}

/** A dry run; a refusal shows on the map what binds. */
async function computed(request) {
  try {
    return previewed(await call("PowerService/ComputePower", { request }));
  } catch (error) {
    if (error instanceof ApiError) showBottleneck(error);
    throw error;
  }
}

/** Shows on the map what a dry run would make. @param {any} told */
function previewed(told) {
  const shown = nothing();
  for (const circuit of told.circuits ?? []) addCircuit(shown, circuit, "preview");
  preview.value = shown;
  return told;
}

/** Lines, routers and sources that a refusal names. @param {ApiError} error */
export function showBottleneck(error) {
  const ids = Object.entries(error.metadata ?? {}).filter(([key]) => /bottleneck|link|router|source|limit/.test(key))
    .flatMap(([, value]) => String(value).split(/[\s,]+/)).filter((id) => store.tables.links.has(id) || store.tables.routers.has(id) || store.tables.sources.has(id));
  if (!ids.length) return;
  const shown = nothing();
  addIds(shown, ids, "bottleneck");
  preview.value = shown;
}

function Planned({ circuits }) {
  const [delivered, injected] = ["power_w", "injected_w"].map((key) => circuits.reduce((sum, circuit) => sum + (circuit[key] ?? 0), 0));
  return html`<${Figures} of=${[["Delivered", power(delivered)], ["Injected", power(injected)], ["Loss", injected ? percent(1 - delivered / injected) : "–"], circuits.length > 1 && ["Circuits", circuits.length]]} />
    ${circuits.map((circuit, at) => html`<${Facts} key=${at} of=${[
      ["From", circuit.source_id], ["Over", (circuit.router_ids ?? []).join(" → ")],
      ["Standby", circuit.standby ? `from ${circuit.standby.source_id} over ${(circuit.standby.router_ids ?? []).join(" → ")}` : ""],
      ["Note", circuit.reason],
    ]} />`)}`;
}

async function requested(request, request_id) {
  const told = await call("PowerService/RequestPower", { request: { ...request, request_id } });
  const [circuit] = told.circuits ?? [];
  if (circuit) go({ kind: "circuit", id: String(circuit.circuit_id) });
  return `${power(request.power_w)} for ${request.sink_id}: ${counted(told.circuits?.length ?? 0, "circuit")}.`;
}

/** A circuit as it was last known while a dialog is open, even if it ends meanwhile. @param {string} id */
function useCircuit(id) {
  const last = useRef(null);
  if (store.versions.circuits.value >= 0) last.current = store.find("circuit", id) ?? last.current;
  return last.current;
}

function Ended({ id, title }) {
  return html`<${Dialog} title=${title}><p class="empty">${store.ready.value ? `Circuit ${id} has ended.` : "Waiting for the controller…"}</p><//>`;
}

export function ChangeDialog() {
  const { id = "" } = route.value.params;
  const row = useCircuit(id);
  if (!row) return html`<${Ended} id=${id} title="Change" />`;
  const fields = html`<p>Circuit ${id} brings ${power(row.power_w)} from ${row.source_id} to ${row.sink_id}.</p>
    <${Field} label="Power"><input name="power" placeholder=${power(row.power_w)} required autocomplete="off" autofocus /><//>`;
  const read = (form) => {
    const power_w = parsed(String(form.get("power")));
    return power_w > 0 ? { circuit_id: String(id), power_w } : "That is no power. Write it as 2 MW, 350 kW or 1500.";
  };
  return html`<${Dialog} title=${`Change circuit ${id}`}><${Course} by_itself fields=${fields} request=${read} dryRun=${(asked) => changed(row, asked)}
    shown=${(told, asked) => html`<${Changed} row=${row} told=${told} asked=${asked} />`} verb=${(asked) => (asked ? `Change to ${power(asked.power_w)}` : "Change")}
    act=${async (asked) => { await call("PowerService/ChangeCircuit", asked); return `Circuit ${id} changes to ${power(asked.power_w)}.`; }} /><//>`;
}

/** The way that it would take with another power, as if what it holds were free. */
async function changed(row, { power_w }) {
  try {
    return previewed(await waysFor(row, power_w, 1));
  } catch (error) {
    if (error instanceof ApiError) showBottleneck(error);
    throw error;
  }
}

function Changed({ row, told, asked }) {
  const more = asked.power_w - row.power_w;
  const [way] = told.circuits ?? [];
  const same = way && (way.links ?? []).map((link) => link.link_id).join() === (row.link_ids ?? []).join();
  return html`<p>${row.sink_id} gets ${power(Math.abs(more))} ${more < 0 ? "less" : "more"}${same ? ", the same way as now" : ""}. The change is made before anything is broken.</p>
    <${Planned} circuits=${told.circuits ?? []} />`;
}

export function ActivateDialog() {
  const { id = "" } = route.value.params;
  const row = useCircuit(id);
  if (!row) return html`<${Ended} id=${id} title="Activate" />`;
  const look = async () => {
    const shown = nothing();
    addCircuit(shown, row, "hit");
    preview.value = shown;
    return {};
  };
  return html`<${Dialog} title=${`Activate circuit ${id}`}><${Course} at_once request=${() => ({ circuit_id: String(id) })} dryRun=${look}
    fields=${html`<p>Circuit ${id} is reserved, and carries nothing yet.</p>`}
    shown=${() => html`<p><b>${row.sink_id} gets ${power(row.power_w)}</b>, and ${power(row.injected_w)} of ${row.source_id} are injected for it, the way that is reserved.</p>`}
    verb=${() => "Activate"} act=${async (asked) => { await call("PowerService/ActivateCircuit", asked); return `Circuit ${id} is activated.`; }} /><//>`;
}

export function ReleaseDialog() {
  const { id = "" } = route.value.params;
  const row = useCircuit(id);
  if (!row) return html`<${Ended} id=${id} title="Release" />`;
  const others = [...store.tables.circuits.values()].filter((each) => each.sink_id === row.sink_id && each !== row && each.state === "ACTIVE");
  const left = others.reduce((sum, each) => sum + each.power_w, 0);
  const look = async () => {
    const shown = nothing();
    addCircuit(shown, row, "hit");
    preview.value = shown;
    return {};
  };
  return html`<${Dialog} title=${`Release circuit ${id}`}><${Course} at_once danger request=${() => ({ circuit_id: String(id) })} dryRun=${look}
    fields=${html`<p>Circuit ${id} brings ${power(row.power_w)} from ${row.source_id} to ${row.sink_id}.</p>`}
    shown=${() => html`<p><b>${row.sink_id} loses ${power(row.power_w)}</b>${others.length ? ` and keeps ${power(left)} of ${counted(others.length, "other circuit")}` : " and has no other circuit"}. ${power(row.injected_w)} of ${row.source_id} are free again.</p>`}
    verb=${() => "Release"} act=${async (asked) => {
      try {
        await call("PowerService/ReleaseCircuit", asked);
      } catch (error) {
        // Somebody else was quicker: what was asked for is so.
        const state = store.find("circuit", id)?.state;
        if (state && state !== "WITHDRAWING") throw error;
      }
      return `Circuit ${id} is released.`;
    }} /><//>`;
}
