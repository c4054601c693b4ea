/** One operation: its state live, its events, rejects, input and output. */
import { Problem, SignedOut } from "../client.js";
import { framed, h, keyed, replace, setAttribute, setText } from "../dom.js";
import { bytes, codeWords, duration, elapsed, isDone, moment, number, pageTitle, percent, rate, remaining, share, stateWord, subject } from "../format.js";
import { icon } from "../icons.js";
import { href, register, setQuery } from "../router.js";
import { announce, client, complain, confirmed, copy, download, resultOf, toast } from "../session.js";

/** @typedef {import("../client.js").Operation} Operation */

const TABS = [["", "Overview"], ["log", "Log"], ["rejects", "Rejects"], ["io", "Input & output"]];

register({ path: "/operations/:id", show: ({ params, query }) => new OperationScreen(params.id, query).shown });

/** @type {Record<string, {label: string, symbol: string, done: string}>} */
const ACTIONS = {
  pause: { label: "Pause", symbol: "paused", done: "Pause requested" },
  resume: { label: "Resume", symbol: "next", done: "Resumed" },
  retry: { label: "Retry", symbol: "retrying", done: "Retry started" },
  cancel: { label: "Cancel", symbol: "close", done: "Cancel requested" },
};

class OperationScreen {
  /** @type {Operation | null} */ operation = null;
  /** @type {string} */ told = "";
  /** @type {string | null} */ busy = null;
  panelKey = "";
  failureKey = "";

  /** @param {string} id @param {URLSearchParams} query */
  constructor(id, query) {
    this.id = id;
    this.query = query;
    this.gone = false;
    this.draw = framed(() => this.render());
    this.build();
    void this.start();
  }

  get shown() {
    return {
      title: "Operation", node: this.node,
      update: (/** @type {{query: URLSearchParams}} */ { query }) => { this.query = query; this.panelKey = ""; this.draw(); },
      dispose: () => { this.gone = true; this.following?.close(); this.logging?.close(); },
      keys: { c: () => { if (this.operation?.links?.cancel) void this.act("cancel"); }, "/": () => setQuery({ tab: "log" }) },
    };
  }

  build() {
    const stat = (/** @type {string} */ label, /** @type {any} */ value) => h("div", { class: "stat" }, h("dt", null, label), h("dd", null, value));
    this.current = h("span", { "data-testid": "operation-current" });
    this.total = h("span", { class: "muted" });
    this.rate = h("span", { "data-testid": "operation-rate" });
    this.elapsed = h("lro-time");
    this.eta = h("span", { "data-testid": "operation-eta" });
    this.rejected = h("span", { "data-testid": "operation-rejected" });
    this.etaStat = stat("Time left", this.eta);
    this.state = h("lro-state", { class: "large", "data-testid": "operation-state" });
    this.name = h("h1", { "data-testid": "operation-name" });
    this.subject = h("span", { class: "hero-subject" });
    this.actions = h("div", { class: "actions" });
    this.bar = h("lro-progress", { class: "hero-bar", "operation-id": this.id, "bar-testid": "operation-progress", "data-state": "queued", label: "Progress of the operation" });
    this.message = h("p", { class: "hero-message muted" });
    this.failure = h("div", { class: "failure", role: "alert", hidden: true, "data-testid": "operation-error" });
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Parts of the operation" });
    this.panel = h("div", { class: "panel", role: "tabpanel", id: "panel", tabindex: "-1" });
    this.hero = h("div", { class: "card hero", hidden: true },
      h("div", { class: "hero-top" }, h("div", { class: "hero-title" }, h("div", { class: "hero-line" }, this.name, this.state), this.subject), this.actions),
      this.bar, this.message,
      h("dl", { class: "stats" }, stat("Done", [this.current, this.total]), stat("Rate", this.rate), stat("Elapsed", this.elapsed), this.etaStat, stat("Rejected", this.rejected)));
    this.trouble = h("div");
    this.below = h("div", { hidden: true }, this.tabs, this.panel);
    this.node = h("section", { class: "page" }, h("a", { class: "back", href: href("/"), "data-link": true }, icon("back"), "Operations"), this.trouble, this.failure, this.hero, this.below);
  }

  async start() {
    try {
      const operation = await client.get(this.id);
      if (this.gone) return;
      replace(this.trouble);
      this.following = client.follow(this.id, { operation, onState: (next) => this.take(next), onGone: (problem) => this.lose(problem) });
      this.take(operation);
    } catch (error) {
      if (!this.gone && !(error instanceof SignedOut)) this.lose(/** @type {Error} */ (error));
    }
  }

