/** Which view the address names (`#/calls/ID?x=y`), and going to another. */

/** The address as `{path: ["calls", "ID"], query: URLSearchParams}`. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

/** An address's text for a link. */
export function link(...words) {
  const query = words.at(-1) instanceof URLSearchParams ? words.pop().toString() : "";
  return `#/${words.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
}

/** Go there. With `replace` the way back leads past it. */
export function go(hash, { replace = false } = {}) {
  if (!replace) {
    location.hash = hash;
    return;
  }
  history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}
