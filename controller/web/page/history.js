// What was: figures of each second, and how the map looked, so that a cursor in the timeline can show it as it was: every few
// seconds as this page saw it, and for when it was not open, or slept, as the daemon kept it. Bounded: 15 minutes, in
// typed arrays; what the daemon kept is asked for once somebody looks there.

import { signal } from "./vendor/ui.js";
import { mapHistory } from "./api.js";
import { Earlier } from "./earlier.js";
import { currentsOf, lineState, standbyOf } from "./scene.js";
import { givenW } from "./symbols.js";

const KEPT_S = 15 * 60;
// Between two pictures of the network: 15 minutes of a large network take 5 MB.
const EVERY_MS = 5000;
// A picture is good for so long: the next one is late where timers are, as in a tab in the background.
const GOOD_MS = 3 * EVERY_MS;
// After the daemon had no answer.
const AGAIN_MS = 5000;
// Of seconds that the daemon has kept, those that this page has itself are left out.
const SAME_MS = 3000;
const STATES = ["down", "silent", "up", "draining", "drained"];

/** @typedef {{atMs: number, deliveredW: number, injectedW: number, lossW: number}} Second */

export class History {
  constructor() {
    /** @type {Second[]} */
    this.seconds = [];
    /** @type {Picture[]} */
    this.pictures = [];
    /** Whether rows have changed since the last. */
    this.moved = true;
    /** From when on the daemon has kept the map; 0 where it is not known to. */
    this.beginsMs = 0;
    /** What the daemon has kept, as far as it was asked for. @type {Earlier | null} */
    this.earlier = null;
    this.asking = false;
    this.askedMs = 0;
    /** Another number whenever more is known of what was. */
    this.version = signal(0);
  }

  /** What the daemon has kept: from before this page was opened, or while it slept. @param {[number, number, number][]} seconds @param {number | null} [beginsMs] */
  before(seconds, beginsMs) {
    this.beginsMs = beginsMs ?? this.pictures[0]?.atMs ?? 0;
    const others = seconds.filter(([atMs]) => !this.seconds.some((own) => Math.abs(own.atMs - atMs) <= SAME_MS))
      .map(([atMs, injectedW, deliveredW]) => ({ atMs, deliveredW, injectedW, lossW: injectedW - deliveredW }));
    if (!others.length) return;
    this.seconds = [...this.seconds, ...others].sort((a, b) => a.atMs - b.atMs);
    this.version.value += 1;
  }

  /**
   * How the map was at a time, over what is fixed of it; null where nobody knows, or the daemon is being asked.
   * @param {number} atMs
   * @param {any} tables as they are now
   * @returns {any} tables as they were
   */
  mapAt(atMs, tables) {
    const picture = this.pictureAt(atMs);
    if (picture) return picture.tables(tables);
    if (this.earlier?.knows(atMs)) return this.earlier.tables(atMs, tables);
    this.ask(atMs);
    return null;
  }

  /** Whether the map can be shown as it was then. @param {number} atMs */
  knows(atMs) {
    return Boolean(this.pictureAt(atMs) || this.earlier?.knows(atMs));
  }

  /** What this page saw, if it looked then. @param {number} atMs */
  pictureAt(atMs) {
    const picture = this.pictures.findLast((each) => each.atMs <= atMs);
    return picture && atMs - picture.toMs <= GOOD_MS ? picture : null;
  }

  /** Asks the daemon for what it has kept, once for all that it had then. @param {number} atMs */
  async ask(atMs) {
    const now = Date.now();
    if (this.asking || atMs < this.beginsMs || (this.earlier && atMs <= this.earlier.toMs) || now - this.askedMs < AGAIN_MS) return;
    this.asking = true;
    this.askedMs = now;
    const told = await mapHistory();
    this.asking = false;
    if (told) this.earlier = new Earlier(told);
    this.version.value += 1;
  }

