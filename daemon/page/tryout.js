// Images that are dropped onto the page are classified, or their classes are mapped: one, or as many as folders hold.
import * as answers from "./answers.js";
import { by, make, name, number, setText } from "./dom.js";
import { dropped, ofFolder, plain, read } from "./folders.js";
import { ask, passing, pause, Refused, saveBlob } from "./server.js";
import { tar } from "./tar.js";
import { hold } from "./windows.js";

const PATIENCE_MS = 60000, MOST_MAPS = 20, MOST_TOGETHER = 64, MOST_BYTES = 8 << 20, MOST_LOST = 3;
const ARCHIVE = /\.(zip|tar|gz|tgz|npz)$/i;
// What is being done, or was: {files, at, model, path, map, left, stop, lost}; `at` is the next file, `stop` null while
// nothing is sent, `left` how many files are none of it, `lost` how often a server that is well refused what it lost a device over.
let run = null;

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

// --- one file ---

const readable = file => file.slice(0, 1).arrayBuffer().then(() => true, () => false);

const why = error => error instanceof Refused ? error.message : "The server does not answer";

// An error that is the file's own, as far as one can tell; any other would be every file's.
class Unread extends Error {}

const healthy = signal => ask("GET", "v1/health", { signal }).then(() => true, () => false);

// Whether a refusal is about what was sent. A server that is well and yet "unavailable" may have lost a device over it, and
// is not asked again: that would cost the next. Where that goes on for several files it is none of theirs.
async function isOwn(error, mine, signal) {
  if (error.status === 503 && await healthy(signal))
    return ++mine.lost < MOST_LOST;
  return ![401, 403, 404].includes(error.status) && !passing(error);
}

// Sends files in one body, and again for a while where the server is away or short of something. What it answers, as JSON
// or as the picture that is asked for, or an Unread.
async function send(mine, files, picture) {
  const { path, stop: { signal } } = mine;
  for (let wait = 500, end = performance.now() + PATIENCE_MS; ; wait = Math.min(2 * wait, 5000)) {
    try {
      const body = files.length > 1 ? tar(files) : files[0];
      const answer = await ask("POST", path, { body, signal, accept: picture }), read = await (picture ? answer.blob() : answer.json());
      mine.lost = 0;
      return read;
    } catch (error) {
      if (signal.aborted)
        throw error;
      if (error instanceof Refused && await isOwn(error, mine, signal))
        return new Unread(error.message);
      if (!(error instanceof Refused) && (await Promise.all(files.map(readable))).includes(false))
        return new Unread("the browser cannot read it");
      if (!passing(error) || mine.lost >= MOST_LOST || performance.now() > end)
        throw error;
      signal.throwIfAborted();
      setText(by("try-state"), why(error) + "; trying again.");
      await pause(Math.max(wait, (error.wait || 0) * 1000), signal);
    }
  }
}

// What came of each: an answer, or why there is none. What is refused among others is sent once more by itself.
async function classify(mine, some) {
  const answer = some.length > 1 ? await send(mine, some.map(one => one.file)) : {};
  const found = new Map((answer.files || []).filter(f => f.results).map(f => [f.file, f])), out = [];
  for (const [i, one] of some.entries())
    out.push(found.get(String(i)) || await send(mine, [one.file]));
  mine.stop.signal.throwIfAborted();
  for (const [i, one] of some.entries())
    if (out[i] instanceof Unread)
      answers.addError(one.name, out[i].message);
    else
      answers.add(one.name, out[i]);
}

async function map(mine, [one]) {
  const answer = await send(mine, [one.file]);
  const picture = answer instanceof Unread ? answer : await send(mine, [one.file], "image/png");
  mine.stop.signal.throwIfAborted();
  if (picture instanceof Unread) {
    answers.addError(one.name, picture.message);
    return;
  }
  const counts = answer.classes.map((c, i) => [c, answer.counts[i]]).filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
  const text = counts.map(([c, n]) => c + " " + n).concat(answer.uncertain ? ["uncertain " + answer.uncertain] : []).join(", ");
  const img = make("img", { src: URL.createObjectURL(picture), alt: "class map of " + one.name + ": " + text });
  img.addEventListener("load", () => URL.revokeObjectURL(img.src), { once: true });
  by("maps").append(make("p", {}, name(one.name), ". Cells of each class: ", name(text)), img);
}