  /** It cannot be read, or is there no more. @param {Error} error */
  lose(error) {
    this.operation = null;
    this.failureKey = "";
    this.hero.hidden = this.below.hidden = this.failure.hidden = true;
    const missing = error instanceof Problem && error.status === 404;
    replace(this.trouble, h("div", { class: "empty" }, icon("search"), h("h1", null, missing ? "There is no such operation" : "The operation could not be read"),
      h("p", { class: "muted" }, missing ? "It may have been removed, or it belongs to someone else." : `${error.message} Trying again.`),
      missing ? h("a", { class: "button", href: href("/"), "data-link": true }, "To the operations") : null));
    if (!missing) setTimeout(() => { if (!this.gone) void this.start(); }, 2000);
  }

  /** @param {Operation} operation */
  take(operation) {
    this.operation = operation;
    this.draw();
  }

  render() {
    const operation = this.operation;
    if (!operation || this.gone) return;
    this.hero.hidden = this.below.hidden = false;
    document.title = pageTitle(operation);
    this.renderHero(operation);
    this.renderFailure(operation);
    this.renderActions(operation);
    this.renderTabs(operation);
    this.renderPanel(operation);
    this.tell(operation);
  }

  /** @param {Operation} operation */
  renderHero(operation) {
    const progress = operation.progress ?? {};
    const show = progress.unit === "bytes" ? bytes : number;
    setText(this.name, operation.name);
    setText(this.subject, subject(operation));
    setAttribute(this.state, "state", operation.state);
    setAttribute(this.hero, "data-state", operation.state);
    this.bar.update(operation);
    setText(this.current, show(progress.current ?? 0));
    setAttribute(this.current, "data-value", String(progress.current ?? 0));
    setText(this.total, `${Number.isFinite(progress.total) && progress.total !== progress.current ? ` of ${show(progress.total)}` : ""}${progress.unit && progress.unit !== "bytes" ? ` ${progress.unit}` : ""}`);
    setText(this.rate, rate(this.speed(operation), progress.unit));
    setAttribute(this.elapsed, "start", operation.started_at);
    setAttribute(this.elapsed, "end", operation.finished_at);
    this.etaStat.hidden = isDone(operation.state);
    setText(this.eta, operation.state === "running" ? remaining(progress.eta_seconds) : "–");
    setText(this.rejected, number(operation.rejected ?? 0));
    setAttribute(this.rejected, "data-value", String(operation.rejected ?? 0));
    this.rejected.classList.toggle("warn", operation.rejected > 0);
    const waits = operation.state === "retrying" && operation.next_attempt_at ? `Attempt ${operation.attempt} of ${operation.max_attempts} failed; the next starts at ${moment(operation.next_attempt_at)}.` : "";
    const queued = operation.state === "queued" ? "Waiting for a worker." : "";
    setText(this.message, isDone(operation.state) ? "" : waits || queued || [progress.step && codeWords(progress.step), progress.message].filter(Boolean).join(" · "));
  }

  /** Of what is done, the average. @param {Operation} operation */
  speed(operation) {
    if (!isDone(operation.state)) return operation.state === "running" ? operation.progress?.rate : null;
    const seconds = operation.result?.seconds ?? elapsed(operation.started_at, operation.finished_at);
    return operation.progress?.current && seconds ? operation.progress.current / seconds : null;
  }

  /** @param {Operation} operation */
  renderFailure(operation) {
    const error = operation.state === "cancelled" ? null : operation.error;
    const key = error ? JSON.stringify(error) : "";
    if (this.failureKey === key) return;
    this.failureKey = key;
    this.failure.hidden = !error;
    if (!error) return;
    const details = (error.details ?? []).slice(0, 5).map((one) => h("li", null, typeof one === "string" ? one : one.message ?? JSON.stringify(one)));
    replace(this.failure, icon("failed"), h("div", null, h("h2", null, error.message || "It failed"),
      h("p", null, h("code", null, error.code), error.attempt ? ` in attempt ${error.attempt}` : "", error.retryable ? " · a retry may help" : ""),
      details.length ? h("ul", null, details) : null,
      error.traceback ? h("details", null, h("summary", null, "Traceback"), h("pre", null, error.traceback)) : null,
      h("button", { class: "link", type: "button", onclick: () => setQuery({ tab: "log" }) }, "Show the log")));
  }

  /** @param {Operation} operation */
  renderActions(operation) {
    const allowed = Object.keys(ACTIONS).filter((verb) => operation.links?.[verb]);
    keyed(this.actions, allowed, (verb) => verb,
      (verb) => h("button", { class: `button ${verb === "retry" ? "primary" : ""}`, type: "button", "data-testid": `action-${verb}`, onclick: () => this.act(verb) }, icon(ACTIONS[verb].symbol), ACTIONS[verb].label),
      (node, verb) => { node.disabled = this.busy === verb; });
  }

