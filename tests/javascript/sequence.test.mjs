import assert from "node:assert/strict";
import { test } from "node:test";
import { Sequencer, applyEvent, backoff } from "../../lro/static/lro/client.js";
import { event, operation, sequences } from "./fakes.mjs";

const merged = (sequence, count) => ({ ...event(sequence), merged: count });

test("back-off starts at 0.2 s, grows, and stays within 5 s", () => {
  assert.equal(backoff(0, () => 0), 200);
  assert.equal(backoff(0, () => 1), 400);
  assert.equal(backoff(3, () => 1), 3200);
  assert.equal(backoff(50, () => 1), 5000);
  assert.equal(backoff(50, () => 0), 200);
});

test("the sequencer orders, drops repeats and holds back what is early", () => {
  const order = new Sequencer(3);
  assert.deepEqual(sequences(order.offer(event(4))), [4]);
  assert.deepEqual(sequences(order.offer(event(4))), []);
  assert.deepEqual(sequences(order.offer(event(6))), []);
  assert.equal(order.gap, true);
  assert.deepEqual(sequences(order.offer(event(5))), [5, 6]);
  assert.equal(order.gap, false);
});

test("a merged event leaves no gap, whatever of it came before", () => {
  const order = new Sequencer(3);
  assert.deepEqual(sequences(order.offer(merged(9, 5))), [9]);
  assert.equal(order.gap, false);
  assert.deepEqual(sequences(order.offer(event(7))), []);
  assert.deepEqual(sequences(order.offer(merged(11, 4))), [11]);
  assert.equal(order.gap, false);
});

test("a merged event that stands for too little waits for the rest", () => {
  const order = new Sequencer(3);
  assert.deepEqual(sequences(order.offer(merged(9, 2))), []);
  assert.equal(order.gap, true);
  assert.deepEqual(sequences(order.offer(event(8))), []);
  assert.deepEqual(sequences(order.offer(merged(6, 2))), [6, 9]);
  assert.equal(order.gap, false);
});

test("what is known to exist and did not come is a gap", () => {
  const order = new Sequencer(3);
  order.expect(5);
  assert.equal(order.gap, true);
  order.offer(event(4));
  order.offer(event(5));
  assert.equal(order.gap, false);
});

test("a follower who did not say where begins with what comes first", () => {
  const order = new Sequencer();
  assert.equal(order.gap, false);
  order.expect(7);
  assert.deepEqual(sequences(order.offer(event(7))), []);
  assert.deepEqual(sequences(order.offer(event(8))), [8]);
  assert.deepEqual(sequences(new Sequencer().offer(merged(8, 4))), [8]);
});

test("a page of the record fills a gap, where compacted events are missing", () => {
  const order = new Sequencer(1);
  order.offer(event(9));
  assert.deepEqual(sequences(order.fill([event(1), event(5), event(8)], 9)), [5, 8, 9]);
  order.offer(event(12));
  assert.deepEqual(sequences(order.fill([], 12)), [12]);
  assert.deepEqual(sequences(order.offer(event(11))), []);
  assert.equal(order.gap, false);
});

test("a page of the record proves nothing about what came after it was asked for", () => {
  const order = new Sequencer(1);
  order.offer(event(9));
  assert.deepEqual(sequences(order.fill([event(2), event(3)], 3)), [2, 3]);
  assert.equal(order.gap, true);
});

test("an event changes the operation once, and never by what is older", () => {
  const before = operation();
  assert.equal(applyEvent(before, event(3, "progress", { percent: 1 })), before);
  const after = applyEvent(before, event(4, "progress", { percent: 50, rejected: 7 }));
  assert.equal(after.progress.percent, 50);
  assert.equal(after.rejected, 7);
  assert.equal(applyEvent(before, event(4, "succeeded", { state: "succeeded" })).done, true);
});

test("an operation that was read before the event does not undo it", () => {
  const stale = operation({ sequence: 3, state: "running" });
  assert.equal(applyEvent(operation(), event(4, "succeeded", { state: "succeeded" }), stale).state, "succeeded");
  const whole = operation({ sequence: 4, state: "succeeded", result: { rows: 1 } });
  assert.deepEqual(applyEvent(operation(), event(4, "succeeded", { state: "succeeded" }), whole).result, { rows: 1 });
});
