// The one stream that the page lives on: server-sent events, read by fetch, which can carry a token and the last event's
// id, and is given up when it stalls. After any gap it connects again by itself and, where it must, takes the whole anew.

import { bodyOf } from "./api.js";

// The daemon says something every second; three seconds without a word are a stall. Late is not dead: where the daemon, or
// this page, is so busy that nothing is told whole in that time, each attempt that was in vain gives the next one longer.
const SILENCE_MS = 3200;
const MAX_SILENCE_MS = 12_800;
// First and longest wait before another attempt: a daemon that was started again is seen within a second.
const RETRY_MS = 250;
const MAX_RETRY_MS = 400;

/**
 * @typedef {object} Listener
 * @property {(name: string, text: string) => void} event in JSON
 * @property {(state: "connecting" | "live" | "lost" | "refused", detail?: string) => void} state
 */

export class Stream {
  /**
   * @param {string} url
   * @param {Listener} listener
   * @param {() => Record<string, string>} authorisation headers by which the daemon knows who asks
   */
  constructor(url, listener, authorisation) {
    this.url = url;
    this.listener = listener;
    this.authorisation = authorisation;
    this.lastId = "";
    this.retryMs = RETRY_MS;
    this.heardAt = 0;
    this.silenceMs = SILENCE_MS;
    this.closed = false;
    addEventListener("online", () => this.wake());
    const watch = () => {
      this.watch();
      setTimeout(watch, Math.max(1000, this.heardAt + SILENCE_MS + 1 - performance.now()));
    };
    watch();
    this.connect();
  }

  /** After a sleep, timers are late: what is stale is given up at once. */
  wake() {
    this.watch();
  }

  watch() {
    if (!this.aborter || performance.now() - this.heardAt <= this.silenceMs) return;
    this.silenceMs = Math.min(MAX_SILENCE_MS, 2 * this.silenceMs);
    this.aborter.abort();
  }

  async connect() {
    const aborter = new AbortController();
    this.aborter = aborter;
    this.heardAt = performance.now();
    try {
      await this.read(aborter.signal);
      this.lost();
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
      this.lost();
    } finally {
      this.aborter = null;
      if (!this.closed) setTimeout(() => this.connect(), this.retryMs);
      this.retryMs = Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, this.retryMs * 1.5));
    }
  }

  lost() {
    if (!this.closed) this.listener.state("lost");
  }

  /** Reads until the stream ends. @param {AbortSignal} signal */
  async read(signal) {
    const headers = { accept: "text/event-stream", ...this.authorisation() };
    if (this.lastId) headers["last-event-id"] = this.lastId;
    const answer = await fetch(this.url, { headers, signal, cache: "no-store" });
    if (answer.status === 401 || answer.status === 403) {
      const told = await bodyOf(answer);
      this.listener.state("refused", told.message ?? "");
      return;
    }
    if (!answer.ok || !answer.body) return;
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser((event) => this.told(event));
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      this.heardAt = performance.now();
      parser.feed(value);
    }
  }

  /** @param {{name: string, data: string, id: string}} event */
  told({ name, data, id }) {
    if (id) this.lastId = id;
    this.retryMs = RETRY_MS;
    // All has come that there is.
    if (name === "ready") this.silenceMs = SILENCE_MS;
    this.listener.state("live");
    this.listener.event(name, data);
  }

  /** Tells nothing more. */
  close() {
    this.closed = true;
    this.aborter?.abort();
  }

  /** For a new token: connects anew, at once. */
  restart() {
    this.retryMs = 0;
    this.aborter?.abort();
  }
}

/** Server-sent events from chunks of text, which end anywhere. */
export class Parser {
  /** @param {(event: {name: string, data: string, id: string}) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.rest = "";
    this.reset();
  }

  reset() {
    this.name = "message";
    this.data = "";
    this.id = "";
  }

  /** @param {string} chunk */
  feed(chunk) {
    const lines = (this.rest + chunk).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  /** @param {string} line */
  line(line) {
    if (line === "") {
      if (this.data) this.tell({ name: this.name, data: this.data, id: this.id });
      this.reset();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.name = value;
    else if (field === "id") this.id = value;
    else if (field === "data") this.data = this.data ? `${this.data}\n${value}` : value;
  }
}
