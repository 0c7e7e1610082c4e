/* The live page's client: reads the feed (docs/live_protocol.md), shows digits and states, draws the strips.

   A value is live only while the page can prove it: its age is taken against the record's clock, which is
   carried on between messages by the browser's monotonic clock; when the feed is silent nothing is live. */
"use strict";

const SCHEMA = 1, SILENT = 2000, LOOK = 200, FRAME = 30, MOST_COLUMNS = 4000, EVENTS = 100;
const SAMPLES = 1, COLUMNS = 2, GAP = 1;
const QUALITY = [[1, "invalid"], [2, "out of range"], [8, "calibrating"], [16, "suspect"], [4, "questionable"], [32, "demo mode"]];
const SIGNS = {
  "live": ["●", "live"], "stale": ["◌", "stale"], "lost": ["✕", "lost"], "failed": ["✕", "lost"],
  "no connection": ["✕", "lost"], "calibrating": ["◆", "calibrating"], "no data yet": ["○", "none"], "no value": ["○", "none"],
};
const OLD = new Set(["stale", "lost", "failed", "no connection", "no data yet", "no value"]);
const GRID = { 60: 10e3, 120: 30e3, 600: 60e3, 3600: 600e3 };

const $ = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const two = (n) => String(n).padStart(2, "0");
const clockText = (ms, seconds = true) => {
  const at = new Date(ms);
  return two(at.getHours()) + ":" + two(at.getMinutes()) + (seconds ? ":" + two(at.getSeconds()) : "");
};
const bytesText = (n) => n < 1e6 ? (n / 1e3).toFixed(0) + " kB" : n < 1e9 ? (n / 1e6).toFixed(1) + " MB" : (n / 1e9).toFixed(2) + " GB";

/* ---- time: the record's clock, between messages */

const time = {
  offset: null, speed: 1, heard: -Infinity,
  set(nowMs, speed) {
    const found = nowMs - performance.now() * speed;
    // The least delayed message is the nearest to the truth; drift is followed slowly.
    if (this.offset === null || speed !== this.speed || found > this.offset || this.offset - found > 5000) this.offset = found;
    else this.offset += (found - this.offset) * 0.02;
    this.speed = speed;
  },
  now() { return this.offset === null ? null : this.offset + performance.now() * this.speed; },
  silent() { return performance.now() - this.heard > SILENT; },
};

/* ---- what is shown */

const view = { window: 600, points: 900, width: 600e3 / 900, head: null, colours: {} };
const devices = new Map();   // name -> {node, rows, state, ...}
let streams = [];            // by index in the feed
const byKey = new Map();     // "device/stream" -> stream

class Strip {
  /* One channel's trace: least and greatest value per pixel column, in a ring; only new columns are drawn. */
  constructor(channel, stream, colour) {
    this.channel = channel; this.stream = stream; this.colour = colour;
    this.canvas = make("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Trace of " + channel.name);
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
    const unit = this.channel.unit;
    if (unit !== "Cel" && least > 0) least = 0;
    const span = Math.max((most - least) * 1.08, unit === "Cel" ? 2 : 1);
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
    this.ticks.replaceChildren(...[0.08, 0.5, 0.92].map((part) => {
      const value = top - (part - 0.08) / 0.84 * (top - bottom);
      const label = make("span", "", String(+value.toFixed(places)));
      label.style.top = part * 100 + "%";
      return label;
    }));
  }

  row(value) {
    const h = this.canvas.height, part = (value - this.bottom) / (this.top - this.bottom);
    return Math.max(0, Math.min(h - 1, Math.round(h * (0.92 - 0.84 * part))));
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
    this.drawn = head; this.dirty = Infinity;
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
    ctx.fillStyle = colours.grid;
    for (const part of [0.08, 0.5, 0.92]) ctx.fillRect(from - oldest, Math.round(h * part), to - from + 1, 1);
    const tick = Math.ceil(from * view.width / every) * every;
    for (let t = tick; t / view.width < to + 1; t += every) ctx.fillRect(Math.floor(t / view.width) - oldest, 0, 1, h);
    const last = this.stream.time, quiet = last === null ? Infinity : Math.floor((last + this.stream.quiet) / view.width);
    ctx.fillStyle = colours.hatch;
    for (let c = from; c <= to; c++) {
      if (!this.gone[c % n] && c <= quiet) continue;
      for (let y = 9 - c % 10; y < h; y += 10) ctx.fillRect(c - oldest, y, 1, 2);
    }
  }
}

