// Who asked for what, what was decided, and why: from the audit log, when somebody opens it.

import { html, useState } from "../vendor/ui.js";
import { call } from "../api.js";
import { clock } from "../words.js";
import { Refusal } from "./refusal.js";

const NEWEST = 30;

/** @param {{subjects: string[]}} props */
export function Audit({ subjects }) {
  const [entries, setEntries] = useState(null);
  const [error, setError] = useState(null);
  const toggled = (event) => {
    if (!event.currentTarget.open) return;
    call("OperationsService/ReadAudit", { subjects: subjects.filter(Boolean), newest: NEWEST })
      .then((told) => setEntries(told.entries ?? []), setError);
  };
  return html`<details class="audit" onToggle=${toggled}><summary>History</summary><${Refusal} error=${error} />
    <ol>${[...(entries ?? [])].reverse().map((each) => html`<li key=${each.seq}><time>${clock(Number(each.at_unix_ns) / 1e6)}</time>
      <span>${[each.action, each.decided, each.why].filter(Boolean).join(", ")} <small>${each.who}</small></span></li>`)}</ol></details>`;
}
