// A customer's page: choose a brand, say a name, write, and read what a person answers.
import { html, nothing, render } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { chatBrands } from "../common/api.js";
import { banner, icon, onTheme, toggles } from "../common/chrome.js";
import { dayTime, setLanguage, t } from "../common/i18n.js";
import { newId } from "../common/ids.js";
import { Link } from "../common/link.js";
import { session } from "../common/store.js";

const TEXT_MAX = 4000; // Code points; the other side refuses more.
const AGAIN_MS = 3000;
const UNSENT_MAX = 50;

const root = document.getElementById("app");
const ui = {
  brands: null,
  fault: false,
  gone: false,
  chosen: null, // {tenant, brand_id, name}
  name: session.get("chat.name") ?? "",
  link: null,
  connection: "none",
  reason: "",
  lines: [], // {id, at, by, text, state}; state of the customer's own: sending, delivered, refused
  text: "",
};

// -- conversation -------------------------------------------------------------------------------------------------

async function loadBrands() {
  try {
    ui.brands = await chatBrands();
    ui.chosen ??= ui.brands.length === 1 ? ui.brands[0] : null;
    ui.fault = false;
  } catch {
    ui.fault = true;
    setTimeout(loadBrands, AGAIN_MS);
  }
  draw();
}

function begin() {
  if (!ui.chosen || !ui.name.trim()) return;
  ui.gone = false;
  session.set("chat.name", ui.name.trim());
  session.set("chat.brand", JSON.stringify(ui.chosen));
  connect();
}

function connect() {
  ui.link = new Link({
    path: "/chat/ws",
    first: "chat_welcome",
    hello: () => ({
      type: "chat_hello",
      tenant: ui.chosen.tenant,
      brand_id: ui.chosen.brand_id,
      name: ui.name.trim(),
      conversation: session.get("chat.conversation") ?? "",
    }),
    onFrame: hear,
    onState: (connection, reason = "") => {
      Object.assign(ui, { connection, reason });
      draw();
    },
  });
  ui.link.open();
}

function hear(frame) {
  if (frame.type === "chat_welcome") welcomed(frame);
  else if (frame.type === "chat_line") put({ ...frame, state: "delivered" });
  else if (frame.type === "chat_received") mark(frame.id, { state: "delivered" });
  else if (frame.type === "chat_error" && !frame.id && !ui.link.welcomed) turnedAway();
  else if (frame.type === "chat_error") mark(frame.id, { state: "refused", error: frame.message });
  draw();
}

// The other side's account of the conversation holds; what it does not have yet is said again, by the same id.
function welcomed(frame) {
  session.set("chat.conversation", frame.conversation);
  const known = new Set((frame.lines ?? []).map((line) => line.id));
  const unsent = ui.lines.filter((line) => line.state === "sending" && !known.has(line.id));
  ui.lines = [...(frame.lines ?? []).map((line) => ({ ...line, state: "delivered" })), ...unsent];
  for (const line of unsent) ui.link.send({ type: "chat_say", id: line.id, text: line.text });
  scroll();
}

function put(line) {
  ui.lines = ui.lines.some((other) => other.id === line.id)
    ? ui.lines.map((other) => (other.id === line.id ? line : other))
    : [...ui.lines, line];
  scroll();
}

const mark = (id, change) => {
  ui.lines = ui.lines.map((line) => (line.id === id ? { ...line, ...change } : line));
};

function say() {
  const text = ui.text.trim();
  if (!text || [...text].length > TEXT_MAX || ui.lines.filter((line) => line.state === "sending").length >= UNSENT_MAX) return;
  const line = { id: newId(), at: Date.now(), by: "customer", text, state: "sending" };
  ui.text = "";
  put(line);
  ui.link.send({ type: "chat_say", id: line.id, text });
  draw();
}

// A refused line can be said again, by the same id, so that it arrives once whatever became of the first.
function again(line) {
  mark(line.id, { state: "sending", error: "" });
  ui.link.send({ type: "chat_say", id: line.id, text: line.text });
  draw();
}

// The brand has no chat any more: choose anew.
function turnedAway() {
  leave();
  ui.gone = true;
}

function leave() {
  ui.link?.stop();
  for (const key of ["chat.conversation", "chat.brand"]) session.set(key, null);
  Object.assign(ui, { link: null, connection: "none", lines: [], text: "", chosen: null });
  loadBrands();
}

