/** What states, holders, refusals and events are called, for people. It decides nothing. */
import { Away } from "./api.js";

/** By a call's state: its word, its shape and its colour's name. */
export const STATES = {
  recording: { word: "Recording", shape: "disc", tone: "rec" },
  paused: { word: "Paused", shape: "bars", tone: "paused" },
  fault: { word: "Fault", shape: "warning", tone: "fault" },
  inactive: { word: "Not recording", shape: "ring", tone: "idle" },
  stopped: { word: "Stopped", shape: "square", tone: "idle" },
  ended: { word: "Ended", shape: "ended", tone: "idle" },
};

/** By a recording's status. */
export const STATUSES = {
  recording: { word: "Recording", shape: "disc", tone: "rec" },
  paused: { word: "Paused", shape: "bars", tone: "paused" },
  done: { word: "Complete", shape: "check", tone: "done" },
  failed: { word: "Failed", shape: "warning", tone: "fault" },
  deleted: { word: "Deleted", shape: "bin", tone: "idle" },
};

/** How a call is shown: a pause with a fault in it is a fault. */
export function shownState(call) {
  if (call.state === "paused" && (call.holds ?? []).includes("fault")) return "fault";
  return call.state ?? "ended";
}

const HOLDERS = {
  turn: (node) => (node ? `the bot’s turn ${node}` : "the bot’s turn"),
  agent: () => "the agent policy",
  operator: () => "an operator",
  fault: () => "a fault",
};

/** Who holds, in words: "the bot’s turn ask_otp and an operator"; "" for nobody. */
export function heldBy(holds, node) {
  return (holds ?? []).map((hold) => (HOLDERS[hold] ?? (() => hold))(node)).join(" and ");
}

const RELEASES = {
  turn: (node) =>
    `The bot is holding this recording for its turn${node ? ` ${node}` : ""}. It resumes when the bot moves on.`,
  agent: () => "The agent policy keeps this conversation off the record. It resumes when the agent has left.",
  fault: () => "turnrec paused this recording itself after a fault. The bot’s next open turn releases it.",
  operator: () => "An operator is holding this recording. It resumes when the operator lets it.",
};

/** Who still holds, and when they will let go. */
export function whyHeld(holds, node) {
  return (holds ?? []).map((hold) => RELEASES[hold]?.(node)).filter(Boolean).join(" ");
}

const REFUSALS = {
  "not-recording": () => "This call has no open recording. Start one first.",
  "already-recording": () => "A recording is open and paused already: resume it instead.",
  "recording-stopped": () => "Recording was stopped for good on this call. Nothing starts it again.",
  "call-ended": () => "The caller has hung up: this call is over.",
  "unknown-call": () => "This call is over, or isn’t yours to see.",
  "unknown-recording": () => "There is no such recording, or it isn’t yours to see.",
  "asterisk-unreachable": () =>
    "turnrec can’t reach Asterisk at the moment, so nothing was changed. The bot’s own turns go on. Try again shortly.",
  "command-unanswered": () =>
    "Asterisk did not answer in time. To be safe the recording is held until the bot’s next turn.",
  "recorder-busy": () => "Another command on this call is still under way. Try again in a moment.",
  "disk-low": () => "There is too little room on the disk: no new recording begins until there is more.",
  "ledger-unavailable": () => "The ledger takes no entries, so no recording may begin now.",
  "too-many-requests": () => "Too many requests at once. Wait a moment, then try again.",
};

/** A sentence about why something wasn’t done. `about` is the call, where there is one. */
export function refusal(error, about = null) {
  if (error instanceof Away)
    return "turnrec did not answer, so it isn’t known whether this happened. What you see is shown anew once it is back.";
  if (error.id === "held-by-another") {
    const others = (about?.holds ?? []).filter((hold) => hold !== "operator");
    return whyHeld(others.length ? others : ["turn"], about?.node);
  }
  const sentence = REFUSALS[error.id];
  return sentence ? sentence() : asSentence(error.message ?? error.sentence);
}

/** "cannot pause: x" -> "Cannot pause: x." */
export function asSentence(text) {
  const trimmed = String(text ?? "").trim() || "It was refused";
  const begun = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** The buttons, by action: what to press, what goes on meanwhile, what it means. */
export const ACTIONS = {
  pause: { verb: "Pause", doing: "Pausing…", title: "Pause this recording?",
    text: "Nothing is recorded until you resume it. The bot can’t undo your pause." },
  resume: { verb: "Resume", doing: "Resuming…", title: "Resume this recording?",
    text: "Your own pause is lifted. If the bot or the agent policy holds it too, it stays paused." },
  start: { verb: "Start", doing: "Starting…", title: "Start recording this call?",
    text: "A recording begins now." },
  stop: { verb: "Stop", doing: "Stopping…", title: "Stop recording for good?",
    text: "This is final: the recording is closed, and nothing more of this call is recorded.", danger: true,
    confirm: "Stop for good" },
};

/** Who somebody’s company is. */
export const PARTIES = {
  agent: "Agent", bot: "Bot", announcement: "Announcement", consultation: "Somebody who is asked", unknown: "Unknown party",
  unclassed: "Unknown party",
};
