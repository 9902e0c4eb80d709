// What operators do: drain and undrain, what-if, dispatch, reoptimise, and faults of an emulation.

import { html } from "../vendor/ui.js";
import { call, emulate } from "../api.js";
import { addIds, nothing } from "../emphasis.js";
import { linkTo, route } from "../route.js";
import { store } from "../store.js";
import { preview } from "../view_state.js";
import { counted, enumWord, parsed, percent, power } from "../words.js";
import { Figures } from "./bars.js";
import { Course, Dialog, Field, idsOf } from "./dialog.js";
import { Glyph } from "./glyph.js";

const OUTCOMES = {
  switches: { glyph: "dot", tone: "ok", words: "switches to its standby" }, moves: { glyph: "half", tone: "warn", words: "moves" },
  waits: { glyph: "triangle", tone: "alarm", words: "waits" }, loses: { glyph: "cross", tone: "alarm", words: "loses its power" },
  stays: { glyph: "pause", tone: "warn", words: "cannot leave" },
};
const outcomeOf = (told) => OUTCOMES[enumWord(told.outcome, "OUTCOME")] ?? { glyph: "ring", tone: "muted", words: String(told.outcome) };
// Consequences listed at most; the counts are of all.
const MOST_LISTED = 200;

/** Who would be affected, and how: decided by a copy of the controller. @param {{cut_ids?: string[], drain_ids?: string[]}} asked */
async function whatIf(asked) {
  const told = await call("OperationsService/WhatIf", asked);
  const shown = nothing();
  addIds(shown, [...(asked.cut_ids ?? []), ...(asked.drain_ids ?? [])], "hit");
  for (const each of told.consequences ?? []) {
    if (/WAITS|LOSES|STAYS/i.test(each.outcome)) shown.nodes.set(each.sink_id, "hit");
  }
  preview.value = shown;
  return told;
}

function Consequences({ told }) {
  const all = told.consequences ?? [];
  if (!all.length) return html`<p class="tone-ok"><${Glyph} name="dot" /> No circuit is concerned${told.circuits ? `, of ${counted(told.circuits, "circuit")} that stand` : ""}.</p>`;
  const counts = new Map();
  for (const each of all) counts.set(outcomeOf(each), (counts.get(outcomeOf(each)) ?? 0) + 1);
  return html`<p class="tally">${[...counts].map(([of, count]) => html`<span key=${of.words} class=${`tone-${of.tone}`}><${Glyph} name=${of.glyph} />${count} ${of.words}</span>`)}
      <small>of ${counted(told.circuits ?? 0, "circuit")}</small></p>
    <div class="consequences" tabindex="0" role="group" aria-label="Consequences"><ul class="plain">${all.slice(0, MOST_LISTED).map((each) => html`<li key=${each.circuit_id}>
      <a href=${linkTo("circuit", each.circuit_id)}>${each.circuit_id} to ${each.sink_id}</a><span class=${`state tone-${outcomeOf(each).tone}`}><${Glyph} name=${outcomeOf(each).glyph} /><span>${outcomeOf(each).words}</span></span>
      <span class="figure">${power(each.power_w)}</span>
      <small>${each.text || (each.to_router_ids?.length ? `over ${each.to_router_ids.join(" → ")}, loss ${percent(each.loss_before ?? 0)} → ${percent(each.loss_after ?? 0)}` : "")}</small></li>`)}</ul></div>`;
}

export function DrainDialog() {
  const { id = "" } = route.value.params;
  const fields = html`<p>Nothing new uses ${id} from now on, and what is there moves elsewhere, made before it is broken.</p>
    <label class="check"><input type="checkbox" name="keep" /> keep it closed, also where circuits can never leave</label>
    <label class="check"><input type="checkbox" name="emergency" /> circuits that lose their path and have no other may use it</label>`;
  return html`<${Dialog} title=${`Drain ${id}`}><${Course} at_once danger fields=${fields}
    request=${(form) => ({ id, keep: Boolean(form.get("keep")), emergency_use: Boolean(form.get("emergency")) })}
    dryRun=${() => whatIf({ drain_ids: [id] })} shown=${(told) => html`<${Consequences} told=${told} />`} verb=${() => `Drain ${id}`}
    act=${async (asked) => { await call("OperationsService/Drain", asked); return `${id} is being drained.`; }} /><//>`;
}

