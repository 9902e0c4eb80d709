// The lists beside the map: columns of circuits, lines, routers, loads and sources. The worst comes first.

import { html, useEffect } from "../vendor/ui.js";
import { adminWord, currentsOf, lineState, lossShare, standbyOf } from "../scene.js";
import { route, go, LISTS, open } from "../route.js";
import { store } from "../store.js";
import { Share } from "./bars.js";
import { Events } from "./events.js";
import { Market } from "./market.js";
import { System } from "./system.js";
import { number, stateColumn, Table, word } from "./table.js";
import { current, duration, energy, enumWord, LINE_STATES, moment, percent, power, ROUTER_STATES, stateOf } from "../words.js";

export const lineStateOf = (row) => LINE_STATES[lineState(row)];
export const shareOf = (row) => {
  const [ab, ba] = currentsOf(row, null);
  return row.ampacity_a ? (ab + ba + standbyOf(row)) / row.ampacity_a : 0;
};

/** @param {any} row of a router */
export function routerStateOf(row) {
  if (!row.connected) return ROUTER_STATES.gone;
  const admin = adminWord(row.admin);
  return ROUTER_STATES[admin || (row.late_ms > 0 ? "late" : "connected")];
}

const protectionWord = (row) => enumWord(row.protection, "PROTECTION");

/** Energy that its load was promised and did not get, by all causes. */
const missingMj = (row) => row.missing_mj && Object.values(row.missing_mj).reduce((sum, mj) => sum + mj, 0);

const CIRCUITS = [
  number("id", "id", (row) => Number(row.circuit_id), String, { width: "48px", right: false }),
  stateColumn((row) => stateOf(row.state)),
  word("sink", "sink", (row) => row.sink_id),
  word("source", "source", (row) => row.source_id, { wide: true }),
  number("power", "power", (row) => row.power_w, power),
  number("injected", "injected", (row) => row.injected_w, power, { wide: true }),
  number("loss", "loss", (row) => row.loss_fraction, percent, { width: "minmax(52px, 0.6fr)" }),
  number("hops", "hops", (row) => row.link_ids?.length, String, { wide: true }),
  number("hold", "hold", (row) => row.hold_priority, String, { wide: true }),
  word("protection", "protection", protectionWord, { wide: true }),
  number("missing", "missing", missingMj, energy, { wide: true }),
  number("breaks", "breaks", (row) => row.interruptions, String, { wide: true }),
  word("request", "request", (row) => row.request_id, { wide: true }),
  number("created", "created", (row) => row.created_unix_ms, moment, { wide: true, right: false }),
  number("changed", "changed", (row) => row.changed_unix_ms, moment, { wide: true, right: false }),
  word("reason", "reason", (row) => row.reason, { wide: true, width: "minmax(140px, 2.5fr)" }),
];
const LINES = [
  word("id", "line", (row) => row.link_id),
  word("ends", "between", (row) => `${row.a_router_id} – ${row.b_router_id}`, { wide: true }),
  stateColumn(lineStateOf, "minmax(84px, 0.9fr)"),
  word("why", "why down", (row) => row.down_text, { wide: true, width: "minmax(140px, 2.5fr)" }),
  { key: "load", title: "load", value: shareOf, text: (row) => percent(shareOf(row)), width: "minmax(104px, 1.1fr)", right: true, plain: true, show: (row) => html`<${Share} share=${shareOf(row)} />` },
  number("loss", "loss", (row) => lossShare(row, currentsOf(row, null)), percent, { width: "minmax(52px, 0.6fr)" }),
  number("ampacity", "ampacity", (row) => row.ampacity_a, current, { wide: true }),
  number("ohm", "Ω", (row) => row.resistance_ohm, (ohm) => Number(ohm).toPrecision(3), { wide: true }),
  number("price", "toll/MWh", (row) => row.cost_per_mwh, String, { wide: true }),
  word("risk", "risk groups", (row) => (row.risk_groups ?? []).join(", "), { wide: true }),
];
const ROUTERS = [
  word("id", "router", (row) => row.router_id),
  stateColumn(routerStateOf),
  number("late", "late", (row) => (row.connected && row.late_ms) || undefined, duration),
  number("efficiency", "efficiency", (row) => row.efficiency, percent),
  word("profile", "kind", (row) => row.profile ?? "", { wide: true }),
  number("through", "through", (row) => row.through_w, power, { wide: true }),
];
/** What a load lacks, in a word. */
export function loadStateOf(row) {
  const fates = store.tables.sinks.get(row.load_id);
  if (fates?.waiting) return stateOf("WAITING");
  if (fates?.moving) return stateOf("REROUTING");
  return fates?.served ? { glyph: "dot", word: "served", tone: "ok", rank: 8 } : { glyph: "ring", word: "idle", tone: "muted", rank: 9 };
}
const LOADS = [
  word("id", "load", (row) => row.load_id),
  stateColumn(loadStateOf, "minmax(84px, 0.9fr)"),
  number("power", "reserved", (row) => row.reserved_w, power),
  number("most", "of", (row) => row.max_power_w, power),
  number("priority", "priority", (row) => row.priority, String, { wide: true }),
  word("router", "router", (row) => row.router_id, { wide: true }),
];
const SOURCES = [
  word("id", "source", (row) => row.source_id),
  number("power", "reserved", (row) => row.reserved_w, power),
  number("most", "of", (row) => row.max_power_w, power),
  { key: "share", title: "used", value: (row) => row.reserved_w / row.max_power_w, text: (row) => percent(row.reserved_w / row.max_power_w), width: "minmax(104px, 1.1fr)", right: true, plain: true, show: (row) => html`<${Share} share=${row.reserved_w / row.max_power_w} />` },
  number("cost", "per MWh", (row) => row.cost_per_mwh, String, { wide: true }),
  number("carbon", "kg CO₂/MWh", (row) => row.carbon_kg_per_mwh, String, { wide: true }),
  word("kind", "kind", (row) => (row.renewable ? "renewable" : "other"), { wide: true }),
  word("router", "router", (row) => row.router_id, { wide: true }),
];

