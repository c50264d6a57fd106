/** Who is at the page: the key, where it is kept, and what it may. It shows nothing. */
import { getJson, useKey } from "./api.js";

const KEY = "turnrec.key";
const NAME = "turnrec.person";

let me = null;

/** Sign in with a key.
 * @throws {Problem|Away} it isn't good, or nobody answered. */
export async function signIn(key, { person = "", remember = false } = {}) {
  useKey(key);
  try {
    me = await getJson("/v1/me");
  } catch (error) {
    useKey(null);
    throw error;
  }
  const [kept, cleared] = remember ? [localStorage, sessionStorage] : [sessionStorage, localStorage];
  kept.setItem(KEY, key);
  cleared.removeItem(KEY);
  if (person) kept.setItem(NAME, person);
  else kept.removeItem(NAME);
  cleared.removeItem(NAME);
  return me;
}

/** The key that was kept, and whether this device is to remember it; null: none. */
export function keptKey() {
  const here = sessionStorage.getItem(KEY);
  const key = here ?? localStorage.getItem(KEY);
  if (!key) return null;
  return { key, remember: here === null, person: person() };
}

/** Forget the key. */
export function signOut() {
  me = null;
  useKey(null);
  for (const kept of [sessionStorage, localStorage]) {
    kept.removeItem(KEY);
    kept.removeItem(NAME);
  }
}

/** What `GET /v1/me` said. */
export const whoAmI = () => me;

/** The person behind the key, as they named themselves; "" if they didn't. */
export function person() {
  return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME) ?? "";
}

/** Whether the key has any one of these rights. */
export function may(...rights) {
  return me !== null && (me.rights.includes("admin") || rights.some((right) => me.rights.includes(right)));
}
