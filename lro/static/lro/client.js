/**
 * The public client: REST verbs and one multiplexed socket. Followers get each event once and in order,
 * across lost connections, restarted servers and expired tokens; without a socket the client polls.
 *
 * ```js
 * const client = new LroClient({ tokens: memoryTokens() });
 * await client.login("demo", password);
 * const operation = await client.start("calculations.collatz", { below: 1000000 });
 * client.follow(operation.id, { operation, onState: show, onEvent: append });
 * ```
 *
 * @typedef {import("./types.js").Progress} Progress
 * @typedef {import("./types.js").Operation} Operation
 * @typedef {import("./types.js").OperationEvent} OperationEvent
 * @typedef {import("./types.js").Tokens} Tokens
 * @typedef {import("./types.js").TokenStore} TokenStore
 * @typedef {import("./types.js").ConnectionState} ConnectionState
 * @typedef {import("./types.js").Listener} Listener
 * @typedef {import("./types.js").Follow} Follow
 */
import { Connection } from "./connection.js";
import { Following } from "./following.js";
import { Rest, operationPath } from "./rest.js";

export { Problem, SignedOut, Unreachable } from "./problem.js";
export { Sequencer, applyEvent, backoff } from "./sequence.js";
export { expiry, memoryTokens, storedTokens } from "./tokens.js";

export class LroClient {
  #rest;
  #following;
  #connection;

  /**
   * @param {object} options
   * @param {string} [options.baseUrl] where the server is; without it, where the page came from
   * @param {TokenStore | Tokens | null} [options.tokens] null: the same-origin session cookie
   * @param {() => void} [options.onSignedOut] the server takes our tokens no more
   * @param {typeof fetch} [options.fetch]
   * @param {any} [options.WebSocket]
   * @param {() => number} [options.random]
   */
  constructor({ baseUrl = "", tokens = null, onSignedOut, fetch = globalThis.fetch, WebSocket = globalThis.WebSocket, random = Math.random } = {}) {
    this.onSignedOut = onSignedOut;
    this.#rest = new Rest({ baseUrl, tokens, fetch, onSignedOut: () => this.#signedOut() });
    this.#following = new Following(this.#rest, (frame) => this.#connection.say(frame));
    this.#connection = new Connection({ rest: this.#rest, following: this.#following, Socket: WebSocket, random });
  }

  // Signing in

  get signedIn() { return this.#rest.signedIn; }
  get username() { return this.#rest.username; }

  /** @param {string} username @param {string} password */
  login(username, password) { return this.#rest.login(username, password); }

  logout() {
    this.close();
    this.#following.clear();
    this.#rest.forget();
  }

  #signedOut() {
    this.logout();
    this.onSignedOut?.();
  }

  /** A token that lives long enough to be used. @param {{force?: boolean}} [options] */
  accessToken(options) { return this.#rest.accessToken(options); }

  // REST

  /** The address on our own server, whatever host a link names. @param {string} path */
  url(path) { return this.#rest.url(path); }

  /** @param {string} path @param {import("./rest.js").RequestOptions} [options] */
  request(path, options) { return this.#rest.request(path, options); }

  /** @param {string} path */
  read(path) { return this.#rest.read(path); }

  /**
   * Requests the work. A call that is made again with the same key and input answers with the same operation.
   * @param {string} name "module.operation" @param {any} input an object, or a FormData @param {{key?: string}} [options]
   * @returns {Promise<Operation>}
   */
  async start(name, input = {}, { key = crypto.randomUUID() } = {}) {
    const answer = await this.#rest.request(startPath(name), { method: "POST", headers: { "Idempotency-Key": key }, ...body(input) });
    return this.#following.learn(await answer.json());
  }

  /** The same checks as for `start`, and no operation; throws the same problem. @param {string} name @param {any} input */
  async validate(name, input = {}) {
    await this.#rest.request(`${startPath(name)}?validate_only=true`, { method: "POST", ...body(input) });
  }

  /** @param {string} id */
  async get(id) { return this.#following.learn(await this.#rest.operation(id)); }

  /** Newest first. @param {Record<string, any>} [filters] state, name, module, parent, root, tag, search, limit, … */
  list(filters) { return this.#rest.operations(filters); }

  /** A page of the record. @param {string} id @param {import("./types.js").EventQuery} [query] */
  events(id, query) { return this.#rest.events(id, query); }

  /** @param {string} id */
  rejects(id) { return this.read(`${operationPath(id)}/rejects/`); }
  /** @param {string} id */
  artifacts(id) { return this.read(`${operationPath(id)}/artifacts/`); }
  /** @param {string} id */
  children(id) { return this.read(`${operationPath(id)}/children/`); }

  /** @param {string} id */
  cancel(id) { return this.#act(id, "cancel"); }
  /** @param {string} id */
  pause(id) { return this.#act(id, "pause"); }
  /** @param {string} id */
  resume(id) { return this.#act(id, "resume"); }
  /** @param {string} id @param {"checkpoint" | "start"} [from] */
  retry(id, from = "checkpoint") { return this.#act(id, "retry", { from }); }
  /** @param {string} id */
  async delete(id) { await this.#rest.request(operationPath(id), { method: "DELETE" }); }

  /** @param {string} id @param {string} verb @param {any} [json] */
  async #act(id, verb, json = {}) {
    const answer = await this.#rest.request(`${operationPath(id)}/${verb}`, { method: "POST", json });
    return this.#following.learn(await answer.json());
  }

  // Following

  /** One operation. @param {string} id @param {Follow} options */
  follow(id, options) { return this.#connected(this.#following.follow(id, options)); }
  /** The caller's operations in one subscription. @param {Listener} listener */
  followMine(listener) { return this.#connected(this.#following.followMany("mine", listener)); }
  /** Every operation, for staff. @param {Listener} listener */
  followAll(listener) { return this.#connected(this.#following.followMany("all", listener)); }

  /** @template Something @param {Something} something */
  #connected(something) {
    this.connect();
    return something;
  }

  /** @returns {ConnectionState} */
  get connection() { return this.#connection.state; }
  /** @param {(connection: ConnectionState) => void} watcher @returns {() => void} */
  watchConnection(watcher) { return this.#connection.watch(watcher); }
  connect() { this.#connection.connect(); }
  /** What is followed stays so: `connect` goes on. */
  close() { this.#connection.close(); }
  /** Ends a wait for the next socket. */
  hurry() { this.#connection.hurry(); }
}

/** @param {string} name */
function startPath(name) {
  const [module, ...rest] = name.split(".");
  return `/${encodeURIComponent(module)}/${rest.map(encodeURIComponent).join("/")}`;
}

/** @param {any} input */
const body = (input) => (globalThis.FormData && input instanceof FormData ? { body: input } : { json: input });
