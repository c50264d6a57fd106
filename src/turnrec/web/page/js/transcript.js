/** The transcript beside the player: what was said, and where nothing was recorded. */
import { html, guard, nothing } from "./lit.js";
import { getJson, Problem, segment } from "./api.js";
import { length, spoken } from "./format.js";
import { icon } from "./icons.js";
import { heldBy } from "./words.js";

const SPEAKERS = { bot: "Bot", caller: "Caller", agent: "Agent" };

/** The entries in file time (`from`, `to` in seconds); null where there is no transcript. */
export async function readTranscript(recording, signal) {
  try {
    const told = await getJson(`/v1/recordings/${segment(recording.id)}/transcript`, { format: "json", time: "file" }, signal);
    return told.entries.map((entry, index) => ({ ...entry, index, from: entry.begin_us / 1e6, to: entry.end_us / 1e6 }));
  } catch (error) {
    if (error instanceof Problem && [404, 409, 410].includes(error.status)) return null;
    throw error;
  }
}

/** The entry that is heard at a second of the file. */
export function entryAt(entries, second) {
  const index = (entries ?? []).findLastIndex((entry) => entry.from <= second + 0.02);
  return index < 0 ? -1 : index;
}

/** Draw it. `onSeek(second)` is told of a click. */
export function transcript(entries, current, onSeek) {
  if (entries === null) return html`<p class="help">There is no transcript of this recording.</p>`;
  if (!entries.length) return html`<p class="help">Nothing was said.</p>`;
  return guard([entries, current], () => html`<ol class="transcript">${entries.map((entry) => html`
    <li class="entry ${isSeam(entry) ? "seam" : entry.kind} ${entry.index === current ? "current" : ""}" data-index=${entry.index}>
      <button type="button" aria-current=${entry.index === current ? "true" : nothing} @click=${() => onSeek(entry.from)}>
        ${entry.kind === "gap" ? gap(entry) : utterance(entry)}</button></li>`)}</ol>`);
}

function utterance(entry) {
  return html`<span class="speaker ${entry.speaker}">${SPEAKERS[entry.speaker] ?? entry.speaker}</span><span class="at">${length(entry.from)}</span>
    <span class="text">${entry.text ?? ""}${entry.cut ? html`<span class="cut" title="Words fell into a pause and are not kept"> … (cut at a pause)</span>` : nothing}</span>`;
}

/** Nobody held it: one segment gave way to the next. */
const isSeam = (entry) => entry.kind === "gap" && !entry.holds.length;

function gap(entry) {
  if (isSeam(entry)) return html`<span class="speaker">${icon("minus", 14)} Between two segments</span><span class="at">${length(entry.from)}</span>`;
  const seconds = (Date.parse(entry.ended) - Date.parse(entry.began)) / 1000;
  const who = heldBy(entry.holds, entry.node);
  return html`<span class="speaker">${icon("bars", 14)} Not recorded</span><span class="at">${length(entry.from)}</span>
    <span class="text">${who || "paused"}, ${spoken(seconds)}</span>`;
}

/** Keep the current entry in sight, unless somebody is scrolling there. */
export function followEntry(box, index) {
  const entry = box?.querySelector(`[data-index="${index}"]`);
  if (!entry || box.matches(":hover") || box.matches(":focus-within")) return;
  const middle = entry.offsetTop - box.offsetTop - box.clientHeight / 2 + entry.clientHeight / 2;
  const isStill = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  box.scrollTo({ top: middle, behavior: isStill ? "auto" : "smooth" });
}
