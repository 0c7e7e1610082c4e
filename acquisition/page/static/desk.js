/* What a person says of the examination: marks by key, also some seconds late; undo with a reason; stop by hold. */

import { $, make, say, view } from "./view.js";

const HOLD = 1000, UNDONE = "undone on the page";
let send = null, number = 0, held = 0;
const asked = new Map();   // number of a request -> what it was, in words

/** Take note of whether the page may order, and by what it sends. */
export function openDesk(allowed, sender) {
  send = allowed ? sender : null;
  $("desk").hidden = !send;
  for (const what of asked.values()) tell(what + ": no answer came; look at the marks", "bad");
  asked.clear();
}

/** Offer what may be marked now. */
export function offer(session) {
  $("offers").replaceChildren(...session.marks.flatMap((mark) => {
    const one = (text, value) => {
      const button = make("button", mark.opens ? "opens" : "", text);
      button.type = "button";
      button.dataset.mark = mark.name;
      if (mark.key && value === undefined) button.append(" ", make("kbd", "", mark.key.toUpperCase()));
      button.onclick = () => set(mark, value);
      return button;
    };
    if (!mark.values.length) return [one(mark.say)];
    const group = make("fieldset", "values"), legend = make("legend", "", mark.say);
    group.append(legend, ...mark.values.map((value) => one(value.replaceAll("_", " "), value)));
    return [group];
  }));
  $("go-on").hidden = !session.next_phase || session.marks.some((mark) => mark.opens === session.next_phase);
  $("undo").hidden = !latest();
}

/** Take a key that stands for an order; answers whether it does. */
export function pressed(key) {
  if (!send || !view.session.session) return false;
  const mark = view.session.marks.find((each) => each.key === key);
  if (mark?.values.length) document.querySelector(`[data-mark="${mark.name}"]`).focus();
  else if (mark) set(mark);
  else if (key === "n" && !$("go-on").hidden) goOn();
  else if (key === "u") undo();
  else return false;
  return true;
}

/** Take what became of a request. */
export function takeAnswer({ id, done, committed, warnings = [], error, cause, remedy }) {
  const what = asked.get(id);
  asked.delete(id);
  if (what === undefined) return;
  if (error) tell([what + " refused: " + error, cause, remedy].filter(Boolean).join("; "), "bad");
  else tell([done + (committed ? "" : " (not yet saved)"), ...warnings].join("; "), committed && !warnings.length ? "good" : "bad");
  if (!error) $("why").value = "";
}

function order(what, request) {
  if (!send?.({ id: ++number, ...request })) return tell(what + " not sent: no connection", "bad");
  asked.set(number, what);
  tell(what + " …", "");
}

function set(mark, value) {
  const slider = $("earlier").querySelector("input"), ago = Number(slider.value);
  const chosen = value === undefined ? {} : { value };
  order(mark.say, { do: "session.mark", name: mark.name, ago, early: reason(), ...chosen });
  slider.value = 0;
  slide();
}

const reason = () => $("why").value.trim();
const latest = () => (view.session.items || []).findLast((item) => item.kind === "mark" && !item.struck);
const goOn = () => order("next phase", { do: "session.next", early: reason() });
const stop = () => order("end", { do: "session.stop", reason: reason() });

function undo() {
  const item = latest();
  if (item) order("undo " + item.name, { do: "session.correct", entry: item.entry, field: "struck", value: true, reason: reason() || UNDONE });
}

function tell(text, kind) {
  say($("said"), text);
  $("said").className = kind;
}

function slide() {
  const { value } = $("earlier").querySelector("input");
  say($("earlier").querySelector("output"), value === "0" ? "now" : value + " s ago");
}

function hold() {
  if (held) return;
  $("stop").classList.add("held");
  held = setTimeout(() => { release(); stop(); }, HOLD);
}

function release() {
  clearTimeout(held);
  held = 0;
  $("stop").classList.remove("held");
}

const isPress = (event) => event.key === " " || event.key === "Enter";
$("desk").onsubmit = (event) => event.preventDefault();
$("earlier").oninput = slide;
$("go-on").onclick = goOn;
$("undo").onclick = undo;
$("stop").onpointerdown = hold;
$("stop").onpointerup = $("stop").onpointerleave = $("stop").onblur = release;
$("stop").onkeydown = (event) => { if (isPress(event)) { event.preventDefault(); hold(); } };
$("stop").onkeyup = release;