/* ---- building the page from what there is */

function device(name) {
  let found = devices.get(name);
  if (!found) {
    const node = make("section", "device"), title = make("h2");
    const parts = { name: make("b", "", name), state: make("span", "state none"), about: make("span"), cause: make("span", "cause"), counts: make("span", "counts"), simulated: make("span", "badge simulated", "SIMULATED") };
    title.append(parts.name, parts.simulated, parts.state, parts.about, parts.cause, parts.counts);
    node.append(title);
    node.setAttribute("aria-label", name);
    $("empty")?.remove();
    $("devices").append(node);
    found = { node, parts, rows: 0, state: "CONNECTING" };
    devices.set(name, found);
  }
  return found;
}

let colours = 0;

function takeStreams(described) {
  streams = described.map((about) => {
    const key = about.device + "/" + about.stream;
    let stream = byKey.get(key);
    if (!stream) {
      stream = { time: null, values: [], quality: [], lag: null, key };
      stream.rows = about.channels.map((channel) => buildRow(about, channel, stream));
      byKey.set(key, stream);
    }
    const patience = Math.max(...about.channels.map((c) => c.stale_after)) * 1000 * time.speed;
    Object.assign(stream, { about, quiet: patience, bridge: about.rate ? 2500 / about.rate : patience });
    stream.rows.forEach((row, i) => { row.channel = row.strip.channel = about.channels[i]; });
    return stream;
  });
}

function buildRow(about, channel, stream) {
  const owner = device(about.device), colour = colours++ % 8;
  const node = make("article", "channel old"), reading = make("div", "reading");
  const name = make("div", "name"), lag = make("span", "lag");
  lag.title = "From the instant of the sample to this page";
  name.append(make("span", "label", channel.name), lag);
  const digits = make("div", "digits"), output = make("output", "", "—");
  digits.append(output, make("span", "unit", channel.display_unit));
  const status = make("div", "status"), state = make("span", "state none", "○ no data yet");
  status.append(state);
  if (about.confidence === "unconfirmed scale") {
    const tag = make("span", "tag", "scale unconfirmed");
    tag.title = about.source;
    status.append(tag);
  }
  reading.append(name, digits, status);
  reading.style.setProperty("--trace", `var(--trace-${colour})`);
  const strip = new Strip(channel, stream, colour);
  node.append(reading, strip.node);
  node.dataset.channel = about.device + "/" + about.stream + "/" + channel.name;
  owner.node.append(node);
  owner.rows++;
  owner.node.style.flexGrow = owner.rows;
  return { owner, channel, node, output, state, lag, strip, word: "no data yet" };
}

/* ---- the feed */

const link = { socket: null, tries: 0, past: null };

function connect() {
  measure();
  const socket = new WebSocket(`ws://${location.host}/ws?window=${view.window}&points=${view.points}`);
  socket.binaryType = "arraybuffer";
  link.socket = socket;
  link.begun = performance.now();
  socket.onmessage = ({ data }) => {
    if (link.socket !== socket) return;
    time.heard = performance.now();
    if (typeof data === "string") takeText(JSON.parse(data));
    else takeRecords(data);
  };
  socket.onclose = () => {
    if (link.socket !== socket) return;
    link.socket = null;
    time.heard = -Infinity;
    setTimeout(connect, Math.min(250 * 2 ** link.tries++, 2000));
  };
}

function takeText(message) {
  if (message.type === "hello") {
    if (message.schema !== SCHEMA) { location.reload(); return; }
    link.tries = 0;
    say($("station"), message.station); say($("site"), message.site);
    document.title = message.station + " · perfusion";
    $("events").querySelector("ol").replaceChildren();
    takeState(message.state);
    takeStreams(message.streams);
    message.events.forEach(takeEvent);
    request();
  } else if (message.type === "streams") { takeStreams(message.streams); request(); }
  else if (message.type === "state") takeState(message);
  else if (message.type === "event") takeEvent(message);
  else if (message.type === "past") link.past = message;
}

