/** Tells those who hear the page what has changed; one sentence at a time, politely. */

const waiting = [];
let timer = null;

/** Say a sentence. */
export function say(sentence) {
  waiting.push(sentence);
  timer ??= setTimeout(flush, 250);
}

function flush() {
  timer = null;
  // A burst is told as a whole; nobody wants to hear forty sentences.
  const said = waiting.length > 3 ? [...waiting.slice(-2), `and ${waiting.length - 2} more changes.`] : waiting;
  document.getElementById("said").textContent = said.join(" ");
  waiting.length = 0;
}
