// Posts that say the same, as a supervisor sees and decides about them; keyboard first.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { now } from "../common/clock.js";
import { dayTime, duration, languageName, number, t, word } from "../common/i18n.js";

const TYPING = "input, textarea, select, [contenteditable]";
const BRACES = /\{([^{}]*)\}/g;

// How many wordings a text with alternatives has; names are no alternatives.
export function wordings(text) {
  let count = 1;
  for (const [, inner] of text.matchAll(BRACES)) count *= inner.split("|").length;
  return text.trim() ? count : 0;
}

// One wording of a text, for a look at it.
export function preview(text, at) {
  let place = at;
  return text.replace(BRACES, (_, inner) => {
    const choices = inner.split("|");
    if (choices.length === 1) return inner === "name" ? t("incident.name") : inner === "handle" ? "@…" : inner;
    const said = choices[place % choices.length];
    place = Math.floor(place / choices.length) + at;
    return said;
  });
}

export class Incidents {
  constructor({ orders, redraw, nameOf }) {
    Object.assign(this, { orders, redraw, nameOf, lines: [], chosen: "", opened: "", drafts: new Map(), keep: false });
    this.cases = null;
    this.busy = "";
    this.told = "";
    addEventListener("keydown", (event) => this.key(event));
  }

  // Lines of the frames that are shown, each with its brand, the largest first.
  take(frames) {
    this.lines = frames
      .flatMap((frame) => (frame.incidents ?? []).map((line) => ({ ...line, brand_id: frame.brand_id })))
      .sort((a, b) => (b.posts ?? 0) - (a.posts ?? 0));
    if (!this.lines.some((line) => line.incident_id === this.chosen)) {
      this.chosen = this.lines[0]?.incident_id ?? "";
      this.opened = "";
    }
  }

  line() {
    return this.lines.find((line) => line.incident_id === this.chosen);
  }

  // -- what a supervisor does ---------------------------------------------------------------------------------------

  key(event) {
    if (event.defaultPrevented || event.isComposing || !this.lines.length) return;
    if (event.key === "Escape" && this.opened) return this.done(event, () => this.show(""));
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter" && this.opened === "answer") return this.done(event, () => this.answer());
    if (event.target.matches?.(TYPING) || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      j: () => this.move(1),
      k: () => this.move(-1),
      g: () => this.act("group"),
      u: () => this.act("ungroup"),
      x: () => this.act("close"),
      r: () => this.show("answer"),
      o: () => this.look(),
    };
    if (acts[event.key]) this.done(event, acts[event.key]);
  }

  done(event, act) {
    event.preventDefault();
    act();
  }

  move(by) {
    const at = this.lines.findIndex((line) => line.incident_id === this.chosen);
    const next = this.lines[Math.min(this.lines.length - 1, Math.max(0, at + by))];
    if (next && next.incident_id !== this.chosen) this.choose(next.incident_id);
    document.getElementById(`incident-${this.chosen}`)?.scrollIntoView({ block: "nearest" });
  }

  choose(incidentId) {
    if (this.chosen === incidentId) return;
    Object.assign(this, { chosen: incidentId, opened: "", cases: null, told: "" });
    this.redraw();
  }

