// What the pointer is on, in a few words beside it.

import { html } from "../vendor/ui.js";
import { measuredFlows } from "../mapper.js";
import { currentsOf, lineState, lossShare, standbyOf } from "../scene.js";
import { store } from "../store.js";
import { givenW } from "../symbols.js";
import { flow } from "../view_state.js";
import { current, LINE_STATES, percent, power } from "../words.js";
import { State } from "./glyph.js";
import { loadStateOf, routerStateOf } from "./lists.js";

/** @param {{at: {x: number, y: number, kind: string, id: string, routers: string[]}}} props */
export function Tip({ at }) {
  const row = store.find(at.kind, at.id);
  if (!row) return null;
  const [title, of, ...lines] = WORDS[at.kind](row, at);
  const place = { transform: `translate(${at.x}px, ${at.y}px)` };
  const side = at.x > 260 ? "tip left" : "tip";
  return html`<div class=${side} style=${place} aria-hidden="true"><div><b>${title}</b>${of && html` <${State} of=${of} />`}
    ${lines.filter(Boolean).map((line) => html`<p>${line}</p>`)}</div></div>`;
}

const WORDS = {
  line(row) {
    const measured = flow.value === "measured" ? measuredFlows(store.measured.value) : null;
    const [ab, ba] = currentsOf(row, measured);
    const way = (from, to, amperes) => amperes > 0 && `${from} → ${to}: ${current(amperes)}, ${power(amperes * row.voltage_v)}`;
    return [row.link_id, LINE_STATES[lineState(row)], row.down_text, way(row.a_router_id, row.b_router_id, ab), way(row.b_router_id, row.a_router_id, ba),
      !measured && standbyOf(row) > 0 && `kept for standbys and holds: ${current(standbyOf(row))}`,
      `${percent((ab + ba + (measured ? 0 : standbyOf(row))) / row.ampacity_a)} of ${current(row.ampacity_a)}${ab + ba > 0 ? `, loses ${percent(lossShare(row, [ab, ba]))}` : ""}`];
  },
  router(row, { routers }) {
    const others = routers.length - 1;
    const loads = [...store.tables.loads.values()].filter((load) => routers.includes(load.router_id));
    const sum = loads.reduce((total, load) => total + (load.reserved_w ?? 0), 0);
    return [row.router_id, routerStateOf(row), others > 0 && `and ${others} more beside it: come nearer`, loads.length > 0 && `${loads.length} loads, ${power(sum)} reserved`];
  },
  load: (row) => [row.load_id, loadStateOf(row), `${power(row.reserved_w)} reserved of ${power(row.max_power_w)}`, `at ${row.router_id}`],
  source: (row) => [row.source_id, null, `gives ${power(givenW(row))} of ${power(row.max_power_w)}`, `at ${row.router_id}`],
};
