/** Puts a call's events into sentences, each with a shape and a colour. It decides nothing. */
import { asSentence, heldBy, refusal } from "./words.js";

const turnOf = (data) => data.node ?? "?";

function actorOf(data) {
  const actor = data.actor ?? "";
  if (!actor) return "";
  const [kind, ...names] = actor.split(":");
  const name = names.join(", ");
  const [keyName, ...person] = names;
  if (kind === "key" && person.length) return `${person.join(":")} (key ${keyName})`;
  return { key: `key ${name}`, cli: `${name} at the command line`, bot: `bot ${name}` }[kind] ?? actor;
}

const by = (data) => (data.source === "operator" && actorOf(data) ? ` by ${actorOf(data)}` : "");
const because = (data) => (data.reason ? ` Reason: “${data.reason}”.` : "");

const TELLINGS = {
  "call.started": () => ["calls", "plain", "The call began."],
  "call.ended": () => ["ended", "plain", "The caller hung up: the call ended."],
  "turn.begun": (data) => ["turn", "plain", `Turn ${turnOf(data)} began.`],
  "recording.started": (data) => (data.state === "paused"
    ? ["bars", "paused", `A recording was opened${by(data)}, held from its start by ${heldBy(data.holds, data.node) || "somebody"}.${because(data)}`]
    : ["disc", "rec", `Recording started${by(data)}.${because(data)}`]),
  "recording.paused": (data) => {
    const isFault = (data.holds ?? []).includes("fault");
    const isOperators = data.source === "operator" && by(data) && (data.holds ?? []).join() === "operator";
    const held = isOperators ? "" : heldBy(data.holds, data.node);
    return [isFault ? "warning" : "bars", isFault ? "fault" : "paused",
      `Recording paused${held ? `: held by ${held}` : ""}${by(data)}.${because(data)}`];
  },
  "recording.resumed": (data) => ["disc", "rec", `Recording resumed${by(data)}.${because(data)}`],
  "recording.stopped": (data) => ["square", "idle", `Recording stopped${by(data)}.${because(data)}`],
  "recording.done": () => ["check", "done", "The recording’s file is complete, hashed and entered in the ledger."],
  "recording.failed": (data) => ["warning", "fault", `The recording’s file could not be completed.${why(data)}`],
  "recording.deleted": (data) => ["bin", "idle", `The recording was deleted${actorOf(data) ? ` by ${actorOf(data)}` : ""}.${because(data)}`],
  "recording.redacted": (data) => ["cross", "idle", `A stretch was cut out of the recording.${because(data)}`],
  "action.refused": (data) => ["lock", "refused",
    `${verb(data)}${actorOf(data) ? `, asked by ${actorOf(data)},` : ""} was refused. ${refusal({ id: data.result, message: data.result }, data)}`],
  "action.failed": (data) => ["warning", "fault", `${verb(data)} failed.${why(data)}`],
  "agent.announced": (data) => ["person", "plain", `A transfer to a person was announced${data.policy ? ` (recorded: ${data.policy})` : ""}.`],
  "agent.bridged": (data) => ["person", "plain", `The caller hears ${names(data) || "somebody new"}.`],
  "agent.gone": (data) => ["person", "plain", `${names(data) || "The agent"} left the call.`],
  "transcription.halted": () => ["bars", "paused", "Transcription halted with the recording."],
  "transcription.resumed": () => ["disc", "rec", "Transcription goes on."],
  alarm: (data) => ["warning", "fault", `Alarm.${why(data)}`],
};

function verb(data) {
  const action = data.action ?? "the request";
  return action[0].toUpperCase() + action.slice(1);
}

function why(data) {
  const told = data.sentence ?? data.reason ?? (data.result && data.result !== "ok" ? data.result : "");
  return told ? ` ${asSentence(told)}` : "";
}

const WHO = { agent: "agent ", unknown: "an unknown party, ", unclassed: "an unknown party, " };

function names(data) {
  const parties = data.parties ?? data.company ?? [];
  return parties.map((one) => `${WHO[one.party] ?? ""}${one.channel ?? ""}`.trim()).filter(Boolean).join(" and ") || data.channel || "";
}

/** `{shape, tone, sentence}` of an event. */
export function tellingOf(event) {
  const [shape, tone, sentence] = (TELLINGS[event.type] ?? (() => ["info", "plain", event.type]))(event.data ?? {});
  return { shape, tone, sentence };
}
