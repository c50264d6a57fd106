/** What is proven of a recording and what is not, in plain words, and how to check it oneself. */
import { html, nothing } from "./lit.js";
import { icon } from "./icons.js";
import { copyButton, loading, notice } from "./parts.js";
import { asSentence, refusal } from "./words.js";

const VERDICTS = {
  proven: { shape: "check", tone: "good", word: "Proven",
    text: "The file is the one that was hashed when it was closed, and the ledger bears out every gap." },
  unproven: { shape: "question", tone: "open", word: "Not proven to the end",
    text: "Nothing contradicts this recording, but something that the full proof needs is not there yet." },
  wrong: { shape: "cross", tone: "bad", word: "Something is wrong",
    text: "The recording, its manifest and the ledger contradict each other. Don’t rely on it before somebody has looked." },
};

/** Draw it. `it.verification`: null while it is asked for, an Error if it can't be had. */
export function proof(recording, verification, downloads) {
  return html`<section class="card proof" aria-labelledby="proof-title"><h2 id="proof-title">${icon("shield", 20)}Proof</h2>
    ${verification === null ? loading("Checking file, manifest and ledger…")
      : verification instanceof Error ? notice("fault", refusal(verification)) : verdict(verification)}
    ${yourself(recording, downloads)}</section>`;
}

function verdict(verification) {
  const shown = VERDICTS[verification.status] ?? VERDICTS.unproven;
  const reports = [verification.ledger, ...(verification.recordings ?? [])].filter(Boolean);
  const gather = (name) => reports.flatMap((report) => report[name] ?? []);
  const findings = gather("findings");
  const said = (verification.sentences ?? []).map((one) => (typeof one === "string" ? one : one.sentence ?? one.text ?? ""));
  return html`<div class="verdict ${shown.tone}"><span class="verdict-shape">${icon(shown.shape, 26)}</span>
      <div><strong>${shown.word}</strong><p>${shown.text}</p></div></div>
    ${said.length ? html`<div class="said-plainly">${said.map((one) => html`<p>${asSentence(one)}</p>`)}</div>` : nothing}
    ${list("What speaks against it", findings.filter((one) => one.weight === "wrong").map((one) => one.sentence), "cross", "bad")}
    ${list("What is proven", gather("proven"), "check", "good")}
    ${list("What is missing for the proof", findings.filter((one) => one.weight !== "wrong").map((one) => one.sentence), "question", "open")}
    ${list("What this doesn’t say", gather("not_proven"), "minus", "mute")}`;
}

function list(title, sentences, shape, tone) {
  if (!sentences.length) return nothing;
  return html`<h3>${title}</h3><ul class="sentences ${tone}">${sentences.map((one) => html`<li>${icon(shape, 17)}<span>${asSentence(one)}</span></li>`)}</ul>`;
}

function yourself(recording, downloads) {
  const wav = `${recording.id}.wav`;
  const command = `turnrec verify ${wav} --ledger ledger.db --checkpoints checkpoints.jsonl --public-key turnrec.pub`;
  return html`<details class="yourself"><summary>Check it yourself</summary>
    <ol>
      <li><p>Save both files into one folder. Their names belong to the proof.</p><div class="button-row">${downloads}</div></li>
      <li><p>Compare the file’s fingerprint (SHA-256) with the one in the ledger:</p>
        ${shell(`sha256sum ${wav}`)}${recording.sha256 ? html`<p class="hash mono">${recording.sha256}</p>` : nothing}</li>
      <li><p>Hold it against a copy of the ledger, and the checkpoints that were signed with a key whose public half you were given.
        It needs no server and changes nothing; exit status 0 means proven.</p>${shell(command)}</li>
    </ol></details>`;
}

const shell = (command) => html`<div class="shell"><code>${command}</code>${copyButton(command)}</div>`;
