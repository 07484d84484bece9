// A table as a CSV file that any reader of RFC 4180 gives back, and that no spreadsheet takes for formulas. Pure.

/** What makes a spreadsheet reckon instead of show, at the beginning of a text; as ASCII and as full-width forms. */
const FORMULA = /^[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/u;

/** One field. Numbers stay numbers; a text that begins like a formula gets a `'` before it; null is an empty field. */
export function field(value) {
  if (typeof value === "number") return String(value);
  const text = String(value ?? ""),
    safe = FORMULA.test(text) ? "'" + text : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows of fields as a file's text: CRLF after every row, and the mark by which spreadsheets know UTF-8. */
export const csv = (rows) => "\ufeff" + rows.map((row) => row.map(field).join(",") + "\r\n").join("");
