/* The examination that goes on: whose it is, its phases and marks, beside the traces and in them. */

import { offer } from "./desk.js";
import { $, clockText, make, say, two, view } from "./view.js";

const NOTHING = "{}";
let known = NOTHING;

const plain = (name) => name.replaceAll("_", " ");

/** Take the session of a state message; answers whether what is drawn of it has changed. */
export function takeSession(session) {
  const open = Boolean(session.session);
  $("who").hidden = $("session").hidden = !open;
  document.body.classList.toggle("examined", open);
  view.session = session;
  const drawn = JSON.stringify(open ? [session.session, session.stages, session.items, session.marks] : {});
  if (drawn === known) return false;
  known = drawn;
  view.stages = (session.stages || []).map((stage) => ({ ms: stage.start_key / 1e6, said: Date.parse(stage.start), name: plain(stage.phase) }));
  view.marks = (session.items || []).filter((item) => item.kind === "mark" && !item.struck)
    .map((item) => ({ ms: item.at_key / 1e6, said: Date.parse(item.time), name: plain(item.name) }));
  if (open) build(session);
  return true;
}

function build(session) {
  say($("who"), [session.subject, session.visit, session.limb].filter(Boolean).join(" · "));
  say($("session").querySelector("h2"), session.title);
  $("stages").replaceChildren(...view.stages.map((stage, i) => {
    const item = make("li", i === view.stages.length - 1 ? "present" : "");
    item.append(make("time", "", clockText(stage.said)), make("b", "", stage.name));
    return item;
  }));
  say($("do"), session.say);
  say($("next"), session.next_phase ? "then: " + plain(session.next_phase) : "");
  $("marks").replaceChildren(...view.marks.slice().reverse().map((mark) => {
    const item = make("li");
    item.append(make("time", "", clockText(mark.said)), make("b", "", mark.name));
    return item;
  }));
  $("marks").hidden = !view.marks.length;
  offer(session);
}

/** Show how long the present phase has lasted. */
export function tickSession(now) {
  if (!view.stages.length || now === null) return;
  const span = (s) => Math.floor(s / 60) + ":" + two(Math.floor(s % 60));
  const planned = view.session.planned_s;
  const elapsed = Math.max(now - view.stages.at(-1).ms, 0) / 1000;
  say($("elapsed"), span(elapsed));
  say($("planned"), planned ? "of " + span(planned) : "");
  $("timer").classList.toggle("over", Boolean(planned) && elapsed > planned);
}
