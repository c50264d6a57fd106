/** The page's icons: one stroke width, the text's colour. They are decoration; words stand beside them. */
import { svg, html, nothing } from "./lit.js";

const line = (d) => svg`<path d=${d} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/>`;
const solid = (d) => svg`<path d=${d} fill="currentColor"/>`;

const SHAPES = {
  // states: each with an outline of its own
  disc: svg`<circle cx="12" cy="12" r="6.5" fill="currentColor"/>`,
  ring: svg`<circle cx="12" cy="12" r="5.6" fill="none" stroke="currentColor" stroke-width="2.4"/>`,
  bars: solid("M7 5.5h3.4v13H7zM13.6 5.5H17v13h-3.4z"),
  square: solid("M6.5 6.5h11v11h-11z"),
  warning: svg`<path d="M12 3.6 21.6 20H2.4z" fill="currentColor" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M12 9.6v4.6M12 17.1v.1" stroke="var(--warning-mark, #fff)" stroke-width="2" stroke-linecap="round"/>`,
  ended: line("M5 12h14"),
  check: line("M5 12.8l4.4 4.4L19 7.4"),
  cross: line("M6.5 6.5l11 11M17.5 6.5l-11 11"),
  question: line("M9 9.2a3.1 3.1 0 1 1 4.6 2.7c-1 .6-1.6 1.2-1.6 2.3M12 17.6v.1"),
  bin: line("M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.4 10.4v5.4M13.6 10.4v5.4"),
  // actions and places
  play: solid("M8 5.2v13.6L19 12z"),
  record: svg`<circle cx="12" cy="12" r="6" fill="currentColor"/>`,
  stop: solid("M7 7h10v10H7z"),
  back: line("M14.5 6 8.5 12l6 6"),
  forth: line("M9.5 6l6 6-6 6"),
  lock: svg`<rect x="6" y="10.5" width="12" height="9" rx="2" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M8.6 10.5V8a3.4 3.4 0 0 1 6.8 0v2.5")}`,
  key: svg`<circle cx="8" cy="15" r="3.6" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M10.7 12.4 18.5 4.6M15.4 7.6l2.6 2.6")}`,
  calls: line("M6.2 4.5h3l1.6 4-2 1.4a11 11 0 0 0 5.3 5.3l1.4-2 4 1.6v3a1.7 1.7 0 0 1-1.8 1.7A15.2 15.2 0 0 1 4.5 6.3a1.7 1.7 0 0 1 1.7-1.8z"),
  recordings: line("M4 12h1.5M8 8v8M12 5v14M16 8.5v7M19 11v2"),
  person: svg`<circle cx="12" cy="8.4" r="3.4" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M5.6 19.4c.8-3.4 3.3-5.2 6.4-5.2s5.6 1.8 6.4 5.2")}`,
  leave: line("M10 5H6.5A1.5 1.5 0 0 0 5 6.5v11A1.5 1.5 0 0 0 6.5 19H10M14 8l4 4-4 4M18 12H9.5"),
  search: svg`<circle cx="10.8" cy="10.8" r="5.6" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M15 15l4.4 4.4")}`,
  download: line("M12 4.5v10M8 11l4 4 4-4M5 19.2h14"),
  copy: svg`<rect x="8.5" y="8.5" width="11" height="11" rx="2" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M15.5 8.5V6.5a2 2 0 0 0-2-2h-7a2 2 0 0 0-2 2v7a2 2 0 0 0 2 2h2")}`,
  shield: line("M12 3.8 5.5 6.2v5.2c0 4.2 2.7 7.2 6.5 8.8 3.8-1.6 6.5-4.6 6.5-8.8V6.2z"),
  rewind: line("M5 5v5h5M5.4 10A7.4 7.4 0 1 1 4.8 13.6"),
  forward: line("M19 5v5h-5M18.6 10A7.4 7.4 0 1 0 19.2 13.6"),
  gapback: svg`${line("M6 5.5v13")}${solid("M19 6v12L9.5 12z")}`,
  gapforth: svg`${line("M18 5.5v13")}${solid("M5 6v12l9.5-6z")}`,
  volume: line("M5 10v4h3l4.2 3.4V6.6L8 10zM15.6 9a4.2 4.2 0 0 1 0 6M18 6.6a7.6 7.6 0 0 1 0 10.8"),
  hold: line("M12 4v9M8.4 6.4V12M15.6 6.4V12M5.6 9.6V14c0 3.6 2.8 6 6.4 6s6.4-2.4 6.4-6V9.6"),
  turn: line("M5 7.5h9a4 4 0 0 1 0 8H8M10.6 12.6 7.6 15.6l3 3"),
  close: line("M7 7l10 10M17 7 7 17"),
  plus: line("M12 5.5v13M5.5 12h13"),
  minus: line("M5.5 12h13"),
  info: svg`<circle cx="12" cy="12" r="8" fill="none" stroke="currentColor" stroke-width="1.8"/>${line("M12 11.2v5M12 7.9v.1")}`,
};

/** An icon by name. */
export function icon(name, size = 18) {
  const shape = SHAPES[name];
  if (!shape) return nothing;
  return html`<svg class="icon" width=${size} height=${size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">${shape}</svg>`;
}

/** turnrec's mark. */
export function mark(size = 28) {
  return html`<svg class="mark" width=${size} height=${size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect class="mark-ground" width="32" height="32" rx="9"/>
    <path class="mark-ring" d="M16 7a9 9 0 1 0 9 9" fill="none" stroke-width="3.2" stroke-linecap="round"/>
    <rect class="mark-pause" x="19.4" y="6.6" width="2.9" height="7.4" rx="1.2"/><rect class="mark-pause" x="24.1" y="6.6" width="2.9" height="7.4" rx="1.2"/>
    <circle class="mark-dot" cx="16" cy="16" r="3.6"/></svg>`;
}
