// A websocket that comes back: full jitter, a watch on silence, heartbeats when idle.
import { correct } from "./clock.js";

const FIRST_MS = 250;
const LONGEST_MS = 15_000;
const CONNECT_MS = 10_000;
const SILENCE_MS = 30_000; // The gateway speaks at least every 15 s.

// Closes after which another try would end the same way.
const FINAL = { 1002: "broken", 1003: "broken", 1009: "broken", 4403: "forbidden", 4406: "version", 4409: "elsewhere" };
const final = (code) => FINAL[code] ?? (code >= 4400 && code < 4500 ? "broken" : "");

export class Link {
  // hello() -> first frame; onFrame(frame); onState(state, reason): connecting, open, lost, stopped.
  constructor({ path, protocol, hello, first, onFrame, onState, onToken }) {
    Object.assign(this, { path, protocol, hello, first, onFrame, onState, onToken });
    this.attempt = 0;
    this.heartbeatMs = 15_000;
    this.ended = false;
    this.online = () => this.retry();
    addEventListener("online", this.online);
    this.beat = setInterval(() => this.watch(), 1000);
  }

  open() {
    if (this.ended) return;
    clearTimeout(this.timer);
    this.timer = 0;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`, this.protocol ? [this.protocol] : []);
    this.socket = socket;
    this.welcomed = false;
    this.heardAt = this.spokeAt = Date.now();
    this.onState(this.attempt ? "lost" : "connecting");
    socket.onopen = () => this.send(this.hello());
    socket.onmessage = (event) => this.hear(socket, event.data);
    socket.onclose = (event) => this.closed(socket, event.code);
  }

  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    this.spokeAt = Date.now();
    return true;
  }

  hear(socket, data) {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    const frame = JSON.parse(data);
    if (frame.type === "hb") return correct(frame.now ?? 0);
    if (frame.type === "going_away") {
      this.pauseMs = frame.reconnect_in_ms;
      return;
    }
    if (frame.type === this.first) this.welcome(frame);
    this.onFrame(frame);
  }

  welcome(frame) {
    this.welcomed = true;
    this.attempt = 0;
    this.renewed = false;
    if (frame.now) correct(frame.now);
    if (frame.heartbeat_s) this.heartbeatMs = frame.heartbeat_s * 1000;
    this.onState("open");
  }

  closed(socket, code) {
    if (socket !== this.socket || this.ended) return;
    this.socket = null;
    if (code === 4401 && this.onToken) return this.renew();
    if (final(code)) return this.stop(final(code));
    this.again(code >= 4000 && code < 4100 && this.welcomed);
  }

  // A refused token is replaced once; refused again, the seat is not ours.
  async renew() {
    this.onState("lost");
    if (this.renewed && !this.welcomed) return this.stop("unauthorized");
    this.renewed = true;
    try {
      if (!(await this.onToken())) return this.stop("unauthorized");
    } catch {
      this.renewed = false;
    }
    this.again(false);
  }

  again(atOnce) {
    this.attempt += 1;
    const ceiling = this.pauseMs ?? Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(this.attempt, 10));
    this.pauseMs = undefined;
    this.onState("lost");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), atOnce ? 0 : Math.random() * ceiling);
  }

  // Give this connection up, for a hole in its numbers or for silence, and make another.
  restart() {
    const socket = this.socket;
    this.socket = null;
    socket?.close(4000);
    this.again(true);
  }

  retry() {
    if (this.timer) this.open();
  }

  watch() {
    if (!this.socket) return;
    const now = Date.now();
    const patience = this.welcomed ? Math.max(SILENCE_MS, 2 * this.heartbeatMs) : CONNECT_MS;
    if (now - this.heardAt > patience) {
      this.socket.close();
      this.socket = null;
      this.again(false);
    } else if (this.welcomed && now - this.spokeAt > this.heartbeatMs) {
      this.send({ type: "hb", now });
    }
  }

  stop(reason) {
    this.ended = true;
    clearTimeout(this.timer);
    clearInterval(this.beat);
    removeEventListener("online", this.online);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.onState("stopped", reason);
  }
}
