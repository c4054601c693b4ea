/**
 * Who follows what: each frame of the socket finds its operation, and each operation its followers.
 * @typedef {import("./types.js").Operation} Operation
 * @typedef {import("./types.js").OperationEvent} OperationEvent
 * @typedef {import("./types.js").Listener} Listener
 * @typedef {"mine" | "all"} Many
 */
import { Channel } from "./channel.js";
import { Follower, told } from "./follower.js";
import { Problem, isGone } from "./problem.js";
import { applyEvent } from "./sequence.js";

const REREAD_EVERY = 2000;
const LOOKED_AT_ONCE = 20;
/** @type {Record<string, number>} */
const STATUS = { not_found: 404, too_many_subscriptions: 429 };

export class Following {
  /** @type {Map<string, Channel>} */ #channels = new Map();
  /** @type {Map<Many, Set<Listener>>} */ #many = new Map();
  #rest;
  #say;
  #epoch = 0;
  #news = 0;

  /** @param {import("./rest.js").Rest} rest @param {(frame: any) => void} say to the server, if it is there */
  constructor(rest, say) {
    this.#rest = rest;
    this.#say = say;
  }

  // Beginning and ending

  /** @param {string} id @param {import("./types.js").Follow} options */
  follow(id, options) {
    const channel = this.#channel(id);
    const follower = new Follower(options, (after) => this.#rest.events(id, { after }), (problem) => this.#gone(id, problem));
    const isFirst = channel.followers.size === 0;
    channel.followers.add(follower);
    const known = options.operation ? this.learn(options.operation) : channel.operation;
    if (known && known !== options.operation) follower.learn(known);
    if (isFirst) this.#say({ type: "subscribe", operation: id });
    void follower.heal();
    return { close: () => this.#leave(channel, follower) };
  }

  /** @param {Channel} channel @param {Follower} follower */
  #leave(channel, follower) {
    follower.close();
    if (!channel.followers.delete(follower) || channel.followers.size) return;
    this.#say({ type: "unsubscribe", operation: channel.id });
    if (!this.#many.size) this.#channels.delete(channel.id);
  }

  /** @param {Many} kind @param {Listener} listener */
  followMany(kind, listener) {
    const listeners = this.#many.get(kind) ?? new Set();
    this.#many.set(kind, listeners.add(listener));
    if (listeners.size === 1) this.#say({ type: "subscribe", [kind]: true });
    return { close: () => this.#leaveMany(kind, listener) };
  }

  /** @param {Many} kind @param {Listener} listener */
  #leaveMany(kind, listener) {
    const listeners = this.#many.get(kind);
    if (!listeners?.delete(listener) || listeners.size) return;
    this.#many.delete(kind);
    this.#say({ type: "unsubscribe", [kind]: true });
    if (this.#many.size) return;
    for (const [id, channel] of this.#channels) if (!channel.followers.size) this.#channels.delete(id);
  }

  clear() {
    for (const channel of this.#channels.values()) for (const follower of channel.followers) follower.close();
    this.#channels.clear();
    this.#many.clear();
  }

  /** @param {string} id */
  #channel(id) {
    const channel = this.#channels.get(id) ?? new Channel(id);
    this.#channels.set(id, channel);
    return channel;
  }

  /** Where news of an operation goes; nowhere if nobody asked. @param {string} id */
  #wanted(id) {
    return this.#many.size ? this.#channel(id) : this.#channels.get(id);
  }

  /** @param {(listener: Listener) => void} tell */
  #tellMany(tell) {
    for (const listeners of this.#many.values()) for (const listener of listeners) told(() => tell(listener));
  }

  // What the socket says

  /** @param {any} frame */
  receive(frame) {
    switch (frame.type) {
      case "event": return this.#hear(frame.merged ? { ...frame.event, merged: frame.merged } : frame.event, frame.operation ?? null);
      case "snapshot": return void this.learn(frame.operation);
      case "gap": return this.#channels.get(frame.operation)?.followers.forEach((follower) => follower.expect(frame.sequence));
      case "caught_up": return frame.operation ? this.#caughtUp(frame.operation) : this.#caughtUpWith(frame.mine ? "mine" : "all");
      case "acknowledged": return void (frame.operation?.id && this.learn(frame.operation));
      case "unsubscribed":
      case "refused": return this.#refused(frame);
      default: return undefined;
    }
  }

  /** Of what we asked for ourselves there is no code, and of a verb a request. @param {any} frame */
  #refused({ code, message, operation, request_id: request }) {
    if (code && operation && !request) this.#gone(operation, new Problem(STATUS[code] ?? 400, { code, detail: message }));
  }

  /** A state that was read: by REST, or as a snapshot. @param {Operation} operation */
  learn(operation) {
    const channel = this.#wanted(operation.id);
    if (!channel) return operation;
    channel.epoch = this.#epoch;
    channel.readAt = Date.now();
    if (channel.operation && operation.sequence < channel.operation.sequence) return channel.operation;
    if (operation.sequence !== channel.operation?.sequence) this.#news += 1;
    channel.operation = operation;
    for (const follower of channel.followers) follower.learn(operation);
    this.#tellMany((listener) => listener.onOperation?.(operation, null));
    return operation;
  }

  /** @param {OperationEvent} event @param {Operation | null} whole as the server read it beside the event */
  #hear(event, whole) {
    const channel = this.#wanted(event.operation);
    if (!channel) return;
    const before = channel.operation;
    const after = before ? applyEvent(before, event, whole) : whole;
    channel.operation = after;
    if (after && after !== before) {
      this.#news += 1;
      for (const follower of channel.followers) told(() => follower.options.onState?.(after));
      this.#tellMany((listener) => listener.onOperation?.(after, event));
    }
    const isWhole = whole !== null && whole.sequence >= event.sequence;
    const isSkipping = before !== null && event.sequence - (event.merged ?? 0) > before.sequence + 1;
    const isMoved = !after || after.state !== before?.state || (event.kind !== "progress" && "state" in (event.data ?? {}));
    if (!isWhole && (isMoved || isSkipping)) this.#reread(channel, isMoved ? 0 : REREAD_EVERY);
    for (const follower of channel.followers) follower.hear(event);
  }

  /** It was deleted, or may be seen no more. @param {string} id @param {Problem} problem */
  #gone(id, problem) {
    const channel = this.#channels.get(id);
    this.#channels.delete(id);
    for (const follower of channel?.followers ?? []) {
      follower.close();
      told(() => follower.options.onGone?.(problem));
    }
    channel?.followers.clear();
  }

