// The last minutes: power delivered and lost, and a mark for each thing that happened. Its cursor shows the map as it was.

import { html, useEffect, useRef, useState } from "../vendor/ui.js";
import { go, route } from "../route.js";
import { said, store } from "../store.js";
import { cursorMs, theme } from "../view_state.js";
import { clock, percent, power } from "../words.js";
import { subjectOf } from "./events.js";
import { delivered, lost } from "./strip.js";

const SPANS = [["5", "5 min"], ["15", "15 min"]];
const STEP_MS = 5000;
// While nothing happens and nobody points: a second is three pixels.
const step = said((now) => Math.floor(now.at_unix_ms / 3000));
// Where the chart begins and ends within its canvas.
const EDGE = { left: 8, right: 8, top: 16, bottom: 18 };

export function Timeline() {
  const canvas = useRef(null);
  const size = useSize(canvas);
  const [pointedMs, setPointed] = useState(0);
  const spanMs = (route.value.params.span === "15" ? 15 : 5) * 60000;
  [step, delivered, lost, theme, store.history.version].map((each) => each.value);
  const endMs = store.now.peek()?.at_unix_ms ?? Date.now();
  const range = { from: endMs - spanMs, to: endMs };
  const marks = store.marks.value.filter((mark) => mark.at_unix_ms >= range.from);
  const shownMs = pointedMs || cursorMs.value;
  useEffect(() => {
    if (size.width) paint(canvas.current, size, range, marks, shownMs);
  });
  const timeAt = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const part = (event.clientX - box.left - EDGE.left) / (size.width - EDGE.left - EDGE.right);
    return Math.round(range.from + Math.min(1, Math.max(0, part)) * spanMs);
  };
  const setCursor = (ms) => go({ params: { at: ms >= endMs - 1000 ? "" : String(Math.round(Math.max(range.from, ms))) } }, true);
  const keyed = (event) => {
    const byMs = { ArrowLeft: -STEP_MS, ArrowRight: STEP_MS, PageUp: -12 * STEP_MS, PageDown: 12 * STEP_MS, Home: -spanMs, End: spanMs }[event.key];
    if (!byMs) return;
    event.preventDefault();
    event.stopPropagation();
    setCursor((cursorMs.value || endMs) + byMs);
  };
  const at = store.history.secondAt(shownMs || endMs);
  const near = marks.filter((mark) => shownMs && Math.abs(mark.at_unix_ms - shownMs) < spanMs / 90);
  return html`<section class="timeline" aria-label="Timeline">
    <div class="timeline-head">
      <span class="key delivered">delivered</span><span class="key loss">loss</span>
      <span class="timeline-at">${at && html`${shownMs ? clock(shownMs) : "now"} · ${power(at.deliveredW)} · ${power(at.lossW)} lost${at.injectedW ? ` (${percent(at.lossW / at.injectedW)})` : ""}`}
        ${near.slice(0, 2).map((mark) => html` · <button key=${mark.n} class="link" onClick=${() => { const subject = subjectOf(mark); if (subject) go(subject); }}>${mark.text}</button>`)}</span>
      <div class="choices" role="group" aria-label="Span">${SPANS.map(([value, words]) => html`<button key=${value} aria-pressed=${spanMs === Number(value) * 60000}
        onClick=${() => go({ params: { span: value === "5" ? "" : value } })}>${words}</button>`)}</div>
    </div>
    <div class="timeline-chart" role="slider" tabindex="0" aria-label="Time that is shown" aria-valuemin=${0} aria-valuemax=${Math.round(spanMs / 1000)}
      aria-valuenow=${Math.round(((cursorMs.value || endMs) - range.from) / 1000)} aria-valuetext=${cursorMs.value ? clock(cursorMs.value) : "now"}
      onKeyDown=${keyed} onPointerMove=${(event) => { setPointed(timeAt(event)); if (event.buttons) setCursor(timeAt(event)); }}
      onPointerLeave=${() => setPointed(0)} onPointerDown=${(event) => setCursor(timeAt(event))}><canvas ref=${canvas} aria-hidden="true" /></div>
  </section>`;
}

function useSize(canvas) {
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const host = canvas.current.parentElement;
    const observer = new ResizeObserver(() => setSize({ width: host.clientWidth, height: host.clientHeight }));
    observer.observe(host);
    return () => observer.disconnect();
  }, []);
  return size;
}

