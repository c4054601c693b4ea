import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { FakeSocket, ID, OTHER, caughtUp, connectedTo, event, live, operation, page, settle } from "./fakes.mjs";

const RECORD = `/operations/${ID}/events/?after=`;

let client = null;
const make = (routes) => {
  const made = connectedTo(routes);
  client = made.client;
  return made;
};
const ready = async () => {
  await settle();
  FakeSocket.last.ready();
};
const reconnect = async (code) => {
  FakeSocket.last.drop(code);
  mock.timers.tick(250);
  await ready();
};

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => {
  client?.close();
  mock.timers.reset();
});

test("after a lost socket, it resumes from the last sequence and nothing comes twice", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 6 }) });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(4), live(5));
  await reconnect(1012);
  assert.deepEqual(FakeSocket.last.subscriptions(), [{ type: "subscribe", operation: ID, after: 5 }]);
  FakeSocket.last.say(live(5), live(6), caughtUp);
  await settle();
  assert.deepEqual(seen, [4, 5, 6]);
  assert.equal(client.connection.state, "live");
});

test("a gap is read from the record, in order", async () => {
  const seen = [];
  make({ [`${RECORD}3`]: page(4, 5, 6, 7) });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(7));
  await settle();
  assert.deepEqual(seen, [4, 5, 6, 7]);
});

test("what the record has no more is not asked for again and again", async () => {
  const seen = [];
  const { paths } = make({ [`${RECORD}3`]: page(5) });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation({ sequence: 8 }) }, caughtUp);
  await settle();
  FakeSocket.last.say(live(9));
  await settle();
  assert.deepEqual(seen, [5, 9]);
  assert.deepEqual(paths(), [`${RECORD}3`]);
});

test("merged progress is no gap: one event stands for all, and says so", async () => {
  const seen = [];
  const { calls } = make();
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push([one.sequence, one.merged]) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(9, 5), live(10));
  await settle();
  assert.deepEqual(seen, [[9, 5], [10, undefined]]);
  assert.equal(calls.length, 0);
});

test("who was too slow reads what was not sent, page by page, before anything newer", async () => {
  const seen = [];
  const states = [];
  make({ [`${RECORD}3`]: { ...page(4, 5, 6), next_after: 6 }, [`${RECORD}6`]: page(7, 8), [`/operations/${ID}`]: operation({ sequence: 9 }) });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence), onState: (one) => states.push(one.sequence) });
  await ready();
  FakeSocket.last.say(caughtUp, { type: "gap", operation: ID, after: 3, sequence: 8 }, { type: "snapshot", operation: operation({ sequence: 8 }) }, live(9));
  assert.deepEqual(seen, []);
  assert.deepEqual(states, [3, 8, 9]);
  await settle();
  assert.deepEqual(seen, [4, 5, 6, 7, 8, 9]);
});

test("a gap alone is enough to read, and so is a snapshot alone", async () => {
  for (const frame of [{ type: "gap", operation: ID, after: 3, sequence: 5 }, { type: "snapshot", operation: operation({ sequence: 5 }) }]) {
    const seen = [];
    make({ [`${RECORD}3`]: page(4, 5) }).client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
    await ready();
    FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, frame);
    await settle();
    assert.deepEqual(seen, [4, 5]);
    client.close();
  }
});

