/* The live page's client: reads the feed (docs/live_protocol.md), shows digits and states, draws the strips.

   A value is live only while the page can prove it: its age is taken against the record's clock, which is
   carried on between messages by the browser's monotonic clock; when the feed is silent nothing is live. */

import { openDesk, pressed, takeAnswer } from "./desk.js";
import { takeSession, tickSession } from "./session.js";
import { Strip } from "./strip.js";
import { $, GRID, bytesText, clockText, digitsOf, lines, make, say, view } from "./view.js";

const SILENT = 2000, LOOK = 200, FRAME = 30, MOST_COLUMNS = 4000, EVENTS = 100;
const SESSION = new Set(["session", "mark", "note", "observation", "correction"]);
const SAMPLES = 1, COLUMNS = 2, GAP = 1;
const QUALITY = [[1, "invalid"], [2, "out of range"], [8, "calibrating"], [16, "suspect"], [4, "questionable"], [32, "demo mode"]];
const SIGNS = {
  "live": ["●", "live"], "stale": ["◌", "stale"], "lost": ["✕", "lost"], "failed": ["✕", "lost"],
  "no connection": ["✕", "lost"], "calibrating": ["◆", "calibrating"], "no data yet": ["○", "none"], "no value": ["○", "none"],
};
const OLD = new Set(["stale", "lost", "failed", "no connection", "no data yet", "no value"]);

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

const devices = new Map();   // name -> {node, rows, state, ...}
let streams = [];            // by index in the feed
const byKey = new Map();     // "device/stream" -> stream

function* strips() {
  for (const { rows } of byKey.values()) for (const { strip } of rows) if (strip) yield strip;
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
    stream.rows.forEach((row, i) => { row.channel = about.channels[i]; say(row.label, row.channel.label); });
    return stream;
  });
}

function buildRow(about, channel, stream) {
  const owner = device(about.device);
  const node = make("article", "channel old"), reading = make("div", "reading");
  const label = make("span", "label", channel.label), lag = make("span", "lag"), state = make("span", "state none", "○ no data yet");
  lag.title = "From the instant of the sample to this page";
  const digits = make("div", "digits"), output = make("output", "", "—");
  digits.append(output, make("span", "unit", channel.display_unit));
  reading.append(label, lag, digits, state);
  if (about.confidence === "unconfirmed scale") {
    const tag = make("span", "tag", "scale");
    tag.append(make("span", "", " unconfirmed"));
    tag.title = "The scale is unconfirmed: " + about.source;
    reading.append(tag);
  }
  node.append(reading);
  node.dataset.channel = about.device + "/" + about.stream + "/" + channel.name;
  const row = { owner, channel, node, label, output, state, lag, strip: null, word: "no data yet" };
  if (channel.small) {
    owner.small ??= owner.node.appendChild(make("div", "small"));
    owner.small.append(node);
    return row;
  }
  const colour = colours++ % 8;
  reading.style.setProperty("--trace", `var(--trace-${colour})`);
  row.strip = new Strip(channel, stream, colour);
  node.append(row.strip.node);
  owner.node.insertBefore(node, owner.small || null);
  owner.node.style.flexGrow = ++owner.rows;
  return row;
}

/* ---- the feed */

const link = { socket: null, tries: 0, past: null, instance: null };

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
    // Another start of the service may have another record, other instruments, another version of this page.
    if (link.instance && message.instance !== link.instance) { location.reload(); return; }
    link.instance = message.instance;
    link.tries = 0;
    openDesk(message.marks, sendOut);
    say($("station"), message.station); say($("site"), message.site);
    document.title = message.station + " · perfusion";
    $("events").querySelector("ol").replaceChildren();
    takeState(message.state);
    takeStreams(message.streams);
    message.events.forEach(takeEvent);
    remeasure() || request();
  } else if (message.type === "streams") { takeStreams(message.streams); remeasure() || request(); }
  else if (message.type === "state") takeState(message);
  else if (message.type === "event") takeEvent(message);
  else if (message.type === "answer") takeAnswer(message);
  else if (message.type === "past") link.past = message;
}

function takeState(state) {
  time.set(state.now_ms, state.speed);
  if (view.wall !== state.wall_ms) {
    view.wall = state.wall_ms;
    axisHead = null;
    for (const strip of strips()) strip.rescale = true;
  }
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
  if (takeSession(state.session)) redraw();
  $("simulated").hidden = !state.devices.some((each) => each.simulated);
  $("speed").hidden = state.speed === 1;
  say($("speed"), "× " + state.speed);
  takeRecording(state.record);
  takeRemotes(state.remotes);
  takeAlarms(state.alarms);
}

/** What stands against the service itself; built anew only where it changed, so that it is read out once. */
function takeAlarms(alarms) {
  const banner = $("alarms"), told = JSON.stringify(alarms);
  if (banner.dataset.told === told) return;
  banner.dataset.told = told;
  banner.hidden = !alarms.length;
  banner.replaceChildren(...alarms.map((each) => {
    const line = make("p");
    line.append(make("b", "", each.text), make("span", "", " " + each.remedy));
    return line;
  }));
}