function paint(canvas, { width, height }, range, marks, shownMs) {
  const density = Math.min(2, devicePixelRatio || 1);
  if (canvas.width !== Math.round(width * density) || canvas.height !== Math.round(height * density)) {
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  const seconds = store.history.seconds.filter((second) => second.atMs >= range.from);
  const x = (ms) => EDGE.left + ((ms - range.from) / (range.to - range.from)) * (width - EDGE.left - EDGE.right);
  const bottom = height - EDGE.bottom;
  const chart = { context, x, bottom, height: bottom - EDGE.top, colours: theme.value, width };
  paintGrid(chart, range);
  paintBefore(chart, range);
  if (seconds.length > 1) {
    const top = niceTop(Math.max(...seconds.map((second) => second.injectedW), 1));
    paintArea(chart, seconds, (second) => second.deliveredW / top, chart.colours.accent, true);
    paintArea(chart, seconds, (second) => second.lossW / top, chart.colours.warn, false);
    if (seconds.some(({ injectedW }) => injectedW)) paintTop(chart, top);
  }
  for (const mark of marks) paintMark(chart, mark);
  if (shownMs) paintCursor(chart, shownMs);
}

/** 1, 2 or 5 times a power of ten. @param {number} value */
function niceTop(value) {
  const base = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * base).find((step) => step >= value * 1.04) ?? 10 * base;
}

function paintGrid({ context, x, bottom, colours, width }, range) {
  context.font = "11px Inter, system-ui, sans-serif";
  context.textRendering = "geometricPrecision";
  context.textBaseline = "alphabetic";
  context.textAlign = "center";
  context.lineWidth = 1;
  const every = range.to - range.from > 400000 ? (width < 500 ? 300000 : 120000) : width < 500 ? 120000 : 60000;
  for (let ms = Math.ceil(range.from / every) * every; ms < range.to; ms += every) {
    const at = Math.round(x(ms)) + 0.5;
    if (at < 28 || at > width - 28) continue;
    context.strokeStyle = colours.hair;
    context.beginPath();
    context.moveTo(at, EDGE.top);
    context.lineTo(at, bottom);
    context.stroke();
    context.fillStyle = colours.muted;
    context.fillText(clock(ms).slice(0, 5), at, bottom + 14);
  }
  context.strokeStyle = colours.hair;
  context.beginPath();
  context.moveTo(EDGE.left, bottom + 0.5);
  context.lineTo(width - EDGE.right, bottom + 0.5);
  context.stroke();
}

function paintTop({ context, colours, width }, top) {
  context.textAlign = "right";
  context.fillStyle = colours.muted;
  context.fillText(power(top), width - EDGE.right, EDGE.top - 4);
}

function paintArea({ context, x, bottom, height }, seconds, share, colour, filled) {
  context.beginPath();
  seconds.forEach((second, at) => {
    const [px, py] = [x(second.atMs), bottom - share(second) * height];
    if (at) context.lineTo(px, py);
    else context.moveTo(px, py);
  });
  context.strokeStyle = colour;
  context.lineWidth = 1.8;
  context.lineJoin = "round";
  context.stroke();
  if (!filled) return;
  context.lineTo(x(seconds.at(-1).atMs), bottom);
  context.lineTo(x(seconds[0].atMs), bottom);
  context.closePath();
  context.globalAlpha = 0.13;
  context.fillStyle = colour;
  context.fill();
  context.globalAlpha = 1;
}

/** From when on the map is known: as this page saw it, or as the daemon has kept it. */
function paintBefore({ context, x, bottom, colours }, range) {
  const { pictures, beginsMs } = store.history;
  const to = x(Math.min(pictures[0]?.atMs ?? range.to, beginsMs || range.to));
  if (to < EDGE.left + 4) return;
  context.fillStyle = colours.hair;
  context.globalAlpha = 0.35;
  context.fillRect(EDGE.left, EDGE.top, to - EDGE.left, bottom - EDGE.top);
  context.globalAlpha = 1;
  if (to - EDGE.left < 260) return;
  context.textAlign = "center";
  context.fillStyle = colours.muted;
  context.fillText("no map is kept from before", EDGE.left + (to - EDGE.left) / 2, EDGE.top + (bottom - EDGE.top) / 2 + 4);
}

const MARK_COLOURS = { alarm: "alarm", warning: "warn", info: "muted" };

function paintMark({ context, x, bottom, colours }, mark) {
  const at = Math.round(x(mark.at_unix_ms)) + 0.5;
  const alarm = mark.severity === "alarm";
  context.strokeStyle = colours[MARK_COLOURS[mark.severity]] ?? colours.muted;
  context.fillStyle = context.strokeStyle;
  context.lineWidth = alarm ? 1.5 : 1;
  context.setLineDash(alarm ? [3, 3] : []);
  context.beginPath();
  context.moveTo(at, alarm ? EDGE.top : bottom - 7);
  context.lineTo(at, bottom);
  context.stroke();
  context.setLineDash([]);
  context.beginPath();
  if (mark.severity === "info") context.arc(at, bottom - 8, 2, 0, 7);
  else {
    const y = alarm ? EDGE.top : bottom - 8;
    context.moveTo(at, y - 4);
    context.lineTo(at + 4, y + 3);
    context.lineTo(at - 4, y + 3);
    context.closePath();
  }
  context.fill();
}

function paintCursor({ context, x, bottom, colours }, ms) {
  const at = Math.round(x(ms)) + 0.5;
  context.strokeStyle = colours.text;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(at, EDGE.top - 4);
  context.lineTo(at, bottom);
  context.stroke();
}
