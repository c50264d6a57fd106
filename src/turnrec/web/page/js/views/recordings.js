/** Recordings: searched by bot, status, day and call, page by page. The search is in the address. */
import { html, render, nothing, svg } from "../lit.js";
import { getJson } from "../api.js";
import { setTitle } from "../frame.js";
import { count, length, moment, ms, short } from "../format.js";
import { icon } from "../icons.js";
import { empty, loading, notice, statusBadge } from "../parts.js";
import { go, link } from "../router.js";
import { refusal, STATUSES } from "../words.js";

const PER_PAGE = 25;
const FIELDS = ["bot", "status", "from", "to", "q", "call"];

/** Show those that `query` asks for; returns how to leave it. */
export function showRecordings(root, query) {
  setTitle("Recordings");
  const abort = new AbortController();
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, query.get(name) ?? ""]));
  // The cursors of the pages before this one: the way back.
  const before = (query.get("before") ?? "").split("~").filter(Boolean);
  const cursor = query.get("cursor");
  const it = { wanted, before, cursor, found: null, problem: null, isMistaken: false };
  const show = () => render(page(it), root);

  async function read() {
    try {
      const asked = { bot: wanted.bot, status: wanted.status, q: wanted.q, call: wanted.call, from: dayStart(wanted.from), to: dayStart(wanted.to, 1) };
      it.found = await getJson("/v1/recordings", { ...asked, limit: PER_PAGE, cursor }, abort.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      // A call that isn't there, or a name that can't be one, has no recordings.
      if (error.id === "unknown-call" || error.status === 422) it.isMistaken = true;
      else it.problem = error;
      it.found = { items: [], next: null };
    }
    show();
  }

  show();
  read();
  return () => abort.abort();
}

/** A day as the browser's clock has it, as an instant in UTC; `later` days after it. */
function dayStart(text, later = 0) {
  if (!text) return null;
  const [year, month, day] = text.split("-").map(Number);
  return new Date(year, month - 1, day + later).toISOString();
}

function page(it) {
  return html`
    <div class="head"><h1 tabindex="-1">Recordings</h1></div>
    ${form(it.wanted)}
    ${it.problem ? notice("fault", refusal(it.problem)) : nothing}
    ${it.found === null ? loading("Looking for recordings…") : found(it)}`;
}

function form(wanted) {
  function submit(event) {
    event.preventDefault();
    const given = new FormData(event.target);
    const query = new URLSearchParams(FIELDS.map((name) => [name, String(given.get(name) ?? "").trim()]).filter(([, value]) => value));
    go(link("recordings", query));
  }
  const isAny = Object.values(wanted).some(Boolean);
  return html`<form class="filters card" role="search" aria-label="Recordings" @submit=${submit}>
    <label class="field"><span>Bot</span><input name="bot" .value=${wanted.bot} maxlength="64" spellcheck="false" autocomplete="off" placeholder="any"></label>
    <label class="field"><span>Status</span><select name="status" @change=${(event) => event.target.form.requestSubmit()}>
      <option value="" ?selected=${!wanted.status}>any</option>
      ${Object.entries(STATUSES).map(([status, { word }]) => html`<option value=${status} ?selected=${status === wanted.status}>${word}</option>`)}</select></label>
    <label class="field"><span>From</span><input type="date" name="from" .value=${wanted.from}></label>
    <label class="field"><span>To</span><input type="date" name="to" .value=${wanted.to}></label>
    <label class="field wide"><span>Id <em>of recording or call</em></span><input name="q" .value=${wanted.q || wanted.call} maxlength="256" spellcheck="false" autocomplete="off" placeholder="its beginning is enough"></label>
    <div class="filter-buttons"><button type="submit" class="button primary">${icon("search", 18)}<span>Search</span></button>
      ${isAny ? html`<a class="button quiet" href="#/recordings">Clear</a>` : nothing}</div>
  </form>`;
}

