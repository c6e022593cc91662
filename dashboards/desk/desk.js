// A rep's page: what the gateway says is folded into a state, what the rep does becomes commands.
import { render } from "../vendor/lit-html-3.3.3/lit-html.js";
import { boardToken, Refused, seatToken } from "../common/api.js";
import { onTheme } from "../common/chrome.js";
import { now } from "../common/clock.js";
import { setLanguage, language, t, word } from "../common/i18n.js";
import { newId } from "../common/ids.js";
import { Link } from "../common/link.js";
import { CHIEF, SeatList } from "../common/seats.js";
import { session } from "../common/store.js";
import { listen } from "./keys.js";
import { chosen } from "./labels.js";
import { nameOfRep, shownLines, viewsOf } from "./lists.js";
import { acts, caseOf, change, fold, foldAside, fresh, inbox, keep, leave, told, withEntry } from "./state.js";
import { answerOf, codePoints, isOver, page } from "./view.js";

const PROTOCOL = "zuruf.desk.v1";
const ACK_FRAMES = 20;
const NOTICE_MS = 7000;
const PENDING_MAX = 16; // The gateway's side remembers the results of as many commands.
const LOOK_MS = 10_000; // A third of the lease: one lost frame takes nobody's pen.
const SETTLE_MS = 250; // Who walks down the inbox looks at a case when he stops there.
const TYPED_MS = 20_000; // Who has not typed for so long does not write any more.
const ASK_MS = 5000; // How old a list that is on the page may be.
const FILTER = { text: "", state: "", triage: "", brand: "" };

const root = document.getElementById("app");
const spoken = document.getElementById("spoken");

const blank = () => ({
  state: fresh(),
  link: null,
  connection: "none", // none, connecting, open, lost, stopped
  reason: "",
  welcome: null,
  selected: "",
  reading: false, // On a narrow page: the case is shown, not the list.
  tab: "mine", // mine, waiting, approval, all
  filter: FILTER,
  panel: null, // What a command still asks for: {kind, caseId, ...}
  closeAfter: true,
  approvals: 0, // Answers that have come up for approval since the list was looked at.
  closedWindows: new Set(), // Cases whose platform takes no answer any more, by the gateway's word.
  loggedOut: null,
  notices: [],
  pending: new Map(),
});
const ui = { ...blank(), seat: JSON.parse(session.get("seat") ?? "null") };
const seatList = new SeatList({ draw, choose: takeSeat, tokenGiven: (token) => begin(token), chief: true });
let acked = 0;
let drawing = false;

// -- drawing ------------------------------------------------------------------------------------------------------

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawNow();
  });
}

function drawNow() {
  render(ui.connection === "none" ? seatList.view(t("seats.desk")) : page(ui, actions), root);
  document.title = `${title()}${t("desk.title")} · Zuruf`;
}

// How many offers wait, and whether a promise is in danger.
function title() {
  const views = [...ui.state.cases.values()];
  const waiting = views.filter((view) => view.state === "offered").length;
  return `${waiting ? `(${waiting}) ` : ""}${views.some((view) => told(view)) ? "! " : ""}`;
}

function notice(text, kind = "info") {
  const entry = { id: newId(), text, kind };
  ui.notices = [...ui.notices.slice(-3), entry];
  setTimeout(() => {
    ui.notices = ui.notices.filter((other) => other !== entry);
    draw();
  }, NOTICE_MS);
  draw();
}

const say = (text) => {
  spoken.textContent = text;
};

// -- seat and connection ------------------------------------------------------------------------------------------

const tokenOf = ({ tenant, rep_id }) => (rep_id === CHIEF ? boardToken(tenant) : seatToken(tenant, rep_id));

async function takeSeat(seat) {
  ui.seat = { tenant: seat.tenant, rep_id: seat.rep_id, name: seat.name };
  session.set("seat", JSON.stringify(ui.seat));
  begin(await tokenOf(seat));
}

