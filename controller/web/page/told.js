// What the stream has told so far, for a tab that comes later.

// Marks that are told again, the newest.
const MOST_MARKS = 2000;
// Rows of one message: a tab paints between two.
const AT_ONCE = 600;

export class Told {
  constructor() {
    this.begin(null);
  }

  begin(hello) {
    this.hello = hello;
    this.isReady = false;
    /** @type {Map<string, Map<any, any[]>>} rows by table and id, which stands first in each */
    this.tables = new Map(Object.keys(hello?.columns ?? {}).map((table) => [table, new Map()]));
    this.marks = [];
    this.last = new Map();
  }

  /** @param {string} name @param {any} data @param {string} text the same, in JSON */
  event(name, data, text) {
    if (name === "hello" && !data.resumed) this.begin(data);
    else if (name === "hello") this.hello = { ...data, resumed: false };
    else if (name === "rows") this.rows(data);
    else if (name === "ready") this.isReady = true;
    else if (name === "marks") this.marks = [...this.marks, ...data.marks].slice(-MOST_MARKS);
    else this.last.set(name, text);
  }

  rows(data) {
    for (const [table, known] of this.tables) {
      const state = table === "circuits" ? this.hello.columns[table].indexOf("state") : -1;
      for (const row of data[table] ?? []) {
        if (state >= 0 && row[state] === "withdrawn") known.delete(row[0]);
        else known.set(row[0], row);
      }
      for (const id of data.gone?.[table] ?? []) known.delete(id);
    }
  }

  /** All of it, as events of a stream that begins. @returns {Generator<[string, string]>} */
  *all() {
    if (!this.hello) return;
    yield ["hello", JSON.stringify(this.hello)];
    for (const [table, known] of this.tables) {
      const rows = [...known.values()];
      for (let at = 0; at < rows.length; at += AT_ONCE) yield ["rows", JSON.stringify({ [table]: rows.slice(at, at + AT_ONCE) })];
    }
    if (this.isReady) yield ["ready", "{}"];
    yield ["marks", JSON.stringify({ marks: this.marks })];
    yield* this.last;
  }
}
