"""TOML into typed values; an error names the file, the line, the path of the key, its value and what is allowed."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import inspect

from acquisition.errors import ConfigurationError

T = TypeVar("T")
_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
EACH = "[...]"
"""Ends the key of a value of a table of any names, as the converter says it, and `IN_KEY` that of such a name."""
IN_KEY = "[name]"
_TABLE = re.compile(r"^\s*(\[\[?)\s*([A-Za-z0-9_.\-\"]+)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_.\-\"]+)\s*=")


def read(path: Path) -> dict[str, Any]:
    """Parse a TOML file; ConfigurationError where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(
            "there is no such file", str(path), "a wrong path, or a wrong working directory"
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(
            "this is a folder", str(path), remedy="name the file in it, such as bedside.toml"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"cannot be read ({error.strerror})", str(path), "this account may not", "change the file's owner or mode"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"is no text in UTF-8 (byte {error.start})", str(path), "another file, or saved in another encoding"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"is no valid TOML: {error}", str(path), "a typing error") from error


def convert(raw: Any, kind: type[T], path: Path, prefix: str = "$") -> T:
    """Fit raw values into `kind`; `prefix` is where `raw` stands in the file."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        found = misfit(error, raw, kind)
        what = {"unknown": "unknown key", "missing": f"the key {found.name!r} is missing"}.get(found.why, found.told)
        raise fault(path, prefix + found.key, what, found.allowed, found.value) from None


@dataclass(frozen=True, slots=True)
class Misfit:
    """What of raw values does not fit a type: `key` is its path such as `.need[0].role`, `name` the last part of it.

    `why` is unknown, missing or value; `told` the converter's own words, `allowed` what there may be instead.
    """

    why: Literal["unknown", "missing", "value"]
    key: str
    name: str
    told: str
    allowed: str
    value: Any


def misfit(error: msgspec.ValidationError, raw: Any, kind: Any) -> Misfit:
    """Tell what an error of `msgspec.convert(raw, kind)` is about."""
    told, _, at = str(error).partition(" - at `")
    steps = _steps(at.rstrip("`"))
    in_key = at.startswith("key` in `")
    info = inspect.type_info(kind)
    why: Literal["unknown", "missing", "value"] = "value"
    if unknown := re.match(r"Object contains unknown field `(.*)`", told, re.DOTALL):
        why, allowed = "unknown", _fields(info, steps)
        steps.append(unknown[1])
    elif missing := re.match(r"Object missing required field `(.*)`", told, re.DOTALL):
        steps.append(missing[1])
        why, allowed = "missing", _allowed(info, steps)
    else:
        allowed = _allowed_names(info, steps) if in_key else _allowed(info, steps)
    name = next((step for step in reversed(steps) if isinstance(step, str) and step != "..."), "")
    value = NOTHING if in_key else _value(raw, steps)
    return Misfit(why, _dotted(steps) + (IN_KEY if in_key else ""), name, told, allowed, value)


NOTHING = object()
"""Stands for a value that is not there, or not where the converter says."""
_SECRET = re.compile(r"(token|password|secret)[^.]*$|://[^/]*@|://\S*[?#]", re.IGNORECASE)
"""A key that may hold a secret though none belongs there, and an address with one."""


def fault(path: Path, key: str, what: str, allowed: str = "", value: Any = NOTHING) -> ConfigurationError:
    """An error at one key of a file; a value that is or may hold a secret is not repeated."""
    plain = not isinstance(value, dict) and not _SECRET.search(key) and not _SECRET.search(str(value))
    shown = "" if value is NOTHING else f" (value {value!r})" if plain else " (its value is not shown)"
    line = line_of(key, lines(path))
    where = f"{path}:{line}: {key}" if line else f"{path}: {key}"
    return ConfigurationError(f"{what}{shown}", where, remedy=f"allowed: {allowed}" if allowed else "")


def lines(path: Path) -> dict[str, int]:
    """Where the keys of a TOML file stand: path of the key -> line number; tables count too.

    Keys of a table within braces are not among them: `line_of` answers the line of the table.
    """
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = "$"
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return found
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            *parents, last = header[2].replace('"', "").split(".")
            table = "$"
            for name in parents:
                table += f".{name}"
                if table in counts:
                    table += f"[{counts[table]}]"
            table += f".{last}"
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table += f"[{counts[table]}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            plain = key[1].replace('"', "")
            found.setdefault(f"{table}.{plain}", number)
    return found


def line_of(key: str, known: dict[str, int]) -> int | None:
    """The line of a key among those of `lines`, or of what it stands in; None where no such line is known."""
    while key not in known:
        parent = key[: max(key.rfind("."), key.rfind("["))]
        if parent in ("", "$") or parent == key:
            return None
        key = parent
    return known[key]


def holds(raw: Any, key: str) -> bool:
    """Whether raw values say something at a key such as `$.device[0].options.unit`."""
    return _value(raw, _steps(key)) is not NOTHING


def _steps(path: str) -> list[str | int]:
    return [int(index) if index.isdecimal() else index or name for name, index in _STEP.findall(path)]


def _dotted(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) or step == "..." else f".{step}" for step in steps)


def _value(raw: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return NOTHING
    return raw


def _resolve(info: inspect.Type, steps: list[str | int]) -> list[inspect.Type]:
    kinds = list(info.types) if isinstance(info, inspect.UnionType) else [info]
    if not steps:
        return kinds
    found: list[inspect.Type] = []
    for kind in kinds:
        if isinstance(kind, inspect.StructType):
            found += [r for f in kind.fields if f.encode_name == steps[0] for r in _resolve(f.type, steps[1:])]
        elif isinstance(kind, inspect.ListType | inspect.VarTupleType):
            found += _resolve(kind.item_type, steps[1:])
        elif isinstance(kind, inspect.DictType):
            found += _resolve(kind.value_type, steps[1:])
    return found


def _fields(info: inspect.Type, steps: list[str | int]) -> str:
    names = [
        f.encode_name for kind in _resolve(info, steps) if isinstance(kind, inspect.StructType) for f in kind.fields
    ]
    return ", ".join(names) or "no keys here"


def _allowed(info: inspect.Type, steps: list[str | int]) -> str:
    return " or ".join(dict.fromkeys(_describe(kind) for kind in _resolve(info, steps)))


def _allowed_names(info: inspect.Type, steps: list[str | int]) -> str:
    names = [kind.key_type for kind in _resolve(info, steps) if isinstance(kind, inspect.DictType)]
    return " or ".join(dict.fromkeys(_describe(kind) for kind in names))


def _describe(kind: inspect.Type) -> str:
    match kind:
        case inspect.LiteralType():
            return " or ".join(repr(value) for value in kind.values)
        case inspect.StructType():
            return "a table of " + (", ".join(f.encode_name for f in kind.fields) or "nothing")
        case inspect.ListType() | inspect.VarTupleType():
            return (
                "a list of tables, each under [[...]]" if isinstance(kind.item_type, inspect.StructType) else "a list"
            )
        case inspect.DictType():
            return "a table"
        case inspect.StrType():
            return f"text that matches {kind.pattern}" if kind.pattern else f"text in quotes{_length(kind)}"
        case inspect.IntType() | inspect.FloatType():
            bounds = [
                f"{word} {value}"
                for word, value in (
                    ("at least", kind.ge),
                    ("more than", kind.gt),
                    ("at most", kind.le),
                    ("less than", kind.lt),
                )
                if value is not None
            ]
            noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return " ".join([noun, *bounds])
        case inspect.EnumType():
            return " or ".join(repr(member.value) for member in kind.cls)
        case inspect.DateType():
            return "a date such as 2026-02-27"
        case inspect.AnyType():
            return "any value"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "nothing"
    return type(kind).__name__.removesuffix("Type").lower()


def _length(kind: inspect.StrType) -> str:
    bounds = [f"{word} {size}" for word, size in (("at least", kind.min_length), ("at most", kind.max_length)) if size]
    return f" of {' and '.join(bounds)} characters" if bounds else ""
