// Requests to the daemon, relative to the page's address, so that a proxy may serve it below a path.

let token = sessionStorage.getItem("token") || "";

export const haveToken = () => token !== "";

export function setToken(text) {
  token = text;
  if (text)
    sessionStorage.setItem("token", text);
  else
    sessionStorage.removeItem("token");
}

// What the server refused, in its own words.
export class Refused extends Error {
  constructor(status, message, wait) {
    super(message);
    this.status = status;
    this.wait = wait; // seconds, 0 where nothing is said
  }
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  const detail = problem.detail || "status " + answer.status;
  return new Refused(answer.status, detail + (problem.pointer ? " (at " + problem.pointer + ")" : ""),
    Number(answer.headers.get("Retry-After")) || 0);
}

export async function ask(method, path, { body, accept, signal } = {}) {
  const headers = {};
  if (token)
    headers.Authorization = "Bearer " + token;
  if (accept)
    headers.Accept = accept;
  if (body !== undefined) // the content decides, not what a browser makes of a file's name
    headers["Content-Type"] = "application/octet-stream";
  const answer = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
  if (!answer.ok)
    throw await refusal(answer);
  return answer;
}

export const get = async (path, signal) => (await ask("GET", path, { signal })).json();
export const post = path => ask("POST", path);

// Saves what is at `path`. Without a token the browser fetches it by itself, however large it is.
export async function save(path, name) {
  let address = path;
  if (token)
    address = URL.createObjectURL(await (await ask("GET", path)).blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  if (token)
    setTimeout(() => URL.revokeObjectURL(address), 60000);
}

const pause = (ms, signal) => new Promise(resolve => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

// The lines of one stream. The server sends a heartbeat every 15 s unless told otherwise; three of them missing
// mean a dead connection.
async function* lines(path, signal) {
  const stop = new AbortController();
  const end = () => stop.abort();
  signal.addEventListener("abort", end, { once: true });
  let timer = setTimeout(end, 45000);
  try {
    const answer = await ask("GET", path, { accept: "application/x-ndjson", signal: stop.signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let piece; !(piece = await reader.read()).done;) {
      clearTimeout(timer);
      timer = setTimeout(end, 45000);
      const parts = (rest + piece.value).split("\n");
      rest = parts.pop();
      yield parts;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    stop.abort();
  }
}

// Every event of a job after number `after`, in order and once, over as many connections as it takes. `take` gets
// lists of them; `link` a text while there is no server, "" when there is one again. Ends with the job, or with
// the signal; throws Refused where asking again is of no use.
export async function follow(id, after, take, link, signal) {
  let wait = 500;
  while (!signal.aborted) {
    try {
      for await (const some of lines("v1/jobs/" + id + "/events?after=" + after, signal)) {
        const events = some.filter(line => line).map(line => JSON.parse(line)).filter(event => event.id > after);
        link("");
        wait = 500;
        if (!events.length)
          continue;
        after = events[events.length - 1].id;
        take(events);
        if (events.some(event => event.event === "end"))
          return;
      }
    } catch (error) {
      if (error instanceof Refused && ![429, 502, 503, 504].includes(error.status))
        throw error;
      wait = Math.max(wait, (error.wait || 0) * 1000);
    }
    if (!signal.aborted) {
      link("The server does not answer; trying again.");
      await pause(wait, signal);
      wait = Math.min(wait * 2, 5000);
    }
  }
}
