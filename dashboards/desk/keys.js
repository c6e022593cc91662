// The keyboard: one letter an action, silent while somebody types.

const TYPING = "input, textarea, select, [contenteditable]";

export function listen(actions) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const typing = event.target.matches?.(TYPING);
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") return run(event, actions.send);
    if (event.key === "Escape") return run(event, actions.escape);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const name = { a: "accept", x: "reject", j: "next", k: "previous", r: "reply", c: "close", p: "presence", "?": "help" }[event.key];
    if (name) run(event, actions[name]);
  });
}

function run(event, action) {
  if (action() !== false) event.preventDefault();
}