/** Where copies of the record go; while one takes nothing the record keeps it, so this is never an alarm of the bedside. */
function takeRemotes(remotes) {
  const badge = $("remotes"), away = remotes.filter((each) => each.state !== "delivering" && each.state !== "starting");
  badge.hidden = !remotes.length;
  badge.className = "badge" + (away.length ? " away" : "");
  const what = (each) => (each.state === "delivering" ? "● " : each.state === "starting" ? "○ " : "▲ ") + each.name + " " + each.state;
  say(badge, (away.length ? away : remotes).map(what).join(" · "));
  badge.title = remotes.map((each) => what(each) + (each.reason ? ": " + each.reason : "")).join("\n");
}

function takeRecording(record) {
  const badge = $("recording"), ago = record.commit_age_s;
  badge.hidden = record.recording === undefined;
  if (badge.hidden) return;
  badge.className = "badge" + (record.recording ? "" : " off");
  say(badge.querySelector("b"), record.recording ? "RECORDING" : "NOT RECORDING");
  const saved = ago === null ? "nothing saved yet" : ago < 2 ? "saved just now" : "last saved " + ageText(ago) + " ago";
  say(badge.querySelector("small"), record.recording ? bytesText(record.bytes) + " · " + saved : record.trouble || "");
  badge.title = record.path;
}

/** Without a feed the page cannot know how things stand, and says so. */
function disown() {
  for (const { parts } of devices.values()) {
    parts.state.className = "state none";
    say(parts.state, "○ unknown");
  }
  $("recording").className = "badge unknown";
  say($("recording").querySelector("b"), "RECORDING UNKNOWN");
  say($("recording").querySelector("small"), "");
  $("remotes").hidden = true;
}

function takeEvent(event) {
  const list = $("events").querySelector("ol"), item = make("li"), at = make("time", "", clockText(Date.parse(event.time)));
  at.dateTime = event.time;
  item.append(at, make("b", "", event.device || (SESSION.has(event.kind) ? "session" : "service")), make("span", "", event.text));
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
      if (stream?.rows[c].strip && link.past) takeColumns(stream.rows[c].strip, data.getFloat64(body, true), data.getFloat64(body + 8, true), new Float32Array(buffer, body + 16, n), new Float32Array(buffer, body + 16 + 4 * n, n));
    } else return;
    at += Math.ceil(size / 8) * 8;
    if (kind === COLUMNS && at >= buffer.byteLength) endPast();
  }
}

function takeSamples(stream, flags, times, values, quality, c) {
  const n = times.length, known = stream.time, after = times[n - 1];
  if (flags & GAP && known !== null && times[0] > known) for (const { strip } of stream.rows) strip?.gap(known, times[0]);
  const reached = Math.floor(after / view.width);
  if (reached > view.head) advance(reached);
  for (let k = 0; k < c; k++) {
    const { strip } = stream.rows[k];
    if (!strip) continue;
    for (let i = 0; i < n; i++) {
      const value = values[i * c + k];
      if (value === value) strip.add(Math.floor(times[i] / view.width), value, value);
    }
    if (known !== null && after > known) strip.dirty = Math.min(strip.dirty, Math.floor(known / view.width) + 1);
  }
  // What comes again with the past is drawn again, but is not news.
  if (known !== null && after <= known) return;
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
  const { gaps, window, points } = link.past;
  link.past = null;
  for (const [index, found] of Object.entries(gaps)) {
    for (const { strip } of streams[index]?.rows || []) {
      if (!strip) continue;
      for (const [from, to] of found) strip.gap(from, to);
      strip.rescale = true; strip.drawn = null;
    }
  }
  document.body.dataset.past = window + "/" + points;
}

/** Send to the service; answers whether there is a link that can carry it. */
function sendOut(message) {
  const open = link.socket?.readyState === WebSocket.OPEN && !time.silent();
  if (open) link.socket.send(JSON.stringify(message));
  return open;
}

function request() {
  sendOut({ window: view.window, points: view.points });
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
  for (const strip of strips()) strip.reset();
  advance();
  return true;
}

function advance(to) {
  const now = time.now();
  const head = Math.max(to ?? 0, now === null ? 0 : Math.floor(now / view.width));
  if (!head || (view.head !== null && head <= view.head)) return;
  if (view.head !== null) for (const strip of strips()) strip.clear(view.head + 1, head);
  view.head = head;
}

function remeasure() {
  // Where all channels do not fit, the rows are made lower before anything has to be scrolled.
  const main = $("devices"), rows = main.querySelectorAll(".strip").length;
  const rest = devices.size * 27 + main.querySelectorAll(".small").length * 30;
  document.body.classList.toggle("dense", rows * 86 + rest > main.clientHeight);
  const changed = measure();
  if (changed) request();
  return changed;
}

