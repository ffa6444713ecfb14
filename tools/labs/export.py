"""The starter tree of a lab: what a student gets.

Everything of the course's tree but the lecturer's files; the lab's own files with stubs where the tasks are; a fresh
git repository with one commit.

Nothing of what was taken out stands anywhere else. In C files three lines of it in a row count, or a whole body,
long enough to tell something: fewer are idioms of the code around them. In all others each long line counts that no C file of the
tree has. In documentation the code block that holds one is replaced by a sentence; elsewhere it is an error.
"""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile

from . import marks
from .build import Objects
from .grading import Grader
from .manifest import Lab, Refused

# Prefixes of what students do not get.
LECTURER = (".ci/", ".github/", "labs/", "tests/mutants-equivalent.txt", "tests/tools/test_labs.py", "tests/tools/test_mutate.py",
            "tools/mutate", "tools/mutation/", "tools/lab-export", "tools/labs-check", "tools/labs/export.py",
            "tools/labs/marks.py", "tools/labs/check.py", "docs/labs/grading.md", "docs/labs/instructor")
TARGETS = ("lab", "labs-check", "mutate")  # of the Makefile
LEAK_LENGTH = 28  # characters: shorter lines are anybody's
RUN, RUN_LENGTH = 3, 60  # so many lines in a row, with so many characters together
GONE = "*(This code is yours to write: lab %d.)*"

WORKFLOW = """name: grade
on: [push, workflow_dispatch]
jobs:
  grade:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - run: tools/deps --for test
      - run: make grade LAB=%d RESULTS=results.json
      - uses: actions/upload-artifact@v4
        with:
          name: results
          path: results.json
"""


class Leak(Exception):
    """A line of the reference stands somewhere in the tree."""


