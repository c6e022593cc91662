// A supervisor's page: one frame a second and brand, shown as it is; the latest wins.
import { html, nothing, render, svg } from "../vendor/lit-html-3.3.3/lit-html.js";
import { repeat } from "../vendor/lit-html-3.3.3/directives/repeat.js";
import { boardToken, Refused, seats } from "../common/api.js";
import { banner, icon, mark, onTheme, toggles } from "../common/chrome.js";
import { now } from "../common/clock.js";
import { clockSeconds, compact, dayTime, duration, language, number, percent, setLanguage, t, word } from "../common/i18n.js";
import { Link } from "../common/link.js";
import { session } from "../common/store.js";
import { Chart, CHARTS } from "./charts.js";
import { Incidents } from "./incidents.js";
import { Orders } from "./orders.js";
import { met, TARGETS, together, total, TRIAGES } from "./figures.js";

const STALE_MS = 5000;
const AGAIN_MS = 3000;
const ALL = "";

const root = document.getElementById("app");
const ui = {
  tenants: null,
  fault: "",
  tenant: session.get("board.tenant"),
  link: null,
  connection: "none",
  reason: "",
  welcome: null,
  frames: new Map(),
  heardAt: 0,
  brand: ALL,
  hover: {},
};
const charts = new Map();
const orders = new Orders({
  hello: () => ({ type: "hello", v: 1, token: session.get("board.token") ?? "", locale: language(), resume: null }),
  renew: newToken,
});
const incidents = new Incidents({ orders, redraw: draw, nameOf });
let drawing = false;
let dressed = ""; // Language in which the charts were drawn.

// -- connection ---------------------------------------------------------------------------------------------------

async function findTenants() {
  try {
    const all = await seats();
    ui.tenants = [...new Map(all.map((seat) => [seat.tenant, seat.tenant_name])).entries()];
    ui.fault = ui.tenants.length ? "" : "seats.none";
    if (ui.tenants.length === 1) return open(ui.tenants[0][0]);
  } catch (fault) {
    ui.fault = [401, 403, 404].includes(fault.status) ? "seats.token" : "seats.unreachable";
    if (ui.fault === "seats.unreachable") setTimeout(findTenants, AGAIN_MS);
  }
  draw();
}

async function open(tenant) {
  try {
    begin(tenant, await boardToken(tenant));
  } catch {
    ui.fault = "seats.unreachable";
    setTimeout(findTenants, AGAIN_MS);
    draw();
  }
}

function begin(tenant, token) {
  ui.tenant = tenant;
  session.set("board.tenant", tenant);
  session.set("board.token", token);
  ui.link = new Link({
    path: "/board",
    protocol: "zuruf.desk.v1",
    first: "welcome",
    hello: () => ({ type: "hello", v: 1, token: session.get("board.token") ?? "", locale: language(), resume: null }),
    onFrame: hear,
    onToken: newToken,
    onState: (connection, reason = "") => {
      Object.assign(ui, { connection, reason });
      draw();
    },
  });
  ui.link.open();
}

async function newToken() {
  if (!ui.tenant) return false;
  try {
    session.set("board.token", await boardToken(ui.tenant));
    return true;
  } catch (fault) {
    if (fault instanceof Refused) return false;
    throw fault;
  }
}

function leave() {
  ui.link?.stop();
  orders.stop();
  session.set("board.tenant", null);
  session.set("board.token", null);
  Object.assign(ui, { link: null, connection: "none", welcome: null, tenant: null, brand: ALL, tenants: null });
  ui.frames.clear();
  charts.clear();
  findTenants();
}

function hear(frame) {
  if (frame.type === "welcome") {
    ui.welcome = frame;
    ui.link.send({ type: "sub", brands: [] });
  } else if (frame.type === "board") {
    ui.heardAt = Date.now();
    ui.frames.set(frame.frame.brand_id, frame.frame);
  }
  draw();
}

// -- drawing ------------------------------------------------------------------------------------------------------

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    document.title = `${t("board.title")} · Zuruf`;
    render(ui.connection === "none" ? choice() : page(), root);
    plot();
  });
}