function begin(token) {
  session.set("token", token);
  ui.link = new Link({
    path: "/desk",
    protocol: PROTOCOL,
    first: "welcome",
    hello,
    onFrame: hear,
    onToken: newToken,
    onState: (connection, reason = "") => {
      Object.assign(ui, { connection, reason });
      draw();
    },
  });
  ui.link.open();
}

function hello() {
  const { epoch, seq, live } = ui.state;
  ui.state.pending = null;
  return { type: "hello", v: 1, token: session.get("token") ?? "", locale: language(), resume: live ? { epoch, seq } : null };
}

async function newToken() {
  if (!ui.seat) return false;
  try {
    session.set("token", await tokenOf(ui.seat));
    return true;
  } catch (fault) {
    if (fault instanceof Refused) return false;
    throw fault;
  }
}

function leaveSeat() {
  look("");
  ui.link?.stop();
  session.set("seat", null);
  session.set("token", null);
  session.forget("draft.");
  Object.assign(ui, blank(), { seat: null });
  seatList.load();
}

// -- frames -------------------------------------------------------------------------------------------------------

function hear(frame) {
  if (frame.type === "welcome") return welcomed(frame);
  if (frame.type === "result") return settled(frame);
  if (frame.type === "logged_out") return loggedOut(frame);
  if (frame.epoch === undefined) {
    if (foldAside(ui.state, frame)) draw();
    return; // Else not a frame of the stream, and none that we know.
  }
  const known = new Set(ui.state.cases.keys());
  const outcome = fold(ui.state, frame);
  if (outcome === "gap") return ui.link.restart();
  if (outcome === "ok") noticed(frame, known);
  if (ui.state.seq - acked >= ACK_FRAMES) ack();
  draw();
}

function welcomed(frame) {
  const first = !ui.welcome;
  ui.welcome = frame;
  acked = 0;
  // Not resumed: the numbering stands only after the snapshot that follows.
  ui.state.live = frame.resumed;
  ui.state.viewers.clear();
  for (const { command } of ui.pending.values()) ui.link.send(command);
  // Another connection is another pair of eyes.
  looking = "";
  settleLook();
  if (first && frame.role === "supervisor") actions.show("all");
  ask();
  draw();
}

function loggedOut(frame) {
  ui.loggedOut = frame;
  ui.link.stop("logged_out");
}

// Taken by hand: the case that comes for it is what the rep wants to see.
const TAKING = new Set(["pull", "sup_take"]);
const TAKEN_MS = 10_000; // The case comes a moment before or after the result.
let taken = { caseId: "", until: 0 };
function isTaken(caseId) {
  const entry = [...ui.pending.values()].find(({ command: sent }) => TAKING.has(sent.type) && (sent.case_id ?? caseId) === caseId);
  if (entry) entry.came = true;
  else if (taken.until < Date.now() || (taken.caseId || caseId) !== caseId) return false;
  taken.until = 0;
  return true;
}

function noticed(frame, known) {
  if (frame.type === "offer") {
    const view = frame.case;
    say(t("say.offer", { who: authorName(view), triage: word("triage", view.triage) }));
  } else if (frame.type === "case" && !known.has(frame.case.case_id) && isTaken(frame.case.case_id)) {
    ui.tab = "mine";
    select(frame.case.case_id);
  } else if (frame.type === "revoke" && !["closed", "rejected", "transferred"].includes(frame.reason)) {
    const left = ui.state.gone.get(frame.case_id);
    if (left) notice(t(`revoke.${frame.reason}`, { who: authorName(left.view) }));
  } else if (frame.type === "message") {
    say(t("say.message", { who: authorName(ui.state.cases.get(frame.case_id)) }));
  } else if (frame.type === "publish" && frame.status === "failed") {
    notice(t("publish.failed.notice"), "bad");
  } else if (frame.type === "notice") {
    say(t(`say.${frame.stage}`, { who: authorName(ui.state.cases.get(frame.case_id)), what: t(`promise.${frame.promise}`) }));
  } else if (frame.type === "info") informed(frame);
  if (frame.type === "revoke" && frame.reason === "transferred" && ui.selected === frame.case_id) passOn(frame.case_id);
  if ((frame.type === "publish" && frame.state === "closed") || frame.reason === "closed") setDraft(frame.case_id, "");
  if (!ui.selected && ui.tab === "mine" && !["publish", "info", "presence_is"].includes(frame.type)) selectFirst();
  // What a panel asks about may not be possible any more.
  if (ui.panel?.caseId && !mayStill(ui.panel)) ui.panel = null;
}