export function UndrainDialog() {
  const { id = "" } = route.value.params;
  return html`<${Dialog} title=${`Put ${id} into service`}><${Course} at_once fields=${html`<p>${id} can be used again from now on. Nothing moves back by itself.</p>`}
    request=${() => ({ id })} dryRun=${async () => ({})} shown=${() => ""} verb=${() => "Put into service"}
    act=${async (asked) => { await call("OperationsService/Undrain", asked); return `${id} is in service again.`; }} /><//>`;
}

const FAULTS = {
  cut: { title: "Cut", word: "is cut", why: "The line breaks, and both of its routers notice at once." },
  restore: { title: "Restore", word: "is whole again", why: "The line works again. What moved away stays where it is.", mends: true },
  silence: { title: "Silence", word: "is silent", why: "The line stays up and carries nothing: its routers notice by what they miss." },
  heal: { title: "Heal", word: "is heard again", why: "The line works again. What moved away stays where it is.", mends: true },
  kill: { title: "Kill", word: "is killed", why: "The router's process ends at once, as if its power failed." },
  clear: { title: "Clear", word: "has all its power back", why: "The cloud passes.", mends: true },
  unplug: { title: "Unplug", word: "takes nothing", why: "The load takes nothing of its power, which stays reserved for it." },
  plug: { title: "Plug in", word: "takes its power again", why: "The load takes its power again, as soon as it is there.", mends: true },
  restart: { title: "Restart", word: "starts again", why: "The router's process starts anew, and takes up what it held.", mends: true },
};

// A load that is unplugged keeps its circuits.
const foreseen = (verb) => !FAULTS[verb].mends && verb !== "unplug";

/** Faults of an emulation; with the consequences before. */
export function FaultDialog() {
  const { id = "", verb = "" } = route.value.params;
  const fault = FAULTS[verb];
  if (!fault) return html`<${Dialog} title="Fault"><p class="empty">There is no such fault.</p><//>`;
  return html`<${Dialog} title=${`${fault.title} ${id}`}><${Course} at_once danger=${!fault.mends} fields=${html`<p><span class="chip">emulation</span> ${fault.why}</p>`}
    request=${() => ({ id })} dryRun=${() => (foreseen(verb) ? whatIf({ cut_ids: [id] }) : Promise.resolve({}))}
    shown=${(told) => (foreseen(verb) ? html`<${Consequences} told=${told} />` : "")} verb=${() => `${fault.title} ${id}`}
    act=${async (asked) => { await emulate(verb, asked); return `${id} ${fault.word}.`; }} /><//>`;
}

/** A cloud over a source of an emulation: what is short is told before, as the source's rating and what is reserved say. */
export function CloudDialog() {
  const { id = "" } = route.value.params;
  const source = store.find("source", id);
  const fields = html`<p><span class="chip">emulation</span> So much of its rating is left to ${id}; what is short is shared by floors, then by priorities.</p>
    <div class="fields two"><${Field} label="Left"><input name="share" defaultValue="60 %" required autocomplete="off" autofocus /><//>
      <${Field} label="Passes after" hint="seconds; none: stays"><input name="for" inputmode="numeric" autocomplete="off" /><//></div>`;
  const read = (form) => {
    const share = parsed(String(form.get("share")));
    const for_s = String(form.get("for")).trim();
    if (!(share >= 0 && share <= 1)) return "What is left is a share, such as 60 %.";
    if (for_s && !(Number(for_s) > 0)) return "How long is no number of seconds.";
    return { id, share, ...(for_s ? { for_s: Number(for_s) } : {}) };
  };
  const shown = (_, { share }) => {
    const left = (source?.max_power_w ?? 0) * share;
    const short = Math.max(0, (source?.reserved_w ?? 0) - left);
    return html`<p>${power(left)} are left of ${power(source?.max_power_w)}, ${power(source?.reserved_w)} are reserved: ${short ? html`<b class="tone-alarm">${power(short)} are short</b>` : "nothing is short"}.</p>`;
  };
  return html`<${Dialog} title=${`Cloud over ${id}`}><${Course} by_itself danger fields=${fields} request=${read} dryRun=${async () => ({})} shown=${shown}
    verb=${() => "Let it come"} act=${async (asked) => { await emulate("cloud", asked); return `A cloud is over ${id}.`; }} /><//>`;
}

