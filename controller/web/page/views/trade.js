// A trade's card: from the match over its circuit to the bill, each line of which says how it comes about.

import { html, useEffect } from "../vendor/ui.js";
import { askMarket } from "../api.js";
import { metered, money, price, timeOf, tradeState, tradeStateOf, useAsked, wattHours } from "../market.js";
import { linkTo } from "../route.js";
import { store } from "../store.js";
import { trade as shown } from "../view_state.js";
import { Facts, Figures } from "./bars.js";
import { State } from "./glyph.js";
import { CircuitLink, Silence } from "./market.js";

/** As they follow each other where all goes well. */
const STEPS = ["MATCHED", "HOLDING", "HELD", "FUNDED", "CONFIRMED", "DELIVERING", "METERING", "BILLED", "SETTLING", "SETTLED"];

/** @param {{id: string}} props */
export function TradeCard({ id }) {
  const { told, error, atMs } = useAsked((signal) => askMarket("SettlementService/GetSettlement", { trade_id: id }, signal), [id]);
  const trade = told?.transaction;
  // What the map shows of it changes with its circuit and its way alone.
  useEffect(() => { shown.value = trade ?? null; }, [trade?.circuit_id, trade?.path.join()]);
  useEffect(() => () => { shown.value = null; }, []);
  if (!trade) return html`<h2>Trade ${id}</h2><${Silence} error=${error} atMs=${0} />${!error && html`<p class="empty">Asking the exchange…</p>`}`;
  const of = tradeStateOf(trade);
  return html`
    <header><${State} of=${of} /><h2>Trade ${trade.trade_id}</h2></header>
    <${Silence} error=${error} atMs=${atMs} />
    ${trade.reason && html`<p class=${`reason tone-${of.tone}`}>${trade.reason}${trade.detail && `: ${trade.detail}`}</p>`}
    <${Figures} of=${[["Energy", wattHours(trade.wh)], ["Buyer pays", price(trade.buyer_micro_per_kwh), "per kWh"], ["Seller gets", price(trade.seller_micro_per_kwh), "per kWh"]]} />
    <${Steps} state=${tradeState(trade.state)} />
    <${Facts} of=${[
      ["Buyer", `${trade.buyer} at ${trade.buy_meter_id}`], ["Seller", `${trade.seller} from ${trade.sell_meter_id}`],
      ["Interval", `${timeOf(trade.interval.start_unix_ns)}, ${trade.mechanism}`],
      ["Circuit", Number(trade.circuit_id) ? html`<${CircuitLink} id=${trade.circuit_id} />` : ""],
      ["Path", trade.path.length ? html`<${Path} of=${trade.path} />` : ""], ["Delivery", trade.delivery],
      ["Injected", Number(trade.injected_wh) ? `${wattHours(trade.injected_wh)} for ${wattHours(trade.wh)}` : ""],
      ["Toll", Number(trade.toll_micro_per_kwh) ? `${price(trade.toll_micro_per_kwh)} per kWh` : ""], ["Locked", locked(trade)],
      ["Matched", timeOf(trade.matched_unix_ns)], ["Confirmed", timeOf(trade.confirmed_unix_ns)],
      ["This state ends", timeOf(trade.until_unix_ns)],
    ]} />
    ${told.settlement && html`<${Bill} of=${told.settlement} trade=${trade} />`}`;
}

/** How far it has come; of one that went another way, its state alone says it. */
function Steps({ state }) {
  const at = STEPS.indexOf(state);
  if (at < 0) return null;
  return html`<ol class="steps" aria-label="States">${STEPS.map((step, index) => html`<li key=${step} class=${index < at ? "done" : ""} aria-current=${index === at ? "step" : undefined}>${step.toLowerCase()}</li>`)}</ol>`;
}

/** Lines, or routers, that the controller knows as such. */
function Path({ of }) {
  return of.map((id, at) => html`${at > 0 && " → "}<a key=${id} href=${linkTo(store.tables.links.has(id) ? "line" : "router", id)}>${id}</a>`);
}

function locked({ locked: of }) {
  if (!of) return "";
  const parts = [["buyer", of.buyer_nano], ["seller", of.seller_nano], ["operator", of.operator_nano]].filter(([, nano]) => Number(nano));
  return parts.map(([who, nano]) => `${money(nano)} by the ${who}`).join(", ");
}

/** What was metered, and each line of what it comes to. */
function Bill({ of, trade }) {
  const sums = sumsOf(of.lines);
  return html`<h3>Bill <small>${[of.outcome && `${of.outcome} delivered`, of.quality && `${of.estimated ? "estimated" : "read"}: ${of.quality}`, of.disputed && "disputed"].filter(Boolean).join(", ")}</small></h3>
    <table class="sums bill"><thead><tr><th scope="col">line</th><th scope="col">pays</th><th scope="col">to</th><th scope="col">energy</th><th scope="col">price</th><th scope="col">amount</th></tr></thead>
      ${of.lines.map((line, at) => html`<tbody key=${at}><tr><th scope="row">${line.kind}</th><td>${line.payer}</td><td>${line.payee}</td><td>${Number(line.micro_per_kwh) ? metered(line.energy_mj) : ""}</td><td>${Number(line.micro_per_kwh) ? price(line.micro_per_kwh) : ""}</td><td>${money(line.nano)}</td></tr>
        <tr class="formula"><td colspan="6">${line.formula}</td></tr></tbody>`)}</table>
    ${!of.lines.length && html`<p class="empty">Nothing is to be paid.</p>`}
    <${Facts} figures of=${Object.entries(sums).map(([party, nano]) => [party, `${nano > 0n ? "+" : ""}${money(nano)}`])} />
    <${Facts} of=${[
      ["Agreed", metered(of.contract_mj)], ["Injected", metered(of.injected_mj)], ["Delivered", metered(of.delivered_mj)],
      ...[["Short", of.short_mj], ["Curtailed", of.curtailed_mj], ["Refused", of.refused_mj], ["Unknown whose", of.unknown_mj]].filter(([, mj]) => Number(mj)).map(([name, mj]) => [name, metered(mj)]),
      ["May change until", tradeState(trade.state) === "BILLED" ? timeOf(of.final_unix_ns) : ""], ["Objected", of.objected_by && `${of.objected_by}, to ${of.objected_line}: ${of.statement}`], ["Evidence", of.evidence.join(", ")], ["Decided", of.decision],
    ]} />
    ${of.missed.length > 0 && html`<h3>What was missed</h3><${Facts} of=${of.missed.map((each) => [`${timeOf(each.from_unix_ns)} to ${timeOf(each.to_unix_ns)}`, `${metered(each.missing_mj)}, ${each.cause}${each.blame && `, ${each.blame}`}`])} />`}`;
}

/** What each party comes out with. @param {any[]} lines @returns {Record<string, bigint>} */
function sumsOf(lines) {
  const sums = {};
  for (const { payer, payee, nano } of lines) {
    sums[payer] = (sums[payer] ?? 0n) - BigInt(nano);
    sums[payee] = (sums[payee] ?? 0n) + BigInt(nano);
  }
  return sums;
}
