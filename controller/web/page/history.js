// What was: figures of each second, those from before this page was opened as the daemon has kept them; and, as this page saw it, every few seconds how full each line was and how each
// circuit stood, so that a cursor in the timeline can show the map as it was. Bounded: 15 minutes, in typed arrays.

const KEPT_S = 15 * 60;
// Between two pictures of the network: a fault is seen beside its mark, and 15 minutes of a large network take 4 MB.
const EVERY_MS = 5000;

/** @typedef {{atMs: number, deliveredW: number, injectedW: number, lossW: number}} Second */

export class History {
  constructor() {
    /** @type {Second[]} */
    this.seconds = [];
    /** @type {Picture[]} */
    this.pictures = [];
    this.startedMs = Date.now();
  }

  /** What the daemon has kept from before this page was opened. @param {[number, number, number][]} seconds */
  before(seconds) {
    const first = this.seconds[0]?.atMs ?? Infinity;
    const known = seconds.filter(([atMs]) => atMs < first).map(([atMs, injectedW, deliveredW]) => ({ atMs, deliveredW, injectedW, lossW: injectedW - deliveredW }));
    this.seconds.unshift(...known);
  }

  /** Whether the map can be shown as it was then. @param {number} atMs */
  knows(atMs) {
    return this.pictures.length > 0 && atMs >= this.pictures[0].atMs - EVERY_MS;
  }

  /** @param {any} now @param {any} tables */
  second(now, tables) {
    const atMs = now.at_unix_ms ?? Date.now();
    this.seconds.push({ atMs, deliveredW: now.delivered_w ?? 0, injectedW: now.injected_w ?? 0, lossW: now.loss_w ?? 0 });
    while (this.seconds[0].atMs < atMs - KEPT_S * 1000) this.seconds.shift();
    const last = this.pictures.at(-1);
    if (last && atMs - last.atMs < EVERY_MS) return;
    this.pictures.push(new Picture(atMs, tables));
    while (this.pictures[0].atMs < atMs - KEPT_S * 1000) this.pictures.shift();
  }

  /** The last picture before a time, or the first one. @param {number} atMs */
  pictureAt(atMs) {
    let found = this.pictures[0];
    for (const picture of this.pictures) {
      if (picture.atMs > atMs) break;
      found = picture;
    }
    return found ?? null;
  }

  /** @param {number} atMs @returns {Second | null} */
  secondAt(atMs) {
    let found = this.seconds[0] ?? null;
    for (const second of this.seconds) {
      if (second.atMs > atMs) break;
      found = second;
    }
    return found;
  }
}

/** How the network stood at one time. */
class Picture {
  /** @param {number} atMs @param {any} tables */
  constructor(atMs, tables) {
    this.atMs = atMs;
    const { links, routers, sinks } = tables;
    this.linkIds = [...links.keys()];
    this.flows = new Float32Array(links.size * 2);
    this.up = new Uint8Array(links.size);
    let at = 0;
    for (const link of links.values()) {
      this.flows[2 * at] = link.reserved_a_to_b_a ?? 0;
      this.flows[2 * at + 1] = link.reserved_b_to_a_a ?? 0;
      this.up[at] = link.up ? 1 : 0;
      at += 1;
    }
    this.gone = [...routers.values()].filter((router) => !router.connected).map((router) => router.router_id);
    /** What sinks got, as the store counts it. */
    this.sinks = new Map([...sinks].map(([id, counts]) => [id, { ...counts }]));
  }

  /** Lines as rows, over what is fixed of them now. @param {Map<string, any>} links */
  linkRows(links) {
    const rows = new Map(links);
    this.linkIds.forEach((id, at) => {
      const link = links.get(id);
      if (!link) return;
      const flows = { reserved_a_to_b_a: this.flows[2 * at], reserved_b_to_a_a: this.flows[2 * at + 1] };
      rows.set(id, { ...link, ...flows, up: this.up[at] === 1 });
    });
    return rows;
  }
}
