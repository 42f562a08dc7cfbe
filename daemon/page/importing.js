// A data set is imported: a file, how its images become the set's, how far it is, what came of it.
import { by, bytes, button, make, name, number, setText } from "./dom.js";
import { Field, group, show } from "./fields.js";
import { ask, get, put, Refused } from "./server.js";
import { hold } from "./windows.js";

const SPECS = [
  { at: "name", label: "Name of the data set", kind: "text", more: { required: true, pattern: "[A-Za-z0-9_][A-Za-z0-9._\\-]*",
    maxLength: 64, title: "letters, digits, '.', '_' and '-'" } },
  { at: "size", label: "Size of an image", kind: "size", more: { placeholder: "as they are" } },
  { at: "fit", label: "Made so by", kind: "choice", options: [["", "resizing"], ["crop", "the middle part"], ["tile", "tiles"]] },
  { at: "stride", label: "Pixels from tile to tile", kind: "whole", when: () => value("fit") === "tile",
    more: { min: 1, placeholder: "the tile's side" } },
  { at: "channels", label: "Channels", kind: "choice", options: [["", "as they are"], ["1", "1, grey"], ["3", "3, colour"]] },
  { at: "val", label: "Share to validate", kind: "number", more: { min: 0, max: 1, placeholder: "0.2" } },
  { at: "pixel_size", label: "Side of a pixel, nm", kind: "number", more: { min: 0, placeholder: "as they are" } },
  { at: "normalize", label: "Normalise", kind: "choice",
    options: [["", "by percentiles"], ["per_image", "image by image"], ["none", "as it is"]] },
];

let fields = [], file = null, stop = null, done = null, trainOn = null;

const value = at => fields.find(f => f.spec.at === at).get();

function arrange() {
  for (const f of fields) {
    f.box.hidden = f.spec.when ? !f.spec.when() : false;
    f.control.disabled = f.box.hidden;
    f.wrong("");
  }
  setText(by("import-error"), "");
}

// What a file may be called as a data set.
export const nameFor = text => text.replace(/\.(zip|tar|npz|safetensors|tar\.\w+|tgz)$/i, "").normalize("NFKD").replace(/[^\w.-]+/g, "-")
  .replace(/^[.-]+|-+$/g, "").slice(0, 64);

function query() {
  const pairs = fields.filter(f => f.spec.at !== "name" && !f.box.hidden && f.get() !== undefined)
    .map(f => [f.spec.at, f.spec.kind === "size" ? f.get().join("x") : String(f.get())]);
  return pairs.length ? "?" + new URLSearchParams(pairs) : "";
}

// Opens the form, with a list of files where one was dropped.
export function open(files) {
  show("import", "import-title");
  if (!files || stop)
    return;
  by("import-file").files = files;
  take();
}

function take() {
  file = by("import-file").files[0] || null;
  if (file && !value("name"))
    fields.find(f => f.spec.at === "name").set(nameFor(file.name));
  by("import-result").replaceChildren();
  arrange();
}

function step(text, at, of) {
  setText(by("import-state"), text);
  by("import-bar").hidden = !text;
  if (of) {
    by("import-bar").max = of;
    by("import-bar").value = at;
  } else
    by("import-bar").removeAttribute("value");
}

const sent = at => at < file.size ? step("Sending: " + bytes(at) + " of " + bytes(file.size), at, file.size)
  : step("Sent. The server is reading it.");

function told({ event, data }) {
  if (event === "end")
    return;
  if (data.phase === "reading") {
    step("Reading: " + number(data.files) + " files, " + number(data.images) + " images", data.bytes, data.total_bytes);
    return;
  }
  const what = data.split === "val" ? "Writing validation images: " : data.split ? "Writing training images: " : "Writing: ";
  step(what + number(data.written) + " of " + number(data.images) + " images", data.written, data.images);
}