  /** @param {string} id */
  #caughtUp(id) {
    const channel = this.#channels.get(id);
    if (!channel) return;
    if (channel.epoch !== this.#epoch) this.#reread(channel, 0);
    for (const follower of channel.followers) follower.hurry();
  }

  /** @param {Many} kind */
  #caughtUpWith(kind) {
    for (const channel of this.#channels.values()) {
      if (channel.epoch !== this.#epoch && channel.operation && channel.isOpen) this.#reread(channel, 0);
      if (!channel.isOpen && !channel.followers.size) this.#channels.delete(channel.id);
    }
    for (const listener of this.#many.get(kind) ?? []) told(() => listener.onCaughtUp?.());
  }

  /** Reads the operation anew, at most once in `every` milliseconds. @param {Channel} channel @param {number} every */
  #reread(channel, every) {
    if (channel.isReading || Date.now() - channel.readAt < every) return;
    channel.isReading = true;
    this.#read(channel).catch(() => {}).finally(() => { channel.isReading = false; }); // what fails now is read at the next event or poll
  }

  /** @param {Channel} channel */
  async #read(channel) {
    try {
      this.learn(await this.#rest.operation(channel.id));
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#gone(channel.id, error);
    }
  }

  // What the connection asks

  /** A socket is open: ask again for all that is followed, each from where it was. */
  resume() {
    this.#epoch += 1;
    for (const kind of this.#many.keys()) this.#say({ type: "subscribe", [kind]: true });
    for (const channel of this.#channels.values()) {
      const after = channel.operation?.sequence; // whoever lacks what was before reads it from the record
      if (channel.followers.size) this.#say({ type: "subscribe", operation: channel.id, ...(after === undefined ? {} : { after }) });
    }
  }

  /** How far each operation is known that has not ended. @returns {Record<string, number>} */
  get sequences() {
    const known = [...this.#channels.values()].map((channel) => channel.operation).filter((operation) => operation !== null);
    return Object.fromEntries(known.filter((operation) => !operation.done).map((operation) => [operation.id, operation.sequence]));
  }

  /**
   * One look at the record in place of the socket. A single operation is waited for up to `wait` seconds.
   * @param {number} wait @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it brought something
   */
  async poll(wait, signal) {
    const news = this.#news;
    const listed = new Set();
    if (this.#many.size) for (const operation of (await this.#rest.operations()).results) listed.add(this.learn(operation).id);
    const open = [...this.#channels.values()].filter((channel) => !listed.has(channel.id) && channel.isOpen);
    if (!this.#many.size && !open.length) await this.#rest.operations({ limit: 1 });
    const isAlone = !this.#many.size && open.length === 1;
    open.sort((one, other) => one.readAt - other.readAt);
    for (const channel of open.slice(0, LOOKED_AT_ONCE)) await this.#look(channel, isAlone ? wait : 0, signal);
    return this.#news !== news;
  }

  /** @param {Channel} channel @param {number} wait @param {AbortSignal} signal */
  async #look(channel, wait, signal) {
    channel.readAt = Date.now();
    if (!channel.operation) return this.#read(channel);
    try {
      const page = await this.#rest.events(channel.id, { after: channel.operation.sequence, wait, signal });
      for (const event of page.results) this.#hear(event, null);
    } catch (error) {
      if (!isGone(error)) throw error;
      this.#gone(channel.id, error);
    }
    return undefined;
  }
}