const TABLES = {
  circuits: { table: "circuits", kind: "circuit", columns: CIRCUITS, sort: "state", hint: "state:waiting  loss>5%", empty: html`No circuit stands. <button class="primary" onClick=${() => open("request")}>Request power</button>` },
  lines: { table: "links", kind: "line", columns: LINES, sort: "state", hint: "r1-r3  state:down  load>80%", empty: "No line is known yet: no router has advertised any." },
  routers: { table: "routers", kind: "router", columns: ROUTERS, sort: "state", hint: "r7  state:gone", empty: "No router has connected yet." },
  loads: { table: "loads", kind: "load", columns: LOADS, sort: "state", hint: "state:waiting  most>1MW", empty: "No load is known." },
  sources: { table: "sources", kind: "source", columns: SOURCES, sort: "-share", hint: "pv  used>80%", empty: "No source is known." },
};
const TITLES = { circuits: "Circuits", lines: "Lines", routers: "Routers", loads: "Loads", sources: "Sources", events: "Events", system: "System", market: "Market" };
/** Lists that are no tables of the stream. */
const VIEWS = { events: Events, system: System, market: Market };

export const listName = () => (LISTS.includes(route.value.params.list) ? route.value.params.list : "circuits");

/** Those that there are: a market where the daemon's configuration names an exchange. */
export const lists = () => LISTS.filter((list) => list !== "market" || store.daemon.value?.market || listName() === list);

/** @param {string} list */
export function showList(list) {
  go({ params: { list: list === "circuits" ? "" : list, q: "", sort: "" } });
}

export function Lists() {
  const name = listName();
  const View = VIEWS[name];
  // On a phone not all of them fit beside each other.
  useEffect(() => document.getElementById(`tab-${name}`)?.scrollIntoView({ block: "nearest", inline: "nearest" }), [name]);
  return html`<section class="lists" aria-label="Lists">
    <div class="tabs" role="tablist" aria-label="Lists" onKeyDown=${walkTabs}>
      ${lists().map((list) => html`<${Tab} key=${list} list=${list} selected=${list === name} />`)}
    </div>
    <div class="tabpanel" role="tabpanel" id="list" aria-labelledby=${`tab-${name}`}>
      ${View ? html`<${View} />` : html`<${List} key=${name} name=${name} />`}
    </div>
  </section>`;
}

function Tab({ list, selected }) {
  return html`<button role="tab" id=${`tab-${list}`} aria-selected=${selected} aria-controls="list" tabindex=${selected ? 0 : -1}
    onClick=${() => showList(list)}>${TITLES[list]}</button>`;
}

function walkTabs(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  event.stopPropagation();
  const shown = lists();
  const to = shown[(shown.indexOf(listName()) + step + shown.length) % shown.length];
  showList(to);
  requestAnimationFrame(() => document.getElementById(`tab-${to}`)?.focus());
}

function List({ name }) {
  const { table, ...rest } = TABLES[name];
  return html`<${Table} name=${name} rows=${() => store.tables[table].values()} version=${store.versions[table].value} ...${rest} />`;
}
