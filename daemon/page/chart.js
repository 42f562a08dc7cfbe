// Curves on a canvas: any number of points, drawn by columns of pixels.

const MARGIN = { left: 48, right: 12, top: 10, bottom: 26 };

// Round values from `low` to `high`, about `count` of them.
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= rough * 0.999);
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
    out.push(+(i * step).toPrecision(12));
  return out;
}

// {low, high, log} of what there is to see; of losses that span decades by powers of ten.
export function range(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists)
    for (const v of list)
      if (Number.isFinite(v)) {
        low = Math.min(low, v);
        high = Math.max(high, v);
      }
  if (low > high)
    return { low: 0, high: 1, log: false };
  if (low > 0 && high / low > 100)
    return { low: Math.log10(low), high: Math.log10(high), log: true };
  return { low: Math.min(low, 0), high: high > low ? high : low + 1, log: false };
}

// One entry for each column of pixels that has points: {at, min, max, mean}; a point that is no number leaves a
// gap, {at, gap}.
export function columns(x, y, place) {
  const out = [];
  let now = null;
  for (let i = 0; i < x.length; i++) {
    const at = Math.round(place(x[i]));
    if (!Number.isFinite(y[i])) {
      now = null;
      out.push({ at, gap: true });
    } else if (now && now.at === at) {
      now.min = Math.min(now.min, y[i]);
      now.max = Math.max(now.max, y[i]);
      now.sum += y[i];
      now.mean = now.sum / ++now.count;
    } else {
      now = { at, min: y[i], max: y[i], mean: y[i], sum: y[i], count: 1 };
      out.push(now);
    }
  }
  return out;
}

const short = v => Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3) ? v.toExponential(0) : String(+v.toPrecision(3));

export class Chart {
  // `field` is "loss" or "acc"; `fixed` a range, or null for what the points make it.
  constructor(canvas, field, fixed) {
    Object.assign(this, { canvas, field, fixed, series: [], mark: null });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // Series as job.js keeps them: {color, train: {epoch, loss, acc}, val: {epoch, loss, acc}}.
  show(series) {
    this.series = series;
    this.draw();
  }

  measure() {
    const ratio = devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const epochs = this.series.flatMap(s => [s.train.epoch.at(-1) ?? 0, s.val.epoch.at(-1) ?? 0]);
    const last = Math.max(1e-3, ...epochs);
    const y = this.fixed || range(this.series.flatMap(s => [s.train[this.field], s.val[this.field]]));
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    Object.assign(this, { ratio, width, height, last, y, right, bottom });
  }

  placeX(epoch) {
    return MARGIN.left + epoch / this.last * (this.right - MARGIN.left);
  }

  placeY(v) {
    const at = ((this.y.log ? Math.log10(v) : v) - this.y.low) / (this.y.high - this.y.low);
    return this.bottom - Math.max(-0.02, Math.min(1.02, at)) * (this.bottom - MARGIN.top);
  }

  draw() {
    this.measure();
    const style = getComputedStyle(this.canvas), colour = name => style.getPropertyValue(name);
    const c = this.canvas.getContext("2d");
    if (this.width < 100 || this.height < 60)
      return;
    c.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    c.clearRect(0, 0, this.width, this.height);
    this.drawAxes(c, colour);
    for (const s of this.series) {
      c.strokeStyle = c.fillStyle = colour("--series" + s.color);
      this.drawTrain(c, s.train);
      this.drawVal(c, s.val);
    }
    if (this.mark !== null) {
      c.strokeStyle = colour("--dim");
      c.beginPath();
      c.moveTo(this.placeX(this.mark), MARGIN.top);
      c.lineTo(this.placeX(this.mark), this.bottom);
      c.stroke();
    }
  }

  drawAxes(c, colour) {
    c.font = "12px system-ui, sans-serif";
    c.fillStyle = colour("--dim");
    c.strokeStyle = colour("--line");
    c.lineWidth = 1;
    c.beginPath();
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (const t of ticks(this.y.low, this.y.high, 5)) {
      const v = this.y.log ? 10 ** t : t, at = Math.round(this.placeY(v)) + 0.5;
      c.moveTo(MARGIN.left, at);
      c.lineTo(this.right, at);
      c.fillText(short(v), MARGIN.left - 6, at);
    }
    c.stroke();
    c.textAlign = "center";
    c.textBaseline = "top";
    for (const t of ticks(0, this.last, Math.max(2, Math.floor(this.width / 90))))
      if (this.placeX(t) < this.right - 40)
        c.fillText(short(t), this.placeX(t), this.bottom + 6);
    c.textAlign = "right";
    c.fillText("epoch", this.right, this.bottom + 6);
  }

  // A line through the means of columns of pixels.
  drawLine(c, list) {
    let down = false;
    c.beginPath();
    for (const p of list) {
      if (!p.gap)
        c[down ? "lineTo" : "moveTo"](p.at, this.placeY(p.mean));
      down = !p.gap;
    }
    c.stroke();
  }

  drawTrain(c, train) {
    const list = columns(train.epoch, train[this.field], x => this.placeX(x));
    c.globalAlpha = 0.25;
    for (const p of list)
      if (!p.gap && p.count > 2)
        c.fillRect(p.at, this.placeY(p.max), 1, Math.max(1, this.placeY(p.min) - this.placeY(p.max)));
    c.globalAlpha = 1;
    c.lineWidth = 1.5;
    c.lineJoin = "round";
    this.drawLine(c, list);
    if (list.length === 1 && !list[0].gap)
      c.fillRect(list[0].at - 1, this.placeY(list[0].mean) - 1, 3, 3);
  }

  drawVal(c, val) {
    const list = columns(val.epoch, val[this.field], x => this.placeX(x));
    c.setLineDash([5, 3]);
    this.drawLine(c, list);
    c.setLineDash([]);
    if (val.epoch.length > (this.right - MARGIN.left) / 12)
      return;
    for (const p of list.filter(p => !p.gap)) {
      c.beginPath();
      c.arc(p.at, this.placeY(p.mean), 3.5, 0, 7);
      c.fill();
    }
  }

  // The epoch under a pointer, null beside the drawing.
  epochAt(clientX) {
    const at = (clientX - this.canvas.getBoundingClientRect().left - MARGIN.left) / (this.right - MARGIN.left);
    return at < 0 || at > 1 ? null : at * this.last;
  }
}

// Index of the last of the rising values `x` that is at most `v`; -1 where there is none.
export function before(x, v) {
  let low = -1, high = x.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] <= v)
      low = middle;
    else
      high = middle;
  }
  return low;
}
