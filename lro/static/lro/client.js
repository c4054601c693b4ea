/**
 * The public client: REST verbs and one multiplexed socket. Followers get each event once and in order,
 * across lost connections, restarted servers and expired tokens; without a socket the client polls.
 *
 * @typedef {object} Progress
 * @property {number | null} current
 * @property {number | null} total
 * @property {string} unit
 * @property {number | null} percent
 * @property {string} [step]
 * @property {string} [message]
 * @property {number | null} [rate]
 * @property {number | null} [eta_seconds]
 *
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} name
 * @property {string} state
 * @property {boolean} done
 * @property {Progress} progress
 * @property {any} result
 * @property {{code: string, message: string, details?: any[], retryable?: boolean, attempt?: number, kind?: string, traceback?: string} | null} error
 * @property {number} rejected
 * @property {number} attempt
 * @property {number} max_attempts
 * @property {string | null} next_attempt_at
 * @property {string | null} parent_id
 * @property {{total: number, done: number, failed: number}} children
 * @property {string} owner
 * @property {Record<string, any>} input
 * @property {string[]} tags
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} finished_at
 * @property {number} sequence
 * @property {Record<string, string>} links
 *
 * @typedef {{operation: string, sequence: number, kind: string, attempt: number, time: string, data: any}} OperationEvent
 * @typedef {{access: string, refresh: string, username?: string}} Tokens
 * @typedef {{get(): Tokens | null, set(tokens: Tokens | null): void}} TokenStore
 * @typedef {{state: "idle" | "connecting" | "live" | "reconnecting" | "polling", retryAt: number | null}} Connection
 *
 * @typedef {{onOperation?: (operation: Operation, event: OperationEvent | null) => void, onCaughtUp?: () => void}} Listener
 *
 * @typedef {object} Follow
 * @property {number} [after] deliver the stored events after this sequence too; without it, only new ones
 * @property {Operation} [operation] what the caller knows already
 * @property {(operation: Operation) => void} [onSnapshot] the first known state, and each state read anew
 * @property {(operation: Operation) => void} [onState] each change of the operation
 * @property {(event: OperationEvent) => void} [onEvent] each event once, in order
 */

import { Sequencer, applyEvent, backoff } from "./sequence.js";

export { Sequencer, applyEvent, backoff };

const FAILURES_BEFORE_POLLING = 3;
const POLL_EVERY = 2000;
const PING_EVERY = 15000;
const SILENCE = 10000;
const HANDSHAKE = 8000;
const REFRESH_AHEAD = 30000;

