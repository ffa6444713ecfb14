"""A lab's program and kernel, made of the tree's objects and of a few files that come from elsewhere.

make builds everything but the files that the lab owns, once (`make grade-objects`), and says how those are compiled
and what is linked. A submission then costs the compilation of its own files and a link. The order of the objects is
drawn anew for each host program, with a gap of random size between them: no code knows where another one's is.
"""

import os
import random
import re
import subprocess
import threading
from dataclasses import dataclass

from . import lint
from .manifest import Lab

MESSAGE = re.compile(r"(error:|undefined reference|multiple definition)")


class BuildError(Exception):
    """The tree itself, or a submission, does not build. The text: the compiler's most useful lines."""


def useful(output: str, limit: int = 3) -> str:
    lines = [line.strip() for line in output.splitlines() if MESSAGE.search(line)]
    return "\n".join(lines[:limit] or output.strip().splitlines()[-limit:])


def run(command: list[str], cwd: str, **more) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **more)
    text = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise BuildError(useful(text) or "failed: " + " ".join(command)[:200])
    return text


@dataclass
class Plan:
    """What `make grade-objects` said."""
    host_objects: list[str]
    kernel_objects: list[str]
    host_compile: dict[str, list[str]]
    kernel_compile: dict[str, list[str]]
    host_link: list[str]
    kernel_link: list[str]
    tools: dict[str, str]


def read_plan(text: str) -> Plan:
    plan = Plan([], [], {}, {}, [], [], {"nm": "nm", "nasm": "nasm", "objcopy": "objcopy", "libgcc": ""})
    for line in text.splitlines():
        key, *words = line.split() or [""]
        if key == "host-objects":
            plan.host_objects = words
        elif key == "kernel-objects":
            plan.kernel_objects = words
        elif key == "host-compile":
            plan.host_compile[words[0]] = words[1:]
        elif key == "kernel-compile":
            plan.kernel_compile[words[0]] = words[1:]
        elif key == "host-link":
            plan.host_link = words
        elif key == "kernel-link":
            plan.kernel_link = words
        elif key == "kernel-tools":
            plan.tools.update(w.split("=", 1) for w in words)
    if not plan.host_objects:
        raise BuildError("make grade-objects said nothing useful:\n" + useful(text))
    return plan


class Objects:
    """All objects of a tree but those of a lab's files."""

    def __init__(self, tree: str, lab: Lab, build: str, cc: str, boot: bool, make: bool = True):
        self.tree, self.lab = tree, lab
        self.tests, boot = lab.test_files(tree), boot and lab.boot is not None
        command = ["make", "--no-print-directory", "BUILD=" + build, "CC=" + cc, "OWNED=" + ",".join(lab.owned),
                   "HIDDEN=" + ",".join(self.tests), "BOOT=%d" % boot]
        # Called from make, this one would take part in that one's jobs, whose descriptors are closed.
        environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        try:
            if make:
                run(command + ["-j%d" % (os.cpu_count() or 1), "grade-objects"], tree, env=environment)
            text = run(command + ["grade-commands"], tree, env=environment)
        except BuildError as e:
            raise BuildError("the tree does not build: %s\n(the command was %s)" % (e, " ".join(command))) from e
        self.plan = read_plan(text)
        self.has_kernel = boot
        self.making_bulk = threading.Lock()

    # --- a submission's files: {owned path: where its text is} ---

    def command(self, which: str, owned: str) -> list[str]:
        return self.plan.host_compile[owned] + self.lab.flags if which == "host" else self.plan.kernel_compile[owned]

    def compile(self, which: str, owned: str, source: str, out: str, quiet: bool = False) -> str:
        """Returns the object. Its __FILE__ and its quoted includes are those of the place where it belongs."""
        command = self.command(which, owned)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        run(command + ["-iquote", os.path.dirname(owned), "-ffile-prefix-map=%s=%s" % (source, owned)] +
            (["-w", "-g0"] if quiet else []) + ["-c", "-o", out, source], self.tree)
        return out

    def facts(self, which: str, owned: str, source: str, obj: str) -> lint.Facts:
        command = self.command(which, owned)
        preprocessed = run(command + ["-w", "-E", "-iquote", os.path.dirname(owned), source], self.tree)
        facts = lint.object_facts(obj, self.plan.tools["nm"])
        with open(source, encoding="utf-8", errors="replace") as f:
            named = lint.text_facts(f.read(), preprocessed, source)
        facts.includes, facts.special = named.includes, named.special
        return facts

    def kinds(self, owned: str) -> list[str]:
        return [k for k, c in (("host", self.plan.host_compile), ("kernel", self.plan.kernel_compile)) if owned in c]

    def link_quickly(self, objects: list[str], out: str, bulk: str) -> str:
        """The same, without chance and line numbers: for many programs of one tree. bulk: made at the first."""
        with self.making_bulk:
            if not os.path.exists(bulk):
                run(["ld", "-r", "-S", "-o", bulk] + self.plan.host_objects, self.tree)
        run(self.plan.host_link + ["-Wl,-S", "-o", out, bulk] + objects, self.tree)
        return out

    def link_host(self, objects: list[str], out: str) -> str:
        """The test program, its objects in an order of chance."""
        pad = out + ".pad.c"
        draw = random.SystemRandom()
        with open(pad, "w", encoding="utf-8") as f:
            f.write("extern char lab_gap[];\nchar lab_gap[%d];\nvoid lab_pad(void);\nvoid lab_pad(void)\n{\n"
                    "\t__asm__ volatile(\".skip %d, 0x90\");\n}\n" % (draw.randrange(1, 1 << 16), draw.randrange(1, 1 << 16)))
        everything = self.plan.host_objects + objects + [pad]
        draw.shuffle(everything)
        run(self.plan.host_link + ["-o", out] + everything, self.tree)
        return out

    def link_kernel(self, objects: list[str], folder: str) -> str:
        """strata32.elf, as the Makefile makes it: twice, for the symbol table."""
        plan, path = self.plan, lambda name: os.path.join(folder, name)
        symbols = ["python3", "tools/symbols.py"]

        def table(name: str, nm_output: bytes) -> str:
            with open(path(name), "wb") as f:
                f.write(subprocess.run(symbols, cwd=self.tree, input=nm_output, stdout=subprocess.PIPE,
                                       check=True).stdout)
            run([plan.tools["nasm"], "-f", "elf64", "-o", path(name + ".o"), path(name)], self.tree)
            return path(name + ".o")

        def link(name: str, extra: str) -> str:
            libgcc = [plan.tools["libgcc"]] if plan.tools["libgcc"] else []
            run(plan.kernel_link + ["-o", path(name)] + plan.kernel_objects + objects + [extra] + libgcc, self.tree)
            return path(name)

        first = link("pass1.elf", table("symbols.empty.asm", b""))
        names = subprocess.run([plan.tools["nm"], "-n", first], stdout=subprocess.PIPE, check=True).stdout
        whole = link("strata.elf", table("symbols.asm", names))
        run([plan.tools["objcopy"], "-g", "-I", "elf64-x86-64", "-O", "elf32-i386", whole, path("strata32.elf")],
            self.tree)
        return path("strata32.elf")