  /** @param {string} verb */
  async act(verb) {
    if (verb === "cancel" && !(await confirmed({ title: "Cancel this operation?", text: "It stops within seconds.", action: "Cancel it" }))) return;
    this.busy = verb;
    this.draw();
    try {
      this.take(await /** @type {any} */ (client)[verb](this.id));
      toast(ACTIONS[verb].done);
    } catch (error) {
      complain(error);
      client.get(this.id).then((operation) => this.take(operation), () => {});
    }
    this.busy = null;
    this.draw();
  }

  get tab() {
    const wanted = this.query.get("tab") ?? "";
    return TABS.some(([id]) => id === wanted) ? wanted : "";
  }

  /** @param {Operation} operation */
  renderTabs(operation) {
    keyed(this.tabs, TABS, ([id]) => id,
      ([id, label]) => h("button", { class: "tab", type: "button", role: "tab", "aria-controls": "panel", "data-testid": `tab-${id || "overview"}`, onclick: () => setQuery({ tab: id }) }, h("span", null, label), h("span", { class: "count" })),
      (node, [id]) => {
        setAttribute(node, "aria-selected", String(id === this.tab));
        setText(node.lastChild, id === "rejects" && operation.rejected ? number(operation.rejected) : "");
      });
  }

  /** @param {Operation} operation */
  renderPanel(operation) {
    const settled = isDone(operation.state) ? `${operation.state}${operation.attempt}` : operation.state;
    const key = { "": `overview ${settled}`, log: "log", rejects: `rejects ${isDone(operation.state)} ${operation.attempt}`, io: `io ${settled}` }[this.tab] ?? "";
    if (key === this.panelKey) return;
    this.panelKey = key;
    this.logging?.close();
    this.logging = null;
    const panel = { "": () => this.overview(operation), log: () => this.log(), rejects: () => rejectsPanel(operation), io: () => inputOutput(operation) }[this.tab] ?? (() => h("div"));
    replace(this.panel, panel());
  }

  /** @param {Operation} operation */
  overview(operation) {
    const show = operation.result ? resultOf(operation.name) : null;
    const summary = show ? show(operation.result, operation) : null;
    const fact = (/** @type {string} */ label, /** @type {any} */ value) => (value || value === 0 ? [h("dt", null, label), h("dd", null, value)] : null);
    const facts = h("dl", { class: "facts" },
      fact("Id", h("span", { class: "id" }, h("code", null, operation.id), h("button", { class: "button quiet icon-only", type: "button", "aria-label": "Copy the id", onclick: () => copy(operation.id, "Id") }, icon("copy")))),
      fact("Owner", operation.owner), fact("Attempt", `${operation.attempt} of ${operation.max_attempts}`),
      fact("Created", moment(operation.created_at)), fact("Started", operation.started_at && moment(operation.started_at)),
      fact("Finished", operation.finished_at && moment(operation.finished_at)),
      fact("Took", operation.finished_at && duration(elapsed(operation.started_at, operation.finished_at))),
      fact("Tags", operation.tags?.length ? operation.tags.join(", ") : null),
      fact("Part of", operation.parent_id && h("a", { href: href(`/operations/${operation.parent_id}`), "data-link": true }, operation.parent_id)),
      fact("Children", operation.children?.total ? `${operation.children.done} of ${operation.children.total} done, ${operation.children.failed} failed` : null));
    const files = h("div");
    if (operation.links?.artifacts) void artifacts(operation, files);
    return h("div", { class: "stack" }, summary, h("div", { class: "card" }, h("h2", null, "Details"), facts), files);
  }

  log() {
    const log = /** @type {import("../elements.js").LroLog} */ (h("lro-log"));
    const count = h("span", { class: "muted" });
    const choice = (/** @type {string} */ label, /** @type {boolean} */ on, /** @type {(on: boolean) => void} */ set, /** @type {string} */ test) =>
      h("label", { class: "check" }, h("input", { type: "checkbox", checked: on, "data-testid": test, onchange: (/** @type {any} */ event) => set(event.target.checked) }), label);
    log.addEventListener("drawn", (event) => setText(count, `${number(/** @type {CustomEvent} */ (event).detail)} events`));
    if (this.query.get("errors")) log.setAttribute("errors-only", "");
    this.logging = client.follow(this.id, { after: 0, onEvent: (event) => log.add([event]) });
    return h("div", { class: "card log-card" },
      h("div", { class: "log-tools" },
        choice("Errors only", log.hasAttribute("errors-only"), (on) => { log.toggleAttribute("errors-only", on); history.replaceState(null, "", withQuery("errors", on ? "1" : "")); }, "errors-only"),
        choice("Follow", true, (on) => { log.follow = on; if (on) log.add([]); }, "follow"), count,
        h("button", { class: "button small", type: "button", onclick: () => copy(log.text, "Log") }, icon("copy"), "Copy")),
      log);
  }

