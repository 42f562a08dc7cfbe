// The tables: devices, jobs, models, data sets.
import { aName, button, by, bytes, fill, loss, make, number, percent, setText, textOf, when } from "./dom.js";
import { remove, said, save } from "./server.js";

const link = (id, text) => ({ is: id + text, make: () => make("a", { href: "#jobs=" + id }, text) });

function work(device, jobs) {
  const job = jobs.find(j => j.id === device.job);
  if (job)
    return { is: "job" + job.id + job.user + job.name, make: () => make("span", {},
      make("a", { href: "#jobs=" + job.id }, "job " + job.id), " ", name(job)) };
  if (device.map)
    return "class map";
  return device.job ? "job " + device.job + ", another user's" : "";
}

const name = job => make("bdi", { className: "name", dir: "auto" }, [job.user, job.name].filter(t => t).join(": "));

// `jobs` are those that run, as far as who looks may see them.
export function showDevices(answer, jobs) {
  setText(by("devices-problem"), answer.problem || "");
  fill(by("devices"), [["Device"], ["State"], ["Works on"], ["Reason"], ["Memory", "number"], ["Name"]],
    answer.devices.map(d => ({ key: d.id, cells: [d.id, d.state, work(d, jobs), aName(d.reason || ""),
      bytes(d.memory), aName(d.name)] })), "There is no device.");
}

const HEADS = [["Curve"], ["Job", "number"], ["Name"], ["State"], ["Done", "number"], ["Loss", "number later"],
  ["Accuracy", "number"], ["Network", "later"], ["Data set", "later"], ["User", "later"], ["Submitted", "later"]];

function done(job) {
  const p = job.progress;
  if (job.state === "queued" && job.queue)
    return { is: "q" + job.queue.position + job.queue.reason,
      make: () => make("span", { title: job.queue.reason },
        job.queue.position ? "no. " + job.queue.position + " in line" : "waits") };
  return p.steps ? Math.floor(p.step / p.steps * 100) + "\u00a0%" : "";
}

// `shown` are the jobs whose curves are to be seen; `toggle` is called with a job's number; `none` stands there for no job.
export function showJobs(jobs, shown, toggle, none) {
  fill(by("job-list"), HEADS, jobs.map(job => {
    const m = job.metrics || {}, r = job.request || {}, on = shown.includes(job.id);
    const tick = () => {
      const box = make("input", { type: "checkbox", ariaLabel: "curve of job " + job.id });
      box.addEventListener("change", () => toggle(job.id));
      return box;
    };
    const state = { is: job.state, make: () => make("span", {
      className: job.state === "failed" ? "bad" : job.state === "succeeded" ? "good" : "" }, job.state) };
    return { key: job.id, class: on ? "shown" : "", cells: [
      job.type === "train" ? { is: "tick", make: tick } : "", link(job.id, String(job.id)), aName(job.name || ""),
      state, done(job), loss(m.val_loss ?? m.train_loss ?? NaN), percent(m.val_acc ?? m.train_acc ?? NaN),
      aName(job.type === "train" ? textOf(r.architecture) : "classifies by " + (r.model || "")),
      aName(textOf(r.dataset || "")), aName(job.user), when(job.created_at)] };
  }), none);
  // In place, so that it keeps the focus; a tick that was not taken stays as the list says.
  for (const box of by("job-list").querySelectorAll("input"))
    box.checked = shown.includes(Number(box.closest("tr").dataset.key));
}

// A cell of buttons, [text, what it does] each; whom they are about is in their names.
const acts = (is, about, list) => ({ is, make: () => make("div", { className: "acts" }, ...list.map(([text, run]) => {
  const b = button(text, run);
  b.ariaLabel = text + ": " + about;
  return b;
})) });

// Asks, deletes, and says at `place` what was in the way.
function drop(path, question, place, then) {
  if (!confirm(question))
    return;
  setText(by(place), "");
  remove(path).then(then).catch(error => setText(by(place), said(error)));
}

export const FEW = 12; // rows among which nobody needs to search

// A field to search with is there where it is of use, or in use.
export function offer(field, of) {
  const input = by(field);
  input.hidden = input.labels[0].hidden = !of && !input.value && input !== document.activeElement;
}

// What has all of the words of `text` in one of its own.
export const asked = text => text.toLowerCase().split(/\s+/);
export const has = (words, parts) => parts.every(part => words.join("\n").toLowerCase().includes(part));

// What of a list is to be seen: where something is sought, what has all of its words in what `words` says of it.
function sought(field, list, words) {
  const parts = asked(by(field).value);
  offer(field, list.length > FEW);
  return list.filter(one => has(words(one), parts));
}

// `score` is called with a model, `changed` when one has gone.
export function showModels(models, score, changed) {
  const seen = sought("models-find", models, m => [m.name, textOf(m.architecture), m.user || "", ...m.classes]);
  fill(by("models"), [["Model"], ["Accuracy", "number"], ["Network", "later"], ["Input", "later"], ["Classes", "later"],
    ["Job", "number later"], ["User", "later"], ["Actions"]], seen.map(m => ({ key: m.name, cells: [
    aName(m.name), percent(m.metrics?.val_acc ?? NaN), aName(textOf(m.architecture)), m.input.join("\u00d7"),
    { is: m.classes.join(), make: () => make("span", { title: m.classes.join(", ") }, String(m.classes.length)) },
    m.job ? link(m.job, String(m.job)) : "", aName(m.user || ""),
    acts(m.name + m.bytes + m.created_at, m.name, [["Score", () => score(m)],
      ["Download, " + bytes(m.bytes), () => download(weights(m.name), m.name + ".safetensors")],
      ["ONNX", () => download(onnx(m.name), m.name + ".onnx")],
      ["Delete", () => drop("v1/models/" + encodeURIComponent(m.name), "Delete the model " + m.name + " for good?", "models-error", changed)]])] })),
  models.length ? "No model matches."
    : "There is no model yet. A training job makes one if it has a name to save it under.");
}

const fail = error => setText(by("models-error"), said(error));

function download(path, name) {
  setText(by("models-error"), "");
  save(path, name).catch(fail);
}

export const weights = model => "v1/models/" + encodeURIComponent(model) + "/weights";
export const onnx = model => "v1/models/" + encodeURIComponent(model) + "/onnx";

// `train` and `look` are called with a data set, `changed` when one has gone.
export function showDatasets(sets, train, look, changed) {
  const seen = sought("sets-find", sets, s => [s.name, s.state || "", s.user || "", ...(s.classes || [])]);
  fill(by("datasets"), [["Data set"], ["Image", "later"], ["Classes", "number"], ["To train", "number"], ["To validate", "number later"],
    ["State", "later"], ["Actions"]], seen.map(s => {
    const use = s.state === "ready" ? [["Train", () => train(s)], ["Look", () => look(s)]] : [];
    const gone = () => drop("v1/datasets/" + encodeURIComponent(s.name), "Delete the data set " + s.name + " for good?", "sets-error", changed);
    return { key: s.name, cells: [aName(s.name), (s.shape || []).join("\u00d7"),
      { is: (s.classes || []).join(), make: () => make("span", { title: (s.classes || []).join(", ") }, String(s.num_classes ?? "")) },
      number(s.train), number(s.val), s.error || s.state || "",
      acts([s.name, s.state, s.user, s.train, s.classes].join("\n"), s.name, [...use, ...(s.user ? [["Delete", gone]] : [])])] };
  }), sets.length ? "No data set matches." : "There is no data set yet: import one.");
}
