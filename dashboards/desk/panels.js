// What a command still needs to know is asked for where one works: a panel above the answer, no window over the page.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { now } from "../common/clock.js";
import { clockTime, dayTime, t, word } from "../common/i18n.js";

const MINUTE_MS = 60_000;
const HOLD_MAX_MS = 7 * 86_400_000;
const FOUND_MAX = 6;
const TRIAGES = ["at_once", "urgent", "important", "less"];
const KINDS = ["rep", "team", "department", "site"];

const VIEWS = { hold, transfer: handOn, assign: handOn, priority, return: noted, close: noted, message };

export function panel(ui, view, actions) {
  const open = ui.panel;
  if (!open || !VIEWS[open.kind] || (open.caseId && open.caseId !== view?.case_id)) return nothing;
  return html`<section class="panel ${open.kind}" role="group" aria-label=${t(`panel.${open.kind}`)}>
    <header><h3>${t(`panel.${open.kind}`)}</h3>
      <button class="quiet small" @click=${actions.closePanel} aria-label=${t("panel.leave")} title=${t("panel.leave")}><kbd class="wide">Esc</kbd><span class="narrow">×</span></button></header>
    ${VIEWS[open.kind](ui, open, actions)}
  </section>`;
}

// -- laid aside -----------------------------------------------------------------------------------------------------

function tomorrow(at) {
  const day = new Date(at);
  day.setDate(day.getDate() + 1);
  day.setHours(9, 0, 0, 0);
  return day.getTime();
}

const until = (at) => [
  [0, t("hold.open"), ""],
  [at + 30 * MINUTE_MS, t("hold.min", { n: 30 }), clockTime(at + 30 * MINUTE_MS)],
  [at + 60 * MINUTE_MS, t("hold.h", { n: 1 }), clockTime(at + 60 * MINUTE_MS)],
  [at + 180 * MINUTE_MS, t("hold.h", { n: 3 }), clockTime(at + 180 * MINUTE_MS)],
  [tomorrow(at), t("hold.tomorrow"), clockTime(tomorrow(at))],
];

const pad = (value) => String(value).padStart(2, "0");
// As <input type=datetime-local> wants it, in the reader's own zone.
const local = (at) => {
  const day = new Date(at);
  return `${day.getFullYear()}-${pad(day.getMonth() + 1)}-${pad(day.getDate())}T${pad(day.getHours())}:${pad(day.getMinutes())}`;
};

function hold(ui, open, actions) {
  const at = now();
  const chosen = open.at ? new Date(open.at).getTime() : 0;
  const fits = chosen > at && chosen <= at + HOLD_MAX_MS;
  const typed = (event) => actions.inPanel({ at: event.target.value });
  const go = (event) => event.key === "Enter" && fits && actions.holdUntil(chosen);
  return html`<div class="choices">${until(at).map(
      ([when, name, clock], number) => html`<button class="btn" data-key=${number + 1} ?data-first=${number === 0} @click=${() => actions.holdUntil(when)}>
        <kbd class="wide">${number + 1}</kbd><span>${name}</span>${clock ? html`<span class="dim num">${clock}</span>` : nothing}</button>`,
    )}</div>
    <p class="asked"><label class="inline">${t("hold.at")}<input type="datetime-local" .value=${open.at ?? ""} min=${local(at)} max=${local(at + HOLD_MAX_MS)} @input=${typed} @keydown=${go} /></label>
      <button class="btn" ?disabled=${!fits} @click=${() => actions.holdUntil(chosen)}>${t("hold.do")}</button></p>`;
}

// -- handed on ------------------------------------------------------------------------------------------------------

// Everybody and everything that a case may be handed to: those of the configuration.
export function targets(welcome, own, { repsOnly = false, withSelf = false } = {}) {
  const reps = Object.entries(welcome?.reps ?? {}).filter(([id]) => withSelf || id !== own).map(([id, name]) => ({ to: `rep:${id}`, kind: "rep", name }));
  if (repsOnly) return reps;
  const groups = Object.entries(welcome?.targets ?? {}).map(([to, name]) => ({ to, kind: to.slice(0, to.indexOf(":")), name }));
  return [...reps, ...groups].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || a.name.localeCompare(b.name));
}

export function found(all, query) {
  const wanted = query.trim().toLowerCase();
  const starts = (one) => one.name.toLowerCase().split(/[\s-]+/).some((part) => part.startsWith(wanted)) || one.to.slice(one.to.indexOf(":") + 1).toLowerCase().startsWith(wanted);
  const first = all.filter(starts);
  return wanted ? [...first, ...all.filter((one) => !first.includes(one) && one.name.toLowerCase().includes(wanted))] : all;
}

function handOn(ui, open, actions) {
  const repsOnly = open.kind === "assign";
  const all = targets(ui.welcome, ui.welcome?.subject, { repsOnly });
  const chosen = all.find((one) => one.to === open.to);
  const go = () => open.to && actions.handOn(open.to, (open.note ?? "").trim());
  const label = t(repsOnly ? "assign.to" : "transfer.to");
  const picked = picker(all, open, actions, label, t(repsOnly ? "assign.hint" : "transfer.hint"));
  return html`<div class="asked wide-first">
    ${picked.field}
    <label class="grown">${t(repsOnly ? "assign.note" : "transfer.note")}<input class="note" type="text" maxlength=${repsOnly ? 500 : 2000} .value=${open.note ?? ""}
      @input=${(event) => actions.inPanel({ note: event.target.value })} @keydown=${(event) => event.key === "Enter" && !event.isComposing && go()} /></label>
    <button class="btn primary" ?disabled=${!chosen} @click=${go}>${t(repsOnly ? "assign.do" : "transfer.do")}<kbd class="wide">↵</kbd></button>
  </div>${chosen ? nothing : offered(picked, label)}`;
}

