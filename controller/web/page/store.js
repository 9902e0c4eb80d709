// What the page knows: rows by id, as the stream tells them, and what is counted of them. Views read signals; the map
// reads rows. Whatever columns the daemon has are kept; those that a view asks for and are not there are undefined.

import { batch, computed, signal } from "./vendor/ui.js";
import { History } from "./history.js";
import { fateOf, stateName } from "./words.js";

/** Kinds of rows, with the column that names them. */
export const TABLES = {
  routers: "router_id", links: "link_id", sources: "source_id", loads: "load_id", circuits: "circuit_id",
};
// Marks older than this are not shown; as the daemon keeps them.
const KEPT_MS = 15 * 60 * 1000;
const MOST_MARKS = 2000;
// Between two looks of tables and cards at what has changed.
const TOLD_MS = 200;

/** @typedef {Record<string, any>} Row */

/** Rows by id, and by sink what its circuits get. */
class Tables {
  constructor() {
    /** @type {Map<any, Row>} */ this.routers = new Map();
    /** @type {Map<any, Row>} */ this.links = new Map();
    /** @type {Map<any, Row>} */ this.sources = new Map();
    /** @type {Map<any, Row>} */ this.loads = new Map();
    /** @type {Map<any, Row>} */ this.circuits = new Map();
    /** @type {Map<string, {waiting: number, moving: number, served: number}>} */
    this.sinks = new Map();
  }

  /** @param {string} table @param {string | number} id @param {Row | null} row null where it is gone */
  put(table, id, row) {
    if (table === "circuits") {
      this.count(this.circuits.get(id), -1);
      this.count(row, 1);
    }
    if (row) this[table].set(id, row);
    else this[table].delete(id);
  }

  /** @param {Row | null | undefined} circuit @param {1 | -1} by */
  count(circuit, by) {
    const fate = circuit && fateOf(circuit.state);
    if (!fate) return;
    let sink = this.sinks.get(circuit.sink_id);
    if (!sink) this.sinks.set(circuit.sink_id, (sink = { waiting: 0, moving: 0, served: 0 }));
    sink[fate] += by;
  }
}

export class Store {
  constructor() {
    this.tables = new Tables();
    /** The whole of a resync, until it is complete: meanwhile what was known stays in sight. @type {Tables | null} */
    this.coming = null;
    this.columns = {};
    this.history = new History();
    /** Of each table: another number whenever it has changed, a few times a second at most. */
    this.versions = Object.fromEntries(Object.keys(TABLES).map((name) => [name, signal(0)]));
    this.untold = new Set();
    this.timer = 0;
    /** What the daemon says of itself. @type {import("./vendor/ui.js").Signal<Row | null>} */
    this.daemon = signal(null);
    /** Figures of the last second. @type {import("./vendor/ui.js").Signal<Row | null>} */
    this.now = signal(null);
    /** What meters saw last: figures of the network, and amperes of its lines. @type {import("./vendor/ui.js").Signal<Row | null>} */
    this.measured = signal(null);
    /** @type {import("./vendor/ui.js").Signal<Row[]>} newest last */
    this.marks = signal([]);
    this.connection = signal({ state: "connecting", detail: "" });
    /** When anything was last heard, by this page's clock. */
    this.heardMs = 0;
    this.ready = signal(false);
    /** Whether the whole is being told anew: what is shown is from before. */
    this.syncing = signal(false);
    /** Whom to tell of changes, for the map: kind of change, and ids. @type {((what: string, ids: any[]) => void)[]} */
    this.listeners = [];
  }

  /** @param {string} name @param {any} data */
  event(name, data) {
    this.heardMs = Date.now();
    this[`on_${name}`]?.(data);
  }

  /** @param {string} state @param {string} [detail] */
  state(state, detail = "") {
    if (this.connection.value.state !== state) this.connection.value = { state, detail };
  }

  on_hello({ columns, daemon, resumed }) {
    this.columns = columns;
    this.daemon.value = daemon;
    if (resumed) return;
    this.coming = new Tables();
    this.syncing.value = true;
    if (!this.ready.value) this.tables = this.coming;
    this.marks.value = [];
  }

  on_rows(told) {
    const into = this.coming ?? this.tables;
    const shown = into === this.tables;
    batch(() => {
      for (const table of Object.keys(TABLES)) {
        const ids = this.take(into, table, told[table] ?? [], told.gone?.[table] ?? []);
        if (ids.length && shown) this.changed(table, ids);
      }
    });
  }

  /** @returns {any[]} ids of rows that are new, changed or gone */
  take(into, table, rows, gone) {
    const columns = this.columns[table] ?? [];
    const ids = [];
    for (const values of rows) {
      const row = rowOf(columns, values);
      if (table === "circuits") row.state = stateName(row.state);
      into.put(table, row[TABLES[table]], row.state === "WITHDRAWN" ? null : row);
      ids.push(row[TABLES[table]]);
    }
    for (const id of gone) {
      into.put(table, id, null);
      ids.push(id);
    }
    return ids;
  }

  on_ready() {
    if (this.coming) this.tables = this.coming;
    this.coming = null;
    batch(() => {
      this.ready.value = true;
      this.syncing.value = false;
      for (const table of Object.keys(TABLES)) this.changed(table, null);
    });
  }

  on_now(told) {
    if (told.daemon) this.daemon.value = told.daemon;
    this.now.value = told;
    this.history.second(told, this.tables, this.marks.value);
    for (const listener of this.listeners) listener("now", []);
  }

  on_seconds({ seconds, map_begins_unix_ms: beginsMs }) {
    this.history.before(seconds, beginsMs);
  }

  on_measured(told) {
    this.measured.value = told;
    for (const listener of this.listeners) listener("measured", []);
  }

  on_marks({ marks }) {
    // By the daemon's clock, as its marks are.
    const oldest = (this.now.value?.at_unix_ms ?? Date.now()) - KEPT_MS;
    const known = new Set(this.marks.value.map((mark) => mark.n));
    const fresh = marks.filter((mark) => !known.has(mark.n));
    if (!fresh.length) return;
    this.marks.value = [...this.marks.value, ...fresh]
      .filter((mark) => mark.at_unix_ms > oldest).slice(-MOST_MARKS);
    for (const listener of this.listeners) listener("marks", fresh);
  }

  /** Tells the map at once, and tables a few times a second. @param {string} table @param {any[] | null} ids null: all may be */
  changed(table, ids) {
    for (const listener of this.listeners) listener(table, ids);
    this.history.moved = true;
    this.untold.add(table);
    if (!ids) this.tell();
    else this.timer ||= setTimeout(() => this.tell(), TOLD_MS);
  }

  tell() {
    clearTimeout(this.timer);
    this.timer = 0;
    batch(() => {
      for (const table of this.untold) this.versions[table].value += 1;
    });
    this.untold.clear();
  }

  /** A row, or undefined. @param {string} kind of the URL @param {string} id */
  find(kind, id) {
    const table = kind === "line" ? "links" : `${kind}s`;
    return this.tables[table]?.get(kind === "circuit" ? Number(id) : id);
  }
}

/** @param {string[]} columns @param {any[]} values @returns {Row} */
function rowOf(columns, values) {
  const row = {};
  for (let index = 0; index < columns.length; index += 1) row[columns[index]] = values[index];
  return row;
}

export const store = new Store();

/**
 * What is said of the last second: a view is drawn anew only where that reads otherwise, so that a map at rest costs nothing.
 * @template T @param {(now: any) => T} of @returns {import("./vendor/ui.js").Signal<T>}
 */
export const said = (of) => computed(() => of(store.now.value ?? {}));
