// The jobs that are looked at: facts, curves that grow, scores.
import { before, Chart } from "./chart.js";
import { bytes, button, by, duration, fill, loss, make, name, number, percent, setText, textOf, when } from "./dom.js";
import { open as openForm } from "./form.js";
import { onnx, weights } from "./lists.js";
import { ask, follow, get, passing, post, remove, said, save } from "./server.js";
import { live } from "./windows.js";

export const MOST = 4; // of a browser's six connections to a server the lists want some
const ENDED = ["succeeded", "failed", "cancelled"];
const fail = error => setText(by("shown-error"), said(error));
const clear = () => setText(by("shown-error"), "");

function download(path, name) {
  clear();
  save(path, name).catch(fail);
}

const lines = () => ({ epoch: [], loss: [], acc: [] });

// Takes a point; what a job that went on from a checkpoint does again takes the place of what it did before.
export function addPoint(line, epoch, loss, acc) {
  while (line.epoch.length && line.epoch.at(-1) >= epoch)
    for (const list of Object.values(line))
      list.pop();
  line.epoch.push(epoch);
  line.loss.push(loss ?? NaN);
  line.acc.push(acc ?? NaN);
}

class Job {
  constructor(id, color, changed, link) {
    Object.assign(this, { id, color, changed, link, train: lines(), val: lines(), after: 0, is: null, pace: [], result: null });
    this.box = make("div");
    this.stop = null;
  }

  // Reads on from where it was.
  begin() {
    if (this.stop || this.over)
      return;
    this.stop = new AbortController();
    const signal = this.stop.signal;
    this.look(signal).catch(error => this.trouble(error));
    follow(this.id, this.after, events => this.take(events), this.link, signal, live())
      .then(() => { if (!signal.aborted) { this.over = true; return this.look(signal); } })
      .catch(error => this.trouble(error));
  }

  end() {
    this.stop?.abort();
    this.stop = null;
  }

  trouble(error) {
    if (error.name === "AbortError")
      return;
    if (!passing(error)) {
      this.over = true;
      fail(error);
    }
    this.changed(error);
  }

  take(events) {
    for (const { id, event, data } of events) {
      this.after = id;
      if (event === "train")
        addPoint(this.train, data.epoch, data.loss, data.acc);
      else if (event === "validation")
        addPoint(this.val, data.epoch, data.loss, data.acc);
      else if (event === "state" || event === "end")
        this.state = data.state;
    }
    if (this.is && this.state && this.is.state !== this.state)
      this.look(this.stop?.signal).catch(error => this.trouble(error));
    this.changed();
  }

  async look(signal) {
    const job = await get("v1/jobs/" + this.id, signal);
    if (this.is && this.is.state !== job.state)
      setText(by("news"), "Job " + job.id + ": " + job.state);
    if (job.state !== "running")
      this.pace = [];
    else
      this.pace = [...this.pace.slice(-20), { at: performance.now() / 1000, step: job.progress.step }];
    this.is = job;
    if (job.type === "classify" && job.state === "succeeded" && !this.result)
      this.result = await get("v1/jobs/" + this.id + "/result", signal);
    this.changed();
  }

  left() {
    const first = this.pace[0], last = this.pace.at(-1), p = this.is.progress;
    const made = last ? last.step - first.step : 0;
    return made > 0 ? (p.steps - last.step) * (last.at - first.at) / made : NaN;
  }

  facts() {
    const j = this.is, p = j.progress, m = j.metrics, took = (Date.parse(j.finished_at) - Date.parse(j.started_at)) / 1000;
    const rows = [["state", j.state + (j.device ? " on " + j.device : "")]];
    if (j.queue)
      rows.push(["waits", (j.queue.position ? "no. " + j.queue.position + " in line: " : "") + j.queue.reason]);
    if (j.error)
      rows.push(["error", j.error]);
    if (p.steps)
      rows.push(["progress", number(p.step) + " of " + number(p.steps) + (j.type === "train" ? " steps, epoch " + +p.epoch.toFixed(2) : "")]);
    if (Number.isFinite(this.left()))
      rows.push(["time left", "about " + duration(this.left())]);
    if (Number.isFinite(took))
      rows.push(["took", duration(took)]);
    if (m.train_loss !== null)
      rows.push(["training", "loss " + loss(m.train_loss) + ", accuracy " + percent(m.train_acc)]);
    if (m.val_loss !== null)
      rows.push(["validation", "loss " + loss(m.val_loss) + ", accuracy " + percent(m.val_acc)]);
    if (m.best_epoch)
      rows.push(["best epoch", number(+m.best_epoch.toFixed(2))]);
    if (m.images_per_second)
      rows.push(["speed", number(Math.round(m.images_per_second)) + " images/s"]);
    rows.push(["network", textOf(j.request.architecture || j.request.model)], ["data set", textOf(j.request.dataset)],
      ["user", j.user], ["submitted", when(j.created_at)]);
    if (j.memory.device_bytes)
      rows.push(["memory", bytes(j.memory.device_bytes) + " on the device"]);
    for (const note of j.notes)
      rows.push(["note", typeof note === "string" ? note : JSON.stringify(note)]);
    return rows;
  }

