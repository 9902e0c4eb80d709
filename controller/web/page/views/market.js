// The market of an exchange: its intervals, the book of one, how intervals were cleared, trades, and what parties have.

import { html, useEffect } from "../vendor/ui.js";
import { askMarket } from "../api.js";
import { levelsOf, money, msOf, phaseOf, price, timeOf, tradeStateOf, useAsked, wattHours } from "../market.js";
import { go, linkTo, route } from "../route.js";
import { store } from "../store.js";
import { prices } from "../view_state.js";
import { clock, counted, duration } from "../words.js";
import { Depth } from "./depth.js";
import { Glyph, State } from "./glyph.js";
import { number, stateColumn, Table, word } from "./table.js";

const PARTS = { book: "Book", clearings: "Clearings", trades: "Trades", balances: "Balances" };
// The newest of them.
const MOST_TRADES = 200;
const MOST_CLEARINGS = 12;
// Each is a question.
const MOST_BALANCES = 60;
// How intervals were cleared changes with their phases, and is long: beside that it is asked for seldom.
const CLEARINGS_MS = 5000;
// Orders among which those of a clearing are looked for; they change no more.
const MOST_ORDERS = 1000;
const ORDERS_MS = 60e3;

export function Market() {
  const daemon = store.daemon.value;
  if (daemon && !daemon.market) return html`<p class="empty">The configuration of this controller names no exchange whose market could be shown: that is <code>web.market</code>.</p>`;
  return html`<${Exchange} />`;
}

function Exchange() {
  const { told, error, atMs } = useAsked((signal) => askMarket("MarketService/GetMarket", {}, signal), []);
  const part = route.value.params.market in PARTS ? route.value.params.market : "book";
  const Part = { book: Book, clearings: Clearings, trades: Trades, balances: Balances }[part];
  return html`<div class="market-head">
      <${Silence} error=${error} atMs=${atMs} />
      ${told && !told.controller_reachable && html`<p class="tone-alarm" role="alert">The exchange does not reach the controller: nothing is held or delivered until it does.</p>`}
      ${told && html`<${Intervals} market=${told} />`}
      <div class="choices" role="group" aria-label="Part of the market">${Object.entries(PARTS).map(([name, title]) => html`<button key=${name} aria-pressed=${name === part}
        onClick=${() => go({ params: { market: name === "book" ? "" : name, of: "", q: "", sort: "" } })}>${title}</button>`)}
        ${told && html`<small>${told.name}</small>`}</div>
    </div>
    ${told && html`<${Part} key=${part} market=${told} />`}`;
}

/** Says that an exchange is silent, and of when what is shown is. */
export function Silence({ error, atMs }) {
  if (!error) return null;
  return html`<div class="refusal" role="alert"><p><b>${error.message}</b></p>
    ${error.advice && html`<p>${error.advice}</p>`}
    <p class="small">${atMs ? `What is shown was so at ${clock(atMs)}. ` : ""}It is asked again each second.</p></div>`;
}

/** Those that are under way, by their start: with their rule and phase. */
function Intervals({ market }) {
  const of = route.value.params.of ?? "";
  return html`<ol class="intervals" aria-label="Intervals">${market.intervals.map(({ interval, mechanism, phase, gate_unix_ns: gateNs }) => {
    const leftMs = msOf(gateNs) - msOf(market.now_unix_ns);
    const start = interval.start_unix_ns;
    return html`<li key=${start}><button aria-pressed=${of === start} onClick=${() => go({ params: { market: "", of: of === start ? "" : start, q: "", sort: "" } })}>
      <span>${timeOf(start)}</span><small>${mechanism}</small><${State} of=${phaseOf(phase)} />
      ${phase === "INTERVAL_PHASE_OPEN" && leftMs > 0 && html`<small>closes in ${leftMs < 60e3 ? `${Math.ceil(leftMs / 1000)} s` : duration(leftMs)}</small>`}</button></li>`;
  })}</ol>`;
}

/** What waits at which price in one interval: the next whose gate closes, unless another is chosen. */
function Book() {
  const of = route.value.params.of ?? "";
  const { told, error, atMs } = useAsked((signal) => askMarket("MarketService/GetBook", { interval_start_unix_ns: of || "0" }, signal), [of]);
  if (error && error.code === "NOT_FOUND") return html`<p class="empty">${of ? html`That interval is over, and its book with it. <button class="link" onClick=${() => go({ params: { of: "" } })}>Show the next</button>` : "No interval is open."}</p>`;
  return html`<div class="system" tabindex="0" role="region" aria-label="Book"><${Silence} error=${error} atMs=${atMs} />${told && html`
    <h3>Book of ${timeOf(told.interval.interval.start_unix_ns)} <small>${told.interval.mechanism}, prices per kWh</small></h3>
    ${told.bids.length || told.asks.length ? html`<${Depth} bids=${told.bids} asks=${told.asks} />
      <${Levels} title="Bids" levels=${told.bids} /><${Levels} title="Asks" levels=${told.asks} />` : html`<p class="empty">Nobody waits in it.</p>`}`}</div>`;
}

