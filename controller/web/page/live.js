// The page's stream. The first tabs of a browser have one each, which is the quickest; all others share one, as a browser has
// no more than six connections to a daemon.

import { authorisation, token } from "./api.js";
import { store } from "./store.js";
import { Stream } from "./stream.js";

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
    this.port.onmessage = ({ data }) => {
      if (data.own) this.own ??= ofMyOwn();
      else if (this.own) return;
      else if (data.name) listener.event(data.name, data.text);
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

  wake() {
    if (this.own) this.own.wake();
    else this.say("wake");
  }

  restart() {
    if (this.own) this.own.restart();
    else this.say("restart");
  }
}

export function listen() {
  const alone = () => { stream.current = ofMyOwn(); };
  if (globalThis.SharedWorker) {
    const worker = new SharedWorker("/page/sharing.js", { type: "module", name: "stream" });
    worker.onerror = alone;
    stream.current = new SharedStream(worker);
  } else {
    alone();
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) stream.current?.wake(); });
}
