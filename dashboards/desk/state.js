// What the desk knows: a fold over the gateway's frames, without a page, a socket or a clock.

export const fresh = () => ({
  epoch: -1,
  seq: 0,
  live: false, // Whether the numbering stands: after a resume or a whole snapshot.
  presence: "offline",
  next: "", // What it becomes once all that is in hand is done.
  until: 0, // When a wrap-up ends.
  cases: new Map(),
  pending: null, // Pages of a snapshot that is still coming.
  gone: new Map(), // The last cases that left, so that one being read does not vanish.
  shown: new Map(), // Cases that this desk looks at and does not hold.
  viewers: new Map(), // Case -> who looks at it.
  lists: new Map(), // waiting, approval, all -> the last answer.
  messages: [], // From supervisors, until they are put away.
});

const GONE_MAX = 20;
const SHOWN_MAX = 20;
const MESSAGES_MAX = 5;
const WAITING_MAX = 20; // Answered ones that wait for their customer: dispatch need not tell when they go elsewhere.
const HANDED_MAX = 5; // Handed-on cases that the inbox goes on listing.
const OVER = new Set(["closed", "queued", "forwarded", "reopened"]);

// Returns "ok", "old" (ignored), or "gap": resume, for something is missing.
export function fold(state, frame) {
  if (frame.type === "snapshot") return foldSnapshot(state, frame);
  if (frame.epoch < state.epoch || (frame.epoch === state.epoch && frame.seq <= state.seq)) return "old";
  if (!state.live) return "old"; // A snapshot is on its way and holds this.
  if (frame.epoch > state.epoch || frame.seq !== state.seq + 1) return "gap";
  state.seq = frame.seq;
  apply(state, frame);
  return "ok";
}

// Frames without a number: what was asked for, and who else is at a case. Returns whether it was one.
export function foldAside(state, frame) {
  switch (frame.type) {
    case "shown":
      if (!state.cases.has(frame.case.case_id)) put(state.shown, frame.case.case_id, frame.case, SHOWN_MAX);
      return true;
    case "viewers":
      if (frame.viewers.length) state.viewers.set(frame.case_id, frame.viewers);
      else state.viewers.delete(frame.case_id);
      return true;
    case "listed":
      state.lists.set(frame.what, { cases: frame.cases, total: frame.total });
      return true;
    default:
      return false;
  }
}

function foldSnapshot(state, frame) {
  if (frame.epoch < state.epoch) return "old";
  const pending = state.pending;
  if (!pending || pending.epoch !== frame.epoch || pending.seq !== frame.seq) {
    state.pending = { epoch: frame.epoch, seq: frame.seq, pages: new Map() };
  }
  state.pending.pages.set(frame.page, frame.cases);
  if (!frame.last) return "ok";
  const before = state.cases;
  state.cases = new Map();
  for (const page of [...state.pending.pages.keys()].sort((a, b) => a - b)) {
    for (const view of state.pending.pages.get(page)) keep(state, view);
  }
  for (const [id, view] of before) if (!state.cases.has(id)) leave(state, view, view.state === "awaiting_customer" ? "answered" : "withdrawn");
  Object.assign(state, { epoch: frame.epoch, seq: frame.seq, live: true, pending: null, ...presenceOf(frame) });
  return "ok";
}

const presenceOf = (frame) => ({ presence: frame.presence ?? frame.state, next: frame.next ?? "", until: frame.until ?? 0 });

function apply(state, frame) {
  switch (frame.type) {
    case "offer":
    case "case":
      keep(state, frame.case);
      break;
    case "revoke": {
      const view = state.cases.get(frame.case_id);
      if (view) leave(state, { ...view, version: frame.version }, frame.reason);
      break;
    }
    case "message":
      change(state, frame.case_id, (view) => ({
        ...view,
        version: frame.version,
        due_at: frame.due_at,
        triage: frame.triage,
        promises: frame.promises ?? view.promises,
        thread: withEntry(view.thread ?? [], frame.entry),
      }));
      break;
    case "publish":
      published(state, frame);
      break;
    case "presence_is":
      Object.assign(state, presenceOf(frame));
      break;
    case "notice":
      change(state, frame.case_id, (view) => ({ ...view, promises: withTold(view.promises ?? [], frame) }));
      break;
    case "info":
      if (frame.kind === "message") state.messages = [...state.messages, { id: frame.seq, at: frame.ts, text: frame.text, by: frame.by }].slice(-MESSAGES_MAX);
      break;
    case "erased":
      erased(state, frame);
      break;
    default: // A type that this page does not know yet: its number counts, its content does not.
  }
}

function withTold(promises, { promise, stage, due_at }) {
  if (!promises.some((one) => one.kind === promise)) return [...promises, { kind: promise, due_at, told: stage }];
  return promises.map((one) => (one.kind === promise ? { ...one, told: stage } : one));
}

// The author took a post back: its text leaves everything that the page holds.
function erased(state, frame) {
  const without = (view) => ({
    ...view,
    thread: (view.thread ?? []).map((entry) => (entry.id === frame.entry_id ? { ...entry, text: "", deleted: true } : entry)),
  });
  change(state, frame.case_id, without);
  const left = state.gone.get(frame.case_id);
  if (left) state.gone.set(frame.case_id, { ...left, view: without(left.view) });
  const shown = state.shown.get(frame.case_id);
  if (shown) state.shown.set(frame.case_id, without(shown));
  for (const list of state.lists.values()) {
    list.cases = list.cases.map((line) => (line.case_id === frame.case_id ? { ...line, excerpt: "" } : line));
  }
}

