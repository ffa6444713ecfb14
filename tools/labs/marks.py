"""The regions of the sources that are a lab's tasks, and what stands for them in a starter tree.

A comment that ends in `lab 3.2`, alone or as the last words of the function's own comment, directly before a function
makes that function's body the student's: a stub stands for it. `lab 3.2, helper` makes what follows (a function, a
variable, a type or a macro) disappear with its comment.
"""

import re
from dataclasses import dataclass

COMMENT = re.compile(r"/\*(?:(?!\*/).)*?\blab (\d+)\.(\d+)(, helper)?\s*\*/[ \t]*\n", re.S)
ANY_MARK = re.compile(r"/\* lab \d+\.\d+(?:, helper)? \*/[ \t]*\n|\n \*\n \* lab \d+\.\d+(?:, helper)?(?=\n \*/)|"
                      r"\n \* lab \d+\.\d+(?:, helper)?(?=\n \*/)")
STATIC = re.compile(r"^static (?!_Noreturn void lab_)(?P<head>[^;={]*?\b(?P<name>\w+)(?:\[[^\n;={]*\])*\s*"
                    r"(?=\(|=|;|\{))", re.M)
STUB_HEADER = "lib/include/lib/lab.h"
STUB_TEXT = """/*
 * What stands where a lab's code is to come: the test that gets there fails with this line.
 */
#pragma once

#include <lib/assert.h>

#define lab_todo(what) panic("%s", what)
"""


class MarkError(Exception):
    """A mark that nothing can be made of."""


@dataclass(frozen=True)
class Region:
    lab: int
    task: str  # "3.2"
    is_helper: bool
    start: int  # of the comment
    code: int  # behind it
    body: int  # the body's {, for a helper as code
    end: int  # behind the last line
    name: str


def definition_end(text: str, at: int) -> int:
    """Behind a function, variable, type or macro that starts at `at`."""
    if text.startswith("#", at):
        return re.compile(r"(?:[^\n]*\\\n)*[^\n]*\n").match(text, at).end()  # type: ignore[union-attr]
    for line in re.compile(r"[^\n]*\n").finditer(text, at):
        if re.match(r"\}.*\n", line.group()) or (line.group().endswith(";\n") and line.group()[0] not in " \t") or \
                (line.group().endswith(";\n") and "\n{" not in text[at:line.end()] and "{" not in text[at:line.end()]):
            return line.end()
    raise MarkError("nothing ends behind the mark")


def regions(text: str) -> list[Region]:
    found = []
    for m in COMMENT.finditer(text):
        # The match may have begun in an earlier comment's middle only if that one has no end: not possible.
        code, end = m.end(), definition_end(text, m.end())
        brace = text.find("\n{\n", code, end)
        function = re.search(r"(\w+)\(", text[code:end])
        if not m.group(3) and (brace < 0 or not function):
            raise MarkError("no function behind `lab %s.%s`" % m.group(1, 2))
        found.append(Region(int(m.group(1)), "%s.%s" % m.group(1, 2), bool(m.group(3)), m.start(), code,
                            code if m.group(3) else brace + 1, end, function.group(1) if function else ""))
    return found


def parameters(signature: str) -> list[str]:
    """The names of the parameters of `type name(…)`."""
    inner = signature[signature.index("(") + 1:signature.rindex(")")]
    depth, part, parts = 0, "", []
    for c in inner + ",":
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    names = []
    for p in parts:
        pointer = re.search(r"\(\*(\w+)\)", p)
        word = re.findall(r"\w+", re.sub(r"\[[^\]]*\]", "", p))
        if p not in ("", "void", "..."):
            names.append(pointer.group(1) if pointer else word[-1])
    return names


def stub(text: str, r: Region) -> str:
    lines = ["\t(void)%s;" % p for p in parameters(text[r.code:r.body])]
    lines.append("\tlab_todo(\"lab %d: %s is yours\");" % (r.lab, r.name))
    return "{\n%s\n}\n" % "\n".join(lines)


def name_unused(text: str) -> str:
    """What only removed code used keeps the compiler quiet."""
    out, last = [], 0
    for m in STATIC.finditer(text):
        try:
            end = definition_end(text, m.start())
        except MarkError:
            continue
        rest = text[:m.start()] + text[end:]
        if not re.search(r"\b%s\b" % re.escape(m.group("name")), without_comments(rest)):
            out.append(text[last:m.start()] + "__attribute__((unused)) static " + m.group("head"))
            last = m.end()
    return "".join(out) + text[last:]


def without_comments(text: str) -> str:
    """Nor strings: what only they name is not used."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', " ", text, flags=re.S)


def starter(text: str, lab: int) -> str:
    """The file as the lab's student gets it."""
    out, last, mine = [], 0, [r for r in regions(text) if r.lab == lab]
    if not mine:
        return unmarked(text)
    for r in mine:
        if r.is_helper:
            out.append(text[last:r.start].rstrip("\n") + "\n")
            if text[r.end:r.end + 1] != "\n":
                out.append("\n")
        else:
            out.append(unmarked(text[last:r.body], lab) + stub(text, r))
        last = r.end
    text = re.sub(r"\n{3,}", "\n\n", "".join(out) + unmarked(text[last:], lab))  # where helpers stood
    includes = list(re.finditer(r"^#include .*\n", text, re.M))
    place = includes[-1].end() if includes else 0
    return name_unused(text[:place] + "#include <lib/lab.h>\n" + text[place:])


def unmarked(text: str, keep: int = -1) -> str:
    """Without the marks of other labs."""
    return ANY_MARK.sub(lambda m: m.group() if keep >= 0 and "lab %d." % keep in m.group() else "", text)


def removed(text: str, lab: int) -> list[list[str]]:
    """The lines of each region that the starter does not have, blanks made single, without empty ones."""
    return [[normal(line) for line in text[r.body:r.end].splitlines() if len(normal(line)) > 1]
            for r in regions(text) if r.lab == lab]


def normal(line: str) -> str:
    return " ".join(line.split())
