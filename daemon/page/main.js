// What the page does when: the token, the lists every few seconds, the jobs that the address names (#jobs=7,9).
import { by, setText } from "./dom.js";
import * as form from "./form.js";
import * as importing from "./importing.js";
import { look, MOST, refresh, showJobs as showCurves } from "./job.js";
import { FEW, offer, showDatasets, showDevices, showJobs, showModels } from "./lists.js";
import { begin } from "./request.js";
import { Search } from "./search.js";
import { all, get, haveToken, Refused, setToken } from "./server.js";
import * as tryout from "./tryout.js";
import * as windows from "./windows.js";

const EVERY_MS = 3000, SELDOM = 5, PAGE = 100;
const FIND_MS = 300;
let jobs = null, search = null, findTimer = 0, lists = { models: [], sets: [] }, before = 0, more = false, round = 0, looks = 0, running = false, timer = 0, done = "";

const shown = () => (/^#jobs=([\d,]+)$/.exec(location.hash)?.[1] || "").split(",").filter(n => n).map(Number).slice(0, MOST);

function toggle(id) {
  const ids = shown().includes(id) ? shown().filter(i => i !== id) : [...shown(), id];
  if (ids.length <= MOST)
    history.replaceState(null, "", "#jobs=" + ids);
  arrange();
}

function arrange() {
  showCurves(shown(), error => { if (error) trouble(error); }, text => setText(by("link"), text));
  paintJobs();
}

function paintJobs() {
  if (!jobs)
    return;
  const none = search ? (search.reading ? "None yet." : "No job matches.") : by("state").value ? "No job is in that state."
    : "There is no job yet. Begin with a data set: import one of yours below, then train on it.";
  showJobs(search ? search.jobs() : jobs, shown(), toggle, none);
  by("newer").hidden = !before || search;
  by("older").hidden = search || !more;
  by("search-on").hidden = !search || search.whole || search.reading;
  setText(by("searched"), search ? search.says() : "");
  offer("jobs-find", before || more || jobs.length > FEW);
}

function trouble(error) {
  if (error.name === "AbortError")
    return;
  if (error.status === 401) {
    by("login-error").textContent = haveToken() ? error.message : "";
    setToken("");
    house(false);
    return;
  }
  setText(by("link"), error instanceof Refused ? error.message : "The server does not answer; trying again.");
}

function house(open) {
  by("login").hidden = open;
  by("house").hidden = by("ways").hidden = !open;
  by("leave").hidden = !open || !haveToken();
  if (!open) {
    clearTimeout(timer);
    showCurves([], () => {}, () => {});
    by("token").focus();
  }
}

async function searchOn() {
  const mine = search;
  try {
    await mine.on(paintJobs);
  } catch (error) {
    trouble(error);
  }
  if (mine === search)
    paintJobs();
}

// Searches anew.
function find() {
  clearTimeout(findTimer);
  search?.end();
  search = by("jobs-find").value.trim() ? new Search(by("jobs-find").value.trim(), by("state").value) : null;
  if (search) {
    before = 0;
    searchOn();
  }
  paintJobs();
}

const query = () => "v1/jobs?limit=" + PAGE + (by("state").value ? "&state=" + by("state").value : "") + (before ? "&before=" + before : "");

// The last one that was asked for, whichever comes last.
async function lookAt(set) {
  const mine = ++looks, sheet = await importing.sheet(set);
  if (mine === looks)
    by("looked-at").replaceChildren(sheet);
}

function showLists() {
  showModels(lists.models, model => form.score(model).catch(trouble), anew);
  showDatasets(lists.sets, set => trainOn(set.name), set => lookAt(set), anew);
}

async function turn() {
  const asked = query();
  const [devices, list, busy] = await Promise.all([get("v1/devices"), get(asked), get("v1/jobs?state=running")]);
  if (asked !== query())
    return;
  jobs = list.jobs;
  more = jobs.length === PAGE || list.before;
  await search?.refresh(jobs, more, busy.jobs);
  const now = jobs.filter(j => j.state === "succeeded").map(j => j.id).join();
  if (now !== done) // there may be a new model
    round = 0;
  done = now;
  house(true);
  setText(by("link"), "");
  showDevices(devices, busy.jobs);
  paintJobs();
  if (round++ % SELDOM === 0) {
    const [models, sets] = await Promise.all([all("v1/models", "models"), all("v1/datasets", "datasets")]);
    lists = { models, sets };
    tryout.showModels(lists.models);
    showLists();
  }
  await refresh();
}

async function run() {
  clearTimeout(timer);
  if (running || document.hidden)
    return;
  running = true;
  try {
    await turn();
  } catch (error) {
    trouble(error);
  }
  running = false;
  if (by("login").hidden)
    timer = setTimeout(run, EVERY_MS);
}

// There may be other models and data sets than those that are shown.
function anew() {
  looks++;
  by("looked-at").replaceChildren();
  round = 0;
  run();
}

const trainOn = name => form.open(begin(name)).catch(trouble);

// A job that was submitted here is looked at, beside the others where there is room.
function submitted(job) {
  const ids = shown().filter(id => id !== job.id);
  history.replaceState(null, "", "#jobs=" + [...ids.slice(ids.length < MOST ? 0 : ids.length), job.id]);
  arrange();
  by("shown-title").focus();
  by("shown").scrollIntoView();
  turnTo(0);
}

// A file that is dropped onto the data sets is imported, elsewhere it is tried. Beside both, too: a browser would leave
// the page for it.
function prepareDrops() {
  const over = e => {
    const sets = e.target.closest?.("#sets");
    if (sets)
      by("import").hidden = false;
    by("import-drop").classList.toggle("over", Boolean(sets));
    by("drop").classList.toggle("over", !sets);
  };
  const off = () => { for (const id of ["drop", "import-drop"]) by(id).classList.remove("over"); };
  addEventListener("dragover", e => { e.preventDefault(); over(e); });
  addEventListener("dragleave", e => { if (!e.relatedTarget) off(); });
  addEventListener("drop", e => {
    e.preventDefault();
    off();
    const files = [...e.dataTransfer.files];
    const folder = [...e.dataTransfer.items].map(item => item.webkitGetAsEntry?.()).find(entry => entry?.isDirectory);
    if (!e.target.closest?.("#sets"))
      tryout.take(e.dataTransfer);
    else if (folder)
      setText(by("import-error"), folder.name + " is a folder: pack it as a zip, and drop that.");
    else if (files.length > 1)
      setText(by("import-error"), "These are " + files.length + " files: pack a folder for each class as one zip, and drop that.");
    else if (files.length)
      importing.open(e.dataTransfer.files);
  });
}

function turnTo(id) {
  before = id;
  run();
}

by("login").addEventListener("submit", e => {
  e.preventDefault();
  setToken(by("token").value.trim());
  by("token").value = "";
  round = 0;
  by("login").hidden = true;
  for (const id of ["looked-at", "import-result"]) // another's
    by(id).replaceChildren();
  tryout.clear();
  arrange();
  find();
  run();
});
by("leave").addEventListener("click", () => {
  setToken("");
  location.reload();
});
for (const field of ["models-find", "sets-find"])
  by(field).addEventListener("input", showLists);
// By script, for the address tells which jobs are looked at.
by("ways").addEventListener("click", e => {
  const title = e.target.hash && document.querySelector(e.target.hash);
  if (!title || e.ctrlKey || e.metaKey || e.shiftKey)
    return;
  e.preventDefault();
  title.focus({ preventScroll: true });
  title.scrollIntoView();
});
by("state").addEventListener("change", () => {
  turnTo(0);
  find();
});
by("jobs-find").addEventListener("input", () => {
  clearTimeout(findTimer);
  findTimer = setTimeout(find, FIND_MS);
});
by("search-on").addEventListener("click", () => { searchOn(); paintJobs(); });
by("newer").addEventListener("click", () => turnTo(0));
by("older").addEventListener("click", () => turnTo(jobs.at(-1).id));
addEventListener("hashchange", () => {
  arrange();
  if (shown().length && !by("shown").hidden)
    by("shown-title").focus();
});
document.addEventListener("visibilitychange", () => {
  look(!document.hidden);
  run();
});
by("new-open").addEventListener("click", () => form.open().catch(trouble));
by("import-open").addEventListener("click", () => importing.open());
form.prepare(submitted);
importing.prepare(anew, trainOn);
tryout.prepare();
prepareDrops();
windows.prepare(() => { look(false); look(!document.hidden); });
arrange();
run();
