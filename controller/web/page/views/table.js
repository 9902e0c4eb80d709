// A table of any length: only the rows in sight are there. Sorted by any column, filtered, walked by keys.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/ui.js";
import { csvOf, filterOf, sorted } from "../filter.js";
import { Glyph, State } from "./glyph.js";
import { go, route } from "../route.js";
import { store } from "../store.js";
import { pointed } from "../view_state.js";

const ROW_PX = 30;
const BEYOND = 8;
// The order is looked at again no more often: rows that change places all the time cannot be read.
const ORDER_MS = 1000;

/** A column that shows a state: sorted by what needs somebody first. */
export const stateColumn = (of, width = "minmax(96px, 1fr)") => ({
  key: "state", title: "state", width, plain: true,
  value: (row) => of(row).word, sort: (row) => of(row).rank, show: (row) => html`<${State} of=${of(row)} />`,
});
export const number = (key, title, value, text, more = {}) => ({ key, title, value, text: (row) => (value(row) === undefined ? "" : text(value(row))), right: true, width: "minmax(66px, 0.8fr)", ...more });
export const word = (key, title, value, more = {}) => ({ key, title, value, width: "minmax(76px, 1.3fr)", ...more });

/**
 * @param {{name: string, kind: string, rows: () => Iterable<any>, version: number, columns: any[], sort: string, hint: string, empty: string}} props
 * `rows` of the store, of which `version` says when they changed; `sort` where the URL says none
 */
export function Table({ name, kind, rows, version, columns, sort: usual, hint, empty }) {
  const { params, kind: selectedKind, id: selectedId } = route.value;
  const wide = params.wide === "on";
  const shown = columns.filter((column) => wide || !column.wide);
  const query = params.q ?? "";
  const sort = params.sort || usual;
  const calm = useCalm(version, ORDER_MS);
  const order = useMemo(
    () => sorted([...rows()].filter(filterOf(query, columns)), columns, sort), [calm, query, sort, columns],
  );
  const idOf = columns[0].value;
  const selected = selectedKind === kind ? order.findIndex((row) => String(idOf(row)) === selectedId) : -1;
  const box = useRef(null);
  const view = useView(box);
  useLayoutEffect(() => {
    if (selected >= 0) intoView(box.current, selected);
  }, [selectedId, name]);
  const first = Math.max(0, Math.floor(view.top / ROW_PX) - BEYOND);
  const last = Math.min(order.length, Math.ceil((view.top + view.height) / ROW_PX) + BEYOND);
  const walk = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !order.length) return;
    event.preventDefault();
    event.stopPropagation();
    const to = Math.max(0, Math.min(order.length - 1, (selected < 0 ? (step > 0 ? -1 : order.length) : selected) + step));
    go({ kind, id: String(idOf(order[to])) }, true);
  };
  const style = { "grid-template-columns": shown.map((column) => column.width).join(" ") };
  return html`
    <div class="filter">
      <label class="field-search"><${Glyph} name="search" /><span class="unseen">Filter ${name}</span>
        <input type="search" id="filter" placeholder=${hint} value=${query} autocomplete="off" spellcheck=${false}
          onInput=${(event) => go({ params: { q: event.currentTarget.value } }, true)} /></label>
      <span class="count" role="status">${order.length.toLocaleString("en")}</span>
      <button class="quiet" onClick=${() => download(`${name}.csv`, csvOf(order, columns))} title="Save these rows as CSV">CSV</button>
      <button class="quiet icon wide-toggle" aria-pressed=${wide} title="Wide table" aria-label="Wide table"
        onClick=${() => go({ params: { wide: wide ? "" : "on" } })}><${Glyph} name="wide" /></button>
    </div>
    <div class=${order.length ? "table" : "table none"} role="grid" aria-label=${name} aria-rowcount=${order.length + 1} tabindex="0" ref=${box} onKeyDown=${walk}
      aria-activedescendant=${selected >= first && selected < last && selected >= 0 ? rowId(kind, selectedId) : undefined}
      onScroll=${view.scrolled} onPointerLeave=${() => { pointed.value = null; }}>
      <div class="head row" role="row" aria-rowindex="1" style=${style}>
        ${shown.map((column) => html`<${Head} key=${column.key} column=${column} sort=${sort} />`)}
      </div>
      <div class="body" role="rowgroup" style=${{ height: `${order.length * ROW_PX}px` }}>
        ${order.slice(first, last).map((row, at) => html`<${Row} key=${idOf(row)} kind=${kind} row=${row} id=${String(idOf(row))}
          at=${first + at} columns=${shown} style=${style} selected=${first + at === selected} />`)}
      </div>
    </div>
    ${order.length === 0 && store.ready.value && html`<p class="empty">${query ? html`Nothing here fits “${query}”. <button class="link" onClick=${() => go({ params: { q: "" } })}>Show all</button>` : empty}</p>`}`;
}

const rowId = (kind, id) => `row-${kind}-${encodeURIComponent(id)}`;

function Head({ column, sort }) {
  const [isUp, isDown] = [sort === column.key, sort === `-${column.key}`];
  const next = isUp ? `-${column.key}` : isDown ? column.key : column.right ? `-${column.key}` : column.key;
  return html`<div role="columnheader" class=${column.right ? "right" : ""} aria-sort=${isUp ? "ascending" : isDown ? "descending" : "none"}>
    <button onClick=${() => go({ params: { sort: next } })}>${column.title}
      ${(isUp || isDown) && html`<${Glyph} name=${isUp ? "up" : "downwards"} size=${9} />`}</button></div>`;
}

function Row({ kind, row, id, at, columns, style, selected }) {
  return html`<div role="row" id=${rowId(kind, id)} class=${selected ? "row selected" : "row"} aria-selected=${selected} aria-rowindex=${at + 2}
    style=${{ ...style, transform: `translateY(${at * ROW_PX}px)` }}
    onClick=${() => go({ kind, id })} onPointerEnter=${() => { pointed.value = { kind, id }; }}>
    ${columns.map((column) => html`<div role="gridcell" key=${column.key} class=${column.right ? "right" : ""}
      title=${column.plain ? undefined : String(column.text ? column.text(row) : column.value(row) ?? "")}>${column.show ? column.show(row) : column.text ? column.text(row) : column.value(row)}</div>`)}
  </div>`;
}

/** A number that follows another one, with a pause between changes. */
function useCalm(version, pauseMs) {
  const [calm, setCalm] = useState(version);
  const since = useRef(-pauseMs);
  useEffect(() => {
    const wait = Math.max(0, since.current + pauseMs - performance.now());
    const timer = setTimeout(() => {
      since.current = performance.now();
      setCalm(version);
    }, wait);
    return () => clearTimeout(timer);
  }, [version]);
  return calm;
}

/** Which part of a scrolled box is in sight. */
function useView(box) {
  const [view, setView] = useState({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const look = () => setView((now) => ({ ...now, height: box.current.clientHeight }));
    const observer = new ResizeObserver(look);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const scrolled = (event) => {
    const { scrollTop: top, clientHeight: height } = event.currentTarget;
    setView({ top, height });
  };
  return { ...view, scrolled };
}

function intoView(box, index) {
  const top = index * ROW_PX;
  const height = box.clientHeight - ROW_PX;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + ROW_PX > box.scrollTop + height) box.scrollTop = top + ROW_PX - height;
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
