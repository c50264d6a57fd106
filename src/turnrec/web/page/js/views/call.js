/** One call: its lanes and its events, growing while it talks; nothing is lost over a reconnect. */
import { html, repeat, guard, nothing } from "../lit.js";
import { actionButtons, actionSentence, watchActions } from "../actions.js";
import { getAll, getJson, Problem, segment, serverNow } from "../api.js";
import { draw, setTitle } from "../frame.js";
import { clock, dayAndClock, length, moment, ms, spoken } from "../format.js";
import { icon } from "../icons.js";
import { lane, legend, marks, ruler } from "../lanes.js";
import { liveCall, watchCalls } from "../live.js";
import { badge, empty, fact, loading, notice, stateBadge, ticking } from "../parts.js";
import { link } from "../router.js";
import { say } from "../say.js";
import { may } from "../session.js";
import { storyOf, sums } from "../story.js";
import { openStream } from "../stream.js";
import { tellingOf } from "../telling.js";
import { heldBy, PARTIES, refusal, STATUSES, whyHeld } from "../words.js";

/** Show it; returns how to leave it. */
export function showCall(root, name) {
  setTitle("Call");
  const it = { call: null, events: [], seen: new Set(), recordings: [], problem: null, isRead: false };
  const abort = new AbortController();
  const leave = [() => abort.abort()];
  let isAsked = false;

  function soon() {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; show(); });
  }

  function show() {
    if (abort.signal.aborted) return;
    draw(page(it), root);
  }

  function take(event) {
    if (it.seen.has(event.seq)) return;
    it.seen.add(event.seq);
    it.events.push(event);
    it.events.sort((a, b) => a.seq - b.seq);
  }

  async function readRecordings() {
    if (!may("read", "audit")) return;
    it.recordings = (await getJson("/v1/recordings", { call: it.call.id, limit: 100 }, abort.signal)).items;
    soon();
  }

  async function reread() {
    it.call = await getJson(`/v1/calls/${segment(it.call.id)}`, {}, abort.signal);
    soon();
  }

  function follow() {
    const last = it.events.at(-1)?.seq ?? 0;
    const stream = openStream("/v1/events", {
      query: { call: it.call.id },
      lastEventId: last,
      onOpen: (isFirst) => { if (!isFirst) reread().catch(() => {}); },
      onEvent: ({ data }) => {
        take(data);
        say(tellingOf(data).sentence);
        if (data.type.startsWith("recording.")) readRecordings().catch(() => {});
        if (data.type === "call.ended") reread().catch(() => {});
        soon();
      },
    });
    leave.push(() => stream.close());
  }

  async function read() {
    try {
      it.call = await getJson(`/v1/calls/${segment(name)}`, {}, abort.signal);
      setTitle(`Call of ${it.call.bot}`);
      show();
      const timeline = `/v1/calls/${segment(it.call.id)}/timeline`;
      (await getAll(timeline, {}, abort.signal)).forEach(take);
      it.isRead = true;
      show();
      if (may("read") && it.call.ended === null) {
        follow();
        leave.push(watchCalls((ids) => {
          if (!ids.includes(it.call.id)) return;
          const now = liveCall(it.call.id);
          if (now && now.state !== "ended") it.call = now;
          soon();
        }));
      }
      await readRecordings();
    } catch (error) {
      if (error.name === "AbortError") return;
      it.problem = error;
      show();
    }
  }

  leave.push(watchActions(soon));
  const timer = setInterval(() => { if (it.call && it.call.ended === null) soon(); }, 1000);
  leave.push(() => clearInterval(timer));
  window.addEventListener("resize", soon);
  leave.push(() => window.removeEventListener("resize", soon));
  show();
  read();
  return () => leave.forEach((one) => one());
}

function page(it) {
  if (it.problem) return html`${back()}<h1 tabindex="-1">Call</h1>
    ${notice(it.problem instanceof Problem ? "refused" : "fault", refusal(it.problem))}`;
  if (!it.call) return html`${back()}<h1 tabindex="-1">Call</h1>${loading("Reading the call…")}`;
  const { call } = it;
  return html`${back()}
    <div class="head"><div><h1 tabindex="-1">Call of ${call.bot}</h1>
      <p class="head-note">${moment(call.started)}${call.external_id ? html` · <span class="mono">${call.external_id}</span>` : nothing}</p></div>
      <div class="head-side">${actionButtons(call)}</div></div>
    ${actionSentence(call)}
    ${now(call)}
    <section class="card" aria-labelledby="lanes-title"><h2 id="lanes-title">Timeline</h2>${it.isRead ? lanes(it) : loading("Reading its events…")}</section>
    <div class="columns">
      <section class="card" aria-labelledby="events-title"><h2 id="events-title">What happened</h2>${it.isRead ? events(it) : loading("Reading its events…")}</section>
      <div class="stack">${recordings(it)}${facts(call)}</div>
    </div>`;
}

