// What needs a person, in one line above the map, and never over it: lines and routers that are away, circuits that wait.

import { html, signal } from "../vendor/ui.js";
import { addIds, nothing } from "../emphasis.js";
import { adminWord, lineState } from "../scene.js";
import { go, select } from "../route.js";
import { store } from "../store.js";
import { ago, counted } from "../words.js";
import { Glyph } from "./glyph.js";
import { showList } from "./lists.js";
import { countOf } from "./strip.js";

/** What somebody has read, and does not want to see until it changes. */
const read = signal("");

/** @param {{mapper: {current: import("../mapper.js").Mapper | null}}} props */
export function Alarm({ mapper }) {
  if (store.versions.links.value < 0 || store.versions.routers.value < 0 || !store.ready.value) return null;
  const troubles = troublesNow();
  const short = countOf("WAITING", "FAILED");
  const key = troubles.map(({ id }) => id).join("\n") + (short ? "\nwaiting" : "");
  if (!key || key === read.value) return null;
  const [first] = troubles;
  const show = () => {
    if (troubles.length === 1) select(first.kind, first.id);
    const shown = nothing();
    addIds(shown, troubles.map(({ id }) => id), "hit");
    if (troubles.length) mapper.current?.show(shown);
    else {
      showList("circuits");
      go({ params: { q: "state:waiting" } }, true);
    }
  };
  return html`<div class="alarm" role="alert">
    <span class="what"><${Glyph} name=${troubles.length ? "cross" : "triangle"} />${headline(troubles, short)}</span>
    <span class="more">${details(troubles, short)}</span>
    <span class="acts"><button onClick=${show}>Show</button>
      <button class="quiet icon" aria-label="Hide until it changes" onClick=${() => { read.value = key; }}><${Glyph} name="close" /></button></span>
  </div>`;
}

/** Routers that are gone, and lines between others that are down or silent; not what was taken out of service first. */
function troublesNow() {
  const troubles = [];
  const gone = (id) => store.tables.routers.get(id)?.connected === false;
  for (const router of store.tables.routers.values()) {
    if (!router.connected && !adminWord(router.admin)) troubles.push({ kind: "router", id: router.router_id, word: "gone" });
  }
  for (const link of store.tables.links.values()) {
    if (gone(link.a_router_id) || gone(link.b_router_id)) continue;
    const state = lineState(link);
    if ((state === "down" || state === "silent") && !adminWord(link.admin)) troubles.push({ kind: "line", id: link.link_id, word: state });
  }
  return troubles;
}

function headline(troubles, short) {
  if (!troubles.length) return counted(short, "circuit waits", "circuits wait");
  if (troubles.length === 1) {
    const [{ kind, id, word }] = troubles;
    return `${kind === "line" ? "Line" : "Router"} ${id} is ${word}`.replace(/^Line (?=line)/i, "");
  }
  if (troubles.length === 2) return troubles.map(({ id, word }) => `${id} is ${word}`).join(", ");
  const lines = troubles.filter(({ kind }) => kind === "line").length;
  const routers = troubles.length - lines;
  const parts = [lines && counted(lines, "line"), routers && counted(routers, "router")].filter(Boolean);
  return `${parts.join(" and ")} away`;
}

/** Of one line which end sees it, of several how many are down for which reason: all, also where nobody says why. */
function whyDown(troubles) {
  const lines = troubles.map(({ id }) => store.tables.links.get(id)).filter(Boolean);
  if (troubles.length === 1) return lines[0]?.down_text;
  const counts = new Map();
  for (const { down_cause } of lines) counts.set(down_cause, (counts.get(down_cause) ?? 0) + 1);
  return [...counts].sort().map(([cause, count]) => `${cause === "far_end" ? "heard at one end" : cause?.replace("_", " ") || "unexplained"}: ${counted(count, "line")}`).join(", ");
}

function details(troubles, short) {
  const moving = countOf("REROUTING", "DEGRADED");
  const mark = [...store.marks.value].reverse().find((each) => each.severity !== "info" && troubles.some(({ id }) => id === String(each.id)));
  return [
    whyDown(troubles),
    // Each second.
    mark && store.now.value && ago(mark.at_unix_ms),
    [moving && counted(moving, "circuit moves", "circuits move"), short && troubles.length && counted(short, "circuit waits", "circuits wait")]
      .filter(Boolean).join(", "),
    troubles.length && !moving && !short && "every circuit has power",
    !troubles.length && "for room, a source or a way",
  ].filter(Boolean).join(" · ");
}
