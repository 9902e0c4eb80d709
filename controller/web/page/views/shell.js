// The page as a whole: strip above, map and timeline, the panel beside them or, on a phone, as a sheet from below.

import { html, signal } from "../vendor/ui.js";
import { route } from "../route.js";
import { store } from "../store.js";
import { Card } from "./card.js";
import { Find, Help } from "./find.js";
import { Lists } from "./lists.js";
import { MapView } from "./map.js";
import { Notices } from "./notices.js";
import { CloudDialog, DispatchDialog, DrainDialog, FaultDialog, ReoptimiseDialog, UndrainDialog, WhatIfDialog } from "./operate.js";
import { Token } from "./refusal.js";
import { ActivateDialog, ChangeDialog, ReleaseDialog, RequestDialog } from "./request.js";
import { Strip } from "./strip.js";
import { Timeline } from "./timeline.js";

const DIALOGS = {
  find: Find, help: Help, request: RequestDialog, change: ChangeDialog, activate: ActivateDialog, release: ReleaseDialog, drain: DrainDialog, undrain: UndrainDialog,
  fault: FaultDialog, cloud: CloudDialog, whatif: WhatIfDialog, dispatch: DispatchDialog, reoptimise: ReoptimiseDialog,
};
/** The map's works, for whoever stands beside the map. @type {{current: import("../mapper.js").Mapper | null}} */
export const mapper = { current: null };
/** How far the sheet of a phone is out. */
const sheet = signal("half");
const NEXT = { half: "full", full: "peek", peek: "half" };

export function Shell() {
  const { params, kind } = route.value;
  const Open = DIALOGS[params.do];
  const wide = params.wide === "on";
  return html`
    <a class="skip" href="#filter" onClick=${(event) => { event.preventDefault(); document.getElementById("filter")?.focus(); }}>To the list</a>
    <${Strip} />
    <${Lost} />
    <main class=${wide ? "wide" : ""} inert=${Boolean(Open)}>
      <div class="stage"><${MapView} mapper=${mapper} /><${Timeline} /></div>
      <aside class=${`panel sheet-${sheet.value} ${kind ? "has-card" : ""}`}>
        <button class="sheet-handle" aria-label=${`Panel: ${NEXT[sheet.value]}`} aria-expanded=${sheet.value !== "peek"}
          onClick=${() => { sheet.value = NEXT[sheet.value]; }}><span /></button>
        <${Card} /><${Lists} />
      </aside>
    </main>
    ${Open && html`<div class="scrim"><${Open} key=${params.do} /></div>`}
    <${Notices} />`;
}

/** Says when what is shown is no longer live, and why. */
function Lost() {
  const { state, detail } = store.connection.value;
  if (state === "refused") return html`<div class="lost" role="alert"><span>${detail || "The controller asks who you are."}</span><${Token} /></div>`;
  if (state !== "lost" || !store.ready.value) return null;
  return html`<div class="lost" role="alert">The controller does not answer. What is shown was so when it last did; power flows on. This page goes on by itself.</div>`;
}
