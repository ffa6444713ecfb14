"""What a lab's file may do to the program around it: name only what the reference names and a few functions of lib/,
define only what the reference defines, include the same headers, and neither assembly nor sections of its own.

Signed results (tests/sign.h) do not depend on this; it closes the ways round them: a call of the framework's own
functions, code that runs before main(), a definition that takes the place of the framework's.
"""

import os
import re
import subprocess
from dataclasses import dataclass, field

# Beside what the reference names: lib/ without its means to catch a panic, and what compilers call by themselves.
COMMON = re.compile(
    r"^(__[aut]san_\w+|__ubsan_handle_\w+|__sanitizer_\w+|(lib_)?(mem(cpy|move|set|cmp)|str\w+)|mem_find_other|"
    r"bitmap_\w+|v?format_\w+|rng_\w+|spin_\w+|kprintf|log_\w+|panic|panic_about|__u?(div|mod)[td]i3|"
    r"_GLOBAL_OFFSET_TABLE_|lock_check_(acquired|released|acquire|release)\w*|page_(block|lookup)\w*)$")
# Section names that any object has.
PLAIN = re.compile(r"^(\.text(\..*)?|\.data(\..*)?|\.bss(\..*)?|\.rodata(\..*)?|\.debug_\w+|\.rela?\..*|\.comment|\.note.*|"
                   r"\.eh_frame|\.symtab|\.strtab|\.shstrtab|\.group|\.llvm_addrsig|asan_globals|\.init_array(\..*)?|"
                   r"\.fini_array(\..*)?|\.preinit_array|\.ctors.*|\.dtors.*)?$")
STARTS = re.compile(r"^\.(init_array|fini_array|preinit_array|ctors|dtors)")
SECTION = re.compile(r'\b(?:section|__section__)\s*\(\s*"[^"]*"')
FORBIDDEN = re.compile(r"\b(?:(?:asm|__asm|__asm__)\b[^;]{0,60}|constructor|__constructor__|destructor|__destructor__|alias|"
                       r"__alias__|weak|__weak__|ifunc|__ifunc__|naked|__naked__|__builtin_longjmp|__builtin_setjmp|"
                       r"__builtin_return_address|__builtin_frame_address)\b")
INCLUDE = re.compile(r'^\s*#\s*(?:include|include_next|embed|import)\b\s*([^\n]*?)\s*(?:/\*.*)?$', re.M)


@dataclass
class Facts:
    """What an object, and the text that it was made of, name."""
    undefined: list[str] = field(default_factory=list)
    defined: list[str] = field(default_factory=list)
    sections: list[str] = field(default_factory=list)
    starts: int = 0  # bytes of what runs before main()
    includes: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)  # of FORBIDDEN, as it stands


def object_facts(path: str, nm: str = "nm") -> Facts:
    facts = Facts()
    listing = subprocess.run([nm, "-g", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    for line in listing.splitlines():
        kind, name = line.split()[-2:]
        (facts.undefined if kind in "Uwv" else facts.defined).append(name)
    headers = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    for m in re.finditer(r"^\s*\[ *\d+\] (\S*)\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)", headers, re.M):
        if STARTS.match(m.group(1)):
            facts.starts += int(m.group(2), 16)
        facts.sections.append(m.group(1))
    return facts


def own_lines(preprocessed: str, path: str) -> str:
    """Of a preprocessor's output, what came from the file itself, macros expanded."""
    out, mine = [], True
    for line in preprocessed.splitlines():
        m = re.match(r'# \d+ "([^"]*)"', line)
        if m:
            mine = os.path.realpath(m.group(1)) == os.path.realpath(path)
        elif mine:
            out.append(line)
    return "\n".join(out)


def text_facts(text: str, preprocessed: str, path: str) -> Facts:
    mine = own_lines(preprocessed, path)
    special = [m.group() for m in SECTION.finditer(mine)]
    special += [m.group() for m in FORBIDDEN.finditer(re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', mine))]
    plain = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text.replace("\\\n", "").replace("%:", "#"), flags=re.S)
    return Facts(includes=[m.group(1) for m in INCLUDE.finditer(plain)],
                 special=[" ".join(text.split()) for text in special])


def allowed_include(name: str) -> bool:
    return bool(re.match(r"<(lib|mm)/\w+\.h>$", name)) or name in ("<stdint.h>", "<stddef.h>", "<stdbool.h>",
                                                                   "<stdarg.h>")


def complaints(path: str, mine: Facts, reference: Facts, allow: list[str]) -> list[str]:
    """One line for each thing that the file may not do; `reference` holds what it may."""
    found = []
    for name in mine.undefined:
        if name not in reference.undefined and name not in reference.defined and name not in allow and \
                not COMMON.match(name):
            found.append("%s names %s, which this lab's code has no use for" % (path, name))
    for name in mine.defined:
        if name not in reference.defined:
            found.append("%s defines %s for all the program: make it static" % (path, name))
    for name in mine.sections:
        if not PLAIN.match(name) and name not in reference.sections:
            found.append("%s has a section of its own: %s" % (path, name))
    if mine.starts > max(reference.starts, 0):
        found.append("%s has code that runs before main()" % path)
    for name in mine.includes:
        if name not in reference.includes and not allowed_include(name):
            found.append("%s includes %s, which is not for this layer" % (path, name))
    for text in mine.special:
        if text not in reference.special:
            found.append("%s: this is not for a lab's file: %s" % (path, text[:40]))
    return found
