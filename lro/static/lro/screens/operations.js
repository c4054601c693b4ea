/** The list of operations: tabs, search, live rows. */
import { framed, h, keyed, replace, setAttribute, setText } from "../dom.js";
import { ACTIVE, isDone, number, rate, subject } from "../format.js";
import { icon } from "../icons.js";
import { go, href, register, setQuery } from "../router.js";
import { client, complain, confirmed, copy, toast } from "../session.js";

/** @typedef {import("../client.js").Operation} Operation */

const TABS = [
  { id: "", label: "All", count: "all", states: /** @type {string[]} */ ([]) },
  { id: "running", label: "Running", count: "running", states: ACTIVE },
  { id: "failed", label: "Failed", count: "failed", states: ["failed", "expired"] },
  { id: "done", label: "Done", count: "done", states: ["succeeded", "cancelled"] },
];
const LINGER = 4000;

register({ path: "/", nav: { label: "Operations", icon: "list", order: 1 }, show: ({ query }) => new OperationsScreen(query).shown });

/** @param {Operation} operation */
const speed = (operation) => (operation.state === "running" ? rate(operation.progress?.rate, operation.progress?.unit) : "");

class OperationsScreen {
  /** @type {Map<string, Operation>} */ rows = new Map();
  /** @type {Map<string, Operation>} */ fresh = new Map();
  /** @type {string | null} */ next = null;
  loaded = false;
  selected = -1;
  counting = 0;
  reading = 0;

  /** @param {URLSearchParams} query */
  constructor(query) {
    this.query = query;
    this.draw = framed(() => this.render());
    this.list = h("ul", { class: "rows", "aria-label": "Operations" });
    this.note = h("div", { class: "list-note" });
    this.more = h("button", { class: "button", type: "button", hidden: true, onclick: () => this.load({ more: true }) }, "Show older");
    this.newer = h("button", { class: "button newer", type: "button", hidden: true, "data-testid": "show-new", onclick: () => this.showFresh() });
    this.search = h("input", { type: "search", placeholder: "Search", "aria-label": "Search operations", "data-testid": "search", oninput: () => this.searching() });
    this.tabs = h("div", { class: "tabs", role: "group", "aria-label": "Filter by state" });
    const title = h("div", { class: "page-head" }, h("h1", null, "Operations"), h("a", { class: "button primary", href: href("/upload"), "data-link": true }, icon("upload"), "Upload a file"));
    const tools = h("div", { class: "tools" }, this.tabs, h("label", { class: "search" }, icon("search"), this.search, h("kbd", null, "/")));
    const head = h("div", { class: "rows-head", "aria-hidden": "true" }, ["State", "Operation", "Progress", "Rate", "Elapsed", "Created"].map((words) => h("span", null, words)));
    this.head = head;
    this.node = h("section", { class: "page" }, title, tools, this.newer, h("div", { class: "card rows-card" }, head, this.list, this.note), this.more);
    this.mine = client.followMine({ onOperation: (operation, event) => this.take(operation, event) });
    this.unwatch = client.watchConnection(({ state }) => { if (state === "live" && this.loaded) void this.load(); });
    this.setPlace(query);
  }

  get shown() {
    return {
      title: "Operations", node: this.node,
      update: (/** @type {{query: URLSearchParams}} */ { query }) => this.setPlace(query),
      dispose: () => { this.mine.close(); this.unwatch(); clearTimeout(this.counting); clearTimeout(this.typing); },
      keys: { "/": () => this.search.focus(), j: () => this.select(1), k: () => this.select(-1), Enter: () => this.open(), c: () => this.cancel() },
    };
  }

  get tab() {
    return TABS.find((tab) => tab.id === (this.query.get("state") ?? "")) ?? TABS[0];
  }

  /** @param {URLSearchParams} query */
  setPlace(query) {
    this.query = query;
    const words = query.get("search") ?? "";
    if (document.activeElement !== this.search) this.search.value = words;
    this.rows.clear();
    this.fresh.clear();
    this.loaded = false;
    this.selected = -1;
    this.drawTabs();
    void this.load();
  }

