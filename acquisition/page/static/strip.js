/* One channel's trace on a canvas: least and greatest value per pixel column, in a ring; only new columns are drawn. */

import { GRID, lines, make, view } from "./view.js";

/** Where the scale begins and ends, as a part of the height. */
const EDGE = 0.12, LINES = [EDGE, 0.5, 1 - EDGE];

/** The least range that is shown, by unit, so that a steady signal's noise does not fill the strip. */
const NARROWEST = { "[arb'U]": 10, "mm[Hg]": 20, "kPa": 2, "Cel": 2, "%": 5, "km/h": 2, "m": 10 };

export class Strip {
  constructor(channel, stream, colour) {
    this.unit = channel.unit; this.stream = stream; this.colour = colour;
    this.canvas = make("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Trace of " + channel.label);
    this.ctx = this.canvas.getContext("2d", { alpha: true });
    this.ticks = make("div", "ticks");
    this.node = make("div", "strip");
    this.node.append(this.ticks, this.canvas);
    this.bottom = 0; this.top = 1;
    this.reset();
  }

  reset() {
    const n = view.points;
    this.low = new Float32Array(n).fill(NaN);
    this.high = new Float32Array(n).fill(NaN);
    this.cut = new Uint8Array(n);       // 1: a gap ends in this column
    this.gone = new Uint8Array(n);      // 1: within a gap
    this.drawn = null;                  // the column at the right edge of the canvas
    this.dirty = Infinity;              // the oldest column to draw again
    this.rescale = true;
  }

  fit() {
    const ratio = window.devicePixelRatio || 1;
    const height = Math.max(Math.round(this.node.clientHeight * ratio), 8);
    if (this.canvas.width !== view.points || this.canvas.height !== height) {
      this.canvas.width = view.points; this.canvas.height = height;
      this.drawn = null;
    }
  }

  clear(from, to) {
    const n = view.points;
    for (let c = Math.max(from, to - n + 1); c <= to; c++) {
      const i = c % n;
      this.low[i] = this.high[i] = NaN; this.cut[i] = this.gone[i] = 0;
    }
  }

  add(column, low, high) {
    if (column <= view.head - view.points || column > view.head) return;
    const i = column % view.points;
    if (!(this.low[i] <= low)) this.low[i] = low;
    if (!(this.high[i] >= high)) this.high[i] = high;
    if (column < this.dirty) this.dirty = column;
    if (low < this.bottom || high > this.top) this.rescale = true;
  }

  gap(from, to) {
    const oldest = view.head - view.points + 1;
    const first = Math.max(Math.floor(from / view.width) + 1, oldest), last = Math.floor(to / view.width);
    for (let c = first; c < last; c++) this.gone[c % view.points] = 1;
    if (last >= oldest && last <= view.head) this.cut[last % view.points] = 1;
    this.dirty = Math.min(this.dirty, first);
  }

  scale() {
    this.rescale = false;
    let least = Infinity, most = -Infinity;
    for (let i = 0; i < view.points; i++) {
      if (this.low[i] < least) least = this.low[i];
      if (this.high[i] > most) most = this.high[i];
    }
    if (most < least) { least = 0; most = 1; }
    const { unit } = this, narrowest = NARROWEST[unit] || 1;
    if (unit !== "Cel" && least > -0.05 * Math.max(most, narrowest)) least = 0;
    const span = Math.max((most - least) * 1.08, narrowest);
    const rough = span / 2, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    let bottom = Math.floor(least / step) * step;
    if (unit === "Cel" || least < 0) bottom = Math.floor(least / (step / 2)) * (step / 2);
    let top = bottom + 2 * step;
    while (top < most) top += step / 2;
    // A wider scale at once, a narrower one only when the trace has become small in it.
    const fits = least >= this.bottom && most <= this.top;
    if (fits && this.fixed && (top - bottom) > 0.55 * (this.top - this.bottom)) return;
    if (bottom === this.bottom && top === this.top && this.fixed) return;
    this.bottom = bottom; this.top = top; this.fixed = true; this.drawn = null;
    const places = Math.max(0, Math.min(3, 1 - Math.floor(Math.log10(top - bottom))));
    this.ticks.replaceChildren(...LINES.map((part) => {
      const value = top - (part - EDGE) / (1 - 2 * EDGE) * (top - bottom);
      const label = make("span", "", String(+value.toFixed(places)));
      label.style.top = part * 100 + "%";
      return label;
    }));
  }

