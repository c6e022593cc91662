// The labels of a case: each with its confidence and whether the classifier was sure; a rep who knows better says so.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { languageName, percent, t, word } from "../common/i18n.js";

const LANGUAGES = "de en fr es it nl pt pl cs da sv nb fi hu ro tr el bg hr sk sl et lv lt uk ru ca ar hi".split(" ");

// As a relabel names them; a test holds these to the classifier's.
export const VALUES = {
  triage: ["spam", "less", "important", "urgent", "at_once"],
  category: ["urgent", "technical", "faq", "complaint", "praise", "other"],
  subject: ["billing", "delivery", "outage", "account", "product", "contract", "staff", "information", "other"],
  sentiment: ["negative", "neutral", "positive"],
  language: LANGUAGES,
  answer: ["no", "yes"],
  toxicity: ["no", "yes"],
};
const FIELD = { toxicity: "toxic" };
const fieldOf = (name) => FIELD[name] ?? name;

export const valueOf = (labels, name) => {
  const value = labels[fieldOf(name)];
  return typeof value === "boolean" ? (value ? "yes" : "no") : value;
};

// Only what was changed; or all seven, which says that each is right as it stands.
export function chosen(labels, edited, { all = false } = {}) {
  const whole = Object.keys(VALUES).map((name) => [name, edited[name] ?? valueOf(labels, name)]);
  return Object.fromEntries(whole.filter(([name, value]) => all || value !== valueOf(labels, name)));
}

const say = (name, value) => {
  if (name === "language") return languageName(value);
  return name === "answer" || name === "toxicity" ? t(value) : word(name, value);
};
const isUnsure = (labels, name) => labels.unsure?.includes(fieldOf(name)) ?? false;

export const labelRows = (view) => Object.keys(VALUES).map((name) => {
  const { labels } = view;
  return measure(t(`label.${fieldOf(name)}`), say(name, valueOf(labels, name)), labels.confidence?.[fieldOf(name)] ?? 0, isUnsure(labels, name));
});

function measure(name, value, share, unsure) {
  const width = Math.round(Math.max(0, Math.min(1, Math.abs(share))) * 100);
  return html`<dt>${name}</dt><dd>${value}${unsure ? html`<span class="unsure" title=${t("label.unsure")}>?<span class="sr">${t("label.unsure")}</span></span>` : nothing}</dd>
    <dd class="share num" aria-label=${t("label.confidence", { share: percent(share) })}>
      <svg viewBox="0 0 100 4" preserveAspectRatio="none" class=${unsure ? "low" : ""} aria-hidden="true"><rect width="100" height="4"></rect><rect class="full" width=${width} height="4"></rect></svg>
      ${percent(share)}</dd>`;
}

// The same rows to choose in; the first that the classifier was unsure of has the focus.
export function labelForm(view, open, actions) {
  const { labels } = view;
  const first = Object.keys(VALUES).find((name) => isUnsure(labels, name)) ?? "triage";
  const changed = Object.keys(chosen(labels, open.values)).length;
  const keyed = (event) => {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || !changed) return;
    event.preventDefault();
    actions.relabel(false);
  };
  const row = (name) => {
    const value = open.values[name] ?? valueOf(labels, name);
    const isNew = value !== valueOf(labels, name);
    return html`<label class=${isNew ? "changed" : ""}><span>${t(`label.${fieldOf(name)}`)}${isUnsure(labels, name) && !isNew ? html`<span class="unsure">?<span class="sr">${t("label.unsure")}</span></span>` : nothing}</span>
      <select name=${name} ?data-first=${name === first} @keydown=${keyed} @change=${(event) => actions.inPanel({ values: { ...open.values, [name]: event.target.value } })}>
        ${VALUES[name].map((one) => html`<option value=${one} .selected=${one === value}>${say(name, one)}</option>`)}</select></label>`;
  };
  return html`<div class="label-form">${Object.keys(VALUES).map(row)}
    <p class="dim">${t("labels.lead")}</p>
    <p class="ends"><button class="btn small" @click=${() => actions.relabel(true)}>${t("labels.right")}<kbd class="wide">Ctrl ↵</kbd></button>
      <button class="btn small primary" ?disabled=${!changed} @click=${() => actions.relabel(false)}>${changed ? t("labels.save", { n: changed }) : t("labels.save.none")}<kbd class="wide">↵</kbd></button></p></div>`;
}