function informed(frame) {
  const view = ui.state.cases.get(frame.case_id);
  if (frame.kind === "window_closed") ui.closedWindows.add(frame.case_id);
  if (frame.kind === "approval") {
    ui.approvals += 1;
    if (ui.tab === "approval") ask();
  }
  const values = { who: frame.kind === "approval" ? nameOfRep(ui, frame.by) : authorName(view) };
  if (frame.kind === "message") say(t("say.told", { who: nameOfRep(ui, frame.by), text: frame.text }));
  else notice(t(`info.${frame.kind}`, values), frame.kind === "approval" ? "info" : "bad");
}

// The case just handed on makes room for the next one in hand.
function passOn(caseId) {
  setDraft(caseId, "");
  const [first] = order().filter((id) => id !== caseId && ui.state.cases.has(id));
  if (first) select(first, { read: false });
}

const authorName = (view) => view?.author?.name || view?.author?.handle || t("author.unknown");

function settled(frame) {
  const entry = ui.pending.get(frame.re);
  if (!entry) return; // A look, or a list: nothing hangs on it.
  ui.pending.delete(frame.re);
  if (frame.ok && TAKING.has(entry.command.type) && !entry.came) taken = { caseId: entry.command.case_id ?? "", until: Date.now() + TAKEN_MS };
  if (!frame.ok) refused(entry, frame.error);
  else if (SAID[entry.command.type]) notice(t(SAID[entry.command.type]));
  if (!frame.ok && entry.command.type === "presence") root.querySelector("select.presence").value = ui.state.presence;
  ask();
  draw();
}

const SAID = { relabel: "labels.done", sup_message: "message.done", sup_logout: "logout.done", sup_assign: "assign.done", sup_priority: "priority.done", return: "return.done", approve: "approval.done" };

// A refusal tells what holds now; the page shows that, and gives a text that was not taken back to its writer.
function refused({ command: sent, panel }, error) {
  const held = ui.state.cases.get(sent.case_id);
  if (sent.type === "reply") takeBack(sent);
  if (error.code === "window_closed") ui.closedWindows.add(sent.case_id);
  if (panel && !ui.panel && ui.selected === (panel.caseId ?? ui.selected)) ui.panel = panel;
  if (error.case && ui.state.cases.has(error.case.case_id)) keep(ui.state, error.case);
  else if (held && ["offer_gone", "not_found", "not_owner"].includes(error.code)) leave(ui.state, held, "withdrawn");
  const key = sent.type === "pull" && error.code === "not_found" ? "pull.none" : `error.${error.code}`;
  notice(t(key, { message: error.message }), "bad");
}

function takeBack(sent) {
  change(ui.state, sent.case_id, (view) => ({ ...view, thread: view.thread.filter((entry) => entry.id !== sent.id) }));
  if (!draft(sent.case_id)) setDraft(sent.case_id, sent.text);
}

function ack() {
  if (!ui.state.live || ui.state.seq <= acked || ui.connection !== "open") return;
  if (ui.link.send({ type: "ack", seq: ui.state.seq })) acked = ui.state.seq;
}

// -- who looks, who writes ------------------------------------------------------------------------------------------

let looking = "";
let settling = 0;
let typedAt = 0;
let hasPen = false;

const isOnPage = () => ui.connection === "open" && ui.selected && (innerWidth >= 760 || ui.reading);
const isWriting = () => Boolean(looking) && Date.now() - typedAt < TYPED_MS && document.activeElement === area();

// Not among the pending commands: what is not said now is said again in ten seconds.
const tellLook = (caseId, on, writing = false) => ui.link?.send({ type: "view", id: newId(), case_id: caseId, on, writing });

