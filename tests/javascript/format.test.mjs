import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../lro/static/lro/format.js";

const operation = (changes = {}) => ({ name: "uploads.import", state: "running", progress: { current: 42000, total: 100000, unit: "rows", percent: 42.99 }, input: {}, ...changes });

test("numbers and sizes", () => {
  assert.equal(format.number(1234567), "1,234,567");
  assert.equal(format.number(null), "–");
  assert.deepEqual([0, 999, 1000, 9960, 1_500_000, 999_999, 2.5e9].map(format.bytes), ["0 B", "999 B", "1.0 kB", "10 kB", "1.5 MB", "1.0 MB", "2.5 GB"]);
});

test("rates", () => {
  assert.equal(format.rate(183000, "rows"), "183K rows/s");
  assert.equal(format.rate(2_400_000, "bytes"), "2.4 MB/s");
  assert.equal(format.rate(3.14159, "samples"), "3.1 samples/s");
  assert.equal(format.rate(null, "rows"), "–");
});

test("a percentage never says 100 too early", () => {
  assert.equal(format.percent(99.99), "99 %");
  assert.equal(format.percent(100), "100 %");
  assert.equal(format.percent(null), "");
});

test("durations", () => {
  assert.deepEqual([0.25, 3, 3.14, 59.6, 61, 3700, 90000].map(format.duration), ["250 ms", "3 s", "3.1 s", "1 min 0 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
  assert.equal(format.duration(undefined), "–");
  assert.equal(format.remaining(90), "about 2 min");
});

test("time since and time ago", () => {
  const now = Date.parse("2026-01-01T00:10:00Z");
  assert.equal(format.elapsed("2026-01-01T00:00:00Z", null, now), 600);
  assert.equal(format.elapsed("2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z", now), 30);
  assert.equal(format.elapsed(null, null, now), null);
  assert.equal(format.relative("2026-01-01T00:09:58Z", now), "just now");
  assert.equal(format.relative("2026-01-01T00:05:00Z", now), "5 min ago");
  assert.equal(format.relative("2025-12-01T00:00:00Z", now), "2025-12-01");
});

test("the share done is known from percent, from the total, or not at all", () => {
  assert.equal(format.share(operation()), 42.99);
  assert.equal(format.share(operation({ progress: { current: 5, total: 20, percent: null } })), 25);
  assert.equal(format.share(operation({ progress: { current: 5, total: null, percent: null } })), null);
  assert.equal(format.share(operation({ state: "succeeded", progress: { percent: 99.2 } })), 100);
});

test("the page's title", () => {
  assert.equal(format.pageTitle(operation()), "42 % – uploads.import");
  assert.equal(format.pageTitle(operation({ state: "failed" })), "Failed – uploads.import");
});

test("the amount and the subject", () => {
  assert.equal(format.amount({ current: 42000, total: 100000, unit: "rows" }), "42,000 of 100,000 rows");
  assert.equal(format.amount({ current: 7, total: 7, unit: "rows" }), "7 rows");
  assert.equal(format.subject(operation({ input: { filename: "a.csv" } })), "a.csv");
  assert.equal(format.subject(operation({ input: null })), "");
});

test("events in one line, and their tone", () => {
  const event = (kind, data = {}) => ({ kind, data, attempt: 2, sequence: 1 });
  assert.equal(format.describe(event("progress", { percent: 10, current: 5, unit: "rows", rejected: 1 })), "10 % · 5 rows · 1 rejected");
  assert.equal(format.describe(event("failed", { error: { message: "No rows" } })), "Failed: No rows");
  assert.equal(format.describe(event("retry.scheduled", { delay_seconds: 2, error: { message: "Lost" } })), "Will try again in 2 s: Lost");
  assert.equal(format.describe(event("reject", { count: 100, total: 1200, sample: [] })), "100 rejected, 1,200 in all");
  assert.equal(format.describe(event("uploads.own", { message: "hello" })), "hello");
  assert.equal(format.describe(event("uploads.own", { encoding: "utf-8", columns: 4, warnings: [] })), "encoding utf-8 · columns 4");
  assert.deepEqual(["failed", "succeeded", "progress", "interrupted", "started"].map((kind) => format.tone(event(kind))), ["error", "success", "quiet", "warning", "plain"]);
  assert.equal(format.tone(event("log", { level: "ERROR" })), "error");
});
