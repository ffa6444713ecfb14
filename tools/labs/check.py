"""Grades the grader: see tools/labs-check."""

import concurrent.futures
import os
import shutil
import subprocess
import time
from dataclasses import dataclass, field

from . import export, marks, report
from .build import BuildError, Objects, run
from .grading import Grader
from .manifest import Lab
from .wrong import Wrong, read_wrong

JOBS = 2
SEED = 20260101

# What a student may try instead of the work. The first function of the lab's file begins with it.
CHEATS = {
    "prints results": """	kprintf("ok 1 %(test)s\\n# signed 0123456789abcdef passed %(test)s\\n"
		"# signed 0123456789abcdef end: 1 planned, 1 passed, 0 failed, 0 skipped\\n");
""",
    "ends with the passing status": """	__asm__ volatile("outb %%b0, %%w1" : : "a"(16), "d"(0xf4)); /* in the kernel */
""",
}
HOST_EXIT = """	__asm__ volatile("syscall" : : "a"(231), "D"(0) : "rcx", "r11", "memory");
"""


@dataclass
class Result:
    what: str
    good: bool
    why: str = ""


@dataclass
class LabCheck:
    """All checks of one lab, by one grader."""
    tree: str
    lab: Lab
    objects: Objects
    scratch: str
    qemu: str
    sample: int = 0
    results: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.grader = Grader(self.objects, self.scratch, self.tree, self.qemu)
        self.text = {}
        for owned in self.lab.owned:
            with open(os.path.join(self.tree, owned), encoding="utf-8") as f:
                self.text[owned] = f.read()

    # --- submissions: {owned: text} become folders ---

    def folder(self, name: str, texts: dict[str, str]) -> str:
        root = os.path.join(self.scratch, "in", name)
        for owned, text in texts.items():
            path = os.path.join(root, owned)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        return root

    def grade(self, name: str, texts: dict[str, str], **options) -> report.Grade:
        g = self.grader.grade(self.folder(name, texts), name, SEED, terse=True, **options)
        shutil.rmtree(os.path.join(self.scratch, name), ignore_errors=True)
        return g

    def starter(self) -> dict[str, str]:
        return {owned: marks.starter(text, self.lab.number) for owned, text in self.text.items()}

    # --- the checks; each returns a result ---

    def reference(self) -> Result:
        g = self.grade("reference", self.text)
        return Result("the reference earns full marks", g.points == self.lab.points, report.table(g))

    def bare(self) -> Result:
        g = self.grade("starter", self.with_header(self.starter()))
        return Result("the bare starter earns %d points" % self.lab.floor, g.points == self.lab.floor, report.table(g))

    @staticmethod
    def with_header(texts: dict[str, str]) -> dict[str, str]:
        """In this tree there is no lib/lab.h: its text stands in the file."""
        line = marks.STUB_TEXT[marks.STUB_TEXT.index("#define lab_todo"):]
        return {owned: text.replace("#include <lib/lab.h>\n", "#include <lib/assert.h>\n" + line)
                for owned, text in texts.items()}

    def quiet_starter(self) -> Result:
        """As the student compiles it, with the warnings that the project turns on."""
        folder = self.folder("quiet", self.with_header(self.starter()))
        try:
            for owned in self.lab.owned:
                for which in self.objects.kinds(owned):
                    run(self.objects.command(which, owned) + ["-Werror", "-iquote", os.path.dirname(owned), "-c", "-o",
                                   os.path.join(self.scratch, "quiet-%s.o" % which), os.path.join(folder, owned)],
                        self.tree)
        except BuildError as e:
            return Result("the starter compiles without a warning", False, str(e))
        return Result("the starter compiles without a warning", True)

    def exported(self) -> Result:
        """Exported, the reference put back: nothing else of the tree changed, and full marks again."""
        out = os.path.join(self.scratch, "export")
        try:
            export.export(self.tree, self.lab, out, self.objects, history=False)
            wrong = self.differences(out)
        except (export.Leak, OSError, subprocess.CalledProcessError) as e:
            return Result("the export", False, str(e))
        for owned in self.lab.owned:
            shutil.copyfile(os.path.join(self.tree, owned), os.path.join(out, owned))
        g = self.grader.grade(out, "exported", SEED, boot=False)
        shutil.rmtree(out)
        tasks = sum(t.points for t in self.lab.tasks)
        return Result("exported, with the reference put back: full marks", not wrong and g.points == tasks,
                      "\n".join(wrong) or report.table(g))

    def differences(self, out: str) -> list[str]:
        made = {"Makefile", "LAB.md", marks.STUB_HEADER, ".github/workflows/grade.yml", self.lab.folder + "/lab.json"}
        wrong = []
        for where, _, names in os.walk(out):
            for name in names:
                path = os.path.relpath(os.path.join(where, name), out)
                if path in made or path in self.lab.owned or path.endswith(".md"):
                    continue
                with open(os.path.join(out, path), "rb") as f, open(os.path.join(self.tree, path), "rb") as g:
                    mine, theirs = f.read(), g.read()
                if path.endswith((".c", ".h")):
                    theirs = marks.unmarked(theirs.decode()).encode()
                if mine != theirs:
                    wrong.append("%s differs from the reference's" % path)
        return wrong

    def wrong(self, number: int, w: Wrong) -> Result:
        what = "%s %s" % (w.task, w.what)
        name = "wrong%d" % number
        task = next(t for t in self.lab.tasks if t.id == w.task)
        only = ",".join(p for p in task.tests + task.hidden if not p.startswith("!"))
        g = self.grade(name, {**self.text, w.file: w.apply(self.text[w.file])}, boot=False, look=False, only=only,
                       stop=True)
        row = g.row(w.task)
        if any("compile" in note for note in g.notes):
            return Result(what, False, "it does not compile: " + "; ".join(g.notes))
        return Result(what, row.points < row.of, "not noticed: %d of %d points" % (row.points, row.of))

    def cheat(self, name: str) -> list[Result]:
        """Twice: as a submission is graded, and with what it may name left unchecked, so that signatures alone stand."""
        out = []
        for look in (True, False):
            texts = self.with_header({o: self.cheating(t, name) for o, t in self.starter().items()})
            g = self.grade("cheat-%s-%d" % (name.replace(" ", "-"), look), texts, look=look, boot=not look)
            out.append(Result("a cheat that %s earns nothing%s" % (name, "" if look else ", checked by signatures alone"),
                              g.points <= self.lab.floor and not self.is_broken(g), report.table(g)))
        return out

    @staticmethod
    def is_broken(g: report.Grade) -> bool:
        return any("compile" in note for note in g.notes)

    @staticmethod
    def cheating(text: str, name: str) -> str:
        code = CHEATS[name] % {"test": "buddy.of_somebody"}
        host = HOST_EXIT if name.startswith("ends") else ""
        insert = "#if __STDC_HOSTED__\n%s#else\n%s#endif\n" % (host, code) if host else code
        return text.replace("\tlab_todo(", insert + "\tlab_todo(").replace(
            "#include <lib/lab.h>\n", "#include <lib/lab.h>\n#include <lib/log.h>\n")

    def edits_the_grader(self) -> Result:
        """A submission with a framework, a manifest and a grader of its own: none of them is taken."""
        texts = self.with_header(self.starter())
        texts.update({"tests/test.c": "#error taken\n", "tests/sign.c": "#error taken\n", "Makefile": "$(error taken)\n",
                      self.lab.folder + "/lab.json": "taken", "tools/grade": "taken",
                      "mm/buddy_internal.h": "#error taken\n"})
        g = self.grade("editor", texts, boot=False)
        return Result("a cheat that edits the grader's files earns nothing",
                      g.points <= self.lab.floor and not self.is_broken(g), report.table(g))

    def run(self, pool: concurrent.futures.Executor) -> list[concurrent.futures.Future]:
        solutions = read_wrong(os.path.join(self.tree, self.lab.folder, "wrong.txt"), self.lab)
        if self.sample:
            step = max(1, len(solutions) // self.sample)
            solutions = solutions[::step][:self.sample]
        for w in solutions:
            w.apply(self.text[w.file])  # all of them are well-formed, or none is tried
        jobs = [pool.submit(self.reference), pool.submit(self.bare), pool.submit(self.quiet_starter),
                pool.submit(self.exported), pool.submit(self.edits_the_grader)]
        jobs += [pool.submit(self.cheat, name) for name in CHEATS]
        return jobs + [pool.submit(self.wrong, n, w) for n, w in enumerate(solutions)]


def elapsed(since: float) -> str:
    return "%.0f s" % (time.monotonic() - since)
