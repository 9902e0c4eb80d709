// A circuit's card: where its power goes hop by hop and what each loses, why this way, how it has lived, and what to do.

import { html, useEffect, useState } from "../vendor/ui.js";
import { call } from "../api.js";
import { linkTo, open } from "../route.js";
import { store } from "../store.js";
import { ago, clock, counted, duration, energies, enumWord, fateOf, moment, percent, power, stateOf } from "../words.js";
import { colourOf, Facts, Figures, Share } from "./bars.js";
import { Glyph, State } from "./glyph.js";
import { shareOf } from "./lists.js";
import { Refusal } from "./refusal.js";
import { fullest, OtherWays } from "./ways.js";

// Longer paths are folded in the middle, until somebody opens them.
const FOLDED_FROM = 10;
// While a circuit changes, the whole of it is asked for no more often.
const ASK_MS = 1500;

/** @param {{row: any}} props */
export function CircuitCard({ row }) {
  const whole = useWhole(row);
  const of = stateOf(row.state);
  const released = row.state === "WITHDRAWING" || row.state === "WITHDRAWN" || row.admin_up === false;
  return html`
    <header><${State} of=${of} /><h2>Circuit ${row.circuit_id}</h2>${whole && html`<small>generation ${String(whole.generation ?? "")}</small>`}</header>
    ${row.reason && html`<p class=${`reason tone-${of.tone}`}>${row.reason}</p>`}
    <${Figures} of=${[
      ["Power", power(row.power_w)], ["Injected", power(row.injected_w)], ["Loss", percent(row.loss_fraction), power((row.injected_w ?? 0) - (row.power_w ?? 0))],
      ["Lines", row.link_ids?.length ?? "–"],
    ]} />
    <${Path} row=${row} whole=${whole} />
    <${Guard} row=${row} whole=${whole} />
    <${Curtailed} of=${whole?.curtailed} />
    <${Why} row=${row} />
    <${OtherWays} row=${row} />
    <${Life} whole=${whole} />
    <${Missing} row=${row} whole=${whole} />
    <${Shortfalls} of=${whole?.shortfalls} />
    <${Facts} of=${[["Request", row.request_id], ["Owner", whole?.owner], ["Hold", hold(whole?.hold, released)], ["Ends by itself", moment(Number(whole?.until_unix_ns ?? 0) / 1e6)], ["Created", moment(row.created_unix_ms)], ["Last decided", moment(row.changed_unix_ms)], ["Hold priority", whole?.hold_priority], ["Kept when short", row.floor_w ? power(row.floor_w) : ""], ["Asked for", asked(whole?.constraints)]]} />
    <${Audit} subjects=${[String(row.circuit_id), row.request_id]} />
    <div class="actions">
      ${isHeld(whole, released) && html`<button onClick=${() => open("activate", { id: String(row.circuit_id) })}>Activate…</button>`}
      <button disabled=${released || isHeld(whole, released)} onClick=${() => open("change", { id: String(row.circuit_id) })}>Change…</button>
      <button class="danger" disabled=${released} onClick=${() => open("release", { id: String(row.circuit_id) })}>Release…</button>
    </div>`;
}

