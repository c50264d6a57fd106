/** Times, lengths and sizes as people read them; local time, and UTC for whoever hovers. */
import { html, nothing } from "./lit.js";

const two = (number) => String(number).padStart(2, "0");

/** 83 -> "1:23"; with tenths "1:23.4". */
export function length(seconds, { tenths = false } = {}) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = tenths ? Math.floor(seconds * 10) / 10 : Math.round(seconds);
  const rest = tenths ? (whole % 60).toFixed(1).padStart(4, "0") : two(whole % 60);
  const minutes = Math.floor(whole / 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${rest}`;
}

/** 83 -> "1 minute 23 seconds", for who hears it read. */
export function spoken(seconds) {
  if (seconds > 0 && seconds < 9.95) return `${(Math.round(seconds * 10) / 10).toString()} seconds`.replace(/^1 seconds/, "1 second");
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  const said = parts.filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const DAY_AND_CLOCK = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

export const clock = (at) => CLOCK.format(new Date(at));
export const day = (at) => DAY.format(new Date(at));
export const dayAndClock = (at) => DAY_AND_CLOCK.format(new Date(at));

/** A moment as an element: local to read, UTC on hovering. */
export function moment(iso, format = dayAndClock) {
  if (!iso) return nothing;
  return html`<time datetime=${iso} title=${`${iso.replace("T", " ").replace("+00:00", "")} UTC`}>${format(iso)}</time>`;
}

/** Microseconds or an ISO instant as milliseconds since 1970. */
export const ms = (at) => (typeof at === "number" ? at / 1000 : Date.parse(at));

/** 1234567 -> "1.2 MB". */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** An id's last letters: enough to tell two calls apart. */
export const short = (id) => (id ? `…${id.slice(-8)}` : "");

/** "1 gap", "2 gaps". */
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
