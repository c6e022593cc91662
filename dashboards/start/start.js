// The start page: three doors. Its text stands in the page itself; only language and theme need a script.
import { html, render } from "../vendor/lit-html-3.3.3/lit-html.js";
import { onTheme, toggles } from "../common/chrome.js";
import { setLanguage } from "../common/i18n.js";

const draw = () => render(html`<div class="corner">${toggles(draw)}</div>`, document.getElementById("app"));
await setLanguage();
onTheme(draw);
draw();
