// What of the map is looked at: lines and routers of what is selected, or of what a dialog previews.

import { store } from "./store.js";

/** @returns {import("./scene.js").Emphasis} */
export const nothing = () => ({ lines: new Map(), nodes: new Map() });

/**
 * @param {string} kind of what is selected @param {string} id
 * @returns {import("./scene.js").Emphasis | null}
 */
export function emphasisOf(kind, id) {
  const row = kind ? store.find(kind, id) : null;
  if (!row) return null;
  const shown = nothing();
  if (kind === "circuit") addCircuit(shown, row);
  else if (kind === "line") addLine(shown, row, "path");
  else if (kind === "router") addRouter(shown, row);
  else shown.nodes.set(id, "hit");
  return shown;
}

/** A circuit, or what a dry run says it would be. @param {import("./scene.js").Emphasis} shown @param {any} circuit @param {string} [tone] */
export function addCircuit(shown, circuit, tone = "path") {
  for (const link of circuit.standby_link_ids ?? circuit.standby?.links ?? []) {
    shown.lines.set(link.link_id ?? link, "standby");
  }
  for (const link of circuit.link_ids ?? circuit.links ?? []) shown.lines.set(link.link_id ?? link, tone);
  for (const router of circuit.router_ids ?? []) shown.nodes.set(router, "on");
  if (circuit.source_id) shown.nodes.set(circuit.source_id, tone);
  if (circuit.sink_id) shown.nodes.set(circuit.sink_id, tone);
}

/** A trade: its circuit while there is one, else the way that was agreed. @param {any} trade @returns {import("./scene.js").Emphasis | null} */
export function emphasisOfTrade(trade) {
  if (!trade) return null;
  const shown = nothing();
  const circuit = store.find("circuit", trade.circuit_id);
  if (circuit) addCircuit(shown, circuit);
  else addIds(shown, trade.path, "path");
  return shown;
}

/** A line with its ends. @param {import("./scene.js").Emphasis} shown @param {any} link @param {string} tone */
export function addLine(shown, link, tone) {
  shown.lines.set(link.link_id, tone);
  shown.nodes.set(link.a_router_id, "on");
  shown.nodes.set(link.b_router_id, "on");
}

function addRouter(shown, router) {
  shown.nodes.set(router.router_id, "hit");
  for (const link of store.tables.links.values()) {
    if (link.a_router_id === router.router_id || link.b_router_id === router.router_id) {
      shown.lines.set(link.link_id, "path");
    }
  }
}

/** Ids of any kind, as refusals name them. @param {import("./scene.js").Emphasis} shown @param {string[]} ids @param {string} tone */
export function addIds(shown, ids, tone) {
  for (const id of ids) {
    const link = store.tables.links.get(id);
    if (link) addLine(shown, link, tone);
    else shown.nodes.set(id, tone);
  }
}