function look(caseId) {
  if (looking === caseId) return;
  if (looking) {
    tellLook(looking, false);
    ui.state.viewers.delete(looking);
  }
  [looking, hasPen, typedAt] = [caseId, false, 0];
  if (caseId) tellLook(caseId, true);
}

function settleLook() {
  clearTimeout(settling);
  settling = setTimeout(() => look(isOnPage() ? ui.selected : ""), SETTLE_MS);
}

function lookAgain() {
  if (!looking || ui.connection !== "open") return;
  hasPen = isWriting();
  tellLook(looking, true, hasPen);
}

function penDown() {
  if (!hasPen || !looking) return;
  hasPen = false;
  tellLook(looking, true, false);
}

function wrote() {
  typedAt = Date.now();
  if (!looking && ui.selected) look(ui.selected);
  if (hasPen || !looking) return;
  hasPen = true;
  tellLook(looking, true, true);
}

// -- lists ----------------------------------------------------------------------------------------------------------

function ask() {
  if (ui.tab !== "mine" && ui.connection === "open") ui.link?.send({ type: "list", id: newId(), what: ui.tab });
}

// -- what the rep does --------------------------------------------------------------------------------------------

function command(frame, panel = null) {
  if (ui.pending.size >= PENDING_MAX) return notice(t("error.busy"), "bad");
  const whole = { ...frame, id: newId() };
  ui.pending.set(whole.id, { command: whole, panel, version: versionOf(whole.case_id) });
  ui.link.send(whole); // If the line is down, it goes out after the next welcome; its id makes a repeat harmless.
  draw();
  return whole;
}

// A command on the chosen case, if it may be given now; what was typed in its panel comes back if it is refused.
function onCase(act, frame) {
  const found = here();
  if (!found || !may(act) || pendingFor(found.view.case_id, frame.type)) return false;
  const { case_id, version } = found.view;
  command({ ...frame, case_id, ...(VERSIONED.has(frame.type) ? { version } : {}) }, ui.panel);
  closePanel();
}

const VERSIONED = new Set(["hold", "resume", "transfer", "approve", "return", "relabel", "close"]);

export const draft = (caseId) => session.get(`draft.${caseId}`) ?? "";
const setDraft = (caseId, text) => session.set(`draft.${caseId}`, text);
// The chosen case; of one that has not come yet, its line in the list says enough to act on it.
const here = () => caseOf(ui.state, ui.selected) ?? lineHere();
const lineOf = (caseId) => (ui.tab === "mine" ? null : ui.state.lists.get(ui.tab)?.cases.find((one) => one.case_id === caseId));
function lineHere() {
  const line = lineOf(ui.selected);
  return line ? { view: line, held: false, reason: "" } : null;
}
const selectedCase = () => ui.state.cases.get(ui.selected);
const may = (act) => {
  const found = here();
  return Boolean(found) && acts(found.view, found.held, ui.welcome ?? {}).has(act);
};
// Whether a command is under way that another must not overtake. It is over for the case as soon as the case has moved on, which
// a quick hand sees before the command's own result. Of commands that name no version, only the same again has to wait.
const pendingFor = (caseId, type = "") =>
  [...ui.pending.values()].some(
    ({ command: sent, version }) => sent.case_id === caseId && version === versionOf(caseId) && (!type || type === sent.type || VERSIONED.has(type)),
  );
const versionOf = (caseId) => (ui.state.cases.get(caseId) ?? lineOf(caseId))?.version;
const order = () => (ui.tab === "mine" ? inbox(ui.state).flatMap(([, views]) => views.map((view) => view.case_id)) : shownLines(ui).map((line) => line.case_id));
const area = () => root.querySelector("textarea.answer");
const NEEDS = { labels: "labels", hold: "hold", transfer: "transfer", assign: "assign", priority: "priority", return: "return", close: "close" };
const mayStill = (panel) => panel.caseId === ui.selected && may(NEEDS[panel.kind]);

function select(caseId, { read = true } = {}) {
  if (ui.panel && ui.panel.caseId !== caseId) ui.panel = null;
  ui.selected = caseId;
  if (read) ui.reading = true;
  settleLook();
  draw();
  requestAnimationFrame(() => {
    root.querySelector(".row[aria-current]")?.scrollIntoView({ block: "nearest" });
    const thread = root.querySelector(".thread");
    if (thread) thread.scrollTop = thread.scrollHeight;
  });
}