  show(what) {
    if (what === "answer" && this.line()?.state === "answered") return;
    this.opened = what;
    this.redraw();
    if (what === "answer") requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById("incident-text")?.focus()));
  }

  // Acts that the state of an incident knows; the others do nothing, also by keyboard.
  may(line, act) {
    if (act === "group") return line.state === "suggested";
    if (act === "ungroup") return line.state === "grouped" || line.state === "answered";
    return true;
  }

  act(act) {
    const line = this.line();
    if (line && this.may(line, act)) this.order(line, { type: "sup_incident", act }, `incident.done.${act}`);
  }

  async answer() {
    const line = this.line();
    const text = (this.drafts.get(line?.incident_id) ?? "").trim();
    if (!line || !text) return;
    const frame = { type: "sup_incident_answer", text, close: !this.keep };
    if (await this.order(line, frame, "incident.done.answer")) {
      this.drafts.delete(line.incident_id);
      this.show("");
    }
  }

  async look() {
    const line = this.line();
    if (this.opened === "cases") return this.show("");
    const result = await this.orders.give({ type: "sup_incident_cases", incident_id: line.incident_id });
    if (!result.ok) return this.refused(result.error);
    this.cases = result.brought;
    this.show("cases");
  }

  async apart(line, caseId) {
    const result = await this.orders.give({ type: "sup_incident_apart", incident_id: line.incident_id, case_id: caseId });
    if (!result.ok) return this.refused(result.error);
    this.cases = { ...this.cases, total: this.cases.total - 1, cases: this.cases.cases.filter((one) => one.case_id !== caseId) };
    this.told = t("incident.done.apart");
    this.redraw();
  }

  async order(line, frame, said) {
    if (this.busy) return false;
    this.busy = line.incident_id;
    this.redraw();
    const result = await this.orders.give({ incident_id: line.incident_id, version: line.version, ...frame });
    this.busy = "";
    if (result.ok) this.told = t(said);
    else this.refused(result.error);
    this.redraw();
    return result.ok;
  }

  refused(error) {
    this.told = t(`error.${error?.code ?? "internal"}`, { message: error?.message ?? "" });
    if (error?.message) this.told = `${this.told} (${error.message})`;
    this.redraw();
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  panel(single) {
    if (!this.lines.length) return nothing;
    return html`<section class="incidents" aria-label=${t("incident.title")}>
      <h2>${t("incident.title")} <span class="dim num">${number(this.lines.length)}</span></h2>
      <p class="told" role="status">${this.told}</p>
      <ol>${repeat(this.lines, (line) => line.incident_id, (line) => this.item(line, single))}</ol>
    </section>`;
  }

  item(line, single) {
    const chosen = line.incident_id === this.chosen;
    return html`<li id=${`incident-${line.incident_id}`} class="incident ${line.state} ${chosen ? "chosen" : ""}" aria-current=${chosen ? "true" : nothing}
      @click=${() => this.choose(line.incident_id)} @focusin=${() => this.choose(line.incident_id)}>
      <p class="facts">
        <span class="chip ${line.state}">${t(`incident.state.${line.state}`)}</span>
        ${single ? nothing : html`<b>${this.nameOf(line.brand_id)}</b>`}
        <b class="num">${t("incident.posts", { n: line.posts ?? 0 })}</b>
        <span class="num">${t("incident.authors", { n: line.authors ?? 0 })}</span>
        <span class="num">${t("incident.grown", { n: line.grown ?? 0 })}</span>
        ${line.at_once ? html`<span class="chip at_once num">${t("incident.at_once", { n: line.at_once })}</span>` : nothing}
        <span class="dim">${t("incident.since", { time: duration(now() - line.opened_at) })}</span>
        ${line.language ? html`<span class="dim">${languageName(line.language)}, ${word("subject", line.subject)}</span>` : nothing}
      </p>
      <blockquote>${line.sample || t("incident.taken_back")}</blockquote>
      ${line.state === "answered" ? this.progress(line) : nothing}
      ${line.hold_until ? html`<p class="soon">${t("incident.hold", { time: duration(line.hold_until - now()) })}</p>` : nothing}
      ${line.decided_by ? html`<p class="dim">${t("incident.by", { name: line.decided_by, time: dayTime(line.decided_at, now()) })}</p>` : nothing}
      ${chosen ? this.acts(line) : nothing}
      ${chosen && this.opened === "answer" ? this.writing(line) : nothing}
      ${chosen && this.opened === "cases" && this.cases?.incident_id === line.incident_id ? this.list(line) : nothing}
    </li>`;
  }

  progress(line) {
    const answered = line.answered ?? 0;
    return html`<p class="going"><progress max=${line.posts || 1} value=${answered}></progress>
      <span class="num">${t("incident.answered", { n: answered, posts: line.posts ?? 0, way: line.under_way ?? 0 })}</span></p>
      <blockquote class="ours">${line.answer}</blockquote>`;
  }

  acts(line) {
    const button = (key, name, act, primary = false) =>
      html`<button class="btn small ${primary ? "primary" : ""}" ?disabled=${this.busy !== ""} @click=${act}>${t(name)} <kbd>${key}</kbd></button>`;
    return html`<div class="acts">
      ${line.state === "answered" ? nothing : button("r", "incident.answer", () => this.show("answer"), true)}
      ${this.may(line, "group") ? button("g", "incident.group", () => this.act("group")) : nothing}
      ${line.state === "answered" ? button("u", "incident.take_back", () => this.act("ungroup")) : nothing}
      ${line.state === "grouped" ? button("u", "incident.ungroup", () => this.act("ungroup")) : nothing}
      ${button("o", "incident.cases", () => this.look())}
      ${button("x", line.state === "suggested" ? "incident.dismiss" : "incident.close", () => this.act("close"))}
    </div>`;
  }

  writing(line) {
    const draft = this.drafts.get(line.incident_id) ?? "";
    const count = wordings(draft);
    const typed = (event) => {
      this.drafts.set(line.incident_id, event.target.value);
      this.redraw();
    };
    return html`<div class="writing">
      <label for="incident-text">${t("incident.text", { n: line.posts ?? 0 })}</label>
      <textarea id="incident-text" rows="4" maxlength="20000" placeholder=${t("incident.placeholder")} .value=${draft} @input=${typed}></textarea>
      ${count ? html`<p class="dim num">${t("incident.wordings", { n: count })}</p><blockquote class="ours">${preview(draft, Math.floor(now() / 3000))}</blockquote>` : nothing}
      <label class="keep"><input type="checkbox" .checked=${this.keep} @change=${(event) => (this.keep = event.target.checked)} /> ${t("incident.keep")}</label>
      <div class="acts">
        <button class="btn small primary" ?disabled=${!count || this.busy !== ""} @click=${() => this.answer()}>${t("incident.send", { n: line.posts ?? 0 })} <kbd>Ctrl ↵</kbd></button>
        <button class="quiet small" @click=${() => this.show("")}>${t("incident.cancel")} <kbd>Esc</kbd></button>
      </div>
    </div>`;
  }

  list(line) {
    return html`<p class="dim">${t("incident.listed", { n: this.cases.cases.length, total: this.cases.total })}</p>
      <ul class="members">${repeat(this.cases.cases, (one) => one.case_id, (one) => html`<li>
        <span class="chip ${one.triage}">${word("triage", one.triage)}</span>
        <span class="said"><b>${one.author || t("author.unknown")}</b> ${one.excerpt}</span>
        <span class="dim">${word("casestate", one.state)}</span>
        <button class="quiet small" @click=${() => this.apart(line, one.case_id)}>${t("incident.apart")}</button>
      </li>`)}</ul>`;
  }
}
