/**
 * Any schedule of repeats, lost frames, lost sockets, merged progress, gaps and slow reads of the record:
 * each follower's log is the table of events from where it began.
 */
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FakeSocket, ID, connectedTo, event, operation, settle } from "./fakes.mjs";

const SCHEDULES = Number(process.env.SCHEDULES ?? 2000);
const PAGE = 4;

/** Mulberry32: small, and the same numbers for the same seed everywhere. @param {number} seed */
function generator(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { next, below, chance: (part) => next() < part, pick: (list) => list[below(list.length)] };
}

/** The server: the table of events, a record that is read in pages at some later time, and one socket's cursor. */
class World {
  table = [];
  reads = [];
  followers = [];
  cursor = 0;
  isSubscribed = false;

  constructor(random) {
    this.random = random;
    this.commit(1 + random.below(6));
    const made = connectedTo(new Proxy({}, { get: (_, path) => () => this.read(path) }));
    this.client = made.client;
  }

  get state() {
    return operation({ sequence: this.table.length });
  }

  commit(count) {
    for (let number = 0; number < count; number += 1) this.table.push(event(this.table.length + 1, this.random.chance(0.7) ? "progress" : "log"));
  }

  /** An answer may be as old as its question or as new as its delivery, and it may fail. */
  read(path) {
    const early = this.random.chance(0.3) ? this.answer(path) : null;
    return new Promise((resolve) => {
      this.reads.push(() => resolve(this.random.chance(0.1) ? [503, {}] : [200, early ?? this.answer(path)]));
    });
  }

  answer(path) {
    const after = /events\/\?after=(\d+)/.exec(path)?.[1];
    if (after === undefined) return this.state;
    const rest = this.table.slice(Number(after));
    return { results: rest.slice(0, PAGE), next_after: rest.length > PAGE ? rest[PAGE - 1].sequence : null };
  }

  follow() {
    const log = [];
    const follower = { log, after: this.random.chance(0.6) ? this.random.below(this.table.length + 1) : null, isKnown: this.random.chance(0.5) };
    const options = { onEvent: (one) => log.push(one) };
    if (follower.after !== null) options.after = follower.after;
    else if (follower.isKnown) {
      options.operation = this.state;
      follower.after = this.table.length;
    }
    this.followers.push(follower);
    follower.handle = this.client.follow(ID, options);
  }

  // The socket

  say(frame) {
    const socket = FakeSocket.last;
    if (!this.isSubscribed || this.random.chance(0.1)) return; // lost on the way
    socket.say(frame);
    if (this.random.chance(0.1)) socket.say(frame);
  }

  sendOne() {
    const next = this.table[this.cursor];
    if (!next) return;
    let merged = 0;
    if (this.random.chance(0.3)) while (merged < 5 && this.table[this.cursor + merged].kind === "progress" && this.table[this.cursor + merged + 1]?.kind === "progress") merged += 1;
    this.cursor += merged + 1;
    this.say({ type: "event", event: this.table[this.cursor - 1], ...(merged ? { merged } : {}) });
  }

  gap() {
    this.say({ type: "gap", operation: ID, after: this.cursor, sequence: this.table.length });
    this.cursor = this.table.length;
    this.say({ type: "snapshot", operation: this.state });
  }

  /** Events that are sent once more, from any place. */
  repeat() {
    this.cursor = Math.min(this.cursor, this.random.below(this.table.length + 1));
  }

  async connect() {
    for (let tries = 0; tries < 10 && !(FakeSocket.last?.readyState === 0); tries += 1) {
      mock.timers.tick(6000);
      await settle(3);
    }
    FakeSocket.last.ready();
    this.hearSubscriptions();
  }

  hearSubscriptions() {
    const socket = FakeSocket.last;
    const asked = socket?.subscriptions().at(-1);
    this.isSubscribed = socket?.readyState === 1 && Boolean(asked);
    if (!this.isSubscribed || socket.answered === asked) return;
    socket.answered = asked;
    this.cursor = asked.after ?? this.table.length;
    if (asked.after === undefined) socket.say({ type: "snapshot", operation: this.state });
    if (this.random.chance(0.5)) while (this.cursor < this.table.length) this.sendOne();
    socket.say({ type: "caught_up", operation: ID });
  }

  drop() {
    if (FakeSocket.last?.readyState === 1) FakeSocket.last.drop(this.random.pick([1006, 1012]));
    this.isSubscribed = false;
  }

  async step() {
    const { random } = this;
    const kind = random.below(12);
    if (kind < 3) this.commit(1 + random.below(4));
    else if (kind < 7) for (let count = random.below(4); count >= 0; count -= 1) this.sendOne();
    else if (kind === 7 && this.reads.length) this.reads.splice(random.below(this.reads.length), 1)[0]();
    else if (kind === 8) this.drop();
    else if (kind === 9) await this.connect();
    else if (kind === 10) random.pick([() => this.gap(), () => this.repeat()])();
    else if (kind === 11 && this.followers.length < 3) this.follow();
    this.hearSubscriptions();
    if (random.chance(0.5)) await settle(2);
  }

  /** At the end everything works: one more connection, and each read is answered. */
  async rest() {
    this.random.chance = () => false;
    this.drop();
    await this.connect();
    for (let quiet = 0; quiet < 3; quiet = this.reads.length ? 0 : quiet + 1) {
      while (this.cursor < this.table.length) this.sendOne();
      for (const answer of this.reads.splice(0)) answer();
      await settle(3);
      mock.timers.tick(5000);
      FakeSocket.last.say({ type: "pong" });
    }
  }
}

/** Each event once and in order, and none missing but progress that a later one stands for. */
function assertIsTable(log, table, after) {
  let last = after ?? (log.length ? log[0].sequence - 1 - (log[0].merged ?? 0) : table.length);
  for (const one of log) {
    const first = one.sequence - (one.merged ?? 0);
    assert.ok(one.sequence > last && first <= last + 1, `${one.sequence} (merged ${one.merged ?? 0}) after ${last}`);
    for (const hidden of table.slice(last, one.sequence - 1)) assert.equal(hidden.kind, "progress");
    assert.equal(one.kind, table[one.sequence - 1].kind);
    last = one.sequence;
  }
  assert.equal(last, table.length);
}

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => mock.timers.reset());

test(`${SCHEDULES} schedules lose no event, double none, and keep the order`, async () => {
  let events = 0;
  for (let seed = 1; seed <= SCHEDULES; seed += 1) {
    const world = new World(generator(seed));
    world.follow();
    for (let steps = 5 + world.random.below(25); steps > 0; steps -= 1) await world.step();
    await world.rest();
    for (const { log, after } of world.followers) {
      events += log.length;
      try {
        assertIsTable(log, world.table, after);
      } catch (error) {
        error.message = `Seed ${seed}, follower after ${after}, log ${log.map((one) => one.sequence)} of ${world.table.length}: ${error.message}`;
        throw error;
      }
    }
    world.client.close();
  }
  assert.ok(events > SCHEDULES, `${events} events were delivered`);
});
