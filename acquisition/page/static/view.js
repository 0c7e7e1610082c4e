/* What every part of the page shares: what is shown, in which colours, and how text is put there. */

/** `points` columns of `width` ms, up to column number `head`: column k holds k * width <= time < (k + 1) * width.
    `wall` ms later than the times of the record is what the clock on the wall showed. */
export const view = { window: 600, points: 900, width: 600e3 / 900, head: null, wall: 0, colours: {}, session: {}, stages: [], marks: [] };

/** Lines of time, every so many ms, by the shown seconds. */
export const GRID = { 60: 10e3, 120: 30e3, 600: 60e3, 3600: 600e3 };

/** The lines of time from column `from` to column `to`, ms of the record: whole `every` ms of the wall clock. */
export const lines = (every, from, to) => {
  const found = [];
  let at = Math.ceil((from * view.width + view.wall) / every) * every - view.wall;
  for (; at / view.width < to; at += every) found.push(at);
  return found;
};

export const $ = (id) => document.getElementById(id);
export const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
export const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
export const two = (n) => String(n).padStart(2, "0");
export const clockText = (ms, seconds = true) => {
  const at = new Date(ms);
  return two(at.getHours()) + ":" + two(at.getMinutes()) + (seconds ? ":" + two(at.getSeconds()) : "");
};
export const digitsOf = (value, places) => {
  const text = value.toFixed(places);
  return /^-[0.]+$/.test(text) ? text.slice(1) : text;
};
export const bytesText = (n) => n < 1e6 ? (n / 1e3).toFixed(0) + " kB" : n < 1e9 ? (n / 1e6).toFixed(1) + " MB" : (n / 1e9).toFixed(2) + " GB";
