// The language of filters above tables: words, `column:word`, `column>2MW`, `column<5%`, `-word` for what to leave out.

import { parsed } from "./words.js";

/**
 * @typedef {{key: string, title: string, value: (row: any) => any, text?: (row: any) => string, sort?: (row: any) => any}} Column
 * @typedef {(row: any) => boolean} Test
 */

/**
 * @param {string} text
 * @param {Column[]} columns
 * @returns {Test}
 */
export function filterOf(text, columns) {
  const tests = (text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []).map((token) => testOf(token, columns));
  return (row) => tests.every((test) => test(row));
}

/** @param {string} token @param {Column[]} columns @returns {Test} */
function testOf(token, columns) {
  if (token.length > 1 && token.startsWith("-")) {
    const test = testOf(token.slice(1), columns);
    return (row) => !test(row);
  }
  const match = /^([A-Za-z_]+)(:|>=|<=|>|<)(.+)$/.exec(token);
  const column = match && columns.find((each) => each.key === match[1].toLowerCase() || each.title.toLowerCase() === match[1].toLowerCase());
  if (!column) return wordTest(token, columns);
  const wanted = match[3].replace(/"/g, "");
  if (match[2] === ":") return (row) => shown(column, row).includes(wanted.toLowerCase());
  return comparison(column, match[2], parsed(wanted));
}

function comparison(column, sign, wanted) {
  const compare = { ">": (a) => a > wanted, "<": (a) => a < wanted, ">=": (a) => a >= wanted, "<=": (a) => a <= wanted }[sign];
  return (row) => {
    const value = column.value(row);
    return typeof value === "number" && compare(value);
  };
}

function wordTest(token, columns) {
  const wanted = token.replace(/"/g, "").toLowerCase();
  return (row) => columns.some((column) => shown(column, row).includes(wanted));
}

function shown(column, row) {
  return String(column.text ? column.text(row) : column.value(row) ?? "").toLowerCase();
}

/**
 * Sorted by a column; rows that are equal stay in the order of their first column.
 * @param {any[]} rows @param {Column[]} columns @param {string} sort a column's key, with `-` before it the largest first
 */
export function sorted(rows, columns, sort) {
  const down = sort.startsWith("-");
  const column = columns.find((each) => each.key === sort.replace(/^-/, ""));
  if (!column) return rows;
  const sign = down ? -1 : 1;
  const keyed = rows.map((row) => [column.sort ? column.sort(row) : column.value(row), columns[0].value(row), row]);
  keyed.sort((a, b) => sign * compared(a[0], b[0]) || compared(a[1], b[1]));
  return keyed.map(([, , row]) => row);
}

const collator = new Intl.Collator("en", { numeric: true });

function compared(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  // What is not known comes last.
  if (a === undefined || a === null) return b === undefined || b === null ? 0 : 1;
  if (b === undefined || b === null) return -1;
  return collator.compare(String(a), String(b));
}

/** As a file for other programs: values in SI, as the API has them. @param {any[]} rows @param {Column[]} columns */
export function csvOf(rows, columns) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    // A spreadsheet would compute what begins like a formula.
    const safe = /^[=+\-@\t\r]/.test(text) && typeof value !== "number" ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const lines = [columns.map((column) => cell(column.key)), ...rows.map((row) => columns.map((column) => cell(column.value(row))))];
  return lines.map((line) => line.join(",")).join("\r\n");
}
