"""Builds the host tests with all chosen mutants in them, and judges mutants by running it.

The tree that is built is a copy, made by the project's own Makefile: its mutated sources are those of schema.py, and
runner.c takes the place of the tests' main program. It is built twice, without sanitizers and with them.
"""

import os
import shutil
import subprocess
import threading
from typing import NamedTuple, Optional

from mutation import schema
from mutation.changes import Mutant

FOLDERS = ("Makefile", "lib", "mm", "boot", "kernel", "tests", "iso")  # what the Makefile's host tests need
BUILDS = ("plain", "sane", "work")  # the folders in the copy that are made there
RUNNER = "tools/mutation/runner.c"
BOOT = "the boot"
QUIET = {"ASAN_OPTIONS": "symbolize=0:exitcode=37", "UBSAN_OPTIONS": "symbolize=0:exitcode=37"}


class BuildError(Exception):
    pass


def read(path: str) -> str:
    with open(path, encoding="utf-8") as f:
        return f.read()


class Tree:
    """The copy: a file is written only when it differs, so a second run builds little."""

    def __init__(self, path: str):
        self.path, self.own = path, {}  # type: ignore[var-annotated]
        self.own = {"tests/test.inc": read("tests/test.c"), "tests/test.c": "", "tests/host/main.c": read(RUNNER)}
        self.copy()

    def put(self, name: str, text: str) -> None:
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path) or read(path) != text:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

    def copy(self) -> None:
        wanted = set(self.own)
        for folder in FOLDERS:
            for root, dirs, names in os.walk(folder) if os.path.isdir(folder) else [("", [], [folder])]:
                dirs[:] = [d for d in dirs if d not in ("data", "fuzz", "__pycache__")]
                wanted.update(os.path.join(root, name) for name in names)
        for root, dirs, names in os.walk(self.path):
            dirs[:] = [d for d in dirs if root != self.path or d not in BUILDS]
            for name in names:
                if os.path.relpath(os.path.join(root, name), self.path) not in wanted:
                    os.remove(os.path.join(root, name))
        self.sources = {}
        for name in sorted(wanted):
            if name.endswith((".c", ".h", ".inc", "Makefile", ".mk")):
                self.sources[name] = self.own.get(name) if name in self.own else read(name)
            else:
                copy = os.path.join(self.path, name)
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copyfile(name, copy)

    def write(self, mutated: dict[str, str]) -> None:
        for name, text in {**self.sources, **mutated}.items():
            self.put(name, text)


class Flavour(NamedTuple):
    name: str
    options: tuple[str, ...]
    slower: int  # than without sanitizers
    patience: int  # in so many tests a mutant may time out


PLAIN = Flavour("plain", ("SANITIZE=",), 1, 12)
SANE = Flavour("sane", (), 4, 2)


