/**
 * One multiplexed socket: opened, authenticated, kept alive, and opened again; without one, polling.
 * @typedef {import("./types.js").ConnectionState} ConnectionState
 */
import { Polling } from "./polling.js";
import { SignedOut } from "./problem.js";
import { REFRESH_AHEAD } from "./rest.js";
import { backoff } from "./sequence.js";

const FAILURES_BEFORE_POLLING = 3;
const PING_EVERY = 15000;
const SILENCE = 10000;
const HANDSHAKE = 8000;
const RENEW_AGAIN = 3000;
const PATIENCE = 30000;
const RESTART_SPREAD = 2000;

const RESTARTING = 1012;
const NOT_AUTHENTICATED = 4401;
const FORBIDDEN_ORIGIN = 4403;
const NO_AUTHENTICATION = 4408;
const TOO_MUCH = 4429;

export class Connection {
  #rest;
  #Socket;
  #random;
  #following;
  #polling;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {Set<(state: ConnectionState) => void>} */ #watchers = new Set();
  /** @type {ConnectionState} */ #state = { state: "idle", retryAt: null };
  /** @type {any} */ #retryTimer = null;
  /** @type {any} */ #pingTimer = null;
  /** @type {any} */ #deadline = null;
  /** @type {any} */ #expiryTimer = null;
  #isWanted = false;
  #isPatient = false;
  #failures = 0;
  #rejections = 0;

  /** @param {{rest: import("./rest.js").Rest, following: import("./following.js").Following, Socket: any, random: () => number}} parts */
  constructor({ rest, following, Socket, random }) {
    this.#rest = rest;
    this.#following = following;
    this.#Socket = Socket;
    this.#random = random;
    this.#polling = new Polling((wait, signal) => following.poll(wait, signal), (isAnswered, pause) => this.#polled(isAnswered, pause));
  }

  // What others ask

  get state() {
    return this.#state;
  }