  row(value) {
    const h = this.canvas.height, part = (value - this.bottom) / (this.top - this.bottom);
    return Math.max(0, Math.min(h - 1, Math.round(h * (1 - EDGE - (1 - 2 * EDGE) * part))));
  }

  draw() {
    this.fit();
    if (this.rescale) this.scale();
    const n = view.points, head = view.head, oldest = head - n + 1;
    let from = this.dirty;
    if (this.drawn === null || head - this.drawn >= n) from = oldest;
    else if (head > this.drawn) {
      const ctx = this.ctx;
      ctx.globalCompositeOperation = "copy";
      ctx.drawImage(this.canvas, this.drawn - head, 0);
      ctx.globalCompositeOperation = "source-over";
      from = Math.min(from, this.drawn + 1);
    }
    this.drawn = this.canvas.newest = head;
    this.dirty = Infinity;
    if (from <= head) this.paint(Math.max(from, oldest), head);
  }

  paint(from, to) {
    const { ctx, low, high } = this, n = view.points, h = this.canvas.height, colours = view.colours;
    const oldest = view.head - n + 1, x0 = from - oldest;
    ctx.clearRect(x0, 0, to - from + 1, h);
    this.background(from, to, oldest, h);
    let before = from - 1;
    while (before >= oldest && Number.isNaN(low[before % n])) before--;
    if (before < oldest) before = null;
    ctx.fillStyle = colours.traces[this.colour];
    const thick = Math.max(2, Math.round((window.devicePixelRatio || 1) * 1.6));
    const reach = this.stream.bridge / view.width + 1;
    for (let c = from; c <= to; c++) {
      const i = c % n;
      if (Number.isNaN(low[i])) continue;
      let top = this.row(high[i]), bottom = this.row(low[i]);
      if (before !== null && !this.cut[i] && c - before <= reach) {
        const j = before % n, beforeTop = this.row(high[j]), beforeBottom = this.row(low[j]);
        if (c - before > 1) {
          // Between two columns with samples the trace is a line: integer fills, no path.
          const a = (beforeTop + beforeBottom) / 2, b = (top + bottom) / 2, steps = c - before;
          for (let k = 1; k < steps; k++) {
            const y0 = Math.round(a + (b - a) * (k - 1) / steps), y1 = Math.round(a + (b - a) * k / steps);
            ctx.fillRect(before + k - oldest, Math.min(y0, y1), 1, Math.max(thick, Math.abs(y1 - y0)));
          }
          const reached = Math.round(a + (b - a) * (steps - 1) / steps);
          top = Math.min(top, reached); bottom = Math.max(bottom, reached);
        } else {
          if (beforeBottom < top) top = beforeBottom;
          if (beforeTop > bottom) bottom = beforeTop;
        }
      }
      ctx.fillRect(c - oldest, top, 1, Math.max(bottom - top, thick));
      before = c;
    }
  }

  background(from, to, oldest, h) {
    const { ctx } = this, n = view.points, colours = view.colours, every = GRID[view.window];
    const place = ({ ms }) => Math.floor(ms / view.width);
    // Every second phase is tinted, so that they are told apart; each begins with a line.
    ctx.fillStyle = colours.tint;
    for (let k = 1; k < view.stages.length; k += 2) {
      const begin = Math.max(place(view.stages[k]), from), end = view.stages[k + 1] ? place(view.stages[k + 1]) - 1 : to;
      if (begin <= Math.min(end, to)) ctx.fillRect(begin - oldest, 0, Math.min(end, to) - begin + 1, h);
    }
    ctx.fillStyle = colours.grid;
    for (const part of LINES) ctx.fillRect(from - oldest, Math.round(h * part), to - from + 1, 1);
    for (const t of lines(every, from, to + 1)) ctx.fillRect(Math.floor(t / view.width) - oldest, 0, 1, h);
    ctx.fillStyle = colours.mark;
    const within = (each) => place(each) >= from && place(each) <= to;
    for (const stage of view.stages.filter(within)) ctx.fillRect(place(stage) - oldest, 0, 1, h);
    for (const mark of view.marks.filter(within)) for (let y = 0; y < h; y += 6) ctx.fillRect(place(mark) - oldest, y, 1, 3);
    const last = this.stream.time, quiet = last === null ? Infinity : Math.floor((last + this.stream.quiet) / view.width);
    ctx.fillStyle = colours.hatch;
    for (let c = from; c <= to; c++) {
      if (!this.gone[c % n] && c <= quiet) continue;
      for (let y = 9 - c % 10; y < h; y += 10) ctx.fillRect(c - oldest, y, 1, 2);
    }
  }
}