// A field that narrows a list: type, arrow, Enter.
function picker(all, open, actions, label, hint) {
  const chosen = all.find((one) => one.to === open.to);
  const listed = () => found(all, open.query ?? "").slice(0, FOUND_MAX);
  const some = listed();
  const at = Math.min(open.at ?? 0, Math.max(0, some.length - 1));
  const choose = (one) => actions.inPanel({ to: one.to, query: "" }, ".panel .note");
  const keyed = (event) => {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const last = listed(); // What is listed by now: keys are faster than the page is drawn.
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = (open.at ?? 0) + (event.key === "ArrowDown" ? 1 : -1);
      actions.inPanel({ at: Math.max(0, Math.min(last.length - 1, next)) });
    } else if (event.key === "Enter" && open.to) toNote(event);
    else if (event.key === "Enter" && last.length) {
      event.preventDefault();
      choose(last[Math.min(open.at ?? 0, last.length - 1)]);
    }
  };
  return { all: chosen ? [] : some, at, chosen, choose, field: html`<label>${label}<input type="text" data-first role="combobox" aria-expanded=${!chosen} aria-controls="found" aria-autocomplete="list" autocomplete="off"
      aria-activedescendant=${chosen || !some.length ? nothing : `found-${at}`} placeholder=${hint} .value=${chosen ? chosen.name : (open.query ?? "")}
      @input=${(event) => actions.inPanel({ query: event.target.value, to: "", at: 0 })} @keydown=${keyed} /></label>` };
}

// Whom the field has found, in a line below it: nothing is covered.
const offered = ({ all, at, chosen, choose }, label) => html`<ul id="found" role="listbox" aria-label=${label}>
  ${repeat(all, (one) => one.to, (one, index) => html`<li id="found-${index}" class="btn small" role="option" aria-selected=${index === at} @click=${() => choose(one)}>
    ${one.name}${one.kind === "rep" ? nothing : html`<span class="dim">${t(`target.${one.kind}`)}</span>`}</li>`)}
  ${all.length || chosen ? nothing : html`<li class="dim">${t("transfer.nobody")}</li>`}
</ul>`;

const toNote = (event) => {
  event.preventDefault();
  event.target.closest(".panel").querySelector(".note")?.focus();
};

// -- a word to it ---------------------------------------------------------------------------------------------------

// Close and give back: one line, and done with Enter.
function noted(ui, open, actions) {
  const needed = open.kind === "return";
  const text = () => (open.note ?? "").trim(); // As it is when a key is pressed, not when the page was drawn.
  const go = () => (!needed || text()) && actions.note(open.kind, text());
  return html`<div class="asked">
    <label class="grown">${t(`${open.kind}.note`)}<input class="note" type="text" data-first maxlength="500" .value=${open.note ?? ""}
      @input=${(event) => actions.inPanel({ note: event.target.value })} @keydown=${(event) => event.key === "Enter" && !event.isComposing && go()} /></label>
    <button class="btn primary" ?disabled=${needed && !text()} @click=${go}>${t(`${open.kind}.do`)}<kbd class="wide">↵</kbd></button>
  </div>`;
}

// -- a supervisor's -------------------------------------------------------------------------------------------------

function priority(ui, open, actions) {
  const first = TRIAGES.findIndex((triage) => triage !== open.now);
  return html`<div class="choices">${TRIAGES.map(
      (triage, number) => html`<button class="btn" data-key=${number + 1} ?data-first=${number === first} ?disabled=${triage === open.now} @click=${() => actions.prioritise(triage)}>
        <kbd class="wide">${number + 1}</kbd><span class="chip ${triage}">${word("triage", triage)}</span></button>`,
    )}</div>
    <div class="asked"><label class="grown">${t("priority.note")}<input class="note" type="text" maxlength="500" .value=${open.note ?? ""} @input=${(event) => actions.inPanel({ note: event.target.value })} /></label></div>`;
}

function message(ui, open, actions) {
  const all = [{ to: "", kind: "", name: t("message.all") }, ...targets(ui.welcome, ui.welcome?.subject)];
  const text = () => (open.note ?? "").trim();
  const rep = open.to?.startsWith("rep:") ? all.find((one) => one.to === open.to) : null;
  const go = () => text() && actions.tell(open.to ?? "", text());
  return html`<div class="asked wide-first">
    <label>${t("message.to")}<select @change=${(event) => actions.inPanel({ to: event.target.value, armed: false })}>
      ${all.map((one) => html`<option value=${one.to} .selected=${one.to === (open.to ?? "")}>${one.name}${one.kind && one.kind !== "rep" ? ` (${t(`target.${one.kind}`)})` : ""}</option>`)}</select></label>
    <label class="grown">${t("message.text")}<input class="note" type="text" data-first maxlength="2000" .value=${open.note ?? ""}
      @input=${(event) => actions.inPanel({ note: event.target.value })} @keydown=${(event) => event.key === "Enter" && !event.isComposing && go()} /></label>
    <button class="btn primary" ?disabled=${!text()} @click=${go}>${t("message.do")}<kbd class="wide">↵</kbd></button>
  </div>
  ${rep ? html`<p class="asked end"><span class="dim">${t("logout.lead", { who: rep.name })}</span>
    <button class="btn ${open.armed ? "danger" : ""}" @click=${() => (open.armed ? actions.logOut(rep.to.slice(4), text()) : actions.inPanel({ armed: true }))}>${t(open.armed ? "logout.sure" : "logout.do", { who: rep.name })}</button></p>` : nothing}`;
}

export const heldUntil = (view) => (view.until ? t("held.until", { time: dayTime(view.until, now()) }) : t("held.open"));
