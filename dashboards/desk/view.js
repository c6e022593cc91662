// How the desk looks: templates over what desk.js holds. Customers' words are only ever text.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { banner, icon, mark, toggles } from "../common/chrome.js";
import { now } from "../common/clock.js";
import { clockTime, compact, dayTime, duration, language, languageName, number, percent, t, word } from "../common/i18n.js";
import { initials } from "../common/seats.js";
import { labelForm, labelRows } from "./labels.js";
import { asked, nameOfRep, nameOfTarget, viewsOf, whose } from "./lists.js";
import { heldUntil, panel } from "./panels.js";
import { acts, caseOf, inbox, slack, told } from "./state.js";
import { why } from "./why.js";

const PRESENCES = ["available", "busy", "away"];
const LATER = ["away", "offline"]; // Presences that may be queued until all in hand is done.
const KEYS = [
  ["j", "next"], ["k", "previous"], ["a", "accept"], ["x", "reject"], ["r", "reply"], ["Ctrl ↵", "send"], ["h", "hold"], ["t", "transfer"], ["l", "labels"], ["c", "close"],
  ["g", "pull"], ["o", "reopen"], ["1 – 4", "views"], ["d", "dismiss"], ["p", "presence"], ["Esc", "escape"], ["?", "help"],
];
const CHIEF_KEYS = [["u", "priority"], ["m", "message"], ["/", "search"]];
const segmenter = new Intl.Segmenter();

