/** The Upload screen: files go up, and each row turns into the operation that imports it. */
import { Problem, SignedOut } from "../lro/client.js";
import { framed, h, keyed, replace, setAttribute, setText } from "../lro/dom.js";
import { amount, bytes, duration, isDone, number, rate, remaining, stateWord } from "../lro/format.js";
import { icon } from "../lro/icons.js";
import { href, register } from "../lro/router.js";
import { announce, client, complain, confirmed, onSignedOut, toast } from "../lro/session.js";
import { ResumableTransfer, fingerprint, forget, giveUp, offsetAt, remembered } from "./resumable.js";
import "./summary.js";

/**
 * @typedef {import("../lro/client.js").Operation} Operation
 * @typedef {"waiting" | "sending" | "paused" | "offline" | "checking" | "refused" | "interrupted" | "unfinished" | "accepted"} Phase
 */

const AT_ONCE = 2;
const REMEMBERED = "lro.uploads";
/** A file of more bytes goes up so that it can go on after a lost network or a reload. */
const RESUMABLE_BYTES = 5 * 1024 * 1024;

class Upload {
  key = crypto.randomUUID();
  /** @type {Phase} */ phase = "waiting";
  sent = 0;
  speed = 0;
  problem = "";
  /** @type {string[]} */ details = [];
  /** @type {Operation | null} */ operation = null;
  /** @type {XMLHttpRequest | ResumableTransfer | null} */ request = null;
  /** What was begun before a reload: the file has to be chosen again. @type {import("./resumable.js").Unfinished | null} */ unfinished = null;
  /** @type {{close(): void} | null} */ following = null;

  /** @param {File | null} file @param {string} name @param {Record<string, string>} options */
  constructor(file, name, options = {}) {
    this.file = file;
    this.name = name;
    this.size = file?.size ?? 0;
    this.options = options;
  }
}

/** The rows outlive the screen, so that uploads go on while one looks elsewhere. @type {Upload[]} */
let uploads = [];
/** @type {{max_bytes: number, formats: string[]} | null} */
let limits = null;
/** @type {() => void} */
let draw = () => {};
/** Opens the browser's choice of files. @type {() => void} */
let choose = () => {};

register({ path: "/upload", nav: { label: "Upload", icon: "upload", order: 2 }, show });

addEventListener("beforeunload", (event) => {
  if (uploads.some((upload) => upload.request)) event.preventDefault();
});
onSignedOut(() => {
  for (const upload of uploads) upload.request?.abort();
  uploads = [];
});

async function readLimits() {
  try {
    limits ??= await client.read("/uploads/limits");
  } catch (error) {
    if (error instanceof Problem) limits = null;
  }
  draw();
}

/** @param {Iterable<File>} files @param {Record<string, string>} options */
function add(files, options) {
  const added = [...files].map((file) => resumed(file) ?? new Upload(file, options.name || file.name, options));
  for (const upload of added) {
    if (limits && upload.size > limits.max_bytes) {
      upload.phase = "refused";
      upload.problem = `The file has ${bytes(upload.size)}; the limit is ${bytes(limits.max_bytes)}. Nothing was sent.`;
    }
  }
  uploads = [...added, ...uploads.filter((upload) => !added.includes(upload))];
  pump();
  draw();
}

/** The row that waits for this very file since a reload. @param {File} file */
function resumed(file) {
  const upload = uploads.find((one) => one.unfinished?.key === fingerprint(file));
  if (upload) Object.assign(upload, { file, phase: "waiting", unfinished: null, problem: "" });
  return upload;
}

function pump() {
  const free = AT_ONCE - uploads.filter((upload) => (upload.request && upload.phase !== "paused") || upload.phase === "sending").length;
  for (const upload of uploads.filter((one) => one.phase === "waiting").reverse().slice(0, Math.max(0, free))) void send(upload);
}

/** @param {Upload} upload */
async function send(upload) {
  upload.phase = "sending";
  upload.sent = upload.speed = 0;
  upload.problem = "";
  try {
    accept(upload, await (upload.size > RESUMABLE_BYTES ? transferInPieces(upload) : transfer(upload, await client.accessToken())));
  } catch (error) {
    if (error instanceof Problem && error.status === 401 && !upload.problem) {
      upload.problem = "The session was renewed.";
      upload.phase = "waiting";
      await client.accessToken({ force: true }).catch(() => {});
    } else if (error instanceof Problem) {
      upload.phase = "refused";
      upload.problem = error.message;
      upload.details = error.errors.map((one) => one.message).filter((words) => words && words !== error.message);
    } else if (!(error instanceof SignedOut)) {
      upload.phase = "interrupted";
      upload.problem = "The connection was lost while the file was being sent.";
    }
    if (upload.phase !== "waiting") announce(`${upload.name}: ${upload.problem}`);
  }
  upload.request = null;
  pump();
  draw();
}

