/** The Django admin, live by the session cookie: bars and states on any page, events on the page of one operation. */
import "./elements.js";
import { LroClient } from "./client.js";
import { h } from "./dom.js";
import { clock, describe, moment, stateWord } from "./format.js";

/** @typedef {import("./client.js").Operation} Operation */

const client = new LroClient({ tokens: null });
const tables = /** @type {NodeListOf<HTMLTableElement>} */ (document.querySelectorAll("table[data-lro-events][data-operation-id]"));
const bars = /** @type {NodeListOf<import("./elements.js").LroProgress>} */ (document.querySelectorAll("lro-progress[operation-id]"));
const badges = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-lro-state][data-operation-id]"));

/** @param {Operation} operation */
function show(operation) {
  for (const bar of bars) if (bar.getAttribute("operation-id") === operation.id) bar.update(operation);
  for (const badge of badges) {
    if (badge.dataset.operationId !== operation.id) continue;
    badge.dataset.lroState = operation.state;
    badge.textContent = stateWord(operation.state);
  }
}

/** @param {HTMLTableElement} table @param {import("./client.js").OperationEvent} event */
function append(table, event) {
  const body = table.tBodies[0] ?? table.createTBody();
  body.append(h("tr", { "data-testid": "event-row", "data-sequence": event.sequence },
    h("td", null, event.sequence), h("td", { title: moment(event.time) }, clock(event.time)), h("td", null, event.kind), h("td", null, describe(event))));
}

/** One subscription for a whole list: a socket takes a few dozen at most. */
if (!tables.length && (bars.length || badges.length)) client.followAll({ onOperation: show });
for (const table of tables) {
  client.follow(table.dataset.operationId ?? "", { after: Number(table.dataset.after ?? 0), onState: show, onEvent: (event) => append(table, event) });
}
