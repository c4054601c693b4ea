// A client that does what it is told by lines of JSON, and tells all that it hears: the real socket.io-client.
import { createInterface } from "node:readline";

import { io } from "socket.io-client";

const address = process.argv[2];
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
let socket;

const acts = {
  connect({ token, transports, follow, after }) {
    let last = after;
    const options = { forceNew: true, reconnectionDelay: 100, reconnectionDelayMax: 500 };
    socket = io(`${address}/operations`, { ...options, transports, auth: (give) => give(token ? { token } : {}) });
    socket.io.on("open", () => {
      socket.io.engine.once("upgrade", ({ name }) => say({ heard: "upgrade", payload: { transport: name } }));
    });
    socket.on("connect", () => {
      say({ heard: "connect", payload: { transport: socket.io.engine.transport.name } });
      if (follow) socket.emit("subscribe", { operation: follow, after: last });
    });
    socket.on("event", ({ event }) => {
      if (event.operation === follow) last = event.sequence;
    });
    socket.on("connect_error", (error) => say({ heard: "connect_error", payload: error.message, data: error.data }));
    socket.on("disconnect", (reason) => say({ heard: "disconnect", payload: reason }));
    socket.onAny((name, payload) => say({ heard: name, payload }));
  },
  emit({ name, payload, number }) {
    const given = payload === undefined ? [] : [payload];
    socket.timeout(60_000).emit(name, ...given, (error, answer) => {
      say({ number, answer: error ? { error: error.message } : answer });
    });
  },
  disconnect() {
    socket.disconnect();
  },
};

say({ heard: "awake" });
for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...rest } = JSON.parse(line);
  acts[act](rest);
}
process.exit(0);
