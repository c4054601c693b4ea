/**
 * A file that goes up in as many requests as it takes, by tus 1.0: it survives a lost network, a reload and a restart of
 * the server, and can be paused.
 * @typedef {import("../lro/client.js").LroClient} LroClient
 * @typedef {{place: string, key: string, name: string, size: number, options: Record<string, string>}} Unfinished
 * @typedef {{onProgress: (sent: number) => void, onWait: () => void}} Listener
 */
import { Problem, SignedOut, backoff } from "../lro/client.js";

const FILES = "/uploads/files/";
const VERSION = { "Tus-Resumable": "1.0.0" };
const REMEMBERED = "lro.unfinished-uploads";
/** Statuses after which it is worth asking for the offset again, beside those of a server that is away. */
const PASSING = [401, 404, 408, 409, 410, 423];

export class ResumableTransfer {
  /** @type {XMLHttpRequest | null} */ #request = null;
  #client;
  #file;
  #listener;
  #options;
  #key;
  #place = "";
  #isCancelled = false;
  /** Set while it is paused: goes on. @type {(() => void) | null} */ #resume = null;
  /** Set while it waits: tries at once. @type {(() => void) | null} */ #hurry = null;

  /** @param {LroClient} client @param {File} file @param {Record<string, string>} options @param {Listener} listener */
  constructor(client, file, options, listener) {
    this.#client = client;
    this.#file = file;
    this.#options = options;
    this.#listener = listener;
    this.#key = fingerprint(file);
  }

  get isPaused() {
    return this.#resume !== null;
  }

  /** Send all of it; it is remembered until it is forgotten. @returns {Promise<string>} the id of the whole upload */
  async run() {
    this.#place = remembered(this.#client.username).find((one) => one.key === this.#key)?.place ?? "";
    for (let failures = 0;;) {
      await this.#paused;
      const before = this.#sent;
      try {
        if (await this.#advance()) break;
      } catch (error) {
        if (this.#isCancelled) throw error;
        if (this.#resume) continue;
        if (!isWorthAnotherTry(error)) {
          this.forget();
          throw error;
        }
        failures = this.#sent > before ? 0 : failures + 1;
        await this.#rest(backoff(failures));
      }
    }
    return this.#place.split("/").at(-1) ?? "";
  }

  pause() {
    this.#paused ??= new Promise((resolve) => { this.#resume = () => resolve(undefined); });
    this.#request?.abort();
    this.#hurry?.();
  }

  /** Go on after a pause; while the network is away, try now. */
  resume() {
    this.#resume?.();
    this.#resume = this.#paused = null;
    this.#hurry?.();
  }

  /** Stop, and keep what the server has. */
  abort() {
    this.#isCancelled = true;
    this.#request?.abort();
    this.resume();
  }

  forget() {
    forget(this.#client.username, this.#key);
  }

  /** Stop, and let the server forget it. */
  cancel() {
    this.abort();
    this.forget();
    if (this.#place) void giveUp(this.#client, this.#place);
  }

  /** @type {Promise<undefined> | null} */ #paused = null;
  #sent = 0;

  /** Send what the server lacks; whether it has all. @returns {Promise<boolean>} */
  async #advance() {
    if (this.#isCancelled) throw new Error("cancelled");
    const offset = this.#place ? await this.#offset() : await this.#create();
    this.#tell(offset);
    if (this.#isCancelled || this.isPaused) return false;
    if (offset < this.#file.size) await this.#patch(offset);
    return this.#sent === this.#file.size;
  }

  /** @returns {Promise<number>} */
  async #create() {
    const headers = { ...VERSION, "Upload-Length": String(this.#file.size), "Upload-Metadata": `filename ${base64(this.#file.name)}` };
    const answer = await this.#client.request(FILES, { method: "POST", headers });
    this.#place = answer.headers.get("Location") ?? "";
    remember(this.#client.username, { place: this.#place, key: this.#key, name: this.#file.name, size: this.#file.size, options: this.#options });
    return 0;
  }

  /** @returns {Promise<number>} */
  async #offset() {
    return (await offsetAt(this.#client, this.#place)) ?? this.#create();  // it took longer than the server waits
  }

  /** @param {number} offset @returns {Promise<void>} */
  async #patch(offset) {
    const token = await this.#client.accessToken();
    const request = new XMLHttpRequest();
    this.#request = request;
    request.open("PATCH", this.#client.url(this.#place));
    const headers = { ...VERSION, Authorization: `Bearer ${token}`, "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => this.#tell(offset + event.loaded);
    try {
      await new Promise((resolve, reject) => {
        request.onload = () => (request.status === 204 ? resolve(null) : reject(new Problem(request.status, request.response)));
        request.onerror = request.ontimeout = request.onabort = () => reject(new Error("interrupted"));
        request.send(this.#file.slice(offset));
      });
      this.#tell(Number(request.getResponseHeader("Upload-Offset")));
    } catch (error) {
      if (error instanceof Problem && error.status === 401) await this.#client.accessToken({ force: true });
      throw error;
    } finally {
      this.#request = null;
    }
  }

  /** @param {number} sent */
  #tell(sent) {
    this.#sent = sent;
    this.#listener.onProgress(sent);
  }

  /** Wait so long, or until the network is back. @param {number} milliseconds */
  async #rest(milliseconds) {
    this.#listener.onWait();
    await new Promise((resolve) => {
      const timer = setTimeout(() => this.#hurry?.(), milliseconds);
      this.#hurry = () => {
        clearTimeout(timer);
        globalThis.removeEventListener?.("online", this.#online);
        this.#hurry = null;
        resolve(null);
      };
      globalThis.addEventListener?.("online", this.#online);
    });
  }

  #online = () => this.#hurry?.();
}

/** How much the server has; null where it waited long enough. @param {LroClient} client @param {string} place @returns {Promise<number | null>} */
export async function offsetAt(client, place) {
  try {
    const answer = await client.request(place, { method: "HEAD", headers: VERSION });
    return Number(answer.headers.get("Upload-Offset"));
  } catch (error) {
    if (error instanceof Problem && [404, 410].includes(error.status)) return null;
    throw error;
  }
}

/** @param {LroClient} client @param {string} place */
export async function giveUp(client, place) {
  await client.request(place, { method: "DELETE", headers: VERSION }).catch(() => {});  // else it expires
}

/** What was begun in this browser and has not come to its end. @param {string} username @returns {Unfinished[]} */
export function remembered(username) {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}")[username] ?? [];
  } catch {
    return [];
  }
}

/** @param {string} username @param {Unfinished} one */
function remember(username, one) {
  keep(username, [one, ...remembered(username).filter((other) => other.key !== one.key)].slice(0, 20));
}

/** @param {string} username @param {string} key */
export function forget(username, key) {
  keep(username, remembered(username).filter((one) => one.key !== key));
}

/** @param {string} username @param {Unfinished[]} rows */
function keep(username, rows) {
  const all = JSON.parse(localStorage.getItem(REMEMBERED) ?? "{}");
  localStorage.setItem(REMEMBERED, JSON.stringify({ ...all, [username]: rows }));
}

/** What tells that a file is the same one as before the reload. @param {File} file */
export function fingerprint(file) {
  return `${file.name} ${file.size} ${file.lastModified}`;
}

/** @param {unknown} error */
function isWorthAnotherTry(error) {
  if (error instanceof SignedOut) return false;
  return !(error instanceof Problem) || error.status >= 500 || PASSING.includes(error.status);
}

/** @param {string} text */
function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
