// A job's request: fields of it by pointers, and its text. What may be a name alone or an object that has a name, as
// "adam" and {"name": "adam", "lr": 0.01}, is read and written as such an object and stays a name where that is all.

const ORDER = ["type", "name", "model", "architecture", "dataset", "limit", "augment", "epochs", "batch_size", "optimizer",
  "init", "class_weights", "stop_when", "seed", "save_as", "save_best"];
const parts = at => at.split("/").slice(1).map(p => p.replaceAll("~1", "/").replaceAll("~0", "~"));
const isObject = v => v !== null && typeof v === "object";

// undefined where there is none.
export function read(tree, at) {
  for (const part of parts(at)) {
    if (typeof tree === "string")
      tree = { name: tree };
    tree = isObject(tree) && Object.hasOwn(tree, part) ? tree[part] : undefined;
  }
  return tree;
}

function put(node, [key, ...rest], value) {
  node = typeof node === "string" ? { name: node } : isObject(node) ? node : {};
  const now = rest.length ? put(node[key], rest, value) : value;
  if (now !== undefined)
    node[key] = now;
  else if (Array.isArray(node))
    node.splice(Number(key), 1);
  else
    delete node[key];
  const keys = Object.keys(node);
  return !keys.length ? undefined : keys.length === 1 && typeof node.name === "string" ? node.name : node;
}

// The request with that field set, or without it where `value` is undefined. An object left empty goes, too.
export function write(tree, at, value) {
  const path = parts(at), out = { ...tree };
  const now = path.length > 1 ? put(structuredClone(out[path[0]]), path.slice(1), value) : value;
  if (now === undefined)
    delete out[path[0]];
  else
    out[path[0]] = now;
  const rank = key => ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length;
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => rank(a) - rank(b)));
}

const flat = v => JSON.stringify(v, null, 1).replace(/([[{])\n\s*/g, "$1").replace(/\n\s*([\]}])/g, "$1").replace(/\n\s*/g, " ");

const COLUMNS = 46;

// JSON in few lines: what fits into one stands in one. `before` is what stands in front of it there.
export function tidy(v, indent = "", before = "") {
  const line = flat(v);
  if (!isObject(v) || (indent && (indent + before + line).length < COLUMNS))
    return line;
  const more = indent + "  ", list = Array.isArray(v);
  const items = Object.entries(v).map(([key, item]) => {
    const name = list ? "" : JSON.stringify(key) + ": ";
    return more + name + tidy(item, more, name);
  });
  return (list ? "[" : "{") + "\n" + items.join(",\n") + "\n" + indent + (list ? "]" : "}");
}

// Which of the pointers `ats` an error at `pointer` belongs to: the nearest above it, where a name stands for all of
// what it names; undefined for none.
export function nearest(pointer, ats) {
  const covers = at => at.replace(/(.)\/(name|from|type|metric)$/, "$1");
  const above = ats.filter(at => covers(at) && (pointer + "/").startsWith(covers(at) + "/"));
  return above.sort((a, b) => covers(b).length - covers(a).length || a.length - b.length)[0];
}

// --- what changes with what is chosen ---

export const RATES = { sgd: 0.1, adagrad: 0.01, adam: 0.001, adamw: 0.001, yogi: 0.01 };
const ALL_OPTIMIZERS = ["weight_decay", "gradient_clip", "schedule"];

export const begin = dataset => ({ type: "train", architecture: "bn-lenet", ...(dataset && { dataset }), epochs: 10, batch_size: 128,
  optimizer: { name: "adam", lr: RATES.adam }, seed: 1 });

// Another optimizer, at its usual rate; what every optimizer takes is kept.
export function setOptimizer(tree, name) {
  const kept = ALL_OPTIMIZERS.map(key => [key, read(tree, "/optimizer/" + key)]).filter(([, v]) => v !== undefined);
  return write(tree, "/optimizer", { name, lr: RATES[name], ...Object.fromEntries(kept) });
}

export function setSchedule(tree, name) {
  const warm = read(tree, "/optimizer/schedule/warmup_epochs"), epochs = read(tree, "/epochs");
  return write(tree, "/optimizer/schedule", name && { name, ...(warm !== undefined && { warmup_epochs: warm }),
    ...(name === "step" && { step_epochs: Math.max(1, Math.ceil((epochs || 10) / 3)) }) });
}

// Weights of a model, and its network; a last layer for other classes starts afresh.
export function setFrom(tree, model, classes) {
  const out = write(tree, "/init", { from: model.name, ...(model.classes.length !== classes && { strict: false }) });
  return write(write(out, "/architecture", model.architecture), "/architecture/num_classes", undefined);
}

export function setType(tree, type) {
  const kept = ["/name", "/dataset/name"].map(at => [at, read(tree, at)]);
  return kept.reduce((out, [at, v]) => v === undefined ? out : write(out, at, v), type === "classify" ? { type } : begin());
}
