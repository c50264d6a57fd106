/** Asks the API with the key; turns its problem details into errors. It knows no view. */

/** The server answered that it can't or won't; `id` is the API's stable id of why. */
export class Problem extends Error {
  constructor(status, id, detail) {
    super(detail);
    this.status = status;
    this.id = id;
  }
}

/** Nobody answered: the server is away, or the network is. */
export class Away extends Error {}

let key = null;
let clockAheadMs = 0;
let onUnauthorized = () => {};

/** Use this key from now on (null: none). */
export function useKey(newKey) {
  key = newKey;
}

/** Have this called when the server no longer takes the key. */
export function whenUnauthorized(callback) {
  onUnauthorized = callback;
}

/** The server's time in milliseconds, so that a wrong clock here shows no wrong durations. */
export function serverNow() {
  return Date.now() + clockAheadMs;
}

function setClock(response) {
  const told = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(told)) return;
  // The header counts whole seconds, and the answer took a while: only a clock that is off counts.
  const ahead = told + 500 - Date.now();
  clockAheadMs = Math.abs(ahead) > 3000 ? ahead : 0;
}

/** A path with its query; what is null, undefined or empty is left out. */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const words = new URLSearchParams(given).toString();
  return words ? `${path}?${words}` : path;
}

/** A path's segment, whatever is in it. */
export const segment = encodeURIComponent;

/**
 * Ask; the response is a good one when this returns.
 * @throws {Problem|Away|DOMException} refused; nobody answered; aborted by `signal`.
 */
export async function ask(path, { method = "GET", query, body, headers = {}, signal } = {}) {
  const sent = { Authorization: `Bearer ${key}`, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path, query), {
      method, signal, headers: sent, cache: "no-store", credentials: "omit",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Away("turnrec does not answer");
  }
  setClock(response);
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401) onUnauthorized(problem);
  throw problem;
}

async function problemOf(response) {
  try {
    const told = await response.json();
    return new Problem(response.status, String(told.id), String(told.detail ?? told.title ?? ""));
  } catch {
    // Something between us and turnrec answered: a proxy's error page.
    if (response.status >= 500) return new Away(`HTTP ${response.status}`);
    return new Problem(response.status, "http-error", `the server answered with HTTP ${response.status}`);
  }
}

/** Ask for JSON. */
export async function getJson(path, query, signal) {
  return (await ask(path, { query, signal })).json();
}

/**
 * Have something done, once: if nobody answers, it is asked again with the same idempotency key.
 * @throws {Problem|Away} it was not done, or isn't known to be.
 */
export async function post(path, body) {
  const headers = { "Idempotency-Key": newId() };
  try {
    return await (await ask(path, { method: "POST", body, headers })).json();
  } catch (error) {
    if (!(error instanceof Away)) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, 1200));
  return (await ask(path, { method: "POST", body, headers })).json();
}

function newId() {
  // crypto.randomUUID is missing where the page is served without TLS.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All pages of a list, in the server's order. `each` is told after every page. */
export async function getAll(path, query, signal, each = () => {}) {
  const items = [];
  let cursor = null;
  do {
    const page = await getJson(path, { limit: 1000, ...query, cursor }, signal);
    items.push(...page.items);
    cursor = page.next;
    each(items);
  } while (cursor);
  return items;
}