  /** Speaks on a change of state, and each 10 %. @param {Operation} operation */
  tell(operation) {
    const part = share(operation);
    const step = part === null ? "" : String(Math.floor(part / 10));
    const key = `${operation.state} ${isDone(operation.state) ? "" : step}`;
    if (key === this.told) return;
    this.told = key;
    announce([operation.name, stateWord(operation.state), isDone(operation.state) || part === null ? "" : percent(part)].filter(Boolean).join(", "));
  }
}

/** @param {string} name @param {string} value */
function withQuery(name, value) {
  const address = new URL(location.href);
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  return address;
}

/** @param {Operation} operation @param {Element} place */
async function artifacts(operation, place) {
  const page = await client.artifacts(operation.id).catch(() => null);
  if (!page?.results?.length) return;
  replace(place, h("div", { class: "card" }, h("h2", null, "Files"), h("ul", { class: "files" }, page.results.map((/** @type {any} */ file) =>
    h("li", { "data-testid": "artifact-row" }, icon("file"), h("span", null, file.name), h("span", { class: "muted" }, bytes(file.size)),
      file.links?.download ? h("button", { class: "button small", type: "button", onclick: () => download(file.links.download, file.name) }, icon("download"), "Download") : null)))));
}

/** @param {Operation} operation */
function rejectsPanel(operation) {
  const body = h("tbody");
  const more = h("button", { class: "button", type: "button", hidden: true }, "Show more");
  const note = h("p", { class: "muted pad" }, "Reading…");
  const table = h("table", { class: "table rejects", hidden: true },
    h("thead", null, h("tr", null, ["Line", "Column", "Problem", "Message", "Row as it is"].map((words) => h("th", { scope: "col" }, words)))), body);
  const path = `/operations/${encodeURIComponent(operation.id)}/rejects/`;
  const read = async (/** @type {string} */ address) => {
    more.disabled = true;
    try {
      const page = await client.read(address);
      for (const reject of page.results) body.append(rejectRow(reject));
      table.hidden = !body.children.length;
      setText(note, body.children.length ? "" : isDone(operation.state) ? "No rows were rejected." : "No rejected rows so far.");
      note.hidden = Boolean(body.children.length);
      more.hidden = !page.next;
      more.onclick = () => read(page.next);
    } catch (error) {
      setText(note, /** @type {Error} */ (error).message);
      complain(error);
    }
    more.disabled = false;
  };
  void read(path);
  return h("div", { class: "card" },
    h("div", { class: "log-tools" }, h("h2", null, "Rejected rows"), h("span", { class: "muted" }, isDone(operation.state) ? "" : "More may come while it runs."),
      h("button", { class: "button small", type: "button", "data-testid": "rejects-download", onclick: () => download(`${path}?format=csv`, `rejects-${operation.id}.csv`) }, icon("download"), "Download CSV")),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rejected rows" }, table), note, more);
}

/** @param {any} reject */
const rejectRow = (reject) => h("tr", { "data-testid": "reject-row", "data-code": reject.code },
  h("td", { class: "numeric" }, number(reject.position)), h("td", null, reject.column || "–"), h("td", null, h("span", { class: "tag", title: reject.code }, codeWords(reject.code))),
  h("td", null, reject.message), h("td", { class: "raw" }, h("code", null, reject.raw ?? "")));

/** @param {Operation} operation */
function inputOutput(operation) {
  const block = (/** @type {string} */ title, /** @type {any} */ value) => {
    const text = JSON.stringify(value, null, 2);
    return h("div", { class: "card" }, h("div", { class: "log-tools" }, h("h2", null, title), h("span"),
      h("button", { class: "button small", type: "button", "aria-label": `Copy ${title.toLowerCase()}`, onclick: () => copy(text, title) }, icon("copy"), "Copy")), h("pre", { class: "json", tabindex: "0" }, text));
  };
  return h("div", { class: "stack" }, block("Input", operation.input),
    operation.result ? block("Result", operation.result) : null, operation.error ? block("Error", operation.error) : null,
    !operation.result && !operation.error ? h("p", { class: "muted" }, "There is no output yet.") : null);
}