  act(verb) {
    if (verb === "cancel" && !confirm("End job " + this.id + " for good?"))
      return;
    clear();
    post("v1/jobs/" + this.id + "/" + verb).then(() => this.look()).catch(fail);
  }

  // The model that it saved stays.
  drop() {
    if (!confirm("Delete job " + this.id + " with its curve for good?"))
      return;
    clear();
    remove("v1/jobs/" + this.id).then(() => { location.hash = "#jobs=" + jobs.filter(j => j !== this).map(j => j.id); }).catch(fail);
  }

  async saveCurve(type, end) {
    const blob = await (await ask("GET", "v1/jobs/" + this.id + "/curve", { accept: type })).blob();
    const link = make("a", { href: URL.createObjectURL(blob), download: "job-" + this.id + end });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  actions() {
    const j = this.is, list = [];
    if (j.state === "queued" || j.state === "running")
      list.push(button("Pause", () => this.act("pause")));
    if (j.state === "paused")
      list.push(button("Resume", () => this.act("resume")));
    if (!ENDED.includes(j.state))
      list.push(button("Cancel", () => this.act("cancel")));
    if (j.type === "train" && j.model)
      list.push(button("Download the model", () => download(weights(j.model), j.model + ".safetensors")),
        button("as ONNX", () => download(onnx(j.model), j.model + ".onnx")));
    if (j.type === "train")
      list.push(button("Curve as CSV", () => this.saveCurve("text/csv", ".csv").catch(fail)),
        button("as a drawing", () => this.saveCurve("image/svg+xml", ".svg").catch(fail)));
    list.push(button("Again with these settings", () => openForm(j.request).catch(fail)));
    if (ENDED.includes(j.state))
      list.push(button("Delete", () => this.drop()));
    for (const b of list)
      b.ariaLabel = b.textContent + ", job " + this.id;
    return list;
  }

  // In place, so that what has the focus keeps it.
  write() {
    const j = this.is;
    if (!j)
      return;
    if (!this.box.firstChild) {
      this.parts = { bar: make("progress", { ariaLabel: "progress of job " + j.id }), list: make("dl"), acts: make("p", { className: "acts" }),
        title: make("h3", {}, "Job " + j.id + " ", name(j.name || "")) };
      this.box.append(this.parts.title, this.parts.bar, this.parts.list, this.parts.acts, make("details", {},
        make("summary", {}, "Request"), make("pre", { dir: "auto" }, JSON.stringify(j.request, null, 2))));
    }
    const { bar, list, acts } = this.parts, rows = this.facts();
    bar.max = j.progress.steps || 1;
    bar.value = j.progress.step;
    bar.hidden = ENDED.includes(j.state);
    rows.forEach(([label, text], i) => {
      while (list.children.length < 2 * i + 2)
        list.append(make("dt"), make("dd", { dir: "auto" }));
      setText(list.children[2 * i], label);
      setText(list.children[2 * i + 1], text);
      list.children[2 * i + 1].className = label === "error" ? "bad" : "";
    });
    while (list.children.length > 2 * rows.length)
      list.lastChild.remove();
    if (acts.is !== j.state) {
      acts.is = j.state;
      const held = acts.contains(document.activeElement);
      acts.replaceChildren(...this.actions().flatMap(b => [b, " "]));
      if (held)
        acts.querySelector("button")?.focus();
    }
  }
}

// --- all that are shown ---

const charts = [];
let jobs = [], wanted = 0;

// `ids` are shown from now on; `news` is called with what went wrong, undefined where nothing did.
export function showJobs(ids, news, link) {
  if (!charts.length)
    prepare();
  for (const job of jobs.filter(j => !ids.includes(j.id))) {
    job.end();
    job.box.remove();
  }
  jobs = ids.map(id => jobs.find(j => j.id === id) || new Job(id, -1, error => { news(error); draw(); }, link));
  for (const job of jobs)
    if (job.color < 0)
      job.color = [...Array(MOST).keys()].find(c => !jobs.some(j => j.color === c));
  clear();
  by("shown").hidden = !jobs.length;
  by("facts").replaceChildren(...jobs.map(j => j.box));
  look(!document.hidden);
  draw();
}

// A page that nobody sees lets go of its connections; the server has all that comes meanwhile.
export function look(on) {
  for (const job of jobs)
    on ? job.begin() : job.end();
}

export async function refresh() {
  await Promise.all(jobs.filter(j => j.stop && !j.over).map(j => j.look(j.stop.signal).catch(error => j.trouble(error))));
}

function draw() {
  if (!wanted)
    wanted = requestAnimationFrame(() => { wanted = 0; paint(); });
}

function paint() {
  const training = jobs.filter(j => j.is?.type === "train");
  for (const job of jobs)
    job.write();
  setText(by("shown-title"), jobs.length > 1 ? "Jobs " + jobs.map(j => j.id).join(", ") : "Job");
  by("curves").hidden = !training.length;
  for (const chart of charts) {
    chart.show(training);
    const word = chart.field === "loss" ? "Loss" : "Accuracy", of = chart.field === "loss" ? loss : percent;
    chart.canvas.ariaLabel = word + ". " + training.map(j => "Job " + j.id + ": training " +
      (of(j.train[chart.field].at(-1)) || "none") + ", validation " + (of(j.val[chart.field].at(-1)) || "none")).join(". ") +
      ". The arrow keys read values.";
  }
  const legend = training.map(j => j.color + "\n" + j.id + "\n" + j.is.name).join("\n");
  if (by("legend").is !== legend) {
    by("legend").is = legend;
    by("legend").replaceChildren(...training.map(j => make("li", { className: "series" + j.color },
      "\u2501 training, \u2505\u25cf validation: job " + j.id + " ", name(j.is.name || ""))));
  }
  paintEpochs(training);
  paintScores();
}

const LAST = 500; // epochs in the table

function paintEpochs(training) {
  if (!by("epochs").closest("details").open)
    return;
  const rows = training.flatMap(j => j.val.epoch.map((epoch, i) => ({ key: j.id + ":" + epoch, cells: [String(j.id),
    String(+epoch.toFixed(2)), loss(j.val.loss[i]), percent(j.val.acc[i])] })).slice(-LAST));
  fill(by("epochs"), [["Job", "number"], ["Epoch", "number"], ["Validation loss", "number"], ["Validation accuracy", "number"]],
    rows, "No epoch has ended yet.");
}

function read(epoch) {
  const training = jobs.filter(j => j.is?.type === "train");
  for (const chart of charts) {
    chart.mark = epoch;
    chart.draw();
  }
  const reach = j => Math.max(j.train.epoch.at(-1) ?? 0, j.val.epoch.at(-1) ?? 0);
  setText(by("reading"), epoch === null ? "" : "epoch " + epoch.toFixed(2) + training.filter(j => epoch <= reach(j)).map(j => {
    const t = before(j.train.epoch, epoch), v = before(j.val.epoch, epoch);
    return "; job " + j.id + (t < 0 ? "" : ": training loss " + loss(j.train.loss[t]) + ", accuracy " + percent(j.train.acc[t])) +
      (v < 0 ? "" : ", validation loss " + loss(j.val.loss[v]) + ", accuracy " + percent(j.val.acc[v]));
  }).join(""));
}

function prepare() {
  charts.push(new Chart(by("loss"), "loss", null), new Chart(by("acc"), "acc", { low: 0, high: 1, log: false }));
  by("reading").ariaLive = "polite";
  by("epochs").closest("details").addEventListener("toggle", draw);
  for (const chart of charts) {
    chart.canvas.addEventListener("pointermove", e => read(chart.epochAt(e.clientX)));
    chart.canvas.addEventListener("pointerleave", () => read(null));
    chart.canvas.addEventListener("keydown", e => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!way)
        return;
      e.preventDefault();
      const from = chart.mark ?? (way > 0 ? 0 : chart.last);
      read(Math.max(0, Math.min(chart.last, from + way * chart.last / 40)));
    });
  }
}

