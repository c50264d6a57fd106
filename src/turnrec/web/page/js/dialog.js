/** Asks one thing in a small window: a reason, or whether it is really meant. */
import { html, render, nothing } from "./lit.js";

/**
 * Ask, beside `anchor` where there is room.
 * @param {object} question `title`, `text`, `confirm` (the button), `danger`, and `reason`: "none",
 *   "optional" or "required".
 * @returns {Promise<{reason: string}|null>} null: they thought better of it.
 */
export function askFor({ title, text, confirm, danger = false, reason = "optional", anchor = null }) {
  const dialog = document.getElementById("ask");
  return new Promise((resolve) => {
    let answer = null;
    function submit(event) {
      event.preventDefault();
      const given = dialog.querySelector("input")?.value.trim() ?? "";
      if (reason === "required" && !given) {
        dialog.querySelector("input").focus();
        return;
      }
      answer = { reason: given };
      dialog.close();
    }
    const field = reason === "none" ? nothing : html`
      <label class="field">
        <span>Reason ${reason === "optional" ? html`<em>optional, for the ledger</em>` : html`<em>for the ledger</em>`}</span>
        <input name="reason" maxlength="300" autocomplete="off" ?required=${reason === "required"} autofocus>
      </label>`;
    render(html`
      <form method="dialog" @submit=${submit}>
        <h2 id="ask-title">${title}</h2>
        <p>${text}</p>
        ${field}
        <div class="ask-buttons">
          <button type="button" class="button quiet" @click=${() => dialog.close()}>Cancel</button>
          <button type="submit" class="button ${danger ? "danger" : "primary"}">${confirm}</button>
        </div>
      </form>`, dialog);
    dialog.setAttribute("aria-labelledby", "ask-title");
    dialog.addEventListener("close", () => {
      render(nothing, dialog);
      if (anchor?.isConnected) anchor.focus();
      resolve(answer);
    }, { once: true });
    dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
    dialog.showModal();
    place(dialog, anchor);
    dialog.querySelector("input, button[type=submit]").focus();
  });
}

/** Put it under the button that asked; on a narrow window the style sheet keeps it at the bottom. */
function place(dialog, anchor) {
  dialog.style.left = dialog.style.top = "";
  dialog.classList.toggle("beside", false);
  if (!anchor || window.innerWidth < 700) return;
  const from = anchor.getBoundingClientRect();
  const own = dialog.getBoundingClientRect();
  const left = Math.min(Math.max(12, from.right - own.width), window.innerWidth - own.width - 12);
  const below = from.bottom + 8;
  const top = below + own.height < window.innerHeight - 12 ? below : Math.max(12, from.top - own.height - 8);
  dialog.classList.toggle("beside", true);
  dialog.style.left = `${left}px`;
  dialog.style.top = `${top}px`;
}
