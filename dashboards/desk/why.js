// Reasons in words: dispatch gives a code and what was found, as in "danger: stromschlag" or "order savable: … 12 min left of 60".
import { known, number, t, word } from "../common/i18n.js";

const ORDER = /^order (rushed|owed|savable|late): .*?(-?\d+) min(?:, promised | left of )(\d+), cost ([\d.e+]+), (\d+) waiting$/;
const REPEATED = /^repeated contact: number (\d+) in ([\d.]+) h$/;
const BY_HAND = /^([^:]+): (less|important|urgent|at_once)(?:, (.*))?$/s;
const COUNTED = /^(?:closes in )?(\d+) (?:min|posts)/;

// Numbers only: minutes waited or left, promised minutes, cost of a missed promise, how many waited.
export function orderOf(reason) {
  const found = ORDER.exec(reason);
  if (!found) return null;
  const [, stage, min, promised, cost, waiting] = found;
  return { stage, min: Number(min), promised: Number(promised), cost: Number(cost), waiting: Number(waiting) };
}

export function why(reason, nameOf = (id) => id) {
  const order = orderOf(reason);
  if (order) return ordered(order);
  const repeated = REPEATED.exec(reason);
  if (repeated) return t("why.repeated_contact", { n: Number(repeated[1]), hours: number(Number(repeated[2])) });
  if (reason === "taken out of an incident") return t("why.ungrouped");
  if (reason === "found by the second reading") return t("why.second_reading");
  return coded(reason) ?? byHand(reason, nameOf) ?? reason;
}

function ordered({ stage, min, promised, cost, waiting }) {
  const first = t(`why.order.${stage}`, { min, promised });
  return `${first} ${t("why.order.cost", { cost: number(cost, { maximumFractionDigits: 1 }) })} ${waiting > 1 ? t("why.order.of", { n: waiting }) : t("why.order.alone")}`;
}

function coded(reason) {
  const [code, ...rest] = reason.split(":");
  const found = rest.join(":").trim();
  const key = `why.${code.trim().replaceAll(" ", "_")}`;
  const counted = Number(COUNTED.exec(found)?.[1]);
  if (known(`${key}.n`) && counted) return t(`${key}.n`, { n: counted });
  if (!known(key) || !rest.length) return null;
  return t(key, { found: code === "category" ? word("category", found) : found });
}

function byHand(reason, nameOf) {
  const found = BY_HAND.exec(reason);
  if (!found) return null;
  const [, by, triage, because] = found;
  return t(because ? "why.by_hand.because" : "why.by_hand", { who: nameOf(by), triage: word("triage", triage), found: because ?? "" });
}
