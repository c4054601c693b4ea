/** What the screens of the app share: the one client, toasts, spoken words and the question before a deed. */
import { LroClient, Problem, SignedOut, storedTokens } from "./client.js";
import { h, setText } from "./dom.js";
import { icon } from "./icons.js";

/** @type {Set<() => void>} */
const SIGN_OUTS = new Set();

export const client = new LroClient({
  tokens: storedTokens("lro.tokens", sessionStorage),
  onSignedOut: () => SIGN_OUTS.forEach((listener) => listener()),
});

/** @param {() => void} listener */
export const onSignedOut = (listener) => SIGN_OUTS.add(listener);

const toasts = h("div", { class: "toasts", role: "region", "aria-label": "Notices" });
const spoken = h("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
document.body.append(toasts, spoken);

/** @param {string} words */
export const announce = (words) => setText(spoken, words);

/** @param {string} message @param {"plain" | "success" | "error"} [kind] */
export function toast(message, kind = "plain") {
  const symbol = { plain: "list", success: "succeeded", error: "failed" }[kind];
  const close = h("button", { class: "button quiet icon-only", type: "button", "aria-label": "Dismiss", onclick: () => note.remove() }, icon("close"));
  const note = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : "status" }, icon(symbol), h("span", null, message), close);
  toasts.append(note);
  while (toasts.children.length > 4) toasts.firstElementChild?.remove();
  setTimeout(() => note.remove(), kind === "error" ? 9000 : 5000);
}

/** Says what went wrong, but for a lost session: the login screen says that. @param {unknown} error */
export function complain(error) {
  if (error instanceof SignedOut) return;
  if (!(error instanceof Error)) throw error;
  const details = error instanceof Problem ? error.errors.map((one) => one.message).filter((words) => words && words !== error.message) : [];
  toast([error.message, ...details.slice(0, 2)].join(" "), "error");
}

/**
 * @param {{title: string, text: string, action: string, keep?: string}} question
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, action, keep = "Keep it running" }) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "question-title" },
      h("form", { method: "dialog" }, h("h2", { id: "question-title" }, title), h("p", null, text),
        h("div", { class: "dialog-actions" },
          h("button", { class: "button", value: "no" }, keep),
          h("button", { class: "button danger", value: "yes", "data-testid": "confirm-yes" }, action))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** @param {string} path @param {string} name */
export async function download(path, name) {
  try {
    const answer = await client.request(path, { headers: { Accept: "*/*" } });
    const named = /filename="?([^";]+)"?/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1];
    const address = URL.createObjectURL(await answer.blob());
    const link = h("a", { href: address, download: named ?? name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  } catch (error) {
    complain(error);
  }
}

/** @param {string} text @param {string} what */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`, "success");
  } catch {
    toast(`${what} could not be copied: the browser does not allow it`, "error");
  }
}

/** @type {Map<string, (result: any, operation: import("./client.js").Operation) => Element>} */
const RESULTS = new Map();

/** How a module shows the result of its operation. @param {string} name @param {(result: any, operation: import("./client.js").Operation) => Element} show */
export const registerResult = (name, show) => RESULTS.set(name, show);

/** @param {string} name */
export const resultOf = (name) => RESULTS.get(name);
