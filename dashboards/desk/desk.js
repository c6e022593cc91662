// A rep's page: what the gateway says is folded into a state, what the rep does becomes commands.
import { render } from "../vendor/lit-html-3.3.3/lit-html.js";
import { Refused, seatToken } from "../common/api.js";
import { onTheme } from "../common/chrome.js";
import { now } from "../common/clock.js";
import { setLanguage, language, t, word } from "../common/i18n.js";
import { newId } from "../common/ids.js";
import { Link } from "../common/link.js";
import { SeatList } from "../common/seats.js";
import { session } from "../common/store.js";
import { listen } from "./keys.js";
import { change, fold, fresh, inbox, keep, leave, withEntry } from "./state.js";
import { codePoints, page } from "./view.js";

const PROTOCOL = "zuruf.desk.v1";
const ACK_FRAMES = 20;
const NOTICE_MS = 7000;
const PENDING_MAX = 16; // The gateway's side remembers the results of as many commands.

const root = document.getElementById("app");
const spoken = document.getElementById("spoken");

const ui = {
  state: fresh(),
  link: null,
  connection: "none", // none, connecting, open, lost, stopped
  reason: "",
  welcome: null,
  selected: "",
  reading: false, // On a narrow page: the case is shown, not the list.
  closeAfter: true,
  notices: [],
  pending: new Map(),
  seat: JSON.parse(session.get("seat") ?? "null"),
};
const seatList = new SeatList({ draw, choose: takeSeat, tokenGiven: (token) => begin(token) });
let acked = 0;
let drawing = false;

// -- drawing ------------------------------------------------------------------------------------------------------

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render(ui.connection === "none" ? seatList.view(t("seats.desk")) : page(ui, actions), root);
    const waiting = ui.state.cases.size ? [...ui.state.cases.values()].filter((view) => view.state === "offered").length : 0;
    document.title = `${waiting ? `(${waiting}) ` : ""}${t("desk.title")} · Zuruf`;
  });
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

async function takeSeat(seat) {
  ui.seat = { tenant: seat.tenant, rep_id: seat.rep_id, name: seat.name };
  session.set("seat", JSON.stringify(ui.seat));
  begin(await seatToken(seat.tenant, seat.rep_id));
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
    session.set("token", await seatToken(ui.seat.tenant, ui.seat.rep_id));
    return true;
  } catch (fault) {
    if (fault instanceof Refused) return false;
    throw fault;
  }
}

function leaveSeat() {
  ui.link?.stop();
  session.set("seat", null);
  session.set("token", null);
  session.forget("draft.");
  Object.assign(ui, { state: fresh(), seat: null, connection: "none", welcome: null, selected: "", link: null });
  ui.pending.clear();
  seatList.load();
}

// -- frames -------------------------------------------------------------------------------------------------------

function hear(frame) {
  if (frame.type === "welcome") return welcomed(frame);
  if (frame.type === "result") return settled(frame);
  if (frame.epoch === undefined) return; // Not a frame of the stream, and none that we know.
  const outcome = fold(ui.state, frame);
  if (outcome === "gap") return ui.link.restart();
  if (outcome === "ok") noticed(frame);
  if (ui.state.seq - acked >= ACK_FRAMES) ack();
  draw();
}

function welcomed(frame) {
  ui.welcome = frame;
  acked = 0;
  // Not resumed: the numbering stands only after the snapshot that follows.
  ui.state.live = frame.resumed;
  for (const { command } of ui.pending.values()) ui.link.send(command);
  draw();
}

function noticed(frame) {
  if (frame.type === "offer") {
    const view = frame.case;
    say(t("say.offer", { who: authorName(view), triage: word("triage", view.triage) }));
  } else if (frame.type === "revoke" && !["closed", "rejected"].includes(frame.reason)) {
    const left = ui.state.gone.get(frame.case_id);
    if (left) notice(t(`revoke.${frame.reason}`, { who: authorName(left.view) }));
  } else if (frame.type === "message") {
    say(t("say.message", { who: authorName(ui.state.cases.get(frame.case_id)) }));
  } else if (frame.type === "publish" && frame.status === "failed") {
    notice(t("publish.failed.notice"), "bad");
  }
  if ((frame.type === "publish" && frame.state === "closed") || frame.reason === "closed") setDraft(frame.case_id, "");
  if (!ui.selected && !["publish"].includes(frame.type)) selectFirst();
}

const authorName = (view) => view?.author?.name || view?.author?.handle || t("author.unknown");

function settled(frame) {
  const entry = ui.pending.get(frame.re);
  if (!entry) return;
  ui.pending.delete(frame.re);
  if (!frame.ok) refused(entry.command, frame.error);
  if (!frame.ok && entry.command.type === "presence") root.querySelector("select.presence").value = ui.state.presence;
  draw();
}

