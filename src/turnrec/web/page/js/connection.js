/** How the page's streams are, all taken together: live, connecting, or reconnecting since when. */

const streams = new Map();
const listeners = new Set();
let since = null;

/** A stream says how it is: "connecting", "live" or "reconnecting". */
export function report(stream, state) {
  streams.set(stream, state);
  tell();
}

/** A stream is no more. */
export function forget(stream) {
  if (streams.delete(stream)) tell();
}

/** `{state, since}`: `since` (ms) when the first stream broke off; state "none" without a stream. */
export function connection() {
  const states = [...streams.values()];
  if (states.includes("reconnecting")) return { state: "reconnecting", since };
  if (states.includes("connecting")) return { state: "connecting", since: null };
  return { state: states.length ? "live" : "none", since: null };
}

/** Be told of changes; returns how to be told no more. */
export function onConnection(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell() {
  const broken = [...streams.values()].includes("reconnecting");
  since = broken ? since ?? Date.now() : null;
  for (const listener of listeners) listener(connection());
}
