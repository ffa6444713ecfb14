"""Wrong solutions: labs/N-name/wrong.txt, changes to the reference that must cost a task its points.

Paragraphs: "task file: what is wrong", then lines that go ("- ") and lines that come ("+ "), in a row. The lines that
go stand once in the file, wherever in a line the first of them begins and the last ends.
"""

import re
from dataclasses import dataclass

from .manifest import Lab, Refused


@dataclass(frozen=True)
class Wrong:
    task: str
    file: str
    what: str
    old: str
    new: str
    line: int  # in wrong.txt

    def apply(self, text: str) -> str:
        if text.count(self.old) != 1:
            raise Refused("wrong.txt:%d: the lines that go stand %d times in %s" %
                          (self.line, text.count(self.old), self.file))
        if self.new == "" and self.old.startswith("\t"):
            return text.replace(self.old + "\n", "")
        return text.replace(self.old, self.new)


def read_wrong(path: str, lab: Lab) -> list[Wrong]:
    found = []
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip() or line.startswith("#"):
            continue
        head = re.match(r"(\S+) (\S+): (.+)$", line)
        if not head or head.group(2) not in lab.owned or head.group(1) not in [t.id for t in lab.tasks]:
            raise Refused("%s:%d: expected \"task file: what is wrong\", of this lab's tasks and files" % (path, number))
        first, old, new = number, [], []
        while number < len(lines) and lines[number][:2] in ("- ", "+ ", "-", "+"):
            (old if lines[number][0] == "-" else new).append(lines[number][2:])
            number += 1
        if not old:
            raise Refused("%s:%d: no lines that go" % (path, first))
        found.append(Wrong(head.group(1), head.group(2), head.group(3), "\n".join(old), "\n".join(new), first))
    return found
