/** The single-page app: its frame, who is signed in, and which screen shows. */
import "./elements.js";
import { h, keyed, replace, setAttribute, setText } from "./dom.js";
import { icon, logo } from "./icons.js";
import { here, href, onMove, screens, startRouting } from "./router.js";
import { client, onSignedOut } from "./session.js";
import { loginScreen } from "./screens/login.js";
import "./screens/operations.js";
import "./screens/operation.js";

const root = /** @type {HTMLElement} */ (document.getElementById("app"));
/** @type {import("./router.js").Shown | null} */
let shown = null;
/** @type {string | null} */
let shownAt = null;
/** @type {Element | null} */
let frame = null;

const nav = h("nav", { class: "nav", "aria-label": "Main" });
const main = h("main", { id: "main", tabindex: "-1" });
const badgeText = h("span");
const badge = h("div", { class: "connection", "data-testid": "connection", "data-state": "connecting", role: "status" }, h("i"), badgeText);

const THEMES = ["system", "light", "dark"];

function applyTheme() {
  const theme = localStorage.getItem("lro.theme") ?? "system";
  document.documentElement.style.colorScheme = theme === "system" ? "light dark" : theme;
  return theme;
}

function themeButton() {
  const button = h("button", { class: "button quiet icon-only", type: "button", onclick: () => {
    localStorage.setItem("lro.theme", THEMES[(THEMES.indexOf(applyTheme()) + 1) % THEMES.length]);
    label();
  } }, icon("theme"));
  const label = () => {
    const words = `Theme: ${applyTheme()}`;
    setAttribute(button, "aria-label", words);
    setAttribute(button, "title", words);
  };
  label();
  return button;
}

function buildFrame() {
  const help = h("button", { class: "button quiet icon-only", type: "button", title: "Keyboard (?)", "aria-label": "Keyboard shortcuts", onclick: showHelp }, icon("keyboard"));
  const leave = h("button", { class: "button quiet icon-only", type: "button", title: "Sign out", "aria-label": "Sign out", "data-testid": "logout", onclick: signOut }, icon("signout"));
  return h("div", { class: "frame" },
    h("a", { class: "skip", href: "#main" }, "Skip to the content"),
    h("header", { class: "side" },
      h("a", { class: "brand", href: href("/"), "data-link": true }, logo(), h("span", null, "Operations")),
      nav,
      h("div", { class: "side-foot" }, badge,
        h("div", { class: "user" }, h("span", { class: "avatar", "aria-hidden": "true" }, client.username.slice(0, 1).toUpperCase()), h("span", { class: "user-name" }, client.username), themeButton(), help, leave))),
    main);
}

function drawNav() {
  const current = here()?.screen;
  const entries = screens().filter((screen) => screen.nav).sort((one, other) => /** @type {any} */ (one.nav).order - /** @type {any} */ (other.nav).order);
  keyed(nav, entries, (screen) => screen.path,
    (screen) => h("a", { href: href(screen.path), "data-link": true }, icon(screen.nav?.icon ?? "list"), h("span", null, screen.nav?.label)),
    (node, screen) => setAttribute(node, "aria-current", current === screen || (screen.path === "/" && current && !current.nav) ? "page" : null));
}

function notFound() {
  return { title: "Not found", node: h("section", { class: "empty" }, h("h1", null, "There is no such page"), h("a", { class: "button", href: href("/"), "data-link": true }, "To the operations")) };
}

function draw() {
  if (!client.signedIn) return drawLogin();
  if (!frame) {
    frame = buildFrame();
    replace(root, frame);
    client.connect();
  }
  drawNav();
  const found = here();
  const at = found ? location.pathname : null;
  if (shown && at !== null && at === shownAt) return shown.update?.(/** @type {any} */ (found).place);
  shown?.dispose?.();
  shownAt = at;
  shown = found ? found.screen.show(found.place) : notFound();
  document.title = shown.title;
  replace(main, shown.node);
  if (document.activeElement === document.body) main.focus({ preventScroll: true });
}

function drawLogin() {
  shown?.dispose?.();
  shown = frame = shownAt = null;
  document.title = "Sign in";
  replace(root, loginScreen(draw));
}

function signOut() {
  client.logout();
  draw();
}

const SHORTCUTS = [["/", "Search"], ["j  k", "Next, previous row"], ["Enter", "Open the row"], ["c", "Cancel the operation"], ["?", "This help"]];

function showHelp() {
  const dialog = h("dialog", { class: "dialog", "aria-label": "Keyboard shortcuts" },
    h("form", { method: "dialog" }, h("h2", null, "Keyboard"),
      h("dl", { class: "shortcuts" }, SHORTCUTS.map(([keys, words]) => [h("dt", null, keys.split("  ").map((key) => h("kbd", null, key))), h("dd", null, words)])),
      h("div", { class: "dialog-actions" }, h("button", { class: "button" }, "Close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** @type {Record<string, string>} */
const CONNECTION_WORDS = { idle: "Connecting", connecting: "Connecting", live: "Live", polling: "Polling every 2 s" };

function drawConnection() {
  const { state, retryAt } = client.connection;
  setAttribute(badge, "data-state", state === "idle" ? "connecting" : state);
  const seconds = retryAt ? Math.ceil((retryAt - Date.now()) / 1000) : 0;
  setText(badgeText, state === "reconnecting" ? (seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting") : CONNECTION_WORDS[state]);
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.metaKey || event.ctrlKey || event.altKey || target.closest("input, textarea, select, dialog, [contenteditable]")) return;
  if (event.key === "Enter" && target.closest("a, button, summary")) return;
  const action = event.key === "?" ? showHelp : shown?.keys?.[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

applyTheme();
client.watchConnection(drawConnection);
setInterval(() => { if (client.connection.retryAt) drawConnection(); }, 500);
onSignedOut(draw);
onMove(draw);
startRouting();
draw();
