// The page's one stream.

import { Stream } from "./stream.js";
import { store } from "./store.js";

/** @type {{current: Stream | null}} */
export const stream = { current: null };

export function listen() {
  stream.current = new Stream("/api/v1/stream", store);
}