/** @param {Upload} upload @returns {Promise<Operation>} */
async function transferInPieces(upload) {
  const measured = meter(upload);
  const sending = new ResumableTransfer(client, /** @type {File} */ (upload.file), upload.options, {
    onProgress: (sent) => {
      if (!sending.isPaused) upload.phase = "sending";
      measured(sent);
    },
    onWait: () => {
      upload.phase = "offline";
      upload.problem = "The connection was lost. It goes on by itself as soon as the server can be reached.";
      draw();
    },
  });
  upload.request = sending;
  const identifier = await sending.run();
  upload.phase = "checking";
  upload.problem = "";
  draw();
  const options = Object.fromEntries(Object.entries(upload.options).filter(([, value]) => value));
  try {
    const answer = await client.request("/uploads/import", { method: "POST", json: { upload: identifier, ...options }, headers: { "Idempotency-Key": upload.key } });
    sending.forget();
    return answer.json();
  } catch (error) {
    if (error instanceof Problem && error.status < 500) sending.forget();
    throw error;
  }
}

/** @param {Upload} upload @param {string} token @returns {Promise<Operation>} */
function transfer(upload, token) {
  const form = new FormData();
  for (const [name, value] of Object.entries(upload.options)) if (value) form.set(name, value);
  form.set("file", /** @type {File} */ (upload.file), upload.file?.name);
  const request = new XMLHttpRequest();
  upload.request = request;
  request.open("POST", client.url("/uploads/import"));
  request.setRequestHeader("Authorization", `Bearer ${token}`);
  request.setRequestHeader("Idempotency-Key", upload.key);
  request.setRequestHeader("Accept", "application/json");
  request.responseType = "json";
  measure(upload, request);
  return new Promise((resolve, reject) => {
    request.onload = () => (request.status >= 200 && request.status < 300 && request.response ? resolve(request.response) : reject(new Problem(request.status, request.response)));
    request.onerror = request.ontimeout = request.onabort = () => reject(new Error("interrupted"));
    request.send(form);
  });
}

/** Takes how much is sent by now. Speed as a moving average, so that the time left does not twitch. @param {Upload} upload */
function meter(upload) {
  let time = performance.now();
  /** @type {number | null} */ let before = null;
  return (/** @type {number} */ sent) => {
    const now = performance.now();
    before ??= sent;
    if (now - time > 200) {
      const speed = Math.max(0, (1000 * (sent - before)) / (now - time));
      upload.speed = upload.speed ? 0.7 * upload.speed + 0.3 * speed : speed;
      [time, before] = [now, sent];
    }
    upload.sent = Math.min(sent, upload.size);
    draw();
  };
}

/** @param {Upload} upload @param {XMLHttpRequest} request */
function measure(upload, request) {
  const measured = meter(upload);
  request.upload.onprogress = (event) => measured(event.loaded);
  request.upload.onload = () => {
    upload.sent = upload.size;
    upload.phase = "checking";
    draw();
  };
}

/** @param {Upload} upload @param {Operation} operation */
function accept(upload, operation) {
  upload.phase = "accepted";
  upload.operation = operation;
  upload.file = null;
  announce(`${upload.name} is on the server, the import begins`);
  follow(upload, operation);
  remember();
}

/** @param {Upload} upload @param {Operation} operation */
function follow(upload, operation) {
  upload.following = client.follow(operation.id, { operation, onState: (next) => {
    const ended = isDone(next.state) && !isDone(upload.operation?.state ?? "");
    upload.operation = next;
    if (ended) {
      announce(`${upload.name}: ${stateWord(next.state)}`);
      if (![href("/upload"), href(`/operations/${next.id}`)].includes(location.pathname)) toast(`${upload.name}: ${stateWord(next.state).toLowerCase()}`, next.state === "succeeded" ? "success" : next.state === "failed" ? "error" : "plain");
      setTimeout(() => upload.following?.close(), 1000);
    }
    draw();
  }, onGone: (problem) => { if (problem.status === 404) remove(upload); } });
}

