// Ctrl K: finds everything that has a name, and everything that can be done; and ?: by which keys.

import { html, useState } from "../vendor/ui.js";
import { KEYS } from "../keys.js";
import { close, go, open } from "../route.js";
import { store } from "../store.js";
import { choices, motion, themeName } from "../view_state.js";
import { power, stateOf } from "../words.js";
import { Dialog } from "./dialog.js";
import { Glyph, KindGlyph } from "./glyph.js";
import { lists, showList } from "./lists.js";

const MOST = 40;

/** What can be done from anywhere. */
const ACTS = [
  ["Request power", () => open("request", { sink: "" })], ["Dispatch", () => open("dispatch")], ["Reoptimise", () => open("reoptimise")],
  ["What if", () => open("whatif", { cut: "" })],
  ["Light or dark", () => { choices.theme.value = themeName.value === "dark" ? "light" : "dark"; }],
  ["Motion on or off", () => { choices.motion.value = motion.value ? "off" : "on"; }],
  ["Keys", () => open("help")],
];
const acts = () => [...ACTS, ...lists().map((list) => [`Show ${list}`, () => showList(list)])];

export function Find() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const found = foundFor(text.trim().toLowerCase());
  const take = (entry) => {
    close();
    entry.run();
  };
  const keyed = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) setAt((at + step + found.length) % found.length);
    else if (event.key === "Enter" && found[at]) take(found[at]);
    else return;
    event.preventDefault();
  };
  return html`<${Dialog} title="Find anything" plain>
    <label class="field-search big"><${Glyph} name="search" /><span class="unseen">Find</span>
      <input role="combobox" aria-expanded="true" aria-controls="found" aria-activedescendant=${found[at] ? `found-${at}` : undefined} autofocus autocomplete="off" spellcheck=${false}
        placeholder="A circuit, line, router, load, source, or what to do" value=${text} onInput=${(event) => { setText(event.currentTarget.value); setAt(0); }} onKeyDown=${keyed} /></label>
    <ul id="found" role="listbox" class="found" aria-label="Found">${found.map((entry, index) => html`<li role="option" id=${`found-${index}`} key=${entry.key} aria-selected=${index === at}
      onPointerEnter=${() => setAt(index)} onClick=${() => take(entry)}>${entry.kind ? html`<${KindGlyph} kind=${entry.kind} />` : html`<${Glyph} name="act" />`}<span>${entry.title}</span><small>${entry.aside}</small></li>`)}</ul>
    ${!found.length && html`<p class="empty">Nothing has that in its name.</p>`}<//>`;
}

function foundFor(text) {
  const found = [];
  const take = (kind, id, aside) => found.push({
    key: `${kind}/${id}`, kind, title: kind === "circuit" ? `Circuit ${id}` : String(id), aside, run: () => go({ kind, id: String(id) }),
  });
  for (const [title, run] of acts()) if (title.toLowerCase().includes(text)) found.push({ key: title, kind: "", title, aside: "", run });
  if (!text) return found;
  const { circuits, links, routers, loads, sources } = store.tables;
  for (const [kind, table] of [["router", routers], ["line", links], ["load", loads], ["source", sources]]) {
    for (const id of table.keys()) {
      if (found.length >= MOST * 4) break;
      if (String(id).toLowerCase().includes(text)) take(kind, id, kind);
    }
  }
  for (const row of circuits.values()) {
    if (found.length >= MOST * 5) break;
    const words = `circuit ${row.circuit_id} ${row.sink_id} ${row.source_id} ${row.request_id ?? ""}`.toLowerCase();
    if (words.includes(text)) take("circuit", row.circuit_id, `${row.sink_id}, ${power(row.power_w)}, ${stateOf(row.state).word}`);
  }
  // What is named exactly so comes first, then what begins with it.
  const rank = ({ title }) => (title.toLowerCase() === text ? 0 : title.toLowerCase().startsWith(text) ? 1 : 2);
  return found.sort((a, b) => rank(a) - rank(b)).slice(0, MOST);
}

export function Help() {
  return html`<${Dialog} title="Keys" plain><dl class="keys" tabindex="0">${KEYS.map(({ keys, says }) => html`<div key=${keys}><dt>${keys.split(" ").map((key) => html`<kbd key=${key}>${key}</kbd>`)}</dt><dd>${says}</dd></div>`)}</dl><//>`;
}
