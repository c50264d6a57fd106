/** Where the page begins: sign in, then the frame with its views. */
import { render, nothing } from "./lit.js";
import { whenUnauthorized } from "./api.js";
import { frame, startFrame } from "./frame.js";
import { leaveCalls } from "./live.js";
import { place } from "./router.js";
import { keptKey, signIn, signOut } from "./session.js";
import { startTicking } from "./ticker.js";
import { showCall } from "./views/call.js";
import { showCalls } from "./views/calls.js";
import { showLogin } from "./views/login.js";
import { showRecording } from "./views/recording.js";
import { showRecordings } from "./views/recordings.js";

const app = document.getElementById("app");
let leaveView = () => {};
let isIn = false;

const VIEWS = {
  calls: (root, id) => (id ? showCall(root, id) : showCalls(root)),
  recordings: (root, id, query) => (id ? showRecording(root, id) : showRecordings(root, query)),
};

function login(problem = null, attempt = {}) {
  leave();
  isIn = false;
  render(nothing, app);
  showLogin(app, { problem, ...attempt, onSignedIn: () => enter() });
}

function enter({ isBack = false } = {}) {
  isIn = true;
  render(nothing, app);
  startFrame(app, { onSignOut: out });
  // Who was signed in already has pressed nothing that the focus could follow.
  route({ isFirst: isBack });
}

function out() {
  signOut();
  leaveCalls();
  login();
}

function leave() {
  leaveView();
  leaveView = () => {};
}

function route({ isFirst = false } = {}) {
  if (!isIn) return;
  const { path: [name = frame.home(), id], query } = place();
  const view = VIEWS[name] ?? VIEWS[frame.home()];
  leave();
  const root = frame.newView(name);
  leaveView = view(root, id, query) ?? (() => {});
  window.scrollTo(0, 0);
  if (!isFirst) frame.focusHeading();
}

window.addEventListener("hashchange", () => route());
whenUnauthorized((problem) => {
  if (!isIn) return;
  signOut();
  leaveCalls();
  login(problem);
});

startTicking();
const kept = keptKey();
if (kept === null) login();
else {
  signIn(kept.key, kept).then(() => enter({ isBack: true }), (problem) => {
    if (problem.status === 401) signOut();
    login(problem, kept);
  });
}