function found(it) {
  const { items } = it.found;
  if (!items.length) {
    const isAny = Object.values(it.wanted).some(Boolean);
    if (it.problem) return nothing;
    return isAny || it.isMistaken
      ? empty("No recording is like this", "Try another day, or fewer words.", html`<a class="button" href="#/recordings">Show all recordings</a>`, "search")
      : empty("No recordings yet", "The first call’s recording appears here when it begins.");
  }
  return html`<div class="card flush"><table class="rows recordings" role="table">
    <caption class="unseen">Recordings, the newest first</caption>
    <thead role="rowgroup"><tr role="row">
      <th role="columnheader" scope="col">Begun</th><th role="columnheader" scope="col">Bot</th><th role="columnheader" scope="col">Status</th>
      <th role="columnheader" scope="col" class="number">Length</th><th role="columnheader" scope="col" class="strip-head">What is in it</th>
      <th role="columnheader" scope="col" class="number">Gaps</th><th role="columnheader" scope="col">Hold</th><th role="columnheader" scope="col">Call</th></tr></thead>
    <tbody role="rowgroup">${items.map(row)}</tbody></table></div>
    ${pager(it)}`;
}

function row(one) {
  const gaps = held(one).length;
  return html`<tr role="row" class="row">
    <td role="cell" class="who"><a class="row-link" href=${link("recordings", one.id)}>${moment(one.opened)}</a></td>
    <td role="cell" class="bot" data-label="Bot">${one.bot}</td>
    <td role="cell" class="state">${statusBadge(one.status)}</td>
    <td role="cell" class="number" data-label="Length">${length(one.duration_s)}</td>
    <td role="cell" class="strip-cell">${one.status === "deleted" ? nothing : strip(one)}</td>
    <td role="cell" class="number" data-label="Gaps">${gaps || html`<span class="nobody">none</span>`}</td>
    <td role="cell" class="hold" data-label="Hold">${one.legal_hold ? html`<span class="badge hold" title=${one.legal_hold}>${icon("hold", 15)}<span>Legal hold</span></span>` : html`<span class="nobody">none</span>`}</td>
    <td role="cell" class="ids" data-label="Call"><a class="mono above" href=${link("calls", one.call)} title=${one.call}>${short(one.call)}</a></td>
  </tr>`;
}

/** The gaps that somebody held; others are only where one segment gave way to the next. */
const held = (one) => (one.gaps ?? []).filter((gap) => gap.holds.length);

/** A small picture of the whole: what was recorded and what was not. */
function strip(one) {
  const from = ms(one.opened);
  const to = one.closed ? ms(one.closed) : Date.now();
  const span = Math.max(to - from, 1);
  const share = (at) => `${(Math.max(0, Math.min(1, (at - from) / span)) * 100).toFixed(3)}%`;
  const width = (gap) => `${(Math.max(0, ((gap.ended ? ms(gap.ended) : to) - ms(gap.began)) / span) * 100).toFixed(3)}%`;
  const gaps = held(one);
  const label = gaps.length ? `${count(gaps.length, "gap")} in it` : "Recorded throughout";
  return html`<svg class="strip" width="100%" height="14" role="img" aria-label=${label}>
    <rect class="swatch recorded" width="100%" height="14" rx="3"/>
    ${gaps.map((gap) => svg`<rect class="strip-gap" x=${share(ms(gap.began))} width=${width(gap)} height="14"/>
      <rect x=${share(ms(gap.began))} width=${width(gap)} height="14" fill=${gap.holds.includes("fault") ? "url(#hatch-fault)" : "url(#hatch-paused)"}/>`)}</svg>`;
}

function pager(it) {
  if (!it.found.next && !it.cursor) return nothing;
  const to = (cursor, before) => {
    const query = new URLSearchParams(Object.entries(it.wanted).filter(([, value]) => value));
    if (cursor) query.set("cursor", cursor);
    if (before.length) query.set("before", before.join("~"));
    return link("recordings", query);
  };
  const newer = it.cursor ? to(it.before.at(-1) === "0" ? null : it.before.at(-1), it.before.slice(0, -1)) : null;
  const older = it.found.next ? to(it.found.next, [...it.before, it.cursor ?? "0"]) : null;
  return html`<nav class="pager" aria-label="Pages">
    ${newer ? html`<a class="button" href=${newer}>${icon("back", 18)}<span>Newer</span></a>` : html`<span></span>`}
    <span class="pager-at">Page ${it.before.length + 1}</span>
    ${older ? html`<a class="button" href=${older}><span>Older</span>${icon("forth", 18)}</a>` : html`<span></span>`}</nav>`;
}
