// Keys that act from anywhere; `?` shows all of them.

import { close, go, LISTS, open, route } from "./route.js";
import { store } from "./store.js";
import { arranging, choices, COLOURS, colour, labels, motion } from "./view_state.js";

/** Whether somebody types: then only Escape and Ctrl K are ours. @param {EventTarget | null} target */
const isTyping = (target) => target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea");

/** What each key does. @type {{keys: string, says: string, match: (event: KeyboardEvent) => boolean, run: (event: KeyboardEvent) => void}[]} */
export const KEYS = [
  { keys: "Ctrl K", says: "Find anything", match: (event) => (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k", run: () => open("find") },
  { keys: "?", says: "These keys", match: plain("?"), run: () => open("help") },
  { keys: "/", says: "Filter the list", match: plain("/"), run: () => document.getElementById("filter")?.focus() },
  { keys: "← →", says: "Previous and next circuit", match: (event) => plain("ArrowLeft")(event) || plain("ArrowRight")(event), run: (event) => step(event.key === "ArrowRight" ? 1 : -1) },
  { keys: "Esc", says: "Close, or select nothing", match: (event) => event.key === "Escape", run: escape },
  { keys: "n", says: "Request power", match: plain("n"), run: () => open("request") },
  { keys: "c", says: "Change the circuit that is selected", match: plain("c"), run: () => withCircuit("change") },
  { keys: "x", says: "Release the circuit that is selected", match: plain("x"), run: () => withCircuit("release") },
  { keys: "d", says: "Drain the line or router that is selected", match: plain("d"), run: () => withThing("drain", "id") },
  { keys: "w", says: "What if: what is selected fails", match: plain("w"), run: () => withThing("whatif", "cut") },
  { keys: "1 … 8", says: "Circuits, lines, routers, loads, sources, events, system, market", match: (event) => bare(event) && /^[1-8]$/.test(event.key), run: (event) => showList(Number(event.key)) },
  { keys: "m", says: "To the map: arrows move it, + and − zoom, 0 shows all", match: plain("m"), run: () => focus(".canvas-host") },
  { keys: "t", says: "To the table: arrows walk through it", match: plain("t"), run: () => focus(".table, .events, .system") },
  { keys: "h", says: "To the timeline: arrows go back in time", match: plain("h"), run: () => focus(".timeline-chart") },
  { keys: "v", says: "Colour by load, loss, price, risk", match: plain("v"), run: nextColour },
  { keys: "l", says: "Labels on and off", match: plain("l"), run: () => go({ params: { labels: labels.value ? "off" : "" } }) },
  { keys: "s", says: "Motion on and off", match: plain("s"), run: () => { choices.motion.value = motion.value ? "off" : "on"; } },
  { keys: "g", says: "Legend", match: plain("g"), run: () => { choices.legend.value = choices.legend.value === "open" ? "" : "open"; } },
];

function bare(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey;
}

function plain(key) {
  return (event) => bare(event) && event.key === key;
}

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    const found = KEYS.find(({ match }) => match(event));
    if (!found || (isTyping(event.target) && !["Esc", "Ctrl K"].includes(found.keys))) return;
    if (route.value.params.do && !["Esc", "Ctrl K"].includes(found.keys)) return;
    event.preventDefault();
    found.run(event);
  });
}

function focus(selector) {
  const found = document.querySelector(selector);
  if (found instanceof HTMLElement) found.focus();
}

function escape(event) {
  if (route.value.params.do) close();
  else if (isTyping(event.target)) event.target.blur();
  else if (arranging.value) arranging.value = null;
  else if (route.value.params.at) go({ params: { at: "" } });
  else go({ kind: "", id: "" });
}

/** Through circuits by their ids, round and round. @param {1 | -1} by */
function step(by) {
  const ids = [...store.tables.circuits.keys()].sort((a, b) => a - b);
  if (!ids.length) return;
  const { kind, id } = route.value;
  const at = kind === "circuit" ? ids.indexOf(Number(id)) : by > 0 ? -1 : 0;
  go({ kind: "circuit", id: String(ids[(at + by + ids.length) % ids.length]) }, true);
}

function withCircuit(dialog) {
  if (route.value.kind === "circuit") open(dialog, { id: route.value.id });
}

function withThing(dialog, field) {
  const { kind, id } = route.value;
  if (["line", "router", ...(dialog === "whatif" ? ["source"] : [])].includes(kind)) open(dialog, { [field]: id });
}

function showList(number) {
  const list = LISTS[number - 1];
  go({ params: { list: number === 1 ? "" : list, q: "", sort: "" } });
}

function nextColour() {
  const names = Object.keys(COLOURS);
  const next = names[(names.indexOf(colour.value) + 1) % names.length];
  go({ params: { colour: next === "load" ? "" : next } });
}
