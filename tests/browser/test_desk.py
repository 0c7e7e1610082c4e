"""An examination on the live page, in a real browser: shown, marked, corrected and ended."""

import time

from tests.browser.looks import eventually, ready
from tests.examination.test_session_service import START

SEEN = """(count) => new Promise((done) => {
  // When so many marks are there, in ms of the host's clock.
  const look = () => document.getElementById("marks").children.length === count && done(Date.now());
  new MutationObserver(look).observe(document.getElementById("marks"), { childList: true });
})"""


def test_an_examination_is_shown_with_its_participant_phases_and_marks(bench, visit):
    page = ready(visit(bench.url))
    assert not page.locator("#session").is_visible()
    begun = time.monotonic()
    bench.session_service.answer(START)
    page.wait_for_selector("#session:visible")
    assert page.locator("#who").inner_text() == "03-117 · baseline · left"
    assert page.locator("#stages .present").inner_text().endswith("rest")
    assert min(milliseconds_until_seen(bench, page, count) for count in range(1, 6)) < 300
    assert "the participant moved" in page.locator("#events li").first.inner_text()
    eventually(page, lambda: page.locator("#elapsed").inner_text() != "0:00", "the time goes on")
    minutes, seconds = page.locator("#elapsed").inner_text().split(":")
    assert 1 <= 60 * int(minutes) + int(seconds) < time.monotonic() - begun + 1
    bench.session_service.answer({"do": "session.mark", "name": "inflate", "early": "a test"})
    page.wait_for_selector("#stages li:nth-child(2).present")
    assert page.locator("#stages .present").inner_text().endswith("occlusion")
    bench.session_service.answer({"do": "session.stop", "reason": "a test"})
    page.wait_for_selector("#session", state="hidden")
    assert not page.locator("#who").is_visible()


def milliseconds_until_seen(bench, page, count):
    """From a mark in the record until it stands on the page as the one of that number."""
    page.evaluate(f"(count) => {{ window.seen = ({SEEN})(count); }}", count)
    set_at = time.time() * 1000
    bench.session_service.answer({"do": "session.mark", "name": "moved"})
    return page.evaluate("window.seen") - set_at


def examined(bench, visit):
    page = ready(visit(bench.url))
    bench.session_service.answer(START)
    page.wait_for_selector("#desk:visible")
    return page


def said(page, text):
    page.wait_for_function("(text) => document.getElementById('said').textContent.includes(text)", arg=text)
    return page.locator("#said").inner_text()


def entries(bench):
    return bench.session_service.present()["items"]


def test_a_key_marks_what_happens_and_the_slider_says_that_it_was_earlier(bench, visit):
    page = examined(bench, visit)
    page.keyboard.press("m")
    said(page, "the participant moved")
    page.wait_for_timeout(2500)
    page.locator("#earlier input").fill("2")
    assert page.locator("#earlier output").inner_text() == "2 s ago"
    pressed = bench.key_now()
    page.keyboard.press("m")
    page.wait_for_selector("#marks li:nth-child(2)")
    seen = bench.key_now()
    first, second = entries(bench)
    assert {first["by"], second["by"]} == {"live page"}
    assert pressed - 2.1e9 < second["at_key"] < seen - 1.9e9
    assert page.locator("#earlier output").inner_text() == "now", "the next mark is now again"


def test_a_refused_mark_says_why_and_goes_with_a_reason(bench, visit):
    page = examined(bench, visit)
    page.keyboard.press("i")
    assert "refused" in said(page, "refused")
    assert entries(bench) == []
    page.locator("#why").fill("the pressure rose early")
    page.locator('[data-mark="inflate"]').click()
    page.wait_for_selector("#stages li:nth-child(2).present")
    assert bench.session_service.present()["stages"][1]["early"] == "the pressure rose early"
    assert page.locator("#why").input_value() == ""


def test_letters_of_a_reason_are_no_orders(bench, visit):
    page = examined(bench, visit)
    page.locator("#why").press_sequentially("moment")
    page.wait_for_timeout(300)
    assert entries(bench) == []
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_undo_strikes_the_latest_mark_and_the_record_keeps_it(bench, visit):
    page = examined(bench, visit)
    page.keyboard.press("m")
    page.wait_for_selector("#marks li")
    page.keyboard.press("u")
    page.wait_for_selector("#marks", state="hidden")
    (item,) = entries(bench)
    assert item["struck"]
    assert item["corrections"][0]["reason"] == "undone on the page"


def test_only_a_held_button_ends_the_examination(bench, visit):
    page = examined(bench, visit)
    page.locator("#why").fill("a test of the button")
    page.locator("#stop").click(delay=100)
    page.wait_for_timeout(1200)
    assert bench.session_service.present()["state"] == "open"
    page.locator("#stop").hover()
    page.mouse.down()
    page.wait_for_selector("#session", state="hidden")
    page.mouse.up()
    assert bench.session_service.present() == {}


def test_a_page_that_may_not_mark_offers_nothing(benches, visit):
    bench = benches(marks=False)
    page = ready(visit(bench.url))
    bench.session_service.answer(START)
    page.wait_for_selector("#session:visible")
    assert not page.locator("#desk").is_visible()
    page.keyboard.press("m")
    page.wait_for_timeout(300)
    assert entries(bench) == []
