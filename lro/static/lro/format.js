/**
 * Numbers, times and states in words. Pure: no document, no clock of its own unless none is given.
 * @typedef {import("./client.js").Operation} Operation
 * @typedef {import("./client.js").OperationEvent} OperationEvent
 */

const NUMBER = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const NONE = "–";

export const TERMINAL = new Set(["succeeded", "failed", "cancelled", "expired"]);
export const ACTIVE = ["queued", "running", "waiting", "retrying", "pausing", "paused", "cancelling"];

const WORDS = /** @type {Record<string, string>} */ ({
  queued: "Queued", running: "Running", waiting: "Waiting", retrying: "Retrying", pausing: "Pausing", paused: "Paused",
  cancelling: "Cancelling", succeeded: "Succeeded", failed: "Failed", cancelled: "Cancelled", expired: "Expired",
});

/** @param {string} state */
export const isDone = (state) => TERMINAL.has(state);

/** @param {string} state */
export const stateWord = (state) => WORDS[state] ?? state;

/** @param {number | null | undefined} value */
export const number = (value) => (Number.isFinite(value) ? NUMBER.format(/** @type {number} */ (value)) : NONE);

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  let rest = /** @type {number} */ (value);
  if (rest < 1000) return `${NUMBER.format(rest)} B`;
  let unit = "";
  for (unit of ["kB", "MB", "GB", "TB"]) {
    rest /= 1000;
    if (rest < 999.5) break;
  }
  return `${rest < 9.95 ? rest.toFixed(1) : Math.round(rest)} ${unit}`;
}

/** @param {number | null | undefined} perSecond @param {string} [unit] */
export function rate(perSecond, unit = "") {
  if (!Number.isFinite(perSecond) || /** @type {number} */ (perSecond) <= 0) return NONE;
  const value = /** @type {number} */ (perSecond);
  if (unit === "bytes") return `${bytes(value)}/s`;
  const amount = value < 10 ? String(Math.round(value * 10) / 10) : value < 1000 ? NUMBER.format(value) : SHORT.format(value);
  return unit ? `${amount} ${unit}/s` : `${amount}/s`;
}

/** Rounded down, so that 100 % is said only when it is all. @param {number | null | undefined} value */
export const percent = (value) => (Number.isFinite(value) ? `${Math.floor(/** @type {number} */ (value) + 1e-9)} %` : "");

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const value = Math.max(0, /** @type {number} */ (seconds));
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 10 && !Number.isInteger(value)) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A rough "time left", so that it does not twitch. @param {number | null | undefined} seconds */
export function remaining(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const value = /** @type {number} */ (seconds);
  if (value < 1.5) return "about 1 s";
  if (value < 60) return `about ${Math.round(value)} s`;
  if (value < 3600) return `about ${Math.round(value / 60)} min`;
  return `about ${(value / 3600).toFixed(1)} h`;
}

/**
 * Seconds from the start to the end, or until now.
 * @param {string | null | undefined} start @param {string | null | undefined} end @param {number} [now]
 */
export function elapsed(start, end, now = Date.now()) {
  if (!start) return null;
  return Math.max(0, ((end ? Date.parse(end) : now) - Date.parse(start)) / 1000);
}

/** @param {string | null | undefined} time @param {number} [now] */
export function relative(time, now = Date.now()) {
  if (!time) return NONE;
  const seconds = (now - Date.parse(time)) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (seconds < 7 * 86400) return `${Math.floor(seconds / 86400)} d ago`;
  return new Date(time).toISOString().slice(0, 10);
}

