// Jobs that are searched for. The server has no words to search by, so its list is read, the newest first, as far as it
// takes; what was not looked at is told.
import { number, textOf } from "./dom.js";
import { asked, has } from "./lists.js";
import { get } from "./server.js";

const PIECE = 1000, PIECES = 10, MANY = 100, STALE = 10;
const ENDED = ["succeeded", "failed", "cancelled"];

const wordsOf = ({ id, name, state, user, model, request: r = {} }) =>
  [String(id), name, state, user, model, r.model, textOf(r.architecture || ""), textOf(r.dataset || "")].map(t => t || "");

export class Search {
  // `state` is one that jobs are in, or "".
  constructor(text, state) {
    Object.assign(this, { parts: asked(text), state, found: new Map(), read: 0, top: 0, before: 0, begun: false, whole: false, reading: false, stop: new AbortController() });
  }

  end() {
    this.stop.abort();
  }

  jobs() {
    return [...this.found.values()].sort((a, b) => b.id - a.id);
  }

  fits(job) {
    return (!this.state || job.state === this.state) && has(wordsOf(job), this.parts);
  }

  take(job) {
    if (this.fits(job))
      this.found.set(job.id, job);
    else
      this.found.delete(job.id);
  }

  // Reads older jobs until it has found many more, or has read long enough; `told` is called after each list.
  async on(told) {
    if (this.reading || this.whole)
      return;
    const end = this.found.size + MANY;
    this.reading = true;
    try {
      for (let i = 0; i < PIECES && !this.whole && this.found.size < end; i++) {
        const list = await get("v1/jobs?limit=" + PIECE + (this.state ? "&state=" + this.state : "") +
          (this.before ? "&before=" + this.before : ""), this.stop.signal);
        list.jobs.forEach(job => this.take(job));
        this.read += list.jobs.length;
        this.top = Math.max(this.top, list.jobs[0]?.id || 0);
        this.begun = true;
        this.before = list.jobs.at(-1)?.id || 0;
        this.whole = list.jobs.length < PIECE && !list.before;
        told();
      }
    } finally {
      this.reading = false;
    }
  }

  // What is known anew: `newest` is the head of the server's list in that state, with `more` behind it, `running` are
  // others. What stood in the head and does so no more is gone; of the rest some that have not ended are asked for.
  async refresh(newest, more, running) {
    const low = more ? newest.at(-1).id : 0, there = new Set(newest.map(job => job.id));
    for (const job of newest) {
      if (this.begun && job.id > this.top)
        this.read++;
      this.take(job);
    }
    this.top = Math.max(this.top, newest[0]?.id || 0);
    for (const id of this.found.keys())
      if (id >= low && !there.has(id))
        this.found.delete(id);
    for (const job of running.filter(job => this.found.has(job.id)))
      this.take(job);
    const fresh = new Set([...there, ...running.map(job => job.id)]);
    const old = this.jobs().filter(job => !fresh.has(job.id) && !ENDED.includes(job.state)).slice(0, STALE);
    for (const { id } of old)
      await get("v1/jobs/" + id, this.stop.signal).then(job => this.take(job), error => {
        if (error.status !== 404)
          throw error;
        this.found.delete(id);
      });
  }

  says() {
    const jobs = (this.state ? " " + this.state : "") + " jobs", found = number(this.found.size);
    if (this.whole)
      return found + " found among all " + number(this.read) + jobs + ".";
    if (this.reading)
      return found + " found so far, among the newest " + number(this.read) + jobs + ".";
    return found + " found among the newest " + number(this.read) + jobs + "; older ones have not been searched.";
  }
}
