/** One recording: its sound, its gaps, what was said, and the proof. Fetches; `sheet.js` lays it out. */
import { ask, getAll, getJson, post, segment } from "../api.js";
import { askFor } from "../dialog.js";
import { draw, setTitle } from "../frame.js";
import { spoken } from "../format.js";
import { gapAfter, gapBefore, layoutOf } from "../layout.js";
import { Player } from "../player.js";
import { say } from "../say.js";
import { may, person } from "../session.js";
import { sheet } from "../sheet.js";
import { gapName, zoomed } from "../stage.js";
import { storyOf } from "../story.js";
import { entryAt, followEntry, readTranscript } from "../transcript.js";
import { refusal } from "../words.js";

/** Show it; returns how to leave it. */
export function showRecording(root, id) {
  setTitle("Recording");
  const abort = new AbortController();
  const it = {
    id, recording: null, problem: null, layout: null, player: null, playerProblem: null, turns: [], agents: [], events: [],
    entries: undefined, verification: null, message: null, busy: null, zoom: 1, width: 1000,
  };
  const path = `/v1/recordings/${segment(id)}`;
  let followed = -1, drawn = 0;

  function show() {
    if (abort.signal.aborted) return;
    drawn = performance.now();
    it.width = root.clientWidth || 1000;
    draw(sheet(it, does), root);
    const inner = root.querySelector(".stage-inner");
    if (inner && it.player) drawPlayhead(inner);
    const current = it.player && it.entries ? entryAt(it.entries, it.player.at) : -1;
    if (current !== followed && it.player?.playing) followEntry(root.querySelector(".transcript-box"), current);
    followed = current;
  }

  /** While it plays: the playhead in every frame, the rest a few times a second. */
  function tick() {
    const inner = root.querySelector(".stage-inner");
    if (inner) drawPlayhead(inner);
    if (performance.now() - drawn > 120) show();
  }

  function drawPlayhead(inner) {
    inner.style.width = `${it.zoom * 100}%`;
    const share = it.layout.seconds ? it.player.at / it.layout.seconds : 0;
    inner.querySelector(".playhead").style.left = `${Math.min(share, 1) * 100}%`;
    if (it.zoom === 1 || !it.player.playing) return;
    const box = inner.parentElement;
    const at = share * inner.clientWidth;
    if (at < box.scrollLeft || at > box.scrollLeft + box.clientWidth * 0.92) box.scrollLeft = at - box.clientWidth * 0.1;
  }

  const does = {
    toggle: () => it.player?.toggle(),
    seek: (second) => it.player?.seek(second),
    gap(way) {
      const { at } = it.player;
      const found = way > 0 ? gapAfter(it.layout, at) : gapBefore(it.layout, at);
      if (!found) {
        say(way > 0 ? "No further gap." : "No gap before this.");
        return;
      }
      it.player.seek(found.from);
      say(`Gap: ${gapName(found)}, not recorded for ${spoken(found.lasted)}.`);
    },
    zoom(way) {
      it.zoom = zoomed(it.zoom, way);
      show();
      const box = root.querySelector(".stage");
      box.scrollLeft = (it.player.at / (it.layout.seconds || 1)) * box.scrollWidth - box.clientWidth / 2;
    },
    change, save,
  };

  /** Hold, release or delete it. */
  async function change(what, question, anchor) {
    const answer = await askFor({ ...question, reason: "required", anchor });
    if (answer === null) return;
    it.busy = what;
    it.message = null;
    show();
    try {
      await post(`${path}/${what}`, person() ? { reason: answer.reason, actor: person() } : { reason: answer.reason });
      it.message = { tone: "good", text: DONE[what] };
      say(DONE[what]);
      await read();
    } catch (error) {
      it.message = { tone: "fault", text: refusal(error) };
    } finally {
      it.busy = null;
      show();
    }
  }

  /** Save a file under the name that its proof knows it by. */
  async function save(name, address, query = {}) {
    try {
      const blob = await (await ask(`${path}/${address}`, { query, signal: abort.signal })).blob();
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      if (error.name === "AbortError") return;
      it.message = { tone: "fault", text: refusal(error) };
      show();
    }
  }

  async function read() {
    it.recording = await getJson(path, {}, abort.signal);
    it.layout = layoutOf(it.recording);
    setTitle(`Recording of ${it.recording.bot}`);
  }

  async function readAll() {
    try {
      await read();
    } catch (error) {
      if (error.name === "AbortError") return;
      it.problem = error;
      show();
      return;
    }
    const isThere = ["done", "failed"].includes(it.recording.status);
    const hasSound = isThere && it.recording.file && it.layout.seconds > 0;
    if (it.recording.transcript === false) it.entries = null;
    if (hasSound && may("read")) it.player = newPlayer();
    show();
    await Promise.all([
      it.player && attempt(() => it.player.draw(root.querySelector(".wave-canvas")), (error) => { it.playerProblem = error; }),
      attempt(readStory, () => {}),
      it.player && it.recording.transcript !== false ? attempt(async () => { it.entries = await readTranscript(it.recording, abort.signal); }, () => { it.entries = null; }) : null,
      isThere && may("read", "audit") ? attempt(async () => { it.verification = await getJson(`${path}/verification`, {}, abort.signal); }, (error) => { it.verification = error; }) : null,
    ]);
  }

  function newPlayer() {
    const onProblem = (error) => { it.playerProblem = error; show(); };
    return new Player({ ...it.recording, duration_s: it.layout.seconds }, { onChange: show, onTick: tick, onProblem });
  }

  async function attempt(work, onError) {
    try {
      await work();
    } catch (error) {
      if (error.name === "AbortError") return;
      onError(error);
    }
    show();
  }

  async function readStory() {
    it.events = await getAll(`/v1/calls/${segment(it.recording.call)}/timeline`, {}, abort.signal);
    const { layout } = it;
    if (layout.beginMs === null) return;
    const story = storyOf(it.events, layout.endMs);
    const inFile = (one, look) => ({ ...look, from: layout.placeOf(one.from), to: layout.placeOf(one.to) });
    const isInside = (one) => one.to > layout.beginMs && one.from < layout.endMs;
    it.turns = story.turns.filter(isInside).map((one) => inFile(one, { kind: "turn", name: one.node, title: `Turn ${one.node}` }));
    it.agents = story.agents.filter(isInside).map((one) => inFile(one, { kind: "agent", name: one.label, title: one.label }));
  }

  function onKey(event) {
    if (!it.player || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target.matches("input, select, textarea")) return;
    if (event.key === " " && target.matches("button, a, summary")) return;
    const keys = {
      " ": does.toggle, ArrowLeft: () => does.seek(it.player.at - 5), ArrowRight: () => does.seek(it.player.at + 5),
      Home: () => does.seek(0), End: () => does.seek(it.layout.seconds),
      n: () => does.gap(1), N: () => does.gap(1), p: () => does.gap(-1), P: () => does.gap(-1),
    };
    const isStage = target.matches(".stage");
    if (["Home", "End"].includes(event.key) && !isStage) return;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  document.addEventListener("keydown", onKey);
  window.addEventListener("resize", show);
  show();
  readAll();
  return () => {
    abort.abort();
    document.removeEventListener("keydown", onKey);
    window.removeEventListener("resize", show);
    it.player?.destroy();
  };
}

const DONE = {
  hold: "It is under a legal hold now: nobody can delete it.",
  release: "The legal hold is released.",
  delete: "It is deleted. Its tombstone stays in the ledger.",
};
