/** Writes the times that tick, once a second, straight into their elements. */
import { serverNow } from "./api.js";
import { length } from "./format.js";

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) write(element);
}

function write(element) {
  const since = Date.parse(element.dataset.since);
  const text = Number.isNaN(since) ? "–" : length(Math.max(0, (serverNow() - since) / 1000));
  if (element.textContent !== text) element.textContent = text;
}

/** Begin to tick. New elements are written as they come, so that none is ever empty. */
export function startTicking() {
  setInterval(tick, 1000);
}

/** Write the times below an element now. */
export function tickWithin(root) {
  for (const element of root.querySelectorAll("[data-since]")) write(element);
}
