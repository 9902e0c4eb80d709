// All keys.

import { html } from "../vendor/ui.js";
import { KEYS } from "../keys.js";
import { Dialog } from "./dialog.js";

export function Help() {
  return html`<${Dialog} title="Keys" plain><dl class="keys" tabindex="0">${KEYS.map(({ keys, says }) => html`<div key=${keys}><dt>${keys.split(" ").map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${says}</dd></div>`)}</dl><//>`;
}