function choice() {
  const give = (event) => event.key === "Enter" && event.target.value.trim() && begin("", event.target.value.trim());
  return html`<header class="top">${mark}<div class="who"><h1>Zuruf</h1></div>${toggles(draw)}</header>
    <main class="seats">
      <h2>${t("seats.board")}</h2><p class="dim">${t("board.lead")}</p>
      ${ui.fault ? html`<p class="fault" role="alert">${t(ui.fault)}</p>` : nothing}
      ${ui.fault === "seats.token" ? html`<label class="field">${t("seats.token.field")}<input type="password" autocomplete="off" @keydown=${give} /></label>` : nothing}
      ${ui.tenants?.length ? html`<section><ul>${ui.tenants.map(([id, name]) => html`<li><button class="seat tenant" @click=${() => open(id)}><span class="name">${name}</span></button></li>`)}</ul></section>` : nothing}
    </main>`;
}

function nameOf(brandId) {
  return ui.welcome?.brands?.[brandId] ?? brandId;
}

const ordered = () => [...ui.frames.values()].sort((a, b) => nameOf(a.brand_id).localeCompare(nameOf(b.brand_id), language()));

function page() {
  const frames = ordered();
  const stale = ui.connection === "open" && ui.heardAt > 0 && Date.now() - ui.heardAt > STALE_MS;
  const single = frames.length === 1;
  const shown = ui.frames.get(ui.brand) ?? (single ? frames[0] : frames.length ? together(frames) : null);
  incidents.take(ui.frames.has(ui.brand) ? [ui.frames.get(ui.brand)] : frames);
  return html`<header class="top">
      ${mark}<div class="who"><h1>${t("board.title")}</h1><span>${ui.tenants?.find(([id]) => id === ui.tenant)?.[1] ?? ui.welcome?.tenant ?? ""}</span></div>
      ${shown ? html`<span class="dim num asof">${t("board.asof", { time: clockSeconds(shown.at) })}</span>` : nothing}
      ${toggles(dressAnew)}
      <button class="quiet small" @click=${leave} aria-label=${t("board.leave")} title=${t("board.leave")}>${icon("exit")}</button>
    </header>
    ${banner(ui.connection, ui.reason, () => ui.link.retry())}
    ${stale ? html`<div class="banner lost stale" role="status">${t("board.stale", { time: clockSeconds(ui.heardAt) })}</div>` : nothing}
    ${shown
      ? html`<main class="board ${stale || ui.connection !== "open" ? "old" : ""}">
          ${single ? nothing : overview(frames)}
          ${incidents.panel(single || ui.frames.has(ui.brand))}
          <h2 class="brand-name">${ui.frames.has(ui.brand) ? nameOf(ui.brand) : single ? nameOf(frames[0].brand_id) : t("board.all")}</h2>
          ${tiles(shown, !ui.frames.has(ui.brand) && !single)}
          ${minor(shown, !ui.frames.has(ui.brand) && !single)}
          ${chartRow(shown)}
          ${learned(shown.learned ?? [])}
        </main>`
      : html`<main class="board"><p class="none dim">${t(ui.connection === "open" ? "board.none" : "inbox.empty.connecting")}</p></main>`}`;
}

// -- all brands ---------------------------------------------------------------------------------------------------

function overview(frames) {
  return html`<section class="table"><table>
    <thead><tr>
      <th scope="col">${t("board.brand")}</th><th scope="col">${t("tile.waiting")}</th><th scope="col" class="more">${t("tile.oldest")}</th>
      <th scope="col" class="more">${t("tile.due_soon")}</th><th scope="col">${t("tile.late")}</th><th scope="col">${t("tile.in_time")}</th>
      <th scope="col" class="more">${t("tile.answered")}</th><th scope="col" class="more">${t("tile.response")}</th><th scope="col" class="more spark">${t("chart.posts")}</th>
    </tr></thead>
    <tbody>${line(together(frames), ALL, t("board.all"))}${repeat(frames, (frame) => frame.brand_id, (frame) => line(frame, frame.brand_id, nameOf(frame.brand_id)))}</tbody>
  </table></section>`;
}

