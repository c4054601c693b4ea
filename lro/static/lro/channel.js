/**
 * What is known of one operation, and who wants to know.
 * @typedef {import("./types.js").Operation} Operation
 * @typedef {import("./follower.js").Follower} Follower
 */
export class Channel {
  /** @type {Operation | null} */ operation = null;
  /** @type {Set<Follower>} */ followers = new Set();
  /** The connection in which its state was read last. */
  epoch = -1;
  readAt = 0;
  isReading = false;

  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }

  get isOpen() {
    return !this.operation?.done;
  }
}
