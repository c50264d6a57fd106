/** Draws lanes: stretches along a line of time, each with its name. Widths are shares of the whole. */
import { html, svg, nothing } from "./lit.js";

const percent = (share) => `${(share * 100).toFixed(4)}%`;
/** A share of the width below which a name isn't worth trying. */
const NAMED = 0.012;

/**
 * One lane.
 * @param {object} lane `label`, `kind` (a class), `height`, and `items` of `{from, to, kind, name, title}`.
 * @param {function} place maps a time to a share of the width, 0 to 1.
 */
export function lane({ kind, height = 26, items, onPick = null }, place) {
  return html`<svg class="lane ${kind}" width="100%" height=${height} aria-hidden="true" focusable="false">
    ${items.map((item) => block(item, height, place, onPick))}</svg>`;
}

function block(item, height, place, onPick) {
  const from = Math.max(0, Math.min(1, place(item.from)));
  const to = Math.max(from, Math.min(1, place(item.to)));
  const width = to - from;
  const pick = onPick === null ? nothing : () => onPick(item);
  return svg`<svg class="block ${item.kind ?? ""} ${item.current ? "current" : ""}" x=${percent(from)} width=${percent(width)} height=${height} @click=${pick}>
    <title>${item.title ?? item.name ?? ""}</title>
    <rect class="body" width="100%" height="100%" rx="3" fill=${FILLS[item.kind] ?? nothing}/>
    <rect class="edge" width="100%" height="100%" rx="3"/>
    ${width > NAMED && item.name ? svg`<text x="7" y=${height / 2} dominant-baseline="central">${item.name}</text>` : nothing}
  </svg>`;
}

const FILLS = { paused: "url(#hatch-paused)", fault: "url(#hatch-fault)" };

/** A ruler: a tick and its time every so often. `seconds` is the whole length. */
export function ruler(seconds, write, widthPx) {
  const step = stepFor(seconds, widthPx);
  const ticks = [];
  // The last one has no room for its time.
  for (let at = 0; at <= seconds - 0.7 * step || at === 0; at += step) ticks.push(at);
  return html`<svg class="ruler" width="100%" height="22" aria-hidden="true" focusable="false">
    ${ticks.map((at) => svg`<svg x=${percent(at / Math.max(seconds, 1e-9))} overflow="visible"><path d="M.5 15v7"/>
      <text x="4" y="13">${write(at)}</text></svg>`)}</svg>`;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function stepFor(seconds, widthPx) {
  const most = Math.max(2, widthPx / 78);
  return STEPS.find((step) => seconds / step <= most) ?? 7200;
}

/** Points in time, as small shapes on a lane of their own. */
export function marks(items, place) {
  return html`<svg class="lane marks" width="100%" height="18" aria-hidden="true" focusable="false">
    ${items.map((item) => svg`<svg class="mark-point ${item.tone}" x=${percent(place(item.at))} overflow="visible">
      <title>${item.title}</title>${item.tone === "fault" ? svg`<path d="M0 3l6 11h-12z"/>` : svg`<path d="M0 3l5.5 5.5L0 14l-5.5-5.5z"/>`}</svg>`)}</svg>`;
}

/** What the hatches and colours mean; only those that occur. */
export function legend(kinds) {
  const words = { recorded: "Recorded", paused: "Paused: not recorded", fault: "Fault: not recorded", off: "No recording" };
  return html`<ul class="legend">${Object.keys(words).filter((kind) => kinds.has(kind)).map((kind) => html`
    <li><svg width="22" height="12" aria-hidden="true"><rect class="swatch ${kind}" width="22" height="12" rx="3" fill=${FILLS[kind] ?? nothing}/></svg>${words[kind]}</li>`)}</ul>`;
}
