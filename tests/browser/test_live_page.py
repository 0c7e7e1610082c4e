"""The live page in a real browser, on a bedside that publishes in real time."""

import threading
import time
from pathlib import Path

import apsw
import pytest

from acquisition.model import Alarm, Quality
from acquisition.page import server
from tests.browser.looks import (
    CHANNELS,
    COLUMNS,
    FLUX,
    digits,
    eventually,
    ready,
    row,
    seconds_until_turned,
    snapshot,
    trace,
    word,
)
from tests.faults.disk import Disk
from tests.live_bench import LiveBench

TRIES = 5
"""How often a busy machine may miss what the page promises within three seconds."""


def test_values_change_and_nothing_is_asked_of_another_host(bench, visit):
    page = ready(visit(bench.url))
    seen = set()
    eventually(page, lambda: seen.add(digits(page)) or len(seen) > 3, "values change")
    assert page.title() == "bed1 · perfusion"


def test_the_page_weighs_less_than_60_kb(bench, visit):
    page = ready(visit(bench.url))
    eventually(page, lambda: len(visit.bytes) >= 8, "all files being there")
    assert {url.rpartition("/")[2] for url in visit.bytes} == {
        "",
        "app.js",
        "desk.js",
        "session.js",
        "strip.js",
        "view.js",
        "style.css",
        "icon.svg",
    }
    assert sum(visit.bytes.values()) < 60_000


def test_digits_equal_the_api(bench, visit):
    bench.hold = 55.349
    page = ready(visit(bench.url))
    eventually(page, lambda: {digits(page, each)[:2] for each in CHANNELS} == {"55"}, "the held value in every row")
    found = snapshot(bench)
    assert len(found) == 6
    for channel, said in found.items():
        assert said["value"] == 55.349
        assert digits(page, channel) == f"{said['value']:.{said['decimals']}f}"
        assert row(page, channel).locator(".unit").inner_text() == said["display_unit"]
        assert word(page, channel) == said["word"] == "live"


@pytest.mark.parametrize("flag", [flag for flag in Quality if flag])
def test_what_is_known_against_a_value_is_told_in_the_words_of_the_api(bench, visit, flag):
    bench.quality = int(flag)
    page = visit(bench.url)
    page.wait_for_selector("[data-past]")
    said = snapshot(bench)[FLUX]["word"]
    assert said != "live"
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="{said}"]')
    text = row(page, FLUX).locator(".state").inner_text()
    assert text[0] in "▲◆"
    assert text[2:] == said


def test_a_failing_disk_is_a_banner_within_five_seconds_until_it_is_well(tmp_path, visit):
    with Disk("disk of the page") as disk, LiveBench(tmp_path, which=("ldf",), vfs=disk.name) as bench:
        page = ready(visit(bench.url))
        badge = page.locator("#recording")
        assert badge.locator("b").inner_text() == "RECORDING"

        def refuse(what, path):
            if what == "write":
                raise apsw.FullError("no space left")

        disk.refuse = refuse
        page.wait_for_selector("#recording.off")
        assert badge.locator("b").inner_text() == "NOT RECORDING"
        assert "wait in memory" in badge.locator("small").inner_text()
        assert word(page) == "live", "the instruments go on"
        disk.refuse = None
        page.wait_for_selector("#recording:not(.off)")
        assert badge.locator("b").inner_text() == "RECORDING"


def test_a_stopped_feed_is_marked_stale_within_three_seconds(bench, visit):
    page = ready(visit(bench.url))
    assert struck(page) is False
    took = []
    while not took or (min(took) >= 3.0 and len(took) < TRIES):
        took.append(seconds_until_turned(page, FLUX, lambda: setattr(bench, "running", False), "stale"))
        assert struck(page) is True
        assert row(page, FLUX).locator(".state").inner_text().startswith("◌ stale")
        assert snapshot(bench)[FLUX]["word"] == "stale"
        bench.running = True
        page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')
        assert struck(page) is False
    assert min(took) < 3.0


def struck(page):
    style = "e => getComputedStyle(e).textDecorationLine"
    return row(page, FLUX).locator("output").evaluate(style) == "line-through"