  searching() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => setQuery({ search: this.search.value.trim() }), 250);
  }

  async load({ more = false } = {}) {
    const ticket = ++this.reading;
    try {
      const page = more && this.next ? await client.read(this.next)
        : await client.list({ state: this.tab.states.join(","), search: this.query.get("search"), name: this.query.get("name") });
      if (ticket !== this.reading) return;
      for (const operation of page.results) this.put(operation);
      if (more || !this.loaded || this.rows.size <= page.results.length) this.next = page.next;
      this.loaded = true;
      if (page.counts) this.counts = page.counts;
      this.drawTabs();
      this.draw();
    } catch (error) {
      if (ticket === this.reading && !this.loaded) {
        replace(this.note, h("div", { class: "empty" }, h("h2", null, "The list could not be read"), h("p", { class: "muted" }, /** @type {Error} */ (error).message), h("button", { class: "button", type: "button", onclick: () => this.load() }, "Try again")));
      }
    }
  }

  /** @param {Operation} operation */
  put(operation) {
    const known = this.rows.get(operation.id);
    if (!known || operation.sequence >= known.sequence) this.rows.set(operation.id, operation);
    this.fresh.delete(operation.id);
  }

  /** @param {Operation} operation */
  belongs(operation) {
    const words = (this.query.get("search") ?? "").toLowerCase();
    const name = this.query.get("name");
    if (name && operation.name !== name) return false;
    if (this.tab.states.length && !this.tab.states.includes(operation.state)) return false;
    return !words || `${operation.name} ${operation.id} ${subject(operation)}`.toLowerCase().includes(words);
  }

  /** @param {Operation} operation @param {any} event */
  take(operation, event) {
    const known = this.rows.get(operation.id);
    if (known) {
      this.put(operation);
      if (!this.belongs(operation) && isDone(operation.state) && known.state !== operation.state) setTimeout(() => this.drop(operation.id), LINGER);
    } else if (this.loaded && this.belongs(operation)) {
      if (this.quiet()) this.put(operation);
      else this.fresh.set(operation.id, operation);
    }
    if (known?.state !== operation.state) this.recount();
    this.draw();
  }

  /** Nobody reads in the list just now, so that a row may come in above. */
  quiet() {
    return scrollY < 40 && !this.list.matches(":hover, :focus-within") && this.selected < 0;
  }

  /** @param {string} id */
  drop(id) {
    const operation = this.rows.get(id);
    if (!operation || this.belongs(operation)) return;
    this.rows.delete(id);
    this.draw();
  }

  recount() {
    if (!this.loaded || this.counting) return;
    this.counting = window.setTimeout(async () => {
      this.counting = 0;
      await this.load();
    }, 700);
  }

  showFresh() {
    for (const operation of this.fresh.values()) this.put(operation);
    this.fresh.clear();
    this.draw();
  }

  drawTabs() {
    keyed(this.tabs, TABS, (tab) => tab.id,
      (tab) => h("button", { class: "tab", type: "button", "data-testid": `tab-${tab.count}`, onclick: () => setQuery({ state: tab.id }, { replace: false }) }, h("span", null, tab.label), h("span", { class: "count" })),
      (node, tab) => {
        setAttribute(node, "aria-pressed", String(tab === this.tab));
        setText(node.lastChild, this.counts ? number(this.counts[tab.count] ?? 0) : "");
      });
  }

  get ordered() {
    return [...this.rows.values()].sort((one, other) => (one.created_at < other.created_at ? 1 : one.created_at > other.created_at ? -1 : one.id < other.id ? 1 : -1));
  }

  render() {
    const ordered = this.ordered;
    keyed(this.list, ordered, (operation) => operation.id,
      (operation) => h("li", null, h("lro-operation", { class: "row", "data-testid": "operation-row", "data-operation-id": operation.id, href: href(`/operations/${operation.id}`) })),
      (node, operation) => node.firstChild.update(operation, subject(operation), speed(operation)));
    [...this.list.children].forEach((node, index) => node.firstChild.classList.toggle("selected", index === this.selected));
    this.newer.hidden = !this.fresh.size;
    setText(this.newer, `${this.fresh.size} new`);
    this.more.hidden = !this.next;
    this.head.hidden = !ordered.length;
    replace(this.note, this.loaded && !ordered.length ? this.emptyNote() : null);
  }

  emptyNote() {
    if (this.query.get("search") || this.tab.id) {
      return h("div", { class: "empty" }, icon("search"), h("h2", null, "Nothing matches"), h("p", { class: "muted" }, "No operation has this state and these words."),
        h("button", { class: "button", type: "button", onclick: () => { this.search.value = ""; go("/"); } }, "Show all"));
    }
    const line = `curl -H "Authorization: Bearer $TOKEN" -F file=@data.csv ${location.origin}/uploads/import`;
    return h("div", { class: "empty", "data-testid": "empty" }, icon("upload"), h("h2", null, "No operations yet"),
      h("p", { class: "muted" }, "Upload a file and watch it being imported, row by row."),
      h("a", { class: "button primary", href: href("/upload"), "data-link": true }, "Upload a file"),
      h("div", { class: "code-line" }, h("code", null, line), h("button", { class: "button quiet icon-only", type: "button", "aria-label": "Copy the command", onclick: () => copy(line, "Command") }, icon("copy"))));
  }

  /** @param {number} step */
  select(step) {
    if (!this.rows.size) return;
    this.selected = Math.max(0, Math.min(this.rows.size - 1, this.selected + step));
    this.render();
    this.list.children[this.selected].scrollIntoView({ block: "nearest" });
  }

  open() {
    const operation = this.ordered[this.selected];
    if (operation) go(`/operations/${operation.id}`);
  }

  async cancel() {
    const operation = this.ordered[this.selected];
    if (!operation || isDone(operation.state)) return;
    if (await confirmed({ title: `Cancel ${operation.name}?`, text: "It stops within seconds.", action: "Cancel it" })) {
      client.cancel(operation.id).then(() => toast("Cancel requested")).catch(complain);
    }
  }
}
