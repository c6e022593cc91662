// Lists that are asked for: what waits and may be taken, what waits for approval, and, for supervisors, all that is open.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { now } from "../common/clock.js";
import { dayTime, duration, languageName, number, t, word } from "../common/i18n.js";
import { sifted, slack } from "./state.js";

const STATES = ["queued", "offered", "working", "held", "forwarded", "awaiting_approval", "answered", "awaiting_customer", "automatic", "reopened"];
const TRIAGES = ["at_once", "urgent", "important", "less"];

// The views of the left side in their order; a seat sees those that it may ask for.
export const viewsOf = (welcome) => [
  "mine",
  ...(welcome?.pulls !== false ? ["waiting"] : []),
  ...(welcome?.approves ? ["approval"] : []),
  ...(welcome?.role === "supervisor" ? ["all"] : []),
];

// In dispatch's order, but for those whose customer is awaited: their due time has been met.
export function shownLines(ui) {
  const lines = sifted(ui.state.lists.get(ui.tab)?.cases ?? [], ui.tab === "all" ? ui.filter : { ...ui.filter, state: "", triage: "", brand: "" });
  return [...lines.filter((line) => line.state !== "awaiting_customer"), ...lines.filter((line) => line.state === "awaiting_customer")];
}

export function asked(ui, actions) {
  const list = ui.state.lists.get(ui.tab);
  const lines = shownLines(ui);
  return html`<div class="list-head">
      ${ui.tab === "waiting" && ui.welcome?.role !== "supervisor" ? html`<button class="btn primary" ?disabled=${!list?.total} @click=${actions.pullNext}>${t("pull.next")}<kbd class="wide">G</kbd></button>` : nothing}
      ${list && (list.cases.length > 8 || ui.tab === "all" || ui.filter.text) ? search(ui, actions) : nothing}
      ${ui.tab === "all" ? filters(ui, list?.cases ?? [], actions) : nothing}
    </div>
    ${list ? nothing : html`<div class="nothing"><p>${t("list.asking")}</p></div>`}
    ${list && !lines.length ? html`<div class="nothing"><p>${t(list.cases.length ? "list.sifted" : `list.empty.${ui.tab}`)}</p></div>` : nothing}
    ${lines.length ? html`<section><h2>${t(`list.${ui.tab}`)} <span class="num">${count(list, lines)}</span></h2>
      <ul>${repeat(lines, (line) => line.case_id, (line) => html`<li>${row(ui, line, actions)}</li>`)}</ul></section>` : nothing}`;
}

const count = (list, lines) => (lines.length < list.total ? t("list.of", { n: lines.length, total: list.total }) : number(list.total));

const search = (ui, actions) => html`<input class="search" type="text" autocomplete="off" placeholder=${t("list.search")} aria-label=${t("list.search")} .value=${ui.filter.text}
  @input=${(event) => actions.sift({ text: event.target.value })} />`;

function filters(ui, lines, actions) {
  const brands = [...new Set(lines.map((line) => line.brand_id))];
  const select = (name, all, say) => html`<select aria-label=${t(`list.by.${name}`)} @change=${(event) => actions.sift({ [name]: event.target.value })}>
    <option value="">${t(`list.by.${name}`)}</option>${all.map((value) => html`<option value=${value} .selected=${ui.filter[name] === value}>${say(value)}</option>`)}</select>`;
  return html`<div class="filters">${select("state", STATES, (value) => t(`state.${value}`))}${select("triage", TRIAGES, (value) => word("triage", value))}${select("brand", brands, (value) => ui.welcome?.brands?.[value] ?? value)}</div>`;
}

export const nameOfRep = (ui, id) => ui.welcome?.reps?.[id] ?? (id === "board" ? t("chief") : id);
export const nameOfTarget = (ui, to) => (to.startsWith("rep:") ? nameOfRep(ui, to.slice(4)) : (ui.welcome?.targets?.[to] ?? to.slice(to.indexOf(":") + 1)));

// Whose it is, in a word or two.
export function whose(ui, view) {
  if (view.state === "forwarded" && view.target) return t("state.forwarded.to", { who: nameOfTarget(ui, view.target) });
  if (view.rep_id && !["queued", "reopened", "closed"].includes(view.state)) return t("state.with", { state: t(`state.${view.state}`), who: nameOfRep(ui, view.rep_id) });
  return t(`state.${view.state}`);
}

function row(ui, line, actions) {
  const left = line.due_at - now();
  return html`<button class="row brief ${line.state === "awaiting_customer" ? "fine" : slack(line, now())} ${line.state}" aria-current=${line.case_id === ui.selected ? "true" : nothing} @click=${() => actions.select(line.case_id)}>
    <span class="line"><span class="chip ${line.triage}">${word("triage", line.triage)}</span><span class="author">${line.author || t("author.unknown")}</span>
      ${line.state === "awaiting_customer" ? html`<span class="due dim">${t("due.paused")}</span>` : html`<time class="due num ${slack(line, now())}" title=${t("due.at", { time: dayTime(line.due_at, now()) })}>${left < 0 ? "−" : ""}${duration(Math.abs(left))}</time>`}</span>
    <span class="text">${line.excerpt || t("thread.empty")}</span>
    <span class="meta">${line.language ? html`<span class="chip" title=${languageName(line.language)}>${line.language.toUpperCase()}</span>` : nothing}
      <span>${ui.welcome?.brands?.[line.brand_id] ?? line.brand_id}</span><span>${word("platform", line.platform)}</span>
      ${ui.tab !== "waiting" || line.state !== "queued" ? html`<span class="whose">${whose(ui, line)}</span>` : line.subject ? html`<span>${word("subject", line.subject)}</span>` : nothing}</span>
  </button>`;
}
