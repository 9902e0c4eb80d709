// The page's stream. The first tabs of a browser have one each, which is the quickest; all others share one, as a browser has
// no more than six connections to a daemon.

import { authorisation, token } from "./api.js";
import { store } from "./store.js";
import { Stream } from "./stream.js";

// How long the worker may take for its first word: where a browser has not begun it, nobody would say so.
const WORKER_MS = 5000;

/** @type {{current: Stream | SharedStream | null}} */
export const stream = { current: null };
const listener = {
  event: (/** @type {string} */ name, /** @type {string} */ text) => store.event(name, JSON.parse(text)),
  state: (/** @type {any} */ state, /** @type {string} */ detail) => store.state(state, detail),
};

const ofMyOwn = () => new Stream("/api/v1/stream", listener, authorisation);

/** This tab's part in what a worker shares out: a stream of its own, or what that of the worker tells. */
class SharedStream {
  /** @param {SharedWorker} worker */
  constructor(worker) {
    this.port = worker.port;
    /** @type {Stream | null} */
    this.own = null;
    /** Until the worker is heard. @type {Stream | null} */
    this.meanwhile = null;
    const late = setTimeout(() => this.alone(), WORKER_MS);
    this.port.onmessage = ({ data }) => {
      clearTimeout(late);
      if (data.own) this.own ??= this.meanwhile ?? ofMyOwn();
      else if (!this.own) this.meanwhile?.close();
      this.meanwhile = null;
      if (this.own) return;
      if (data.name) listener.event(data.name, data.text);
      else listener.state(data.state, data.detail);
    };
    this.say("join");
    // A tab that is left may be come back to as it was.
    addEventListener("pagehide", () => this.say("leave"));
    addEventListener("pageshow", (event) => { if (event.persisted) this.say("join"); });
  }

  /** @param {"join" | "leave" | "wake" | "restart"} what */
  say(what) {
    this.port.postMessage({ what, token: token.get(), own: this.own !== null });
  }

  /** The worker does not come, or late: then it says whether this one is needed. */
  alone() {
    if (!this.own) this.meanwhile ??= ofMyOwn();
  }

  wake() {
    const mine = this.own ?? this.meanwhile;
    if (mine) mine.wake();
    else this.say("wake");
  }

  restart() {
    (this.own ?? this.meanwhile)?.restart();
    // One that comes late has to know the new token too.
    if (!this.own) this.say("restart");
  }
}

export function listen() {
  if (globalThis.SharedWorker) {
    const worker = new SharedWorker("/page/sharing.js", { type: "module", name: "stream" });
    const shared = stream.current = new SharedStream(worker);
    worker.onerror = () => shared.alone();
  } else {
    stream.current = ofMyOwn();
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) stream.current?.wake(); });
}
