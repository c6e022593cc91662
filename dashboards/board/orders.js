// A supervisor's commands: a line to the desks' socket that stands while something is asked. Each command has one result.
import { newId } from "../common/ids.js";
import { Link } from "../common/link.js";

const PATIENCE_MS = 12_000;
const IDLE_MS = 60_000;

export class Orders {
  // hello() is the first frame of the line, renew() puts a new token in it, as Link wants both.
  constructor({ hello, renew }) {
    Object.assign(this, { hello, renew, link: null, open: false, pending: new Map() });
  }

  // Resolves to { ok, error, brought }: what a command was answered, and the frame that it asked for, if any.
  give(frame) {
    const id = newId();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.end(id, { ok: false, error: { code: "unavailable" } }), PATIENCE_MS);
      this.pending.set(id, { frame: { id, ...frame }, resolve, timer, brought: null });
      if (this.open) this.link.send({ id, ...frame });
      else this.connect();
    });
  }

  connect() {
    clearTimeout(this.idle);
    if (this.link) return;
    this.link = new Link({
      path: "/desk",
      protocol: "zuruf.desk.v1",
      first: "welcome",
      hello: this.hello,
      onFrame: (frame) => this.hear(frame),
      onToken: this.renew,
      onState: (state) => this.turn(state),
    });
    this.link.open();
  }

  turn(state) {
    this.open = state === "open";
    if (state !== "stopped") return;
    this.link = null;
    for (const id of [...this.pending.keys()]) this.end(id, { ok: false, error: { code: "unavailable" } });
  }

  hear(frame) {
    // Commands carry ids: what may have arrived before a line was cut is said again, and done once.
    if (frame.type === "welcome") for (const one of this.pending.values()) this.link.send(one.frame);
    const asked = this.pending.get(frame.re);
    if (!asked) return;
    if (frame.type === "result") this.end(frame.re, { ok: frame.ok, error: frame.error, brought: asked.brought });
    else asked.brought = frame;
  }

  end(id, result) {
    const asked = this.pending.get(id);
    if (!asked) return;
    clearTimeout(asked.timer);
    this.pending.delete(id);
    asked.resolve(result);
    clearTimeout(this.idle);
    if (!this.pending.size) this.idle = setTimeout(() => this.stop(), IDLE_MS);
  }

  stop() {
    clearTimeout(this.idle);
    const link = this.link;
    this.link = null;
    this.open = false;
    link?.stop();
  }
}
