import { svg } from "./dom.js";

/** Strokes on a 16 × 16 grid. @type {Record<string, string>} */
const PATHS = {
  queued: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M8 4.75V8l2.25 1.5",
  waiting: "M4.5 2h7M4.5 14h7M5 2c0 4 6 4.5 6 12M11 2c0 4-6 4.5-6 12",
  running: "M8 1.75a6.25 6.25 0 1 0 6.25 6.25",
  retrying: "M13.5 8a5.5 5.5 0 1 1-1.7-3.97M13.5 1.75v3h-3",
  pausing: "M6 4v8M10 4v8",
  paused: "M6 4v8M10 4v8",
  cancelling: "M8 1.75a6.25 6.25 0 1 0 6.25 6.25M6 6l4 4M10 6l-4 4",
  cancelled: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M5 8h6",
  succeeded: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M5.25 8.25l1.9 1.9L10.9 6.2",
  failed: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M6 6l4 4M10 6l-4 4",
  expired: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M8 4.5v4M8 11v.2",
  list: "M2.5 4h11M2.5 8h11M2.5 12h7",
  upload: "M8 10.5V2.5M4.75 5.5L8 2.25l3.25 3.25M2.5 10.5v2a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1v-2",
  download: "M8 2.5v8M4.75 7.5L8 10.75l3.25-3.25M2.5 13.5h11",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9M10.5 10.5l3 3",
  close: "M4 4l8 8M12 4l-8 8",
  back: "M9.5 3.5L5 8l4.5 4.5",
  next: "M6.5 3.5L11 8l-4.5 4.5",
  file: "M4 1.75h5l3.25 3.25v8.25a1 1 0 0 1-1 1H4.75a1 1 0 0 1-1-1V2.75a1 1 0 0 1 1-1M9 2v3.25h3",
  copy: "M5.5 5.5h7.75v7.75H5.5zM3 10.5V3h7.5",
  warning: "M8 2.25l6.25 11.25H1.75zM8 6.5v3.25M8 11.5v.2",
  signout: "M6.5 2.5h-3a1 1 0 0 0-1 1v9a1 1 0 0 0 1 1h3M6.5 8h7M10.75 5.25L13.5 8l-2.75 2.75",
  theme: "M8 1.75a6.25 6.25 0 1 1 0 12.5a6.25 6.25 0 1 1 0-12.5M8 1.75v12.5M8 4.5h4.9M8 8h6.2M8 11.5h4.9",
  keyboard: "M1.75 4h12.5v8.25H1.75zM4.25 6.5h.1M6.75 6.5h.1M9.25 6.5h.1M11.75 6.5h.1M5 9.75h6",
};

/** @param {string} name @param {string} [className] */
export const icon = (name, className = "") =>
  svg("svg", { class: `icon icon-${name} ${className}`.trim(), viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: PATHS[name] ?? PATHS.queued }));

export const logo = () =>
  svg("svg", { class: "logo", viewBox: "0 0 32 32", "aria-hidden": "true" },
    svg("rect", { width: 32, height: 32, rx: 8 }),
    svg("path", { d: "M8 11h16M8 21h16", class: "logo-track" }),
    svg("path", { d: "M8 11h11M8 21h5", class: "logo-bar" }));
