// A new job: fields and the JSON that is posted. The JSON holds the job; a field reads and writes its place in it.
import { by, bytes, make, number, setText } from "./dom.js";
import { Field, group, show } from "./fields.js";
import { begin, nearest, RATES, read, setFrom, setOptimizer, setSchedule, setType, tidy, write } from "./request.js";
import { all, ask, get, Refused } from "./server.js";

let request = begin(), fields = [], groups = [], key = "", keyOf = "", sending = false, known = null, submitted = null;
let sets = [], models = [], memory = 0, timer = 0, asking = null;

const train = r => r.type !== "classify", classify = r => r.type === "classify";
const schedule = r => read(r, "/optimizer/schedule/name") || "constant";
const optimizer = r => read(r, "/optimizer/name") || "sgd";
const names = list => list.map(n => [n, n]);
const set = () => sets.find(s => s.name === read(request, "/dataset/name"));

const stepwise = r => train(r) && schedule(r) === "step";
const starts = r => read(r, "/init/from") !== undefined ? "from:" + read(r, "/init/from") : read(r, "/init/name") || "xavier_uniform";

const setStart = (r, v) => v.startsWith("from:") ? setFrom(r, models.find(m => m.name === v.slice(5)), set()?.num_classes)
  : write(r, "/init", v === "xavier_uniform" ? undefined : v);