// A refusal tells what holds now; the page shows that, and gives a text that was not taken back to its writer.
function refused(command, error) {
  const held = ui.state.cases.get(command.case_id);
  if (command.type === "reply") takeBack(command);
  if (error.case && ui.state.cases.has(error.case.case_id)) keep(ui.state, error.case);
  else if (held && ["offer_gone", "not_found", "not_owner"].includes(error.code)) leave(ui.state, held, "withdrawn");
  notice(t(`error.${error.code}`, { message: error.message }), "bad");
}

function takeBack(command) {
  change(ui.state, command.case_id, (view) => ({ ...view, thread: view.thread.filter((entry) => entry.id !== command.id) }));
  if (!draft(command.case_id)) setDraft(command.case_id, command.text);
}

function ack() {
  if (!ui.state.live || ui.state.seq <= acked || ui.connection !== "open") return;
  if (ui.link.send({ type: "ack", seq: ui.state.seq })) acked = ui.state.seq;
}

// -- what the rep does --------------------------------------------------------------------------------------------

function command(frame) {
  if (ui.pending.size >= PENDING_MAX) return notice(t("error.busy"), "bad");
  const whole = { ...frame, id: newId() };
  ui.pending.set(whole.id, { command: whole });
  ui.link.send(whole); // If the line is down, it goes out after the next welcome; its id makes a repeat harmless.
  draw();
  return whole;
}

export const draft = (caseId) => session.get(`draft.${caseId}`) ?? "";
const setDraft = (caseId, text) => session.set(`draft.${caseId}`, text);
const selectedCase = () => ui.state.cases.get(ui.selected);
const pendingFor = (caseId) => [...ui.pending.values()].some(({ command: sent }) => sent.case_id === caseId);
const order = () => inbox(ui.state).flatMap(([, views]) => views.map((view) => view.case_id));
const area = () => root.querySelector("textarea.answer");

function select(caseId, { read = true } = {}) {
  ui.selected = caseId;
  if (read) ui.reading = true;
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

const actions = {
  draw,
  select,
  draft,
  pendingFor,
  leaveSeat,
  next: () => step(1),
  previous: () => step(-1),
  retry: () => ui.link?.retry(),
  back: () => {
    ui.reading = false;
    draw();
  },
  accept: () => {
    const view = selectedCase();
    if (view?.state !== "offered" || pendingFor(view.case_id)) return false;
    command({ type: "accept", case_id: view.case_id, offer: view.offer, version: view.version });
  },
  reject: () => {
    const view = selectedCase();
    if (view?.state !== "offered" || pendingFor(view.case_id)) return false;
    command({ type: "reject", case_id: view.case_id, offer: view.offer, version: view.version });
  },
  reply: () => {
    if (!area()) return false;
    ui.reading = true;
    area().focus();
  },
  typed: (text) => {
    setDraft(ui.selected, text);
    draw();
  },
  closeAfter: (on) => {
    ui.closeAfter = on;
    draw();
  },
  send,
  close: () => {
    const view = selectedCase();
    if (!view || !["working", "answered"].includes(view.state)) return false;
    root.querySelector("dialog.closing").showModal();
  },
  closeNow: (disposition) => {
    const view = selectedCase();
    root.querySelector("dialog.closing").close();
    if (view) command({ type: "close", case_id: view.case_id, version: view.version, disposition });
  },
  presence: () => {
    root.querySelector("select.presence")?.focus();
  },
  setPresence: (state) => command({ type: "presence", state }),
  help: () => root.querySelector("dialog.help")?.showModal(),
  escape: () => {
    if (document.querySelector("dialog[open]")) return false; // The dialog closes itself.
    if (document.activeElement !== document.body) document.activeElement.blur();
    else if (ui.reading) actions.back();
  },
};

function send() {
  const view = selectedCase();
  const field = area();
  if (!view || !field || pendingFor(view.case_id)) return false;
  const text = field.value.trim();
  if (!text || (view.text_max && codePoints(text) > view.text_max)) return false;
  const sent = command({ type: "reply", case_id: view.case_id, version: view.version, text, close: ui.closeAfter });
  if (!sent) return false;
  // Shown at once as queued; the gateway's own account of the case replaces it, by the same id.
  const entry = { id: sent.id, at: now(), by: "rep", text, status: "queued" };
  change(ui.state, view.case_id, (held) => ({ ...held, thread: withEntry(held.thread ?? [], entry) }));
  setDraft(view.case_id, "");
  field.value = "";
  draw();
  requestAnimationFrame(() => root.querySelector(".thread .entry:last-child")?.scrollIntoView({ block: "end" }));
}

// -- start --------------------------------------------------------------------------------------------------------

await setLanguage();
listen(new Proxy(actions, { get: (all, name) => (ui.connection === "none" ? () => false : all[name]) }));
onTheme(draw);
setInterval(draw, 1000);
setInterval(ack, 1000);
const token = session.get("token");
if (token) begin(token);
else seatList.load();
