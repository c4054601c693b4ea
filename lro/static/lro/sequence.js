/**
 * The pure half of following: order, gaps, the state after an event, and how long to wait.
 * @typedef {import("./client.js").Operation} Operation
 * @typedef {import("./client.js").OperationEvent} OperationEvent
 */

/**
 * Milliseconds to wait before the next socket: from 0.2 s, doubling up to 5 s, spread at random.
 * @param {number} failures @param {() => number} [random]
 */
export function backoff(failures, random = Math.random) {
  const ceiling = Math.min(5000, 400 * 2 ** Math.max(0, failures));
  return Math.round(200 + random() * (ceiling - 200));
}

/** Orders the events of one operation by sequence, drops repeats and notices gaps. */
export class Sequencer {
  /** @param {number | null} [last] the last sequence that was delivered */
  constructor(last = null) {
    this.last = last;
    /** @type {Map<number, OperationEvent>} */
    this.early = new Map();
  }

  get gap() {
    return this.early.size > 0;
  }

  /** A live event: answers what can be delivered now. @param {OperationEvent} event @returns {OperationEvent[]} */
  offer(event) {
    this.last ??= event.sequence - 1;
    if (event.sequence > this.last) this.early.set(event.sequence, event);
    return this.#consecutive();
  }

  /** Stored events, whole and in order; compacted ones may be missing. @param {OperationEvent[]} events */
  fill(events) {
    const fresh = events.filter((event) => this.last === null || event.sequence > this.last);
    fresh.sort((one, other) => one.sequence - other.sequence);
    if (fresh.length) this.last = fresh[fresh.length - 1].sequence;
    for (const sequence of this.early.keys()) if (sequence <= (this.last ?? 0)) this.early.delete(sequence);
    return [...fresh, ...this.#consecutive()];
  }

  /** The record had nothing more before the early ones: what is missing no longer exists. */
  release() {
    const rest = [...this.early.values()].sort((one, other) => one.sequence - other.sequence);
    this.early.clear();
    if (rest.length) this.last = rest[rest.length - 1].sequence;
    return rest;
  }

  #consecutive() {
    const ready = [];
    for (let next = this.early.get((this.last ?? 0) + 1); next; next = this.early.get((this.last ?? 0) + 1)) {
      this.early.delete(next.sequence);
      this.last = next.sequence;
      ready.push(next);
    }
    return ready;
  }
}

/**
 * The operation after an event; the same object where the event is older than what is known.
 * `whole` is the operation as the server read it beside the event: taken where it is not older than the event.
 * @param {Operation} operation @param {OperationEvent} event @param {Operation | null} [whole] @returns {Operation}
 */
export function applyEvent(operation, event, whole = null) {
  if (event.sequence <= operation.sequence) return operation;
  if (whole && whole.sequence >= event.sequence) return { ...operation, ...whole };
  const data = event.data ?? {};
  const next = { ...operation, sequence: event.sequence };
  if (event.kind === "progress") {
    const { rejected, ...progress } = data;
    next.progress = { ...operation.progress, ...progress };
    if (Number.isFinite(rejected)) next.rejected = rejected;
    if (operation.state === "queued") next.state = "running";
  } else if (typeof data.state === "string") {
    next.state = data.state;
    next.done = ["succeeded", "failed", "cancelled", "expired"].includes(data.state);
    if (data.error) next.error = data.error;
  }
  return next;
}