export function WhatIfDialog() {
  const { cut = "", drain = "" } = route.value.params;
  const fields = html`<p>Decided by a copy of the controller; nothing is changed.</p>
    <${Field} label="Lost, all in one instant" hint="lines, routers and sources"><input name="cut" defaultValue=${cut} placeholder="r3-r5 r7" autocomplete="off" spellcheck=${false} autofocus /><//>
    <${Field} label="Then drained, one after another" hint="lines and routers"><input name="drain" defaultValue=${drain} autocomplete="off" spellcheck=${false} /><//>`;
  const read = (form) => {
    const asked = { cut_ids: idsOf(form.get("cut")), drain_ids: idsOf(form.get("drain")) };
    return asked.cut_ids.length + asked.drain_ids.length ? asked : "Name at least one line, router or source.";
  };
  return html`<${Dialog} title="What if"><${Course} at_once=${Boolean(cut || drain)} fields=${fields} request=${read} dryRun=${whatIf}
    shown=${(told) => html`<${Consequences} told=${told} />`} /><//>`;
}

export function DispatchDialog() {
  const fields = html`<p>Serves all loads from all sources at once: by priority, then by value, then at the least cost and loss.</p>
    <${Field} label="Only these loads" hint="none: every load, for what it does not have yet"><input name="loads" autocomplete="off" spellcheck=${false} /><//>
    <label class="check"><input type="checkbox" name="all" /> every demand in full, or nothing</label>`;
  const read = (form) => ({
    demands: idsOf(form.get("loads")).map((load_id) => ({ load_id })),
    admission: form.get("all") ? "ADMISSION_MODE_ALL_OR_NONE" : "ADMISSION_MODE_ONE_BY_ONE",
  });
  return html`<${Dialog} title="Dispatch"><${Course} fields=${fields} request=${read} dryRun=${dispatched}
    can=${(told) => (told.outcomes ?? []).length > 0} shown=${(told) => html`<${Plan} told=${told} />`} verb=${() => "Dispatch"}
    act=${async (asked, request_id) => {
      const told = await call("OptimisationService/Dispatch", { ...asked, request_id });
      return `${power(told.served_w)} served for ${counted((told.outcomes ?? []).length, "load")}.`;
    }} /><//>`;
}

async function dispatched(asked) {
  const told = await call("OptimisationService/Dispatch", { ...asked, dry_run: true });
  const shown = nothing();
  for (const outcome of told.outcomes ?? []) {
    for (const circuit of outcome.circuits ?? []) addIds(shown, (circuit.links ?? []).map((link) => link.link_id), "preview");
  }
  addIds(shown, [...(told.bottleneck_link_ids ?? []), ...(told.bottleneck_source_ids ?? []), ...(told.bottleneck_router_ids ?? [])], "bottleneck");
  preview.value = shown;
  return told;
}

