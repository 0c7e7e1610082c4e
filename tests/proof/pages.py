"""Generated pages of docs/ whose parts are measured by tests of their own, in any order and in any process."""

import fcntl
import re

ROWS = re.compile(r"^\| ([a-z][\w-]*) \| .*\n", re.MULTILINE)
"""A table's rows, by their first cell."""
SECTIONS = re.compile(r"^## `(.+)`\n(?:(?!## ).*\n)*", re.MULTILINE)
"""Sections, by the name in their heading."""


def put(page, head, parts, order, name, text):
    """Write the page anew with one part replaced; what is not in `order` goes."""
    with page.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found = {match[1]: match[0] for match in parts.finditer(file.read())} | {name: text}
        between = "\n" if parts is SECTIONS else ""
        file.seek(0)
        file.truncate()
        file.write(head + between.join(found[each].rstrip("\n") + "\n" for each in order if each in found))