// The data set that it became.
async function send(target) {
  let end = null;
  stop = new AbortController();
  hold(true);
  try {
    await put(target, file, sent, line => { told(line); if (line.event === "end") end = line.data; }, stop.signal);
  } finally {
    stop = null;
    hold(false);
  }
  if (!end)
    throw new TypeError("the connection broke off");
  if (end.state !== "succeeded")
    throw new Refused(end.status, { detail: end.error });
  return end.dataset;
}

// An error about an option stands at its field, any other below, with the file's name.
function complain(error) {
  if (error.name === "AbortError") {
    setText(by("import-state"), "Stopped; nothing of it is kept.");
    return;
  }
  const said = error instanceof Refused ? error.detail
    : "the connection broke off before all of it was a data set; nothing of it is kept";
  const one = fields.find(f => !f.box.hidden && said.startsWith("\"" + f.spec.at + "\""));
  if (one)
    one.wrong(said);
  else
    setText(by("import-error"), file.name + ": " + said);
  (one?.control || by("import-error")).focus();
}

async function present(set) {
  by("import-result").replaceChildren(make("h3", {}, "Data set ", name(set.name)), make("p", {}, number(set.train) + " images to train, " +
    number(set.val) + " to validate, of " + set.num_classes + " classes, " + set.shape.join("\u00d7") + ". ",
    set.train ? button("Train on it", () => trainOn(set.name)) : ""), ...(set.warnings || []).map(w => make("p", { className: "dim" }, w)));
  by("import-result").append(await sheet(set));
}

async function begin() {
  if (stop)
    return;
  if (!file) {
    setText(by("import-error"), "Choose a file first.");
    by("import-file").focus();
    return;
  }
  const target = "v1/datasets/" + encodeURIComponent(value("name"));
  const old = await get(target).catch(() => null);
  if (stop || (old && !confirm("There is a data set " + value("name") + ". Replace it?")))
    return;
  arrange();
  by("import-result").replaceChildren();
  by("import-fields").disabled = by("import-submit").disabled = true;
  by("import-stop").hidden = false;
  let set = null;
  try {
    step("Sending.");
    set = await send(target + query());
    step("");
  } catch (error) {
    step("");
    by("import-fields").disabled = false;
    complain(error);
  }
  by("import-fields").disabled = by("import-submit").disabled = false;
  by("import-stop").hidden = true;
  done();
  if (set)
    await present(set);
}

const MOST_ROWS = 64; // of classes, that the server draws

// A picture of some images of each class.
export async function sheet(set) {
  const path = "v1/datasets/" + encodeURIComponent(set.name) + "/sheet?images=8";
  const img = make("img", { className: "sheet", alt: "images of " + set.name + ", a row for each of " + set.classes.join(", ") });
  try {
    img.src = URL.createObjectURL(await (await ask("GET", path)).blob());
  } catch (error) {
    return make("p", { className: "dim" }, "No preview: " + error.message);
  }
  img.addEventListener("load", () => URL.revokeObjectURL(img.src), { once: true });
  const rows = set.classes.slice(0, MOST_ROWS).flatMap((c, i) => [i ? ", " : "", name(c)]);
  return make("figure", {}, img, make("figcaption", { className: "dim" }, "Rows, from the top: ", ...rows));
}

// `changed` is called when there may be another data set, `train` with the name of one to train on.
export function prepare(changed, train) {
  done = changed;
  trainOn = train;
  fields = SPECS.map(spec => new Field(spec, arrange));
  for (const f of fields)
    if (f.spec.options)
      f.offer(f.spec.options);
  by("import-options").append(group("Images", ...fields.slice(1).map(f => f.box)));
  by("import-options").prepend(fields[0].box);
  arrange();
  by("import-file").addEventListener("change", take);
  by("import-stop").addEventListener("click", () => stop?.abort());
  by("import-close").addEventListener("click", () => { by("import").hidden = true; by("import-open").focus(); });
  by("import-form").addEventListener("submit", e => { e.preventDefault(); begin(); });
  addEventListener("beforeunload", e => { if (stop) e.preventDefault(); });
}