function remember() {
  const rows = uploads.filter((upload) => upload.operation).slice(0, 20).map((upload) => ({ id: upload.operation?.id, name: upload.name }));
  sessionStorage.setItem(REMEMBERED, JSON.stringify({ user: client.username, rows }));
}

/** After a reload: the files of this tab that had reached the server. */
async function recall() {
  recallUnfinished();
  const kept = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "null");
  if (!kept || kept.user !== client.username || uploads.some((upload) => !upload.unfinished)) return;
  const found = kept.rows.map((/** @type {any} */ row) => Object.assign(new Upload(null, row.name), { phase: "accepted", id: row.id }));
  uploads = [...uploads, ...found];
  await Promise.all(found.map(async (/** @type {any} */ upload) => {
    try {
      upload.operation = await client.get(upload.id);
      upload.size = upload.operation.input?.size ?? 0;
      if (!isDone(upload.operation.state)) follow(upload, upload.operation);
    } catch (error) {
      if (error instanceof Problem) uploads = uploads.filter((one) => one !== upload);
    }
  }));
  draw();
}

/** What was begun in this browser and did not come to its end: it goes on once the same file is chosen. */
function recallUnfinished() {
  const begun = remembered(client.username).filter((one) => !uploads.some((upload) => upload.unfinished?.key === one.key || (upload.file && fingerprint(upload.file) === one.key)));
  const rows = begun.map((one) => Object.assign(new Upload(null, one.options.name || one.name, one.options),
    { phase: /** @type {Phase} */ ("unfinished"), unfinished: one, size: one.size, problem: `Choose ${one.name} again, and it goes on where it stopped.` }));
  uploads = [...uploads, ...rows];
  rows.forEach(showOffset);
}

/** Show how much of it the server has, and the row no more where that has waited long enough. @param {Upload} upload */
async function showOffset(upload) {
  if (!upload.unfinished) return;
  const { key, place } = upload.unfinished;
  const offset = await offsetAt(client, place).catch(() => 0);
  if (offset === null) {
    forget(client.username, key);
    uploads = uploads.filter((one) => one !== upload || !one.unfinished);
  } else if (upload.unfinished) upload.sent = offset;
  draw();
}

/** @param {Upload} upload */
function remove(upload) {
  upload.following?.close();
  uploads = uploads.filter((one) => one !== upload);
  if (upload.request) {
    if (upload.request instanceof ResumableTransfer) upload.request.cancel();
    else upload.request.abort();
    toast(`Upload of ${upload.name} cancelled`);
  } else if (upload.unfinished) {
    forget(client.username, upload.unfinished.key);
    void giveUp(client, upload.unfinished.place);
  }
  remember();
  pump();
  draw();
}

/** @param {Upload} upload */
function pause(upload) {
  if (!(upload.request instanceof ResumableTransfer)) return;
  upload.request.pause();
  Object.assign(upload, { phase: "paused", speed: 0, problem: "" });
  pump();
  draw();
}

/** Go on, or try at once where the network was lost. @param {Upload} upload */
function resume(upload) {
  if (!(upload.request instanceof ResumableTransfer)) return;
  Object.assign(upload, { phase: "sending", problem: "" });
  upload.request.resume();
  draw();
}

/** @param {Upload} upload */
function again(upload) {
  upload.phase = "waiting";
  upload.problem = "";
  pump();
  draw();
}

/** @param {Upload} upload */
async function cancelImport(upload) {
  if (!upload.operation || !(await confirmed({ title: `Cancel the import of ${upload.name}?`, text: "It stops within seconds.", action: "Cancel the import" }))) return;
  client.cancel(upload.operation.id).then((operation) => { upload.operation = operation; draw(); }, complain);
}

