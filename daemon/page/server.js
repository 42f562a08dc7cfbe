// Requests to the daemon, relative to the page's address, so that a proxy may serve it below a path.

// A browser that is told to keep nothing for a site throws here; the token is then kept by the page alone.
function storage() {
  try {
    return sessionStorage;
  } catch {
    return null;
  }
}

const kept = storage();
let token = kept?.getItem("token") || "";

export const haveToken = () => token !== "";

export function setToken(text) {
  token = text;
  if (text)
    kept?.setItem("token", text);
  else
    kept?.removeItem("token");
}

// What the server refused, in its own words.
export class Refused extends Error {
  constructor(status, { detail, pointer } = {}, wait = 0) {
    const text = detail || "status " + status;
    super(text + (pointer ? " (at " + pointer + ")" : ""));
    this.status = status;
    this.detail = text;
    this.pointer = pointer || "";
    this.wait = wait; // seconds, 0 where nothing is said
  }
}

// What to tell people of an error.
export const said = error => error instanceof Refused || error.name === "AbortError" ? error.message : "The server does not answer.";

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  return new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
}

// `json` is a text; `key` makes of a repeated post the first.
export async function ask(method, path, { body, json, key, accept, signal } = {}) {
  const headers = {};
  if (token)
    headers.Authorization = "Bearer " + token;
  if (accept)
    headers.Accept = accept;
  if (key)
    headers["Idempotency-Key"] = key;
  if (json !== undefined)
    headers["Content-Type"] = "application/json";
  else if (body !== undefined) // the content decides, not what a browser makes of a file's name
    headers["Content-Type"] = "application/octet-stream";
  body = json ?? body;
  const answer = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
  if (!answer.ok)
    throw await refusal(answer);
  return answer;
}

export const get = async (path, signal) => (await ask("GET", path, { signal })).json();
// Of a list by name, which the server gives in parts: all of it.
export async function all(path, key, signal) {
  const list = [];
  for (let at = path, after = ""; at; at = after && path + "?after=" + encodeURIComponent(after)) {
    const part = await get(at, signal);
    list.push(...part[key]);
    after = part.after > after ? part.after : "";
  }
  return list;
}
export const post = path => ask("POST", path);
export const remove = path => ask("DELETE", path);

// Puts a file and reads the lines that answer it. `sent` is told of bytes, `take` of each event. XMLHttpRequest, for
// fetch does not tell what has been sent.
export function put(path, file, sent, take, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let read = 0;
    const events = () => {
      const end = request.responseText.lastIndexOf("\n") + 1;
      const lines = request.responseText.slice(read, end).split("\n");
      read = Math.max(read, end);
      return lines.filter(line => line.trim()).map(line => JSON.parse(line));
    };
    request.open("PUT", path);
    request.setRequestHeader("Accept", "application/x-ndjson");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    if (token)
      request.setRequestHeader("Authorization", "Bearer " + token);
    request.upload.addEventListener("progress", e => sent(e.loaded));
    request.addEventListener("progress", () => { if (request.status === 200) events().forEach(take); });
    request.addEventListener("load", () => {
      if (request.status === 200) {
        events().forEach(take);
        resolve();
        return;
      }
      let problem = {};
      try { problem = JSON.parse(request.responseText); } catch { /* a proxy's own words */ }
      reject(new Refused(request.status, problem));
    });
    request.addEventListener("error", () => reject(new TypeError("the connection broke off")));
    request.addEventListener("abort", () => reject(new DOMException("given up", "AbortError")));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}

// Asks only whether there would be an answer; throws what a refusal says.
async function probe(path) {
  const stop = new AbortController();
  await ask("HEAD", path).catch(() => ask("GET", path, { signal: stop.signal }));
  stop.abort();
}

// Saves what is at `path`. Without a token the browser fetches it by itself, however large it is, and would save a
// refusal as well.
export async function save(path, name) {
  let address = path;
  if (token)
    address = URL.createObjectURL(await (await ask("GET", path)).blob());
  else
    await probe(path);
  download(address, name);
}

function download(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  if (address.startsWith("blob:"))
    setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// Saves what the page holds itself.
export const saveBlob = (blob, name) => download(URL.createObjectURL(blob), name);

export const pause = (ms, signal) => new Promise(resolve => {
  if (signal.aborted)
    return resolve();
  const timer = setTimeout(resolve, ms);
  return signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

const DEAD_MS = 45000, QUIET_MS = 400, SIP_MS = 1500, PAUSE_MS = 3000;

// The lines of one stream. The server sends a heartbeat every 15 s unless told otherwise; three of them missing
// mean a dead connection. A sip ends when nothing more has come for a moment, and soon in any case. null: nothing will
// come any more.
async function* lines(path, signal, sip) {
  const stop = new AbortController(), begun = performance.now();
  const end = () => stop.abort();
  signal.addEventListener("abort", end, { once: true });
  let timer = setTimeout(end, DEAD_MS), answer = null;
  try {
    answer = await ask("GET", path, { accept: "application/x-ndjson", signal: stop.signal });
    if (answer.status === 204) {
      yield null;
      return;
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let piece; !(sip && performance.now() > begun + SIP_MS);) {
      clearTimeout(timer);
      timer = setTimeout(end, sip ? QUIET_MS : DEAD_MS);
      if ((piece = await reader.read()).done)
        return;
      const parts = (rest + piece.value).split("\n");
      rest = parts.pop();
      yield parts;
    }
  } catch (error) {
    if (!sip || !answer || signal.aborted || !stop.signal.aborted)
      throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    stop.abort();
  }
}

let line = Promise.resolve();

// Waits for its turn among those that sip; what it returns ends that.
async function turn() {
  const before = line;
  let free;
  line = new Promise(resolve => { free = resolve; });
  await before;
  return free;
}

// Whether the same may be answered in a while: no server there, or one that is short of something for now.
export const passing = error => !(error instanceof Refused) || [429, 502, 503, 504].includes(error.status);

// Every event of a job after number `after`, in order and once, over as many connections as it takes: one that
// stays open where it is `live`, else one every few seconds. `take` gets lists of them; `link` a text while there is
// no server, "" when there is one again. Ends with the job, or with the signal; throws Refused where asking again is
// of no use.
export async function follow(id, after, take, link, signal, live = true) {
  let wait = 500;
  while (!signal.aborted) {
    const free = live ? () => {} : await turn();
    let well = false;
    try {
      for await (const some of signal.aborted ? [] : lines("v1/jobs/" + id + "/events?after=" + after, signal, !live)) {
        if (!some)
          return;
        const events = some.filter(line => line.trim()).map(line => JSON.parse(line)).filter(event => event.id > after);
        link("");
        wait = 500;
        if (!events.length)
          continue;
        after = events[events.length - 1].id;
        take(events);
        if (events.some(event => event.event === "end"))
          return;
      }
      well = !live;
    } catch (error) {
      if (!passing(error))
        throw error;
      wait = Math.max(wait, (error.wait || 0) * 1000);
    } finally {
      free();
    }
    if (signal.aborted)
      return;
    if (!well)
      link("The server does not answer; trying again.");
    await pause(well ? PAUSE_MS : wait, signal);
    wait = well ? 500 : Math.min(wait * 2, 5000);
  }
}
