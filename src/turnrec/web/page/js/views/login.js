/** The way in: a key, pasted once. It says what is wrong with it. */
import { html, render, nothing } from "../lit.js";
import { Away } from "../api.js";
import { mark } from "../icons.js";
import { notice } from "../parts.js";
import { setTitle } from "../frame.js";
import { signIn } from "../session.js";
import { asSentence } from "../words.js";

/** Show it. `problem`: why they are here again; `key`, `person`: what they came with. */
export function showLogin(root, { problem = null, key = "", person = "", remember = false, onSignedIn }) {
  let isAsking = false;

  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    const given = form.key.value.trim();
    if (!given || isAsking) return;
    isAsking = true;
    problem = null;
    show();
    try {
      await signIn(given, { person: form.person.value.trim(), remember: form.remember.checked });
      onSignedIn();
    } catch (error) {
      isAsking = false;
      problem = error;
      show();
      form.key.focus();
      form.key.select();
    }
  }

  function show() {
    render(html`
      <main class="login">
        <form class="login-card" @submit=${submit} aria-labelledby="login-title">
          <div class="login-head">${mark(44)}<div><h1 id="login-title" tabindex="-1">turnrec</h1><p>What is recorded, turn by turn.</p></div></div>
          ${problem ? notice(problem instanceof Away ? "fault" : "refused", whatIsWrong(problem), { role: "alert" }) : nothing}
          <label class="field"><span>API key</span>
            <input name="key" type="password" .value=${key} required autocomplete="current-password" spellcheck="false"
              placeholder="trk_…" aria-describedby="key-help" autofocus></label>
          <p class="help" id="key-help">An administrator makes one with <code>turnrec api-key new</code>.</p>
          <label class="field"><span>Your name <em>optional, beside the key in the ledger</em></span>
            <input name="person" .value=${person} maxlength="64" pattern="[A-Za-z0-9_.@\\-]+" autocomplete="username"
              title="Letters, digits, _ . @ and - only" spellcheck="false"></label>
          <label class="check"><input name="remember" type="checkbox" .checked=${remember}>
            <span>Remember on this device<em>Otherwise the key is forgotten with this window.</em></span></label>
          <button type="submit" class="button primary wide" ?disabled=${isAsking} aria-busy=${isAsking ? "true" : "false"}>
            ${isAsking ? html`<span class="spinner" aria-hidden="true"></span>` : nothing}<span>${isAsking ? "Asking turnrec…" : "Sign in"}</span></button>
        </form>
        <p class="login-foot">The key stays in this browser and goes nowhere but to <strong>${location.host}</strong>.</p>
      </main>`, root);
  }

  setTitle("Sign in");
  show();
  root.querySelector("input[name=key]")?.focus();
}

function whatIsWrong(problem) {
  if (problem instanceof Away)
    return `turnrec does not answer at ${location.host}. Is the server running, and are you on its network? Your key was not checked.`;
  if (problem.status === 401)
    return "turnrec doesn’t know this key. Part of it may be missing, or it was revoked.";
  if (problem.status === 429) return "Too many attempts from here. Wait a minute, then try again.";
  return asSentence(problem.message);
}
