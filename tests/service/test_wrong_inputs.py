"""Wrong inputs at the command line: an exit code of their kind, and words that name place, cause and next step."""

import logging
import os
from pathlib import Path

import pytest

from acquisition import exit_codes
from acquisition.cli import perfusion
from acquisition.text import is_clean
from tests.store.records import Recording, Source


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command line in a folder with a record, an empty folder and files that are something else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)  # its stream would be this test's, for ever
    with Recording(tmp_path / "record") as writer:
        writer.put(Source().chunk(30))
    (tmp_path / "empty").mkdir()
    (tmp_path / "letter.txt").write_text("hello")
    (tmp_path / "utf-16.toml").write_bytes("[store]".encode("utf-16"))

    def run(line):
        monkeypatch.setattr("sys.argv", ["perfusion", *line.split()])
        with pytest.raises(SystemExit) as ended:
            exit_codes.run(perfusion, "perfusion")
        return ended.value.code, capsys.readouterr().err

    return run


WRONG = {
    "run -c empty": (3, "empty: this is a folder; next: name the file in it"),
    "run -c utf-16.toml": (3, "utf-16.toml: is no text in UTF-8 (byte 0); likely cause: another file"),
    "run -c letter.txt": (3, "letter.txt: is no valid TOML"),
    "query empty": (2, "empty: there is no record; likely cause: a wrong folder"),
    "query letter.txt": (5, "letter.txt: the record cannot be read"),
    "query record --device ldf --channel oxygen": (
        2,
        "nothing of device ldf, channel oxygen; it holds: ldf/flux (flux, ",
    ),
    "verify letter.txt": (5, "problem: file structure"),
    "remotes letter.txt": (5, "letter.txt: the record cannot be read"),
    "remotes empty": (2, "empty: there is no record"),
    "replay empty": (2, "empty: there is no tape; likely cause: the device's entry does not say tape = true"),
    "replay letter.txt": (5, "letter.txt: this is no tape"),
    "session show --data record": (8, "there is no session yet; next: perfusion session start"),
    "session show s9 --data record": (8, "there is no session s9; next: perfusion session start"),
    "observe vas 50 --data letter.txt --subject 03-117 --visit baseline": (1, "likely cause: a file has that name"),
    "belt stop --data record": (8, "no daemon answers; likely cause: none runs on this record"),
    "belt emergency --data record": (8, "next: press the red button at the treadmill"),
    "query record --from 2026-03-02 --to 2026-03-01": (2, "the first must be the earlier"),
    "run -c utf-16.toml --t0 nan": (2, "'nan' is no finite number"),
    "run -c utf-16.toml --t0 -1": (2, "'--t0'"),
    "run -c utf-16.toml --t0 1e300": (2, "'--t0'"),
    "run -c utf-16.toml --for nan": (2, "'nan' is no finite number"),
    "run -c utf-16.toml --for inf": (2, "'inf' is no finite number"),
    "run -c utf-16.toml --for -1": (2, "'--for'"),
    "run -c utf-16.toml --speed nan": (2, "'nan' is no finite number"),
    "demo --for nan": (2, "'nan' is no finite number"),
    "devices --listen nan": (2, "'nan' is no finite number"),
    "devices --listen 1 --on 192.0.2.1": (1, "192.0.2.1 is no address of this computer; next: leave out --on"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_input_is_answered_in_words(call, line):
    code, words = WRONG[line]
    assert call(line)[0] == code
    assert words in call(line)[1]


@pytest.mark.parametrize(
    "line", [f"observe vas {'x' * 100_000}", "watch --\x1b[31mred", "session \u202ewohs", "run \udce9 \x9b2J"]
)
def test_what_was_typed_is_repeated_in_clean_and_few_words(call, line):
    code, words = call(line)
    assert code == 2
    assert is_clean(words.replace("\n", " "), 2500)


@pytest.mark.parametrize("order", ["stop", "emergency"])
def test_a_stop_waits_for_no_right_configuration_and_no_name(call, monkeypatch, order):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    device = '[[device]]\nname = "t"\ndriver = "trackmaster"\nport = "/dev/null"\ncontrol = true\n'
    Path("old.toml").write_text(f'[store]\npath = "record"\n{device}')
    code, words = call(f"belt {order} -c old.toml")
    assert code == 8
    for said in ("record/control.sock: no daemon answers", "not known that anything reached the treadmill",
                 "next: press the red button at the treadmill"):  # fmt: skip
        assert said in words
    assert "a real belt is not controlled" in call("belt prepare --by mk -c old.toml")[1]


def test_an_observation_that_is_refused_leaves_no_empty_visit_behind(call, capsys):
    of_a_visit = "--data record --subject 03-117 --visit baseline"
    assert call(f"observe vas 500 {of_a_visit}")[0] == 8
    assert call("outcomes --data record")[1].startswith("perfusion: there is no session yet")
    assert call(f"observe vas 50 {of_a_visit}")[0] == 0
    assert call("outcomes --data record")[0] == 0


def test_an_account_without_a_name_is_asked_to_say_who(call, monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    code, words = call("observe vas 50 --data record --subject 03-117 --visit baseline")
    assert code == 2
    assert "say who does this, by --by" in words
