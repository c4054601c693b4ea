/**
 * The pure half of following: order, gaps, the state after an event, and how long to wait.
 * @typedef {import("./types.js").Operation} Operation
 * @typedef {import("./types.js").OperationEvent} OperationEvent
 */

/**
 * Milliseconds to wait before the next try: from 0.2 s, doubling up to 5 s, spread at random.
 * @param {number} failures @param {() => number} [random]
 */
export function backoff(failures, random = Math.random) {
  const ceiling = Math.min(5000, 400 * 2 ** Math.max(0, failures));
  return Math.round(200 + random() * (ceiling - 200));
}

/** The first sequence that an event stands for. @param {OperationEvent} event */
const first = (event) => event.sequence - (event.merged ?? 0);

/** Orders the events of one operation by sequence, drops repeats and notices gaps. */
export class Sequencer {
  /** @type {Map<number, OperationEvent>} */ #early = new Map();
  #newest = 0;

  /** @param {number | null} [last] the last sequence that was delivered; null: begin with what comes first */
  constructor(last = null) {
    this.last = last;
  }

  /** The newest sequence that is known to exist. */
  get newest() {
    return Math.max(this.#newest, this.last ?? 0);
  }

  /** More is known to exist than was delivered. */
  get gap() {
    return this.last !== null && this.#newest > this.last;
  }

  /** The operation has got as far as this. @param {number} sequence */
  expect(sequence) {
    this.last ??= sequence;
    this.#newest = Math.max(this.#newest, sequence);
  }

  /** A live event: answers what can be delivered now. @param {OperationEvent} event @returns {OperationEvent[]} */
  offer(event) {
    this.last ??= first(event) - 1;
    this.#newest = Math.max(this.#newest, event.sequence);
    if (event.sequence <= this.last) return [];
    this.#early.set(event.sequence, event);
    return first(event) <= this.last + 1 ? this.#connected() : [];
  }

  /**
   * A page of the record: all that there is after `last`, up to `complete`; what it lacks in between exists no more.
   * @param {OperationEvent[]} events @param {number} complete @returns {OperationEvent[]}
   */
  fill(events, complete) {
    const last = this.last ?? 0;
    for (const event of events) if (event.sequence > last) this.#early.set(event.sequence, event);
    const ready = this.#sorted().filter((event) => event.sequence <= complete);
    this.#pass(Math.max(last, complete));
    return [...ready, ...this.#connected()];
  }

  #connected() {
    const ready = [];
    for (const event of this.#sorted()) {
      if (first(event) > (this.last ?? 0) + 1) continue;
      this.last = event.sequence;
      ready.push(event);
    }
    this.#pass(this.last ?? 0);
    return ready;
  }

  #sorted() {
    return [...this.#early.values()].sort((one, other) => one.sequence - other.sequence);
  }

  /** @param {number} sequence */
  #pass(sequence) {
    this.last = sequence;
    for (const early of this.#early.keys()) if (early <= sequence) this.#early.delete(early);
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