function selectFirst() {
  const [first] = order();
  if (first) select(first, { read: false });
}

function step(by) {
  const ids = order();
  if (!ids.length) return false;
  const at = ids.indexOf(ui.selected);
  select(ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))]);
}

// At once: the next key already belongs to what has been opened.
function focus(selector) {
  drawNow();
  root.querySelector(selector)?.focus();
}

function openPanel(kind, more = {}) {
  if (ui.panel?.kind === kind) return closePanel();
  ui.reading ||= Boolean(more.caseId);
  ui.panel = { kind, ...more };
  focus(".panel [data-first], .label-form [data-first]");
}

function closePanel() {
  if (!ui.panel) return;
  ui.panel = null;
  if (root.contains(document.activeElement) && document.activeElement !== area()) document.activeElement.blur();
  draw();
}

const askFor = (kind, more = {}) => (may(kind) ? openPanel(kind, { caseId: ui.selected, ...more }) : false);

const actions = {
  draw,
  select,
  draft,
  pendingFor,
  leaveSeat,
  closePanel,
  penDown,
  next: () => step(1),
  previous: () => step(-1),
  retry: () => ui.link?.retry(),
  back: () => {
    ui.reading = false;
    settleLook();
    draw();
  },
  show: (tab) => {
    Object.assign(ui, { tab, reading: false, filter: FILTER });
    if (tab === "approval") ui.approvals = 0;
    ask();
    draw();
  },
  sift: (some) => {
    ui.filter = { ...ui.filter, ...some };
    draw();
  },
  search: () => {
    const field = root.querySelector("input.search");
    return field ? field.focus() : false;
  },
  inPanel: (some, then = "") => {
    Object.assign(ui.panel, some);
    if (then) focus(then);
    else drawNow();
  },

  // One key for "this is mine now": an offer, what waits, or, for a supervisor, whatever is open.
  take: () => {
    if (may("take")) return onCase("take", { type: "sup_take" });
    if (may("pull")) return onCase("pull", { type: "pull" });
    const view = selectedCase();
    if (view?.state !== "offered" || pendingFor(view.case_id)) return false;
    command({ type: "accept", case_id: view.case_id, offer: view.offer, version: view.version });
  },
  pullNext: () => {
    if (ui.welcome?.pulls === false || ui.welcome?.role === "supervisor" || [...ui.pending.values()].some(({ command: sent }) => sent.type === "pull")) return false;
    command({ type: "pull" });
  },
  reject: () => {
    if (may("return")) return askFor("return");
    const view = selectedCase();
    if (view?.state !== "offered" || pendingFor(view.case_id)) return false;
    command({ type: "reject", case_id: view.case_id, offer: view.offer, version: view.version });
  },
  reply: () => {
    if (!area()) return false;
    ui.reading = true;
    area().focus();
  },
  // Drawn at once: what the page last drew is what stands in the field, so another case's text never stays in it.
  typed: (text) => {
    setDraft(ui.selected, text);
    wrote();
    drawNow();
  },
  closeAfter: (on) => {
    ui.closeAfter = on;
    draw();
  },
  send,
  hold: () => (may("resume") ? onCase("resume", { type: "resume" }) : askFor("hold")),
  holdUntil: (until) => onCase("hold", { type: "hold", until }),
  transfer: () => askFor(may("transfer") ? "transfer" : "assign"),
  handOn: (to, note) => (ui.panel.kind === "assign" ? onCase("assign", { type: "sup_assign", to: to.slice(4), reason: note }) : onCase("transfer", { type: "transfer", to, note })),
  labels: () => askFor("labels", { values: {} }),
  relabel: (all) => {
    const { view } = here();
    const labels = chosen(view.labels, ui.panel.values, { all });
    return Object.keys(labels).length ? onCase("labels", { type: "relabel", labels }) : false;
  },
  close: () => askFor("close"),
  note: (kind, note) => (kind === "return" ? onCase("return", { type: "return", note }) : onCase("close", { type: "close", disposition: note })),
  reopen: () => onCase("reopen", { type: "reopen" }),
  priority: () => askFor("priority", { now: here()?.view.triage }),
  prioritise: (triage) => onCase("priority", { type: "sup_priority", triage, reason: (ui.panel?.note ?? "").trim() }),
  message: () => (ui.welcome?.role === "supervisor" ? openPanel("message", { to: toNow() }) : false),
  tell: (to, text) => {
    command({ type: "sup_message", text, to }, ui.panel);
    closePanel();
  },
  logOut: (to, reason) => {
    command({ type: "sup_logout", to, reason: reason.slice(0, 500) }, ui.panel);
    closePanel();
  },
  dismiss: (id) => {
    const [first] = ui.state.messages;
    if (!first) return false;
    ui.state.messages = ui.state.messages.filter((one) => one.id !== (id ?? first.id));
    draw();
  },
  presence: () => {
    root.querySelector("select.presence")?.focus();
  },
  setPresence: (value) => {
    const later = value.endsWith("+");
    command({ type: "presence", state: later ? value.slice(0, -1) : value, ...(later ? { when_done: true } : {}) });
  },
  help: () => root.querySelector("dialog.help")?.showModal(),
  escape: () => {
    if (document.querySelector("dialog[open]")) return false; // The dialog closes itself.
    if (ui.panel) return closePanel();
    if (document.activeElement !== document.body) document.activeElement.blur();
    else if (ui.reading) actions.back();
  },
  ...Object.fromEntries([1, 2, 3, 4].map((number) => [`view${number}`, () => {
    const name = viewsOf(ui.welcome)[number - 1];
    return name ? actions.show(name) : false;
  }])),
};

