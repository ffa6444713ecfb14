"""Mutant schemata: all mutants of a file in one source, behind a switch (Untch, Offutt and Harrold 1993).

Every function becomes its own body and, before it, a mutated copy of that body for each of its mutants:

    static u32 f(u32 a)
    {
            mutant_entered[7] = 1;
            switch (mutant_now) {
            case 123: { ... the body with one change ... } goto mutant_end;
            }
            { ... the body ... }
            mutant_end:;
    }

So one build serves all mutants, and a program chooses one by setting mutant_now. mutant_entered tells which functions
a test runs. Copies are told apart in the compiler's messages by line numbers from 1000 times their number on.
"""

import re
from typing import Iterable

from mutation.changes import Mutant, Token, functions, tokenize

LINES = 1000  # that a copy may have; the lines of a file itself lie below LINES * FIRST_ID
FIRST_ID = 10

PRELUDE = "extern unsigned mutant_now;\nextern unsigned char mutant_entered[];\n"


def function_names(file: str, source: str) -> list[str]:
    """The functions of a file, in the order in which write() numbers them."""
    return ["%s:%s" % (file, name) for name, _, _ in functions(list(tokenize(source)))]


def labels(tokens: list[Token]) -> str:
    """The declaration that makes a function's labels local to a copy of its body."""
    found = [b.text for a, b, c in zip(tokens, tokens[1:], tokens[2:])
             if a.text in (";", "{", "}") and b.kind == "word" and c.text == ":" and b.text != "default"]
    return "__label__ %s;" % ", ".join(found) if found else ""


def copy_of(source: str, start: int, end: int, mutant: Mutant, number: int, local: str) -> str:
    changed = source[start:mutant.start] + mutant.text + source[mutant.end:end]
    return "case %d:\n#line %d\n{%s%s}\ngoto mutant_end;\n" % (number, number * LINES, local, changed)


def write(file: str, source: str, mutants: Iterable[tuple[int, Mutant]], first_function: int) -> str:
    """The source with these numbered mutants; its functions are numbered from first_function on."""
    tokens, numbered = list(tokenize(source)), list(mutants)
    out, at = [PRELUDE, '#line 1 "%s"\n' % file], 0
    for i, (_, first, last) in enumerate(functions(tokens), first_function):
        start, end = tokens[first].end, tokens[last].start
        inside = [(n, m) for n, m in numbered if start <= m.start < end]
        local = labels(tokens[first:last])
        copies = "".join(copy_of(source, start, end, m, n, local) for n, m in inside)
        line = source.count("\n", 0, start) + 1
        out += [source[at:start], " mutant_entered[%d] = 1;" % i]
        out += ["\nswitch (mutant_now) {\n%s}\n#line %d\n" % (copies, line)] if inside else []
        out += ["{", local, source[start:end], "} mutant_end:;" if inside else "}"]
        at = end
    # An inline function with many copies of its body must not be copied again into each of its callers' copies. One
    # of a fast path stays in the section that tells where those are.
    own = '__noinline __attribute__((section("mm_fast_text")))' if "__mm_fast" in source else "__noinline"
    return "".join(out + [source[at:]]).replace("__always_inline", own)


def blamed(messages: str) -> set[int]:
    """The numbers of the mutants that the compiler's errors are about."""
    lines = (int(m.group(1)) for m in re.finditer(r"^[^\s:]+:(\d+):\d+: (?:fatal )?error:", messages, re.MULTILINE))
    return {line // LINES for line in lines if line >= FIRST_ID * LINES}
