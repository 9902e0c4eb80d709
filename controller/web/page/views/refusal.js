// A refusal: what was refused, why, and what to do.

import { html } from "../vendor/ui.js";
import { token } from "../api.js";
import { stream } from "../live.js";
import { power } from "../words.js";

/** @param {{error: any}} props */
export function Refusal({ error }) {
  if (!error) return null;
  const facts = Object.entries(error.metadata ?? {});
  return html`<div class="refusal" role="alert"><p><b>${error.message}</b></p>
    ${error.advice && html`<p>${error.advice}</p>`}
    ${error.code === "UNAUTHENTICATED" && html`<${Token} />`}
    ${(error.reason || facts.length > 0) && html`<p class="small">${error.reason && html`<code>${error.reason}</code>`}
      ${facts.map(([key, value], at) => html`${at ? ", " : " "}<span key=${key}>${key.replace(/_w$/, "").replace(/_/g, " ")}: ${key.endsWith("_w") ? power(Number(value)) : value}</span>`)}</p>`}
  </div>`;
}

/** The token that a daemon prints which listens beyond loopback. */
export function Token() {
  const keep = (event) => {
    event.preventDefault();
    token.set(String(new FormData(event.currentTarget).get("token")));
    stream.current?.restart();
  };
  return html`<form class="token" onSubmit=${keep}><label>Token<input name="token" type="password" autocomplete="off" required /></label><button>Use it</button></form>`;
}
