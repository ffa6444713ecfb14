"""What a lab is: labs/N-name/lab.json.

    {"number": 3, "title": "…", "handout": "docs/labs/3-buddy.md", "owned": ["mm/buddy.c"],
     "tasks": [{"id": "3.1", "title": "…", "functions": ["push"], "points": 10, "tests": ["buddy.*"]}],
     "boot": {"title": "…", "points": 10, "tests": "buddy*"}, "floor": 0}

A task's tests are patterns of names as the test programs take them: suite.name, suite, * and ?. Those of hidden tests
stand in "hidden", which no export contains. A pattern with ! in front takes tests out again.

Tests that are the lab's alone stand in its folder: labs/N-name/tests/*.c, which students have, and hidden/*.c. "flags"
are the host compiler's, for the owned files besides those of the tree.
"""

import fnmatch
import glob
import json
import os
from dataclasses import dataclass, field


class Refused(Exception):
    """Wrong usage: ends the program with this line and status 64."""


@dataclass(frozen=True)
class Task:
    id: str
    title: str
    points: int
    functions: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)

    def takes(self, name: str) -> bool:
        patterns = self.tests + self.hidden
        return any(matches(name, p) for p in patterns if not p.startswith("!")) and \
            not any(matches(name, p[1:]) for p in patterns if p.startswith("!"))

    def is_hidden(self, name: str) -> bool:
        return any(matches(name, p) for p in self.hidden)


@dataclass(frozen=True)
class Boot:
    title: str
    points: int
    tests: str
    smp: int = 1


@dataclass(frozen=True)
class Lab:
    number: int
    folder: str  # labs/3-buddy, in its tree
    title: str
    handout: str
    owned: list[str]
    tasks: list[Task]
    boot: Boot | None
    floor: int = 0
    facts: dict | None = None  # of an exported lab: what the reference names (tools/labs/lint.py)
    allow: list[str] = field(default_factory=list)  # symbols besides
    flags: list[str] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(t.points for t in self.tasks) + (self.boot.points if self.boot else 0)

    @property
    def filter(self) -> str:
        """One pattern for the test program: everything that any task takes."""
        return ",".join(dict.fromkeys(p for t in self.tasks for p in t.tests + t.hidden if not p.startswith("!")))

    @property
    def name(self) -> str:
        return "lab %d: %s" % (self.number, self.title)

    def test_files(self, tree: str) -> list[str]:
        """The lab's own: all that there are in this tree."""
        return sorted(os.path.relpath(p, tree) for where in ("tests", "hidden")
                      for p in glob.glob(os.path.join(tree, self.folder, where, "*.c")))


def matches(name: str, pattern: str) -> bool:
    """As the test programs' --filter."""
    return fnmatch.fnmatchcase(name if "." in pattern else name.split(".")[0], pattern)


def read_lab(path: str, tree: str) -> Lab:
    try:
        with open(path, encoding="utf-8") as f:
            text = json.load(f)
        tasks = [Task(**t) for t in text.pop("tasks")]
        boot = text.pop("boot", None)
        return Lab(folder=os.path.relpath(os.path.dirname(path), tree), tasks=tasks,
                   boot=Boot(**boot) if boot else None, **text)
    except (OSError, ValueError, TypeError, KeyError) as e:
        raise Refused("%s: %s" % (os.path.relpath(path, tree), e)) from e


def read_labs(tree: str) -> dict[int, Lab]:
    labs = [read_lab(p, tree) for p in sorted(glob.glob(os.path.join(tree, "labs", "*", "lab.json")))]
    return {lab.number: lab for lab in sorted(labs, key=lambda lab: lab.number)}


def find_lab(tree: str, number: str | None) -> Lab:
    labs = read_labs(tree)
    if not labs:
        raise Refused("there are no labs in %s" % os.path.join(tree, "labs"))
    if number is None and len(labs) == 1:
        return next(iter(labs.values()))  # a student's tree has one
    known = ", ".join(str(n) for n in labs)
    if number is None:
        raise Refused("which lab? There are %s" % known)
    if not number.isdigit() or int(number) not in labs:
        raise Refused("there is no lab %s: there are %s" % (number, known))
    return labs[int(number)]
