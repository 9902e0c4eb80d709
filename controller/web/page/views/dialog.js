// Dialogs: what is asked for, what it would do (a dry run, also on the map), and only then the button that does it.

import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { newRequestId } from "../api.js";
import { close } from "../route.js";
import { preview } from "../view_state.js";
import { Glyph } from "./glyph.js";
import { say } from "./notices.js";
import { Refusal } from "./refusal.js";

// After the last letter, until what was typed is tried.
const SOON_MS = 500;

/** @param {{title: string, children: any, plain?: boolean}} props */
export function Dialog({ title, children, plain = false }) {
  const box = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    const first = ["[autofocus]", "input, select", "button:not(.close)"].map((kind) => box.current.querySelector(kind)).find(Boolean);
    (first ?? box.current).focus();
    return () => {
      preview.value = null;
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return html`<div class=${plain ? "dialog plain-dialog" : "dialog"} role="dialog" aria-modal="true" aria-label=${title} ref=${box} tabindex="-1" onKeyDown=${(event) => keepInside(event, box.current)}>
    <header><h2>${title}</h2><button class="quiet icon close" aria-label="Close" onClick=${close}><${Glyph} name="close" /></button></header>
    ${children}
  </div>`;
}

/** Tab goes round inside of a dialog. */
function keepInside(event, box) {
  if (event.key !== "Tab") return;
  const all = [...box.querySelectorAll("a[href], button:not([disabled]), input, select, summary, [tabindex='0']")];
  const [first, last] = [all[0], all.at(-1)];
  if (event.shiftKey && document.activeElement === first) last.focus();
  else if (!event.shiftKey && document.activeElement === last) first.focus();
  else return;
  event.preventDefault();
}

/**
 * The usual course: fields, a preview of exactly these fields, then the act. What was previewed is forgotten as soon as
 * a field changes, so that nobody does what was not shown. Without an act, it is only about the preview.
 * @param {{fields: any, request: (form: FormData) => any, dryRun: (request: any) => Promise<any>, shown: (told: any, asked: any) => any,
 *   act?: (request: any, request_id: string) => Promise<string>, verb?: (request: any) => string, danger?: boolean, can?: (told: any) => boolean, at_once?: boolean, by_itself?: boolean}} props
 * `at_once`: the preview is there when it opens; `by_itself`: and soon after the last letter
 */
export function Course({ fields, request, dryRun, shown, act, verb, danger = false, can = () => true, at_once = false, by_itself = false }) {
  const form = useRef(null);
  const [told, setTold] = useState(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState("");
  const attempt = async (what, work, wanted = () => true) => {
    setBusy(what);
    setError(null);
    try {
      const answer = await work();
      if (wanted()) return answer;
      preview.value = null;
      return null;
    } catch (problem) {
      if (wanted()) setError(problem);
      return null;
    } finally {
      setBusy("");
    }
  };
  // An answer to what was asked before a field changed is none.
  const asks = useRef({ number: 0, timer: 0 });
  const look = async (event) => {
    event?.preventDefault();
    clearTimeout(asks.current.timer);
    const asked = request(new FormData(form.current));
    if (typeof asked === "string") {
      setError({ message: asked });
      return;
    }
    const number = (asks.current.number += 1);
    const answer = await attempt("preview", () => dryRun(asked), () => number === asks.current.number);
    if (answer) setTold({ asked, answer });
  };
  const forget = () => {
    asks.current.number += 1;
    clearTimeout(asks.current.timer);
    if (by_itself) asks.current.timer = setTimeout(() => { if (form.current?.checkValidity()) look(); }, SOON_MS);
    setTold(null);
    setError(null);
    preview.value = null;
  };
  // Whoever acts again, because no answer came, means the same request.
  const acted = useRef({ said: "", id: "" });
  const go = async () => {
    const said = JSON.stringify(told.asked);
    if (said !== acted.current.said) acted.current = { said, id: newRequestId() };
    const done = await attempt("act", () => act(told.asked, acted.current.id));
    if (done === null) return;
    say(done);
    close();
  };
  useEffect(() => {
    if (at_once || (by_itself && form.current.checkValidity())) look();
    return () => {
      asks.current.number += 1;
      clearTimeout(asks.current.timer);
    };
  }, []);
  const ready = told && can(told.answer);
  return html`<form ref=${form} onSubmit=${look} onInput=${forget}>
    ${fields}
    <div class="outcome" aria-live="polite">
      ${busy === "preview" && html`<p class="small">Asking the controller…</p>`}
      ${told && shown(told.answer, told.asked)}
      <${Refusal} error=${error} />
    </div>
    <footer>
      <button type="button" class="quiet" onClick=${close}>Cancel</button>
      <button type="submit" class=${ready && act ? "" : "primary"} disabled=${Boolean(busy)}>${act ? "Preview" : "Look"}</button>
      ${act && html`<button type="button" class=${`${danger ? "danger-full" : "primary"} act`} disabled=${!ready || Boolean(busy)} onClick=${go}
        title=${ready ? "" : "Preview first"}>${verb(told?.asked)}</button>`}
    </footer>
  </form>`;
}

/** @param {{label: string, hint?: string, children: any}} props */
export function Field({ label, hint, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
}

/** Ids to choose from, while they are typed. @param {{name: string, list: string, ids: string[], value?: string, required?: boolean, placeholder?: string, focus?: boolean}} props */
export function IdInput({ name, list, ids, value = "", required = false, placeholder = "", focus = false }) {
  return html`<input name=${name} list=${list} defaultValue=${value} required=${required} placeholder=${placeholder} autocomplete="off" spellcheck=${false} autofocus=${focus} />
    <datalist id=${list}>${ids.slice(0, 2000).map((id) => html`<option key=${id} value=${id} />`)}</datalist>`;
}

/** Ids, one beside the other. @param {FormDataEntryValue | null} text */
export const idsOf = (text) => String(text ?? "").split(/[\s,]+/).filter(Boolean);
