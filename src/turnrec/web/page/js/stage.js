/** The stage: waveform, gaps and lanes one above the other, all on the file's own time, with the player's controls. */
import { html, svg, guard, nothing } from "./lit.js";
import { length, size, spoken } from "./format.js";
import { icon } from "./icons.js";
import { lane, legend, ruler } from "./lanes.js";
import { gapAt } from "./layout.js";
import { heldBy } from "./words.js";

const RATES = [0.75, 1, 1.25, 1.5, 2];
const ZOOMS = [1, 2, 4, 8, 16];

/** What a gap is called: its node, and who held. */
export function gapName(gap) {
  if (gap.kind === "redacted") return "cut out afterwards";
  const who = gap.holds.filter((hold) => hold !== "turn");
  const node = gap.holds.includes("turn") || !gap.holds.length ? gap.node ?? "" : "";
  return [node, who.length ? heldBy(who) : ""].filter(Boolean).join(", held by ") || "paused";
}

export const gapKind = (gap) => (gap.holds.includes("fault") ? "fault" : "paused");

/** Without sound, and nobody held it: the line was still, or one segment gave way to the next. */
function stills(layout, place) {
  const titled = [
    ...layout.spans.filter((span) => span.kind === "shortfall").map((span) => ({ ...span, title: "No sound arrived here" })),
    ...layout.seams.map((seam) => ({ ...seam, title: "Between two segments" })),
  ];
  return titled.map((one) => svg`<svg x=${`${place(one.from) * 100}%`} width=${`${(place(one.to) - place(one.from)) * 100}%`} height="112" class="still">
    <title>${one.title}</title><rect width="100%" height="112"/></svg>`);
}

/**
 * The stage without the waveform, which the player draws into `.wave-canvas` by itself.
 * @param {object} it `layout`, `player`, `turns` and `agents` (in seconds of the file), `zoom`, `width`.
 */
export function stage(it, { seek }) {
  const { layout, player } = it;
  const seconds = layout.seconds || 1;
  const place = (second) => second / seconds;
  const inGap = gapAt(layout, player.at);
  const heard = `${spoken(player.at)} of ${spoken(seconds)}${inGap ? `, not recorded: ${gapName(inGap)}` : ""}`;
  return html`
    <div class="stage" tabindex="0" role="slider" aria-label="Position in the recording" aria-valuemin="0" aria-valuemax=${seconds.toFixed(1)}
      aria-valuenow=${player.at.toFixed(1)} aria-valuetext=${heard} data-zoom=${it.zoom}>
      <div class="stage-inner" @pointerdown=${(event) => drag(event, seconds, seek)}>
        ${guard([layout, it.width, it.zoom], () => ruler(seconds, length, it.width * it.zoom))}
        <div class="wave"><div class="wave-canvas"></div>${guard([layout, it.zoom], () => gapsOver(layout, place, it.zoom))}</div>
        ${guard([layout, it.turns], () => lane({ kind: "turns", items: it.turns }, place))}
        ${guard([layout, it.agents], () => (it.agents.length ? lane({ kind: "agents", items: it.agents }, place) : nothing))}
        <div class="playhead" aria-hidden="true"></div>
      </div>
    </div>`;
}

function gapsOver(layout, place, zoom) {
  return html`<svg class="gaps" width="100%" height="112" aria-hidden="true" focusable="false">${stills(layout, place)}${layout.gaps.map((gap) => {
    const from = place(gap.from);
    const width = place(gap.to) - from;
    const title = `Not recorded: ${gapName(gap)}, ${spoken(gap.lasted)}`;
    if (width <= 0) {
      // This file leaves its pauses out: a gap is a seam, not a stretch.
      return svg`<svg x=${`${from * 100}%`} overflow="visible" class="seam ${gapKind(gap)}"><title>${title}</title>
        <path d="M0 0v112"/><path class="flag" d="M-6 0h12L0 9z"/></svg>`;
    }
    return svg`<svg class="gap ${gapKind(gap)}" x=${`${from * 100}%`} width=${`${width * 100}%`} height="112"><title>${title}</title>
      <rect class="ground" width="100%" height="112"/>
      <rect width="100%" height="112" fill=${gapKind(gap) === "fault" ? "url(#hatch-fault)" : "url(#hatch-paused)"}/>
      <path class="gap-edge" d="M.5 0v112"/>
      ${width * zoom > 0.055 ? svg`<text class="gap-name" x="9" y="21">${gapName(gap)}</text>` : nothing}</svg>`;
  })}</svg>`;
}

