// The last 15 minutes as a list: what happened, to what, and when. The newest first.

import { html } from "../vendor/ui.js";
import { go, KINDS, route } from "../route.js";
import { store } from "../store.js";
import { clock } from "../words.js";
import { Glyph } from "./glyph.js";

const GLYPHS = { alarm: "cross", warning: "half", info: "dot" };
const TONES = { alarm: "alarm", warning: "warn", info: "muted" };

/** What a mark is about, if the page can show it. @param {any} mark @returns {{kind: string, id: string} | null} */
export function subjectOf(mark) {
  const kind = KINDS.find((each) => store.find(each, String(mark.id)) && mentions(mark.kind, each));
  const found = kind ?? KINDS.find((each) => store.find(each, String(mark.id)));
  return found ? { kind: found, id: String(mark.id) } : null;
}

/** `line_down` is about a line, and so is `link_down`. */
function mentions(told, kind) {
  return String(told).includes(kind) || (kind === "line" && String(told).includes("link"));
}

export function Events() {
  const query = (route.value.params.q ?? "").toLowerCase();
  const marks = store.marks.value.filter((mark) => `${mark.text} ${mark.kind} ${mark.id}`.toLowerCase().includes(query));
  return html`
    <div class="filter">
      <label class="field-search"><${Glyph} name="search" /><span class="unseen">Filter events</span>
        <input type="search" id="filter" placeholder="down  r1-r3  rerouted" value=${query} autocomplete="off" spellcheck=${false}
          onInput=${(event) => go({ params: { q: event.currentTarget.value } }, true)} /></label>
      <span class="count" role="status">${marks.length}</span>
    </div>
    ${marks.length > 0 && html`<ol class="events" tabindex="0" aria-label="Events, the newest first">
      ${[...marks].reverse().slice(0, 400).map((mark) => html`<${Event} key=${mark.n} mark=${mark} />`)}
    </ol>`}
    ${!marks.length && html`<p class="empty">Nothing has happened in the last 15 minutes${query ? " that fits" : ""}.</p>`}`;
}

function Event({ mark }) {
  const subject = subjectOf(mark);
  return html`<li>
    <time datetime=${new Date(mark.at_unix_ms).toISOString()}>${clock(mark.at_unix_ms)}</time>
    <${Glyph} name=${GLYPHS[mark.severity] ?? "dot"} tone=${TONES[mark.severity] ?? "muted"} />
    <span class="unseen">${mark.severity}: </span>
    ${subject ? html`<button class="link" onClick=${() => go(subject)}>${mark.text}</button>` : html`<span>${mark.text}</span>`}
    <button class="quiet then" onClick=${() => go({ params: { at: String(mark.at_unix_ms) } })} title="Show the map as it was then">show then</button>
  </li>`;
}
