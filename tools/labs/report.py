"""A grade, as a table for people and as results.json for Gradescope and others."""

import json
import textwrap
from dataclasses import dataclass, field

from .manifest import Lab

WIDTH = 100
LINES = 4  # of failures, a task


@dataclass
class Row:
    id: str
    title: str
    points: int
    of: int
    lines: list[str] = field(default_factory=list)  # what failed, and why


@dataclass
class Grade:
    lab: Lab
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seed: int = 0
    seconds: float = 0

    @property
    def points(self) -> int:
        return sum(r.points for r in self.rows)

    @property
    def of(self) -> int:
        return sum(r.of for r in self.rows)

    def row(self, task: str) -> Row:
        return next(r for r in self.rows if r.id == task)


def nothing(lab: Lab, why: list[str], seed: int = 0) -> Grade:
    """No points at all, and why."""
    rows = [Row(t.id, t.title, 0, t.points) for t in lab.tasks]
    if lab.boot:
        rows.append(Row("boot", lab.boot.title, 0, lab.boot.points))
    return Grade(lab, rows, why, seed)


def table(g: Grade) -> str:
    out = [g.lab.name, "%-6s %7s %4s  %s" % ("task", "points", "of", "what")]
    for r in g.rows:
        out.append("%-6s %7d %4d  %s" % (r.id, r.points, r.of, r.title))
        for line in r.lines[:LINES]:
            out += textwrap.wrap(line, WIDTH, initial_indent=" " * 21, subsequent_indent=" " * 23)
        if len(r.lines) > LINES:
            out.append(" " * 21 + "and %d more" % (len(r.lines) - LINES))
    out.append("%-6s %7d %4d" % ("total", g.points, g.of))
    out += g.notes
    out.append("seed %d, %.0f s" % (g.seed, g.seconds))
    return "\n".join(out)


def results(g: Grade) -> dict:
    """Gradescope's results.json; others find the same under the same names."""
    tests = [{"number": r.id, "name": r.title, "score": r.points, "max_score": r.of,
              "status": "passed" if r.points == r.of else "failed", "output": "\n".join(r.lines),
              "visibility": "visible"} for r in g.rows]
    return {"score": g.points, "max_score": g.of, "execution_time": round(g.seconds), "tests": tests,
            "output": "\n".join([g.lab.name] + g.notes + ["seed %d" % g.seed]), "visibility": "visible"}


def write(g: Grade, path: str) -> None:
    with open(path, "w", encoding="utf-8") as f:
        json.dump(results(g), f, indent=1)
        f.write("\n")
