// The keyboard: one letter an action, silent while somebody types; in an open panel, what its choices say.

const TYPING = "input:not([type=checkbox]), textarea, select, [contenteditable]";

const NAMES = {
  a: "take", x: "reject", j: "next", k: "previous", r: "reply", c: "close", h: "hold", t: "transfer", l: "labels", u: "priority",
  o: "reopen", g: "pullNext", m: "message", d: "dismiss", p: "presence", "/": "search", "?": "help",
  1: "view1", 2: "view2", 3: "view3", 4: "view4",
};

export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const typing = event.target.matches?.(TYPING);
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") return run(event, actions.send);
    if (event.key === "Escape") return run(event, actions.escape);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const choice = document.querySelector(`.panel [data-key="${CSS.escape(event.key)}"]:enabled`);
    if (choice) return run(event, () => choice.click());
    const name = NAMES[event.key];
    if (name) run(event, actions[name]);
  });
}

function run(event, action) {
  if (action() !== false) event.preventDefault();
}