function show() {
  const input = h("input", { type: "file", multiple: true, accept: ".csv,.tsv,.tab,.txt,.psv,.jsonl,.ndjson,.json,.xlsx,.xlsm,.parquet,.pq,.gz,.zst,text/csv,text/tab-separated-values", class: "visually-hidden", tabindex: "-1", "aria-hidden": "true", "data-testid": "file-input", onchange: () => { add(input.files, options()); input.value = ""; } });
  choose = () => input.click();
  const button = h("button", { class: "button primary", type: "button", "data-testid": "choose-files", onclick: () => choose() }, icon("upload"), "Choose files");
  const limit = h("p", { class: "muted" });
  const form = optionsForm();
  const options = () => /** @type {Record<string, string>} */ (Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()])));
  let depth = 0;
  const zone = h("div", { class: "drop-zone card", "data-testid": "drop-zone",
    ondragenter: (/** @type {DragEvent} */ event) => { event.preventDefault(); depth += 1; zone.classList.add("over"); },
    ondragover: (/** @type {DragEvent} */ event) => event.preventDefault(),
    ondragleave: () => { depth -= 1; if (depth <= 0) zone.classList.remove("over"); },
    ondrop: (/** @type {DragEvent} */ event) => {
      event.preventDefault();
      depth = 0;
      zone.classList.remove("over");
      add(event.dataTransfer?.files ?? [], options());
    } },
    h("div", { class: "drop-mark" }, icon("file")), button, h("p", null, "or drop them here"), limit, input);
  const list = h("ul", { class: "uploads", "aria-label": "Uploads" });
  draw = framed(() => {
    setText(limit, limits ? `CSV, TSV and JSON Lines, also packed by gzip or zstd, XLSX and Parquet; up to ${bytes(limits.max_bytes)} each` : "");
    keyed(list, uploads, (upload) => upload.key, uploadRow, updateRow);
  });
  void readLimits();
  void recall();
  draw();
  return {
    title: "Upload",
    node: h("section", { class: "page" }, h("div", { class: "page-head" }, h("h1", null, "Upload")), zone, h("details", { class: "options" }, h("summary", null, "Options"), form), list),
    dispose: () => { draw = () => {}; },
  };
}