function takeState(state) {
  time.set(state.now_ms, state.speed);
  for (const each of state.devices) {
    const { parts, node } = device(each.name), found = devices.get(each.name);
    found.state = each.state;
    parts.simulated.hidden = !each.simulated;
    const word = each.state.toLowerCase(), bad = word === "lost" || word === "failed";
    parts.state.className = "state " + (bad ? "lost" : word === "streaming" ? "live" : "none");
    say(parts.state, (bad ? "✕ " : word === "streaming" ? "● " : "○ ") + word);
    const where = [each.placement.side, each.placement.site].filter(Boolean).join(" ");
    const what = [each.identity.model, each.identity.serial].filter(Boolean).join(" ");
    say(parts.about, [where, what || each.driver, each.confidence].filter(Boolean).join(" · "));
    say(parts.cause, each.cause);
    const counts = [[each.gaps, "gap"], [each.lost, "sample lost", "samples lost"], [each.noise, "byte of noise", "bytes of noise"]];
    say(parts.counts, counts.filter(([n]) => n).map(([n, one, many]) => n + " " + (n === 1 ? one : many || one + "s")).join(" · "));
    node.classList.toggle("down", bad);
  }
  $("simulated").hidden = !state.devices.some((each) => each.simulated);
  $("speed").hidden = state.speed === 1;
  say($("speed"), "× " + state.speed);
  const record = state.record, badge = $("recording");
  badge.hidden = record.recording === undefined;
  if (!badge.hidden) {
    badge.classList.toggle("off", !record.recording);
    say(badge.querySelector("b"), record.recording ? "RECORDING" : "NOT RECORDING");
    const ago = record.commit_age_s;
    const committed = ago === null ? "nothing saved yet" : ago < 2 ? "saved just now" : "last saved " + ageText(ago) + " ago";
    say(badge.querySelector("small"), record.recording ? bytesText(record.bytes) + " · " + committed : record.trouble || "");
    badge.title = record.path;
  }
}

function takeEvent(event) {
  const list = $("events").querySelector("ol"), item = make("li"), at = make("time", "", clockText(event.time_ms));
  at.dateTime = event.time;
  item.append(at, make("b", "", event.device || "service"), make("span", "", event.text));
  list.prepend(item);
  while (list.children.length > EVENTS) list.lastChild.remove();
}

function takeRecords(buffer) {
  const data = new DataView(buffer);
  advance();
  for (let at = 0; at < buffer.byteLength;) {
    const kind = data.getUint8(at), flags = data.getUint8(at + 1), stream = streams[data.getUint16(at + 2, true)];
    const c = data.getUint16(at + 4, true), n = data.getUint32(at + 8, true), body = at + 16;
    let size = 16;
    if (kind === SAMPLES) {
      size += n * 8 + n * c * 9;
      if (stream && n) takeSamples(stream, flags, new Float64Array(buffer, body, n), new Float64Array(buffer, body + 8 * n, n * c), new Uint8Array(buffer, body + 8 * n * (1 + c), n * c), c);
    } else if (kind === COLUMNS) {
      size += 16 + 8 * n;
      if (stream && link.past) takeColumns(stream.rows[c].strip, data.getFloat64(body, true), data.getFloat64(body + 8, true), new Float32Array(buffer, body + 16, n), new Float32Array(buffer, body + 16 + 4 * n, n));
    } else return;
    at += Math.ceil(size / 8) * 8;
    if (kind === COLUMNS && at >= buffer.byteLength) endPast();
  }
}

function takeSamples(stream, flags, times, values, quality, c) {
  const n = times.length, known = stream.time;
  let row = 0;
  // What a new connection repeats is known already.
  while (row < n && known !== null && times[row] <= known) row++;
  if (row === n) return;
  const after = times[n - 1];
  if (flags & GAP && known !== null && row === 0) for (const { strip } of stream.rows) strip.gap(known, times[0]);
  const reached = Math.floor(after / view.width);
  if (reached > view.head) advance(reached);
  for (let k = 0; k < c; k++) {
    const { strip } = stream.rows[k];
    for (let i = row; i < n; i++) {
      const value = values[i * c + k];
      if (value === value) strip.add(Math.floor(times[i] / view.width), value, value);
    }
    if (known !== null) strip.dirty = Math.min(strip.dirty, Math.floor(known / view.width) + 1);
  }
  stream.time = after;
  stream.values = values.slice((n - 1) * c);
  stream.quality = quality.slice((n - 1) * c);
  stream.lag = Math.max(time.now() - after, 0) / 1000 / time.speed;
}

