/**
 * Calls to the server with who one is: a bearer token that is renewed in time, or the session's cookie.
 * @typedef {import("./types.js").Tokens} Tokens
 * @typedef {import("./types.js").TokenStore} TokenStore
 * @typedef {{method?: string, json?: any, body?: any, headers?: Record<string, string>, anonymous?: boolean, signal?: AbortSignal}} RequestOptions
 */
import { Problem, SignedOut, Unreachable, isPassing } from "./problem.js";
import { expiry, memoryTokens } from "./tokens.js";

/** A token that lives shorter than this is renewed before it is used. */
export const REFRESH_AHEAD = 30000;

export class Rest {
  #tokens;
  #fetch;
  #onSignedOut;
  /** @type {Promise<string> | null} */ #refreshing = null;

  /** @param {{baseUrl: string, tokens: TokenStore | Tokens | null, fetch: typeof fetch, onSignedOut: () => void}} options */
  constructor({ baseUrl, tokens, fetch, onSignedOut }) {
    this.base = new URL(baseUrl || "/", globalThis.location?.href ?? "http://localhost/");
    this.#tokens = tokens === null ? null : "get" in tokens ? tokens : memoryTokens(tokens);
    this.#fetch = fetch.bind(globalThis);
    this.#onSignedOut = onSignedOut;
  }

  // Who one is

  get usesTokens() {
    return this.#tokens !== null;
  }

  get signedIn() {
    return this.#tokens === null || Boolean(this.#tokens.get()?.refresh);
  }

  get username() {
    return this.#tokens?.get()?.username ?? "";
  }

  /** @param {string} username @param {string} password */
  async login(username, password) {
    const answer = await this.#send("/auth/token/", { method: "POST", json: { username, password }, anonymous: true });
    this.#tokens?.set({ ...(await answer.json()), username });
  }

  forget() {
    this.#tokens?.set(null);
  }

  /** A token that lives long enough to be used. @param {{force?: boolean}} [options] */
  async accessToken({ force = false } = {}) {
    if (this.#tokens === null) return "";
    const tokens = this.#tokens.get();
    if (!tokens) throw new SignedOut();
    if (!force && expiry(tokens.access) - Date.now() > REFRESH_AHEAD) return tokens.access;
    this.#refreshing ??= this.refresh().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async refresh() {
    const tokens = this.#tokens?.get();
    if (!tokens) throw new SignedOut();
    try {
      const answer = await this.#send("/auth/token/refresh/", { method: "POST", json: { refresh: tokens.refresh }, anonymous: true });
      const next = { ...tokens, ...(await answer.json()) };
      this.#tokens?.set(next);
      return next.access;
    } catch (error) {
      if (isPassing(error) || !(error instanceof Problem)) throw error;
      this.#onSignedOut();
      throw new SignedOut();
    }
  }

  // Calls

  /** The address on our own server, whatever host a link names. @param {string} path */
  url(path) {
    const target = new URL(path, this.base);
    return this.base.origin + target.pathname + target.search;
  }

  /** @param {string} path @param {RequestOptions} [options] @returns {Promise<Response>} */
  async request(path, options = {}) {
    try {
      return await this.#send(path, options);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401 || this.#tokens === null) throw error;
      await this.accessToken({ force: true });
      return this.#send(path, options);
    }
  }

  /** @param {string} path @param {{signal?: AbortSignal}} [options] @returns {Promise<any>} */
  async read(path, options) {
    return (await this.request(path, options)).json();
  }

  /** @param {string} path @param {RequestOptions} options @returns {Promise<Response>} */
  async #send(path, { method = "GET", json, body, headers = {}, anonymous = false, signal }) {
    const sent = new Headers({ Accept: "application/json", ...headers });
    if (json !== undefined) sent.set("Content-Type", "application/json");
    if (!anonymous && this.#tokens !== null) sent.set("Authorization", `Bearer ${await this.accessToken()}`);
    if (this.#tokens === null && method !== "GET") sent.set("X-CSRFToken", cookie("csrftoken"));
    /** @type {Response} */
    let answer;
    try {
      answer = await this.#fetch(this.url(path), { method, headers: sent, body: json === undefined ? body : JSON.stringify(json), signal, cache: "no-store", credentials: "same-origin" });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable(error);
    }
    if (answer.ok) return answer;
    throw new Problem(answer.status, await answer.json().catch(() => null), answer.headers.get("Retry-After"));
  }

  // What following reads

  /** @param {string} id @returns {Promise<import("./types.js").Operation>} */
  operation(id) {
    return this.read(operationPath(id));
  }

  /** @param {Record<string, any>} [filters] @returns {Promise<{results: import("./types.js").Operation[], next: string | null, counts?: Record<string, number>}>} */
  operations(filters = {}) {
    const given = Object.entries(filters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const query = new URLSearchParams(given);
    return this.read(`/operations/${query.size ? `?${query}` : ""}`);
  }

  /** @param {string} id @param {import("./types.js").EventQuery} [query] @returns {Promise<import("./types.js").EventPage>} */
  events(id, { after = 0, wait = 0, signal } = {}) {
    return this.read(`${operationPath(id)}/events/?after=${after}${wait ? `&wait=${wait}` : ""}`, { signal });
  }
}

/** @param {string} id */
export const operationPath = (id) => `/operations/${encodeURIComponent(id)}`;

/** @param {string} name */
function cookie(name) {
  const found = (globalThis.document?.cookie ?? "").split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
