// The controller itself: who leads, since when, its store, its engine, its books, and the routers that it has.

import { html } from "../vendor/ui.js";
import { open } from "../route.js";
import { store } from "../store.js";
import { ago, counted, duration, energies, moment, percent } from "../words.js";
import { Facts } from "./bars.js";
import { booksOf } from "./strip.js";

export function System() {
  const daemon = store.daemon.value ?? {};
  const now = store.now.value ?? {};
  const books = booksOf(now.books);
  return html`<div class="system" tabindex="0">
    <h3>Controller</h3>
    <${Facts} of=${[
      ["Role", daemon.role === "standby" ? html`stands by for ${daemon.leader ?? "a leader that is being elected"}` : "leads"],
      ["Term", daemon.term], ["Name", daemon.name], ["Version", daemon.version],
      ["Started", daemon.started_unix_ms ? ago(daemon.started_unix_ms) : ""],
      ["Store", daemon.store], ["Routing engine", daemon.engine],
      ["Loop late by", now.loop_late_ms === undefined ? "" : duration(now.loop_late_ms)],
      ["Watchers", now.watchers],
      ["Emulation", daemon.emulation ? "yes: what is cut or killed here is not real" : ""],
    ]} />
    <${Standbys} daemon=${daemon} />
    <h3>Books</h3>
    <p class=${`tone-${books.tone}`}>${books.word}</p>
    <${Energies} of=${Object.entries(now.books ?? {}).filter(([key]) => key.endsWith("_mj"))} />
    <h3>Network</h3>
    <${Routers} />
    <div class="actions">
      <button onClick=${() => open("dispatch")}>Dispatch…</button>
      <button onClick=${() => open("reoptimise")}>Reoptimise…</button>
      <button onClick=${() => open("whatif")}>What if…</button>
    </div>
  </div>`;
}

/** Who would lead next, the first of them first; nothing where the store is no cluster's. */
function Standbys({ daemon }) {
  const { standbys, name, role } = daemon;
  if (!standbys) return null;
  if (!standbys.length) {
    return html`<h3>Standbys</h3><p class="tone-warn">Nobody stands by: without this controller circuits run on, and nobody decides.</p>`;
  }
  return html`<h3>Standbys</h3><table class="compared"><thead><tr><th scope="col">Next to lead</th><th scope="col">At</th><th scope="col">Since</th><th scope="col">Behind</th></tr></thead>
    <tbody>${standbys.map((each) => html`<tr key=${each.northbound}><th scope="row">${each.name}${role === "standby" && each.name === name ? " (this one)" : ""}</th><td>${each.northbound}</td>
      <td>${moment(each.since_unix_ms) || "–"}</td><td>${behindWord(each.behind)}</td></tr>`)}</tbody></table>`;
}

/** What it has not taken up of what the leader has decided; those of earlier versions do not say. @param {number | null | undefined} behind */
function behindWord(behind) {
  if (behind === null || behind === undefined) return "–";
  return behind ? counted(behind, "transaction") : "nothing";
}

function Energies({ of }) {
  const told = energies(of.map(([, mj]) => mj));
  return html`<${Facts} figures of=${of.map(([key, mj]) => [key.replace(/_mj$/, "").replace(/_/g, " "), told(mj)])} />`;
}

function Routers() {
  if (store.versions.routers.value < 0) return null;
  const routers = [...store.tables.routers.values()];
  const links = [...store.tables.links.values()];
  const connected = routers.filter((router) => router.connected).length;
  const up = links.filter((link) => link.up).length;
  const control = store.daemon.value?.control_network;
  const late = routers.filter((router) => router.late_ms > 0).length;
  return html`<${Facts} of=${[
    ["Control network", control ? `${counted(control.switches, "switch", "switches")}, ${counted(control.trunks, "trunk")}, ${counted(control.hosts, "host")}` : ""],
    ["Routers connected", `${connected} of ${routers.length}`], ["Lines up", `${up} of ${links.length}`],
    ["Routers late", late ? `${late} (${percent(late / routers.length)})` : ""],
  ]} />`;
}
