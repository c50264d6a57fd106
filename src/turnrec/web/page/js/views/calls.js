/** Calls now: one row each, with what holds it, for how long, and the buttons for what is allowed. */
import { html, render, repeat, guard, nothing } from "../lit.js";
import { actionButtons, actionSentence, hasSentence, watchActions } from "../actions.js";
import { onConnection, connection } from "../connection.js";
import { draw, setTitle } from "../frame.js";
import { clock, moment } from "../format.js";
import { callsKnown, liveCall, liveCalls, versionOf, watchCalls } from "../live.js";
import { empty, loading, notice, stateBadge, ticking } from "../parts.js";
import { icon } from "../icons.js";
import { link } from "../router.js";
import { say } from "../say.js";
import { may } from "../session.js";
import { heldBy, PARTIES, shownState, STATES } from "../words.js";

const TILES = ["recording", "paused", "fault", "inactive", "stopped"];

/** What is looked for outlives a visit to another view. */
const wanted = { state: "", bot: "", text: "" };

/** Show it; returns how to leave it. */
export function showCalls(root) {
  setTitle("Calls now");
  if (!may("read")) {
    render(html`<h1 tabindex="-1">Calls now</h1>${notice("refused", "This key has no right to see calls.")}`, root);
    return () => {};
  }
  let isAsked = false;
  const faults = new Set();

  function soon() {
    if (isAsked) return;
    isAsked = true;
    // A tab in the background draws no frames; it is drawn when it comes back.
    requestAnimationFrame(() => { isAsked = false; show(); });
  }

  function show() {
    const all = liveCalls();
    const shown = all.filter(isWanted);
    const row = document.activeElement?.closest("tr[data-call]");
    const place = row ? [...row.parentElement.children].indexOf(row) : -1;
    draw(page(all, shown, set), root);
    if (row && !row.isConnected) refocus(place);
  }

  /** A row that goes takes the focus of those who work by keyboard with it: the next one gets it. */
  function refocus(place) {
    const rows = root.querySelectorAll("tr[data-call]");
    (rows[Math.min(place, rows.length - 1)]?.querySelector(".row-link") ?? root.querySelector("h1")).focus({ preventScroll: true });
  }

  function set(change) {
    Object.assign(wanted, change);
    show();
  }

  function tellFaults(ids) {
    for (const id of ids) {
      const call = liveCall(id);
      const isFault = call !== undefined && shownState(call) === "fault";
      if (isFault && !faults.has(id)) say(`Fault on a call of bot ${call.bot}: it is not recorded.`);
      if (isFault) faults.add(id);
      else faults.delete(id);
    }
  }

  const leave = [
    watchCalls((ids) => { tellFaults(ids); soon(); }),
    watchActions(soon),
    onConnection(soon),
  ];
  show();
  return () => leave.forEach((one) => one());
}

function isWanted(call) {
  if (wanted.state && shownState(call) !== wanted.state) return false;
  if (wanted.bot && call.bot !== wanted.bot) return false;
  if (!wanted.text) return true;
  const told = [call.id, call.uniqueid, call.external_id, call.channel, call.node, call.bot];
  return told.some((one) => one && one.toLowerCase().includes(wanted.text.toLowerCase()));
}

function page(all, shown, set) {
  return html`
    <div class="head"><h1 tabindex="-1">Calls now</h1><p class="head-note">${summary(all)}</p></div>
    ${stale()}
    <div class="tiles" role="group" aria-label="Show only one state">
      ${tile("", "All calls", all.length, set)}
      ${TILES.map((state) => tile(state, STATES[state].word, all.filter((call) => shownState(call) === state).length, set))}
    </div>
    <div class="filters">
      <label class="field inline search">${icon("search", 18)}<span class="unseen">Find a call</span>
        <input type="search" placeholder="Find by node, channel or id" .value=${wanted.text} @input=${(event) => set({ text: event.target.value.trim() })}></label>
      <label class="field inline"><span class="unseen">Bot</span>
        <select @change=${(event) => set({ bot: event.target.value })}>
          <option value="" ?selected=${!wanted.bot}>All bots</option>
          ${botsOf(all).map((bot) => html`<option value=${bot} ?selected=${bot === wanted.bot}>${bot}</option>`)}
        </select></label>
    </div>
    ${shown.length ? table(shown) : nothingThere(all, set)}`;
}