// -- drawing ------------------------------------------------------------------------------------------------------

let drawing = false;
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    document.title = ui.chosen && ui.link ? ui.chosen.name : `${t("chat.title")} · Zuruf`;
    render(ui.link ? talk() : start(), root);
  });
}

const scroll = () => requestAnimationFrame(() => requestAnimationFrame(() => root.querySelector(".log li:last-child")?.scrollIntoView({ block: "end" })));

function start() {
  return html`<div class="corner">${toggles(draw)}</div><main class="welcome">
    <h1>${t("chat.title")}</h1><p class="lead">${t("chat.lead")}</p>
    ${ui.fault || ui.gone ? html`<p class="fault" role="alert">${t(ui.fault ? "chat.none" : "chat.gone")}</p>` : nothing}
    ${ui.brands?.length === 0 ? html`<p class="fault">${t("chat.nobody")}</p>` : ui.brands ? form() : html`<p class="dim">${ui.fault ? "" : t("chat.loading")}</p>`}
  </main>`;
}

const form = () => html`
  <fieldset><legend>${t("chat.brand")}</legend>
    ${ui.brands.map((brand) => html`<label class="brand"><input type="radio" name="brand" .checked=${ui.chosen === brand}
      @change=${() => { ui.chosen = brand; draw(); }} /><span class="badge ${hue(brand.brand_id)}" aria-hidden="true">${[...brand.name][0]}</span>${brand.name}</label>`)}
  </fieldset>
  <label class="field">${t("chat.name")}
    <input type="text" class="name" maxlength="80" autocomplete="given-name" .value=${ui.name} @input=${(event) => { ui.name = event.target.value; draw(); }}
      @keydown=${(event) => event.key === "Enter" && !event.isComposing && begin()} /></label>
  <button class="btn primary go" ?disabled=${!ui.chosen || !ui.name.trim()} @click=${begin}>${t("chat.begin")}</button>`;

// A brand keeps its colour, whoever lists it first.
const hue = (id) => `hue-${[...id].reduce((sum, sign) => sum + sign.codePointAt(0), 0) % 5}`;

function talk() {
  const { chosen } = ui;
  const asked = ui.lines.at(-1);
  return html`<div class="talk">
    <header class="top"><span class="badge ${hue(chosen.brand_id)}" aria-hidden="true">${[...chosen.name][0]}</span>
      <div class="who"><h1>${chosen.name}</h1></div>${toggles(draw)}
      <button class="quiet small" @click=${leave} aria-label=${t("chat.leave")} title=${t("chat.leave")}>${icon("exit")}</button></header>
    ${banner(ui.connection, ui.reason, () => ui.link.retry())}
    <main class="log" aria-label=${t("chat.log")} aria-live="polite" tabindex="0"><ol>
      <li class="brand"><p>${t("chat.hello", { name: ui.name.trim() })}</p></li>
      ${repeat(ui.lines, (line) => line.id, lineOf)}
      ${asked?.by === "customer" && asked.state === "delivered" ? html`<li class="hint">${t("chat.waiting")}</li>` : nothing}
    </ol></main>
    <footer class="say"><textarea rows="1" maxlength=${TEXT_MAX} .value=${ui.text} placeholder=${t("chat.placeholder")} aria-label=${t("chat.placeholder")}
        @input=${(event) => { ui.text = event.target.value; draw(); }} @keydown=${typed}></textarea>
      <button class="btn primary" ?disabled=${!ui.text.trim()} @click=${say} aria-label=${t("chat.send")}>${icon("send")}</button></footer>
  </div>`;
}

function typed(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
}

const lineOf = (line) => html`<li class="${line.by} ${line.state}">
  <p>${line.text}</p>
  <span class="when"><time>${dayTime(line.at, Date.now())}</time>${line.by === "customer" ? html` · <span class="state">${stateOf(line)}</span>` : nothing}${line.state === "refused" ? html` · <button class="link" @click=${() => again(line)}>${t("chat.again")}</button>` : nothing}</span>
</li>`;

const stateOf = (line) => (line.state === "refused" ? t("chat.refused", { message: line.error }) : t(`chat.${line.state}`));

// -- start --------------------------------------------------------------------------------------------------------

await setLanguage();
onTheme(draw);
const kept = JSON.parse(session.get("chat.brand") ?? "null");
if (kept && session.get("chat.conversation")) {
  ui.chosen = kept;
  connect();
} else loadBrands();