def test_a_lost_device_has_no_live_value_and_says_why(bench, visit):
    page = ready(visit(bench.url))
    page.wait_for_selector('[data-channel="tcpo2/tcpo2/chest"][data-word="live"]')
    bench.say("state", "LOST: the link is gone", "ldf", state="LOST", cause="the link is gone")
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="lost"]')
    assert word(page, "tcpo2/tcpo2/chest") == "live"
    assert "the link is gone" in page.locator('section[aria-label="ldf"] h2').inner_text()
    assert "LOST: the link is gone" in page.locator("#events li").first.inner_text()


def test_a_socket_that_is_open_but_frozen_shows_no_live_value(bench, visit):
    page = ready(visit(bench.url))
    feed, thawed = bench.page._feed, threading.Event()
    hand_out = feed._hand_out
    feed._hand_out = lambda: thawed.wait(60) and hand_out()
    thawed.set()
    took = []
    while not took or (min(took) >= 3.0 and len(took) < TRIES):
        thawed.set()
        page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')
        took.append(seconds_until_turned(page, FLUX, thawed.clear, "no connection"))
    assert min(took) < 3.0
    assert {word(page, channel) for channel in CHANNELS} == {"no connection"}
    assert page.locator("#link").inner_text().endswith("NO CONNECTION")
    assert "RECORDING UNKNOWN" in page.locator("#recording").inner_text()
    assert "unknown" in page.locator('section[aria-label="ldf"] h2').inner_text()
    thawed.set()
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')


def test_after_a_restart_of_the_server_the_page_is_back_with_what_it_missed(bench, visit):
    visit.excused = ("ERR_CONNECTION_REFUSED", "WebSocket")
    page = ready(visit(bench.url))
    page.keyboard.press("1")
    page.wait_for_timeout(500)
    bench.page.stop()
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="no connection"]')
    page.wait_for_timeout(2500)
    bench.open_page(bench.port)
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')
    eventually(
        page,
        lambda: sum(column is None for column in trace(page)) <= 5,
        "the record went on, so the trace must have no hole",
    )


def test_another_record_behind_the_same_address_is_shown_as_itself(tmp_path, visit):
    """Its time may lie before the old one's: what the page knew of that must not hide what comes now."""
    visit.excused = ("ERR_CONNECTION_REFUSED", "WebSocket")
    with LiveBench(tmp_path / "fast", ahead=3600.0, past=5.0) as bench:
        page = ready(visit(bench.url))
    page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="no connection"]')
    with LiveBench(tmp_path / "slow", port=bench.port, past=5.0, which=("ldf",)) as bench:
        page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="live"]')
        assert page.locator(".device").count() == 1
        assert page.locator("#recording b").inner_text() == "RECORDING"


def test_the_clock_events_and_stages_show_the_wall_clock_where_the_axis_is_ahead(tmp_path, visit):
    with LiveBench(tmp_path / "ahead", ahead=3600.0 * 5 + 90.0, past=5.0) as bench:
        page = ready(visit(bench.url))
        start = {"do": "session.start", "protocol": "porh", "subject": "03-117", "visit": "baseline"}
        bench.session_service.answer({**start, "checks": {"contraindications": "none"}})
        page.wait_for_selector("#stages time")
        off = page.evaluate(
            """() => ["#clock", "#events time", "#stages time"].map((where) => {
                const now = new Date(), [h, m, s] = document.querySelector(where).textContent.split(":").map(Number);
                const shown = (h * 60 + m) * 60 + s;
                const here = (now.getHours() * 60 + now.getMinutes()) * 60 + now.getSeconds();
                return Math.abs((shown - here + 43200 + 86400) % 86400 - 43200);
            })"""
        )
    assert max(off) < 60, "no part of the page shows the axis"


