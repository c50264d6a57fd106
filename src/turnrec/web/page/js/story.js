/** Makes of a call's events what is drawn: stretches, turns, agents, and what stands out. It draws nothing. */
import { ms } from "./format.js";
import { PARTIES } from "./words.js";

/** What a recorder's state is on the lane. */
function kindOf(state, holds) {
  if (state === "recording") return "recorded";
  if (state === "paused") return (holds ?? []).includes("fault") ? "fault" : "paused";
  return "off";
}

const MARKS = {
  alarm: "fault",
  "action.failed": "fault",
  "recording.failed": "fault",
  "action.refused": "refused",
};

/**
 * The story so far; what is still going on ends at `now` (ms).
 * @param {object[]} events of one call, in the ledger's order.
 */
export function storyOf(events, now = Date.now()) {
  const story = { began: null, ended: null, to: now, stretches: [], turns: [], agents: [], marks: [] };
  let state = { kind: "off", holds: [], node: null, from: null };
  let turn = null;
  const agents = new Map();

  function change(at, next) {
    if (state.from !== null && at > state.from) story.stretches.push({ ...state, to: at });
    state = { ...next, from: at };
  }

  function endTurn(at) {
    if (turn !== null) story.turns.push({ ...turn, to: at });
    turn = null;
  }

  function endAgent(name, at) {
    const agent = agents.get(name);
    if (agent === undefined) return;
    story.agents.push({ ...agent, to: at });
    agents.delete(name);
  }

  for (const event of events) {
    const at = ms(event.timestamp);
    const { data = {} } = event;
    story.began ??= at;
    if (event.type === "turn.begun") {
      endTurn(at);
      turn = { node: data.node ?? "?", number: data.turn, from: at };
    }
    if (event.type === "agent.bridged") {
      for (const name of partiesOf(data)) if (!agents.has(name)) agents.set(name, { label: `${wordFor(name, data)} ${name}`.trim(), from: at });
    }
    if (event.type === "agent.gone") for (const name of partiesOf(data, [...agents.keys()])) endAgent(name, at);
    if (data.state && event.type !== "recording.done") {
      const kind = kindOf(data.state, data.holds);
      const holds = data.holds ?? [];
      if (state.from === null || kind !== state.kind || holds.join() !== state.holds.join())
        change(at, { kind, holds, node: data.node ?? turn?.node ?? null });
    }
    if (MARKS[event.type]) story.marks.push({ at, tone: MARKS[event.type], event });
    if (event.type === "call.ended") story.ended = at;
  }
  const end = story.ended ?? Math.max(now, story.began ?? now);
  story.to = end;
  if (state.from !== null && end > state.from) story.stretches.push({ ...state, to: end, open: story.ended === null });
  endTurn(end);
  for (const name of [...agents.keys()]) endAgent(name, end);
  story.began ??= end;
  return story;
}

/** The channels that an agent's event names. */
function partiesOf(data, otherwise = [""]) {
  const named = (data.parties ?? data.company ?? []).map((one) => one.channel ?? one.uniqueid).filter(Boolean);
  if (named.length) return named;
  return data.channel ? [data.channel] : otherwise;
}

function wordFor(name, data) {
  const party = (data.parties ?? []).find((one) => (one.channel ?? one.uniqueid) === name)?.party;
  return PARTIES[party] ?? "Agent";
}

/** How long each kind lasted, in seconds. */
export function sums(story) {
  const total = { recorded: 0, paused: 0, fault: 0, off: 0 };
  for (const one of story.stretches) total[one.kind] += (one.to - one.from) / 1000;
  return total;
}