function axis() {
  const canvas = $("axis"), ratio = window.devicePixelRatio || 1, ctx = canvas.getContext("2d");
  const strip = document.querySelector(".strip canvas");
  if (strip) canvas.style.width = strip.clientWidth + "px";
  canvas.width = Math.round(canvas.clientWidth * ratio); canvas.height = Math.round(canvas.clientHeight * ratio);
  ctx.font = `${11.5 * ratio}px system-ui, sans-serif`;
  ctx.fillStyle = view.colours.muted; ctx.textAlign = "center"; ctx.textBaseline = "middle";
  const every = GRID[view.window], oldest = view.head - view.points + 1, scale = canvas.width / view.points;
  const row = 23 * ratio, top = canvas.height - row, place = (ms) => Math.round((Math.floor(ms / view.width) - oldest) * scale);
  for (const t of lines(every, oldest, view.head + 1)) {
    const x = place(t);
    if (x > 24 * ratio && x < canvas.width - 30 * ratio) ctx.fillText(clockText(t + view.wall, every < 60e3), x, top + row / 2);
  }
  ctx.textAlign = "left";
  view.stages.forEach(({ ms, name }, k) => {
    const x = Math.max(place(ms), 0), end = view.stages[k + 1] ? place(view.stages[k + 1].ms) : canvas.width;
    if (end <= 0 || !top) return;
    ctx.fillStyle = view.colours[k % 2 ? "tint" : "grid"];
    ctx.fillRect(x, 0, end - x, top);
    ctx.fillStyle = view.colours.mark;
    ctx.fillRect(x, 0, ratio, top);
    ctx.fillStyle = view.colours.text;
    if (ctx.measureText(name).width + 10 * ratio < end - x) ctx.fillText(name, x + 5 * ratio, top / 2);
  });
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
  if (cut) disown();
  if (cut && link.socket && performance.now() - Math.max(link.begun, time.heard) > 2 * SILENT) link.socket.close();
  for (const stream of byKey.values()) {
    stream.rows.forEach((row, i) => {
      const word = wordOf(row, stream, i, now), value = stream.values[i];
      const [sign, style] = SIGNS[word] || ["▲", "range"];
      const old = OLD.has(word), aged = stream.time !== null && (word === "stale" || word === "no connection" || style === "lost");
      say(row.output, Number.isFinite(value) ? digitsOf(value, row.channel.decimals) : "—");
      say(row.state, sign + " " + word + (aged && now !== null ? " · " + ageText((now - stream.time) / 1000 / time.speed) : ""));
      say(row.lag, !old && stream.lag !== null ? "lag " + (stream.lag < 1 ? Math.round(stream.lag * 100) * 10 + " ms" : stream.lag.toFixed(1) + " s") : "");
      if (word === row.word) return;
      row.state.className = "state " + style;
      row.node.className = "channel" + (old ? " old" : style === "range" ? " doubt" : style === "calibrating" ? " calibration" : "");
      row.node.dataset.word = word;
      if (row.word === "live" || word === "live") say($("news"), row.channel.label + ": " + word);
      row.word = word;
    });
  }
  tickSession(now);
  if (now !== null) { say($("clock"), clockText(now + view.wall)); advance(); }
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
  for (const strip of strips()) {
    if (narrow) strip.rescale = true;
    strip.draw();
  }
  if (axisHead !== view.head) { axis(); axisHead = view.head; }
}

/* ---- keys, theme, window */

function theme(name) {
  document.documentElement.dataset.theme = name;
  const style = getComputedStyle(document.documentElement), colour = (key) => style.getPropertyValue("--" + key).trim();
  view.colours = {
    traces: Array.from({ length: 8 }, (_, i) => colour("trace-" + i)),
    grid: colour("grid"), tint: colour("tint"), mark: colour("mark"), text: colour("text"), hatch: colour("hatch"), muted: colour("muted"),
  };
  redraw();
}

function redraw() {
  for (const strip of strips()) strip.drawn = null;
  axisHead = null;
}

function choose(seconds) {
  view.window = +seconds;
  document.querySelector(`input[value="${seconds}"]`).checked = true;
  remember("window", seconds);
  remeasure();
}

function events(shown) {
  $("side").hidden = !shown;
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
  $("toggle-events").onclick = () => events($("side").hidden);
  $("toggle-help").onclick = () => $("help").showModal();
  $("windows").onchange = ({ target }) => choose(target.value);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.toLowerCase(), windows = Object.keys(GRID);
    if (event.target.id === "why" || $("help").open && key !== "?") return;
    if (!event.repeat && pressed(key)) event.preventDefault();
    else if (windows[key - 1]) choose(windows[key - 1]);
    else if (key === "t") toggleTheme();
    else if (key === "e") events($("side").hidden);
    else if (key === "?") { if ($("help").open) $("help").close(); else $("help").showModal(); }
  });
  let settle = 0;
  new ResizeObserver(() => {
    clearTimeout(settle);
    settle = setTimeout(remeasure, 120);
  }).observe($("devices"));
  setInterval(look, LOOK);
  // Timers of a hidden page are held back.
  document.addEventListener("visibilitychange", look);
  requestAnimationFrame(frame);
  connect();
}

begin();
