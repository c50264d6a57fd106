/** Small pieces that several views show. They hold no state and ask nothing. */
import { html, nothing } from "./lit.js";
import { icon } from "./icons.js";
import { STATES, STATUSES, shownState } from "./words.js";

/** A call's state: shape, word and colour. */
export function stateBadge(call) {
  return badge(STATES[shownState(call)] ?? STATES.ended);
}

/** A recording's status. */
export function statusBadge(status) {
  return badge(STATUSES[status] ?? { word: status, shape: "question", tone: "idle" });
}

/** A shape and a word in a colour. */
export function badge({ word, shape, tone }) {
  return html`<span class="badge ${tone}">${icon(shape, 15)}<span>${word}</span></span>`;
}

/** A sentence that somebody should read: tone "info", "refused", "fault" or "good". */
export function notice(tone, text, { onClose = null, role = "note" } = {}) {
  const shapes = { info: "info", refused: "lock", fault: "warning", good: "check" };
  return html`<div class="notice ${tone}" role=${role}>
    ${icon(shapes[tone], 18)}<p>${text}</p>
    ${onClose ? html`<button class="icon-button" type="button" @click=${onClose} aria-label="Dismiss this message">${icon("close", 16)}</button>` : nothing}
  </div>`;
}

/** What is shown where there is nothing. */
export function empty(title, text, more = nothing, shape = "recordings") {
  return html`<div class="empty"><div class="empty-shape">${icon(shape, 30)}</div><h2>${title}</h2><p>${text}</p>${more}</div>`;
}

/** While something is fetched. */
export function loading(what) {
  return html`<div class="loading" role="status"><span class="spinner" aria-hidden="true"></span><span>${what}</span></div>`;
}

/** A time that ticks: `ticker.js` writes into it, so nothing else does. */
export function ticking(iso) {
  return html`<span class="ticking" data-since=${iso ?? ""}></span>`;
}

/** A name and what it is, in a list of facts. */
export function fact(name, value) {
  return html`<div class="fact"><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** A button that copies a text and says so. */
export function copyButton(text, label = "Copy") {
  async function copy(event) {
    const button = event.currentTarget;
    const told = button.querySelector("span");
    const said = (await copied(text)) ? "Copied" : "Select and copy it";
    told.textContent = said;
    setTimeout(() => { told.textContent = label; }, 1600);
  }
  // The label is set as a property: lit leaves it alone while `copy` changes it.
  return html`<button class="button small quiet" type="button" @click=${copy}>${icon("copy", 16)}<span .textContent=${label}></span></button>`;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // without TLS there is no clipboard
  }
}
