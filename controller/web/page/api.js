// Calls of the northbound API, as JSON by POST. A refusal is an ApiError that says what, why, and what to do.

const TOKEN = "dgc-token";

/** Kept for this tab only; needed where the daemon listens beyond loopback. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (/** @type {string} */ value) => sessionStorage.setItem(TOKEN, value.trim()),
};

/** The address that the daemon prints carries the token; it is kept, and taken out of what is shown and bookmarked. */
export function takeToken() {
  const given = /^#token=([^&]+)$/.exec(location.hash)?.[1];
  if (!given) return;
  token.set(given);
  history.replaceState(null, "", "#/");
}

/** @returns {Record<string, string>} */
export function authorisation() {
  return bearer(token.get());
}

/** @param {string} said @returns {Record<string, string>} */
export function bearer(said) {
  return said ? { authorization: `Bearer ${said}` } : {};
}

export class ApiError extends Error {
  /** @param {{code?: string, reason?: string, message?: string, field?: string, metadata?: Record<string, string>}} told */
  constructor({ code = "UNKNOWN", reason = "", message = "", field = "", metadata = {} }) {
    super(message || code);
    this.code = code;
    this.reason = reason;
    this.field = field;
    this.metadata = metadata;
  }

  /** What to do about it. Reasons of refusals are explained in docs/refusals.md, and their messages say it already. */
  get advice() {
    return ADVICE[this.code] ?? "";
  }
}

const ADVICE = {
  UNREACHABLE: "The controller does not answer. Power flows on; the page goes on by itself once it is back. What you ask for again is done once.",
  UNAUTHENTICATED: "Give the token that the daemon printed when it started.",
  FORBIDDEN: "Open the page at the address that the daemon printed, and act from there.",
  NOT_LEADER: "This controller stands by. Open the page of the one that leads.",
  DEADLINE_EXCEEDED: "It may still happen: look before you try again.",
};

/** What a request is known by: asked again under its id, it is made once. Also where a browser has no randomUUID. */
export const newRequestId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * One unary method of the northbound API.
 * @param {string} method such as `PowerService/RequestPower`
 * @param {object} [body] the request, in protobuf's JSON mapping
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function call(method, body = {}, signal) {
  return post(`/api/v1/call/${method}`, body, signal);
}

/**
 * What an exchange says that the daemon's configuration names; reading calls only.
 * @param {string} method such as `MarketService/GetBook`
 * @param {object} [body] the request, in protobuf's JSON mapping
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export function askMarket(method, body = {}, signal) {
  return post(`/api/v1/market/${method}`, body, signal);
}

/** Cuts, heals, silences or kills something of the emulation. @param {string} verb @param {object} body */
export function emulate(verb, body) {
  return post(`/api/v1/emulation/${verb}`, body);
}

/** Keeps where routers stand on the map. @param {Record<string, [number, number]>} routers */
export function keepPlaces(routers) {
  return post("/api/v1/places", { routers });
}

/** The map of the last minutes as the daemon has kept it; null where it does not answer, or keeps none. @returns {Promise<any>} */
export async function mapHistory() {
  try {
    const answer = await fetch("/api/v1/history", { headers: authorisation(), cache: "no-store" });
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) return null;
    throw error;
  }
}

/**
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
async function post(path, body, signal) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorisation() },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({ code: "UNREACHABLE", message: "No answer from the controller." });
  }
  const told = await bodyOf(answer);
  if (answer.ok) return told;
  throw new ApiError({ code: CODES[answer.status] ?? `HTTP_${answer.status}`, ...told });
}

const CODES = { 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND" };

/** JSON, or what a server said in words. @param {Response} answer @returns {Promise<any>} */
export async function bodyOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return { message: text.trim() || `The controller answered ${answer.status}.` };
    throw error;
  }
}
