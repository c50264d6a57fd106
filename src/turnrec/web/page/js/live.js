/** The calls that live now, as the server tells them. One stream, however many views look. */
import { openStream } from "./stream.js";

/** How long a call that has ended is still shown. */
const LINGER_MS = 6000;

const calls = new Map();
const versions = new Map();
const listeners = new Set();
let stream = null;
let isKnown = false;
let nextVersion = 1;

/** Be told of every change (`changed`: ids); returns how to be told no more. Opens the stream. */
export function watchCalls(listener) {
  listeners.add(listener);
  stream ??= openStream("/v1/calls/live", { onEvent: take, onRefused: () => {} });
  return () => listeners.delete(listener);
}

/** Stop listening and forget all: somebody else signs in. */
export function leaveCalls() {
  stream?.close();
  stream = null;
  isKnown = false;
  calls.clear();
  versions.clear();
}

/** Whether the server has told of its calls at all. */
export const callsKnown = () => isKnown;

/** All calls, the newest first; those that just ended among them, with state "ended". */
export function liveCalls() {
  return [...calls.values()].sort((a, b) => (a.started < b.started ? 1 : a.started > b.started ? -1 : a.id < b.id ? 1 : -1));
}

/** One call by id, or undefined. */
export const liveCall = (id) => calls.get(id);

/** A number that changes whenever the call does. */
export const versionOf = (id) => versions.get(id) ?? 0;

/** Take a call as an action's answer told it, unless the stream knows better already. */
export function takeOutcome(call) {
  const known = calls.get(call.id);
  if (!known || known.state === "ended" || (known.since ?? "") > (call.since ?? "")) return;
  put(call);
  tell([call.id]);
}

function take({ type, data }) {
  if (type === "snapshot") {
    const told = new Set(data.calls.map((call) => call.id));
    const gone = [...calls.keys()].filter((id) => !told.has(id));
    data.calls.forEach(put);
    gone.forEach(end);
    isKnown = true;
    tell([...told, ...gone]);
  } else if (type === "calls") {
    data.changed.forEach(put);
    data.ended.forEach(end);
    tell([...data.changed.map((call) => call.id), ...data.ended]);
  }
}

function put(call) {
  const known = calls.get(call.id);
  if (known && JSON.stringify(known) === JSON.stringify(call)) return;
  calls.set(call.id, call);
  touch(call.id);
}

function end(id) {
  const call = calls.get(id);
  if (!call || call.state === "ended") return;
  put({ ...call, state: "ended", holds: [], allowed: [], refused: {}, since: new Date().toISOString() });
  setTimeout(() => {
    if (calls.get(id)?.state !== "ended") return;
    calls.delete(id);
    versions.delete(id);
    tell([id]);
  }, LINGER_MS);
}

/** Note that something about a call is to be shown anew. */
export function touch(id) {
  versions.set(id, nextVersion++);
}

function tell(ids) {
  for (const listener of listeners) listener(ids);
}
