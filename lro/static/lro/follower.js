/**
 * One who follows one operation: told each event once and in order, whatever comes twice, late or never.
 * @typedef {import("./types.js").Follow} Follow
 * @typedef {import("./types.js").Operation} Operation
 * @typedef {import("./types.js").OperationEvent} OperationEvent
 */
import { SignedOut, isGone, isPassing } from "./problem.js";
import { Sequencer, backoff } from "./sequence.js";

/** Calls what a page handed in; its mistake is reported, and stops nobody else. @param {() => void} call */
export function told(call) {
  try {
    call();
  } catch (error) {
    if (globalThis.reportError) globalThis.reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}

export class Follower {
  #read;
  #gone;
  #isFilling = false;
  #isUnread;
  #isClosed = false;
  /** @type {any} */ #timer = null;
  /** @type {(() => void) | null} */ #wake = null;

  /**
   * @param {Follow} options
   * @param {(after: number) => Promise<import("./types.js").EventPage>} read a page of the record
   * @param {(problem: import("./problem.js").Problem) => void} gone
   */
  constructor(options, read, gone) {
    this.options = options;
    this.#read = read;
    this.#gone = gone;
    this.#isUnread = options.after !== undefined;
    this.order = new Sequencer(options.after ?? options.operation?.sequence ?? null);
  }

  /** A state that was read. @param {Operation} operation */
  learn(operation) {
    told(() => this.options.onSnapshot?.(operation));
    told(() => this.options.onState?.(operation));
    this.expect(operation.sequence);
  }

  /** @param {number} sequence */
  expect(sequence) {
    this.order.expect(sequence);
    void this.heal();
  }

  /** @param {OperationEvent} event */
  hear(event) {
    if (!this.options.onEvent) return;
    this.#deliver(this.order.offer(event));
    void this.heal();
  }

  /** @param {OperationEvent[]} events */
  #deliver(events) {
    for (const event of events) if (!this.#isClosed) told(() => this.options.onEvent?.(event));
  }

  /** Reads from the record what is missing, page by page, until nothing is. */
  async heal() {
    if (this.#isFilling || !this.options.onEvent) return;
    this.#isFilling = true;
    for (let failures = 0; !this.#isClosed && (this.#isUnread || this.order.gap);) {
      try {
        await this.#readPage();
        failures = 0;
      } catch (error) {
        if (isGone(error)) this.#gone(error);
        if (!isPassing(error)) {
          this.#isFilling = false;
          if (isGone(error) || error instanceof SignedOut) return;
          throw error;
        }
        await this.#pause(backoff(failures));
        failures += 1;
      }
    }
    this.#isFilling = false;
  }

  async #readPage() {
    const known = this.order.newest;
    const page = await this.#read(this.order.last ?? 0);
    const more = page.next_after ?? null;
    if (more === null) this.#isUnread = false;
    this.#deliver(this.order.fill(page.results, more ?? Math.max(known, page.results.at(-1)?.sequence ?? 0)));
  }

  /** @param {number} milliseconds */
  #pause(milliseconds) {
    return new Promise((resolve) => {
      this.#wake = () => resolve(undefined);
      this.#timer = setTimeout(this.#wake, milliseconds);
    });
  }

  /** The server is back: a wait for the record ends. */
  hurry() {
    clearTimeout(this.#timer);
    this.#wake?.();
  }

  close() {
    this.#isClosed = true;
    this.hurry();
  }
}
