// The page's scripts without a browser: curves by columns of pixels, requests by pointers, and streams that break. Run by
// test_page.py.
import assert from "node:assert";

globalThis.sessionStorage = { getItem: () => "t0ken", setItem: () => {}, removeItem: () => {} };
const { before, Chart, columns, range, ticks } = await import("./chart.js");
const { addPoint } = await import("./job.js");
const { bytes, duration } = await import("./dom.js");
const { follow, Refused } = await import("./server.js");
const { nearest, read, setFrom, setOptimizer, setType, tidy, write } = await import("./request.js");
const { nameFor } = await import("./importing.js");
const { csv, row } = await import("./csv.js");

// --- drawing ---

assert.deepEqual(ticks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
assert.deepEqual(ticks(0, 7, 5), [0, 2, 4, 6]);
assert.ok(ticks(0, 1e-3, 2).length < 6);
assert.deepEqual(range([[0.5, 2, NaN], [1]]), { low: 0, high: 2, log: false });
assert.deepEqual(range([[1e-3, 10]]), { low: -3, high: 1, log: true });
assert.deepEqual(range([[NaN], []]), { low: 0, high: 1, log: false });
assert.ok(range([[0, 0]]).high > 0);

const x = Array.from({ length: 100000 }, (_, i) => i), y = x.map(i => i % 2);
const drawn = columns(x, y, v => v / 200);
assert.equal(drawn.length, 501);
assert.deepEqual([drawn[9].min, drawn[9].max, drawn[9].mean, drawn[9].count], [0, 1, 0.5, 200]);
assert.deepEqual(columns([0, 1, 2], [1, NaN, 3], v => v).map(p => p.gap === true), [false, true, false]);
assert.deepEqual([-1, 0, 5, 9].map(v => before([0, 2, 4], v)), [-1, 0, 2, 2]);

// Whatever there is of epochs, a line has no more corners than columns of pixels.
for (const part of ["drawTrain", "drawVal"]) {
  let corners = 0, dots = 0;
  const canvas = new Proxy({}, { get: (_, call) => () => { corners += call === "lineTo"; dots += call === "arc"; }, set: () => true });
  const place = { field: "loss", right: 548, placeX: v => 48 + v / 200, placeY: v => v, drawLine: Chart.prototype.drawLine };
  Chart.prototype[part].call(place, canvas, { epoch: x, loss: y });
  assert.ok(corners > 400 && corners <= 501, part + ": " + corners);
  assert.equal(dots, 0);
  corners = 0;
  Chart.prototype[part].call(place, canvas, { epoch: [0, 4000, 8000, 12000], loss: [1, 2, NaN, 4] });
  assert.equal(corners, 1);
  assert.equal(dots, part === "drawVal" ? 3 : 0);
}

// --- a job that goes on from a checkpoint ---

const line = { epoch: [], loss: [], acc: [] };
for (const [epoch, loss] of [[1, 3], [2, 2], [3, 9], [2.5, 7], [2.5, 1.5], [3, undefined]])
  addPoint(line, epoch, loss, 0.5);
assert.deepEqual(line, { epoch: [1, 2, 2.5, 3], loss: [3, 2, 1.5, NaN], acc: [0.5, 0.5, 0.5, 0.5] });

assert.deepEqual([duration(59.4), duration(61), duration(3661), duration(200000)], ["59 s", "1 min 1 s", "1 h 1 min", "2 days"]);
assert.deepEqual([bytes(12), bytes(2048), bytes(19 * 2 ** 30)], ["12\u00a0B", "2.0\u00a0KiB", "19\u00a0GiB"]);

// --- requests ---

const job = { type: "train", dataset: "mnist", optimizer: { name: "sgd", lr: 0.1, momentum: 0.9 } };
assert.equal(read(job, "/dataset/name"), "mnist");
assert.equal(read(job, "/optimizer/schedule/name"), undefined);
assert.equal(read(job, "/constructor/name"), undefined);
assert.deepEqual(write(job, "/dataset/limit", 9).dataset, { name: "mnist", limit: 9 });
assert.equal(write(write(job, "/dataset/limit", 9), "/dataset/limit", undefined).dataset, "mnist");
assert.equal("stop_when" in write({ stop_when: { metric: "val_loss" } }, "/stop_when/metric", undefined), false);
assert.deepEqual(write({ augment: [{ type: "hflip" }, { type: "crop" }] }, "/augment/0", undefined).augment, [{ type: "crop" }]);
assert.deepEqual(write({ optimizer: 7 }, "/optimizer/lr", 1).optimizer, { lr: 1 });
assert.deepEqual(Object.keys(write({ seed: 1, mine: 2, type: "train" }, "/epochs", 3)), ["type", "epochs", "seed", "mine"]);
assert.deepEqual(job.dataset, "mnist", "what was given is left alone");

assert.deepEqual(setOptimizer(write(job, "/optimizer/weight_decay", 0.1), "adamw").optimizer, { name: "adamw", lr: 0.001, weight_decay: 0.1 });
const model = { name: "m", classes: ["a", "b"], architecture: { name: "densenet", growth_rate: 12, num_classes: 2 } };
assert.deepEqual(setFrom(job, model, 2).init, { from: "m" });
assert.deepEqual(setFrom(job, model, 3).init, { from: "m", strict: false });
assert.deepEqual(setFrom(job, model, 3).architecture, { name: "densenet", growth_rate: 12 });
assert.deepEqual(setType(job, "classify"), { type: "classify", dataset: "mnist" });

for (const v of [job, { a: [[1, 2], { b: "]\n [" }], c: "x".repeat(99), d: {}, e: [] }, {}])
  assert.deepEqual(JSON.parse(tidy(v)), v);
assert.equal(tidy({ a: { b: [1, 2] } }), '{\n  "a": {"b": [1, 2]}\n}');
let deep = 1;
for (let i = 0; i < 500; i++)
  deep = [deep];
assert.deepEqual(JSON.parse(tidy({ deep })), { deep });

const ats = ["/type", "/name", "/dataset/name", "/dataset/resize", "/optimizer/name", "/optimizer/lr", "/augment/1/type", "/augment/-1/type"];
for (const [pointer, at] of [["/dataset", "/dataset/name"], ["/dataset/resize/0", "/dataset/resize"], ["/optimizer/betas/1", "/optimizer/name"],
  ["/optimizer/lr", "/optimizer/lr"], ["/name", "/name"], ["/augment/1/p", "/augment/1/type"], ["/augment", undefined], ["/nameless", undefined], ["", undefined]])
  assert.equal(nearest(pointer, ats), at, pointer);

assert.deepEqual(["Grains of May.tar.gz", "..\u00e9t\u00e9 2.zip", "\u6f22.npz"].map(nameFor), ["Grains-of-May", "e-te-2", ""]);

// --- CSV: what cnnctl makes of the same names ---

assert.equal(row(["a", 1, 0.5, 1e-9, NaN, ""]), "a,1,0.5,1e-9,,\n");
assert.equal(row(["x, y", 'a "b"', "a;b", "\u001b[2J\r\n\t\u202e", "\ud800", "\ud83d\ude00\u00e9"]),
  '"x, y","a ""b""","a;b",?[2J????,?,\ud83d\ude00\u00e9\n');
assert.equal(row(["-1", "+2.5", "-", "-x", "+1+1", "@y", "'z", "=1,2", "a=b"]), "-1,+2.5,-,'-x,'+1+1,'@y,''z,\"'=1,2\",a=b\n");
assert.deepEqual(new Uint8Array(await csv(["a\n", "b\n"]).arrayBuffer()), new Uint8Array([0xef, 0xbb, 0xbf, 97, 10, 98, 10]));

// --- streams ---

const event = (id, kind = "train") => JSON.stringify({ id, event: kind, data: {} }) + "\n";

// Answers in turn: a list of pieces of a body, a status, or an Error.
function serve(...answers) {
  const asked = [];
  globalThis.fetch = async (path, { headers }) => {
    asked.push([path, headers.Authorization, headers.Accept]);
    const answer = answers.shift();
    if (answer instanceof Error)
      throw answer;
    if (typeof answer === "number")
      return new Response(JSON.stringify({ detail: "no" }), { status: answer });
    return new Response(new ReadableStream({
      start(c) {
        for (const piece of answer)
          c.enqueue(new TextEncoder().encode(piece));
        c.close();
      },
    }));
  };
  return asked;
}

async function ids() {
  const seen = [], said = [];
  await follow(7, 0, events => seen.push(...events.map(e => e.id)), text => { if (said.at(-1) !== text) said.push(text); },
    new AbortController().signal);
  return [seen, said];
}

// Torn in the middle of a line, no server, busy, told twice, a heartbeat: every event, once, in order.
let asked = serve([event(1) + event(2), "\n", event(3).slice(0, 9)], new TypeError("refused"), 503,
  [event(2), event(3), event(4).slice(0, 5), event(4).slice(5), event(5, "end")]);
let [seen, said] = await ids();
assert.deepEqual(seen, [1, 2, 3, 4, 5]);
assert.deepEqual(asked.map(a => a[0].split("after=")[1]), ["0", "2", "2", "2"]);
assert.deepEqual(asked[0], ["v1/jobs/7/events?after=0", "Bearer t0ken", "application/x-ndjson"]);
assert.deepEqual(said, ["", "The server does not answer; trying again.", ""]);

asked = serve(404, []);
await assert.rejects(ids, error => error instanceof Refused && error.status === 404 && error.message === "no");
assert.equal(asked.length, 1);

// Sips: two jobs whose streams stay open are read in turn, each over a connection of its own that is let go.
let open = 0, most = 0;
const sips = { 7: [[event(1), event(2)], [event(3, "end")]], 8: [[event(1)], [], [event(2, "end")]] };
globalThis.fetch = async (path, { signal }) => {
  const pieces = sips[/jobs\/(\d)/.exec(path)[1]].shift();
  most = Math.max(most, ++open);
  signal.addEventListener("abort", () => open--, { once: true });
  return new Response(new ReadableStream({
    start(c) {
      for (const piece of pieces)
        c.enqueue(new TextEncoder().encode(piece));
      signal.addEventListener("abort", () => c.error(new DOMException("", "AbortError")), { once: true });
    },
  }));
};
const taken = { 7: [], 8: [] }, told = [];
await Promise.all([7, 8].map(id => follow(id, 0, events => taken[id].push(...events.map(e => e.id)), text => told.push(text),
  new AbortController().signal, false)));
assert.deepEqual(taken, { 7: [1, 2, 3], 8: [1, 2] });
assert.deepEqual([most, open, told.filter(text => text)], [1, 0, []]);

console.log("ok");
