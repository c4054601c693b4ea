/** The result of an import: what came in, what did not, and what the columns are. */
import { h } from "../lro/dom.js";
import { bytes, codeWords, duration, number } from "../lro/format.js";
import { icon } from "../lro/icons.js";
import { href } from "../lro/router.js";
import { download, registerResult } from "../lro/session.js";

/** @type {Record<string, string>} */
const DELIMITERS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "space" };

/** @param {any} result @param {import("../lro/client.js").Operation} operation */
export function importSummary(result, operation) {
  const figure = (/** @type {string} */ label, /** @type {any} */ value, /** @type {any} */ props = {}) => h("div", { class: "figure" }, h("dt", null, label), h("dd", props, value));
  const facts = [result.encoding && `Encoding ${result.encoding}`, result.delimiter && `Delimiter ${DELIMITERS[result.delimiter] ?? result.delimiter}`, result.seconds !== undefined && `Took ${duration(result.seconds)}`];
  return h("div", { class: "stack", "data-testid": "import-summary" },
    h("div", { class: "card" }, h("h2", null, "Imported"),
      h("dl", { class: "figures" },
        figure("Rows", number(result.rows), { "data-testid": "summary-rows", "data-value": result.rows }),
        figure("Rejected", number(result.rejected), { "data-testid": "summary-rejected", "data-value": result.rejected, class: result.rejected ? "warn" : "" }),
        figure("Stored", bytes(result.bytes)), figure("Columns", number(result.columns?.length))),
      h("p", { class: "muted" }, facts.filter(Boolean).join(" · ")),
      (result.warnings ?? []).map((/** @type {any} */ warning) => h("p", { class: "warning" }, icon("warning"), typeof warning === "string" ? warning : warning.message ?? JSON.stringify(warning)))),
    result.rejected ? rejected(result, operation) : null,
    result.columns?.length ? columns(result.columns) : null,
    result.sha256 ? h("p", { class: "muted checksum" }, "SHA-256 ", h("code", null, result.sha256)) : null);
}

/** @param {any} result @param {import("../lro/client.js").Operation} operation */
function rejected(result, operation) {
  const codes = Object.entries(result.reject_codes ?? {}).sort((one, other) => Number(other[1]) - Number(one[1]));
  const most = Math.max(1, ...codes.map(([, count]) => Number(count)));
  return h("div", { class: "card" },
    h("div", { class: "log-tools" }, h("h2", null, "Why rows were rejected"), h("span"),
      h("a", { class: "button small", href: href(`/operations/${operation.id}?tab=rejects`), "data-link": true }, "Show rows"),
      h("button", { class: "button small", type: "button", onclick: () => download(`/operations/${operation.id}/rejects/?format=csv`, `rejects-${operation.id}.csv`) }, icon("download"), "Download CSV")),
    h("ul", { class: "bars" }, codes.map(([code, count]) => h("li", null, h("span", { title: code }, codeWords(code)),
      h("span", { class: "bar" }, h("i", { style: { width: `${Math.max(1, (100 * Number(count)) / most)}%` } })), h("span", { class: "numeric" }, number(Number(count)))))));
}

/** @param {{name: string, type: string}[]} list */
function columns(list) {
  return h("div", { class: "card" }, h("h2", null, "Columns"),
    h("div", { class: "scroll capped", tabindex: "0", role: "region", "aria-label": "Columns" },
      h("table", { class: "table", "data-testid": "summary-columns" }, h("thead", null, h("tr", null, ["", "Name", "Type"].map((words) => h("th", { scope: "col" }, words)))),
        h("tbody", null, list.map((column, index) => h("tr", null, h("td", { class: "numeric muted" }, index + 1), h("td", null, h("code", null, column.name)), h("td", null, h("span", { class: "tag" }, column.type))))))));
}

registerResult("uploads.import", importSummary);
