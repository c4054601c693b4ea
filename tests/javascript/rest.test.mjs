import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem, SignedOut, Unreachable, expiry, memoryTokens, storedTokens } from "../../lro/static/lro/client.js";
import { ID, connectedTo, jwt, operation } from "./fakes.mjs";

test("a token's expiry is read from it", () => {
  assert.ok(Math.abs(expiry(jwt(60)) - Date.now() - 60000) < 1000);
  assert.equal(expiry("nonsense"), 0);
});

test("stored tokens survive, and what is no JSON counts as none", () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
  storedTokens("t", storage).set({ access: "a", refresh: "r" });
  assert.deepEqual(storedTokens("t", storage).get(), { access: "a", refresh: "r" });
  kept.set("t", "{");
  assert.equal(storedTokens("t", storage).get(), null);
  storedTokens("t", storage).set(null);
  assert.equal(kept.size, 0);
});

test("a login keeps the tokens and the name", async () => {
  const tokens = memoryTokens();
  const { client, calls } = connectedTo({ "/auth/token/": { access: jwt(300), refresh: "r" } }, { tokens });
  assert.equal(client.signedIn, false);
  await client.login("ann", "secret");
  assert.equal(client.signedIn, true);
  assert.equal(client.username, "ann");
  assert.equal(calls[0].headers.get("Authorization"), null);
});

test("a refresh that is refused signs out", async () => {
  let signedOut = 0;
  const tokens = memoryTokens({ access: jwt(-1), refresh: "old" });
  const { client } = connectedTo({ "/auth/token/refresh/": () => [401, { detail: "Token is blacklisted" }] }, { tokens, onSignedOut: () => { signedOut += 1; } });
  await assert.rejects(client.list(), SignedOut);
  assert.equal(signedOut, 1);
  assert.equal(tokens.get(), null);
});

test("a refresh that cannot be made now signs nobody out", async () => {
  const tokens = memoryTokens({ access: jwt(-1), refresh: "old" });
  const answers = [[503, {}], [429, {}]];
  const { client } = connectedTo({ "/auth/token/refresh/": () => answers.shift() }, { tokens });
  await assert.rejects(client.list(), Problem);
  await assert.rejects(client.list(), Problem);
  assert.equal(client.signedIn, true);
});

test("many calls at once share one refresh", async () => {
  const { client, paths } = connectedTo({ "/auth/token/refresh/": { access: jwt(300), refresh: "new" }, "/operations/": { results: [] } }, { tokens: memoryTokens({ access: jwt(1), refresh: "old" }) });
  await Promise.all([client.list(), client.list(), client.list()]);
  assert.equal(paths().filter((path) => path === "/auth/token/refresh/").length, 1);
});

test("a call that is refused for its token is made once more with a new one", async () => {
  const next = jwt(400);
  const { client, calls } = connectedTo({
    "/auth/token/refresh/": { access: next, refresh: "new" },
    "/operations/": (options) => (options.headers.get("Authorization") === `Bearer ${next}` ? [200, { results: [] }] : [401, {}]),
  }, { tokens: { access: jwt(300), refresh: "old" } });
  assert.deepEqual(await client.list(), { results: [] });
  assert.equal(calls.length, 3);
});

test("a problem keeps its code and its errors", async () => {
  const { client } = connectedTo({ [`/operations/${ID}/cancel`]: () => [409, { code: "not_allowed_now", detail: "It is done.", errors: [{ message: "x" }] }] });
  await assert.rejects(client.cancel(ID), (error) => error instanceof Problem && error.code === "not_allowed_now" && error.message === "It is done." && error.errors.length === 1);
});

test("a server that is away is told from one that refuses", async () => {
  await assert.rejects(connectedTo().client.list(), Unreachable);
});

test("a start names its endpoint and brings a key; the same key may be given again", async () => {
  const { client, calls } = connectedTo({ "/uploads/import": operation(), "/uploads/import?validate_only=true": { valid: true } });
  assert.equal((await client.start("uploads.import", { a: 1 }, { key: "k" })).id, ID);
  await client.start("uploads.import", { a: 1 });
  await client.validate("uploads.import", { a: 1 });
  assert.equal(calls[0].headers.get("Idempotency-Key"), "k");
  assert.match(calls[1].headers.get("Idempotency-Key"), /^[0-9a-f-]{36}$/);
  assert.equal(calls[2].headers.get("Idempotency-Key"), null);
  assert.equal(calls[0].body, '{"a":1}');
});

test("each verb is a call of its own", async () => {
  const at = `/operations/${ID}`;
  const { client, calls } = connectedTo({ [`${at}/cancel`]: operation(), [`${at}/pause`]: operation(), [`${at}/resume`]: operation(), [`${at}/retry`]: operation(), [at]: () => [204] });
  await client.cancel(ID);
  await client.pause(ID);
  await client.resume(ID);
  await client.retry(ID, "start");
  await client.delete(ID);
  assert.deepEqual(calls.map((call) => [call.method, call.path]), [["POST", `${at}/cancel`], ["POST", `${at}/pause`], ["POST", `${at}/resume`], ["POST", `${at}/retry`], ["DELETE", at]]);
  assert.equal(calls[3].body, '{"from":"start"}');
});

test("empty filters are left out, and links of another host stay on ours", async () => {
  const { client, paths } = connectedTo({ "/operations/?state=running": { results: [] } });
  await client.list({ state: "running", search: "", name: null, tag: undefined });
  assert.deepEqual(paths(), ["/operations/?state=running"]);
  assert.equal(client.url("https://elsewhere.example/operations/?cursor=1"), "http://localhost/operations/?cursor=1");
});
