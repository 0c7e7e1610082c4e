"""The bill of materials says what the locks pin, who needs it, and what of it runs."""

import json
import re
from pathlib import Path

import pytest

from release.sbom import LOCKS, document, licences

ROOT = Path(__file__).parents[2]
DIGEST, OTHER = "a" * 64, "b" * 64
RUNS = f"""\
Alpha_One==1.0 \\
    --hash=sha256:{OTHER} \\
    --hash=sha256:{DIGEST}
    # via perfusion (pyproject.toml)
beta==2.0 \\
    --hash=sha256:{DIGEST}
    # via
    #   alpha-one
    #   gamma
builder==3.0 \\
    --hash=sha256:{DIGEST}
    # via perfusion (pyproject.toml::build-system.requires)
"""
TESTS = f"""\
gamma==4.0 \\
    --hash=sha256:{DIGEST}
    # via perfusion (pyproject.toml)
beta==2.0 \\
    --hash=sha256:{DIGEST}
    # via
    #   -c runs
    #   gamma
"""


def test_a_bill_tells_what_runs_from_what_tests_or_builds():
    made = document({"runs": RUNS, "tests": TESTS})
    parts = {part["name"]: part for part in made["components"]}
    assert {name: part["scope"] for name, part in parts.items()} == {
        "Alpha_One": "required", "beta": "required", "builder": "excluded", "gamma": "excluded",
    }  # fmt: skip
    assert parts["Alpha_One"]["purl"] == "pkg:pypi/alpha-one@1.0"
    assert [each["content"] for each in parts["Alpha_One"]["hashes"]] == [DIGEST, OTHER]
    needs = {each["ref"]: each["dependsOn"] for each in made["dependencies"]}
    assert needs["pkg:pypi/alpha-one@1.0"] == needs["pkg:pypi/gamma@4.0"] == ["pkg:pypi/beta@2.0"]
    assert needs["pkg:pypi/beta@2.0"] == []


def test_a_lock_without_hashes_or_two_versions_of_one_package_is_refused():
    with pytest.raises(ValueError, match="alpha stands in the lock without a hash"):
        document({"runs": "alpha==1.0\n    # via perfusion (pyproject.toml)\n"})
    with pytest.raises(ValueError, match="the locks have beta"):
        document({"runs": RUNS, "tests": TESTS.replace("beta==2.0", "beta==2.1")})


def test_the_bill_of_the_locks_has_each_pinned_package_once_and_is_the_same_again():
    texts = {name: (ROOT / name).read_text("utf-8") for name in LOCKS}
    made = document(texts)
    names = [re.sub(r"[-_.]+", "-", part["name"]).lower() for part in made["components"]]
    assert len(names) == len(set(names))
    assert set(names) == {each.lower() for text in texts.values() for each in re.findall(r"(?m)^([\w.-]+)==", text)}
    refs = {each["ref"] for each in made["dependencies"]}
    assert {to for each in made["dependencies"] for to in each["dependsOn"]} <= refs
    assert json.dumps(made) == json.dumps(document(texts))


def test_a_licence_is_the_one_of_the_installed_metadata_or_none():
    assert licences("msgspec") == [{"expression": "BSD-3-Clause"}]
    assert licences("pyserial") == [{"license": {"name": "BSD License"}}]
    assert licences("no such package") == []
