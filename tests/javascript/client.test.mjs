import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { LroClient, Problem, Sequencer, SignedOut, applyEvent, backoff, expiry, memoryTokens } from "../../lro/static/lro/client.js";

const ID = "0198f3c2-0000-7000-8000-000000000001";
const event = (sequence, kind = "progress", data = {}) => ({ operation: ID, sequence, kind, attempt: 1, time: "2026-01-01T00:00:00Z", data });
const operation = (changes = {}) => ({ id: ID, name: "uploads.import", state: "running", done: false, progress: { current: 0, percent: 0 }, rejected: 0, sequence: 3, links: { self: "/" }, ...changes });
const sequences = (events) => events.map((one) => one.sequence);
const jwt = (seconds) => `x.${Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + seconds })).toString("base64url")}.x`;

/** A socket whose other end is the test. */
class FakeSocket {
  static all = [];
  static get last() { return FakeSocket.all.at(-1); }
  readyState = 0;
  sent = [];
  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    FakeSocket.all.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  say(...frames) { for (const frame of frames) this.onmessage({ data: JSON.stringify(frame) }); }
  ready() {
    this.readyState = 1;
    this.say({ type: "ready", user: "ann", expires_at: null });
  }
  drop(code = 1006) {
    this.readyState = 3;
    this.onclose({ code });
  }
  subscriptions() { return this.sent.filter((frame) => frame.type === "subscribe"); }
}

/** Answers by path; what is not there cannot be reached. */
function fakeFetch(routes) {
  const calls = [];
  const fetch = async (url, options) => {
    const path = url.slice("http://localhost".length);
    calls.push({ path, ...options });
    const route = routes[path];
    if (route === undefined) throw new TypeError("fetch failed");
    const [status, body] = typeof route === "function" ? route(options) : [200, route];
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };
  return { fetch, calls };
}

const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve)); };

let client = null;
const make = (routes = {}, options = {}) => {
  const { fetch, calls } = fakeFetch(routes);
  client = new LroClient({ baseUrl: "http://localhost/", tokens: null, fetch, WebSocket: FakeSocket, random: () => 0, ...options });
  return { client, calls };
};

beforeEach(() => {
  FakeSocket.all = [];
  mock.timers.enable({ apis: ["setTimeout"] });
});
afterEach(() => {
  client?.close();
  mock.timers.reset();
});

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

test("the sequencer fills a gap from the record, where compacted events are missing", () => {
  const order = new Sequencer(1);
  order.offer(event(9));
  assert.deepEqual(sequences(order.fill([event(1), event(5), event(8)])), [5, 8, 9]);
  order.offer(event(12));
  assert.deepEqual(sequences(order.release()), [12]);
  assert.deepEqual(sequences(order.offer(event(11))), []);
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

test("a token's expiry is read from it", () => {
  assert.ok(Math.abs(expiry(jwt(60)) - Date.now() - 60000) < 1000);
  assert.equal(expiry("nonsense"), 0);
});

test("the token goes into the sub-protocols, never into the address", async () => {
  const access = jwt(300);
  make({}, { tokens: memoryTokens({ access, refresh: "r" }) }).client.connect();
  await settle();
  assert.equal(FakeSocket.last.url, "ws://localhost/ws/operations/");
  assert.deepEqual(FakeSocket.last.protocols, ["lro.v1", `bearer.${access}`]);
});

test("a session cookie needs no token", async () => {
  make().client.connect();
  await settle();
  assert.deepEqual(FakeSocket.last.protocols, ["lro.v1"]);
});

test("after a lost socket, it resumes from the last sequence and nothing comes twice", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 6 }) });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "caught_up", operation: ID }, { type: "event", event: event(4) }, { type: "event", event: event(5) });
  FakeSocket.last.drop(1012);
  assert.equal(client.connection.state, "reconnecting");
  mock.timers.tick(250);
  await settle();
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.last.ready();
  assert.deepEqual(FakeSocket.last.subscriptions(), [{ type: "subscribe", operation: ID, after: 5 }]);
  FakeSocket.last.say({ type: "event", event: event(5) }, { type: "event", event: event(6) }, { type: "caught_up", operation: ID });
  await settle();
  assert.deepEqual(seen, [4, 5, 6]);
  assert.equal(client.connection.state, "live");
});

test("a gap is read from the record, in order", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 7 }), [`/operations/${ID}/events/?after=3`]: { results: [event(4), event(5), event(6), event(7)], next_after: null } });
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "caught_up", operation: ID }, { type: "event", event: event(7) });
  await settle();
  assert.deepEqual(seen, [4, 5, 6, 7]);
});

