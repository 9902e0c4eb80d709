// Symbols, signs and names on the map. Shape tells what a thing is and how it fares; colour says it again.

import { rampColours, stepOf } from "./palette.js";

/**
 * @param {CanvasRenderingContext2D} context
 * @param {any} scene
 * @param {Record<string, any>} theme
 * @param {number} dim of what is not looked at
 * @param {number[]} region that is painted
 * @param {string} font
 */
export function paintSymbols(context, scene, theme, dim, [left, top, right, bottom], font) {
  const seen = ({ x, y }) => x > left && x < right && y > top && y < bottom;
  const symbols = scene.symbols.filter(seen);
  context.lineCap = "round";
  for (const symbol of symbols) {
    context.globalAlpha = symbol.lit || isTrouble(symbol) ? 1 : dim;
    if (symbol.stem) paintStem(context, symbol, theme);
  }
  for (const symbol of symbols) {
    context.globalAlpha = symbol.lit || isTrouble(symbol) ? 1 : dim;
    if (symbol.dear !== undefined) disc(context, symbol.x, symbol.y, symbol.r + 7, rampColours(theme.ramp)[stepOf(symbol.dear)]);
    if (symbol.main && ENDS.has(symbol.kind)) ring(context, symbol.x, symbol.y, symbol.r + 4, theme.halo, 1.6);
    PAINTERS[symbol.kind](context, symbol, theme);
  }
  context.globalAlpha = 1;
  for (const badge of scene.badges.filter(seen)) paintBadge(context, badge, theme);
  paintLabels(context, scene.labels.filter(seen), theme, dim, font);
}

/** What needs somebody is never dimmed. */
function isTrouble({ fates, gone }) {
  return gone || fates.waiting > 0 || fates.moving > 0;
}

/** What a circuit begins and ends at has a ring around it; routers between have their line's halo. */
const ENDS = new Set(["load", "many", "source"]);

const PAINTERS = { router: paintRouter, bus: paintBus, load: paintLoad, many: paintMany, source: paintSource };

function paintStem(context, { x, y, stem }, theme) {
  context.strokeStyle = theme.edge;
  context.lineWidth = 1.4;
  context.beginPath();
  context.moveTo(stem[0], stem[1]);
  context.lineTo(x, y);
  context.stroke();
}

function disc(context, x, y, r, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, r, 0, 2 * Math.PI);
  context.fill();
}

function ring(context, x, y, r, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.arc(x, y, Math.max(0.5, r), 0, 2 * Math.PI);
  context.stroke();
}

function cross(context, x, y, r, turned) {
  const [a, b] = turned ? [r * 0.72, r * 0.72] : [r, 0];
  context.beginPath();
  context.moveTo(x - a, y - b);
  context.lineTo(x + a, y + b);
  context.moveTo(x - b, y + a);
  context.lineTo(x + b, y - a);
  context.stroke();
}

function paintRouter(context, { x, y, r, gone }, theme) {
  disc(context, x, y, r + 1.5, theme.ground);
  ring(context, x, y, r, gone ? theme.alarm : theme.text, gone ? 2 : 1.5);
  context.lineWidth = gone ? 2 : 1.3;
  cross(context, x, y, r * (gone ? 0.7 : 0.55), gone);
}

function paintBus(context, { x, y, r, gone }, theme) {
  if (gone) paintRouter(context, { x, y, r: 4.5, gone }, theme);
  else disc(context, x, y, r, theme.edge);
}

function paintLoad(context, symbol, theme) {
  const { x, y, r, filled, fates } = symbol;
  disc(context, x, y, r + Math.min(1.3, r * 0.4), theme.ground);
  if (fates.waiting) {
    ring(context, x, y, r, theme.alarm, 2);
    if (r >= 4.5) triangle(context, x, y + r * 0.08, r * 0.5, theme.alarm);
  } else if (fates.moving) {
    ring(context, x, y, r, theme.warn, 1.8);
    context.fillStyle = theme.warn;
    context.beginPath();
    context.arc(x, y, r * 0.72, Math.PI / 2, 1.5 * Math.PI);
    context.fill();
  } else if (filled <= 0) {
    ring(context, x, y, r, theme.idle, 1.2);
  } else {
    // What it gets of what it may take, by area.
    if (filled < 0.999) ring(context, x, y, r, theme.load, 1.2);
    disc(context, x, y, filled < 0.999 ? Math.max(1, (r - 0.6) * Math.sqrt(filled)) : r, theme.load);
  }
  if (symbol.gives && r >= 2.6) paintGives(context, symbol, theme);
  if (symbol.gone) goneMark(context, symbol, theme);
}

