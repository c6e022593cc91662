// How the desk looks: templates over what desk.js holds. Customers' words are only ever text.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { banner, icon, mark, toggles } from "../common/chrome.js";
import { now } from "../common/clock.js";
import { compact, dayTime, duration, known, language, languageName, number, percent, t, word } from "../common/i18n.js";
import { initials } from "../common/seats.js";
import { inbox, slack } from "./state.js";

const PRESENCES = ["available", "busy", "away"];
const KEYS = [["j", "next"], ["k", "previous"], ["a", "accept"], ["x", "reject"], ["r", "reply"], ["Ctrl ↵", "send"], ["c", "close"], ["p", "presence"], ["Esc", "escape"], ["?", "help"]];
const segmenter = new Intl.Segmenter();

export const codePoints = (text) => [...text].length;
const graphemes = (text) => [...segmenter.segment(text)].length;
const nameOf = (author) => author.name || author.handle || t("author.unknown");
const handleOf = (author) => (author.handle && author.handle !== author.name ? `@${author.handle.replace(/^@/, "")}` : "");
const lastText = (view) => view.thread?.findLast((entry) => entry.by === "customer")?.text ?? "";
const safeUrl = (url) => (/^https?:\/\//i.test(url ?? "") ? url : "");

export function page(ui, actions) {
  const view = ui.state.cases.get(ui.selected);
  const left = view ? null : ui.state.gone.get(ui.selected);
  return html`
    ${head(ui, actions)}${banner(ui.connection, ui.reason, actions.retry)}
    <main class="desk ${ui.reading && (view || left) ? "reading" : ""}">
      ${list(ui, actions)}
      ${view || left ? detail(ui, view ?? left.view, left?.reason, actions) : empty(ui)}
    </main>
    <div class="notices" role="status">
      ${repeat(ui.notices, (entry) => entry.id, (entry) => html`<p class="notice ${entry.kind}">${entry.text}</p>`)}
    </div>
    ${help()}${closing(actions)}`;
}

function head(ui, actions) {
  const seat = ui.welcome?.name || ui.seat?.name || "";
  return html`<header class="top">
    ${mark}
    <div class="who"><h1>${t("desk.title")}</h1><span>${seat}</span></div>
    <label class="presence-is ${ui.state.presence}">
      <span class="dot" aria-hidden="true"></span><span class="sr">${t("presence.label")}</span>
      <select class="presence" ?disabled=${ui.connection !== "open"} @change=${(event) => actions.setPresence(event.target.value)}>
        ${["offline", ...PRESENCES].map(
          (name) => html`<option value=${name} ?hidden=${name === "offline"} .selected=${name === ui.state.presence}>${t(`presence.${name}`)}</option>`,
        )}
      </select>
    </label>
    <button class="quiet small wide" @click=${actions.help} aria-label=${t("key.help")} title=${t("key.help")}><kbd>?</kbd></button>
    ${toggles(actions.draw)}
    <button class="quiet small" @click=${actions.leaveSeat} aria-label=${t("seats.leave")} title=${t("seats.leave")}>${icon("exit")}</button>
  </header>`;
}

// -- inbox --------------------------------------------------------------------------------------------------------

function list(ui, actions) {
  const groups = inbox(ui.state).filter(([, views]) => views.length);
  return html`<nav class="inbox" aria-label=${t("inbox.label")}>
    ${groups.length ? nothing : quiet(ui, actions)}
    ${groups.map(
      ([name, views]) => html`<section>
        <h2>${t(`inbox.${name}`)} <span class="num">${number(views.length)}</span></h2>
        <ul>${repeat(views, (view) => view.case_id, (view) => html`<li>${row(ui, view, actions)}</li>`)}</ul>
      </section>`,
    )}
  </nav>`;
}

function quiet(ui, actions) {
  const say = ui.connection !== "open" || !ui.state.live ? "connecting" : ui.state.presence === "available" ? "available" : "paused";
  return html`<div class="nothing"><p>${t(`inbox.empty.${say}`)}</p>
    ${say === "paused" ? html`<button class="btn primary" @click=${() => actions.setPresence("available")}>${t("inbox.ready")}</button>` : nothing}</div>`;
}

function row(ui, view, actions) {
  const { author } = view;
  return html`<button class="row ${slack(view, now())} ${view.state}" aria-current=${view.case_id === ui.selected ? "true" : nothing}
    @click=${() => actions.select(view.case_id)}>
    <span class="line">
      ${triage(view)}<span class="author">${nameOf(author)}</span>${due(view)}
    </span>
    <span class="text">${lastText(view) || t("thread.empty")}</span>
    <span class="meta">
      <span class="chip" title=${languageName(view.labels.language)}>${view.labels.language.toUpperCase()}</span>
      <span>${brandName(ui, view)}</span><span>${word("platform", view.platform)}</span>
      ${author.followers == null ? nothing : html`<span>${t("author.followers", { n: author.followers, count: compact(author.followers) })}</span>`}
      ${view.state === "offered" ? html`<span class="offer num">${icon("send")}${t("offer.left", { time: duration(view.expires_at - now()) })}</span>` : nothing}
      ${ui.welcome && hasFailed(view) ? html`<span class="bad">${t("publish.failed")}</span>` : nothing}
    </span>
  </button>`;
}

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

function empty(ui) {
  return html`<section class="detail none"><p class="dim">${ui.state.cases.size ? t("detail.choose") : t("detail.none")}</p></section>`;
}

function detail(ui, view, reason, actions) {
  return html`<article class="detail" aria-label=${nameOf(view.author)}>
    <header class="case-head">
      <button class="quiet small narrow" @click=${actions.back} aria-label=${t("key.back")}>${icon("back")}</button>
      <span class="avatar" aria-hidden="true">${initials(nameOf(view.author))}</span>
      <div class="about">
        <h2>${nameOf(view.author)}${view.author.verified ? html`<span class="verified" title=${t("author.verified")}>${icon("verified")}</span>` : nothing}${original(view)}</h2>
        <p class="dim">${about(ui, view)}</p>
      </div>
      ${reason ? nothing : html`<div class="clock">${due(view)}<span class="dim">${t(dueWord(view))}</span></div>`}
    </header>
    <div class="thread" tabindex="0" aria-label=${t("thread.label")}>
      <div class="entries">${repeat(view.thread ?? [], (entry) => entry.id, (entry) => entryOf(entry, view))}</div>
    </div>
    ${facts(view)}
    ${reason ? html`<footer class="foot"><p class="over">${t(`over.${reason}`)}</p></footer>` : foot(ui, view, actions)}
  </article>`;
}

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

function entryOf(entry, view) {
  const mine = entry.by === "rep";
  return html`<div class="entry ${mine ? "rep" : "customer"}">
    <p class="said ${entry.text ? "" : "dim"}" lang=${mine ? nothing : view.labels.language}>${entry.text || t(entry.deleted ? "thread.deleted" : "thread.cut")}</p>
    <p class="when"><time>${dayTime(entry.at, now())}</time>${entry.deleted && entry.text ? html` · ${t("thread.deleted")}` : nothing}${mine && entry.status ? status(entry) : nothing}</p>
  </div>`;
}

function status(entry) {
  const link = safeUrl(entry.url);
  return html`<span class="status ${entry.status}">${entry.status === "sent" ? icon("check") : nothing}${
    link ? html`<a href=${link} target="_blank" rel="noopener noreferrer">${t(`publish.${entry.status}`)}</a>` : t(`publish.${entry.status}`)
  }${entry.error ? html`: ${entry.error}` : nothing}</span>`;
}

// What the engine made of the post, and why. Closed on a narrow page, where the thread comes first.
function facts(view) {
  return html`<details class="facts" ?open=${innerWidth >= 1100}>
    <summary>${t("facts.title")}<span class="chips">${triage(view)}<span class="chip">${word("category", view.labels.category)}</span><span class="chip">${word("subject", view.labels.subject)}</span></span></summary>
    <div class="facts-in">
      <h3 class="first">${t("facts.title")}</h3>
      <dl class="labels">${labelRows(view)}</dl>
      <h3>${t("facts.influence")} <span class="num">${percent(view.influence.score)}</span></h3>
      <dl class="labels">${Object.entries(view.influence.parts).map(([name, part]) => pull(word("part", name), part))}</dl>
      ${view.why?.length ? html`<h3>${t("facts.why")}</h3><ul class="why">${view.why.map((reason) => html`<li>${why(reason)}</li>`)}</ul>` : nothing}
      ${view.reply_until ? html`<p class="dim">${t("facts.reply_until", { time: dayTime(view.reply_until, now()) })}</p>` : nothing}
    </div>
  </details>`;
}

function labelRows(view) {
  const { labels } = view;
  const values = { triage: word("triage", labels.triage), category: word("category", labels.category), subject: word("subject", labels.subject),
    sentiment: word("sentiment", labels.sentiment), language: languageName(labels.language), answer: t(labels.answer ? "yes" : "no"), toxic: t(labels.toxic ? "yes" : "no") };
  return Object.entries(values).map(([name, value]) => measure(t(`label.${name}`), value, labels.confidence[name], labels.unsure?.includes(name)));
}

// One part of the influence: to the right of the middle it raised the score, to the left it lowered it.
function pull(name, part) {
  const width = Math.min(50, Math.abs(part) * 150);
  return html`<dt>${name}</dt><dd></dd><dd class="share num">
    <svg viewBox="0 0 100 4" preserveAspectRatio="none" class=${part < 0 ? "low" : ""} aria-hidden="true"><rect width="100" height="4"></rect><rect class="full" x=${part < 0 ? 50 - width : 50} width=${width} height="4"></rect></svg>
    ${number(Math.round(part * 100), { signDisplay: "exceptZero" })}</dd>`;
}

function measure(name, value, share, unsure = false) {
  const width = Math.round(Math.max(0, Math.min(1, Math.abs(share))) * 100);
  return html`<dt>${name}</dt><dd>${value}${unsure ? html`<span class="unsure" title=${t("label.unsure")}>?<span class="sr">${t("label.unsure")}</span></span>` : nothing}</dd>
    <dd class="share num" aria-label=${t("label.confidence", { share: percent(share) })}>
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" class=${unsure ? "low" : ""} aria-hidden="true"><rect width="100" height="4"></rect><rect class="full" width=${width} height="4"></rect></svg>
      ${percent(share)}</dd>`;
}

// Reasons come as a code and what was found: "danger: stromschlag". What is not a code is shown as it is.
function why(reason) {
  const [code, ...rest] = reason.split(":");
  const found = rest.join(":").trim();
  const key = `why.${code.trim().replaceAll(" ", "_")}`;
  const counted = Number(/^(?:closes in )?(\d+) (?:min|posts)/.exec(found)?.[1]);
  if (known(`${key}.n`) && counted) return t(`${key}.n`, { n: counted });
  if (!known(key)) return reason;
  return t(key, { found: code === "category" ? word("category", found) : found });
}

function foot(ui, view, actions) {
  const busy = actions.pendingFor(view.case_id);
  if (view.state === "offered") return offer(view, busy, actions);
  if (view.state === "awaiting_customer") return html`<footer class="foot"><p class="over">${t("over.awaiting")}</p></footer>`;
  return composer(ui, view, busy, actions);
}

function offer(view, busy, actions) {
  return html`<footer class="foot offer-bar">
    <p><strong class="num">${t("offer.left", { time: duration(view.expires_at - now()) })}</strong><span class="dim wide">${t("offer.then")}</span></p>
    <button class="btn" ?disabled=${busy} @click=${actions.reject}>${t("offer.reject")}<kbd class="wide">X</kbd></button>
    <button class="btn primary" ?disabled=${busy} @click=${actions.accept}>${t("offer.accept")}<kbd class="wide">A</kbd></button>
  </footer>`;
}

function composer(ui, view, busy, actions) {
  const text = actions.draft(view.case_id);
  const used = codePoints(text);
  const over = view.text_max > 0 && used > view.text_max;
  return html`<footer class="foot composer">
    <textarea class="answer" rows="3" .value=${text} placeholder=${t("reply.placeholder", { who: nameOf(view.author) })} aria-label=${t("reply.label")}
      aria-invalid=${over ? "true" : nothing} lang=${view.labels.language} spellcheck="true" @input=${(event) => actions.typed(event.target.value)}></textarea>
    <div class="tools">
      <label class="check"><input type="checkbox" .checked=${ui.closeAfter} @change=${(event) => actions.closeAfter(event.target.checked)} />${t("reply.close")}</label>
      <span class="count num ${over ? "over" : ""}" title=${counted(text, used, view)}>${shown(text, used, view)}</span>
      <button class="btn" ?disabled=${busy} @click=${actions.close}>${t("case.close")}<kbd class="wide">C</kbd></button>
      <button class="btn primary" ?disabled=${busy || over || !text.trim()} @click=${actions.send}>${t("reply.send")}<kbd class="wide">Ctrl ↵</kbd></button>
    </div>
  </footer>`;
}

// Platforms count code points, people count what they see: an emoji may be one and seven.
function shown(text, used, view) {
  return view.text_max > 0 ? `${number(used)} / ${number(view.text_max)}` : number(graphemes(text));
}

const counted = (text, used, view) => t(view.text_max > 0 ? "reply.count.max" : "reply.count", { seen: graphemes(text), used, max: view.text_max ?? 0 });

// -- dialogs ------------------------------------------------------------------------------------------------------

const help = () => html`<dialog class="help" aria-label=${t("key.help")}>
  <h2>${t("key.title")}</h2>
  <dl>${KEYS.map(([key, name]) => html`<dt><kbd>${language() === "de" ? key.replace("Ctrl", "Strg") : key}</kbd></dt><dd>${t(`key.${name}`)}</dd>`)}</dl>
  <button class="btn" @click=${(event) => event.target.closest("dialog").close()}>${t("key.done")}</button>
</dialog>`;

function closing(actions) {
  const go = (event) => actions.closeNow(event.target.closest("dialog").querySelector("input").value.trim());
  return html`<dialog class="closing" aria-label=${t("close.title")} @close=${(event) => { event.target.querySelector("input").value = ""; }}>
    <h2>${t("close.title")}</h2>
    <p class="dim">${t("close.lead")}</p>
    <label class="field">${t("close.note")}<input type="text" maxlength="500" autofocus @keydown=${(event) => event.key === "Enter" && !event.isComposing && go(event)} /></label>
    <p class="ends">
      <button class="btn" @click=${(event) => event.target.closest("dialog").close()}>${t("close.cancel")}</button>
      <button class="btn primary" @click=${go}>${t("case.close")}<kbd>↵</kbd></button>
    </p>
  </dialog>`;
}