// Each is a field's pointer, label, kind; when it is there; what it offers; how else than plainly it is read and written.
const SPECS = {
  Job: [
    { at: "/type", label: "Kind", kind: "choice", change: setType,
      options: () => [["train", "train"], ["classify", "score a model"]] },
    { at: "/model", label: "Model", kind: "choice", when: classify, options: () => names(models.map(m => m.name)) },
    { at: "/dataset/name", label: "Data set", kind: "choice", options: () => names(sets.map(s => s.name)) },
    { at: "/name", label: "Name of the job", kind: "text" },
    { at: "/save_as", label: "Save the model as", kind: "text", when: train, more: { placeholder: "not saved" } },
    { at: "/save_best", label: "Weights to save", kind: "choice",
      when: r => train(r) && (read(r, "/save_as") ?? read(r, "/save_best")) !== undefined,
      options: () => [["", "the last"], ["val_loss", "of the lowest validation loss"], ["val_acc", "of the best validation accuracy"],
        ["train_loss", "of the lowest training loss"], ["train_acc", "of the best training accuracy"]] },
    { at: "/limit", label: "Images", kind: "whole", when: classify, more: { min: 1, placeholder: "all that validate" } },
  ],
  Network: [
    { at: "/architecture/name", label: "Architecture", kind: "choice", when: train,
      change: (r, v) => write(r, "/architecture", v || undefined),
      options: () => [...(read(request, "/architecture/layers") ? [["", "own layers, in the JSON"]] : []),
        ...names(known.presets.map(p => p.name))] },
    { at: "/init/name", label: "Weights start", kind: "choice", when: train, value: starts, change: setStart,
      options: () => [["xavier_uniform", "random, Xavier"], ["kaiming_uniform", "random, Kaiming"], ["normal", "random, normal"],
        ...models.map(m => ["from:" + m.name, "as in " + m.name])] },
    { at: "/init/strict", label: "Every layer must fit", kind: "tick", when: r => train(r) && read(r, "/init/from") !== undefined,
      value: r => read(r, "/init/strict") ?? true, change: (r, v) => write(r, "/init/strict", v ? undefined : false) },
  ],
  Images: [
    { at: "/dataset/resize", label: "Resize to", kind: "size", when: train, more: { placeholder: "as they are" } },
    { at: "/dataset/normalize", label: "Normalise", kind: "choice", when: train,
      options: () => [["", "no"], ["per_image", "image by image"]] },
    { at: "/dataset/limit", label: "Images to train", kind: "whole", when: train, more: { min: 1, placeholder: "all" } },
    { at: "/dataset/val_limit", label: "Images to validate", kind: "whole", when: train, more: { min: 1, placeholder: "all" } },
    { at: "/class_weights", label: "Class weights", kind: "choice", when: train,
      options: () => [["", "none"], ["balanced", "balanced"]] },
  ],
  Training: [
    { at: "/epochs", label: "Epochs", kind: "whole", when: train, more: { min: 1, placeholder: "10" } },
    { at: "/batch_size", label: "Batch size", kind: "whole", when: train, more: { min: 1, placeholder: "128" } },
    { at: "/optimizer/name", label: "Optimizer", kind: "choice", when: train, value: optimizer, change: setOptimizer,
      options: () => names(Object.keys(RATES)) },
    { at: "/optimizer/lr", label: "Learning rate", kind: "number", when: train, more: { min: 0 } },
    { at: "/optimizer/momentum", label: "Momentum", kind: "number", when: r => train(r) && optimizer(r) === "sgd",
      more: { min: 0, max: 1, placeholder: "0" } },
    { at: "/optimizer/weight_decay", label: "Weight decay", kind: "number", when: train, more: { min: 0, placeholder: "usual" } },
    { at: "/optimizer/schedule/name", label: "Schedule", kind: "choice", when: train, value: schedule,
      change: (r, v) => setSchedule(r, v === "constant" ? undefined : v),
      options: () => [["constant", "constant"], ["step", "in steps"], ["cosine", "cosine"]] },
    { at: "/optimizer/schedule/step_epochs", label: "Epochs per step", kind: "whole", when: stepwise, more: { min: 1 } },
    { at: "/optimizer/schedule/gamma", label: "Factor per step", kind: "number", when: stepwise,
      more: { min: 0, max: 1, placeholder: "0.1" } },
    { at: "/optimizer/schedule/min_lr", label: "Lowest rate", kind: "number", when: r => train(r) && schedule(r) === "cosine",
      more: { min: 0, placeholder: "0" } },
    { at: "/optimizer/schedule/warmup_epochs", label: "Epochs to warm up", kind: "number",
      when: r => train(r) && schedule(r) !== "constant", more: { min: 0, placeholder: "0" } },
    { at: "/stop_when/metric", label: "Stop early", kind: "choice", when: train,
      change: (r, v) => write(r, "/stop_when", v && { metric: v, patience: 5 }),
      options: () => [["", "no"], ["val_loss", "by validation loss"], ["val_acc", "by validation accuracy"], ["train_loss", "by training loss"],
        ["train_acc", "by training accuracy"]] },
    { at: "/stop_when/patience", label: "Epochs to wait", kind: "whole", more: { min: 1 },
      when: r => train(r) && read(r, "/stop_when/metric") !== undefined },
    { at: "/seed", label: "Seed", kind: "whole", when: train, more: { min: 0, placeholder: "0" } },
  ],
};

// --- the fields and the text ---

const field = spec => new Field(spec, value => change(spec.change ? spec.change(request, value) : write(request, spec.at, value)));

function build() {
  for (const [title, specs] of Object.entries(SPECS)) {
    const some = specs.map(field), box = group(title, ...some.map(f => f.box));
    fields.push(...some);
    groups.push({ title, box, fields: some });
  }
  const augment = { title: "Augmentation", fields: known.augmentations.flatMap(augmentation) };
  augment.box = group(augment.title, ...augment.fields.map(f => f.box));
  fields.push(...augment.fields);
  groups.push(augment);
  by("new-fields").replaceChildren(...groups.map(g => g.box));
}

