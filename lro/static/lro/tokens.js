/**
 * Where JSON web tokens are kept, and how long they live.
 * @typedef {import("./types.js").Tokens} Tokens
 * @typedef {import("./types.js").TokenStore} TokenStore
 */

/** When a JSON web token expires, in milliseconds, or 0. @param {string} token */
export function expiry(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return 1000 * (Number(JSON.parse(atob(payload)).exp) || 0);
  } catch {
    return 0;
  }
}

/** Tokens that outlive a reload. @param {string} key @param {Storage} storage @returns {TokenStore} */
export function storedTokens(key, storage) {
  return {
    get() {
      try {
        return JSON.parse(storage.getItem(key) ?? "null");
      } catch {
        return null;
      }
    },
    set(tokens) {
      if (tokens) storage.setItem(key, JSON.stringify(tokens));
      else storage.removeItem(key);
    },
  };
}

/** Tokens that a reload forgets. @returns {TokenStore} */
export function memoryTokens(tokens = /** @type {Tokens | null} */ (null)) {
  return { get: () => tokens, set: (next) => { tokens = next; } };
}