  /** @param {any} now @param {any} tables @param {any[]} marks newest last */
  second(now, tables, marks) {
    const atMs = now.at_unix_ms ?? Date.now();
    this.seconds.push({ atMs, deliveredW: now.delivered_w ?? 0, injectedW: now.injected_w ?? 0, lossW: now.loss_w ?? 0 });
    while (this.seconds[0].atMs < atMs - KEPT_S * 1000) this.seconds.shift();
    const last = this.pictures.at(-1);
    if (last && !this.moved && atMs - last.toMs <= GOOD_MS) {
      last.toMs = atMs;
      return;
    }
    const lastMs = last?.atMs ?? 0;
    // A fault is seen from its mark on.
    const sinceMs = Math.max(last?.toMs ?? 0, atMs - EVERY_MS);
    const alarm = marks.find((mark) => mark.severity === "alarm" && mark.at_unix_ms > sinceMs && mark.at_unix_ms <= atMs);
    if (atMs - lastMs < EVERY_MS && !alarm) return;
    this.moved = false;
    this.pictures.push(new Picture(lastMs && alarm ? alarm.at_unix_ms : atMs, atMs, tables));
    while (this.pictures[0].toMs < atMs - KEPT_S * 1000) this.pictures.shift();
  }

  /** @param {number} atMs @returns {Second | null} */
  secondAt(atMs) {
    return this.seconds.findLast((second) => second.atMs <= atMs) ?? this.seconds[0] ?? null;
  }
}

/** How the network stood, as this page saw it, from one time to another: before the next begins. */
class Picture {
  /** @param {number} atMs @param {number} toMs @param {any} tables */
  constructor(atMs, toMs, tables) {
    this.atMs = atMs;
    this.toMs = toMs;
    const { links, routers, sources, loads, sinks } = tables;
    this.linkIds = [...links.keys()];
    this.flows = new Float32Array(links.size * 2);
    this.states = new Uint8Array(links.size);
    /** What standbys and holds have, of the few lines where they hold any. @type {Map<string, [number, number]>} */
    this.standbys = new Map();
    let at = 0;
    for (const link of links.values()) {
      [this.flows[2 * at], this.flows[2 * at + 1]] = currentsOf(link, null);
      if (standbyOf(link)) this.standbys.set(link.link_id, [link.standby_a_to_b_a ?? 0, link.standby_b_to_a_a ?? 0]);
      this.states[at] = STATES.indexOf(lineState(link));
      at += 1;
    }
    this.gone = [...routers.values()].filter((router) => !router.connected).map((router) => router.router_id);
    this.sources = powers(sources, givenW);
    this.loads = powers(loads, givenW);
    /** What sinks got, as the store counts it. */
    this.sinks = new Map([...sinks].map(([id, counts]) => [id, { ...counts }]));
  }

  /** Rows as they were, over what is fixed of them now. @param {any} now */
  tables(now) {
    const gone = new Set(this.gone);
    const routers = new Map([...now.routers].map(([id, row]) => [id, { ...row, connected: !gone.has(id) }]));
    const links = new Map(now.links);
    this.linkIds.forEach((id, at) => {
      const link = links.get(id);
      if (!link) return;
      const state = STATES[this.states[at]];
      const [ab, ba] = this.standbys.get(id) ?? [0, 0];
      const flows = { reserved_a_to_b_a: this.flows[2 * at] + ab, reserved_b_to_a_a: this.flows[2 * at + 1] + ba, standby_a_to_b_a: ab, standby_b_to_a_a: ba };
      const up = state !== "down" && state !== "silent";
      links.set(id, { ...link, ...flows, up, down_text: "", silent: state === "silent", admin: state.startsWith("drain") ? state : "" });
    });
    return { routers, links, sources: given(now.sources, this.sources), loads: given(now.loads, this.loads), sinks: this.sinks };
  }
}

/** What sources give, or loads have reserved. @param {Map<string, any>} rows @param {(row: any) => number} of */
function powers(rows, of) {
  return { ids: [...rows.keys()], powersW: Float32Array.from(rows.values(), of) };
}

/** @param {Map<string, any>} rows @param {{ids: string[], powersW: Float32Array}} then */
function given(rows, { ids, powersW }) {
  const found = new Map(rows);
  ids.forEach((id, at) => {
    const row = rows.get(id);
    if (row) found.set(id, { ...row, reserved_w: powersW[at], standby_w: 0, held_w: 0 });
  });
  return found;
}