function Levels({ title, levels }) {
  let sum = 0;
  return html`<table class="sums"><caption>${title}</caption><thead><tr><th scope="col">price</th><th scope="col">energy</th><th scope="col">up to here</th><th scope="col">orders</th></tr></thead>
    <tbody>${levels.map((level) => {
      sum += Number(level.wh);
      return html`<tr key=${level.limit_micro_per_kwh}><td>${price(level.limit_micro_per_kwh)}</td><td>${wattHours(level.wh)}</td><td>${wattHours(sum)}</td><td>${level.orders}</td></tr>`;
    })}</tbody></table>`;
}

/** How intervals were cleared, the newest first; prices of routers stand on the map. */
function Clearings({ market }) {
  const phases = market.intervals.map(({ interval, phase }) => `${interval.start_unix_ns}${phase}`).join();
  const { told, error, atMs } = useAsked((signal) => askMarket("MarketService/ListClearings", { page_size: MOST_CLEARINGS }, signal), [phases], CLEARINGS_MS);
  const all = told?.clearings ?? [];
  const { of } = route.value.params;
  const chosen = all.find((each) => keyOf(each) === of) ?? all.find((each) => isNodal(each) && isFirst(each)) ?? all[0];
  const chosenKey = chosen && keyOf(chosen);
  useEffect(() => {
    prices.value = chosen && isNodal(chosen) ? new Map(chosen.prices.map((each) => [each.router_id, (Number(each.micro_per_kwh) / 1e6).toFixed(4)])) : null;
  }, [chosenKey]);
  useEffect(() => () => { prices.value = null; }, []);
  return html`<div class="system" tabindex="0" role="region" aria-label="Clearings"><${Silence} error=${error} atMs=${atMs} />
    <ol class="clearings">${all.map((each) => html`<${Clearing} key=${keyOf(each)} of=${each} chosen=${each === chosen} />`)}</ol>
    ${told && !all.length && html`<p class="empty">No interval has been cleared yet.</p>`}</div>`;
}

const keyOf = ({ interval, rounds }) => `${interval.interval.start_unix_ns}-${rounds}`;
// What the network refused is cleared anew, alone.
const isFirst = ({ rounds }) => Number(rounds) < 2;
const isNodal = (clearing) => clearing.prices.some((each) => each.router_id);

function Clearing({ of, chosen }) {
  const wh = of.matches.reduce((sum, each) => sum + Number(each.wh), Number(of.wh_left_out || 0));
  const all = of.prices.map((each) => Number(each.micro_per_kwh));
  const [least, most] = [Math.min(...all), Math.max(...all)];
  const range = !all.length ? "nothing traded" : least === most ? `at ${price(least)}` : `at ${price(least)} to ${price(most)}`;
  const nodal = isNodal(of);
  return html`<li><button aria-pressed=${chosen} onClick=${() => go({ params: { of: keyOf(of) } })}>
      <b>${timeOf(of.interval.interval.start_unix_ns)}</b> ${of.interval.mechanism} <span>${wattHours(wh)} in ${counted(of.matches.length + Number(of.matches_left_out || 0), "match", "matches")} ${range}</span></button>
    <small class=${of.verified ? "tone-ok" : "tone-alarm"}><${Glyph} name=${of.verified ? "dot" : "cross"} /> ${of.verified ? "verified" : `not verified: ${of.verification || "nobody has looked"}`}</small>
    <small>${Number(of.rounds) > 1 ? `round ${of.rounds}, ` : ""}welfare ${money(of.welfare_nano)}, ${counted(of.unmatched.length + Number(of.unmatched_left_out || 0), "order")} not matched, decided in ${duration(msOf(of.took_ns))}</small>
    ${chosen && isFirst(of) && html`<${Curves} of=${of} key=${keyOf(of)} />`}
    ${chosen && nodal && html`<table class="sums"><caption>Prices by router: on the map the dearer, the fuller the colour</caption><tbody>${of.prices.map((each) => html`<tr key=${each.router_id}><td><a href=${linkTo("router", each.router_id)}>${each.router_id}</a></td><td>${price(each.micro_per_kwh)}</td></tr>`)}</tbody></table>`}</li>`;
}

