"""Looks of the live page as a person sees it: its rows, words, digits and traces."""

import json
import time
import urllib.request

CHANNELS = ("ldf/ldf/flux", "ldf/ldf/backscatter", "tcpo2/tcpo2/chest", "tcpo2/tcpo2/calf", "treadmill/belt/speed")
FLUX = CHANNELS[0]

COLUMNS = """(canvas) => {
  // Per column of the trace: the rows in the trace's colour, as [first, last], or null.
  const { width, height } = canvas, copy = new OffscreenCanvas(width, height);
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, width, height).data;
  const name = getComputedStyle(canvas.closest(".channel").querySelector(".reading")).borderLeftColor;
  const colour = name.match(/\\d+/g).map(Number);
  return Array.from({ length: width }, (_, x) => {
    let first = null, last = null;
    for (let y = 0; y < height; y++) {
      const i = 4 * (y * width + x);
      if (data[i + 3] > 250 && colour.every((v, k) => Math.abs(data[i + k] - v) < 3)) { first ??= y; last = y; }
    }
    return first === null ? null : [first, last];
  });
}"""


TURNED = """([row, word]) => {
  // When the row's word has turned to another one, or to `word`; ms of the host's clock.
  const own = row.dataset.word;
  window.turned = new Promise((done) => {
    const look = () => (word ? row.dataset.word === word : row.dataset.word !== own) && done(Date.now());
    new MutationObserver(look).observe(row, { attributes: true, attributeFilter: ["data-word"] });
  });
}"""


def seconds_until_turned(page, channel, act, word=""):
    """Seconds from an act until the word of a channel is another one, or `word`, as the page itself sees it."""
    page.evaluate(TURNED, [row(page, channel).element_handle(), word])
    began = time.time()
    act()
    return page.evaluate("window.turned") / 1e3 - began


def eventually(page, condition, what):
    """Wait until a condition holds, while the browser goes on; a busy machine may take its time."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        page.wait_for_timeout(50)


def row(page, channel):
    return page.locator(f'[data-channel="{channel}"]')


def digits(page, channel=FLUX):
    return row(page, channel).locator("output").inner_text()


def word(page, channel=FLUX):
    return row(page, channel).get_attribute("data-word")


def trace(page, channel=FLUX):
    return page.evaluate(COLUMNS, row(page, channel).locator("canvas").element_handle())


def snapshot(bench):
    with urllib.request.urlopen(bench.url + "api/snapshot") as answer:
        found = json.loads(answer.read())
    return {f"{d['name']}/{c['stream']}/{c['name']}": c for d in found["devices"] for c in d["channels"]}


def ready(page):
    """Wait until the first values and the past are drawn."""
    page.wait_for_selector("[data-past]")
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')
    page.wait_for_timeout(200)
    return page
