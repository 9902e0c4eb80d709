// A worker that all tabs of a browser share: it lets the first few have streams of their own, and reads one for the others,
// of which it tells each what it needs from its beginning.

import { bearer } from "./api.js";
import { Stream } from "./stream.js";
import { Told } from "./told.js";

// With the shared one, and two connections for calls and files, that makes six.
const MOST_OWN = 3;

/** @type {Set<MessagePort>} */
const owners = new Set();
/** @type {Set<MessagePort>} */
const ports = new Set();
const told = new Told();
let [token, stream, connection] = ["", null, { state: "connecting", detail: "" }];

const listener = {
  event(name, text) {
    // Who sees it comes first.
    for (const port of ports) port.postMessage({ name, text });
    told.event(name, JSON.parse(text), text);
  },
  state(state, detail = "") {
    if (state === connection.state && detail === connection.detail) return;
    connection = { state, detail };
    for (const port of ports) port.postMessage(connection);
  },
};

globalThis.onconnect = ({ ports: [port] }) => {
  port.onmessage = ({ data }) => heard(port, data);
};

function heard(port, { what, token: said, own }) {
  if (what === "leave") {
    ports.delete(port);
    owners.delete(port);
  } else if (what === "join" && (own || (!ports.has(port) && owners.size < MOST_OWN))) {
    owners.add(port);
    port.postMessage({ own: true });
  } else if (what === "wake") stream?.wake();
  else if (what === "restart") again(said);
  else join(port, said);
}

function join(port, said) {
  if (!ports.has(port)) {
    for (const [name, text] of told.all()) port.postMessage({ name, text });
    port.postMessage(connection);
    ports.add(port);
  }
  if (!stream) {
    token = said;
    stream = new Stream("/api/v1/stream", listener, () => bearer(token));
  } else if (said && said !== token && connection.state !== "live") {
    again(said);
  }
}

function again(said) {
  token = said;
  stream?.restart();
}
