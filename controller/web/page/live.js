// The page's stream: one for all of its tabs, as a browser has no more than six connections to a daemon.

import { authorisation, token } from "./api.js";
import { store } from "./store.js";
import { Stream } from "./stream.js";

/** @type {{current: Stream | SharedStream | null}} */
export const stream = { current: null };
const listener = {
  event: (/** @type {string} */ name, /** @type {string} */ text) => store.event(name, JSON.parse(text)),
  state: (/** @type {any} */ state, /** @type {string} */ detail) => store.state(state, detail),
};

/** This tab's share in the stream that a worker reads for all of them. */
class SharedStream {
  /** @param {SharedWorker} worker */
  constructor(worker) {
    this.port = worker.port;
    this.port.onmessage = ({ data }) => {
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
    this.port.postMessage({ what, token: token.get() });
  }

  wake() {
    this.say("wake");
  }

  restart() {
    this.say("restart");
  }
}

export function listen() {
  const alone = () => { stream.current = new Stream("/api/v1/stream", listener, authorisation); };
  if (globalThis.SharedWorker) {
    const worker = new SharedWorker("/page/sharing.js", { type: "module", name: "stream" });
    worker.onerror = alone;
    stream.current = new SharedStream(worker);
  } else {
    alone();
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) stream.current?.wake(); });
}