  /** @param {(state: ConnectionState) => void} watcher @returns {() => void} */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#state);
    return () => this.#watchers.delete(watcher);
  }

  connect() {
    if (this.#isWanted || !this.#rest.signedIn) return;
    this.#isWanted = true;
    globalThis.addEventListener?.("online", this.hurry);
    globalThis.document?.addEventListener("visibilitychange", this.hurry);
    void this.#open();
  }

  close() {
    this.#isWanted = this.#isPatient = false;
    globalThis.removeEventListener?.("online", this.hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.hurry);
    this.#clearTimers();
    this.#polling.stop();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#failures = this.#rejections = 0;
    this.#report("idle");
  }

  /** The network is back, or somebody looks: a wait ends, and a socket that may have died in the meantime is asked. */
  hurry = () => {
    if (globalThis.document?.hidden || this.#isPatient) return;
    if (this.#state.state === "live") this.#ping();
    if (!this.#retryTimer) return;
    this.#clearTimers();
    void this.#open();
  };

  /** Says it if the server is there; what is followed is said again when it comes back. @param {any} frame */
  say(frame) {
    if (this.#state.state === "live" && this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
    else if (frame.type === "subscribe") this.#polling.again();
  }

  // Opening

  async #open() {
    if (!this.#isWanted || this.#socket) return;
    if (this.#state.state !== "polling") this.#report(this.#failures ? "reconnecting" : "connecting");
    let token = "";
    try {
      token = await this.#rest.accessToken({ force: this.#rejections > 0 });
    } catch (error) {
      if (!(error instanceof SignedOut)) this.#lost();
      return;
    }
    if (!this.#isWanted || this.#socket) return;
    const address = new URL("/ws/operations/", this.#rest.base);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.#listen(new this.#Socket(address.href, token ? ["lro.v1", `bearer.${token}`] : ["lro.v1"]));
  }

  /** @param {WebSocket} socket */
  #listen(socket) {
    this.#socket = socket;
    this.#expect(HANDSHAKE);
    socket.onmessage = (message) => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#deadline);
      this.#receive(JSON.parse(message.data));
    };
    socket.onclose = (close) => {
      if (socket === this.#socket) this.#lost(close.code);
    };
  }

  /** @param {any} frame */
  #receive(frame) {
    if (frame.type === "ready") this.#ready(frame.expires_at);
    else if (frame.type === "token_expiring") void this.#renew();
    else this.#following.receive(frame);
  }

  /** Also after the token was renewed. @param {string | null} expiresAt */
  #ready(expiresAt) {
    this.#rejections = this.#failures = 0;
    this.#scheduleRenewal(expiresAt);
    if (this.#state.state === "live") return;
    this.#polling.stop();
    this.#report("live");
    this.#following.resume();
    this.#schedulePing();
  }

  // Staying

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

  #schedulePing() {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      this.#ping();
      this.#schedulePing();
    }, PING_EVERY);
  }

  #ping() {
    this.say({ type: "ping", sequences: this.#following.sequences });
    this.#expect(SILENCE);
  }

  /** @param {string | null} expiresAt */
  #scheduleRenewal(expiresAt) {
    clearTimeout(this.#expiryTimer);
    if (!expiresAt || !this.#rest.usesTokens) return;
    this.#expiryTimer = setTimeout(() => void this.#renew(), Math.max(1000, Date.parse(expiresAt) - Date.now() - REFRESH_AHEAD));
  }

  async #renew() {
    try {
      this.say({ type: "authenticate", token: await this.#rest.accessToken({ force: true }) });
    } catch (error) {
      if (error instanceof SignedOut) return;
      clearTimeout(this.#expiryTimer);
      this.#expiryTimer = setTimeout(() => void this.#renew(), RENEW_AGAIN);
    }
  }

  // Losing

  /** @param {number} [code] */
  #lost(code = 1006) {
    this.#socket = null;
    this.#clearTimers();
    if (!this.#isWanted) return;
    if (code === NOT_AUTHENTICATED || code === NO_AUTHENTICATION) this.#rejections += 1;
    const wait = this.#delay(code);
    this.#failures += 1;
    this.#isPatient = wait >= PATIENCE;
    if (wait < Infinity) this.#retryTimer = setTimeout(() => this.#retry(), wait);
    if (this.#state.state !== "polling") this.#report("reconnecting", wait < Infinity ? Date.now() + wait : null);
    if (this.#failures >= FAILURES_BEFORE_POLLING || this.#isPatient) this.#polling.start();
  }

  #retry() {
    this.#retryTimer = null;
    this.#isPatient = false;
    void this.#open();
  }

  /** How long to wait before the next socket. @param {number} code */
  #delay(code) {
    const patient = PATIENCE * (1 + this.#random());
    switch (code) {
      case FORBIDDEN_ORIGIN: return Infinity; // this page will never be allowed
      case TOO_MUCH: return patient;
      case NOT_AUTHENTICATED:
      case NO_AUTHENTICATION: return this.#rejections === 1 && this.#rest.usesTokens ? 0 : patient; // at once with a new token, once
      case RESTARTING: return backoff(this.#failures, this.#random) + this.#random() * RESTART_SPREAD; // everybody comes back now
      default: return backoff(this.#failures, this.#random);
    }
  }

  /** @param {boolean} isAnswered @param {number} pause */
  #polled(isAnswered, pause) {
    if (!isAnswered) {
      this.#report("reconnecting", Date.now() + pause);
    } else if (this.#state.state !== "polling") {
      this.#report("polling");
      this.hurry();
    }
  }

  #clearTimers() {
    for (const timer of [this.#retryTimer, this.#pingTimer, this.#deadline, this.#expiryTimer]) clearTimeout(timer);
    this.#retryTimer = null;
  }

  /** @param {ConnectionState["state"]} state @param {number | null} [retryAt] */
  #report(state, retryAt = null) {
    if (state === this.#state.state && retryAt === this.#state.retryAt) return;
    this.#state = { state, retryAt };
    for (const watcher of this.#watchers) watcher(this.#state);
  }
}