test("the whole log comes in pages, then live", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation(), [`${RECORD}0`]: { ...page(1, 2), next_after: 2 }, [`${RECORD}2`]: page(3) });
  client.follow(ID, { after: 0, onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(4));
  await settle();
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test("a record that cannot be read now is read later, and newer events wait for it", async () => {
  const seen = [];
  const routes = { [`/operations/${ID}`]: operation() };
  make(routes).client.follow(ID, { after: 0, onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(4));
  await settle();
  assert.deepEqual(seen, []);
  routes[`${RECORD}0`] = page(1, 2, 3, 4);
  mock.timers.tick(10000);
  await settle();
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test("two who follow one operation from different places each get their own", async () => {
  const early = [];
  const late = [];
  make({ [`/operations/${ID}`]: operation(), [`${RECORD}1`]: page(2, 3, 4) });
  client.follow(ID, { operation: operation(), onEvent: (one) => late.push(one.sequence) });
  client.follow(ID, { after: 1, onEvent: (one) => early.push(one.sequence) });
  await ready();
  assert.equal(FakeSocket.last.subscriptions().length, 1);
  FakeSocket.last.say(caughtUp, live(4));
  await settle();
  assert.deepEqual(early, [2, 3, 4]);
  assert.deepEqual(late, [4]);
});

test("who throws in a callback stops neither the others nor itself", async (context) => {
  const seen = [];
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  context.after(() => { delete globalThis.reportError; });
  make().client.follow(ID, { operation: operation(), onEvent: (one) => { throw new Error(`no ${one.sequence}`); } });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, live(4), live(5));
  assert.deepEqual(seen, [4, 5]);
  assert.deepEqual(reported, ["no 4", "no 5"]);
});

test("who leaves in a callback hears nothing more", async () => {
  const seen = [];
  make({ [`${RECORD}3`]: page(4, 5, 6), [`/operations/${ID}`]: operation({ sequence: 6 }) });
  const following = client.follow(ID, { operation: operation(), onEvent: (one) => {
    seen.push(one.sequence);
    following.close();
  } });
  await ready();
  FakeSocket.last.say(caughtUp, live(6));
  await settle();
  assert.deepEqual(seen, [4]);
  assert.deepEqual(FakeSocket.last.sent.at(-1), { type: "unsubscribe", operation: ID });
});

// What is not there, or no more

test("who may not see it any more is told so, and nothing follows", async () => {
  const seen = [];
  const gone = [];
  make().client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence), onGone: (problem) => gone.push([problem.status, problem.code, problem.message]) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, caughtUp, { type: "unsubscribed", operation: ID, code: "not_found", message: "It was deleted." }, live(4));
  await settle();
  assert.deepEqual(gone, [[404, "not_found", "It was deleted."]]);
  assert.deepEqual(seen, []);
  await reconnect();
  assert.deepEqual(FakeSocket.last.subscriptions(), []);
});

test("a subscription that is refused reaches only whom it concerns", async () => {
  const gone = [];
  make().client.follow(ID, { onGone: (problem) => gone.push([ID, problem.code]) });
  client.follow(OTHER, { onGone: (problem) => gone.push([OTHER, problem.status]) });
  await ready();
  FakeSocket.last.say({ type: "refused", code: "bad_frame", message: "no" }, { type: "refused", operation: ID, request_id: 1, code: "not_allowed_now", message: "no" });
  assert.deepEqual(gone, []);
  FakeSocket.last.say({ type: "refused", operation: OTHER, code: "too_many_subscriptions", message: "no" });
  assert.deepEqual(gone, [[OTHER, 429]]);
});

test("the answer to one's own unsubscribing means nothing", async () => {
  const gone = [];
  make().client.follow(ID, { operation: operation() }).close();
  client.follow(ID, { operation: operation(), onGone: () => gone.push(ID) });
  await ready();
  FakeSocket.last.say({ type: "unsubscribed", operation: ID });
  assert.deepEqual(gone, []);
});

test("a record that is not there means that the operation is gone", async () => {
  const gone = [];
  make({ [`${RECORD}0`]: () => [404, { code: "not_found" }] }).client.follow(ID, { after: 0, onEvent: () => {}, onGone: (problem) => gone.push(problem.code) });
  await settle();
  assert.deepEqual(gone, ["not_found"]);
});

// States

test("what is known already is shown to who comes later", async () => {
  const seen = [];
  make().client.follow(ID, { operation: operation({ sequence: 5 }) });
  client.follow(ID, { onSnapshot: (one) => seen.push(one.sequence), onState: (one) => seen.push(one.sequence) });
  client.follow(ID, { operation: operation(), onSnapshot: (one) => seen.push(one.sequence) });
  assert.deepEqual(seen, [5, 5, 5]);
});

test("a state that was missed is read again", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 9, state: "paused" }) });
  client.follow(ID, { operation: operation(), onState: (one) => seen.push(one.state) });
  await ready();
  FakeSocket.last.say(caughtUp);
  await settle();
  assert.equal(seen.at(-1), "paused");
});

test("a new operation of mine arrives by its events", async () => {
  const seen = [];
  make().client.followMine({ onOperation: (one) => seen.push([one.state, one.sequence]) });
  await ready();
  assert.deepEqual(FakeSocket.last.subscriptions(), [{ type: "subscribe", mine: true }]);
  FakeSocket.last.say({ type: "caught_up", mine: true }, { type: "event", event: event(1, "created", { state: "queued" }), operation: operation({ sequence: 1, state: "queued" }) });
  assert.deepEqual(seen, [["queued", 1]]);
});

test("an operation that ended while nobody listened is read again", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 9, state: "succeeded", done: true }) });
  client.followMine({ onOperation: (one) => seen.push(one.state) });
  await ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, { type: "caught_up", mine: true });
  await reconnect();
  FakeSocket.last.say({ type: "caught_up", mine: true });
  await settle();
  assert.equal(seen.at(-1), "succeeded");
});

test("what is no longer followed is unsubscribed, once", async () => {
  make();
  const mine = client.followMine({});
  const all = client.followAll({});
  await ready();
  mine.close();
  mine.close();
  all.close();
  const said = FakeSocket.last.sent.filter((frame) => frame.type === "unsubscribe");
  assert.deepEqual(said, [{ type: "unsubscribe", mine: true }, { type: "unsubscribe", all: true }]);
});

test("a logout forgets what was followed", async () => {
  const seen = [];
  make().client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await ready();
  client.logout();
  client.connect();
  await ready();
  FakeSocket.last.say(live(4));
  assert.deepEqual(FakeSocket.last.subscriptions(), []);
  assert.deepEqual(seen, []);
});
