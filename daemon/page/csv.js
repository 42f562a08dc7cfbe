// CSV (RFC 4180) as cnnctl writes it: for spreadsheets and scripts.

// What would break a line or a terminal.
const BREAKS = /[\u0000-\u001f\u007f-\u009f\ufffd\ud800-\udfff\u202a-\u202e\u2066-\u2069]/gu;
// What a spreadsheet would take for a formula, however it is quoted; numbers are none. A name that begins with an
// apostrophe counts, too, so that each such cell has one more than its name.
const FORMULA = /^(?:[=@']|[+-](?![\d.]*$))/;

function cell(value) {
  if (typeof value === "number")
    return Number.isFinite(value) ? String(value) : "";
  const text = value.replace(BREAKS, "?"), safe = (FORMULA.test(text) ? "'" : "") + text;
  return /[,;"]/.test(safe) ? "\"" + safe.replaceAll("\"", "\"\"") + "\"" : safe;
}

// A row of texts and numbers, with its end.
export const row = cells => cells.map(cell).join(",") + "\n";

// Rows as a file. Spreadsheets take it for UTF-8 by its mark.
export const csv = rows => new Blob(["\ufeff", ...rows], { type: "text/csv" });