/** An answer that is an error, in the words of RFC 9457. */
export class Problem extends Error {
  /** @param {number} status @param {any} body @param {string | null} [retryAfter] */
  constructor(status, body, retryAfter = null) {
    super(body?.detail || body?.title || `The server answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.code = String(body?.code ?? "");
    this.title = String(body?.title ?? "");
    /** @type {{field?: string, pointer?: string, message: string, code?: string}[]} */
    this.errors = Array.isArray(body?.errors) ? body.errors : [];
    this.retryAfter = retryAfter;
  }
}

/** The server could not be reached. */
export class Unreachable extends Error {
  /** @param {unknown} [cause] */
  constructor(cause) {
    super("The server cannot be reached.", { cause });
    this.name = "Unreachable";
  }
}

/** There is no token, or the server takes it no more. */
export class SignedOut extends Error {
  constructor() {
    super("Please sign in.");
    this.name = "SignedOut";
  }
}

/** When a JSON web token expires, in milliseconds, or 0. @param {string} token */
export function expiry(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return 1000 * (Number(JSON.parse(atob(payload)).exp) || 0);
  } catch {
    return 0;
  }
}

/** @param {string} key @param {Storage} storage @returns {TokenStore} */
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

/** @returns {TokenStore} */
export function memoryTokens(tokens = /** @type {Tokens | null} */ (null)) {
  return { get: () => tokens, set: (next) => { tokens = next; } };
}

class Channel {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    /** @type {Operation | null} */
    this.operation = null;
    /** @type {Set<Follower>} */
    this.followers = new Set();
    this.caughtUp = false;
    this.epoch = -1;
    this.readAt = 0;
    this.reading = false;
  }

  get sequence() {
    const waiting = [...this.followers].filter((follower) => follower.options.onEvent && follower.order.last !== null);
    if (waiting.length) return Math.min(...waiting.map((follower) => /** @type {number} */ (follower.order.last)));
    return this.operation?.sequence ?? null;
  }
}

class Follower {
  /** @param {Follow} options */
  constructor(options) {
    this.options = options;
    this.order = new Sequencer(options.after ?? options.operation?.sequence ?? null);
    this.filling = false;
    this.again = false;
  }

  /** @param {OperationEvent[]} events */
  deliver(events) {
    for (const event of events) this.options.onEvent?.(event);
  }
}

export class LroClient {
  #base;
  #tokens;
  #fetch;
  #Socket;
  #random;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Map<string, Channel>} */ #channels = new Map();
  /** @type {Map<"mine" | "all", Set<Listener>>} */ #many = new Map();
  /** @type {Set<(connection: Connection) => void>} */ #watchers = new Set();
  /** @type {Connection} */ #connection = { state: "idle", retryAt: null };
  /** @type {Promise<string> | null} */ #refreshing = null;
  /** @type {any} */ #retryTimer = null;
  /** @type {any} */ #pollTimer = null;
  /** @type {any} */ #pingTimer = null;
  /** @type {any} */ #deadline = null;
  /** @type {any} */ #expiryTimer = null;
  #failures = 0;
  #epoch = 0;
  #wanted = false;
  #rejections = 0;

  /**
   * @param {object} options
   * @param {string} [options.baseUrl]
   * @param {TokenStore | Tokens | null} [options.tokens] null: the same-origin session cookie
   * @param {() => void} [options.onSignedOut]
   * @param {typeof fetch} [options.fetch]
   * @param {any} [options.WebSocket]
   * @param {() => number} [options.random]
   */
  constructor({ baseUrl = "", tokens = null, onSignedOut, fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, random = Math.random } = {}) {
    this.#base = new URL(baseUrl || "/", globalThis.location?.href ?? "http://localhost/");
    this.#tokens = tokens === null ? null : "get" in tokens ? tokens : memoryTokens(tokens);
    this.#fetch = fetch.bind(globalThis);
    this.#Socket = WebSocket;
    this.#random = random;
    this.onSignedOut = onSignedOut;
  }

  // Signing in

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

  logout() {
    this.close();
    this.#channels.clear();
    this.#many.clear();
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
      if (!(error instanceof Problem) || error.status >= 500 || error.status === 429) throw error;
      this.#signedOut();
      throw new SignedOut();
    }
  }

  #signedOut() {
    this.logout();
    this.onSignedOut?.();
  }

  // REST

  /** The address on our own server, whatever host a link names. @param {string} path */
  url(path) {
    const target = new URL(path, this.#base);
    return this.#base.origin + target.pathname + target.search;
  }

  /**
   * @param {string} path
   * @param {{method?: string, json?: any, body?: any, headers?: Record<string, string>, anonymous?: boolean, signal?: AbortSignal}} [options]
   * @returns {Promise<Response>}
   */
  async request(path, options = {}) {
    try {
      return await this.#send(path, options);
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401 || this.#tokens === null) throw error;
      await this.accessToken({ force: true });
      return this.#send(path, options);
    }
  }

  /** @param {string} path @param {any} options @returns {Promise<Response>} */
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

  /** @param {string} path */
  async read(path) {
    return (await this.request(path)).json();
  }

  /** @param {string} name "module.operation" @param {any} input an object, or a FormData @param {{key?: string, validateOnly?: boolean}} [options] */
  async start(name, input, { key = crypto.randomUUID(), validateOnly = false } = {}) {
    const [module, ...rest] = name.split(".");
    const body = globalThis.FormData && input instanceof FormData ? { body: input } : { json: input ?? {} };
    const path = `/${module}/${rest.join("/")}${validateOnly ? "?validate_only=true" : ""}`;
    const answer = await this.request(path, { method: "POST", headers: { "Idempotency-Key": key }, ...body });
    return validateOnly ? null : this.#learn(await answer.json());
  }

  /** @param {string} id @returns {Promise<Operation>} */
  async get(id) {
    return this.#learn(await this.read(`/operations/${encodeURIComponent(id)}`));
  }

  /** @param {Record<string, any>} [filters] @returns {Promise<{results: Operation[], next: string | null, counts?: Record<string, number>}>} */
  async list(filters = {}) {
    const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== "" && value !== null && value !== undefined));
    return this.read(`/operations/${query.size ? `?${query}` : ""}`);
  }

  /** @param {string} id @param {{after?: number}} [options] @returns {Promise<{results: OperationEvent[], next_after: number | null}>} */
  events(id, { after = 0 } = {}) {
    return this.read(`/operations/${encodeURIComponent(id)}/events/?after=${after}`);
  }

  /** @param {string} id */
  rejects(id) {
    return this.read(`/operations/${encodeURIComponent(id)}/rejects/`);
  }

  /** @param {string} id */
  artifacts(id) {
    return this.read(`/operations/${encodeURIComponent(id)}/artifacts/`);
  }

  /** @param {string} id */
  cancel(id) { return this.#act(id, "cancel"); }
  /** @param {string} id */
  pause(id) { return this.#act(id, "pause"); }
  /** @param {string} id */
  resume(id) { return this.#act(id, "resume"); }
  /** @param {string} id @param {"checkpoint" | "start"} [from] */
  retry(id, from = "checkpoint") { return this.#act(id, "retry", { from }); }
  /** @param {string} id */
  async delete(id) { await this.request(`/operations/${encodeURIComponent(id)}`, { method: "DELETE" }); }

  /** @param {string} id @param {string} verb @param {any} [json] */
  async #act(id, verb, json = {}) {
    const answer = await this.request(`/operations/${encodeURIComponent(id)}/${verb}`, { method: "POST", json });
    return this.#learn(await answer.json());
  }

  // Following

  /** @param {string} id @param {Follow} options */
  follow(id, options) {
    const follower = new Follower(options);
    const channel = this.#channel(id);
    const first = channel.followers.size === 0;
    channel.followers.add(follower);
    if (options.operation) this.#learn(options.operation);
    else if (channel.operation) options.onSnapshot?.(channel.operation);
    follower.order.last ??= channel.operation?.sequence ?? null;
    if (first) {
      channel.caughtUp = false;
      this.#say({ type: "subscribe", operation: id });
    }
    if (options.onEvent && options.after !== undefined) void this.#fill(channel, follower);
    this.connect();
    return {
      close: () => {
        channel.followers.delete(follower);
        if (channel.followers.size) return;
        this.#say({ type: "unsubscribe", operation: id });
        if (!this.#many.size) this.#channels.delete(id);
      },
    };
  }

  /** The caller's operations in one subscription. @param {Listener} listener */
  followMine(listener) { return this.#followMany("mine", listener); }
  /** Every operation, for staff. @param {Listener} listener */
  followAll(listener) { return this.#followMany("all", listener); }

  /** @param {"mine" | "all"} kind @param {Listener} listener */
  #followMany(kind, listener) {
    const listeners = this.#many.get(kind) ?? new Set();
    this.#many.set(kind, listeners.add(listener));
    if (listeners.size === 1) this.#say({ type: "subscribe", [kind]: true });
    this.connect();
    return {
      close: () => {
        listeners.delete(listener);
        if (listeners.size) return;
        this.#many.delete(kind);
        this.#say({ type: "unsubscribe", [kind]: true });
        if (this.#many.size) return;
        for (const [id, channel] of this.#channels) if (!channel.followers.size) this.#channels.delete(id);
      },
    };
  }

  #listeners() {
    return [...this.#many.values()].flatMap((listeners) => [...listeners]);
  }

  /** @param {string} id */
  #channel(id) {
    let channel = this.#channels.get(id);
    if (!channel) this.#channels.set(id, (channel = new Channel(id)));
    return channel;
  }

  /** A state that was read: by REST, or as a snapshot. @param {Operation} operation */
  #learn(operation) {
    const channel = this.#channels.get(operation.id) ?? (this.#many.size ? this.#channel(operation.id) : null);
    if (!channel) return operation;
    channel.epoch = this.#epoch;
    channel.readAt = Date.now();
    if (channel.operation && operation.sequence < channel.operation.sequence) return channel.operation;
    channel.operation = operation;
    for (const follower of channel.followers) {
      follower.options.onSnapshot?.(operation);
      follower.options.onState?.(operation);
      if (follower.order.last === null) follower.order.last = operation.sequence;
      else if (follower.options.onEvent && operation.sequence > follower.order.last && channel.caughtUp) void this.#fill(channel, follower);
    }
    for (const listener of this.#listeners()) listener.onOperation?.(operation, null);
    return operation;
  }

  /** @param {OperationEvent} event @param {Operation | null} whole */
  #event(event, whole) {
    const channel = this.#channels.get(event.operation) ?? (this.#many.size ? this.#channel(event.operation) : null);
    if (!channel) return;
    const before = channel.operation;
    const skipped = before !== null && event.sequence > before.sequence + 1;
    channel.operation = before ? applyEvent(before, event, whole) : whole;
    if (channel.operation && channel.operation !== before) {
      for (const follower of channel.followers) follower.options.onState?.(channel.operation);
      for (const listener of this.#listeners()) listener.onOperation?.(channel.operation, event);
    }
    const current = whole !== null && whole.sequence >= event.sequence;
    const moved = !channel.operation || channel.operation.state !== before?.state || (event.kind !== "progress" && "state" in (event.data ?? {}));
    if (!current && (moved || skipped)) this.#reread(channel, moved ? 0 : 2000);
    for (const follower of channel.followers) {
      if (!follower.options.onEvent) continue;
      follower.deliver(follower.order.offer(event));
      if (follower.order.gap) void this.#fill(channel, follower);
    }
  }

  /** Reads the operation anew, at most once in `every` milliseconds. @param {Channel} channel @param {number} every */
  #reread(channel, every) {
    if (channel.reading || Date.now() - channel.readAt < every) return;
    channel.reading = true;
    this.get(channel.id).catch(() => {}).finally(() => { channel.reading = false; });
  }

  /** Reads from the record what a follower lacks. @param {Channel} channel @param {Follower} follower */
  async #fill(channel, follower) {
    if (follower.filling) {
      follower.again = true;
      return;
    }
    follower.filling = true;
    try {
      let more = true;
      while (more && channel.followers.has(follower)) {
        follower.again = false;
        const newest = Math.max(0, ...follower.order.early.keys());
        const page = await this.events(channel.id, { after: follower.order.last ?? 0 });
        if (!channel.followers.has(follower)) return;
        follower.deliver(follower.order.fill(page.results));
        more = page.next_after !== null && page.next_after !== undefined;
        if (!more && newest >= Math.max(0, ...follower.order.early.keys())) follower.deliver(follower.order.release());
        more ||= follower.again && follower.order.gap;
      }
    } catch (error) {
      if (!(error instanceof Unreachable || error instanceof Problem || error instanceof SignedOut)) throw error;
    } finally {
      follower.filling = false;
    }
  }

  // The socket

  get connection() {
    return this.#connection;
  }

  /** @param {(connection: Connection) => void} watcher @returns {() => void} */
  watchConnection(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#connection);
    return () => this.#watchers.delete(watcher);
  }

  connect() {
    if (this.#wanted || !this.signedIn) return;
    this.#wanted = true;
    globalThis.addEventListener?.("online", this.hurry);
    globalThis.document?.addEventListener("visibilitychange", this.hurry);
    void this.#open();
  }

  close() {
    this.#wanted = false;
    globalThis.removeEventListener?.("online", this.hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.hurry);
    for (const timer of [this.#retryTimer, this.#pollTimer, this.#pingTimer, this.#deadline, this.#expiryTimer]) clearTimeout(timer);
    this.#retryTimer = this.#pollTimer = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#failures = 0;
    this.#report("idle");
  }

  /** Tries again at once where a wait is running: the network is back, or somebody looks. */
  hurry = () => {
    if (!this.#retryTimer || globalThis.document?.hidden) return;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    void this.#open();
  };

  /** @param {Connection["state"]} state @param {number | null} [retryAt] */
  #report(state, retryAt = null) {
    if (state === this.#connection.state && retryAt === this.#connection.retryAt) return;
    this.#connection = { state, retryAt };
    for (const watcher of this.#watchers) watcher(this.#connection);
  }

  /** @param {any} frame */
  #say(frame) {
    if (this.#connection.state === "live" && this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }

  async #open() {
    if (!this.#wanted || this.#socket) return;
    if (this.#connection.state !== "polling") this.#report(this.#failures ? "reconnecting" : "connecting");
    let token = "";
    try {
      token = await this.accessToken({ force: this.#rejections === 1 });
    } catch (error) {
      if (!(error instanceof SignedOut)) this.#lost();
      return;
    }
    if (!this.#wanted || this.#socket) return;
    const address = new URL("/ws/operations/", this.#base);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new this.#Socket(address.href, token ? ["lro.v1", `bearer.${token}`] : ["lro.v1"]);
    this.#socket = socket;
    this.#expect(HANDSHAKE);
    socket.onmessage = (/** @type {MessageEvent} */ message) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#deadline);
      this.#frame(JSON.parse(message.data));
    };
    socket.onclose = (/** @type {CloseEvent} */ close) => {
      if (socket !== this.#socket) return;
      if (close.code === 4401) this.#rejections += 1;
      this.#lost();
    };
  }

  /** Gives the server some time to say anything. @param {number} milliseconds */
  #expect(milliseconds) {
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#deadline = setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#lost();
      socket?.close();
    }, milliseconds);
  }

  #lost() {
    this.#socket = null;
    for (const timer of [this.#pingTimer, this.#deadline, this.#expiryTimer, this.#retryTimer]) clearTimeout(timer);
    if (!this.#wanted) return;
    for (const channel of this.#channels.values()) channel.caughtUp = false;
    const wait = this.#rejections === 1 ? 0 : backoff(this.#failures, this.#random);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = null;
      void this.#open();
    }, wait);
    if (this.#connection.state !== "polling") this.#report("reconnecting", Date.now() + wait);
    if (this.#failures >= FAILURES_BEFORE_POLLING && !this.#pollTimer) this.#pollTimer = setTimeout(() => this.#poll(), 0);
  }

  /** @param {any} frame */
  #frame(frame) {
    switch (frame.type) {
      case "ready": return this.#ready(frame);
      case "snapshot": return void this.#learn(frame.operation);
      case "event": return this.#event(frame.event, frame.operation ?? frame.event.data?.operation ?? null);
      case "caught_up": return this.#caughtUp(frame);
      case "acknowledged": return void (frame.operation?.id && this.#learn(frame.operation));
      case "token_expiring": return void this.#renew();
      default: return undefined;
    }
  }

  /** @param {any} frame */
  #ready(frame) {
    this.#rejections = 0;
    this.#scheduleRenewal(frame.expires_at);
    if (this.#connection.state === "live") return;
    this.#failures = 0;
    this.#epoch += 1;
    clearTimeout(this.#pollTimer);
    this.#pollTimer = null;
    this.#report("live");
    for (const kind of this.#many.keys()) this.#say({ type: "subscribe", [kind]: true });
    for (const channel of this.#channels.values()) {
      if (!channel.followers.size) continue;
      const after = channel.sequence;
      this.#say({ type: "subscribe", operation: channel.id, ...(after === null ? {} : { after }) });
    }
    this.#schedulePing();
  }

  #schedulePing() {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      const behind = [...this.#channels.values()].filter((channel) => channel.sequence !== null && !channel.operation?.done);
      this.#say({ type: "ping", sequences: Object.fromEntries(behind.map((channel) => [channel.id, channel.sequence])) });
      this.#expect(SILENCE);
      this.#schedulePing();
    }, PING_EVERY);
  }

  /** @param {string | null | undefined} expiresAt */
  #scheduleRenewal(expiresAt) {
    clearTimeout(this.#expiryTimer);
    if (!expiresAt || this.#tokens === null) return;
    this.#expiryTimer = setTimeout(() => void this.#renew(), Math.max(1000, Date.parse(expiresAt) - Date.now() - REFRESH_AHEAD));
  }

  async #renew() {
    try {
      this.#say({ type: "authenticate", token: await this.accessToken({ force: true }) });
    } catch (error) {
      if (error instanceof SignedOut) return;
      clearTimeout(this.#expiryTimer);
      this.#expiryTimer = setTimeout(() => void this.#renew(), 3000);
    }
  }

  /** @param {any} frame */
  #caughtUp(frame) {
    const kind = frame.mine ? "mine" : frame.all ? "all" : null;
    if (kind) {
      for (const channel of this.#channels.values()) {
        if (channel.epoch !== this.#epoch && channel.operation && !channel.operation.done) this.#reread(channel, 0);
        if (channel.operation?.done && !channel.followers.size) this.#channels.delete(channel.id);
      }
      for (const listener of this.#many.get(kind) ?? []) listener.onCaughtUp?.();
      return;
    }
    const channel = this.#channels.get(typeof frame.operation === "object" ? frame.operation?.id : frame.operation);
    if (!channel) return;
    channel.caughtUp = true;
    if (channel.epoch !== this.#epoch) this.#reread(channel, 0);
    for (const follower of channel.followers) {
      const last = follower.order.last;
      if (follower.options.onEvent && (follower.order.gap || (last !== null && channel.operation && channel.operation.sequence > last))) void this.#fill(channel, follower);
    }
  }

  // Without a socket

  async #poll() {
    try {
      const seen = new Set();
      if (this.#many.size) {
        for (const operation of (await this.list()).results) {
          seen.add(operation.id);
          this.#learn(operation);
        }
      }
      const open = [...this.#channels.values()].filter((channel) => !seen.has(channel.id) && !channel.operation?.done);
      if (!this.#many.size && !open.length) await this.list();
      for (const channel of open.slice(0, 20)) await this.get(channel.id).catch((error) => { if (!(error instanceof Problem)) throw error; });
      for (const channel of this.#channels.values()) {
        for (const follower of channel.followers) {
          if (follower.options.onEvent && (channel.operation?.sequence ?? 0) > (follower.order.last ?? 0)) void this.#fill(channel, follower);
        }
      }
      if (this.#pollTimer && this.#connection.state !== "polling") {
        this.#report("polling");
        this.hurry();
      }
    } catch (error) {
      if (error instanceof SignedOut) return;
      if (this.#pollTimer) this.#report("reconnecting", Date.now() + POLL_EVERY);
    }
    if (this.#pollTimer) this.#pollTimer = setTimeout(() => this.#poll(), POLL_EVERY);
  }
}

/** @param {string} name */
function cookie(name) {
  const found = (globalThis.document?.cookie ?? "").split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
