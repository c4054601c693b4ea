/** A server that is only a socket and some answers, and what it speaks of. */
import { LroClient } from "../../lro/static/lro/client.js";

export const ID = "0198f3c2-0000-7000-8000-000000000001";
export const OTHER = "0198f3c2-0000-7000-8000-000000000002";
export const event = (sequence, kind = "progress", data = {}) => ({ operation: ID, sequence, kind, attempt: 1, time: "2026-01-01T00:00:00Z", data });
export const operation = (changes = {}) => ({ id: ID, name: "uploads.import", state: "running", done: false, progress: { current: 0, percent: 0 }, rejected: 0, sequence: 3, links: { self: "/" }, ...changes });
export const live = (sequence, merged) => ({ type: "event", event: event(sequence), ...(merged ? { merged } : {}) });
export const page = (...sequences) => ({ results: sequences.map((sequence) => event(sequence)), next_after: null });
export const caughtUp = { type: "caught_up", operation: ID };
export const sequences = (events) => events.map((one) => one.sequence);
export const jwt = (seconds) => `x.${Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + seconds })).toString("base64url")}.x`;

/** A socket whose other end is the test. */
export class FakeSocket {
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
export function fakeFetch(routes) {
  const calls = [];
  const fetch = async (url, options) => {
    const path = url.slice("http://localhost".length);
    calls.push({ path, ...options });
    const route = routes[path];
    if (route === undefined) throw new TypeError("fetch failed");
    const [status, body] = typeof route === "function" ? await route(options) : [200, route];
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };
  return { fetch, calls, paths: () => calls.map((call) => call.path) };
}

export function connectedTo(routes = {}, options = {}) {
  FakeSocket.all = [];
  const { fetch, calls, paths } = fakeFetch(routes);
  const client = new LroClient({ baseUrl: "http://localhost/", tokens: null, fetch, WebSocket: FakeSocket, random: () => 0, ...options });
  return { client, calls, paths };
}

/** Lets all that can happen now happen. */
export async function settle(turns = 20) {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