// --- all of them ---

function show(said) {
  const { files, at, stop } = run, many = files.length > 1, used = document.activeElement;
  setText(by("try-state"), said);
  setText(by("try-at"), stop && many ? number(at + 1) + " of " + number(files.length) + ": " + files[at].name : "");
  by("try-bar").hidden = !stop || !many;
  by("try-bar").max = files.length;
  by("try-bar").value = at;
  by("try-stop").hidden = !stop || !many;
  by("try-on").hidden = stop || at === files.length;
  if (used.hidden) // it was pressed, or its time is over
    ["try-stop", "try-on", "try-csv"].map(by).find(button => !button.hidden)?.focus();
}

const outcome = () => !run.map ? answers.summary(run.model)
  : run.left ? "Maps of " + MOST_MAPS + " images are shown; " + number(run.left) + " more were left out." : "";

const busy = () => "Sending " + (run.files.length > 1 ? number(run.files.length) + " files" : run.files[0].name) + " to " + run.model + ".";

// The next of them that are sent in one body: small ones, and none that may be an archive.
function together({ files, at, map: mapped }) {
  let n = 0, bytes = 0;
  while (at + n < files.length && n < MOST_TOGETHER && !ARCHIVE.test(files[at + n].name) && (bytes += files[at + n].file.size) <= MOST_BYTES)
    n++;
  return files.slice(at, at + (mapped ? 1 : Math.max(1, n)));
}

// One body after the other: as many at once would keep the lists waiting.
async function goOn() {
  const mine = run;
  mine.stop = new AbortController();
  mine.lost = 0;
  let end = null;
  hold(true);
  try {
    while (mine.at < mine.files.length) {
      const some = together(mine);
      show(busy());
      await (mine.map ? map : classify)(mine, some);
      mine.at += some.length;
    }
  } catch (error) {
    end = error;
  }
  hold(false);
  mine.stop = null;
  if (mine !== run)
    return;
  show(end ? "Stopped at " + run.files[run.at].name + (end.name === "AbortError" ? "." : ": " + why(end) + ".") : outcome());
}

// Another's, or what is sent next: nothing of it stays.
export function clear() {
  run?.stop?.abort();
  run = null;
  answers.clear();
  by("maps").replaceChildren();
  for (const id of ["try-state", "try-at"])
    setText(by(id), "");
  for (const id of ["try-bar", "try-stop", "try-on"])
    by(id).hidden = true;
}

function begin(files) {
  const mapped = by("try-form").what.value === "map";
  clear();
  if (!files.length) {
    setText(by("try-state"), "There are no files in that.");
    return;
  }
  const model = by("try-model").value;
  const path = "v1/models/" + encodeURIComponent(model) + (mapped ? "/map?window=" + (Number(by("window").value) || 128) : "/classify?top=3");
  run = { files: mapped ? files.slice(0, MOST_MAPS) : files, at: 0, model, path, map: mapped,
    left: mapped ? Math.max(0, files.length - MOST_MAPS) : 0, stop: null };
  goOn();
}

export function prepare() {
  answers.prepare();
  by("try-form").addEventListener("submit", e => e.preventDefault());
  for (const [id, list] of [["file", plain], ["folder", ofFolder]])
    by(id).addEventListener("change", () => {
      const files = list(by(id).files);
      by(id).value = "";
      if (files.length || id === "folder")
        begin(files);
    });
  by("try-stop").addEventListener("click", () => { run?.stop?.abort(); });
  by("try-on").addEventListener("click", () => { if (!run.stop) goOn(); });
  by("try-csv").addEventListener("click", () => saveBlob(answers.file(), (run?.model || "images") + ".csv"));
  addEventListener("beforeunload", e => { if (run?.stop && run.files.length > 1) e.preventDefault(); });
}

// What was dropped.
export async function take(data) {
  const list = dropped(data);
  if (!list.length)
    return;
  if (by("try").hidden) {
    setText(by("link"), "There is no model yet that could classify " + list[0].name + ".");
    return;
  }
  by("try").scrollIntoView();
  try {
    begin(await read(list));
  } catch (error) {
    clear();
    setText(by("try-state"), error.message);
  }
}
