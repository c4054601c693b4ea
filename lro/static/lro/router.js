/**
 * Paths to screens, by the History API. A module's script registers its own screens.
 *
 * @typedef {{params: Record<string, string>, query: URLSearchParams}} Place
 * @typedef {{title: string, node: Element, update?: (place: Place) => void, dispose?: () => void, keys?: Record<string, () => void>}} Shown
 * @typedef {object} Screen
 * @property {string} path "/operations/:id", below the root of the app
 * @property {{label: string, icon: string, order: number}} [nav]
 * @property {(place: Place) => Shown} show
 */

/** @type {Screen[]} */
const SCREENS = [];
/** @type {(() => void)[]} */
const LISTENERS = [];
const ROOT = (globalThis.document?.documentElement.dataset.root ?? "/app").replace(/\/$/, "");

/** @param {Screen} screen */
export function register(screen) {
  SCREENS.push(screen);
  LISTENERS.forEach((listener) => listener());
}

export const screens = () => SCREENS;

/** @param {() => void} listener */
export const onMove = (listener) => LISTENERS.push(listener);

/** @param {string} path */
export const href = (path) => ROOT + path;

/** @param {string} pattern @param {string} path @returns {Record<string, string> | null} */
export function match(pattern, path) {
  const wanted = pattern.split("/").filter(Boolean);
  const given = path.split("/").filter(Boolean);
  if (wanted.length !== given.length) return null;
  /** @type {Record<string, string>} */
  const params = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = decodeURIComponent(given[index]);
    else if (part !== given[index]) return null;
  }
  return params;
}

/** @returns {{screen: Screen, place: Place} | null} */
export function here() {
  const path = location.pathname.startsWith(ROOT) ? location.pathname.slice(ROOT.length) : location.pathname;
  for (const screen of SCREENS) {
    const params = match(screen.path, path);
    if (params) return { screen, place: { params, query: new URLSearchParams(location.search) } };
  }
  return null;
}

/** @param {string} path below the root @param {{replace?: boolean}} [options] */
export function go(path, { replace = false } = {}) {
  const target = href(path);
  if (target === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  LISTENERS.forEach((listener) => listener());
}

/** Changes the query and keeps the place; empty values leave it. @param {Record<string, string>} changes */
export function setQuery(changes, { replace = true } = {}) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  go(`${location.pathname.slice(ROOT.length)}${query.size ? `?${query}` : ""}`, { replace });
}

export function startRouting() {
  addEventListener("popstate", () => LISTENERS.forEach((listener) => listener()));
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = /** @type {HTMLAnchorElement | null} */ (/** @type {Element} */ (event.target).closest("a[data-link]"));
    if (!link || link.origin !== location.origin || link.target) return;
    event.preventDefault();
    go(link.pathname.slice(ROOT.length) + link.search);
    scrollTo(0, 0);
  });
}
