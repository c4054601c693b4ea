import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { memoryTokens } from "../../lro/static/lro/client.js";
import { FakeSocket, ID, caughtUp, connectedTo, jwt, live, operation, page, settle } from "./fakes.mjs";

let client = null;
const make = (...parts) => {
  const made = connectedTo(...parts);
  client = made.client;
  return made;
};
const pass = async (milliseconds) => {
  mock.timers.tick(milliseconds);
  await settle();
};

beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
afterEach(() => {
  client?.close();
  mock.timers.reset();
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

test("whoever is signed out opens no socket", async () => {
  make({}, { tokens: memoryTokens() }).client.connect();
  await settle();
  assert.equal(FakeSocket.all.length, 0);
});

test("when the server restarts, all come back at different times", async () => {
  for (const [random, milliseconds] of [[0, 200], [0.5, 1300], [1, 2400]]) {
    make({}, { random: () => random }).client.connect();
    await settle();
    FakeSocket.last.ready();
    FakeSocket.last.drop(1012);
    assert.equal(client.connection.state, "reconnecting");
    await pass(milliseconds - 1);
    assert.equal(FakeSocket.all.length, 1);
    await pass(1);
    assert.equal(FakeSocket.all.length, 2);
    client.close();
  }
});

test("a refused token is renewed at once", async () => {
  const tokens = memoryTokens({ access: jwt(300), refresh: "old" });
  const next = jwt(400);
  const { paths } = make({ "/auth/token/refresh/": { access: next, refresh: "new" } }, { tokens });
  client.connect();
  await settle();
  FakeSocket.last.drop(4401);
  await pass(0);
  assert.equal(paths().filter((path) => path === "/auth/token/refresh/").length, 1);
  assert.deepEqual(FakeSocket.last.protocols, ["lro.v1", `bearer.${next}`]);
  assert.equal(tokens.get().refresh, "new");
});

test("a token that is refused though it is new is not renewed again and again", async () => {
  make({ "/auth/token/refresh/": { access: jwt(400), refresh: "new" } }, { tokens: memoryTokens({ access: jwt(300), refresh: "old" }) });
  client.connect();
  await settle();
  FakeSocket.last.drop(4401);
  await pass(0);
  FakeSocket.last.drop(4401);
  await pass(29000);
  assert.equal(FakeSocket.all.length, 2);
  await pass(1000);
  assert.equal(FakeSocket.all.length, 3);
});

test("a session that has ended is not asked for at once", async () => {
  make().client.connect();
  await settle();
  FakeSocket.last.drop(4401);
  await pass(5000);
  assert.equal(FakeSocket.all.length, 1);
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
  FakeSocket.last.ready();
  assert.equal(FakeSocket.all.length, 1);
});

test("an origin that is forbidden is not tried again, and the page polls", async () => {
  make({ "/operations/?limit=1": { results: [] } }).client.connect();
  await settle();
  FakeSocket.last.drop(4403);
  await settle();
  assert.equal(client.connection.state, "polling");
  for (let minute = 0; minute < 3; minute += 1) await pass(60000);
  client.hurry();
  await settle();
  assert.equal(FakeSocket.all.length, 1);
});

test("who said too much stays away for half a minute, though somebody looks", async () => {
  make({ "/operations/?limit=1": { results: [] } }).client.connect();
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.drop(4429);
  await pass(20000);
  client.hurry();
  await settle();
  assert.equal(FakeSocket.all.length, 1);
  await pass(10000);
  assert.equal(FakeSocket.all.length, 2);
});

test("a silent socket is given up after an unanswered ping", async () => {
  make().client.connect();
  await settle();
  FakeSocket.last.ready();
  mock.timers.tick(15000);
  assert.equal(FakeSocket.last.sent.at(-1).type, "ping");
  mock.timers.tick(10000);
  assert.equal(client.connection.state, "reconnecting");
});

test("a ping says how far each running operation is known", async () => {
  make().client.follow(ID, { operation: operation(), onEvent: () => {} });
  await settle();
  FakeSocket.last.ready();
  FakeSocket.last.say(caughtUp, live(4));
  client.hurry();
  assert.deepEqual(FakeSocket.last.sent.at(-1), { type: "ping", sequences: { [ID]: 4 } });
});

test("a socket that never opens is given up", async () => {
  make().client.connect();
  await settle();
  await pass(8000);
  await pass(200);
  assert.equal(FakeSocket.all.length, 2);
});

// Polling

const failThrice = async () => {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    await settle();
    FakeSocket.last.drop();
    if (attempt < 2) mock.timers.tick(300);
  }
  await settle();
};

test("after three failed sockets it polls, and stops when a socket works", async () => {
  const routes = { [`/operations/${ID}`]: operation({ sequence: 3 }), [`/operations/${ID}/events/?after=3`]: page(4) };
  const { paths } = make(routes);
  const seen = [];
  client.follow(ID, { operation: operation(), onEvent: (one) => seen.push(one.sequence) });
  await failThrice();
  assert.equal(client.connection.state, "polling");
  assert.deepEqual(seen, [4]);
  routes[`/operations/${ID}/events/?after=4&wait=20`] = page(5, 6);
  await pass(2000);
  assert.deepEqual(seen, [4, 5, 6]);
  FakeSocket.last.ready();
  assert.equal(client.connection.state, "live");
  const before = paths().length;
  await pass(5000);
  assert.equal(paths().length, before);
});

test("one operation is waited for by the server; answers that bring nothing are two seconds apart", async () => {
  const { paths } = make({ [`/operations/${ID}/events/?after=3`]: page(), [`/operations/${ID}/events/?after=3&wait=20`]: page() });
  client.follow(ID, { operation: operation(), onEvent: () => {} });
  await failThrice();
  const polls = () => paths().filter((path) => path.endsWith("wait=20")).length;
  for (let second = 0; second < 10; second += 1) await pass(1000);
  assert.ok(polls() >= 4 && polls() <= 5, `${polls()} polls in ten seconds`);
});

test("several operations are looked at in turn, and nobody waits for one of them", async () => {
  const ids = Array.from({ length: 30 }, (_, index) => `operation-${index}`);
  const { paths } = make(Object.fromEntries(ids.map((id) => [`/operations/${id}/events/?after=3`, page()])));
  for (const id of ids) client.follow(id, { operation: operation({ id }), onState: () => {} });
  await failThrice();
  await pass(2000);
  await pass(2000);
  assert.equal(new Set(paths()).size, 30);
});

test("what is followed anew while a long poll waits is read at once", async () => {
  const other = operation({ id: "other" });
  const { paths } = make({
    [`/operations/${ID}/events/?after=3`]: page(),
    [`/operations/${ID}/events/?after=3&wait=20`]: ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))),
    "/operations/other": other,
  });
  client.follow(ID, { operation: operation() });
  await failThrice();
  await pass(2000);
  assert.equal(paths().at(-1), `/operations/${ID}/events/?after=3&wait=20`);
  const seen = [];
  client.follow("other", { onState: (one) => seen.push(one.id) });
  await settle();
  assert.deepEqual(seen, ["other"]);
});

test("a server that is away altogether is asked again", async () => {
  const routes = {};
  make(routes).client.follow(ID, { onState: () => {} });
  await failThrice();
  assert.equal(client.connection.state, "reconnecting");
  routes[`/operations/${ID}`] = operation();
  await pass(2000);
  assert.equal(client.connection.state, "polling");
});