def test_the_past_is_drawn_from_the_record(bench, visit):
    page = ready(visit(bench.url))
    for channel in CHANNELS:
        drawn = trace(page, channel)
        assert len(drawn) > 600
        assert sum(column is not None for column in drawn) >= len(drawn) - 4, channel
    flux, belt = trace(page), trace(page, CHANNELS[4])
    heights = sorted(last - first for first, last in filter(None, flux[5:-5]))
    assert heights[len(heights) // 2] > 20, "ten minutes of pulses make a band"
    assert {last - first for first, last in filter(None, belt[5:-5])} <= {1, 2}, "a constant makes a line"


def test_a_gap_is_drawn_as_a_gap(bench, visit):
    page = ready(visit(bench.url))
    page.keyboard.press("1")
    page.wait_for_timeout(500)
    stopped = time.monotonic()
    bench.running = False
    page.wait_for_timeout(4000)
    bench.running = True
    longest = time.monotonic() - stopped + 1.0
    eventually(page, lambda: holes(trace(page)), "the trace going on after the gap")
    live = holes(trace(page))
    page.reload()
    ready(page)
    for found in (live, holes(trace(page))):
        assert len(found) == 1
        assert 3.5 < found[0] < longest
    assert "1 gap" in page.locator('section[aria-label="ldf"] .counts').inner_text()


def test_a_gap_parts_the_trace_of_a_slow_channel_too(benches, visit):
    """The cuff may be silent for a minute without being stale; only the gap says that something is missing."""
    bench = benches(past=50.0, which=("cuff",))
    page = visit(bench.url)
    cuff = "cuff/cuff/pressure"
    page.wait_for_selector(f'[data-channel="{cuff}"][data-word="live"]')
    page.keyboard.press("1")
    page.wait_for_timeout(700)
    assert holes(trace(page, cuff)) == [], "between two readings the trace is a line"
    bench.interrupt()
    eventually(page, lambda: holes(trace(page, cuff)), "the trace going on after the gap")
    (length,) = holes(trace(page, cuff))
    assert 1.9 < length < 4.2


def holes(drawn, window=60.0):
    """The lengths (s) of stretches of more than a second without trace, the open end left out."""
    text = "".join("." if column is None else "#" for column in drawn).rstrip(".").lstrip(".")
    lengths = [len(part) * window / len(drawn) for part in text.split("#")]
    return [length for length in lengths if length > 1.0]


def test_what_scrolling_drew_bit_by_bit_is_what_a_fresh_page_draws_at_once(bench, visit):
    page = ready(visit(bench.url))
    page.keyboard.press("1")
    page.wait_for_timeout(8000)
    scrolled = numbered(page)
    other = ready(visit(bench.url))
    other.keyboard.press("1")
    other.wait_for_timeout(800)
    fresh = numbered(other)
    newest = sorted(scrolled)[-120:-45]  # the last eight seconds but three: on a busy machine samples come late
    differing = [column for column in newest if scrolled[column] != fresh[column]]
    assert len(differing) <= 2, differing


def numbered(page):
    """The trace by the number of the column on the grid of time."""
    canvas = row(page, FLUX).locator("canvas").element_handle()
    drawn, newest = page.evaluate(f"(canvas) => [({COLUMNS})(canvas), canvas.newest]", canvas)
    return {newest - len(drawn) + 1 + x: rows for x, rows in enumerate(drawn)}


def test_the_keyboard_chooses_window_theme_and_help(bench, visit):
    page = ready(visit(bench.url))
    for key, seconds in (("1", "60"), ("2", "120"), ("4", "3600"), ("3", "600")):
        page.keyboard.press(key)
        assert page.locator("#windows input:checked").get_attribute("value") == seconds
        page.wait_for_selector(f'[data-past^="{seconds}/"]')
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) == "dark"
    page.keyboard.press("t")
    assert page.evaluate(theme) == "light"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()
    shown = page.locator("#side").is_visible()
    page.keyboard.press("e")
    assert page.locator("#side").is_visible() is not shown
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")
    page.reload()
    assert page.evaluate(theme) == "light", "the choice is remembered"


def test_the_theme_follows_the_system_until_one_is_chosen(bench, visit):
    page = ready(visit(bench.url, color_scheme="light"))
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector('html[data-theme="dark"]')


def test_a_remote_that_takes_nothing_is_named_with_its_reason(bench, visit):
    page = ready(visit(bench.url))
    badge = page.locator("#remotes")
    assert not badge.is_visible()
    bench.remotes = [
        {"name": "influx", "state": "held", "reason": "HTTP 401: unauthorized", "pending": 7, "quiet_s": 0.0},
        {"name": "mqtt", "state": "delivering", "reason": "", "pending": 0, "quiet_s": 0.0},
    ]
    page.wait_for_selector("#remotes.away:visible")
    assert badge.inner_text() == "▲ influx held"
    assert "HTTP 401: unauthorized" in badge.get_attribute("title")
    bench.remotes = [{**each, "state": "delivering", "reason": ""} for each in bench.remotes]
    page.wait_for_selector("#remotes:not(.away)")
    assert badge.inner_text() == "● influx delivering · ● mqtt delivering"