function drag(event, seconds, seek) {
  if (event.button !== 0) return;
  const inner = event.currentTarget;
  const to = ({ clientX }) => {
    const box = inner.getBoundingClientRect();
    seek(((clientX - box.left) / box.width) * seconds);
  };
  const end = () => {
    inner.removeEventListener("pointermove", to);
    inner.removeEventListener("pointerup", end);
    inner.removeEventListener("pointercancel", end);
  };
  to(event);
  if (event.pointerType === "touch") return; // a finger scrolls the stage
  inner.addEventListener("pointermove", to);
  inner.addEventListener("pointerup", end);
  inner.addEventListener("pointercancel", end);
  inner.setPointerCapture(event.pointerId);
}

/** The buttons under the stage. */
export function controls(it, { toggle, seek, gap, zoom }) {
  const { player, layout } = it;
  const isShort = !player.ready;
  return html`<div class="controls">
    <button type="button" class="round big" data-control="play" ?disabled=${isShort} @click=${toggle} aria-label=${player.playing ? "Pause the player" : "Play"}
      aria-keyshortcuts="Space">${icon(player.playing ? "bars" : "play", 26)}</button>
    <button type="button" class="round" ?disabled=${isShort} @click=${() => seek(player.at - 5)} aria-label="Back 5 seconds" title="Back 5 s (←)">${icon("rewind", 20)}</button>
    <button type="button" class="round" ?disabled=${isShort} @click=${() => seek(player.at + 5)} aria-label="On 5 seconds" title="On 5 s (→)">${icon("forward", 20)}</button>
    <span class="clock" aria-hidden="true"><strong>${length(player.at, { tenths: true })}</strong> / ${length(layout.seconds)}</span>
    <span class="spread"></span>
    ${isShort || player.isFetching ? html`<span class="fetching" role="status"><span class="spinner" aria-hidden="true"></span>${fetched(player)}</span>` : nothing}
    <span class="gap-buttons" role="group" aria-label="Gaps">
      <button type="button" class="button small" data-control="gap-before" ?disabled=${isShort || !layout.gaps.length} @click=${() => gap(-1)} title="The gap before (P)" aria-keyshortcuts="P">${icon("gapback", 16)}<span>Gap</span></button>
      <button type="button" class="button small" data-control="gap-after" ?disabled=${isShort || !layout.gaps.length} @click=${() => gap(1)} title="The next gap (N)" aria-keyshortcuts="N"><span>Next gap</span>${icon("gapforth", 16)}</button></span>
    <span class="zoom" role="group" aria-label="Zoom">
      <button type="button" class="round" ?disabled=${it.zoom === ZOOMS[0]} @click=${() => zoom(-1)} aria-label="Smaller">${icon("minus", 18)}</button>
      <button type="button" class="round" ?disabled=${it.zoom === ZOOMS.at(-1)} @click=${() => zoom(1)} aria-label="Larger">${icon("plus", 18)}</button></span>
    <label class="rate"><span class="unseen">Speed</span><select @change=${(event) => player.setRate(Number(event.target.value))}>
      ${RATES.map((rate) => html`<option value=${rate} ?selected=${rate === 1}>${rate}×</option>`)}</select></label>
    <label class="volume">${icon("volume", 18)}<span class="unseen">Volume</span><input type="range" min="0" max="1" step="0.05" .value=${"1"} @input=${(event) => player.setVolume(Number(event.target.value))}></label>
  </div>
  <div class="stage-foot">${legend(new Set(["recorded", ...layout.gaps.map(gapKind)]))}
    <p class="noted">Who plays it is entered in the ledger.</p><p class="keys"><kbd>Space</kbd> play <kbd>←</kbd><kbd>→</kbd> 5 s <kbd>P</kbd><kbd>N</kbd> gaps</p></div>`;
}

/** The next zoom in a direction. */
export const zoomed = (zoom, way) => ZOOMS[Math.max(0, Math.min(ZOOMS.length - 1, ZOOMS.indexOf(zoom) + way))];

function fetched(player) {
  if (!player.ready) return "Reading the waveform…";
  if (!player.fetched) return "Fetching the sound…";
  return player.total ? `Fetching the sound, ${Math.round((100 * player.fetched) / player.total)} %` : `Fetching the sound, ${size(player.fetched)}`;
}
