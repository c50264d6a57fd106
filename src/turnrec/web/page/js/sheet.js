/** How one recording's page is laid out, whatever became of it. It fetches nothing. */
import { html, nothing } from "./lit.js";
import { Problem } from "./api.js";
import { clock, count, length, moment, ms, short, spoken } from "./format.js";
import { icon } from "./icons.js";
import { fact, loading, notice, statusBadge } from "./parts.js";
import { proof } from "./proof.js";
import { link } from "./router.js";
import { may } from "./session.js";
import { controls, gapKind, gapName, stage } from "./stage.js";
import { entryAt, transcript } from "./transcript.js";
import { asSentence, refusal } from "./words.js";

/** Draw it. */
export function sheet(it, does) {
  if (it.problem) return html`${back()}<h1 tabindex="-1">Recording</h1>
    ${notice(it.problem instanceof Problem ? "refused" : "fault", refusal(it.problem))}`;
  if (!it.recording) return html`${back()}<h1 tabindex="-1">Recording</h1>${loading("Reading the recording…")}`;
  return html`${back()}${head(it, does)}
    ${it.message ? notice(it.message.tone, it.message.text) : nothing}
    ${(BODIES[it.recording.status] ?? closed)(it, does)}`;
}

const back = () => html`<a class="back" href="#/recordings">${icon("back", 18)}<span>Recordings</span></a>`;

function head({ recording, layout, busy }, does) {
  const gaps = layout.spans.length ? layout.gaps.length : heldGaps(recording).length;
  return html`<div class="head"><div><h1 tabindex="-1">Recording of ${recording.bot}</h1>
      <p class="head-note">${statusBadge(recording.status)}
        ${recording.legal_hold ? html`<span class="badge hold">${icon("hold", 15)}<span>Legal hold</span></span>` : nothing}
        <span>${moment(recording.opened)}</span>
        ${layout.seconds ? html`<span>${length(layout.seconds)} long</span>` : nothing}
        ${recording.status === "deleted" ? nothing : html`<span>${gaps ? count(gaps, "gap") : "no gaps"}</span>`}</p></div>
    <div class="head-side">${adminButtons(recording, busy, does)}</div></div>`;
}

function adminButtons(recording, busy, { change }) {
  if (!may("admin") || recording.status === "deleted") return nothing;
  const isClosed = ["done", "failed"].includes(recording.status);
  const hold = recording.legal_hold
    ? ["release", "Release hold", { title: "Release the legal hold?", text: "It may be deleted again, by people and by its days.", confirm: "Release" }]
    : ["hold", "Legal hold", { title: "Put under a legal hold?", text: "Nobody can delete it until the hold is released, and its days don’t count.", confirm: "Hold" }];
  const gone = { title: "Delete this recording?", danger: true, confirm: "Delete for good",
    text: "Its sound, its transcript and everything beside it are deleted and can’t be had again. A tombstone with your reason stays in the ledger." };
  return html`<button type="button" class="button" ?disabled=${busy !== null} @click=${(event) => change(hold[0], hold[2], event.currentTarget)}>${icon("hold", 17)}<span>${hold[1]}</span></button>
    <button type="button" class="button danger-quiet" ?disabled=${busy !== null || !isClosed || Boolean(recording.legal_hold)}
      title=${recording.legal_hold ? "Release the legal hold first" : ""} @click=${(event) => change("delete", gone, event.currentTarget)}>${icon("bin", 17)}<span>Delete</span></button>`;
}

// ------------------------------------------------------------------ by what became of it

const BODIES = { recording: open, paused: open, deleted };

function open({ recording }) {
  const isPaused = recording.status === "paused";
  return html`<section class="card state-card ${isPaused ? "paused" : "rec"}"><span class="state-shape">${icon(isPaused ? "bars" : "disc", 30)}</span>
    <div><h2>${isPaused ? "Paused, and still open" : "Being recorded now"}</h2>
    <p>Its file, its waveform and its proof are made when the call’s recording is closed.
      ${heldGaps(recording).length ? `So far it has ${count(heldGaps(recording).length, "gap")}.` : ""}</p>
    <a class="button primary" href=${link("calls", recording.call)}>${icon("calls", 18)}<span>Watch the call</span></a></div></section>${details(recording)}`;
}

