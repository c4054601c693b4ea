/** Where no socket works: look at the record again and again, until one does. */
import { Problem, SignedOut, Unreachable } from "./problem.js";

const POLL_EVERY = 2000;
const POLL_BUSY_EVERY = 500;
const WAIT_SECONDS = 20;

export class Polling {
  #look;
  #onAnswer;
  /** @type {AbortController | null} */ #running = null;

  /**
   * @param {(wait: number, signal: AbortSignal) => Promise<boolean>} look true where it brought something
   * @param {(isAnswered: boolean, milliseconds: number) => void} onAnswer whether the server answers, and when it is asked again
   */
  constructor(look, onAnswer) {
    this.#look = look;
    this.#onAnswer = onAnswer;
  }

  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
  }

  /** Something else is followed now: a long wait for what was followed before ends. */
  again() {
    if (!this.#running) return;
    this.stop();
    this.start();
  }

  /** The first look does not wait, as it tells that the server is there. @param {AbortSignal} signal */
  async #run(signal) {
    for (let wait = 0; !signal.aborted;) {
      const began = performance.now();
      let pause = POLL_EVERY;
      try {
        const isBusy = await this.#look(wait, signal);
        pause = Math.max(0, (isBusy ? POLL_BUSY_EVERY : POLL_EVERY) - (performance.now() - began));
        wait = WAIT_SECONDS;
      } catch (error) {
        if (signal.aborted || error instanceof SignedOut) return;
        if (!(error instanceof Unreachable || error instanceof Problem)) throw error;
        wait = 0;
      }
      if (signal.aborted) return;
      this.#onAnswer(wait > 0, pause);
      await paused(pause, signal);
    }
  }
}

/** @param {number} milliseconds @param {AbortSignal} signal */
function paused(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    }, { once: true });
  });
}