function optionsForm() {
  const field = (/** @type {string} */ label, /** @type {any} */ control) => h("label", { class: "field" }, h("span", null, label), control);
  const select = (/** @type {string} */ name, /** @type {string[][]} */ choices) => h("select", { name }, choices.map(([value, label]) => h("option", { value }, label)));
  return h("form", { class: "options-form", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    field("Name", h("input", { name: "name", placeholder: "as the file", autocomplete: "off" })),
    field("Delimiter", select("delimiter", [["", "find out"], [",", "comma ,"], [";", "semicolon ;"], ["\t", "tab"], ["|", "pipe |"]])),
    field("Encoding", select("encoding", [["", "find out"], ["utf-8", "UTF-8"], ["utf-16", "UTF-16"], ["windows-1252", "Windows-1252"], ["iso-8859-1", "ISO 8859-1"]])),
    field("First row", select("header", [["", "names the columns"], ["false", "is data"]])),
    field("Sheet of a workbook", h("input", { name: "sheet", placeholder: "the first visible", autocomplete: "off" })));
}

/** @param {Upload} upload */
function uploadRow(upload) {
  return h("li", { class: "upload card", "data-testid": "upload-row" },
    h("div", { class: "upload-top" }, icon("file"), h("div", { class: "upload-title" }, h("strong", null, upload.name), h("span", { class: "upload-phase muted" })), h("div", { class: "actions" })),
    h("lro-progress", { "data-state": "running", label: `Progress of ${upload.name}` }), h("p", { class: "upload-facts muted" }), h("p", { class: "upload-problem", hidden: true }));
}

/** @param {Element} node @param {Upload} upload */
function updateRow(node, upload) {
  const find = (/** @type {string} */ part) => /** @type {any} */ (node.querySelector(part));
  const operation = upload.operation;
  const state = operation?.state ?? { waiting: "queued", sending: "running", paused: "paused", offline: "retrying", checking: "running", refused: "failed", interrupted: "failed", unfinished: "paused", accepted: "queued" }[upload.phase];
  setAttribute(node, "data-phase", upload.phase);
  setAttribute(node, "data-state", operation?.state ?? upload.phase);
  setAttribute(node, "data-operation-id", operation?.id);
  const bar = find("lro-progress");
  if (operation) bar.update(operation);
  else {
    setAttribute(bar, "value", upload.phase === "checking" ? null : String(upload.size ? (100 * upload.sent) / upload.size : 0));
    setAttribute(bar, "data-state", state);
  }
  bar.hidden = upload.phase === "refused";
  setText(find(".upload-phase"), phaseWords(upload));
  setText(find(".upload-facts"), facts(upload));
  const problem = upload.problem || (operation?.error ? operation.error.message : "");
  const words = find(".upload-problem");
  words.hidden = !problem || upload.phase === "sending";
  setText(words, [problem, ...upload.details].join(" "));
  drawActions(find(".actions"), upload);
}

/** @param {Upload} upload */
function phaseWords(upload) {
  if (upload.operation) return { running: "Importing", queued: "Waiting for a worker", succeeded: "Imported" }[upload.operation.state] ?? stateWord(upload.operation.state);
  return { waiting: "Waiting", sending: "Uploading", paused: "Paused", offline: "Waiting for the network", checking: "Checking", refused: "Refused", interrupted: "Interrupted", unfinished: "Not finished", accepted: "Reading…" }[upload.phase];
}

/** @param {Upload} upload */
function facts(upload) {
  const { operation } = upload;
  if (operation?.state === "succeeded" && operation.result) {
    const { rows, rejected, seconds } = operation.result;
    return [`${number(rows)} rows`, `${number(rejected)} rejected`, seconds === undefined ? "" : duration(seconds)].filter(Boolean).join(" · ");
  }
  if (operation) {
    const progress = operation.progress ?? {};
    const live = operation.state === "running";
    return [amount(progress), operation.rejected ? `${number(operation.rejected)} rejected` : "", live ? rate(progress.rate, progress.unit) : "",
      live && Number.isFinite(progress.eta_seconds) ? `${remaining(progress.eta_seconds)} left` : "", live ? progress.message : ""].filter((words) => words && words !== "–").join(" · ");
  }
  if (["paused", "offline", "unfinished"].includes(upload.phase)) return `${bytes(upload.sent)} of ${bytes(upload.size)}`;
  if (upload.phase !== "sending") return upload.size ? bytes(upload.size) : "";
  const left = upload.speed ? (upload.size - upload.sent) / upload.speed : null;
  return [`${bytes(upload.sent)} of ${bytes(upload.size)}`, rate(upload.speed, "bytes"), left === null ? "" : `${remaining(left)} left`].filter((words) => words && words !== "–").join(" · ");
}

/** What can be done before there is an operation. @type {Partial<Record<Phase, string[]>>} */
const ACTIONS = {
  waiting: ["cancel-upload"], sending: ["pause-upload", "cancel-upload"], paused: ["resume-upload", "cancel-upload"], offline: ["try-now", "pause-upload", "cancel-upload"],
  checking: ["cancel-upload"], interrupted: ["retry", "dismiss"], unfinished: ["choose-again", "discard-upload"],
};

/** @param {Element} place @param {Upload} upload */
function drawActions(place, upload) {
  const { operation, phase } = upload;
  const wanted = operation ? ["open", operation.links?.cancel && !isDone(operation.state) ? "cancel-import" : "", isDone(operation.state) ? "dismiss" : ""]
    : [...ACTIONS[phase] ?? ["dismiss"]].filter((name) => (name !== "retry" || upload.file) && (name !== "pause-upload" || upload.request instanceof ResumableTransfer));
  keyed(place, wanted.filter(Boolean), (name) => `${name}${operation?.id ?? ""}`, (name) => actionButton(name, upload));
}

/** @param {string} name @param {Upload} upload @returns {Element} */
function actionButton(name, upload) {
  const button = (/** @type {string} */ words, /** @type {() => void} */ deed, /** @type {string} */ kind = "") =>
    h("button", { class: `button small ${kind}`, type: "button", "data-testid": name, "aria-label": `${words} ${upload.name}`, onclick: deed }, words);
  switch (name) {
    case "open": return h("a", { class: "button small", href: href(`/operations/${upload.operation?.id}`), "data-link": true, "data-testid": "open-operation", "aria-label": `Open the import of ${upload.name}` }, "Open");
    case "retry": return button("Retry", () => again(upload), "primary");
    case "pause-upload": return button("Pause upload", () => pause(upload));
    case "resume-upload": return button("Resume upload", () => resume(upload), "primary");
    case "try-now": return button("Try now", () => resume(upload));
    case "choose-again": return button("Choose the file again", () => choose(), "primary");
    case "discard-upload": return button("Discard", () => remove(upload));
    case "cancel-upload": return button("Cancel upload", () => remove(upload));
    case "cancel-import": return button("Cancel import", () => void cancelImport(upload));
    default: return h("button", { class: "button quiet icon-only", type: "button", "aria-label": `Dismiss ${upload.name}`, onclick: () => remove(upload) }, icon("close"));
  }
}
