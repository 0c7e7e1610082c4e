"""Bill of materials (SBOM, CycloneDX 1.6, JSON) of the lock files; `make sbom` writes it without any network.

Versions, hashes and who needs whom stand in the lock files; licences come from the metadata of what is installed. The
hashes of a component are those of all files of that version that the lock lets pip install, for any platform.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from acquisition import __version__

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-test.lock")
ITSELF = "perfusion (pyproject.toml)"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Locked:
    """A package of a lock file: its version, the SHA-256 of its files, and who needs it, by the names of the lock."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: frozenset[str]

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{normal(self.name)}@{self.version}"


def normal(name: str) -> str:
    """A package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(text: str) -> Iterator[Locked]:
    """The packages of a lock file as pip-compile writes it; ValueError at one without a hash."""
    for block in re.split(r"\n(?=\S)", text):
        found = PINNED.match(block)
        if found is None:
            continue
        hashes = tuple(sorted(HASH.findall(block)))
        if not hashes:
            raise ValueError(f"{found[1]} stands in the lock without a hash; make the lock anew by `make lock`")
        comments = [line.strip().lstrip("#").strip() for line in block.splitlines() if line.strip().startswith("#")]
        needed_by = frozenset(filter(None, (comment.removeprefix("via").strip() for comment in comments)))
        yield Locked(found[1], found[2], hashes, frozenset(each for each in needed_by if not each.startswith("-c ")))


def licences(name: str) -> list[dict[str, Any]]:
    """The licence that installed metadata give, as CycloneDX has it; empty where none is known."""
    try:
        known = metadata(name)
    except PackageNotFoundError:
        return []
    if "License-Expression" in known:
        return [{"expression": known["License-Expression"]}]
    classified = [each.rpartition(" :: ")[2] for each in known.get_all("Classifier", []) if each.startswith("License")]
    told = [text for text in known.get_all("License", []) if text and "\n" not in text]
    return [{"license": {"name": text}} for text in classified or told]


def document(locks: Mapping[str, str]) -> dict[str, Any]:
    """The bill of materials of lock files, name -> text; the first has what runs, the others what only tests need."""
    found: dict[str, Locked] = {}
    runs: set[str] = set()
    for number, text in enumerate(locks.values()):
        for each in read(text):
            other = found.get(normal(each.name), each)
            if other.version != each.version:
                raise ValueError(f"the locks have {each.name} {other.version} and {each.version}; make them anew")
            found[normal(each.name)] = replace(other, needed_by=other.needed_by | each.needed_by)
        if number == 0:
            runs = _reached(found)
    parts = [_component(found[name], name in runs) for name in sorted(found)]
    itself = f"pkg:pypi/perfusion@{__version__}"
    links = {each.purl: sorted(_needs(found, name)) for name, each in sorted(found.items())}
    links[itself] = sorted(
        each.purl for each in found.values() if any(n.startswith("perfusion (") for n in each.needed_by)
    )
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": itself,
                "name": "perfusion",
                "version": __version__,
                "licenses": [{"license": {"id": "MIT"}}],
                "purl": itself,
            }
        },
        "components": parts,
        "dependencies": [{"ref": ref, "dependsOn": needs} for ref, needs in links.items()],
    }
    # The same locks give the same document.
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bill, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "serialNumber": f"urn:uuid:{serial}", **bill}


def _component(each: Locked, runs: bool) -> dict[str, Any]:
    known = licences(each.name)
    return {
        "type": "library",
        "bom-ref": each.purl,
        "name": each.name,
        "version": each.version,
        "scope": "required" if runs else "excluded",
        "hashes": [{"alg": "SHA-256", "content": content} for content in each.hashes],
        **({"licenses": known} if known else {}),
        "purl": each.purl,
    }


def _needs(found: Mapping[str, Locked], name: str) -> set[str]:
    return {each.purl for each in found.values() if name in map(normal, each.needed_by)}


def _reached(found: Mapping[str, Locked]) -> set[str]:
    """Names of what runs: what the project itself needs, and what that needs, and so on; not what only builds it."""
    reached = {name for name, each in found.items() if ITSELF in each.needed_by}
    while more := {n for n, each in found.items() if reached & set(map(normal, each.needed_by))} - reached:
        reached |= more
    return reached


def main() -> None:
    """Print the bill of materials of this checkout's lock files."""
    print(
        json.dumps(document({name: (ROOT / name).read_text("utf-8") for name in LOCKS}), indent=2, ensure_ascii=False)
    )


if __name__ == "__main__":
    main()