def build(tree: Tree, flavour: Flavour, hostcc: str, jobs: int) -> tuple[str, str]:
    """(the program, the messages of a build that failed)."""
    program = "%s/host/tests-%s" % (flavour.name, "clang" if "clang" in hostcc else "gcc")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "--no-print-directory", "-k", "-j%d" % jobs, "BUILD=" + flavour.name,
                           "HOSTCC=" + hostcc, "EXTRA_CFLAGS=-w -g0 -Werror=implicit-function-declaration", *flavour.options, program], cwd=tree.path,
                          env={**environment, "LC_ALL": "C"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    return os.path.join(tree.path, program), done.stdout if done.returncode else ""


class Schemata:
    """The mutants in their files, numbered; those that do not compile are found and left out."""

    def __init__(self, tree: Tree, files: list[str], mutants: list[Mutant]):
        self.tree, self.files = tree, files
        self.numbered = dict(enumerate(mutants, schema.FIRST_ID))
        self.number = {m: n for n, m in self.numbered.items()}
        self.functions = [f for file in files for f in schema.function_names(file, tree.sources[file])]
        self.invalid: set[Mutant] = set()

    def write(self) -> None:
        texts, at = {}, 0
        for file in self.files:
            inside = [(n, m) for n, m in self.numbered.items() if m.file == file and m not in self.invalid]
            texts[file] = schema.write(file, self.tree.sources[file], inside, at)
            at += len(schema.function_names(file, self.tree.sources[file]))
        self.tree.write(texts)

    def build(self, flavour: Flavour, hostcc: str, jobs: int) -> str:
        while True:
            self.write()
            program, messages = build(self.tree, flavour, hostcc, jobs)
            if not messages:
                return program
            wrong = {self.numbered[n] for n in schema.blamed(messages) if n in self.numbered} - self.invalid
            if not wrong:
                lines = [line for line in messages.splitlines() if not line.startswith("  HOST")]
                raise BuildError("\n".join(lines[-40:]))
            self.invalid |= wrong


class Server:
    """One process of runner.c."""

    def __init__(self, program: str, boots: bool):
        command = [program, "unbooted"] if boots else [program]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **QUIET}, stderr=subprocess.DEVNULL)

    def send(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def receive(self) -> list[str]:
        assert self.process.stdout
        words = self.process.stdout.readline().split()
        if not words:
            raise BuildError("the test program ended by itself, with status %s" % self.process.wait())
        return words

    def close(self) -> None:
        self.process.communicate()


class Test(NamedTuple):
    name: str
    status: str
    us: int
    entered: frozenset[int]  # by the test itself
    in_gates: frozenset[int]  # by what the framework does before and after


def list_names(server: Server) -> list[str]:
    server.send("names")
    return [words[0] for words in iter(server.receive, ["end"])]


def run_alone(server: Server, numbers: list[int]) -> tuple[frozenset[int], list[Test]]:
    """The functions that the boot enters, and what each of these tests does."""
    server.send("tests " + ",".join(map(str, numbers)) + ",")
    tests: list[Test] = []
    for words in iter(server.receive, ["end"]):
        functions = [frozenset(map(int, word[1:].split(",")[:-1])) for word in words[3:]]
        tests.append(Test(words[0], words[1], int(words[2]), *functions))
    return tests[0].entered, tests[1:]


class Verdict(NamedTuple):
    result: str  # killed, survived, timed out, invalid
    by: str  # which test


OTHER_NAMES = {"leak": ("unreferenced",), "guard_report": ("guard",), "stats_map": ("stats",), "stats_page": ("stats",),
               "kmalloc": ("harden",), "kmalloc_classes": ("harden", "kmalloc_ways")}  # of tests, by the file's name


def is_own(test: Test, function: str) -> bool:
    """Is it named for the function's file, or for its folder?"""
    folder, name = os.path.split(os.path.splitext(function.split(":")[0])[0])
    return test.name.startswith((name, os.path.basename(folder) + "_", *OTHER_NAMES.get(name, ())))


class Judge:
    """Runs the tests that enter a mutant's function: short ones first, those that enter few functions before others.

    At first the mutant is there only while a test itself runs: a broken allocator is brought up well, and judged by good
    gates. What survives that and is in a function that the boot or the gates run is there all the time. What passes the
    short tests, and those that are named for its file, without sanitizers goes on with them: they see all that can be
    seen without. Left out are the long tests with threads, which take seconds and look for what no single change brings
    about every time, and the longest of those that stop after every instruction.
    """

    FACTOR = 5  # times what a test takes alone is its limit
    LONG_US = 10000
    LEFT_OUT = ("threads", "node_threads", "context_interrupt.timers", "context_interrupt.stacks", "traffic.")

    def __init__(self, schemata: Schemata, programs: dict[Flavour, str]):
        self.schemata, self.programs = schemata, programs
        self.servers = threading.local()
        self.opened: list[Server] = []
        self.names: dict[Flavour, list[str]] = {}
        self.tests: dict[str, Test] = {}
        booted = self.look_at_tests()
        self.sorted = sorted(self.tests.values(), key=lambda t: (t.us > self.LONG_US, len(t.entered), t.name))
        self.inside: dict[str, list[Test]] = {}  # the tests to run with it in them alone
        self.everywhere: dict[str, list[Test]] = {}
        self.boots: set[str] = set()
        for i, function in enumerate(schemata.functions):
            boots = i in booted
            self.boots |= {function} if boots else set()
            self.inside[function] = sorted((t for t in self.sorted if i in t.entered),
                                           key=lambda t, f=function: (t.us > self.LONG_US, not is_own(t, f)))
            self.everywhere[function] = [t for t in self.sorted if boots or i in t.in_gates]

    def look_at_tests(self) -> frozenset[int]:
        """Each test alone; returns what the boot enters. Some tests exist with sanitizers only: their own numbers."""
        booted: frozenset[int] = frozenset()
        for flavour in self.programs:
            server = Server(self.programs[flavour], False)
            self.names[flavour] = list_names(server)
            new = [i for i, name in enumerate(self.names[flavour])
                   if name not in self.tests and not name.startswith(self.LEFT_OUT)]
            entered, tests = run_alone(server, new)
            booted |= entered
            self.tests.update((t.name, t._replace(us=t.us // flavour.slower)) for t in tests)
            server.close()
        return booted

    def server(self, flavour: Flavour, boots: bool) -> Server:
        """This thread's own."""
        name = flavour.name + "-unbooted" * boots
        found: Optional[Server] = getattr(self.servers, name, None)
        if found is None:
            found = Server(self.programs[flavour], boots)
            setattr(self.servers, name, found)
            self.opened.append(found)
            times = [self.tests[name].us if name in self.tests else 0 for name in self.names[flavour]]
            found.send("times " + ",".join(map(str, times)))
        return found

    def close(self) -> None:
        for server in self.opened:
            server.close()

    def failures(self) -> list[str]:
        """What is wrong without any mutant: tests that fail alone, or one after the other in the order that is used."""
        found = [t.name + " " + t.status for t in self.sorted if t.status != "passed"]
        for flavour in self.programs if not found else ():
            status, test = self.run(flavour, 0, "run", True, self.sorted, 10 * self.FACTOR)
            found += ["%s %s (%s)" % (test, status, flavour.name)] if status != "passed" else []
        return found

    def run(self, flavour: Flavour, number: int, how: str, boots: bool, tests: list[Test],
            factor: int = FACTOR) -> tuple[str, str]:
        """(status, the last test's name, or BOOT)."""
        numbers = [self.names[flavour].index(t.name) for t in tests if t.name in self.names[flavour]]
        if not numbers:
            return "passed", BOOT
        server = self.server(flavour, boots)
        server.send("%s %d %d %s" % (how, number, factor * flavour.slower, ",".join(map(str, numbers))))
        status, test = server.receive()
        return status, BOOT if int(test) < 0 else self.names[flavour][int(test)]

    def run_on(self, flavour: Flavour, number: int, how: str, boots: bool, tests: list[Test]) -> tuple[str, str]:
        """A test, or a boot, that never ends says nothing: the others may."""
        late = "passed", BOOT
        for _ in range(flavour.patience):
            status, test = self.run(flavour, number, how, boots, tests)
            if status != "timeout":
                return (status, test) if status != "passed" else late
            late = status, test
            if test != BOOT:
                tests = tests[[t.name for t in tests].index(test) + 1:]
            boots = boots and test != BOOT
        return late

    def judge(self, mutant: Mutant) -> Verdict:
        if mutant in self.schemata.invalid:
            return Verdict("invalid", "")
        function = "%s:%s" % (mutant.file, mutant.function)
        late, number = "", self.schemata.number[mutant]
        for flavour in self.programs:
            for how, tests in ("body", self.inside[function]), ("run", self.everywhere[function]):
                boots = how == "run" and function in self.boots
                if flavour == PLAIN:
                    tests = [t for t in tests if t.us <= self.LONG_US or is_own(t, function)]
                status, test = self.run_on(flavour, number, how, boots, tests)
                if status in ("failed", "crashed"):
                    return Verdict("killed", "%s %s (%s)" % (test, status, flavour.name))
                late = late or (test if status == "timeout" else "")
        return Verdict("timed out", late) if late else Verdict("survived", "")
