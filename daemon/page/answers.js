// What images were taken for: a table of any length, a part of it at a time, and all of it as CSV.
import { by, fill, make, name, number, percent, setText } from "./dom.js";
import { csv, row } from "./csv.js";

const PAGE = 100; // rows of the table at a time
const HEADS = [["Image"], ["Class"], ["Probability", "number"], ["Else"]];
// {image, frame, best} or {image, error} each; `frame` counts from 0, -1 where there is one alone.
let list = [], first = 0;

export function clear() {
  list = [];
  first = 0;
  by("classes").replaceChildren();
  paint();
}

// All of it in a sentence.
export function summary(model) {
  const errors = list.filter(one => one.error).length, [one] = list;
  if (list.length === 1)
    return title(one) + (errors ? " could not be read." : ": " + one.best[0].label + ", " + percent(one.best[0].probability) + ".");
  return number(list.length - errors) + " images were classified by " + model + (errors ? ", " + number(errors) + " could not be read." : ".");
}

// What came of a file, or of the files in an archive.
export function add(file, answer) {
  const files = answer.files || [{ results: answer.results }];
  for (const f of files) {
    const image = typeof f.file === "string" ? file + "/" + f.file : file;
    if (f.error)
      list.push({ image, error: f.error.detail || String(f.error) });
    else
      for (const [i, result] of f.results.entries())
        list.push({ image, frame: f.results.length > 1 ? i : -1, best: result.predictions });
  }
  paint();
}

export function addError(image, error) {
  list.push({ image, error });
  paint();
}

const title = one => one.image + (one.frame >= 0 ? ", frame " + (one.frame + 1) : "");

const made = node => ({ is: "", make: node }); // what a row says never changes

const cells = one => one.error ? [made(() => name(title(one))), made(() => make("span", { className: "bad name" }, one.error)), "", ""]
  : [made(() => name(title(one))), made(() => name(one.best[0].label)), percent(one.best[0].probability),
    made(() => name(one.best.slice(1).map(b => b.label + " " + percent(b.probability)).join(", ")))];

function paint() {
  const last = Math.min(first + PAGE, list.length), shown = list.slice(first, last);
  by("answer-table").hidden = !list.length;
  by("answer-pages").hidden = list.length <= PAGE;
  by("try-csv").hidden = !list.length;
  if (!list.length)
    return;
  fill(by("classes"), HEADS, shown.map((one, i) => ({ key: first + i, cells: cells(one) })), "");
  setText(by("answer-range"), number(first + 1) + " to " + number(last) + " of " + number(list.length));
  by("answer-back").disabled = first === 0;
  by("answer-on").disabled = last === list.length;
}

// Goes to other rows. A button at the end of its way hands the focus on.
function turn(rows) {
  first = Math.max(0, first + rows);
  paint();
  by("answer-table").scrollTop = 0;
  const [used, other] = rows < 0 ? ["answer-back", "answer-on"] : ["answer-on", "answer-back"];
  if (by(used).disabled)
    by(other).focus();
}

// A row an image and class, of those that were not read one with the reason.
export const file = () => csv([row(["image", "rank", "class", "probability", "error"]), ...list.flatMap(one => {
  const image = one.image + (one.frame >= 0 ? "[" + one.frame + "]" : "");
  return one.error ? [row([image, "", "", "", one.error])]
    : one.best.map((b, i) => row([image, i + 1, b.label, b.probability, ""]));
})]);

export function prepare() {
  by("answer-back").addEventListener("click", () => turn(-PAGE));
  by("answer-on").addEventListener("click", () => turn(PAGE));
}
