// Elements are made of nodes and text alone, so that no name, whoever chose it, is ever markup.

export const by = id => document.getElementById(id);

export function make(tag, props = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  node.append(...children);
  return node;
}

// A name that somebody chose: of any length, in any direction.
export const name = text => make("bdi", { className: "name", dir: "auto" }, text);

export function button(text, run) {
  const b = make("button", { type: "button" }, text);
  b.addEventListener("click", run);
  return b;
}

export function setText(node, text) {
  if (node.textContent !== text)
    node.textContent = text;
}

// Fills a table in place: what does not change keeps its focus and its selection. Roles are written out, for a
// browser takes them from parts of a table that are laid out otherwise, as on phones. `heads` are [text, class]; `rows`
// are {key, class, cells}, a cell a text or {is, make}, which is made anew when `is` changes.
export function fill(table, heads, rows, none) {
  if (!table.tHead) {
    const line = Object.assign(table.createTHead().insertRow(), { role: "row" });
    for (const [text, kind] of heads)
      line.append(make("th", { scope: "col", role: "columnheader", className: kind || "" }, text));
    table.createTBody();
    table.role = "table";
    table.tHead.role = table.tBodies[0].role = "rowgroup";
  }
  const body = table.tBodies[0];
  const old = new Map([...body.rows].map(r => [r.dataset.key, r]));
  if (!rows.length)
    rows = [{ key: "", cells: [none] }];
  let place = body.firstChild;
  for (const row of rows) {
    const key = String(row.key);
    const line = old.get(key) || make("tr", { role: "row" });
    old.delete(key);
    line.dataset.key = key;
    line.className = row.class || "";
    if (line === place)
      place = place.nextSibling;
    else
      body.insertBefore(line, place);
    fillLine(line, heads, row.cells);
  }
  for (const line of old.values())
    line.remove();
}

function fillLine(line, heads, cells) {
  cells.forEach((cell, i) => {
    const td = line.cells[i] || Object.assign(line.insertCell(), { role: "cell" });
    const is = typeof cell === "string" ? cell : cell.is;
    if (td.is === is)
      return;
    td.is = is;
    const alone = cells.length < heads.length; // words in place of rows
    td.className = alone ? "none" : heads[i][1] || "";
    td.colSpan = alone ? heads.length : 1;
    td.replaceChildren(typeof cell === "string" ? cell : cell.make());
  });
}

export const aName = text => ({ is: text, make: () => name(text) });

// --- numbers for people ---

export const percent = v => Number.isFinite(v) ? (v * 100).toFixed(1) + "\u00a0%" : "";
export const number = v => Number.isFinite(v) ? v.toLocaleString("en") : "";
export const loss = v => Number.isFinite(v) ? String(+v.toPrecision(4)) : "";

export function bytes(v) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  for (; v >= 1024 && i + 1 < units.length; i++)
    v /= 1024;
  return (v < 10 && i ? v.toFixed(1) : Math.round(v)) + "\u00a0" + units[i];
}

export function duration(seconds) {
  const s = Math.round(seconds), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  if (h >= 48)
    return Math.round(h / 24) + " days";
  return h ? h + " h " + m + " min" : m ? m + " min " + s % 60 + " s" : s + " s";
}

export const when = text => text ? new Date(text).toLocaleString("sv") : "";
export const textOf = v => typeof v === "string" ? v : v && typeof v.name === "string" ? v.name : "own layers";