function published(state, frame) {
  const entryWith = (entry) =>
    entry.id === frame.answer_id ? { ...entry, status: frame.status, url: frame.url ?? entry.url, error: frame.error ?? "" } : entry;
  const changed = (view) => ({ ...view, version: frame.version, state: frame.state, thread: (view.thread ?? []).map(entryWith) });
  const view = state.cases.get(frame.case_id);
  if (view) keep(state, changed(view));
  const left = state.gone.get(frame.case_id);
  if (left) state.gone.set(frame.case_id, { ...left, view: changed(left.view) });
}

// Take a case as it now is; one that is over leaves the inbox and can still be read.
export function keep(state, view) {
  if (OVER.has(view.state)) return leave(state, view, view.state === "closed" ? "closed" : "withdrawn");
  state.gone.delete(view.case_id);
  state.shown.delete(view.case_id);
  state.cases.delete(view.case_id);
  state.cases.set(view.case_id, view);
  const waiting = [...state.cases.values()].filter((other) => other.state === "awaiting_customer");
  for (const old of waiting.slice(0, -WAITING_MAX)) leave(state, old, "answered");
}

export function leave(state, view, reason) {
  state.cases.delete(view.case_id);
  // A revoke for a case that has just been closed says nothing new.
  const was = state.gone.get(view.case_id);
  put(state.gone, view.case_id, { view, reason: was?.reason === "closed" ? "closed" : reason }, GONE_MAX);
}

function put(map, key, value, max) {
  map.delete(key);
  map.set(key, value);
  while (map.size > max) map.delete(map.keys().next().value);
}

export function change(state, caseId, how) {
  const view = state.cases.get(caseId);
  if (view) state.cases.set(caseId, how(view));
}

export const withEntry = (thread, entry) => [...thread.filter((other) => other.id !== entry.id), entry];

const byDue = (a, b) => a.due_at - b.due_at || (a.case_id < b.case_id ? -1 : 1);
const GROUPS = { offered: "offered", working: "working", answered: "working", awaiting_approval: "approval", held: "held", awaiting_customer: "waiting" };

// The inbox in its order: what is offered lapses first, then what is in hand, then what waits for somebody else.
export function inbox(state) {
  const groups = { offered: [], working: [], approval: [], held: [], waiting: [] };
  for (const view of [...state.cases.values()].sort(byDue)) groups[GROUPS[view.state] ?? "working"].push(view);
  const handed = [...state.gone.values()].filter((left) => left.reason === "transferred").slice(-HANDED_MAX);
  return Object.entries({ ...groups, handed: handed.map((left) => left.view) });
}

// The case as this desk knows it best, why it left if it did, and whether it is in hand.
export function caseOf(state, caseId) {
  const held = state.cases.get(caseId);
  if (held) return { view: held, held: true, reason: "" };
  const left = state.gone.get(caseId);
  const shown = state.shown.get(caseId);
  if (shown && (!left || shown.version >= left.view.version)) return { view: shown, held: false, reason: reasonOf(shown, left) };
  return left ? { view: left.view, held: false, reason: left.reason } : null;
}

// Why it left still counts after it has moved on, but a closed case that was opened again is not closed.
function reasonOf(shown, left) {
  if (shown.state === "closed") return "closed";
  return left && left.reason !== "closed" ? left.reason : "";
}

const running = (view) => (view.state === "awaiting_customer" ? [] : (view.promises ?? []).filter((one) => !one.paused_at));

// "", "warned" or "breached": the worst that was said of a promise that still runs.
export function told(view) {
  const stages = running(view).map((one) => one.told);
  return stages.includes("breached") ? "breached" : stages.includes("warned") ? "warned" : "";
}

// fine, soon or late: soon from the warning on; without one in the last quarter of the promised time, or the last two minutes.
export function slack(view, now) {
  const left = view.due_at - now;
  if (left < 0) return "late";
  const promise = running(view).find((one) => one.due_at === view.due_at && one.warn_at);
  if (promise) return now >= promise.warn_at ? "soon" : "fine";
  return left <= Math.max((view.due_at - view.received_at) / 4, 120_000) ? "soon" : "fine";
}

const WAITS = new Set(["queued", "forwarded", "reopened"]);
const MINE = {
  offered: ["accept", "reject"],
  working: ["reply", "hold", "transfer", "labels", "close"],
  held: ["reply", "resume", "transfer", "labels", "close"],
  answered: ["reply", "labels", "close"],
  awaiting_approval: ["resume", "labels"],
  awaiting_customer: ["labels"],
};

// What may be done with a case, as docs/desk-protocol.md has it; dispatch decides again.
export function acts(view, held, seat) {
  const is = new Set(held ? MINE[view.state] : []);
  const chief = seat.role === "supervisor";
  const open = view.state !== "closed";
  if (!held) {
    if (view.state === "awaiting_approval" && seat.approves && view.rep_id !== seat.subject) is.add("approve").add("return");
    if (WAITS.has(view.state) && seat.pulls !== false && !chief) is.add("pull");
    if (!open && (chief || view.rep_id === seat.subject)) is.add("reopen");
    if (chief && open && view.state !== "automatic") is.add("take");
  }
  if (chief && open) is.add("priority");
  if (chief && open && view.state !== "automatic" && !is.has("transfer")) is.add("assign");
  return is;
}

// Lines of a list that a person looks for: each filter empty, or equal; the text in any of what is shown.
export function sifted(lines, filter) {
  const wanted = filter.text.trim().toLowerCase();
  const has = (line) => [line.author, line.excerpt, line.rep_id, line.target, line.case_id].some((part) => part?.toLowerCase().includes(wanted));
  return lines.filter(
    (line) =>
      (!filter.state || line.state === filter.state) && (!filter.triage || line.triage === filter.triage) &&
      (!filter.brand || line.brand_id === filter.brand) && (!wanted || has(line)),
  );
}