function deleted({ recording, events }) {
  const tombstone = events.findLast((event) => event.type === "recording.deleted" && event.recording === recording.id);
  const { reason, actor } = tombstone?.data ?? {};
  return html`<section class="card state-card idle"><span class="state-shape">${icon("bin", 30)}</span>
    <div><h2>This recording was deleted</h2>
    <p>Nothing of its sound is left. Its tombstone stays in the ledger, with the fingerprint (SHA-256) that the file had.</p>
    <dl class="facts">${tombstone ? fact("Deleted", moment(tombstone.timestamp)) : nothing}
      ${actor ? fact("By", html`<span class="mono">${actor}</span>`) : nothing}
      ${reason ? fact("Reason", reason) : nothing}</dl></div></section>${details(recording)}`;
}

function closed(it, does) {
  const { recording, player } = it;
  const isFailed = recording.status === "failed";
  return html`${isFailed ? failure(recording) : nothing}
    ${player ? sound(it, does) : isFailed ? nothing : silent(it)}
    <div class="columns">
      <div class="stack">${proof(recording, it.verification, downloads(recording, does))}</div>
      <div class="stack">${player ? nothing : gapList(it, does)}${details(recording, does)}</div>
    </div>`;
}

function failure(recording) {
  const problems = (recording.problems ?? []).map((one) => (typeof one === "string" ? one : one.sentence ?? one.detail ?? one.id ?? JSON.stringify(one)));
  return html`<section class="card state-card fault"><span class="state-shape">${icon("warning", 30)}</span>
    <div><h2>This recording failed</h2>
    <p>${recording.file ? "What was on the disk was joined and hashed, but something is missing or isn’t as it should be." : "No file could be made of it."} What turnrec noted:</p>
    <ul>${problems.length ? problems.map((one) => html`<li>${asSentence(one)}</li>`) : html`<li>Nothing more is known; the server’s log may say why.</li>`}</ul></div></section>`;
}

function silent({ recording, layout }) {
  const hasAudit = recording.file && layout.seconds > 0;
  return html`<section class="card state-card paused"><span class="state-shape">${icon(hasAudit ? "lock" : "bars", 30)}</span>
    <div><h2>${hasAudit ? "Your key has no right to listen" : "Nothing was recorded"}</h2>
    <p>${hasAudit ? "It may check the proof below; to hear the recording takes the right read."
      : "The call was paused throughout, so there is no sound and no file. That is what was asked for; the gaps say who held it."}</p></div></section>`;
}

// ------------------------------------------------------------------ the sound

function sound(it, does) {
  const current = it.entries ? entryAt(it.entries, it.player.at) : -1;
  return html`<div class="listen"><div class="stack">
    <section class="card player" aria-label="Player">
      ${it.playerProblem ? notice("fault", `The sound can’t be played: ${refusal(it.playerProblem)}`) : nothing}
      ${stage(it, does)}${controls(it, does)}
    </section>${gapList(it, does)}</div>
    <section class="card transcript-card" aria-labelledby="transcript-title"><h2 id="transcript-title">Transcript</h2>
      <div class="transcript-box" tabindex="-1">${it.entries === undefined ? loading("Reading the transcript…") : transcript(it.entries, current, does.seek)}</div></section>
  </div>`;
}

/** The gaps that somebody held. */
const heldGaps = (recording) => (recording.gaps ?? []).filter((gap) => gap.holds.length);