function Plan({ told }) {
  const unserved = told.unserved ?? [];
  const bottleneck = [...(told.bottleneck_link_ids ?? []), ...(told.bottleneck_source_ids ?? []), ...(told.bottleneck_router_ids ?? [])];
  const outcomes = told.outcomes ?? [];
  return html`<${Figures} of=${[
      ["Served", power(told.served_w ?? 0)], ["Generated", power(told.generated_w ?? 0)],
      ["Loss", power((told.line_loss_w ?? 0) + (told.converter_loss_w ?? 0))], told.cost_per_h ? ["Cost an hour", Number(told.cost_per_h).toFixed(2)] : null,
    ]} />
    ${!outcomes.length && html`<p>Every load has what it can take already.</p>`}
    ${unserved.length > 0 && html`<p class="tone-alarm"><${Glyph} name="triangle" /> ${counted(unserved.length, "load")} not served in full: ${unserved.slice(0, 8).map((each) => `${each.load_id} lacks ${power(each.power_w)}`).join(", ")}.
      ${bottleneck.length > 0 && ` What binds: ${bottleneck.slice(0, 8).join(", ")}.`}</p>`}
    ${told.note && html`<p>${told.note}</p>`}
    ${outcomes.length > 0 && html`<div class="consequences" tabindex="0" role="group" aria-label="Plan"><ul class="plain">${outcomes.slice(0, MOST_LISTED).map((outcome) => {
      const circuits = outcome.circuits ?? [];
      return html`<li key=${outcome.request_id}><span>${circuits[0]?.sink_id ?? outcome.request_id}</span><span class="figure">${power(circuits.reduce((sum, each) => sum + each.power_w, 0))}</span>
        <small>${outcome.message || circuits.map((each) => `${each.source_id} over ${(each.router_ids ?? []).join(" → ")}`).join("; ")}</small></li>`;
    })}</ul></div>`}`;
}

export function ReoptimiseDialog() {
  const fields = html`<p>Looks for a better assignment of the circuits that stand, and moves those that gain most, made before they are broken.</p>
    <${Field} label="Moves at most" hint="none: as configured"><input name="most" inputmode="numeric" autocomplete="off" /><//>`;
  const read = (form) => {
    const most = String(form.get("most") ?? "").trim();
    if (!most) return {};
    return parsed(most) >= 1 ? { most_moves: Math.round(parsed(most)) } : "How many is no number.";
  };
  return html`<${Dialog} title="Reoptimise"><${Course} fields=${fields} request=${read} dryRun=${reoptimised}
    can=${(told) => made(told).length > 0} shown=${(told) => html`<${Moves} told=${told} />`} verb=${() => "Move them"}
    act=${async (asked) => `${counted(((await call("OptimisationService/Reoptimise", asked)).moves ?? []).filter((move) => move.moving).length, "circuit")} moved.`} /><//>`;
}

/** Moves that would be begun: the others have a reason. */
const made = (told) => (told.moves ?? []).filter((move) => !move.reason);

/** Which ways circuits would have then. */
async function reoptimised(asked) {
  const told = await call("OptimisationService/Reoptimise", { ...asked, dry_run: true });
  const shown = nothing();
  for (const move of made(told)) addIds(shown, move.to_link_ids ?? [], "preview");
  preview.value = shown;
  return told;
}

function Moves({ told }) {
  const moves = told.moves ?? [];
  if (!moves.length) return html`<p class="tone-ok"><${Glyph} name="dot" /> No move pays.</p>`;
  return html`<${Figures} of=${[["Loss now", power(told.loss_before_w)], ["Then", power(told.loss_after_w)], ["At best", power(told.loss_bound_w)], ["Moves", made(told).length]]} />
    <div class="consequences" tabindex="0" role="group" aria-label="Moves"><ul class="plain">${moves.slice(0, MOST_LISTED).map((move) => html`<li key=${move.circuit_id}>
      <a href=${linkTo("circuit", move.circuit_id)}>${move.circuit_id} to ${store.find("circuit", move.circuit_id)?.sink_id ?? "its load"}</a><span class="figure">${!move.reason && `−${power(move.gain_w)}`}</span>
      <small>${move.reason || `over ${(move.to_router_ids ?? []).join(" → ")}, now over ${(move.from_router_ids ?? []).join(" → ")}`}</small></li>`)}</ul></div>`;
}
