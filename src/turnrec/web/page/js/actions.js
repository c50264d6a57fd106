/** An operator's actions on a live call: asked, sent, told; the buttons and sentences that go with them. */
import { html, nothing } from "./lit.js";
import { post, segment } from "./api.js";
import { askFor } from "./dialog.js";
import { icon } from "./icons.js";
import { liveCall, takeOutcome, touch } from "./live.js";
import { notice } from "./parts.js";
import { say } from "./say.js";
import { may, person } from "./session.js";
import { ACTIONS, STATES, heldBy, refusal, shownState, whyHeld } from "./words.js";

const SHAPES = { pause: "bars", resume: "play", start: "record", stop: "stop" };
const ORDER = ["start", "pause", "resume", "stop"];

const busy = new Map();
const told = new Map();
const listeners = new Set();

/** Be told when a call's buttons or sentences change; returns how to be told no more. */
export function watchActions(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function changed(id) {
  touch(id);
  for (const listener of listeners) listener([id]);
}

async function act(call, action, anchor) {
  if (busy.has(call.id)) return; // the button keeps its focus meanwhile
  const words = ACTIONS[action];
  const answer = await askFor({
    title: words.title, text: words.text, confirm: words.confirm ?? words.verb, danger: words.danger, anchor,
  });
  if (answer) await send(call, action, answer.reason);
}

async function send(call, action, reason = "") {
  if (busy.has(call.id)) return;
  busy.set(call.id, action);
  told.delete(call.id);
  changed(call.id);
  try {
    const body = { action, as: "operator" };
    if (reason) body.reason = reason;
    if (person()) body.actor = person();
    const outcome = await post(`/v1/calls/${segment(call.id)}/actions`, body);
    takeOutcome(outcome.call);
    if (outcome.notice) tell(call.id, "refused", noticeSentence(outcome));
    else say(`${outcome.call.bot}: ${STATES[shownState(outcome.call)].word}.`);
  } catch (error) {
    tell(call.id, error.id === "held-by-another" ? "refused" : "fault", refusal(error, liveCall(call.id) ?? call));
  } finally {
    busy.delete(call.id);
    changed(call.id);
  }
}

function noticeSentence({ call, notice: why }) {
  if (why.id !== "held-by-another") return refusal(why, call);
  return `Your own pause is lifted. ${whyHeld(call.holds, call.node)}`;
}

function tell(id, tone, text) {
  told.set(id, { tone, text });
  say(text);
}

/** The buttons: those that the server would take, and, locked, a resume that somebody else keeps away. */
export function actionButtons(call) {
  if (!may("control") || call.state === "ended") return nothing;
  const going = busy.get(call.id);
  const shown = ORDER.filter((one) => (call.allowed ?? []).includes(one) || one === going);
  const locked = call.state === "paused" && call.refused?.resume && !shown.includes("resume");
  return html`<div class="actions" role="group" aria-label="Recording">
    ${locked ? lockedResume(call) : nothing}
    ${shown.map((action) => button(call, action, going))}
  </div>`;
}

function button(call, action, going) {
  const isGoing = action === going;
  const label = action === "pause" && call.state === "paused" ? "Keep paused" : ACTIONS[action].verb;
  return html`<button type="button" class="button small ${action === "stop" ? "quiet stop" : ""}" data-action=${action}
      aria-disabled=${going ? "true" : "false"} aria-busy=${isGoing ? "true" : "false"}
      @click=${(event) => act(call, action, event.currentTarget)}>
    ${isGoing ? html`<span class="spinner" aria-hidden="true"></span>` : icon(SHAPES[action], 15)}
    <span>${isGoing ? ACTIONS[action].doing : label}</span></button>`;
}

/** The server is asked all the same: it knows what holds now, and its refusal says so. */
function lockedResume(call) {
  return html`<button type="button" class="button small quiet locked" data-action="resume"
      aria-disabled=${busy.has(call.id) ? "true" : "false"} title=${`Held by ${heldBy(call.holds, call.node)}`}
      aria-label=${`Resume: locked, held by ${heldBy(call.holds, call.node)}`}
      @click=${() => send(call, "resume")}>${icon("lock", 15)}<span>Resume</span></button>`;
}

/** The sentence about the last action, if there is one to read. */
export function actionSentence(call) {
  const message = told.get(call.id);
  if (!message) return nothing;
  return notice(message.tone, message.text, {
    onClose: () => { told.delete(call.id); changed(call.id); },
  });
}

/** Whether there is something to read about this call. */
export const hasSentence = (id) => told.has(id);
