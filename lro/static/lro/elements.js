/**
 * Custom elements in the light DOM. Each enhances what the server rendered, or builds itself.
 * @typedef {import("./client.js").Operation} Operation
 * @typedef {import("./client.js").OperationEvent} OperationEvent
 */
import { framed, h, keyed, replace, setAttribute, setText } from "./dom.js";
import { amount, clock, describe, duration, elapsed, isDone, moment, percent, relative, share, stateWord, tone } from "./format.js";
import { icon } from "./icons.js";

/** `<lro-progress operation-id data-state value max>`: a bar and its percentage. */
export class LroProgress extends HTMLElement {
  static observedAttributes = ["value", "max", "data-state"];
  /** @type {HTMLProgressElement | null} */ #bar = null;
  /** @type {HTMLElement | null} */ #text = null;
  #draw = framed(() => this.#render());

  connectedCallback() {
    const bar = this.querySelector("progress") ?? this.appendChild(h("progress", { max: 100 }));
    const text = this.querySelector("span") ?? this.appendChild(h("span"));
    text.classList.add("lro-progress-text");
    [this.#bar, this.#text] = [bar, text];
    const testId = this.getAttribute("bar-testid");
    if (testId) bar.dataset.testid = testId;
    setAttribute(bar, "aria-label", this.getAttribute("label") ?? "Progress");
    if (this.hasAttribute("data-state")) this.#render();
  }

  attributeChangedCallback() {
    if (this.#bar) this.#draw();
  }

  /** @param {Operation} operation */
  update(operation) {
    const part = share(operation);
    setAttribute(this, "max", "100");
    setAttribute(this, "value", part === null ? null : String(Math.round(part * 100) / 100));
    setAttribute(this, "data-state", operation.state);
  }

  #render() {
    if (!this.#bar || !this.#text) return;
    const max = Number(this.getAttribute("max")) || 100;
    const written = this.getAttribute("value");
    const value = written === null || written === "" ? null : Number(written);
    const state = this.dataset.state ?? "";
    this.#bar.max = max;
    if (value !== null) this.#bar.value = value;
    else if (state === "running" || state === "cancelling" || state === "pausing") this.#bar.removeAttribute("value");
    else this.#bar.value = 0;
    setText(this.#text, value === null ? "" : percent((100 * value) / max));
  }
}

/** `<lro-state state>`: icon and word. */
export class LroState extends HTMLElement {
  static observedAttributes = ["state"];

  connectedCallback() {
    this.attributeChangedCallback();
  }

  attributeChangedCallback() {
    const state = this.getAttribute("state") ?? "";
    if (!this.isConnected || this.dataset.state === state) return;
    this.dataset.state = state;
    replace(this, icon(state), h("span", { class: "state-word" }, stateWord(state)));
  }
}

/** @type {Set<LroTime>} */
const TICKING = new Set();
/** @type {any} */
let ticker = null;

/** `<lro-time start [end]>` counts the time between; `<lro-time at>` says how long ago. */
export class LroTime extends HTMLElement {
  static observedAttributes = ["start", "end", "at"];

  connectedCallback() {
    TICKING.add(this);
    ticker ??= setInterval(() => TICKING.forEach((time) => time.tick()), 1000);
    this.tick();
  }

  disconnectedCallback() {
    TICKING.delete(this);
    if (TICKING.size) return;
    clearInterval(ticker);
    ticker = null;
  }

  attributeChangedCallback() {
    if (this.isConnected) this.tick();
  }

  tick() {
    const at = this.getAttribute("at");
    if (at) {
      setText(this, relative(at));
      setAttribute(this, "title", moment(at));
      return;
    }
    const end = this.getAttribute("end");
    const seconds = elapsed(this.getAttribute("start"), end);
    setText(this, duration(seconds !== null && !end ? Math.max(1, Math.floor(seconds)) : seconds));
  }
}

/** `<lro-operation>`: a row of a list; `update(operation)` patches it in place. */
export class LroOperation extends HTMLElement {
  /** @param {Operation} operation @param {string} subtitle @param {string} speed */
  update(operation, subtitle, speed) {
    if (!this.firstChild) this.#build(operation);
    const find = (/** @type {string} */ part) => /** @type {any} */ (this.querySelector(part));
    setAttribute(this, "data-state", operation.state);
    setAttribute(find("lro-state"), "state", operation.state);
    setText(find(".row-subtitle"), subtitle);
    find("lro-progress").update(operation);
    setText(find(".row-amount"), operation.state === "failed" ? operation.error?.message ?? "" : amount(operation.progress));
    setText(find(".row-rate"), isDone(operation.state) ? "" : speed);
    const time = find(".row-elapsed");
    setAttribute(time, "start", operation.started_at);
    setAttribute(time, "end", operation.finished_at);
    setAttribute(find(".row-ago"), "at", operation.created_at);
  }

  /** @param {Operation} operation */
  #build(operation) {
    const link = h("a", { class: "row-link", href: this.getAttribute("href") ?? "#", "data-link": true },
      h("span", { class: "row-name" }, operation.name), h("span", { class: "row-subtitle" }));
    this.append(h("lro-state"), h("div", { class: "row-title" }, link),
      h("div", { class: "row-progress" }, h("lro-progress", { "operation-id": operation.id, label: `Progress of ${operation.name}` }), h("span", { class: "row-amount" })),
      h("span", { class: "row-rate" }), h("lro-time", { class: "row-elapsed", title: "Time taken" }), h("lro-time", { class: "row-ago" }));
  }
}

/** The newest events that a log keeps on the page. */
const KEPT_EVENTS = 3000;

/** `<lro-log>`: the events of one operation; `add(events)` appends. Filters by the `errors-only` attribute. */
export class LroLog extends HTMLElement {
  static observedAttributes = ["errors-only"];
  /** @type {OperationEvent[]} */ #events = [];
  follow = true;
  #draw = framed(() => this.#render());
  /** @type {HTMLElement | null} */ #list = null;

  connectedCallback() {
    this.#list ??= this.appendChild(h("ol", { class: "log", tabindex: "0", "aria-label": "Events" }));
    this.#draw();
  }

  attributeChangedCallback() {
    this.#draw();
  }

  /** @param {OperationEvent[]} events */
  add(events) {
    this.#events.push(...events);
    if (this.#events.length > KEPT_EVENTS) this.#events.splice(0, this.#events.length - KEPT_EVENTS);
    this.#draw();
  }

  get shown() {
    const errors = this.hasAttribute("errors-only");
    return errors ? this.#events.filter((event) => ["error", "warning"].includes(tone(event))) : this.#events;
  }

  /** The log as plain text, for the clipboard. */
  get text() {
    return this.shown.map((event) => [event.sequence, event.time, event.kind, describe(event)].join("\t")).join("\n");
  }

  #render() {
    const list = this.#list;
    if (!list) return;
    const shown = this.shown;
    keyed(list, shown, (event) => event.sequence, (event) =>
      h("li", { class: "log-row", "data-testid": "event-row", "data-sequence": event.sequence, "data-kind": event.kind, "data-tone": tone(event) },
        h("span", { class: "log-sequence" }, event.sequence), h("time", { datetime: event.time, title: moment(event.time) }, clock(event.time)),
        h("span", { class: "log-kind" }, event.kind), h("span", { class: "log-text" }, describe(event))));
    if (this.follow) list.scrollTop = list.scrollHeight;
    this.dispatchEvent(new CustomEvent("drawn", { detail: shown.length }));
  }
}

for (const [name, element] of /** @type {[string, any][]} */ ([
  ["lro-progress", LroProgress], ["lro-state", LroState], ["lro-time", LroTime], ["lro-operation", LroOperation], ["lro-log", LroLog],
])) if (!customElements.get(name)) customElements.define(name, element);