// An augmentation's tick and its parameters. They stand in a list, wherever it was put there.
function augmentation({ type, description, parameters }) {
  const index = r => Array.isArray(r.augment) ? r.augment.findIndex(a => a?.type === type) : -1;
  const add = r => write(r, "/augment", [...(Array.isArray(r.augment) ? r.augment : []), { type }]);
  const tick = { label: type, kind: "tick", more: { title: description }, when: train, value: r => index(r) >= 0,
    change: (r, on) => on ? add(r) : write(r, "/augment/" + index(r), undefined) };
  Object.defineProperty(tick, "at", { get: () => "/augment/" + index(request) + "/type" });
  return [tick, ...parameters.map(p => {
    const spec = { label: type + ": " + p.name, kind: { integer: "whole", number: "number" }[p.type] || "list",
      more: { placeholder: JSON.stringify(p.default) },
      when: r => train(r) && index(r) >= 0 };
    Object.defineProperty(spec, "at", { get: () => "/augment/" + index(request) + "/" + p.name });
    return spec;
  })].map(field);
}

// What a preset has to be set, but for the number of classes, which is the data set's.
function buildParameters() {
  const name = read(request, "/architecture/name"), network = groups.find(g => g.title === "Network");
  if (network.preset === name)
    return;
  network.preset = name;
  for (const old of network.fields.filter(f => f.spec.parameter))
    old.box.remove();
  const parameters = known.presets.find(p => p.name === name)?.parameters || [];
  const some = parameters.filter(p => p.name !== "num_classes").map(p => field({ at: "/architecture/" + p.name, parameter: true, when: train,
    label: p.name, kind: { integer: "whole", number: "number", string: "text" }[p.type] || "list",
    more: { placeholder: typeof p.default === "string" ? p.default : JSON.stringify(p.default) } }));
  network.fields = [...network.fields.filter(f => !f.spec.parameter), ...some];
  network.fields[0].box.after(...some.map(f => f.box));
  fields = groups.flatMap(g => g.fields);
}

function sync() {
  buildParameters();
  for (const f of fields) {
    f.box.hidden = f.spec.when ? !f.spec.when(request) : false;
    f.control.disabled = f.box.hidden;
    if (f.spec.options)
      f.offer(f.spec.options());
    f.set(f.spec.value ? f.spec.value(request) : read(request, f.spec.at));
    f.wrong("");
  }
  for (const g of groups)
    g.box.hidden = g.fields.every(f => f.box.hidden);
  setText(by("new-error"), "");
  setText(by("new-note"), "");
  clearTimeout(timer);
  timer = setTimeout(summarise, 300);
}

function change(now) {
  request = now;
  by("new-json").value = tidy(request);
  sync();
}

function typed() {
  let now = null, why = "this is not an object";
  try {
    now = JSON.parse(by("new-json").value);
  } catch (error) {
    why = error.message;
  }
  const good = now !== null && typeof now === "object" && !Array.isArray(now);
  by("new-fields").disabled = by("new-submit").disabled = !good;
  setText(by("new-json-error"), good ? "" : "Not valid JSON: " + why);
  if (good) {
    request = now;
    sync();
  }
}

// --- what the server says ---

// An error stands at the field that it is about, where there is one.
function complain(pointer, text, focus) {
  const open = fields.filter(f => !f.box.hidden), at = nearest(pointer, open.map(f => f.spec.at));
  const one = open.find(f => f.spec.at === at);
  if (one)
    one.wrong(text);
  else
    setText(by("new-error"), text + (pointer ? " (at " + pointer + ")" : ""));
  if (focus)
    (one?.control || by("new-error")).focus();
}

function says(lines) {
  by("new-says").hidden = !train(request);
  by("new-says").replaceChildren(...lines.flatMap(([label, text]) => [make("dt", {}, label), make("dd", {}, text)]));
}

function steps() {
  const of = Math.min(read(request, "/dataset/limit") || Infinity, set().train), epochs = request.epochs || 10;
  const each = Math.ceil(of / (request.batch_size || 128));
  return ["steps", number(each) + " an epoch, " + number(each * epochs) + " in all"];
}

