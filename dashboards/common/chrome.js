// What every page has at its head: the mark, language and theme, the state of its connection.
import { html, nothing, svg } from "../vendor/lit-html-3.3.3/lit-html.js";
import { language, switchLanguage, t } from "./i18n.js";
import { local } from "./store.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();
export const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
export const onTheme = (listener) => listeners.add(listener);
dark.addEventListener("change", () => listeners.forEach((listener) => listener()));

export function switchTheme() {
  const next = isDark() ? "light" : "dark";
  // Back at the system's own choice, follow the system again.
  if ((next === "dark") === dark.matches) {
    delete document.documentElement.dataset.theme;
    local.set("theme", null);
  } else {
    document.documentElement.dataset.theme = next;
    local.set("theme", next);
  }
  listeners.forEach((listener) => listener());
}

// A colour as the canvas needs it: light-dark() is resolved by the browser, on an element.
export function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const paths = {
  sun: "M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.7 1.4-1.4M4.9 19.1l1.4-1.4m0-11.4L4.9 4.9m14.2 14.2-1.4-1.4M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8Z",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  back: "m14 6-6 6 6 6",
  out: "M14 4h6v6M20 4l-9 9M17 14v5H5V7h5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  cross: "m6 6 12 12M18 6 6 18",
  send: "M4 12 20 4l-4 16-4.5-6.5L4 12Z",
  verified: "m8 12.3 2.8 2.7L16 9.5M12 3l2.4 1.8 3-.1.9 2.9 2.5 1.7-1 2.7 1 2.8-2.5 1.7-.9 2.9-3-.1L12 21l-2.4-1.7-3 .1-.9-2.9-2.5-1.7 1-2.8-1-2.7 2.5-1.7.9-2.9 3 .1L12 3Z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Zm9.5 2.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6Z",
  pen: "m4 20 1-4.5L16.5 4 20 7.5 8.5 19 4 20Zm10.5-14 3.5 3.5",
  bell: "M6 16.5V11a6 6 0 1 1 12 0v5.5l1.5 2h-15l1.5-2ZM10 21h4",
  exit: "M14 4H6v16h8M10 12h10m-3.5-4 4 4-4 4",
};

export const icon = (name) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${svg`<path d=${paths[name]} />`}</svg>`;

export const mark = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
  <path class="bubble" d="M8 3h16a6 6 0 0 1 6 6v11a6 6 0 0 1-6 6H14.5L8 30.5V26a6 6 0 0 1-6-6V9a6 6 0 0 1 6-6Z"></path>
  <path d="M11.5 9.8h9l-9 9.6h9"></path>
</svg>`;

export const toggles = (redraw) => html`
  <button class="quiet small" lang=${language() === "de" ? "en" : "de"} @click=${async () => { await switchLanguage(); redraw(); }}
    aria-label=${t("chrome.language")} title=${t("chrome.language")}>${language() === "de" ? "EN" : "DE"}</button>
  <button class="quiet small" @click=${() => { switchTheme(); redraw(); }}
    aria-label=${t(isDark() ? "chrome.light" : "chrome.dark")} title=${t(isDark() ? "chrome.light" : "chrome.dark")}>${icon(isDark() ? "sun" : "moon")}</button>`;

// The one line that nobody may overlook: the page shows what was, not what is.
export const banner = (state, reason, retry) => {
  if (state === "lost") {
    return html`<div class="banner lost" role="status"><span class="pulse" aria-hidden="true"></span>
      <span>${t("link.lost")}</span><button class="link" @click=${retry}>${t("link.now")}</button></div>`;
  }
  if (state === "stopped" && reason) {
    return html`<div class="banner stopped" role="alert"><span>${t(`link.${reason}`)}</span>
      <button class="link" @click=${() => location.reload()}>${t("link.reload")}</button></div>`;
  }
  return nothing;
};