function summary(all) {
  if (!callsKnown()) return "";
  const live = all.filter((call) => call.state !== "ended");
  if (!live.length) return "No call at the moment.";
  const recorded = live.filter((call) => call.state === "recording").length;
  return `${live.length} live, ${recorded} of them recorded at this moment.`;
}

function stale() {
  const { state, since } = connection();
  if (state !== "reconnecting" || !callsKnown()) return nothing;
  return notice("fault", `No connection to turnrec since ${clock(since)}: this is how the calls stood then.`);
}

function tile(state, word, count, set) {
  const look = STATES[state];
  return html`<button type="button" class="tile ${look?.tone ?? "all"}" aria-pressed=${wanted.state === state ? "true" : "false"}
      @click=${() => set({ state: wanted.state === state ? "" : state })}>
    <strong>${count}</strong><span>${look ? icon(look.shape, 14) : nothing}${word}</span></button>`;
}

function botsOf(all) {
  return [...new Set([...all.map((call) => call.bot), wanted.bot].filter(Boolean))].sort();
}

function nothingThere(all, set) {
  if (!callsKnown()) return loading("Asking for the calls…");
  if (all.length) {
    const clear = () => set({ state: "", bot: "", text: "" });
    return empty("No call is like this", "Other calls are live: take the filters away to see them.",
      html`<button type="button" class="button" @click=${clear}>Show all calls</button>`, "search");
  }
  return empty("No call at the moment", "As soon as a caller reaches a bot, the call appears here by itself.", nothing, "calls");
}

function table(shown) {
  return html`<div class="card flush"><table class="rows calls" role="table">
    <caption class="unseen">Calls that are live now, the newest first</caption>
    <thead role="rowgroup"><tr role="row">
      <th role="columnheader" scope="col">State</th><th role="columnheader" scope="col">Bot and node</th>
      <th role="columnheader" scope="col">Held by</th><th role="columnheader" scope="col" class="number">In state</th>
      <th role="columnheader" scope="col">With the caller</th><th role="columnheader" scope="col">Call</th>
      <th role="columnheader" scope="col"><span class="unseen">Actions</span></th>
      <th role="columnheader" scope="col" class="said nothing"><span class="unseen">Message</span></th></tr></thead>
    <tbody role="rowgroup">${repeat(shown, (call) => call.id, (call) => guard([call.id, versionOf(call.id)], () => row(call)))}</tbody>
  </table></div>`;
}

function row(call) {
  const where = link("calls", call.id);
  return html`<tr role="row" class="row ${STATES[shownState(call)]?.tone ?? "idle"} ${call.state === "ended" ? "over" : ""}" data-call=${call.id}>
    <td role="cell" class="state">${stateBadge(call)}</td>
    <td role="cell" class="who"><a class="row-link" href=${where}>${call.bot}</a>
      <span class="node">${call.node ? html`${icon("turn", 14)}${call.node}` : "no turn yet"}</span></td>
    <td role="cell" class="held" data-label="Held by">${heldCell(call)}</td>
    <td role="cell" class="number since" data-label="In state">${ticking(call.since)}</td>
    <td role="cell" class="company" data-label="With">${company(call)}</td>
    <td role="cell" class="ids"><span class="mono">${call.external_id ?? call.uniqueid}</span><span class="began">since ${moment(call.started, clock)}</span></td>
    <td role="cell" class="buttons">${actionButtons(call)}</td>
    <td role="cell" class="said ${hasSentence(call.id) ? "" : "nothing"}">${actionSentence(call)}</td>
  </tr>`;
}

function heldCell(call) {
  const words = heldBy(call.holds, call.node);
  const doubt = call.unconfirmed_monitors
    ? html`<span class="doubt">${icon("warning", 14)}A stop is not confirmed yet</span>` : nothing;
  return html`${words ? html`<span class="holder">${words}</span>` : html`<span class="nobody">nobody</span>`}${doubt}`;
}

function company(call) {
  if (!call.company?.length) return html`<span class="nobody">the bot</span>`;
  return call.company.map((one) => html`<span class="party ${one.party}" title=${one.channel}>${icon("person", 14)}${PARTIES[one.party] ?? one.party}</span>`);
}
