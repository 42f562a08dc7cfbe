// What the page does when: the token, the lists every few seconds, the jobs that the address names (#jobs=7,9).
import { by, setText } from "./dom.js";
import { look, MOST, refresh, showJobs as showCurves } from "./job.js";
import { showDatasets, showDevices, showJobs, showModels } from "./lists.js";
import { get, haveToken, Refused, setToken } from "./server.js";
import * as tryout from "./tryout.js";

const EVERY_MS = 3000, SELDOM = 5, PAGE = 100;
let jobs = null, before = 0, round = 0, running = false, timer = 0;

const shown = () => (/^#jobs=([\d,]+)$/.exec(location.hash)?.[1] || "").split(",").filter(n => n).map(Number).slice(0, MOST);

function toggle(id) {
  const ids = shown().includes(id) ? shown().filter(i => i !== id) : [...shown(), id];
  if (ids.length <= MOST)
    history.replaceState(null, "", "#jobs=" + ids);
  arrange();
}

function arrange() {
  showCurves(shown(), error => { if (error) trouble(error); }, text => setText(by("link"), text));
  if (jobs)
    showJobs(jobs, shown(), toggle);
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
  by("house").hidden = !open;
  by("leave").hidden = !open || !haveToken();
  if (!open) {
    clearTimeout(timer);
    showCurves([], () => {}, () => {});
    by("token").focus();
  }
}

const query = () => "v1/jobs?limit=" + PAGE + (by("state").value ? "&state=" + by("state").value : "") + (before ? "&before=" + before : "");

async function turn() {
  const asked = query();
  const [devices, list, busy] = await Promise.all([get("v1/devices"), get(asked), get("v1/jobs?state=running")]);
  if (asked !== query())
    return;
  jobs = list.jobs;
  house(true);
  setText(by("link"), "");
  by("newer").hidden = !before;
  by("older").hidden = jobs.length < PAGE && !list.before;
  showDevices(devices, busy.jobs);
  showJobs(jobs, shown(), toggle);
  if (round++ % SELDOM === 0) {
    const [models, sets] = await Promise.all([get("v1/models"), get("v1/datasets")]);
    showModels(models.models, trouble);
    tryout.showModels(models.models);
    showDatasets(sets.datasets);
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
  arrange();
  run();
});
by("leave").addEventListener("click", () => {
  setToken("");
  location.reload();
});
by("state").addEventListener("change", () => turnTo(0));
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
tryout.prepare();
arrange();
run();