const back = () => html`<a class="back" href="#/calls">${icon("back", 18)}<span>Calls now</span></a>`;

function now(call) {
  if (call.ended !== null) return nothing;
  return html`<section class="now" aria-label="Now">
    <div>${stateBadge(call)}<span class="now-since">for <strong>${ticking(call.since)}</strong></span></div>
    <div>${icon("turn", 18)}<span>${call.node ? html`Turn <strong>${call.node}</strong>` : "No turn yet"}</span></div>
    <div>${icon("person", 18)}<span>${call.company?.length ? call.company.map((one) => PARTIES[one.party] ?? one.party).join(", ") : "With the bot"}</span></div>
    ${call.holds.length ? html`<p class="now-why">${whyHeld(call.holds, call.node)}</p>` : nothing}
  </section>`;
}

function lanes(it) {
  const story = storyOf(it.events, serverNow());
  const span = Math.max(story.to - story.began, 1000);
  const place = (at) => (at - story.began) / span;
  const lengths = sums(story);
  const width = Math.min(window.innerWidth - 60, 1240);
  const named = (one) => ({ ...one, name: stretchName(one), title: `${stretchName(one)}, ${spoken((one.to - one.from) / 1000)}` });
  return html`
    <div class="lane-sheet">
      ${ruler(span / 1000, length, width)}
      ${laneRow("Recording", lane({ kind: "record", height: 34, items: story.stretches.map(named) }, place))}
      ${laneRow("Turns", lane({ kind: "turns", items: story.turns.map((one) => ({ ...one, kind: "turn", name: one.node, title: `Turn ${one.node}, ${spoken((one.to - one.from) / 1000)}` })) }, place))}
      ${story.agents.length ? laneRow("Agents", lane({ kind: "agents", items: story.agents.map((one) => ({ ...one, kind: "agent", name: one.label, title: one.label })) }, place)) : nothing}
      ${story.marks.length ? laneRow("Attention", marks(story.marks.map((one) => ({ ...one, title: tellingOf(one.event).sentence })), place)) : nothing}
    </div>
    <div class="lane-foot">${legend(new Set(story.stretches.map((one) => one.kind)))}
      <p class="sums">${length(lengths.recorded)} recorded${lengths.paused + lengths.fault > 0 ? `, ${length(lengths.paused + lengths.fault)} held back` : ""}${it.call.ended === null ? ", so far" : ""}</p></div>
    <p class="unseen">${story.stretches.map((one) => `${stretchName(one)} for ${spoken((one.to - one.from) / 1000)}.`).join(" ")}</p>`;
}

const laneRow = (label, drawn) => html`<div class="lane-row"><span class="lane-label">${label}</span>${drawn}</div>`;

function stretchName(one) {
  if (one.kind === "recorded") return "Recorded";
  if (one.kind === "off") return "No recording";
  return `Not recorded: ${heldBy(one.holds, one.node) || "paused"}`;
}

function events(it) {
  if (!it.events.length) return html`<p class="help">Nothing has happened yet.</p>`;
  const newest = [...it.events].reverse();
  const began = ms(it.events[0].timestamp);
  return html`<ol class="events" reversed>${repeat(newest, (event) => event.seq, (event) => guard(event.seq, () => {
    const told = tellingOf(event);
    const at = (ms(event.timestamp) - began) / 1000;
    return html`<li class="event ${told.tone}"><span class="event-shape">${icon(told.shape, 16)}</span>
      <p>${told.sentence}</p><span class="event-at"><span>+${length(at, { tenths: true })}</span>${moment(event.timestamp, clock)}</span></li>`;
  }))}</ol>`;
}

function recordings(it) {
  if (!it.recordings.length) return nothing;
  return html`<section class="card" aria-labelledby="recs-title"><h2 id="recs-title">Recordings</h2>
    <ul class="links">${it.recordings.map((one) => html`<li><a href=${link("recordings", one.id)}>
      ${badge(STATUSES[one.status] ?? STATUSES.failed)}<span>${moment(one.opened, clock)}</span><span class="number">${length(one.duration_s)}</span>${icon("forth", 16)}</a></li>`)}</ul></section>`;
}

function facts(call) {
  return html`<section class="card" aria-labelledby="facts-title"><h2 id="facts-title">Call</h2><dl class="facts">
    ${fact("State", call.ended === null ? stateBadge(call) : html`Ended ${moment(call.ended, dayAndClock)}`)}
    ${fact("Channel", html`<span class="mono">${call.channel}</span>`)}
    ${fact("Uniqueid", html`<span class="mono">${call.uniqueid}</span>`)}
    ${call.external_id ? fact("Bot’s own id", html`<span class="mono">${call.external_id}</span>`) : nothing}
    ${fact("turnrec’s id", html`<span class="mono">${call.id}</span>`)}
  </dl></section>`;
}