/** A small source beside a load. */
function paintGives(context, { x, y, r }, theme) {
  const size = Math.max(2, r * 0.5);
  triangle(context, x + r * 0.85, y - r * 0.85, size + 1.2, theme.ground);
  triangle(context, x + r * 0.85, y - r * 0.85, size, theme.source);
}

/** Several loads as one: the rim shows how many of them wait, move or are served. */
function paintMany(context, symbol, theme) {
  const { x, y, r, count, fates, filled } = symbol;
  const known = fates.waiting + fates.moving + fates.served;
  disc(context, x, y, r + 3.2, theme.ground);
  if (!known || fates.served === known) {
    paintLoad(context, { ...symbol, gone: false }, theme);
  } else if (filled > 0 && fates.served) {
    disc(context, x, y, r * Math.sqrt(filled) * 0.8, theme.load);
  }
  let from = -Math.PI / 2;
  for (const [part, colour, width] of [
    [fates.waiting, theme.alarm, 2.4], [fates.moving, theme.warn, 2.4], [count - fates.waiting - fates.moving, theme.load, 1],
  ]) {
    const to = from + (2 * Math.PI * part) / count;
    if (part > 0) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, r + 2, from, to);
      context.stroke();
    }
    from = to;
  }
  if (symbol.gone) goneMark(context, symbol, theme);
}

function paintSource(context, symbol, theme) {
  const { x, y, r, filled } = symbol;
  const bottom = y + r * 0.7;
  const height = r * 1.75;
  disc(context, x, y + r * 0.1, r * 1.15, theme.ground);
  const outline = new Path2D();
  outline.moveTo(x, bottom - height);
  outline.lineTo(x + r, bottom);
  outline.lineTo(x - r, bottom);
  outline.closePath();
  if (filled > 0) {
    context.save();
    context.clip(outline);
    context.fillStyle = theme.source;
    context.fillRect(x - r, bottom - height * filled, 2 * r, height * filled);
    context.restore();
  }
  context.strokeStyle = theme.source;
  context.lineWidth = 1.7;
  context.lineJoin = "round";
  context.stroke(outline);
  if (symbol.gone) goneMark(context, symbol, theme);
}

/** A router that is away, under the symbol of what hangs on it. */
function goneMark(context, { x, y, r }, theme) {
  disc(context, x + r, y - r, 5, theme.ground);
  ring(context, x + r, y - r, 4, theme.alarm, 1.6);
  context.lineWidth = 1.6;
  cross(context, x + r, y - r, 2.4, true);
}

function triangle(context, x, y, r, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x, y - r);
  context.lineTo(x + r * 0.95, y + r * 0.7);
  context.lineTo(x - r * 0.95, y + r * 0.7);
  context.closePath();
  context.fill();
}

/** In the middle of a line: down, silent, out of service, or what binds a request. */
function paintBadge(context, { x, y, kind }, theme) {
  const quiet = kind === "drained";
  const colour = quiet ? theme.idle : theme.alarm;
  disc(context, x, y, 9, theme.ground);
  ring(context, x, y, 7.5, colour, 1.8);
  context.strokeStyle = colour;
  context.lineWidth = 1.8;
  if (kind === "down") cross(context, x, y, 4.2, true);
  else if (kind === "drained") paintPause(context, x, y);
  else paintSign(context, kind === "silent" ? "?" : "!", x, y, colour);
}

function paintPause(context, x, y) {
  context.beginPath();
  for (const side of [-2, 2]) {
    context.moveTo(x + side, y - 3);
    context.lineTo(x + side, y + 3);
  }
  context.stroke();
}

function paintSign(context, sign, x, y, colour) {
  context.font = "600 11px Inter, system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colour;
  context.fillText(sign, x, y + 0.5);
}

function paintLabels(context, labels, theme, dim, font) {
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.textRendering = "geometricPrecision";
  context.lineJoin = "round";
  context.lineWidth = 3.5;
  context.strokeStyle = theme.ground;
  for (const { x, y, text, price, lit, alarm, quiet } of labels) {
    context.globalAlpha = lit ? 1 : Math.max(dim, 0.7);
    context.font = lit ? `600 ${font}` : font;
    context.strokeText(text, x, y);
    context.fillStyle = alarm ? theme.alarm : lit ? theme.text : quiet ? theme.muted : theme.text;
    context.fillText(text, x, y);
    if (price) paintPrice(context, price, x + context.measureText(`${text} `).width, y, theme, font);
  }
  context.globalAlpha = 1;
}

function paintPrice(context, price, x, y, theme, font) {
  context.globalAlpha = 1;
  context.font = `600 ${font}`;
  context.strokeText(price, x, y);
  context.fillStyle = theme.accent;
  context.fillText(price, x, y);
}