async function summarise() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking, [c, h, w] = set()?.shape || [], size = read(request, "/dataset/resize") || [h, w];
  if (!train(request) || !c || !request.architecture) {
    says([]);
    return;
  }
  const json = JSON.stringify({ architecture: request.architecture, input: [c, ...size], batch: request.batch_size || 128,
    num_classes: set().num_classes });
  try {
    const { totals, memory: takes } = await (await ask("POST", "v1/architectures/summary", { json, signal })).json();
    says([["input", [c, ...size].join("\u00d7") + ", " + set().num_classes + " classes"], ["parameters", number(totals.parameters)],
      ["memory", "about " + bytes(takes.training) + " to train" + (memory ? ", of " + bytes(memory) : "")], steps(),
      ...(read(request, "/save_as") ? [] : [["model", "will not be kept: give a name to save it as"]])]);
  } catch (error) {
    if (error.name === "AbortError")
      return;
    says([]);
    if (error instanceof Refused)
      complain(error.pointer.replace(/^\/batch$/, "/batch_size").replace(/^\/input/, "/dataset/resize"), error.detail);
  }
}

// --- submitting ---

const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map(b => b.toString(16).padStart(2, "0")).join("");
const MOST_TRIES = 20;

// One text is one job, however often it is sent: an answer that was lost is asked for again under the same key.
async function post(text) {
  if (keyOf !== text)
    key = fresh();
  keyOf = text;
  for (let tries = 1; ; tries++)
    try {
      return await (await ask("POST", "v1/jobs", { json: text, key })).json();
    } catch (error) {
      if (error instanceof Refused || tries === MOST_TRIES)
        throw error;
      setText(by("new-note"), "The server does not answer; trying again. Only one job will come of it.");
      await new Promise(resolve => setTimeout(resolve, 1500));
    }
}

async function submit() {
  if (sending)
    return;
  sending = true;
  by("new-submit").disabled = by("new-fields").disabled = by("new-json").readOnly = true;
  let failed = null, job = null;
  try {
    job = await post(by("new-json").value);
  } catch (error) {
    failed = error;
  }
  sending = false;
  by("new-submit").disabled = by("new-fields").disabled = by("new-json").readOnly = false;
  setText(by("new-note"), "");
  for (const f of fields)
    f.wrong("");
  setText(by("new-error"), "");
  if (failed) {
    complain(failed.pointer || "", failed instanceof Refused ? failed.detail
      : "The server does not answer. Submit again: only one job will come of it.", true);
    return;
  }
  close();
  submitted(job);
}

function close() {
  keyOf = "";
  asking?.abort();
  clearTimeout(timer);
  by("new").hidden = true;
}

// --- opening ---

// Opens the form with that request, or with one to begin with.
export async function open(first) {
  const [list, of, devices, catalogue] = await Promise.all([all("v1/datasets", "datasets"), all("v1/models", "models"),
    get("v1/devices"), known || get("v1/architectures")]);
  sets = list.filter(s => s.state === "ready");
  models = of;
  memory = Math.max(0, ...devices.devices.map(d => d.memory));
  known = catalogue;
  if (!fields.length)
    build();
  by("new-fields").disabled = by("new-submit").disabled = false;
  setText(by("new-json-error"), "");
  keyOf = "";
  change(first || begin(sets[0]?.name));
  show("new", "new-title");
}

// A job that scores a model: on the data set that it was trained on, where that is known, else on one of as many classes.
export async function score(model) {
  const [job, list] = await Promise.all([model.job && get("v1/jobs/" + model.job).catch(() => null), all("v1/datasets", "datasets")]);
  const own = read(job || {}, "/request/dataset/name"), ready = list.filter(s => s.state === "ready");
  const fit = ready.find(s => s.name === own) || ready.find(s => s.num_classes === model.classes.length);
  await open({ type: "classify", model: model.name, ...(fit && { dataset: fit.name }) });
}

// `then` is called with each job that was submitted.
export function prepare(then) {
  submitted = then;
  by("new-json").addEventListener("input", typed);
  by("new-close").addEventListener("click", () => { close(); by("new-open").focus(); });
  by("new-form").addEventListener("submit", e => { e.preventDefault(); submit(); });
}