function takeColumns(strip, start, width, low, high) {
  if (Math.abs(width - view.width) > 1e-6) return;   // asked for before the window was changed
  const first = Math.round(start / width);
  for (let i = 0; i < low.length; i++) if (low[i] === low[i]) strip.add(first + i, low[i], high[i]);
}

function endPast() {
  const { gaps } = link.past;
  link.past = null;
  for (const [index, found] of Object.entries(gaps)) {
    for (const { strip } of streams[index]?.rows || []) {
      for (const [from, to] of found) strip.gap(from, to);
      strip.rescale = true; strip.drawn = null;
    }
  }
  document.body.dataset.past = view.window + "/" + view.points;
}

function request() {
  if (link.socket?.readyState === WebSocket.OPEN) link.socket.send(JSON.stringify({ window: view.window, points: view.points }));
}

/* ---- columns and time */

function measure() {
  const first = document.querySelector(".strip canvas"), ratio = window.devicePixelRatio || 1;
  const css = first ? first.clientWidth : document.body.clientWidth - 570;
  const points = Math.max(50, Math.min(Math.round(css * ratio), MOST_COLUMNS));
  // The feed's grid: columns are whole multiples of 1024 ns wide.
  const width = Math.max(Math.round(view.window * 1e9 / points / 1024), 1) * 1024 / 1e6;
  if (points === view.points && width === view.width && view.head !== null) return false;
  view.points = points; view.width = width; view.head = null;
  for (const { rows } of byKey.values()) for (const { strip } of rows) strip.reset();
  advance();
  return true;
}

function advance(to) {
  const now = time.now();
  const head = Math.max(to ?? 0, now === null ? 0 : Math.floor(now / view.width));
  if (!head || (view.head !== null && head <= view.head)) return;
  if (view.head !== null) for (const { rows } of byKey.values()) for (const { strip } of rows) strip.clear(view.head + 1, head);
  view.head = head;
}

function remeasure() {
  if (measure()) request();
}

function axis() {
  const canvas = $("axis"), ratio = window.devicePixelRatio || 1, ctx = canvas.getContext("2d");
  const strip = document.querySelector(".strip canvas");
  if (strip) canvas.style.width = strip.clientWidth + "px";
  canvas.width = Math.round(canvas.clientWidth * ratio); canvas.height = Math.round(canvas.clientHeight * ratio);
  ctx.font = `${11.5 * ratio}px system-ui, sans-serif`;
  ctx.fillStyle = view.colours.muted; ctx.textAlign = "center"; ctx.textBaseline = "middle";
  const every = GRID[view.window], oldest = view.head - view.points + 1, scale = canvas.width / view.points;
  for (let t = Math.ceil(oldest * view.width / every) * every; t / view.width <= view.head; t += every) {
    const x = (Math.floor(t / view.width) - oldest) * scale;
    if (x < 24 * ratio || x > canvas.width - 30 * ratio) continue;
    ctx.fillText(clockText(t, every < 60e3), Math.round(x), canvas.height / 2);
  }
}

/* ---- digits and states */

function wordOf(row, stream, index, now) {
  if (time.silent()) return "no connection";
  if (stream.time === null) return "no data yet";
  const state = row.owner.state;
  if (state === "LOST" || state === "FAILED") return state.toLowerCase();
  if ((now - stream.time) / 1000 / time.speed > row.channel.stale_after) return "stale";
  for (const [flag, word] of QUALITY) if (stream.quality[index] & flag) return word;
  return Number.isFinite(stream.values[index]) ? "live" : "no value";
}

function ageText(seconds) {
  return seconds < 100 ? seconds.toFixed(0) + " s" : seconds < 6000 ? (seconds / 60).toFixed(0) + " min" : (seconds / 3600).toFixed(1) + " h";
}