/** The circuit as GetCircuit has it: rows of the stream are short. */
function useWhole(row) {
  const [whole, setWhole] = useState(null);
  useEffect(() => {
    const aborter = new AbortController();
    const timer = setTimeout(() => {
      call("PowerService/GetCircuit", { circuit_id: String(row.circuit_id) }, aborter.signal)
        .then((told) => setWhole(told.circuit ?? null), (error) => { if (error.name !== "AbortError") setWhole(null); });
    }, whole ? ASK_MS : 0);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [row]);
  return whole;
}

/** From its source to its sink: each line with how full it is, and what this circuit loses there. */
function Path({ row, whole }) {
  const [unfolded, setUnfolded] = useState(false);
  const ids = row.link_ids ?? [];
  const hops = new Map((whole?.links ?? []).map((hop) => [hop.link_id, hop]));
  const folded = ids.length >= FOLDED_FROM && !unfolded;
  const shown = folded ? [...ids.slice(0, 4), null, ...ids.slice(-3)] : ids;
  return html`<ol class="path" aria-label="Path">
    <li class="end"><${Glyph} name="triangle" tone="source" /><a href=${linkTo("source", row.source_id)}>${row.source_id}</a>
      ${row.router_ids?.length > 0 && html`<small>at ${row.router_ids[0]}</small>`}</li>
    ${shown.map((id) => (id === null
      ? html`<li class="fold"><button class="link" onClick=${() => setUnfolded(true)}>${ids.length - 7} more lines</button></li>`
      : html`<${Hop} key=${id} id=${id} hop=${hops.get(id)} />`))}
    <li class="end"><${Glyph} name="dot" tone="load" /><a href=${linkTo("load", row.sink_id)}>${row.sink_id}</a>
      ${row.router_ids?.length > 0 && html`<small>at ${row.router_ids.at(-1)}</small>`}</li>
  </ol>`;
}

function Hop({ id, hop }) {
  const link = store.tables.links.get(id);
  const lost = hop ? hop.sent_w - hop.received_w : null;
  return html`<li class="hop"><span class="stretch" aria-hidden="true" style=${link && { background: colourOf(shareOf(link)) }} /><a href=${linkTo("line", id)}>${id}</a>
    ${lost !== null && html`<small title="What this circuit loses on this line">−${power(lost)}</small>`}
    ${link ? html`<${Share} share=${shareOf(link)} />` : html`<small>not known</small>`}</li>`;
}

/** Its standby, if it has or wants one. */
function Guard({ row, whole }) {
  const word = enumWord(row.protection ?? whole?.protection, "PROTECTION");
  if (!word || word === "none") return null;
  const tone = { protected: "ok", lost: "alarm", pending: "muted", switched: "warn" }[word] ?? "muted";
  // The row is newer than the whole: what it carries power over by now is no standby.
  const ids = row.standby_link_ids ?? [];
  const routers = ids.join() === (row.link_ids ?? []).join() ? [] : (row.standby_router_ids ?? []);
  const told = whole?.standby;
  const standby = told && (told.links ?? []).map((link) => link.link_id).join() === ids.join() ? told : null;
  return html`<div class="guard"><h3>Protection <span class=${`tone-${tone}`}>${word}</span></h3>
    ${row.protection_reason && html`<p>${row.protection_reason}</p>`}
    ${routers.length > 0 && html`<p>Standby ${standby ? `from ${standby.source_id} ` : ""}over ${routers.join(" → ")}${standby ? `, loses ${percent(standby.loss_fraction)}${standby.dedicated ? ", with room of its own" : ""}` : ""}.</p>`}
  </div>`;
}

function Curtailed({ of }) {
  if (!of) return null;
  return html`<p class="reason tone-warn">Gets ${power(of.granted_w)} of ${power(of.asked_w)} since ${ago(Number(of.since_unix_ns) / 1e6)}: ${of.by} has no more for it.</p>`;
}

/** What is known of the choice without asking: it loses least, and what is fullest on it. */
function Why({ row }) {
  if (fateOf(row.state) !== "served") return null;
  const full = fullest(row);
  if (!full) return null;
  return html`<p class="why"><b>Why this way?</b> Of all that had room when it was routed, the least is injected over this one.
    Fullest line: <a href=${linkTo("line", full.link_id)}>${full.link_id}</a>, ${percent(shareOf(full))} now.</p>`;
}

const STEPS = [["stored", "stored_after_ns"], ["staged", "staged_after_ns"], ["committed", "committed_after_ns"], ["power at the sink", "actuated_after_ns"]];

/** From its request to power at its sink. */
function Life({ whole }) {
  const timings = whole?.timings;
  const steps = STEPS.map(([name, key]) => [name, Number(timings?.[key] ?? 0) / 1e6]).filter(([, ms]) => ms > 0);
  if (!steps.length) return null;
  const all = steps.at(-1)[1];
  let before = 0;
  const parts = steps.map(([name, ms], at) => {
    const part = { name, ms, grow: Math.max(0.04, Math.sqrt((ms - before) / all)), at };
    before = ms;
    return part;
  });
  return html`<div class="life"><div class="life-bar" aria-hidden="true">${parts.map(({ name, grow, at }) => html`<span key=${name} class=${`step-${at}`} style=${{ "flex-grow": String(grow) }} />`)}</div>
    <p>${parts.map(({ name, ms, at }) => html`<span key=${name} class=${at === STEPS.length - 1 ? "tone-ok" : ""}>${name} ${at === STEPS.length - 1 ? "after " : ""}${duration(ms)}</span>`)}</p></div>`;
}

const CAUSES = [["start_mj", "before its first power"], ["fault_mj", "by faults"], ["move_mj", "by moves"], ["curtailment_mj", "by curtailment"], ["refused_mj", "refused by its load"]];

/** What its load was promised and did not get. */
function Missing({ row, whole }) {
  const missing = whole?.missing;
  if (!missing) return null;
  const promised = Number(missing.promised_mj ?? 0);
  const parts = CAUSES.map(([key, words]) => [Number(missing[key] ?? 0), words]).filter(([mj]) => mj > 0);
  const lacked = parts.reduce((sum, [mj]) => sum + mj, 0);
  const told = energies([promised]);
  const causes = parts.length > 1 ? parts.map(([mj, words]) => `${told(mj)} ${words}`).join(", ") : parts.map(([, words]) => `all ${words}`).join("");
  return html`<p class="missing"><b>${lacked ? `${told(lacked)} missing` : "Nothing missing"}</b> of ${told(promised)} promised${
    promised > 0 && lacked > 0 ? ` (${part(lacked / promised)})` : ""}${row.missing_ms > 0 ? `, as much as ${duration(row.missing_ms)} of its power` : ""}${causes ? `: ${causes}` : ""}.
    ${whole.interruptions > 0 && ` ${counted(Number(whole.interruptions), "interruption")}, the last of ${duration(Number(whole.last_interruption_ns ?? 0) / 1e6)}.`}</p>`;
}

// Of a circuit that has lived long, the newest intervals.
const SHOWN_SHORTFALLS = 5;

/** When its load got less than it was promised, and who failed to deliver; the newest first. */
function Shortfalls({ of }) {
  if (!of?.length) return null;
  const told = energies(of.map((each) => Number(each.missing_mj ?? 0)));
  const rows = of.slice(-SHOWN_SHORTFALLS).reverse().map((each) => {
    const [from, to] = [Number(each.from_unix_ns) / 1e6, Number(each.to_unix_ns) / 1e6];
    const why = `${enumWord(each.cause, "SHORT_CAUSE") || "unknown"} ${each.by ?? ""}`.trim();
    return [`${moment(from)}, ${why}`, `${told(Number(each.missing_mj ?? 0))} in ${duration(to - from)}`];
  });
  return html`<h3>When it got less</h3><${Facts} figures of=${rows} />`;
}

const isHeld = (whole, released) => !released && enumWord(whole?.hold?.state, "HOLD_STATE") === "held";

/** One that was released before it was activated stays "held" in the API. */
function hold(of, released) {
  if (!of) return "";
  const until = moment(Number(of.until_unix_ns) / 1e6);
  const word = enumWord(of.state, "HOLD_STATE");
  if (word === "expired") return `expired ${until}, nobody had activated it`;
  if (word !== "held") return word;
  return released ? "released before anybody activated it" : `held, kept until ${until} unless activated`;
}

/** Of an hour's energy a fault takes very little. */
const part = (share) => (share >= 1e-4 ? percent(share) : "less than 0.01 %");

function asked(constraints) {
  if (!constraints) return "";
  return [
    constraints.max_loss_fraction !== undefined && `loss up to ${percent(constraints.max_loss_fraction)}`,
    constraints.max_hops !== undefined && `up to ${counted(constraints.max_hops, "line")}`,
    constraints.avoid_ids?.length && `not over ${constraints.avoid_ids.join(", ")}`,
    constraints.packets && "power packets",
  ].filter(Boolean).join("; ");
}

// Of the audit log, the newest.
const ENTRIES = 30;

/** Who asked for what, what was decided, and why: from the audit log, when somebody opens it. @param {{subjects: string[]}} props */
function Audit({ subjects }) {
  const [entries, setEntries] = useState(null);
  const [error, setError] = useState(null);
  const toggled = (event) => {
    if (!event.currentTarget.open) return;
    call("OperationsService/ReadAudit", { subjects: subjects.filter(Boolean), newest: ENTRIES })
      .then((told) => setEntries(told.entries ?? []), setError);
  };
  return html`<details class="audit" onToggle=${toggled}><summary>History</summary><${Refusal} error=${error} />
    <ol>${[...(entries ?? [])].reverse().map((each) => html`<li key=${each.seq}><time>${clock(Number(each.at_unix_ns) / 1e6)}</time>
      <span>${[each.action, each.decided, each.why].filter(Boolean).join(", ")} <small>${each.who}</small></span></li>`)}</ol></details>`;
}
