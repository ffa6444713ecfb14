"""From a folder to points: the lab's files are taken from it, looked at, compiled, run, and judged task by task."""

import os
import re
import shutil
import time

from . import judge, lint, report
from .build import BuildError, Objects
from .manifest import Lab

BOOT_SECONDS = 240
HANG_SECONDS = 10  # of the processor, a test


def sources(lab: Lab, folder: str) -> tuple[dict[str, str], list[str]]:
    """{owned path: its file in the folder}, and what is wrong with the folder."""
    found, wrong = {}, []
    root = os.path.realpath(folder)
    for owned in lab.owned:
        path = os.path.realpath(os.path.join(folder, owned))
        if not path.startswith(root + os.sep) or not os.path.isfile(path):
            wrong.append("%s is not in the submission" % owned)
        else:
            found[owned] = path
    return found, wrong


class Grader:
    """Grades any number of submissions on one tree's objects."""

    def __init__(self, objects: Objects, scratch: str, reference: str | None = None, qemu: str = "qemu-system-x86_64"):
        self.objects, self.lab, self.scratch, self.qemu = objects, objects.lab, scratch, qemu
        self.facts: dict[tuple[str, str], lint.Facts] = {}
        if reference:
            self.learn(reference)
        elif self.lab.facts:
            for key, facts in self.lab.facts.items():
                which, owned = key.split(" ")
                self.facts[which, owned] = lint.Facts(**facts)

    def learn(self, folder: str) -> None:
        """What the reference names is what a submission may."""
        for owned in self.lab.owned:
            for which in self.objects.kinds(owned):
                source = os.path.join(folder, owned)
                obj = self.objects.compile(which, owned, source, self.place("reference", which, owned), quiet=True)
                self.facts[which, owned] = self.objects.facts(which, owned, source, obj)

    def place(self, name: str, which: str, owned: str) -> str:
        return os.path.join(self.scratch, name, which + "-" + owned.replace("/", "-") + ".o")

    def alone(self, name: str, owned: str, given: str) -> str:
        """A copy in a folder without headers: those beside the submission's file are not looked at."""
        copy = os.path.join(self.scratch, name, "source", owned.replace("/", "-"))
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(given, copy)
        return copy

    def grade(self, folder: str, name: str, seed: int, **options) -> report.Grade:
        began = time.monotonic()
        files, wrong = sources(self.lab, folder)
        g = self.grade_files(files, name, seed, **options) if not wrong else report.nothing(self.lab, wrong, seed)
        g.seconds = time.monotonic() - began
        return g

    def build(self, files: dict[str, str], name: str, look: bool, boot: bool, quiet: bool) -> tuple[list[str], list[str], list[str]]:
        """(host objects, kernel objects, complaints)"""
        host: list[str] = []
        kernel: list[str] = []
        wrong: list[str] = []
        for owned, given in files.items():
            source = self.alone(name, owned, given)
            for which in self.objects.kinds(owned):
                if which == "kernel" and not (boot or (look and "host" not in self.objects.kinds(owned))):
                    continue
                obj = self.objects.compile(which, owned, source, self.place(name, which, owned), quiet)
                (host if which == "host" else kernel).append(obj)
                if look and (which, owned) in self.facts:
                    wrong += lint.complaints(owned, self.objects.facts(which, owned, source, obj),
                                             self.facts[which, owned], self.lab.allow)
        return host, kernel, list(dict.fromkeys(wrong))

    def grade_files(self, files: dict[str, str], name: str, seed: int, look: bool = True, boot: bool = True,
                    only: str | None = None, terse: bool = False, stop: bool = False) -> report.Grade:
        boot = boot and self.lab.boot is not None and self.objects.has_kernel
        try:
            host, kernel, wrong = self.build(files, name, look, boot, terse)
            if wrong:
                return report.nothing(self.lab, wrong, seed)
            out = os.path.join(self.scratch, name, "tests")
            program = self.objects.link_quickly(host, out, os.path.join(self.scratch, "bulk.o")) if terse else \
                self.objects.link_host(host, out)
        except BuildError as e:
            return report.nothing(self.lab, ["it does not compile:"] + str(e).splitlines(), seed)
        pattern = only or self.lab.filter
        run = judge.run_host(program, pattern, seed, terse=terse, stop=stop,
                             seconds=HANG_SECONDS)
        os.unlink(program)
        g = report.Grade(self.lab, self.judge_tasks(run), [run.note] if run.note else [], seed)
        if boot:
            g.rows.append(self.boot(kernel, name, seed))
        return g

    def judge_tasks(self, run: judge.Run) -> list[report.Row]:
        rows = []
        for task in self.lab.tasks:
            names = [n for n in run.planned if task.takes(n)]
            bad = [n for n in names if n not in run.passed]
            points = task.points * (len(names) - len(bad)) // len(names) if names else 0
            lines = ["%s%s: %s" % ("hidden test " if task.is_hidden(n) else "", n, self.reason(task, run, n)) for n in bad]
            rows.append(report.Row(task.id, task.title, points, task.points, lines))
        return rows

    @staticmethod
    def reason(task, run: judge.Run, name: str) -> str:
        why = run.verdict(name)
        return re.sub(r"^labs/\S*_test\.c:\d+: ", "", why) if task.is_hidden(name) else why

    def boot(self, objects: list[str], name: str, seed: int) -> report.Row:
        boot = self.lab.boot
        assert boot is not None
        row = report.Row("boot", boot.title, 0, boot.points)
        try:
            kernel = self.objects.link_kernel(objects, os.path.join(self.scratch, name))
        except BuildError as e:
            row.lines = str(e).splitlines()
            return row
        good, why = judge.run_kernel(self.objects.tree, kernel, boot.tests, seed, self.qemu, BOOT_SECONDS, boot.smp)
        row.points = boot.points if good else 0
        row.lines = [] if good else [why]
        for made in ("pass1.elf", "strata.elf", "strata32.elf"):
            os.unlink(os.path.join(self.scratch, name, made))
        return row
