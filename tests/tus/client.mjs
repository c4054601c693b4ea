// The real tus-js-client: sends one file, and says how it went in a line of JSON.
import { createReadStream } from "node:fs";

import * as tus from "tus-js-client";

const [endpoint, token, path, chunk] = process.argv.slice(2);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
let retries = 0;
const upload = new tus.Upload(createReadStream(path), {
  endpoint,
  chunkSize: Number(chunk) || Infinity,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: path.split("/").at(-1), import: "true" },
  retryDelays: Array(40).fill(100),
  onShouldRetry(error) {
    retries += 1;
    const status = error.originalResponse?.getStatus() ?? 0;
    return status === 0 || status >= 500 || status === 409 || status === 423;
  },
  onSuccess({ lastResponse }) {
    const line = { url: upload.url, operation: lastResponse.getHeader("Operation-Id"), retries };
    // A connection that was cut on one side only would keep this process for minutes.
    process.stdout.write(JSON.stringify(line) + "\n", () => process.exit(0));
  },
  onError(error) {
    say({ error: String(error), retries });
    process.exit(1);
  },
});
upload.start();
