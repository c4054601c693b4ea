/**
 * Builds and patches nodes; never parses markup.
 * @typedef {Node | string | number | null | undefined | false} Leaf
 * @typedef {Leaf | Leaf[] | (Leaf | Leaf[] | (Leaf | Leaf[])[])[]} Child
 * @typedef {Record<string, any>} Props
 */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "disabled", "open", "indeterminate", "files", "hidden"]);

/**
 * @template {Element} E
 * @param {E} node
 * @param {Props | null | undefined} props
 * @returns {E}
 */
function assign(node, props) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name.startsWith("on") && typeof value === "function") {
      node.addEventListener(name.slice(2).toLowerCase(), value);
    } else if (name === "style") {
      for (const [property, setting] of Object.entries(value)) /** @type {any} */ (node).style.setProperty(property, setting);
    } else if (PROPERTIES.has(name) && name in node && node.namespaceURI !== SVG) {
      if (value !== undefined && value !== null) /** @type {any} */ (node)[name] = value;
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  return node;
}

/** @param {Child[]} children @returns {(Node | string)[]} */
function flat(children) {
  return /** @type {any[]} */ (children.flat(Infinity))
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

/**
 * @param {string} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  node.append(...flat(children));
  return assign(node, props);
}

/**
 * @param {string} tag
 * @param {Props | null} [props]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, props, ...children) {
  const node = document.createElementNS(SVG, tag);
  assign(node, props).append(...flat(children));
  return node;
}

/** @param {Element} parent @param {...Child} children */
export function replace(parent, ...children) {
  parent.replaceChildren(...flat(children));
}

/** @param {Node} node @param {string} value */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

/** @param {Element} node @param {string} name @param {string | null | undefined} value */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** @type {WeakMap<Element, Map<any, Element>>} */
const KEPT = new WeakMap();

/**
 * Makes the children of `parent` match `items`, keeping the node of each key.
 * @template T
 * @param {Element} parent
 * @param {Iterable<T>} items
 * @param {(item: T) => any} key
 * @param {(item: T) => Element} create
 * @param {(node: any, item: T) => void} [update]
 */
export function keyed(parent, items, key, create, update) {
  const before = KEPT.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const id = key(item);
    const node = before.get(id) ?? create(item);
    after.set(id, node);
    update?.(node, item);
  }
  for (const [id, node] of before) if (after.get(id) !== node) node.remove();
  /** @type {ChildNode | null} */
  let cursor = parent.firstChild;
  for (const node of after.values()) {
    if (cursor && node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
  }
  KEPT.set(parent, after);
}

/**
 * Runs `draw` at most once an animation frame; in a hidden tab, where frames rest, once a second.
 * @param {() => void} draw
 * @returns {() => void}
 */
export function framed(draw) {
  let pending = false;
  return () => {
    if (pending) return;
    pending = true;
    let frame = 0;
    let timer = 0;
    const run = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      pending = false;
      draw();
    };
    frame = requestAnimationFrame(run);
    timer = window.setTimeout(run, 1000);
  };
}
