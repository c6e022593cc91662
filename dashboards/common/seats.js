// Who sits down: on loopback the free seats, elsewhere a token from the company's own sign-in.
import { html, nothing } from "../vendor/lit-html-3.3.3/lit-html.js";
import { seats } from "./api.js";
import { mark, toggles } from "./chrome.js";
import { languageName, t, word } from "./i18n.js";

const LANGUAGE = /^[a-z]{2}$/;
const AGAIN_MS = 3000;
export const CHIEF = "board"; // Whom a supervisor's token of this machine names.

export class SeatList {
  // chief: whether a supervisor may sit down here too.
  constructor({ draw, choose, tokenGiven, chief = false }) {
    Object.assign(this, { draw, choose, tokenGiven, chief, seats: null, fault: "", busy: "" });
  }

  async load() {
    clearTimeout(this.timer);
    try {
      this.seats = await seats();
      this.fault = "";
    } catch (fault) {
      this.fault = [401, 403, 404].includes(fault.status) ? "seats.token" : "seats.unreachable";
      // The engine may still be starting: look again, without a word.
      if (this.fault === "seats.unreachable") this.timer = setTimeout(() => this.load(), AGAIN_MS);
    }
    this.draw();
  }

  async take(seat) {
    this.busy = seat.rep_id;
    this.draw();
    try {
      await this.choose(seat);
    } catch {
      await this.load();
      this.fault ||= "seats.refused";
    }
    this.busy = "";
    this.draw();
  }

  view(title) {
    return html`
      <header class="top">${mark}<div class="who"><h1>Zuruf</h1></div>${toggles(this.draw)}</header>
      <main class="seats">
        <h2>${title}</h2>
        <p class="dim">${t("seats.lead")}</p>
        ${this.fault ? html`<p class="fault" role="alert">${t(this.fault)}</p>` : nothing}
        ${this.fault === "seats.token" ? this.tokenField() : this.list()}
      </main>`;
  }

  list() {
    if (!this.seats) return html`<p class="dim">${t("seats.loading")}</p>`;
    if (!this.seats.length) return html`<p>${t("seats.none")}</p>`;
    return [...grouped(this.seats).values()].map(
      (some) => html`<section>
        <h3>${some[0].tenant_name}</h3>
        <ul>${some.map((seat) => this.seat(seat))}${this.chief ? this.seat(chiefOf(some[0])) : nothing}</ul>
      </section>`,
    );
  }

  seat(seat) {
    return html`<li>
      <button class="seat" ?disabled=${!seat.free || this.busy !== ""} @click=${() => this.take(seat)}>
        <span class="avatar" aria-hidden="true">${initials(seat.name)}</span>
        <span class="name">${seat.name}</span>
        <span class="skills dim">${(seat.skills ?? []).map(skill).join(" · ")}</span>
        <span class="state ${seat.free ? "free" : ""}">${t(seat.free ? "seats.free" : seat.simulated ? "seats.simulated" : "seats.taken")}</span>
      </button>
    </li>`;
  }

  tokenField() {
    const give = (event) => {
      const value = event.target.value.trim();
      if (event.key === "Enter" && value) this.tokenGiven(value);
    };
    return html`<label class="field">${t("seats.token.field")}
      <input type="password" autocomplete="off" @keydown=${give} /></label>`;
  }
}

const chiefOf = ({ tenant, tenant_name }) => ({ tenant, tenant_name, rep_id: CHIEF, name: t("chief"), skills: [], free: true });

// "lang:de", "subject:billing", or the bare word.
const skill = (whole) => {
  const name = whole.split(":").at(-1);
  return LANGUAGE.test(name) ? languageName(name) : word("subject", name);
};

function grouped(list) {
  const groups = new Map();
  for (const seat of list) groups.set(seat.tenant, [...(groups.get(seat.tenant) ?? []), seat]);
  return groups;
}

export function initials(name) {
  const parts = String(name).trim().split(/\s+/).map((part) => [...part][0] ?? "");
  return (parts[0] + (parts.length > 1 ? parts.at(-1) : "")).toUpperCase();
}