// --- scores of classify jobs ---

const MOST_CLASSES = 40; // in a matrix on the screen

function paintScores() {
  const scored = jobs.filter(j => j.result);
  const is = scored.map(j => j.id).join();
  if (by("scores").is === is)
    return;
  by("scores").is = is;
  by("scores").replaceChildren(...scored.flatMap(j => scores(j.id, j.result)));
}

function scores(id, result) {
  const table = make("table"), out = [make("h3", {}, "Scores of job " + id + ": " + percent(result.accuracy) + " of " +
    number(result.count) + " images right"),
    make("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Scores of job " + id }, table)];
  fill(table, [["Class"], ["Precision", "number"], ["Recall", "number"], ["F1", "number"], ["Images", "number"]],
    result.per_class.map((c, i) => ({ key: i, cells: [{ is: c.class, make: () => name(c.class) },
      percent(c.precision ?? NaN), percent(c.recall ?? NaN), percent(c.f1 ?? NaN), number(c.support)] })), "");
  if (result.classes.length > MOST_CLASSES)
    return [...out, make("p", { className: "dim" }, "The matrix of " + result.classes.length + " classes is in the job's result.")];
  const matrix = make("table", { className: "confusion" });
  matrix.createCaption().textContent = "What the images are (rows), and what they were taken for (columns)";
  const head = matrix.createTHead().insertRow();
  head.append(make("td"), ...result.classes.map(c => make("th", { scope: "col" }, name(c))));
  const body = matrix.createTBody();
  result.confusion.forEach((row, i) => {
    const sum = row.reduce((a, b) => a + b, 0);
    body.insertRow().append(make("th", { scope: "row" }, name(result.classes[i])), ...row.map((n, k) => make("td", {
      className: (i === k ? "right " : "") + (n ? "much" + Math.min(3, 1 + Math.floor(n / sum * 3)) : "") }, String(n))));
  });
  const wide = make("div", { className: "wide", tabIndex: 0, role: "group", ariaLabel: "Confusion matrix of job " + id }, matrix);
  return [...out, wide];
}