test("the whole log comes in pages, then live", async () => {
  const seen = [];
  make({
    [`/operations/${ID}`]: operation(),
    [`/operations/${ID}/events/?after=0`]: { results: [event(1), event(2)], next_after: 2 },
    [`/operations/${ID}/events/?after=2`]: { results: [event(3)], next_after: null },
  });
  client.follow(ID, { after: 0, onEvent: (one) => seen.push(one.sequence) });
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, { type: "caught_up", operation: ID }, { type: "event", event: event(4) });
  await settle();
  assert.deepEqual(seen, [1, 2, 3, 4]);
});

test("after three failed sockets it polls, and stops when a socket works", async () => {
  let percent = 10;
  const states = [];
  make({ [`/operations/${ID}`]: () => [200, operation({ sequence: 3 + percent, progress: { percent } })] });
  client.follow(ID, { operation: operation(), onState: (one) => states.push(one.progress.percent) });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await settle();
    FakeSocket.last.drop();
    if (attempt < 2) mock.timers.tick(300);
  }
  mock.timers.tick(1);
  await settle();
  assert.equal(client.connection.state, "polling");
  assert.equal(states.at(-1), 10);
  percent = 20;
  mock.timers.tick(2000);
  await settle();
  assert.equal(states.at(-1), 20);
  FakeSocket.last.ready();
  assert.equal(client.connection.state, "live");
});

test("a refused token is renewed at once", async () => {
  const tokens = memoryTokens({ access: jwt(300), refresh: "old" });
  const next = jwt(400);
  const { calls } = make({ "/auth/token/refresh/": { access: next, refresh: "new" } }, { tokens });
  client.connect();
  await settle();
  FakeSocket.last.drop(4401);
  mock.timers.tick(0);
  await settle();
  assert.equal(calls.filter((call) => call.path === "/auth/token/refresh/").length, 1);
  assert.deepEqual(FakeSocket.last.protocols, ["lro.v1", `bearer.${next}`]);
  assert.equal(tokens.get().refresh, "new");
});

test("an expiring token is renewed over the open socket", async () => {
  const next = jwt(400);
  make({ "/auth/token/refresh/": { access: next, refresh: "new" } }, { tokens: memoryTokens({ access: jwt(300), refresh: "old" }) });
  client.connect();
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "token_expiring" });
  await settle();
  assert.deepEqual(FakeSocket.last.sent.at(-1), { type: "authenticate", token: next });
});

test("a refresh that is refused signs out", async () => {
  let signedOut = 0;
  const tokens = memoryTokens({ access: jwt(-1), refresh: "old" });
  make({ "/auth/token/refresh/": () => [401, { detail: "Token is blacklisted" }] }, { tokens, onSignedOut: () => { signedOut += 1; } });
  await assert.rejects(client.list(), SignedOut);
  assert.equal(signedOut, 1);
  assert.equal(tokens.get(), null);
});

test("many calls at once share one refresh", async () => {
  const { calls } = make({ "/auth/token/refresh/": { access: jwt(300), refresh: "new" }, "/operations/": { results: [] } }, { tokens: memoryTokens({ access: jwt(1), refresh: "old" }) });
  await Promise.all([client.list(), client.list(), client.list()]);
  assert.equal(calls.filter((call) => call.path === "/auth/token/refresh/").length, 1);
});

test("a problem keeps its code and its errors", async () => {
  make({ [`/operations/${ID}/cancel`]: () => [409, { code: "not_allowed_now", detail: "It is done.", errors: [{ message: "x" }] }] });
  await assert.rejects(client.cancel(ID), (error) => error instanceof Problem && error.code === "not_allowed_now" && error.message === "It is done." && error.errors.length === 1);
});

test("a new operation of mine arrives by its events", async () => {
  const seen = [];
  make();
  client.followMine({ onOperation: (one) => seen.push([one.state, one.sequence]) });
  await settle();
  FakeSocket.last.ready();
  assert.deepEqual(FakeSocket.last.subscriptions(), [{ type: "subscribe", mine: true }]);
  FakeSocket.last.say({ type: "caught_up", mine: true }, { type: "event", event: event(1, "created", { state: "queued" }), operation: operation({ sequence: 1, state: "queued" }) });
  assert.deepEqual(seen, [["queued", 1]]);
});

test("an operation that ended while nobody listened is read again", async () => {
  const seen = [];
  make({ [`/operations/${ID}`]: operation({ sequence: 9, state: "succeeded", done: true }) });
  client.followMine({ onOperation: (one) => seen.push(one.state) });
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "snapshot", operation: operation() }, { type: "caught_up", mine: true });
  FakeSocket.last.drop();
  mock.timers.tick(300);
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say({ type: "caught_up", mine: true });
  await settle();
  assert.equal(seen.at(-1), "succeeded");
});

test("a silent socket is given up after an unanswered ping", async () => {
  make();
  client.connect();
  await settle();
  FakeSocket.last.ready();
  mock.timers.tick(15000);
  assert.equal(FakeSocket.last.sent.at(-1).type, "ping");
  mock.timers.tick(10000);
  assert.equal(client.connection.state, "reconnecting");
});