function line(frame, brandId, name) {
  const choose = () => {
    ui.brand = brandId;
    draw();
  };
  return html`<tr aria-current=${ui.brand === brandId ? "true" : nothing} class=${brandId === ALL ? "all" : ""} @click=${choose}>
    <th scope="row"><button class="pick" aria-pressed=${ui.brand === brandId} @click=${(event) => { event.stopPropagation(); choose(); }}>${name}</button></th>
    <td><span class="queue">${number(total(frame.queued))}${mix(frame.queued)}</span></td>
    <td class="more">${frame.oldest_at ? duration(now() - frame.oldest_at) : "–"}</td>
    <td class="more">${number(frame.due_soon ?? 0)}</td>
    <td class=${frame.late > 0 ? "bad" : ""}>${number(frame.late ?? 0)}</td>
    <td class=${met(frame.share_in_time_1h, TARGETS.in_time)}>${share(frame.share_in_time_1h)}</td>
    <td class="more ${met(frame.share_answered_24h, TARGETS.answered)}">${share(frame.share_answered_24h)}</td>
    <td class="more">${seconds(frame.response_p50_s)}</td>
    <td class="more spark">${spark(frame.posts_per_min ?? [])}</td>
  </tr>`;
}

const share = (value) => (value == null ? "–" : percent(value, 1));
const seconds = (value) => (value == null ? "–" : duration(value * 1000));

// Waiting by triage as one bar, the most pressing first.
function mix(counts) {
  const sum = total(counts) || 1;
  let x = 0;
  return html`<svg class="mix" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">${TRIAGES.map((name) => {
    const width = ((counts?.[name] ?? 0) / sum) * 100;
    const part = svg`<rect class=${name} x=${x} width=${width} height="6"></rect>`;
    x += width;
    return part;
  })}</svg>`;
}

function spark(values) {
  const top = Math.max(4, ...values);
  const points = values.map((value, at) => `${(at / Math.max(1, values.length - 1)) * 120},${21 - (value / top) * 20}`).join(" ");
  return html`<svg viewBox="0 0 120 22" aria-hidden="true">${svg`<polyline points=${points} />`}</svg>`;
}

// -- one brand ----------------------------------------------------------------------------------------------------

function tiles(frame, all) {
  const reps = frame.reps ?? {};
  const inTime = met(frame.share_in_time_1h, TARGETS.in_time);
  const answered = met(frame.share_answered_24h, TARGETS.answered);
  const nothingYet = t("tile.uncounted");
  const target = (value, goal, word_) => (value == null ? nothingYet : `${t("tile.target", { share: percent(goal) })}${all ? `, ${t(word_)}` : ""}`);
  return html`<dl class="tiles">
    ${tile("waiting", number(total(frame.queued)), html`${mix(frame.queued)}<span class="legend">${TRIAGES.map((name) => html`<span class=${name}><b>${number(frame.queued?.[name] ?? 0)}</b> ${word("triage", name)}</span>`)}</span>`, "", "double")}
    ${tile("oldest", frame.oldest_at ? duration(now() - frame.oldest_at) : "–", frame.oldest_at ? t("tile.working", { n: frame.working ?? 0 }) : t("tile.nobody"))}
    ${tile("due_soon", number(frame.due_soon ?? 0), t("tile.within"), frame.due_soon > 0 ? "soon" : "")}
    ${tile("late", number(frame.late ?? 0), t("tile.target.late"), frame.late > TARGETS.late ? "bad" : "good")}
    ${tile("in_time", share(frame.share_in_time_1h), target(frame.share_in_time_1h, TARGETS.in_time, "tile.lowest"), inTime)}
    ${tile("answered", share(frame.share_answered_24h), target(frame.share_answered_24h, TARGETS.answered, "tile.lowest"), answered)}
    ${tile("response", seconds(frame.response_p50_s), frame.response_p90_s == null ? nothingYet : t("tile.p90", { time: seconds(frame.response_p90_s) }))}
    ${tile("reps", number(reps.available ?? 0), t("tile.reps.of", { busy: reps.busy ?? 0, away: reps.away ?? 0 }))}
  </dl>`;
}