function gapList({ layout, recording, player }, { seek }) {
  const gaps = layout.spans.length ? layout.gaps : heldGaps(recording).map((gap, index) => ({
    index, from: null, holds: gap.holds, node: gap.node, beginMs: ms(gap.began), lasted: (ms(gap.ended ?? gap.began) - ms(gap.began)) / 1000 }));
  if (!gaps.length) return nothing;
  const total = gaps.reduce((sum, gap) => sum + gap.lasted, 0);
  return html`<section class="card" aria-labelledby="gaps-title"><h2 id="gaps-title">Gaps <span class="aside">${spoken(total)} not recorded</span></h2>
    <ol class="gap-list">${gaps.map((gap) => html`<li class=${gapKind(gap)}>
      <button type="button" ?disabled=${!player?.ready || gap.from === null} @click=${() => seek(gap.from)}>
        <svg width="26" height="26" aria-hidden="true"><rect class="swatch" width="26" height="26" rx="6" fill=${gapKind(gap) === "fault" ? "url(#hatch-fault)" : "url(#hatch-paused)"}/></svg>
        <span class="gap-what"><strong>${gapName(gap)}</strong><span>at ${gap.from === null ? clock(gap.beginMs) : length(gap.from, { tenths: true })}, ${holderWord(gap)}</span></span>
        <span class="number">${length(gap.lasted, { tenths: true })}</span></button></li>`)}</ol>${seams(layout)}</section>`;
}

/** What a proof counts among the silences, though nobody held it. */
function seams({ seams: all }) {
  if (!all.length) return nothing;
  const lasted = all.reduce((sum, one) => sum + one.lasted, 0);
  return html`<p class="help seams">Beside them ${count(all.length, "seam")}, ${spoken(lasted)} together, where a segment began
    or gave way to the next: nobody held the recording there.</p>`;
}

function holderWord(gap) {
  const words = { turn: "the bot’s turn", agent: "agent policy", operator: "operator", fault: "fault" };
  return gap.holds.map((hold) => words[hold] ?? hold).join(", ") || "paused";
}

function downloads(recording, { save }) {
  return html`
    ${recording.file && may("read") ? html`<button type="button" class="button small" @click=${() => save(`${recording.id}.wav`, "audio", { format: "wav" })}>${icon("download", 16)}<span>Audio</span></button>` : nothing}
    <button type="button" class="button small" @click=${() => save(`${recording.id}.json`, "manifest")}>${icon("download", 16)}<span>Manifest</span></button>`;
}

function details(recording, does = null) {
  const isThere = does !== null && recording.file && may("read");
  return html`<section class="card" aria-labelledby="details-title"><h2 id="details-title">Details</h2><dl class="facts">
    ${fact("Recording", html`<span class="mono">${recording.id}</span>`)}
    ${recording.call ? fact("Call", html`<a class="mono" href=${link("calls", recording.call)} title=${recording.call}>${short(recording.call)}</a>`) : nothing}
    ${fact("Opened", moment(recording.opened))}
    ${recording.closed ? fact("Closed", moment(recording.closed)) : nothing}
    ${recording.file ? fact("File", html`<span class="mono">${recording.file}</span>`) : nothing}
    ${recording.rate_hz ? fact("Sound", `${recording.rate_hz} Hz, ${recording.pause_behavior === "skip" ? "pauses left out" : "pauses are silence"}${recording.stereo ? ", two-channel file too" : ""}`) : nothing}
    ${recording.sha256 ? fact("SHA-256", html`<span class="mono hash">${recording.sha256}</span>`) : nothing}
    ${recording.legal_hold ? fact("Legal hold", recording.legal_hold) : nothing}
    ${recording.redacts ? fact("Redacted from", html`<a class="mono" href=${link("recordings", recording.redacts)}>${short(recording.redacts)}</a>`) : nothing}
    ${recording.redacted_into?.length ? fact("Redacted copy", recording.redacted_into.map((one) => html`<a class="mono" href=${link("recordings", one)}>${short(one)}</a> `)) : nothing}
    ${recording.one_sided?.length ? fact("One-sided", `${count(recording.one_sided.length, "part")} in which one side is not heard`) : nothing}</dl>
    ${isThere ? html`<div class="button-row">
      <button type="button" class="button small" @click=${() => does.save(`${recording.id}.flac`, "audio", { format: "flac" })}>${icon("download", 16)}<span>FLAC</span></button>
      <button type="button" class="button small" @click=${() => does.save(`${recording.id}.opus`, "audio", { format: "opus" })}>${icon("download", 16)}<span>Opus</span></button>
      <button type="button" class="button small" @click=${() => does.save(`${recording.id}.vtt`, "transcript", { format: "vtt", time: "file" })}>${icon("download", 16)}<span>Transcript</span></button></div>` : nothing}
  </section>`;
}
