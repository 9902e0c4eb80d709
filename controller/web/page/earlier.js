// The map as the daemon has kept it: steps, of which the first has everything, and each later one what was otherwise.

import { fateOf } from "./words.js";

const TABLES = ["routers", "links", "sources", "loads"];

export class Earlier {
  /** @param {{columns: Record<string, string[]>, to_unix_ms: number, steps: Record<string, any>[]}} told */
  constructor({ columns, to_unix_ms: toMs, steps }) {
    this.columns = columns;
    this.steps = steps;
    this.toMs = toMs;
  }

  /** @param {number} atMs */
  knows(atMs) {
    return this.steps.length > 0 && atMs >= this.steps[0].at_unix_ms && atMs <= this.toMs;
  }

  /** Rows as they were, over what is fixed of them now. @param {number} atMs @param {any} now */
  tables(atMs, now) {
    const before = this.steps.filter((step) => step.at_unix_ms <= atMs);
    const then = { sinks: new Map() };
    for (const table of TABLES) then[table] = this.rows(table, before, now[table]);
    for (const step of before) {
      for (const [id, states] of step.sinks ?? []) then.sinks.set(id, fatesOf(states));
    }
    return then;
  }

  /** @param {string} table @param {Record<string, any>[]} steps @param {Map<string, any>} now */
  rows(table, steps, now) {
    const names = this.columns[table] ?? [];
    const last = new Map();
    for (const step of steps) {
      for (const values of step[table] ?? []) last.set(values[0], values);
    }
    const rows = new Map(now);
    for (const [id, values] of last) {
      const row = now.get(id);
      if (row) rows.set(id, { ...row, ...Object.fromEntries(names.map((name, at) => [name, values[at]])) });
    }
    return rows;
  }
}

/** How many circuits wait, move and are served, as the store counts them. @param {Record<string, number>} states */
function fatesOf(states) {
  const fates = { waiting: 0, moving: 0, served: 0 };
  for (const [state, count] of Object.entries(states)) {
    const fate = fateOf(state.toUpperCase());
    if (fate) fates[fate] += count;
  }
  return fates;
}