def test_an_alarm_of_the_service_stands_above_everything_until_it_is_over(bench, visit):
    page = ready(visit(bench.url))
    banner = page.get_by_role("alert")
    assert not banner.is_visible()
    bench.alarms = [Alarm("record", "the record is <b>gone</b>", "put it back", True, bench.key_now())]
    page.wait_for_selector("#alarms:visible")
    assert banner.inner_text() == "the record is <b>gone</b> put it back"
    bench.alarms = []
    page.wait_for_selector("#alarms", state="hidden")


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_are_marked_and_real_ones_are_not(benches, visit, simulated):
    bench = benches(past=1.0, simulated=simulated)
    page = ready(visit(bench.url))
    assert page.locator("#simulated").is_visible() is simulated
    assert page.locator(".device .badge.simulated:visible").count() == (3 if simulated else 0)
    assert "scale unconfirmed" in row(page, FLUX).inner_text()
    assert "RECORDING" in page.locator("#recording").inner_text()


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const shine = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(node).backgroundColor);
      if (a > 0.99) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility()) continue;
    const [a, b] = [shine(parse(getComputedStyle(node).color)), shine(ground(node))].sort((p, q) => q - p);
    found.push([(a + 0.05) / (b + 0.05), walk.currentNode.data.trim()]);
  }
  return found.sort((p, q) => p[0] - q[0]);
}"""


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_has_a_contrast_of_at_least_4_5_to_1(bench, visit, scheme):
    page = ready(visit(bench.url, color_scheme=scheme))
    for flag, said in ((Quality.RANGE, "out of range"), (Quality.CALIBRATING, "calibrating")):
        bench.quality = int(flag)
        page.wait_for_selector(f'[data-channel="{FLUX}"][data-word="{said}"]')
        worst = page.evaluate(CONTRAST)
        assert worst[0][0] >= 4.5, worst[:3]
    bench.running = False
    bench.say("state", "LOST: gone", "tcpo2", state="LOST", cause="gone")
    for channel, said in ((FLUX, "stale"), ("tcpo2/tcpo2/chest", "lost")):
        page.wait_for_selector(f'[data-channel="{channel}"][data-word="{said}"]')
    page.keyboard.press("?")
    worst = page.evaluate(CONTRAST)
    assert worst[0][0] >= 4.5, worst[:3]


def test_the_static_files_name_no_other_host():
    folder = Path(server.__file__).parent / "static"
    for path in folder.iterdir():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text.replace("ws://${location.host}", ""), path.name
        assert "https://" not in text, path.name


def test_drawing_eight_channels_of_ten_minutes_leaves_the_browser_at_rest(benches, visit):
    bench = benches(past=600.0, copies=4, which=("ldf",))
    page = ready(visit(bench.url))
    assert page.locator("canvas").count() == 9
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    busy = min(_busy(page, devtools) for _ in range(3))
    print(f"the main thread is busy {busy:.1%} of the time")
    assert busy < 0.25, f"the main thread is busy {busy:.0%} of the time"


def _busy(page, devtools):
    def now():
        return {m["name"]: m["value"] for m in devtools.send("Performance.getMetrics")["metrics"]}

    before = now()
    page.wait_for_timeout(2000)
    after = now()
    return (after["TaskDuration"] - before["TaskDuration"]) / (after["Timestamp"] - before["Timestamp"])


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_the_heap_stays_flat_for_ten_minutes(benches, visit):
    bench = benches(past=600.0, copies=4, which=("ldf",))
    page = ready(visit(bench.url))
    devtools = page.context.new_cdp_session(page)
    page.wait_for_timeout(20_000)
    before = _heap(devtools)
    page.wait_for_timeout(600_000)
    assert _heap(devtools) - before < 500_000


def _heap(devtools):
    """Bytes of live objects."""
    devtools.send("HeapProfiler.collectGarbage")
    return devtools.send("Runtime.getHeapUsage")["usedSize"]
