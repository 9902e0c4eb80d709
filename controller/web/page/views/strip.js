// The strip of figures that is always in sight: power, loss, circuits by state, books, who leads, and how old all of it is.

import { html, useEffect, useState } from "../vendor/ui.js";
import { go, open } from "../route.js";
import { said, store } from "../store.js";
import { choices, themeName } from "../view_state.js";
import { duration, energy, percent, power, stateName, stateOf } from "../words.js";
import { Glyph } from "./glyph.js";
import { showList } from "./lists.js";

// What is older than this is said to be old: the daemon says something every second.
const OLD_MS = 2500;

export const delivered = said((now) => power(now.delivered_w));
const injected = said((now) => power(now.injected_w));
export const lost = said((now) => power(now.loss_w));
const share = said((now) => (now.injected_w ? percent(now.loss_w / now.injected_w) : "–"));
const counts = said(({ circuits = {} }) => JSON.stringify(Object.fromEntries(Object.entries(circuits).map(([state, count]) => [stateName(state), count]))));
const balance = said(({ books }) => JSON.stringify(booksOf(books)));

/** How many circuits are in any of some states. @param {string[]} states */
export function countOf(...states) {
  const known = JSON.parse(counts.value);
  return states.reduce((sum, state) => sum + (known[state] ?? 0), 0);
}

export function Strip() {
  const books = JSON.parse(balance.value);
  return html`<header class="strip">
    <div class="brand"><${Logo} /><h1>Digital Grid</h1><${Network} /></div>
    <div class="key-figures">
      <${Figure} name="Delivered" tip="Reserved at sinks of circuits that are active">${delivered}<//>
      <${Figure} name="Injected">${injected}<//>
      <${Figure} name="Loss" aside=${lost}>${share}<//>
      <${Circuits} />
      <${Figure} name="Books"><span class=${`tone-${books.tone}`}>${books.word}</span>${books.aside && html` <small class="books-aside">${books.aside}</small>`}<//>
      <${Leader} />
    </div>
    <div class="strip-actions">
      <button class="find" aria-keyshortcuts="Control+K" onClick=${() => open("find")}><${Glyph} name="search" /><span>Find anything</span><kbd aria-hidden="true">Ctrl K</kbd></button>
      <button class="primary" onClick=${() => open("request")}>Request<span class="rest"> power</span></button>
      <button class="quiet icon" onClick=${() => { choices.theme.value = themeName.value === "dark" ? "light" : "dark"; }}
        aria-label=${themeName.value === "dark" ? "Light colours" : "Dark colours"} title="Light or dark"><${Glyph} name=${themeName.value === "dark" ? "sun" : "moon"} size=${15} /></button>
      <${Age} />
    </div>
  </header>`;
}

function Logo() {
  return html`<svg class="logo" width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><path d="M1.5 11H6l2.6-6.5 4.4 13L15.6 11h4.9"
    fill="none" stroke="currentColor" stroke-width="2.1" stroke-linecap="round" stroke-linejoin="round" /></svg>`;
}

function Network() {
  const { network, name, emulation } = store.daemon.value ?? {};
  const title = network || name;
  const waiting = countOf("WAITING", "FAILED");
  // What a tab in the background shows.
  useEffect(() => {
    document.title = [waiting && `▲ ${waiting} waiting`, title, "Digital Grid"].filter(Boolean).join(" · ");
  }, [waiting, title]);
  return html`${title && html`<span class="network" title=${title}>${title}</span>`}
    ${emulation && html`<span class="chip" title="Routers and lines are emulated: what is cut or killed here is not real">emulation</span>`}`;
}

function Figure({ name, aside, tip, children }) {
  return html`<div class="key-figure" title=${tip}><span class="name">${name}</span><span class="value">${children}${aside && html` <small>${aside}</small>`}</span></div>`;
}

const SHOWN = ["FAILED", "WAITING", "DEGRADED", "REROUTING", "STAGING"];

/** How many stand, and of those that do not deliver how many in which state. */
function Circuits() {
  const shown = SHOWN.filter((state) => countOf(state) || state === "WAITING" || state === "REROUTING");
  return html`<div class="key-figure"><span class="name">Circuits</span><span class="value">${countOf("ACTIVE").toLocaleString("en")}
    ${shown.map((state) => {
      const { glyph, word, tone } = stateOf(state);
      const count = countOf(state);
      return html`<button class=${`count-of ${count ? `tone-${tone}` : "none"}`} key=${state} title=${`${count} ${word}`} aria-label=${`${count} circuits ${word}`}
        onClick=${() => { showList("circuits"); go({ params: { q: `state:${word}` } }, true); }}><${Glyph} name=${glyph} />${count}</button>`;
    })}</span></div>`;
}

/** What the energy books say. @param {any} books */
export function booksOf(books) {
  if (!books) return { word: "not read", tone: "muted", aside: "" };
  const offMj = books.imbalance_mj || books.lost_in_transit_mj;
  if (offMj) return { word: "off", tone: "alarm", aside: energy(offMj) };
  return { word: "balanced", tone: "ok", aside: "to the mJ" };
}

function Leader() {
  const daemon = store.daemon.value;
  if (!daemon) return html`<${Figure} name="Leader">–<//>`;
  const standby = daemon.role === "standby";
  return html`<${Figure} name="Leader" aside=${[daemon.term && `term ${daemon.term}`, standby && "this one stands by"].filter(Boolean).join(" · ")}>
    ${daemon.leader_name ?? (standby ? daemon.leader ?? "being elected" : daemon.name ?? "this controller")}<//>`;
}

/** How old all that is shown is. */
function Age() {
  const { state } = store.connection.value;
  // 0 as long as words come in time: it is drawn once then.
  const [ageMs, setAge] = useState(0);
  useEffect(() => {
    let timer = 0;
    const look = () => {
      const oldMs = Date.now() - store.heardMs;
      const leftMs = state === "live" ? OLD_MS - oldMs : 0;
      setAge(leftMs > 0 ? 0 : oldMs);
      timer = setTimeout(look, Math.max(500, leftMs));
    };
    look();
    return () => clearTimeout(timer);
  }, [state]);
  const syncing = store.syncing.value;
  const old = state !== "live" || ageMs || syncing;
  const text = !store.heardMs ? "connecting" : syncing && !ageMs ? "catching up" : old ? `${duration(ageMs)} old` : "live";
  return html`<span class=${`age ${old ? "tone-alarm" : "tone-ok"}`} title="How old what is shown is">
    <${Glyph} name=${old ? "dashed" : "dot"} /><span>${text}</span></span>`;
}