/** @param {string | null | undefined} time */
export function clock(time) {
  if (!time) return NONE;
  const date = new Date(time);
  const two = (/** @type {number} */ part) => String(part).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** @param {string | null | undefined} time */
export const moment = (time) => (time ? new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" }) : NONE);

/** The end of an id: the beginning of a UUIDv7 is its time. @param {string} id */
export const shortId = (id) => String(id).slice(-8);

/** What the operation is about: a file name or a title in its input. @param {Operation} operation */
export function subject(operation) {
  const input = operation.input;
  if (!input || typeof input !== "object") return "";
  for (const field of ["name", "file_name", "filename", "original_name", "title", "file", "source"]) {
    const value = input[field];
    if (typeof value === "string" && value) return value;
    if (value && typeof value === "object" && typeof value.name === "string") return value.name;
  }
  return "";
}

/** "42,000 of 100,000 rows". @param {Operation["progress"] | null | undefined} progress */
export function amount(progress) {
  if (!progress || !Number.isFinite(progress.current) || (!progress.current && !progress.unit)) return "";
  const show = progress.unit === "bytes" ? bytes : number;
  const of = Number.isFinite(progress.total) && progress.total !== progress.current ? ` of ${show(progress.total)}` : "";
  const unit = progress.unit && progress.unit !== "bytes" ? ` ${progress.unit}` : "";
  return `${show(progress.current)}${of}${unit}`;
}

/** The share done, 0 to 100, or null while it cannot be told. @param {Operation} operation */
export function share(operation) {
  if (operation.state === "succeeded") return 100;
  const progress = operation.progress;
  if (!progress) return null;
  if (Number.isFinite(progress.percent)) return Math.min(100, Math.max(0, /** @type {number} */ (progress.percent)));
  if (progress.total && Number.isFinite(progress.current)) return Math.min(100, (100 * /** @type {number} */ (progress.current)) / progress.total);
  return null;
}

/** The title of the page. @param {Operation} operation */
export function pageTitle(operation) {
  const part = share(operation);
  const lead = isDone(operation.state) || part === null ? stateWord(operation.state) : percent(part);
  return `${lead} – ${operation.name}`;
}

/** @param {OperationEvent} event @returns {"error" | "warning" | "success" | "quiet" | "plain"} */
export function tone(event) {
  const level = String(event.data?.level ?? "").toLowerCase();
  if (event.kind === "failed" || event.kind === "expired" || level === "error" || level === "critical") return "error";
  if (["interrupted", "retry.scheduled", "reject", "cancel.requested", "cancelled"].includes(event.kind) || level === "warning") return "warning";
  if (event.kind === "succeeded") return "success";
  if (event.kind === "progress" || level === "debug") return "quiet";
  return "plain";
}

/** One line that says what happened. @param {OperationEvent} event */
export function describe(event) {
  const data = event.data ?? {};
  const { error } = data;
  switch (event.kind) {
    case "created": return "Accepted and queued";
    case "started": return `Attempt ${event.attempt} started`;
    case "progress": {
      const parts = [percent(data.percent), amount(/** @type {any} */ (data)), data.rejected ? `${number(data.rejected)} rejected` : "", data.message];
      return parts.filter(Boolean).join(" · ") || "Progress";
    }
    case "step": return `Step: ${data.step ?? data.name ?? data.message ?? ""}`;
    case "log": return String(data.message ?? "");
    case "reject":
      if (Number.isFinite(data.count)) return `${number(data.count)} rejected, ${number(data.total)} in all`;
      return [data.position === undefined ? "" : `Line ${data.position}`, data.code, data.message].filter(Boolean).join(" · ") || "Items rejected";
    case "artifact": return `File ready: ${data.name ?? ""}`;
    case "retry.scheduled": return [Number.isFinite(data.delay_seconds) ? `Will try again in ${duration(data.delay_seconds)}` : "Will try again", data.reason ?? error?.message].filter(Boolean).join(": ");
    case "interrupted": return ["Interrupted; goes on from its checkpoint", data.reason].filter(Boolean).join(": ");
    case "paused": return "Paused";
    case "resumed": return "Resumed";
    case "cancel.requested": return data.by ? `Cancel requested by ${data.by}` : "Cancel requested";
    case "cancelled": return "Cancelled";
    case "succeeded": return "Succeeded";
    case "failed": return ["Failed", error?.message ?? data.message].filter(Boolean).join(": ");
    case "expired": return "Expired";
    default: return String(data.message ?? pairs(data));
  }
}

/** The plain values of an event that only its module knows. @param {Record<string, any>} data */
const pairs = (data) => Object.entries(data).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)).map(([name, value]) => `${name} ${value}`).join(" · ");

/** "ragged_short" as "Ragged short". @param {string} code */
export const codeWords = (code) => {
  const words = String(code).replaceAll(/[_.-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};