function look() {
  const now = time.now(), cut = time.silent();
  const badge = $("link");
  badge.className = "badge " + (cut ? (link.tries || time.offset !== null ? "cut" : "wait") : "open");
  say(badge.querySelector("i"), cut ? "✕" : "●");
  say(badge.querySelector("b"), cut ? "NO CONNECTION" : "connected");
  if (cut && link.socket && performance.now() - Math.max(link.begun, time.heard) > 2 * SILENT) link.socket.close();
  for (const stream of byKey.values()) {
    stream.rows.forEach((row, i) => {
      const word = wordOf(row, stream, i, now), value = stream.values[i];
      const [sign, style] = SIGNS[word] || ["▲", "range"];
      const old = OLD.has(word), aged = stream.time !== null && (word === "stale" || word === "no connection" || style === "lost");
      say(row.output, Number.isFinite(value) ? value.toFixed(row.channel.decimals) : "—");
      say(row.state, sign + " " + word + (aged && now !== null ? " · " + ageText((now - stream.time) / 1000 / time.speed) : ""));
      say(row.lag, !old && stream.lag !== null ? "lag " + (stream.lag < 1 ? Math.round(stream.lag * 100) * 10 + " ms" : stream.lag.toFixed(1) + " s") : "");
      if (word === row.word && !row.fresh) return;
      row.fresh = false;
      row.state.className = "state " + style;
      row.node.className = "channel" + (old ? " old" : style === "range" ? " doubt" : style === "calibrating" ? " calibration" : "");
      row.node.dataset.word = word;
      if (row.word === "live" || word === "live") say($("news"), row.channel.name + ": " + word);
      row.word = word;
    });
  }
  if (now !== null) { say($("clock"), clockText(now)); advance(); }
}

/* ---- drawing */

let drawnAt = 0, axisHead = null, shrink = 0;

function frame(at) {
  requestAnimationFrame(frame);
  if (at - drawnAt < FRAME || view.head === null) return;
  drawnAt = at;
  advance();
  const narrow = at - shrink > 3000;
  if (narrow) shrink = at;
  for (const { rows } of byKey.values()) {
    for (const { strip } of rows) {
      if (narrow) strip.rescale = true;
      strip.draw();
    }
  }
  if (axisHead !== view.head) { axis(); axisHead = view.head; }
}

/* ---- keys, theme, window */

function theme(name) {
  document.documentElement.dataset.theme = name;
  const style = getComputedStyle(document.documentElement), colour = (key) => style.getPropertyValue("--" + key).trim();
  view.colours = {
    traces: Array.from({ length: 8 }, (_, i) => colour("trace-" + i)),
    grid: colour("grid"), hatch: colour("hatch"), muted: colour("muted"),
  };
  for (const { rows } of byKey.values()) for (const { strip } of rows) strip.drawn = null;
  axisHead = null;
}

function choose(seconds) {
  view.window = +seconds;
  document.querySelector(`input[value="${seconds}"]`).checked = true;
  remember("window", seconds);
  remeasure();
}

function events(shown) {
  $("events").hidden = !shown;
  $("toggle-events").setAttribute("aria-expanded", String(shown));
  remember("events", shown ? "1" : "0");
}

function remember(key, value) {
  try { localStorage.setItem("perfusion." + key, value); } catch { /* private mode: nothing is remembered */ }
}

function recall(key) {
  try { return localStorage.getItem("perfusion." + key); } catch { return null; }
}

function toggleTheme() {
  const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  remember("theme", next);
  theme(next);
}

function begin() {
  const light = matchMedia("(prefers-color-scheme: light)");
  theme(recall("theme") || (light.matches ? "light" : "dark"));
  light.addEventListener("change", () => { if (!recall("theme")) theme(light.matches ? "light" : "dark"); });
  if (GRID[recall("window")]) choose(recall("window"));
  events(recall("events") ? recall("events") === "1" : document.body.clientWidth > 1200);
  $("theme").onclick = toggleTheme;
  $("toggle-events").onclick = () => events($("events").hidden);
  $("toggle-help").onclick = () => $("help").showModal();
  $("windows").onchange = ({ target }) => choose(target.value);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase(), windows = Object.keys(GRID);
    if (windows[key - 1]) choose(windows[key - 1]);
    else if (key === "t") toggleTheme();
    else if (key === "e") events($("events").hidden);
    else if (key === "?") { if ($("help").open) $("help").close(); else $("help").showModal(); }
  });
  let settle = 0;
  new ResizeObserver(() => {
    clearTimeout(settle);
    settle = setTimeout(remeasure, 120);
  }).observe($("devices"));
  setInterval(look, LOOK);
  requestAnimationFrame(frame);
  connect();
}

begin();
