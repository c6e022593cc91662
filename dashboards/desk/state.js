// What the desk knows: a fold over the gateway's frames, without a page, a socket or a clock.

export const fresh = () => ({
  epoch: -1,
  seq: 0,
  live: false, // Whether the numbering stands: after a resume or a whole snapshot.
  presence: "offline",
  cases: new Map(),
  pending: null, // Pages of a snapshot that is still coming.
  gone: new Map(), // The last cases that left, so that one being read does not vanish.
});

const GONE_MAX = 20;
const WAITING_MAX = 20; // Answered ones that wait for their customer: dispatch need not tell when they go elsewhere.
const OVER = new Set(["closed", "queued"]);

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
  Object.assign(state, { epoch: frame.epoch, seq: frame.seq, presence: frame.presence, live: true, pending: null });
  return "ok";
}

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
        thread: withEntry(view.thread ?? [], frame.entry),
      }));
      break;
    case "publish":
      published(state, frame);
      break;
    case "presence_is":
      state.presence = frame.state;
      break;
    default: // A type that this page does not know yet: its number counts, its content does not.
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
  state.cases.delete(view.case_id);
  state.cases.set(view.case_id, view);
  const waiting = [...state.cases.values()].filter((other) => other.state === "awaiting_customer");
  for (const old of waiting.slice(0, -WAITING_MAX)) leave(state, old, "answered");
}

export function leave(state, view, reason) {
  state.cases.delete(view.case_id);
  // A revoke for a case that has just been closed says nothing new.
  const was = state.gone.get(view.case_id);
  state.gone.set(view.case_id, { view, reason: was?.reason === "closed" ? "closed" : reason });
  while (state.gone.size > GONE_MAX) state.gone.delete(state.gone.keys().next().value);
}

export function change(state, caseId, how) {
  const view = state.cases.get(caseId);
  if (view) state.cases.set(caseId, how(view));
}

export const withEntry = (thread, entry) => [...thread.filter((other) => other.id !== entry.id), entry];

const byDue = (a, b) => a.due_at - b.due_at || (a.case_id < b.case_id ? -1 : 1);

// The inbox in its order: what is offered lapses first, then what is in hand, then what waits for the customer.
export function inbox(state) {
  const all = [...state.cases.values()].sort(byDue);
  return [
    ["offered", all.filter((view) => view.state === "offered")],
    ["held", all.filter((view) => view.state === "working" || view.state === "answered")],
    ["waiting", all.filter((view) => view.state === "awaiting_customer")],
  ];
}

// fine, soon or late: soon is the last quarter of the promised time, or the last two minutes.
export function slack(view, now) {
  const left = view.due_at - now;
  if (left < 0) return "late";
  return left <= Math.max((view.due_at - view.received_at) / 4, 120_000) ? "soon" : "fine";
}
