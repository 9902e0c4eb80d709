// The URL: what is looked at, and how. Every view is a URL that can be sent to somebody, in the fragment, so that the
// server needs to know none of it: #/circuit/12?list=lines&q=state:down&colour=loss&do=drain&id=r1-r3

import { signal } from "./vendor/ui.js";

/** Kinds of things that can be selected, by their word in the URL. */
export const KINDS = ["circuit", "line", "router", "load", "source", "trade"];
/** Lists beside the map. */
export const LISTS = ["circuits", "lines", "routers", "loads", "sources", "events", "system", "market"];

/**
 * @typedef {object} Route
 * @property {string} kind of what is selected; "" where nothing is
 * @property {string} id
 * @property {Record<string, string>} params list, market and of (its part, and the interval), q, sort, colour, labels, wide, at, camera, do and what a dialog takes
 */

/** @param {string} hash @returns {Route} */
export function parsedRoute(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split("?");
  const [kind, ...rest] = path.split("/");
  const params = Object.fromEntries(new URLSearchParams(query));
  if (!KINDS.includes(kind) || !rest.length) return { kind: "", id: "", params };
  return { kind, id: decoded(rest.join("/")), params };
}

/** What somebody typed may be no valid escape. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

/** @param {Route} route */
export function hashOf({ kind, id, params }) {
  const given = Object.entries(params).filter(([, value]) => value !== "");
  const query = new URLSearchParams(given).toString();
  const path = kind ? `${kind}/${encodeURIComponent(id)}` : "";
  return `#/${path}${query ? `?${query}` : ""}`;
}

/** Where the page is now. */
export const route = signal(parsedRoute(location.hash));

addEventListener("hashchange", () => {
  route.value = parsedRoute(location.hash);
});

/**
 * Goes somewhere else: what is not named stays.
 * @param {{kind?: string, id?: string, params?: Record<string, string>}} patch empty params are left out of the URL
 * @param {boolean} [replace] leaves no entry in the browser's history: for what changes while a key or pointer is held
 */
export function go(patch, replace = false) {
  const to = {
    kind: patch.kind ?? route.value.kind,
    id: patch.id ?? route.value.id,
    params: { ...route.value.params, ...patch.params },
  };
  const hash = hashOf(to);
  if (hash === hashOf(route.value)) return;
  history[replace ? "replaceState" : "pushState"](null, "", hash);
  route.value = parsedRoute(hash);
}

/** Selects a thing. @param {string} kind @param {string | number} id */
export function select(kind, id) {
  go({ kind, id: String(id) });
}

/** The URL of a thing, with the rest of the view as it is. @param {string} kind @param {string | number} id */
export function linkTo(kind, id) {
  return hashOf({ kind, id: String(id), params: { ...route.value.params, ...DIALOG } });
}

/** Params that belong to a dialog. */
const DIALOG = { do: "", id: "", sink: "", power: "", source: "", cut: "", drain: "", verb: "" };

/** Opens a dialog. @param {string} name @param {Record<string, string>} [fields] */
export function open(name, fields = {}) {
  go({ params: { ...DIALOG, do: name, ...fields } });
}

/** Closes it, and forgets its fields. */
export function close() {
  go({ params: DIALOG });
}
