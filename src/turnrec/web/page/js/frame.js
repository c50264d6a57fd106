/** The frame around every view: the way to the others, how the connection is, whose key it is. */
import { html, render, nothing } from "./lit.js";
import { connection, onConnection } from "./connection.js";
import { clock, length } from "./format.js";
import { icon, mark } from "./icons.js";
import { say } from "./say.js";
import { may, person, whoAmI } from "./session.js";
import { tickWithin } from "./ticker.js";

const PLACES = [
  { name: "calls", word: "Calls now", shape: "calls", rights: ["read"] },
  { name: "recordings", word: "Recordings", shape: "recordings", rights: ["read", "audit"] },
];

let view = null;

export const frame = {
  /** The first view that this key may see. */
  home: () => PLACES.find((place) => may(...place.rights))?.name ?? "calls",

  /** An empty place for the next view. */
  newView(name) {
    const fresh = document.createElement("div");
    fresh.className = "view";
    view.replaceChildren(fresh);
    for (const link of document.querySelectorAll("nav a[data-place]")) {
      if (link.dataset.place === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    return fresh;
  },

  /** Take those who work by keyboard to where the new view begins. */
  focusHeading() {
    requestAnimationFrame(() => view.querySelector("h1")?.focus({ preventScroll: true }));
  },
};

/** Draw a view; a heading that is replaced passes its focus on, and times tick from the start. */
export function draw(template, root) {
  const focused = document.activeElement;
  const wasHeading = focused?.matches("h1") && root.contains(focused);
  render(template, root);
  if (wasHeading && !focused.isConnected) root.querySelector("h1")?.focus({ preventScroll: true });
  tickWithin(root);
}

/** Name the view in the window's title. */
export function setTitle(words) {
  document.title = words ? `${words} · turnrec` : "turnrec";
}

/** Draw the frame. */
export function startFrame(app, { onSignOut }) {
  const me = whoAmI();
  const limits = me.bots === null ? "All bots" : me.bots.join(", ") || "No bot";
  render(html`
    <a class="skip" href="#view" @click=${(event) => { event.preventDefault(); view.querySelector("h1")?.focus(); }}>To the content</a>
    <header class="bar">
      <a class="brand" href="#/" aria-label="turnrec, start">${mark()}<span>turnrec</span></a>
      <nav class="places" aria-label="Views">
        ${PLACES.filter((place) => may(...place.rights)).map((place) => html`
          <a href=${`#/${place.name}`} data-place=${place.name}>${icon(place.shape, 20)}<span>${place.word}</span></a>`)}
      </nav>
      <div class="link-state" id="link-state"></div>
      <details class="me">
        <summary aria-label=${`Signed in with the key ${me.name}`}>${icon("person", 20)}<span class="me-name">${person() || me.name}</span></summary>
        <div class="me-menu">
          <dl>
            <div><dt>Key</dt><dd>${me.name}</dd></div>
            ${person() ? html`<div><dt>Person</dt><dd>${person()}</dd></div>` : nothing}
            <div><dt>Rights</dt><dd>${me.rights.join(", ")}</dd></div>
            <div><dt>Bots</dt><dd>${limits}</dd></div>
          </dl>
          <button type="button" class="button quiet wide" @click=${onSignOut}>${icon("leave", 18)}<span>Sign out, forget the key</span></button>
        </div>
      </details>
    </header>
    <main id="view"></main>`, app);
  view = app.querySelector("main");
  const menu = app.querySelector("details.me");
  document.addEventListener("click", (event) => { if (!menu.contains(event.target)) menu.open = false; });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  watchLink(app.querySelector("#link-state"));
}

let unwatch = () => {};

function watchLink(root) {
  unwatch();
  let before = "none";
  function show() {
    const { state, since } = connection();
    document.body.dataset.link = state;
    render(linkState(state, since), root);
    if (state === before) return;
    if (state === "reconnecting") say("The connection to turnrec is lost. Reconnecting.");
    if (state === "live" && before === "reconnecting") say("Connected again. Everything is up to date.");
    if (state !== "connecting") before = state;
  }
  const forgetIt = onConnection(show);
  const timer = setInterval(() => { if (connection().state === "reconnecting") show(); }, 1000);
  unwatch = () => { forgetIt(); clearInterval(timer); };
  show();
}

function linkState(state, since) {
  if (state === "none") return nothing;
  if (state === "live") return html`<span class="link live"><i aria-hidden="true"></i>Live</span>`;
  if (state === "connecting") return html`<span class="link connecting"><i aria-hidden="true"></i>Connecting</span>`;
  const lasts = (Date.now() - since) / 1000;
  return html`<span class="link broken" title=${`No connection since ${clock(since)}`}><i aria-hidden="true"></i>
    <span>Reconnecting <span class="link-since">since ${clock(since)} (${length(lasts)})</span></span></span>`;
}
