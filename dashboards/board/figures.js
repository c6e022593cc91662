// What the tiles show, from frames alone: targets, how far they are met, and all brands as one.

export const TARGETS = { in_time: 0.95, answered: 0.98, late: 0 };
export const TRIAGES = ["at_once", "urgent", "important", "less"];
export const CATEGORIES = ["urgent", "technical", "faq", "complaint", "praise", "other"];

export const total = (counts) => Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);

// good, bad or unknown: a share that nothing was counted for is neither.
export const met = (value, target) => (value == null ? "unknown" : value >= target ? "good" : "bad");

const SUMS = [
  "working", "due_soon", "late", "posts_1h", "answered_1h", "warned", "warned_1h", "breached_1h", "resolved_1h", "offered", "held", "awaiting_approval", "awaiting_customer",
];
const sum = (frames, field) => frames.reduce((all, frame) => all + (frame[field] ?? 0), 0);
const present = (frames, field) => frames.map((frame) => frame[field]).filter((value) => value != null);
const lowest = (values) => (values.length ? Math.min(...values) : null);
const highest = (values) => (values.length ? Math.max(...values) : null);

function added(frames, field) {
  const all = {};
  for (const frame of frames) for (const [name, count] of Object.entries(frame[field] ?? {})) all[name] = (all[name] ?? 0) + count;
  return all;
}

function addedSeries(frames, field) {
  const all = new Array(60).fill(0);
  for (const frame of frames) (frame[field] ?? []).slice(-60).forEach((count, at, series) => (all[60 - series.length + at] += count));
  return all;
}

// Counts add up. Shares and medians do not: the weakest brand stands for all, so that none hides behind another.
export function together(frames) {
  const oldest = frames.map((frame) => frame.oldest_at ?? 0).filter(Boolean);
  return {
    at: highest(frames.map((frame) => frame.at)),
    queued: added(frames, "queued"),
    oldest_at: oldest.length ? Math.min(...oldest) : 0,
    // Reps are the tenant's, and so is what was learnt: the same in every brand's frame.
    reps: frames[0]?.reps ?? {},
    learned: frames[0]?.learned ?? [],
    share_in_time_1h: lowest(present(frames, "share_in_time_1h")),
    share_resolved_in_time_1h: lowest(present(frames, "share_resolved_in_time_1h")),
    share_answered_24h: lowest(present(frames, "share_answered_24h")),
    response_p50_s: highest(present(frames, "response_p50_s")),
    response_p90_s: highest(present(frames, "response_p90_s")),
    category_1h: added(frames, "category_1h"),
    ...Object.fromEntries(SUMS.map((field) => [field, sum(frames, field)])),
    ...Object.fromEntries(["posts_per_min", "answered_per_min", "late_per_min"].map((field) => [field, addedSeries(frames, field)])),
  };
}
