// Words, numbers and times in the reader's language. Strings lie in de.json and en.json, with equal keys.
import { local } from "./store.js";

export const LANGUAGES = ["de", "en"];
let strings = {};
let lang = "en";
let plural;
let cache = new Map();

const wanted = () => {
  const kept = local.get("lang");
  if (LANGUAGES.includes(kept)) return kept;
  return (navigator.language || "en").toLowerCase().startsWith("de") ? "de" : "en";
};

export const language = () => lang;

export async function setLanguage(next = wanted()) {
  const response = await fetch(`/static/common/${next}.json`);
  if (!response.ok) throw new Error(`strings of ${next} came with status ${response.status}`);
  strings = await response.json();
  lang = next;
  plural = new Intl.PluralRules(next);
  cache = new Map();
  document.documentElement.lang = next;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
}

export async function switchLanguage() {
  const next = lang === "de" ? "en" : "de";
  local.set("lang", next);
  await setLanguage(next);
}

// A key with `n` among its values chooses key.one or key.other.
export function t(key, values) {
  const at = values && "n" in values && !(key in strings) ? `${key}.${plural.select(values.n)}` : key;
  const text = strings[at] ?? strings[`${key}.other`] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (_, name) => (typeof values[name] === "number" ? number(values[name]) : values[name])) : text;
}

export const known = (key) => key in strings;

// A word from an open list, such as a platform's name: translated where we know it, else as it came.
export const word = (group, value) => strings[`${group}.${value}`] ?? String(value).replaceAll("_", " ");

const made = (kind, options) => {
  const key = kind.name + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new kind(lang, options));
  return cache.get(key);
};

export const number = (value, options = {}) => made(Intl.NumberFormat, options).format(value);
export const compact = (value) => number(value, { notation: "compact", maximumFractionDigits: 1 });
export const percent = (share, digits = 0) =>
  number(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
export const clockTime = (at) => made(Intl.DateTimeFormat, { hour: "numeric", minute: "2-digit" }).format(at);
export const clockSeconds = (at) => made(Intl.DateTimeFormat, { timeStyle: "medium" }).format(at);

export function dayTime(at, now) {
  const sameDay = new Date(at).toDateString() === new Date(now).toDateString();
  return sameDay ? clockTime(at) : made(Intl.DateTimeFormat, { dateStyle: "short", timeStyle: "short" }).format(at);
}

export function languageName(code) {
  try {
    return made(Intl.DisplayNames, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

const two = (value) => String(value).padStart(2, "0");

// 42 s, 4:05, 3 h 20, 2 d 4 h: as much as one can act on.
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (s < 86_400) return `${Math.floor(s / 3600)} ${t("unit.h")} ${two(Math.floor(s / 60) % 60)}`;
  return `${Math.floor(s / 86_400)} ${t("unit.d")} ${Math.floor(s / 3600) % 24} ${t("unit.h")}`;
}