export const codePoints = (text) => [...text].length;
const graphemes = (text) => [...segmenter.segment(text)].length;
const nameOf = (author) => author.name || author.handle || t("author.unknown");
const handleOf = (author) => (author.handle && author.handle !== author.name ? `@${author.handle.replace(/^@/, "")}` : "");
const lastText = (view) => view.thread?.findLast((entry) => entry.by === "customer")?.text ?? "";
const safeUrl = (url) => (/^https?:\/\//i.test(url ?? "") ? url : "");

export function page(ui, actions) {
  const found = caseOf(ui.state, ui.selected);
  return html`
    ${head(ui, actions)}${ui.loggedOut ? loggedOut(ui) : banner(ui.connection, ui.reason, actions.retry)}
    ${messages(ui, actions)}
    <main class="desk ${ui.reading && found ? "reading" : ""}">
      ${list(ui, actions)}
      ${found ? detail(ui, found, actions) : empty(ui, actions)}
    </main>
    <div class="notices" role="status">
      ${repeat(ui.notices, (entry) => entry.id, (entry) => html`<p class="notice ${entry.kind}">${entry.text}</p>`)}
    </div>
    ${help(ui)}`;
}

function loggedOut(ui) {
  const { by, reason } = ui.loggedOut;
  return html`<div class="banner stopped" role="alert"><span>${t(reason ? "link.logged_out.because" : "link.logged_out", { who: nameOfRep(ui, by), reason: reason ?? "" })}</span>
    <button class="link" @click=${() => location.reload()}>${t("link.again")}</button></div>`;
}

// What a supervisor says stays until it is put away.
const messages = (ui, actions) => ui.state.messages.map(
  (one, at) => html`<div class="said-to-all" role="status"><strong>${nameOfRep(ui, one.by)}</strong><span>${one.text}</span><time class="dim num">${clockTime(one.at)}</time>
    <button class="quiet small" @click=${() => actions.dismiss(one.id)} aria-label=${t("message.dismiss")} title=${t("message.dismiss")}>${at === 0 ? html`<kbd class="wide">D</kbd>` : nothing}${icon("cross")}</button></div>`,
);

function head(ui, actions) {
  const chief = ui.welcome?.role === "supervisor";
  const seat = ui.welcome?.name || ui.seat?.name || (chief ? t("chief") : "");
  return html`<header class="top">
    ${mark}
    <div class="who"><h1>${t("desk.title")}</h1><span>${seat}</span></div>
    ${presence(ui, actions)}
    ${chief ? html`<button class="quiet small" @click=${actions.message} title=${t("panel.message")}>${t("message.short")}<kbd class="wide">M</kbd></button>` : nothing}
    <button class="quiet small wide" @click=${actions.help} aria-label=${t("key.help")} title=${t("key.help")}><kbd>?</kbd></button>
    ${toggles(actions.draw)}
    <button class="quiet small" @click=${actions.leaveSeat} aria-label=${t("seats.leave")} title=${t("seats.leave")}>${icon("exit")}</button>
  </header>`;
}

function presence(ui, actions) {
  const { presence: state, next, until } = ui.state;
  const shown = next ? `${next}+` : state;
  const option = (value, say, hidden = false) => html`<option value=${value} ?hidden=${hidden} .selected=${value === shown}>${say}</option>`;
  return html`<label class="presence-is ${state} ${next ? "next" : ""}">
    <span class="dot" aria-hidden="true"></span><span class="sr">${t("presence.label")}</span>
    <select class="presence" ?disabled=${ui.connection !== "open"} @change=${(event) => actions.setPresence(event.target.value)}>
      ${PRESENCES.map((name) => option(name, t(`presence.${name}`)))}
      ${LATER.map((name) => option(`${name}+`, t(`presence.${name}.later`)))}
      ${["offline", "wrapup"].map((name) => option(name, t(`presence.${name}`), true))}
    </select>
    ${state === "wrapup" && until ? html`<span class="num wrapup" title=${t("presence.wrapup.ends")}>${duration(until - now())}</span>` : nothing}
  </label>`;
}

// -- inbox --------------------------------------------------------------------------------------------------------

function list(ui, actions) {
  const views = viewsOf(ui.welcome);
  return html`<nav class="inbox" aria-label=${t("inbox.label")}>
    ${views.length > 1 ? html`<div class="tabs" role="tablist">${views.map((name, at) => tab(ui, name, at, actions))}</div>` : nothing}
    ${ui.tab === "mine" ? mine(ui, actions) : asked(ui, actions)}
  </nav>`;
}

function tab(ui, name, at, actions) {
  const news = name === "approval" && ui.approvals > 0 && ui.tab !== name;
  const count = name === "mine" ? ui.state.cases.size : 0;
  return html`<button role="tab" class="tab" aria-selected=${ui.tab === name} @click=${() => actions.show(name)}>
    ${t(`tab.${name}`)}${count ? html`<span class="num">${number(count)}</span>` : nothing}${news ? html`<span class="news"><span class="sr">${t("approval.news", { n: ui.approvals })}</span></span>` : nothing}<kbd class="wide">${at + 1}</kbd></button>`;
}

function mine(ui, actions) {
  const groups = inbox(ui.state).filter(([, views]) => views.length);
  return html`${groups.length ? nothing : quiet(ui, actions)}
    ${groups.map(
      ([name, views]) => html`<section>
        <h2>${t(`inbox.${name}`)} <span class="num">${number(views.length)}</span></h2>
        <ul>${repeat(views, (view) => view.case_id, (view) => html`<li>${row(ui, view, actions, name)}</li>`)}</ul>
      </section>`,
    )}`;
}

function quiet(ui, actions) {
  const say = ui.connection !== "open" || !ui.state.live ? "connecting" : ui.state.presence === "available" ? "available" : ui.state.presence === "wrapup" ? "wrapup" : "paused";
  return html`<div class="nothing"><p>${t(`inbox.empty.${say}`)}</p>
    ${say === "paused" || say === "wrapup" ? html`<button class="btn primary" @click=${() => actions.setPresence("available")}>${t("inbox.ready")}</button>` : nothing}</div>`;
}

function row(ui, view, actions, group) {
  const { author } = view;
  const warned = group === "handed" ? "" : told(view);
  const others = othersAt(ui, view.case_id);
  return html`<button class="row ${slack(view, now())} ${group === "handed" ? "handed" : view.state}" aria-current=${view.case_id === ui.selected ? "true" : nothing}
    @click=${() => actions.select(view.case_id)}>
    <span class="line">
      ${triage(view)}<span class="author">${nameOf(author)}</span>${warned ? html`<span class="told ${warned}" title=${toldWords(view)}>${icon("bell")}<span class="sr">${toldWords(view)}</span></span>` : nothing}${group === "handed" ? nothing : due(view)}
    </span>
    <span class="text">${lastText(view) || t("thread.empty")}</span>
    <span class="meta">
      <span class="chip" title=${languageName(view.labels.language)}>${view.labels.language.toUpperCase()}</span>
      <span>${brandName(ui, view)}</span><span>${word("platform", view.platform)}</span>
      ${author.followers == null ? nothing : html`<span>${t("author.followers", { n: author.followers, count: compact(author.followers) })}</span>`}
      ${view.state === "offered" ? html`<span class="offer num">${icon("send")}${t("offer.left", { time: duration(view.expires_at - now()) })}</span>` : nothing}
      ${view.state === "held" ? html`<span class="aside num">${heldUntil(view)}</span>` : nothing}
      ${others.length ? html`<span class="eye" title=${lookers(ui, others)}>${icon(others.some((one) => one.writing) ? "pen" : "eye")}${others.map((one) => initials(nameOfRep(ui, one.rep_id))).join(" ")}</span>` : nothing}
      ${ui.welcome && hasFailed(view) ? html`<span class="bad">${t("publish.failed")}</span>` : nothing}
      ${isReturned(view) ? html`<span class="bad">${t("publish.returned")}</span>` : nothing}
    </span>
  </button>`;
}

const isReturned = (view) => view.state === "working" && view.thread?.findLast((entry) => entry.by === "rep")?.status === "returned";
const othersAt = (ui, caseId) => (ui.state.viewers.get(caseId) ?? []).filter((one) => one.rep_id !== ui.welcome?.subject);
const lookers = (ui, others) => others.map((one) => t(one.writing ? "viewers.writes" : "viewers.looks", { who: one.name && one.name !== one.rep_id ? one.name : nameOfRep(ui, one.rep_id) })).join(" · ");
const toldWords = (view) => (view.promises ?? []).filter((one) => one.told && !one.paused_at).map((one) => t(`told.${one.told}`, { what: t(`promise.${one.kind}`), time: dayTime(one.due_at, now()) })).join(" · ");
const hasFailed = (view) => ["failed", "unknown"].includes(view.thread?.findLast((entry) => entry.by === "rep")?.status);
const brandName = (ui, view) => ui.welcome?.brands?.[view.brand_id] ?? view.brand_id;
const triage = (view) => html`<span class="chip ${view.triage}">${word("triage", view.triage)}</span>`;

function due(view) {
  const left = view.due_at - now();
  // Answered, or waiting for the customer: no promise runs.
  if (view.state === "awaiting_customer") return html`<span class="due dim">${t("due.paused")}</span>`;
  const words = t(left < 0 ? "due.late" : "due.left", { time: duration(Math.abs(left)) });
  return html`<time class="due num ${slack(view, now())}" title="${t("due.at", { time: dayTime(view.due_at, now()) })}" aria-label=${words}>${left < 0 ? "−" : ""}${duration(Math.abs(left))}</time>`;
}

// -- one case -----------------------------------------------------------------------------------------------------

function empty(ui, actions) {
  return html`<section class="detail none">${ui.panel && !ui.panel.caseId ? html`<div class="alone">${panel(ui, null, actions)}</div>` : nothing}<p class="dim">${t(ui.tab !== "mine" && ui.selected ? "list.asking" : ui.state.cases.size || ui.tab !== "mine" ? "detail.choose" : "detail.none")}</p></section>`;
}

function detail(ui, { view, held, reason }, actions) {
  const may = acts(view, held, ui.welcome ?? {});
  const over = !held && (view.state === "closed" || reason);
  return html`<article class="detail" aria-label=${nameOf(view.author)}>
    <header class="case-head">
      <button class="quiet small narrow" @click=${actions.back} aria-label=${t("key.back")}>${icon("back")}</button>
      <span class="avatar" aria-hidden="true">${initials(nameOf(view.author))}</span>
      <div class="about">
        <h2>${nameOf(view.author)}${view.author.verified ? html`<span class="verified" title=${t("author.verified")}>${icon("verified")}</span>` : nothing}${original(view)}</h2>
        <p class="dim">${about(ui, view)}</p>
        ${view.known ? html`<p class="dim earlier">${earlier(view.known)}</p>` : nothing}
      </div>
      ${over ? nothing : html`<div class="clock">${due(view)}<span class="dim">${t(dueWord(view))}</span></div>`}
    </header>
    <div class="thread" tabindex="0" aria-label=${t("thread.label")}>
      <div class="entries">${repeat(lines(view), (entry) => entry.id, (entry) => (entry.note ? noteOf(ui, entry) : entryOf(ui, entry, view)))}</div>
    </div>
    ${facts(ui, view, may, actions)}
    ${foot(ui, view, held, reason, may, actions)}
  </article>`;
}

// What is known of an author from before.
function earlier(known) {
  const said = [t("author.contacts", { n: known.contacts ?? 0 })];
  if (known.last_at) said.push(t("author.last", { time: dayTime(known.last_at, now()) }));
  if (known.platforms?.length > 1) said.push(known.platforms.map((name) => word("platform", name)).join(", "));
  if (known.vip) said.push(t("author.vip"));
  if (known.active) said.push(t("author.active"));
  if (known.crm_id) said.push(t("author.crm", { id: known.crm_id }));
  return said.join(" · ");
}

// What was said to the customer, in dispatch's own order, and between it, by time, what reps told each other.
function lines(view) {
  const notes = (view.notes ?? []).map((note, at) => ({ ...note, note: true, id: `note-${at}-${note.at}` }));
  const all = [];
  for (const entry of view.thread ?? []) {
    while (notes.length && notes[0].at < entry.at) all.push(notes.shift());
    all.push(entry);
  }
  return [...all, ...notes];
}

const noteOf = (ui, note) => html`<div class="entry note"><p class="when">${note.to ? t("note.to", { who: nameOfRep(ui, note.by), to: nameOfTarget(ui, note.to) }) : nameOfRep(ui, note.by)}<time>${dayTime(note.at, now())}</time></p>${note.text ? html`<p>${note.text}</p>` : nothing}</div>`;

const dueWord = (view) => (view.state === "awaiting_customer" ? "due.waits" : view.due_at < now() ? "due.overdue" : "due.until");

function about(ui, view) {
  const { author } = view;
  const parts = [handleOf(author), author.followers == null ? "" : t("author.followers", { n: author.followers, count: compact(author.followers) }),
    t("case.to", { brand: brandName(ui, view), platform: word("platform", view.platform) })];
  return parts.filter(Boolean).join(" · ");
}

function original(view) {
  const link = safeUrl(view.permalink);
  return link ? html`<a href=${link} target="_blank" rel="noopener noreferrer">${t("case.open")}${icon("out")}</a>` : nothing;
}

function entryOf(ui, entry, view) {
  const mine = entry.by !== "customer";
  const by = entry.by === "bot" ? t("entry.bot") : entry.rep_id && entry.rep_id !== ui.welcome?.subject ? nameOfRep(ui, entry.rep_id) : "";
  return html`<div class="entry ${mine ? "rep" : "customer"} ${entry.status ?? ""}">
    <p class="said ${entry.text ? "" : "dim"}" lang=${mine ? nothing : view.labels.language}>${entry.text || t(entry.deleted ? "thread.deleted" : "thread.cut")}</p>
    <p class="when">${mine && by ? html`<span>${by}</span>` : nothing}<time>${dayTime(entry.at, now())}</time>${entry.edited ? html`<span>${t("thread.edited")}</span>` : nothing}${entry.deleted && entry.text ? html`<span>${t("thread.deleted")}</span>` : nothing}${mine && entry.status ? status(ui, entry) : nothing}</p>
  </div>`;
}

function status(ui, entry) {
  const link = safeUrl(entry.url);
  return html`<span class="status ${entry.status}">${entry.status === "sent" ? icon("check") : nothing}${
    link ? html`<a href=${link} target="_blank" rel="noopener noreferrer">${t(`publish.${entry.status}`)}</a>` : t(`publish.${entry.status}`)
  }${entry.approved_by ? html`, ${t("publish.approved_by", { who: nameOfRep(ui, entry.approved_by) })}` : nothing}${entry.error ? html`: ${entry.error}` : nothing}</span>`;
}

// What the engine made of the post, and why. Closed on a narrow page, where the thread comes first.
function facts(ui, view, may, actions) {
  const editing = ui.panel?.kind === "labels" && ui.panel.caseId === view.case_id && may.has("labels");
  return html`<details class="facts" ?open=${editing || innerWidth >= 1100}>
    <summary>${t("facts.title")}<span class="chips">${triage(view)}<span class="chip">${word("category", view.labels.category)}</span><span class="chip">${word("subject", view.labels.subject)}</span></span></summary>
    <div class="facts-in">
      <h3 class="first"><span>${t("facts.title")}</span>${may.has("labels") && !editing ? html`<button class="quiet tiny" @click=${actions.labels}>${t("labels.change")}<kbd class="wide">L</kbd></button>` : nothing}</h3>
      ${editing ? labelForm(view, ui.panel, actions) : html`<dl class="labels">${labelRows(view)}</dl>`}
      ${promises(view)}
      ${view.why?.length ? html`<h3>${t("facts.why")}</h3><ul class="why">${view.why.map((reason) => html`<li>${why(reason, (id) => nameOfRep(ui, id))}</li>`)}</ul>` : nothing}
      <h3>${t("facts.influence")} <span class="num">${percent(view.influence.score)}</span></h3>
      <dl class="labels">${Object.entries(view.influence.parts).map(([name, part]) => pull(word("part", name), part))}</dl>
      ${view.reply_until ? html`<p class="dim">${t(view.reply_until < now() ? "facts.reply_over" : "facts.reply_until", { time: dayTime(view.reply_until, now()) })}</p>` : nothing}
    </div>
  </details>`;
}

function promises(view) {
  const some = (view.promises ?? []).filter((one) => one.kind);
  if (!some.length || view.state === "closed") return nothing;
  return html`<h3>${t("facts.promises")}</h3><dl class="promises">${some.map((one) => {
    const left = one.due_at - now();
    const state = one.paused_at ? "paused" : left < 0 ? "late" : now() >= one.warn_at ? "soon" : "fine";
    return html`<dt>${t(`promise.${one.kind}`)}</dt><dd class="num ${state}" title=${t("due.at", { time: dayTime(one.due_at, now()) })}>${one.paused_at ? t("promise.paused") : t(left < 0 ? "due.late" : "due.left", { time: duration(Math.abs(left)) })}</dd>`;
  })}</dl>`;
}

// One part of the influence: to the right of the middle it raised the score, to the left it lowered it.
function pull(name, part) {
  const width = Math.min(50, Math.abs(part) * 150);
  return html`<dt>${name}</dt><dd></dd><dd class="share num">
    <svg viewBox="0 0 100 4" preserveAspectRatio="none" class=${part < 0 ? "low" : ""} aria-hidden="true"><rect width="100" height="4"></rect><rect class="full" x=${part < 0 ? 50 - width : 50} width=${width} height="4"></rect></svg>
    ${number(Math.round(part * 100), { signDisplay: "exceptZero" })}</dd>`;
}

// -- the foot: what can be done now ---------------------------------------------------------------------------------

function foot(ui, view, held, reason, may, actions) {
  const busy = actions.pendingFor(view.case_id);
  const main = held && view.state === "offered" ? offer(view, busy, actions)
    : may.has("approve") ? approval(ui, view, busy, actions)
      : may.has("reply") ? composer(ui, view, busy, may, actions)
        : html`<div class="state-bar"><p class="over">${stateWords(ui, view, held, reason)}</p>${buttons(ui, view, may, busy, actions, "btn")}</div>`;
  return html`<footer class="foot">${panel(ui, view, actions)}${others(ui, view)}${main}</footer>`;
}

function stateWords(ui, view, held, reason) {
  if (held && view.state === "awaiting_customer") return t("over.awaiting");
  if (held && view.state === "awaiting_approval") return t("over.awaiting_approval");
  if (view.state === "closed") return t("over.closed");
  const left = reason ? t(`over.${reason}`) : "";
  return ui.state.shown.has(view.case_id) ? `${left} ${t("now.is", { state: whose(ui, view) })}` : left || whose(ui, view);
}

function others(ui, view) {
  const there = othersAt(ui, view.case_id);
  return there.length ? html`<p class="others">${icon(there.some((one) => one.writing) ? "pen" : "eye")}${lookers(ui, there)}</p>` : nothing;
}

const BUTTONS = [
  ["take", "take", "A"], ["pull", "take", "A"], ["resume", "hold", "H"], ["hold", "hold", "H"], ["reopen", "reopen", "O"], ["transfer", "transfer", "T"], ["assign", "transfer", "T"],
  ["priority", "priority", "U"], ["close", "close", "C"],
];

// Each act with its key; the first one that takes a case in hand is the main one.
function buttons(ui, view, may, busy, actions, look) {
  const some = BUTTONS.filter(([name]) => may.has(name));
  const say = (name) => t(name === "resume" && view.state === "awaiting_approval" ? "act.take_back" : `act.${name}`);
  const primary = (name) => look === "btn" && ["take", "pull", "reopen"].includes(name);
  return some.length ? html`<div class="acts">${some.map(
    ([name, action, key]) => html`<button class="${look} small ${primary(name) ? "primary" : ""}" ?disabled=${busy} aria-pressed=${ui.panel?.kind === name ? "true" : nothing} @click=${actions[action]}>${say(name)}<kbd class="wide">${key}</kbd></button>`,
  )}</div>` : nothing;
}

function offer(view, busy, actions) {
  return html`<div class="offer-bar">
    <p><strong class="num">${t("offer.left", { time: duration(view.expires_at - now()) })}</strong><span class="dim wide">${t("offer.then")}</span></p>
    <button class="btn" ?disabled=${busy} @click=${actions.reject}>${t("offer.reject")}<kbd class="wide">X</kbd></button>
    <button class="btn primary" ?disabled=${busy} @click=${actions.take}>${t("offer.accept")}<kbd class="wide">A</kbd></button>
  </div>`;
}

export const isOver = (ui, view) => ui.closedWindows.has(view.case_id) || (view.reply_until != null && view.reply_until < now());
export const answerOf = (view) => view.thread?.findLast((entry) => entry.status === "approval");

function composer(ui, view, busy, may, actions) {
  const text = actions.draft(view.case_id);
  const used = codePoints(text);
  const over = view.text_max > 0 && used > view.text_max;
  const late = isOver(ui, view);
  const returned = isReturned(view) ? view.thread.findLast((entry) => entry.status === "returned") : null;
  return html`<div class="composer">
    ${view.state === "held" ? html`<p class="strip">${heldUntil(view)}</p>` : nothing}
    ${late ? html`<p class="strip warn">${t("window.over")}</p>` : nothing}
    ${returned && !text ? html`<p class="strip warn">${t("returned.lead", { note: returned.error })} <button class="link" @click=${() => actions.typed(returned.text)}>${t("returned.again")}</button></p>` : nothing}
    ${buttons(ui, view, may, busy, actions, "quiet")}
    <textarea class="answer" rows="3" .value=${text} placeholder=${t("reply.placeholder", { who: nameOf(view.author) })} aria-label=${t("reply.label")}
      aria-invalid=${over ? "true" : nothing} lang=${view.labels.language} spellcheck="true" @input=${(event) => actions.typed(event.target.value)} @blur=${actions.penDown}></textarea>
    <div class="tools">
      <label class="check"><input type="checkbox" .checked=${ui.closeAfter} @change=${(event) => actions.closeAfter(event.target.checked)} />${t("reply.close")}</label>
      <span class="count num ${over ? "over" : ""}" title=${counted(text, used, view)}>${shown(text, used, view)}</span>
      <button class="btn primary" ?disabled=${busy || over || !text.trim()} @click=${actions.send}>${t(late ? "reply.anyway" : "reply.send")}<kbd class="wide">Ctrl ↵</kbd></button>
    </div>
  </div>`;
}

// Somebody else's answer: as it is or mended it goes out, or it goes back with a word why.
function approval(ui, view, busy, actions) {
  const answer = answerOf(view)?.text ?? "";
  const text = actions.draft(view.case_id) || answer;
  return html`<div class="composer approving">
    <p class="strip">${t("approval.lead", { who: nameOfRep(ui, view.rep_id) })}</p>
    <textarea class="answer" rows="3" .value=${text} aria-label=${t("approval.text")} lang=${view.labels.language} spellcheck="true" @input=${(event) => actions.typed(event.target.value)} @blur=${actions.penDown}></textarea>
    <div class="tools"><span class="count dim">${text.trim() === answer.trim() ? "" : t("approval.changed")}</span>
      <button class="btn" ?disabled=${busy} @click=${actions.reject}>${t("approval.return")}<kbd class="wide">X</kbd></button>
      <button class="btn primary" ?disabled=${busy || !text.trim()} @click=${actions.send}>${t("approval.approve")}<kbd class="wide">Ctrl ↵</kbd></button></div>
  </div>`;
}

// Platforms count code points, people count what they see: an emoji may be one and seven.
function shown(text, used, view) {
  return view.text_max > 0 ? `${number(used)} / ${number(view.text_max)}` : number(graphemes(text));
}

const counted = (text, used, view) => t(view.text_max > 0 ? "reply.count.max" : "reply.count", { seen: graphemes(text), used, max: view.text_max ?? 0 });

// -- dialogs ------------------------------------------------------------------------------------------------------

const help = (ui) => html`<dialog class="help" aria-label=${t("key.help")}>
  <h2>${t("key.title")}</h2>
  <dl>${[...KEYS, ...(ui.welcome?.role === "supervisor" ? CHIEF_KEYS : [])].map(([key, name]) => html`<dt><kbd>${language() === "de" ? key.replace("Ctrl", "Strg") : key}</kbd></dt><dd>${t(`key.${name}`)}</dd>`)}</dl>
  <button class="btn" @click=${(event) => event.target.closest("dialog").close()}>${t("key.done")}</button>
</dialog>`;