// Beneath what counts most: promises in danger and broken, what became of resolutions, and where open cases are.
function minor(frame, all) {
  const resolved = frame.share_resolved_in_time_1h;
  const kept = resolved == null ? t("tile.uncounted") : `${t("tile.resolved.n", { n: frame.resolved_1h ?? 0 })}${all ? `, ${t("tile.lowest")}` : ""}`;
  return html`<dl class="minor">
    ${tile("warned", number(frame.warned ?? 0), t("tile.warned_1h", { n: frame.warned_1h ?? 0 }), frame.warned > 0 ? "soon" : "")}
    ${tile("breached", number(frame.breached_1h ?? 0), t("tile.breached.of"), frame.breached_1h > 0 ? "bad" : "good")}
    ${tile("resolved", share(resolved), kept, met(resolved, TARGETS.in_time))}
    ${tile("in_hand", number(frame.working ?? 0), t("tile.in_hand.of", { offered: frame.offered ?? 0, held: frame.held ?? 0 }))}
    ${tile("approval", number(frame.awaiting_approval ?? 0), t("tile.approval.of"))}
    ${tile("customer", number(frame.awaiting_customer ?? 0), t("tile.customer.of"))}
  </dl>`;
}

const tile = (name, value, note, state = "", size = "") =>
  html`<div class="tile ${name} ${size}"><dt>${t(`tile.${name}`)}</dt><dd class="value num ${state}">${value}</dd><dd class="note">${note}</dd></div>`;

function chartRow(frame) {
  return html`<div class="charts">${CHARTS.map((name) => {
    const values = name === "category" ? Object.values(frame.category_1h ?? {}) : (frame[`${name}_per_min`] ?? []);
    const sum = values.reduce((all, value) => all + value, 0);
    const told = t("chart.table", { name: t(`chart.${name}`), last: values.at(-1) ?? 0, max: Math.max(0, ...values) });
    return html`<figure>
      <figcaption>${t(`chart.${name}`)}<span class="num">${ui.hover[name] || t("chart.sum", { n: sum })}</span></figcaption>
      <div class="plot" data-chart=${name} role="img" aria-label=${told}></div>
    </figure>`;
  })}</div>`;
}

// What the tenant's reps have taught the classifier, and what was taken back.
function learned(lines) {
  if (!lines.length) return nothing;
  return html`<section class="learned"><h3>${t("learned.title")}</h3><ul>${lines.map((one) => {
    const label = t(`label.${one.head}`);
    const version = one.version || t("learned.shipped");
    const shares = { before: percent(one.before ?? 0, 1), after: percent(one.after ?? 0, 1), n: number(one.corrections ?? 0) };
    return html`<li><span class="dim num">${dayTime(one.at, now())}</span> ${t(`learned.${one.what}`, { label, version, ...shares })}</li>`;
  })}</ul></section>`;
}

function plot() {
  const hosts = root.querySelectorAll(".plot");
  if (!hosts.length) return charts.clear();
  const frames = ordered();
  const frame = ui.frames.get(ui.brand) ?? (frames.length === 1 ? frames[0] : together(frames));
  for (const host of hosts) {
    const name = host.dataset.chart;
    if (charts.get(name)?.host !== host) charts.set(name, new Chart(name, host, (text) => hover(name, text)));
    charts.get(name).show(frame);
  }
  if (dressed !== language()) dressAnew();
}

function hover(name, text) {
  if (ui.hover[name] === text) return;
  ui.hover[name] = text;
  draw();
}

// Words and colours lie in the canvases, so a change of either draws them anew.
function dressAnew() {
  dressed = language();
  for (const chart of charts.values()) chart.renew();
  draw();
}

await setLanguage();
onTheme(dressAnew);
setInterval(draw, 1000);
const token = session.get("board.token");
if (token) begin(ui.tenant, token);
else findTenants();