// A message goes to whoever has the chosen case, unless somebody else is chosen.
function toNow() {
  const view = here()?.view;
  return view?.rep_id && ui.welcome?.reps?.[view.rep_id] && view.rep_id !== ui.welcome.subject ? `rep:${view.rep_id}` : "";
}

function send() {
  if (ui.panel?.kind === "labels") return actions.relabel(true);
  const main = root.querySelector(".panel .btn.primary");
  if (main) return main.click();
  return may("approve") ? approve() : answer();
}

function approve() {
  const { view } = here();
  const field = area();
  const text = view.thread && field?.value.trim();
  if (!text) return false;
  const same = text === (answerOf(view)?.text ?? "").trim();
  if (onCase("approve", { type: "approve", text: same ? "" : text }) === false) return false;
  setDraft(view.case_id, "");
  penDown();
}

function answer() {
  const view = selectedCase();
  const field = area();
  if (!view || !field || pendingFor(view.case_id)) return false;
  const text = field.value.trim();
  if (!text || (view.text_max && codePoints(text) > view.text_max)) return false;
  const anyway = isOver(ui, view) ? { anyway: true } : {};
  const sent = command({ type: "reply", case_id: view.case_id, version: view.version, text, close: ui.closeAfter, ...anyway });
  if (!sent) return false;
  // Shown at once as queued; the gateway's own account of the case replaces it, by the same id.
  const entry = { id: sent.id, at: now(), by: "rep", text, status: "queued" };
  change(ui.state, view.case_id, (held) => ({ ...held, thread: withEntry(held.thread ?? [], entry) }));
  setDraft(view.case_id, "");
  field.value = "";
  penDown();
  draw();
  requestAnimationFrame(() => root.querySelector(".thread .entry:last-child")?.scrollIntoView({ block: "end" }));
}

// -- start --------------------------------------------------------------------------------------------------------

await setLanguage();
listen(new Proxy(actions, { get: (all, name) => (ui.connection === "none" ? () => false : all[name]) }));
onTheme(draw);
setInterval(draw, 1000);
setInterval(ack, 1000);
setInterval(lookAgain, LOOK_MS);
setInterval(ask, ASK_MS);
addEventListener("pagehide", () => look(""));
const token = session.get("token");
if (token) begin(token);
else seatList.load();
