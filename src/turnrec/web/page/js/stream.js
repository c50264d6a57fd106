/** Server-sent events over fetch (EventSource can't send a key), resumed where they broke off. */
import { ask, Problem } from "./api.js";
import { report, forget } from "./connection.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 10_000;
/** The server says something every 15 s; a connection that stays silent for this long is dead. */
const SILENT_MS = 40_000;
/** A stream that lasted so long and then ended in order is simply opened again. */
const LIVED_MS = 5000;

/**
 * Listen until `close` is called.
 * @param {object} options `query`; `lastEventId` to resume after; `onEvent({type, data, id})`;
 *   `onOpen(isFirst)` when connected (again); `onRefused(problem)` when the server won't ever.
 */
export function openStream(path, { query, lastEventId = null, onEvent, onOpen = () => {}, onRefused = () => {} }) {
  const me = {};
  let closed = false, tries = 0, opened = 0, last = lastEventId, openedAt = 0;
  let abort = new AbortController();
  let wake = () => {};

  async function once() {
    abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENT_MS);
    try {
      const headers = { Accept: "text/event-stream" };
      if (last !== null) headers["Last-Event-ID"] = String(last);
      const response = await ask(path, { query, headers, signal: abort.signal });
      tries = 0;
      opened += 1;
      openedAt = Date.now();
      report(me, "live");
      onOpen(opened === 1);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parse = makeParser((event) => {
        if (event.id !== null) last = event.id;
        if (!closed) onEvent(event);
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done || closed) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENT_MS);
        parse(value);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  async function run() {
    report(me, "connecting");
    while (!closed) {
      try {
        await once();
        // The server ends a long stream in order, so that a revoked key hears no more: come back.
        if (Date.now() - openedAt > LIVED_MS) continue;
      } catch (error) {
        if (closed) break;
        if (error instanceof Problem && error.status < 500 && error.status !== 429) {
          forget(me);
          onRefused(error);
          return;
        }
      }
      if (closed) break;
      report(me, "reconnecting");
      const wait = Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS);
      tries += 1;
      // Not all pages at once, when a server that has many comes back.
      await pause(wait * (0.7 + 0.6 * Math.random()));
    }
    forget(me);
  }

  function pause(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  const hurry = () => wake();
  window.addEventListener("online", hurry);
  run();
  return {
    close() {
      closed = true;
      window.removeEventListener("online", hurry);
      abort.abort();
      wake();
      forget(me);
    },
  };
}

/** Make a function that is given pieces of a stream and tells its events. */
export function makeParser(onEvent) {
  let rest = "";
  let event = blank();
  function line(text) {
    if (text === "") {
      if (event.lines.length) onEvent({ type: event.type, data: JSON.parse(event.lines.join("\n")), id: event.id });
      event = blank();
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment: the server is alive
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") event.lines.push(value);
    else if (field === "event") event.type = value;
    else if (field === "id") event.id = value;
  }
  return (piece) => {
    const lines = (rest + piece).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

function blank() {
  return { type: "message", lines: [], id: null };
}
