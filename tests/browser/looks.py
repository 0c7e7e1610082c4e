"""What a person sees on the live page: its rows, words, digits and traces."""

import json
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
    page.wait_for_selector("[data-past]", timeout=10_000)
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]', timeout=10_000)
    page.wait_for_timeout(200)
    return page