def files_of(tree: str) -> list[str]:
    """Those that git knows, or all where there is no git."""
    try:
        out = subprocess.run(["git", "-C", tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode()
        found = [p for p in out.split("\0") if p]
    except (OSError, subprocess.CalledProcessError):
        found = [os.path.relpath(os.path.join(where, name), tree) for where, folders, names in os.walk(tree)
                 for name in names if not folders.sort()]  # type: ignore[func-returns-value]
    return sorted(p for p in found if os.path.isfile(os.path.join(tree, p)) and
                  not p.startswith(("build/", ".git/")) and "__pycache__" not in p)


def is_exported(path: str, lab: Lab) -> bool:
    if re.match(r"docs/labs/\d", path):
        return path == lab.handout or not re.match(r"docs/labs/%d\D" % lab.number, path)
    return path in lab.owned or path.startswith(lab.folder + "/tests/") or not path.startswith(LECTURER)


def makefile(text: str) -> str:
    """Without the targets whose programs stay with the lecturer."""
    for target in TARGETS:
        text = re.sub(r"^%s: [^\n]*\n(?:\t[^\n]*\n)+\n?" % target, "", text, flags=re.M)
    return text


def runs_of(lines: list[str], nr: int) -> list[tuple[str, ...]]:
    return [tuple(lines[i:i + nr]) for i in range(len(lines) - nr + 1)]


@dataclasses.dataclass
class Secret:
    """What must not stand in the tree."""
    lines: set[str] = dataclasses.field(default_factory=set)
    runs: set[tuple[str, ...]] = dataclasses.field(default_factory=set)

    def add(self, region: list[str]) -> None:
        self.lines |= {line for line in region if len(line) >= LEAK_LENGTH}
        nr = min(RUN, len(region))
        self.runs |= {run for run in runs_of(region, nr) if len("".join(run)) >= RUN_LENGTH}

    def in_code(self, text: str) -> list[tuple[int, str]]:
        """(number, line) of the first of each run."""
        numbered = [(n, marks.normal(line)) for n, line in enumerate(text.splitlines(), 1)
                    if len(marks.normal(line)) > 1]
        lines = [line for _, line in numbered]
        return [numbered[i] for nr in {len(run) for run in self.runs}
                for i, run in enumerate(runs_of(lines, nr)) if run in self.runs]

    def in_text(self, text: str) -> list[tuple[int, str]]:
        return [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if marks.normal(line) in self.lines]


def clean_page(text: str, secret: Secret, lab: Lab) -> str:
    """A page of the documentation without the code blocks that hold what the student is to write."""
    def block(m: re.Match) -> str:
        return GONE % lab.number + "\n" if secret.in_text(m.group()) else m.group()
    return re.sub(r"^```.*?^```[ \t]*\n", block, text, flags=re.M | re.S)


def manifest_text(lab: Lab, facts: dict) -> str:
    """lab.json without the hidden tests, and with what the reference names."""
    tasks = [{k: v for k, v in dataclasses.asdict(t).items() if k != "hidden"} for t in lab.tasks]
    text = {"number": lab.number, "title": lab.title, "handout": lab.handout, "owned": lab.owned, "tasks": tasks,
            "boot": dataclasses.asdict(lab.boot) if lab.boot else None, "floor": lab.floor, "allow": lab.allow, "flags": lab.flags,
            "facts": facts}
    return json.dumps(text, indent=1, ensure_ascii=False) + "\n"


def facts_of(tree: str, lab: Lab, objects: Objects) -> dict:
    with tempfile.TemporaryDirectory(prefix="strata-lab-") as scratch:
        grader = Grader(objects, scratch, tree)
        return {"%s %s" % key: dataclasses.asdict(facts) for key, facts in grader.facts.items()}


def page_of(lab: Lab) -> str:
    """LAB.md: the first thing that a student opens."""
    rows = ["| %s | %s | %s | %d |" % (t.id, t.title, ", ".join("`%s`" % f for f in t.functions), t.points)
            for t in lab.tasks]
    if lab.boot:
        rows.append("| boot | %s | | %d |" % (lab.boot.title, lab.boot.points))
    return """# Lab %d: %s

The handout is [%s](%s). You write %s: every function that says `lab_todo(...)`.

| task | what | functions | points |
|---|---|---|---:|
%s

```sh
make deps             # once: the compiler, the assembler and the emulator
make grade LAB=%d      # your points so far, and what failed
```

Only %s count; helpers that you add are `static`. The lecturer's tests have more shapes than those here.
""" % (lab.number, lab.title, lab.handout, lab.handout, " and ".join("`%s`" % o for o in lab.owned), "\n".join(rows),
       lab.number, " and ".join("`%s`" % o for o in lab.owned))


def secret_of(tree: str, lab: Lab) -> Secret:
    secret = Secret()
    for owned in lab.owned:
        with open(os.path.join(tree, owned), encoding="utf-8") as f:
            for region in marks.removed(f.read(), lab.number):
                secret.add(region)
    return secret


def read_all(tree: str, lab: Lab) -> tuple[dict[str, str], dict[str, bytes]]:
    """The files that are exported: texts, and others."""
    text, binary = {}, {}
    for path in files_of(tree):
        if is_exported(path, lab):
            with open(os.path.join(tree, path), "rb") as f:
                data = f.read()
            try:
                text[path] = data.decode()
            except UnicodeDecodeError:
                binary[path] = data
    return text, binary


def texts(tree: str, lab: Lab) -> dict[str, bytes]:
    """{path: contents} of the starter tree, but for what is made for it."""
    secret, (text, binary) = secret_of(tree, lab), read_all(tree, lab)
    code = {p for p in text if p.endswith((".c", ".h"))}
    for path in code:
        text[path] = marks.starter(text[path], lab.number) if path in lab.owned else marks.unmarked(text[path])
    for path in code:
        secret.lines -= {marks.normal(line) for line in text[path].splitlines()}
    text["Makefile"] = makefile(text["Makefile"])
    leaks = []
    for path in text:
        if path.endswith(".md"):
            text[path] = clean_page(text[path], secret, lab)
        for number, line in secret.in_code(text[path]) if path in code else secret.in_text(text[path]):
            leaks.append("%s:%d: %s" % (path, number, line))
    if leaks:
        raise Leak("the reference stands elsewhere:\n" + "\n".join(leaks))
    return {**{path: t.encode() for path, t in text.items()}, **binary}


def write_tree(out: str, files: dict[str, bytes], tree: str) -> None:
    for path, data in files.items():
        full = os.path.join(out, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data)
        source = os.path.join(tree, path)
        if os.path.exists(source):
            shutil.copymode(source, full)


def commit(out: str, lab: Lab) -> None:
    """One commit, by nobody in particular, with a date that says nothing."""
    who = {"GIT_AUTHOR_NAME": "Strata", "GIT_AUTHOR_EMAIL": "strata@localhost", "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z",
           "GIT_COMMITTER_NAME": "Strata", "GIT_COMMITTER_EMAIL": "strata@localhost",
           "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for command in (["init", "-q", "-b", "main"], ["add", "-A", "-f"], ["commit", "-q", "-m", lab.name]):
        subprocess.run(["git", "-C", out] + command, env={**os.environ, **who}, check=True, stdout=subprocess.DEVNULL)


def export(tree: str, lab: Lab, out: str, objects: Objects, history: bool = True) -> int:
    """Writes the starter tree into the new folder; returns how many files it has."""
    if os.path.exists(out) and (not os.path.isdir(out) or os.listdir(out)):
        raise Refused("%s is there already: name a new folder" % out)
    if os.path.realpath(out).startswith(os.path.realpath(tree) + os.sep) and history:
        raise Refused("%s lies inside this tree: name a folder outside" % out)
    files = texts(tree, lab)
    files[marks.STUB_HEADER] = marks.STUB_TEXT.encode()
    files[os.path.join(lab.folder, "lab.json")] = manifest_text(lab, facts_of(tree, lab, objects)).encode()
    files["LAB.md"] = page_of(lab).encode()
    files[".github/workflows/grade.yml"] = (WORKFLOW % lab.number).encode()
    os.makedirs(out, exist_ok=True)
    write_tree(out, files, tree)
    if history:
        commit(out, lab)
    return len(files)