/** What was wanted and offered in an interval, and what of it was agreed. */
function Curves({ of }) {
  const { start_unix_ns: start } = of.interval.interval;
  const { told } = useAsked((signal) => askMarket("MarketService/ListTenders", { page_size: MOST_ORDERS }, signal), [start], ORDERS_MS);
  const orders = (told?.orders ?? []).filter(({ tender }) => tender.interval.start_unix_ns === start);
  const seqs = new Set(orders.map(({ seq }) => seq));
  // Newer ones of other intervals may have pushed some of them out.
  if (!orders.length || of.matches.some((each) => !seqs.has(each.buy_seq) || !seqs.has(each.sell_seq))) return null;
  const wh = of.matches.reduce((sum, each) => sum + Number(each.wh), Number(of.wh_left_out || 0));
  const ends = of.matches.flatMap((each) => [Number(each.buyer_micro_per_kwh), Number(each.seller_micro_per_kwh)]);
  const traded = wh ? { wh, bid: Math.max(...ends), ask: Math.min(...ends) } : null;
  return html`<${Depth} bids=${levelsOf(orders, "SIDE_BUY")} asks=${levelsOf(orders, "SIDE_SELL")} traded=${traded} />`;
}

const TRADES = [
  // Named by its interval and a number: its market is that of all.
  { key: "trade", title: "trade", value: (row) => row.trade_id, show: (row) => `${timeOf(row.interval.start_unix_ns)} #${row.trade_id.split("-").at(-1)}`, width: "minmax(82px, 0.9fr)" },
  stateColumn(tradeStateOf, "minmax(84px, 1fr)"),
  word("who", "to ← from", (row) => `${row.buyer} ← ${row.seller}`, { width: "minmax(67px, 1.2fr)" }),
  number("energy", "energy", (row) => Number(row.wh), wattHours, { width: "minmax(60px, 0.8fr)" }),
  number("price", "price", (row) => Number(row.buyer_micro_per_kwh), price, { width: "minmax(58px, 0.6fr)" }),
  { key: "circuit", title: "circuit", value: (row) => Number(row.circuit_id) || "", show: (row) => html`<${CircuitLink} id=${row.circuit_id} />`, wide: true, width: "minmax(60px, 0.5fr)", plain: true },
  word("delivery", "delivery", (row) => row.delivery, { wide: true }),
  word("mechanism", "rule", (row) => row.mechanism, { wide: true }),
  number("gets", "seller gets", (row) => Number(row.seller_micro_per_kwh), price, { wide: true }),
  number("toll", "toll", (row) => Number(row.toll_micro_per_kwh), price, { wide: true }),
  word("bought", "at meter", (row) => row.buy_meter_id, { wide: true }),
  word("sold", "from meter", (row) => row.sell_meter_id, { wide: true }),
  word("reason", "reason", (row) => row.reason, { wide: true, width: "minmax(140px, 2fr)" }),
];

/** To the circuit of a trade. @param {{id: string}} props */
export function CircuitLink({ id }) {
  return Number(id) ? html`<a href=${linkTo("circuit", id)} onClick=${(event) => event.stopPropagation()}>${id}</a>` : null;
}

function Trades() {
  const { told, error, atMs, turn } = useAsked((signal) => askMarket("MarketService/ListTransactions", { page_size: MOST_TRADES }, signal), []);
  return html`<${Silence} error=${error} atMs=${atMs} />${told && html`<${Table} name="trades" kind="trade" rows=${() => told.transactions} version=${turn} columns=${TRADES} sort="-trade"
    hint="ann  state:delivering  energy>500" empty="Nobody has traded yet." />`}`;
}

function Balances({ market }) {
  const parties = [...new Set([market.operator, ...market.parties.map((each) => each.party)])].slice(0, MOST_BALANCES);
  const { told, error, atMs } = useAsked((signal) => Promise.all(parties.map((account) => askMarket("LedgerService/GetBalance", { account }, signal))), [parties.join()]);
  const more = market.parties.length + 1 - parties.length;
  return html`<div class="system" tabindex="0" role="region" aria-label="Balances"><${Silence} error=${error} atMs=${atMs} />${told && html`<table class="sums">
    <thead><tr><th scope="col">party</th><th scope="col">free</th><th scope="col">locked for trades</th></tr></thead>
    <tbody>${parties.map((party, at) => html`<tr key=${party}><td>${party}${party === market.operator && html` <small>operator</small>`}</td>
      <td>${money(told[at]?.free_nano ?? 0)}</td><td>${money(told[at]?.locked_nano ?? 0)}</td></tr>`)}</tbody></table>
    ${more > 0 && html`<p class="empty">and ${more} more: <code>dgctl market balance</code> has all</p>`}`}</div>`;
}
