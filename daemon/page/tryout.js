// An image that is dropped onto the page is classified, or its classes are mapped.
import { by, fill, make, name, number, percent, setText } from "./dom.js";
import { ask } from "./server.js";

const MOST_ROWS = 200;
let number_of_try = 0;

export function showModels(models) {
  const select = by("try-model"), names = models.map(m => m.name);
  by("try").hidden = by("to-try").hidden = !models.length;
  if (select.is === names.join("\n"))
    return;
  select.is = names.join("\n");
  const chosen = select.value;
  select.replaceChildren(...names.map(n => make("option", { value: n }, n)));
  if (names.includes(chosen))
    select.value = chosen;
}

function rows(answer) {
  const files = answer.files || [{ image: "", results: answer.results }];
  return files.flatMap(f => f.error ? [[f, null, 0]] : f.results.map((r, i) => [f, r.predictions, f.results.length > 1 ? i + 1 : 0]));
}

const title = (file, f, frame) => (typeof f.file === "string" ? f.file : typeof f.name === "string" ? f.name : file.name) +
  (frame ? ", frame " + frame : "");

// `answers` are of [file, answer]; what a file was refused with is an answer, too.
function showClasses(answers) {
  const table = make("table"), all = answers.flatMap(([file, answer]) => rows(answer).map(row => [file, ...row]));
  fill(table, [["Image"], ["Class"], ["Probability", "number"], ["Else"]], all.slice(0, MOST_ROWS).map(([file, f, best, frame], i) => ({ key: i,
    cells: [{ is: "", make: () => name(title(file, f, frame)) },
      { is: "", make: () => best ? name(best[0].label) : make("span", { className: "bad" }, f.error.detail || String(f.error)) },
      best ? percent(best[0].probability) : "",
      { is: "", make: () => name(best ? best.slice(1).map(b => b.label + " " + percent(b.probability)).join(", ") : "") }] })), "No image.");
  const more = all.length > MOST_ROWS ? [make("p", {}, "and " + number(all.length - MOST_ROWS) + " more")] : [];
  return [make("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Classes of " + answers.map(([file]) => file.name).slice(0, 3).join(", ") },
    table), ...more];
}

async function showMap(path, file, body) {
  const answer = await (await ask("POST", path, { body })).json();
  const picture = await (await ask("POST", path, { body, accept: "image/png" })).blob();
  const counts = answer.classes.map((c, i) => [c, answer.counts[i]]).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const text = counts.map(([c, n]) => c + " " + n).concat(answer.uncertain ? ["uncertain " + answer.uncertain] : []).join(", ");
  const img = make("img", { src: URL.createObjectURL(picture), alt: "class map of " + file.name + ": " + text });
  img.addEventListener("load", () => URL.revokeObjectURL(img.src), { once: true });
  return [make("p", {}, name(file.name), ". Cells of each class: ", name(text)), img];
}

const why = error => error instanceof TypeError ? "the server does not answer, or the file cannot be read" : error.message;
const refused = (file, error) => make("p", { className: "bad" }, file.name + ": " + why(error));

// One after the other: as many at once would keep the lists waiting.
async function send(files) {
  const mine = ++number_of_try, model = by("try-model").value, map = by("try-form").what.value === "map";
  const path = "v1/models/" + encodeURIComponent(model) + "/" + (map ? "map?window=" + (Number(by("window").value) || 128)
    : "classify?top=3");
  const answers = [], nodes = [];
  for (const [i, file] of files.entries()) {
    setText(by("answer"), "Sending " + file.name + " to " + model + (files.length > 1 ? ", " + (i + 1) + " of " + files.length : "") + ".");
    try {
      if (map)
        nodes.push(...await showMap(path, file, file));
      else
        answers.push([file, await (await ask("POST", path, { body: file })).json()]);
    } catch (error) {
      nodes.push(refused(file, error));
    }
    if (mine !== number_of_try)
      return;
  }
  by("answer").replaceChildren(...nodes, ...(answers.length ? showClasses(answers) : []));
}

export function prepare() {
  by("try-form").addEventListener("submit", e => e.preventDefault());
  by("file").addEventListener("change", () => { if (by("file").files[0]) send([...by("file").files]); by("file").value = ""; });
}

// Files that were dropped.
export function take(files) {
  if (by("try").hidden) {
    setText(by("link"), "There is no model yet that could classify " + files[0].name + ".");
    return;
  }
  by("try").scrollIntoView();
  send(files);
}
