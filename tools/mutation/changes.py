"""Which small changes can be made to a C file: tokens, functions, mutants.

It reads C by its tokens and knows binary operators by the spaces around them, so it needs the project's format. What it
changes and what it leaves alone is in docs/mutation.md.
"""

import re
from typing import Iterator, NamedTuple


class Token(NamedTuple):
    kind: str  # word, number, op, text
    text: str
    start: int
    end: int


class Mutant(NamedTuple):
    file: str
    function: str
    line: int
    what: str
    old: str  # the changed lines, before and after, with single blanks
    new: str
    nth: int  # of those that read so in this function
    start: int
    end: int
    text: str  # replaces source[start:end]


Change = tuple[str, int, int, str]  # what, first token, last token, replacement

# --- Reading C: tokens, without comments and preprocessor lines ---

LEXER = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>0[xX][0-9a-fA-F]+[uUlL]*|\d+[uUlL]*)
  | (?P<op><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.VERBOSE | re.DOTALL | re.MULTILINE)


def tokenize(source: str) -> Iterator[Token]:
    for m in LEXER.finditer(source):
        if m.lastgroup != "skip":
            yield Token(m.lastgroup, m.group(), m.start(), m.end())


def closing(tokens: list[Token], i: int) -> int:
    """The index of the bracket that closes the one at i."""
    depth = 0
    for j in range(i, len(tokens)):
        if tokens[j].text in ("(", "[", "{"):
            depth += 1
        elif tokens[j].text in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return j
    raise ValueError("unbalanced %s at offset %d" % (tokens[i].text, tokens[i].start))


def functions(tokens: list[Token]) -> Iterator[tuple[str, int, int]]:
    """(name, index of "{", index of "}") of each function at file level."""
    i = 0
    while i < len(tokens):
        if tokens[i].text == "(" and i and tokens[i - 1].kind == "word":
            end = closing(tokens, i)
            if end + 1 < len(tokens) and tokens[end + 1].text == "{":
                close = closing(tokens, end + 1)
                yield tokens[i - 1].text, end + 1, close
                end = close
            i = end
        elif tokens[i].text == "{":
            i = closing(tokens, i)
        i += 1


# --- Changes ---

SWAPS = {
    "<": ["<="], "<=": ["<"], ">": [">="], ">=": [">"], "==": ["!="], "!=": ["=="],
    "&&": ["||"], "||": ["&&"], "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["/"],
    "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"], "^": ["|"],
    "+=": ["-="], "-=": ["+="], "|=": ["&="], "&=": ["|="], "^=": ["|="], "<<=": [">>="], ">>=": ["<<="],
}
ASSIGNMENTS = {"+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="}
STEPS = {"++": "--", "--": "++"}
SAME_STEP = {"<": 1, ">=": 1, ">": -1, "<=": -1}
PAIRS = [("true", "false"), ("align_up", "align_down"), ("list_push_front", "list_push_back"),
         ("lowest_bit", "highest_bit")] + [("min" + t, "max" + t) for t in ("_u32", "_u64", "_size", "_unsigned")]
WORDS = {**dict(PAIRS), **{b: a for a, b in PAIRS}, "log2_ceil": "highest_bit"}
KEYWORDS = {"return", "goto", "case", "default", "else", "do", "for", "while", "if", "switch", "sizeof", "typedef"}
# Left alone: inner truths, the log, and what only tells the compiler, a sanitizer or the processor something.
SILENT = re.compile(r"^(debug_assert|static_assert|spin_assert_held|sizeof|log_\w+|will_read|will_write|keep_loop|va_end|cpu_relax)$")
MESSAGE = re.compile(r"^panic$")  # may be dropped, its text is left alone


def is_silent(tokens: list[Token], i: int) -> bool:
    empty = tokens[i].text == "__asm__" and '""' in (t.text for t in tokens[i + 1:i + 4])
    return empty or bool(SILENT.match(tokens[i].text))


def number_changes(tokens: list[Token], i: int) -> list[str]:
    """One more and one less, but `a < 8` has no use for `a < 9`: that is `a <= 8`, which is tried anyway."""
    text, before, after = tokens[i].text, tokens[i - 1].text, tokens[i + 1].text
    digits = text.rstrip("uUlL")
    value, suffix = int(digits, 0 if digits[:2].lower() == "0x" else 10), text[len(digits):]
    show = hex if digits[:2].lower() == "0x" else str
    same = SAME_STEP.get(before) if after in (")", ";", "&&", "||", "?", ":", ",") else None
    return [show(value + step) + suffix for step in (1, -1) if value + step >= 0 and step != same]


def is_buffer_size(tokens: list[Token], i: int) -> bool:
    """Is the number at i the length of a local array, as in char name[32], or what format_buf() may fill of it?"""
    if [t.text for t in tokens[max(0, i - 4):i:3]] == ["format_buf", ","]:
        return True
    first = i
    while tokens[first - 1].text not in (";", "{", "}", "(", "="):
        first -= 1
    inside = sum({"[": 1, "]": -1}.get(t.text, 0) for t in tokens[first:i])
    return inside == 1 and tokens[first].kind == tokens[first + 1].kind == "word" and tokens[first].text not in KEYWORDS


def token_changes(source: str, tokens: list[Token], i: int) -> list[Change]:
    token = tokens[i]
    spaced = source[token.start - 1].isspace() and source[token.end].isspace()
    if token.kind == "number" and not is_buffer_size(tokens, i):
        return [("constant", i, i, new) for new in number_changes(tokens, i)]
    if token.kind == "word" and token.text in WORDS:
        return [("word", i, i, WORDS[token.text])]
    if token.text in SWAPS and spaced:  # the format puts spaces around binary operators only
        return [("operator", i, i, new) for new in SWAPS[token.text]]
    if token.text in STEPS:
        return [("step", i, i, STEPS[token.text])]
    if token.text == "!":
        return [("not", i, i, "")]
    return []


def condition_changes(source: str, tokens: list[Token], i: int) -> list[Change]:
    """Of the if or while at i. An == or != alone has that change already."""
    if tokens[i].text not in ("if", "while") or tokens[i + 1].text != "(":
        return []
    end = closing(tokens, i + 1)
    inside = [t.text for t in tokens[i + 2:end]]
    if inside[0] == "!" or (("==" in inside or "!=" in inside) and not ("&&" in inside or "||" in inside)):
        return []
    text = source[tokens[i + 2].start:tokens[end - 1].end]
    return [("negated", i + 2, end - 1, "!(%s)" % text)]


def inside_brackets(tokens: list[Token], i: int) -> bool:
    """Is i inside the brackets of a for?"""
    depth = 0
    for j in range(i - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(tokens[j].text, 0)
        if depth < 0 or tokens[j].text in ("{", "}"):
            return depth < 0
    return False


def starts_statement(tokens: list[Token], i: int) -> bool:
    before = tokens[i - 1].text
    if before == ";" and inside_brackets(tokens, i):
        return False
    if before in ("{", "}", ";", "else"):
        return True
    if before == ":":
        return any(t.text in ("case", "default") for t in tokens[max(0, i - 4):i - 1])
    if before != ")":
        return False
    depth = 0
    for j in range(i - 1, -1, -1):  # the word before the bracket that this one closes
        depth += {")": 1, "(": -1}.get(tokens[j].text, 0)
        if depth == 0:
            return tokens[j - 1].text in ("if", "while", "for") or tokens[j - 1].text.startswith("for_each")
    return False


def statement_changes(source: str, tokens: list[Token], i: int) -> list[Change]:
    """Drops the statement that starts at i: a call, an assignment, a step or a jump; declarations stay."""
    first, second = tokens[i], tokens[i + 1].text
    jump = first.text in ("break", "continue") or (first.text == "return" and second == ";")
    writes = second in ("=", ".", "->", "[", "(", "++", "--") or second in ASSIGNMENTS
    plain = first.kind == "word" and first.text not in KEYWORDS and writes and not first.text.startswith("for_each")
    if not (jump or plain or first.text in ("*", "++", "--")) or not starts_statement(tokens, i):
        return []
    end = i
    while tokens[end].text != ";":
        if tokens[end].text in (")", "]", "}"):
            return []  # an initializer
        end = closing(tokens, end) + 1 if tokens[end].text in ("(", "[", "{") else end + 1
    return [("dropped", i, end, ";")]


def changes(source: str, tokens: list[Token], start: int, end: int) -> Iterator[Change]:
    i = start + 1
    while i < end:
        yield from statement_changes(source, tokens, i) if not is_silent(tokens, i) else []
        if (is_silent(tokens, i) or MESSAGE.match(tokens[i].text)) and tokens[i + 1].text == "(":
            i = closing(tokens, i + 1)
        else:
            yield from token_changes(source, tokens, i)
            yield from condition_changes(source, tokens, i)
        i += 1


def squeeze(text: str) -> str:
    return " ".join(text.split())


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    tokens = list(tokenize(source))
    for name, start, end in functions(tokens):
        if SILENT.match(name):
            continue
        seen: dict[tuple[str, str], int] = {}
        for what, first, last, new in changes(source, tokens, start, end):
            a, b = tokens[first].start, tokens[last].end
            from_, to = source.rfind("\n", 0, a) + 1, source.index("\n", b)
            old_text, new_text = squeeze(source[from_:to]), squeeze(source[from_:a] + new + source[b:to])
            nth = seen[old_text, new_text] = seen.get((old_text, new_text), 0) + 1
            yield Mutant(file, name, source.count("\n", 0, a) + 1, what, old_text, new_text, nth, a, b, new)


Key = tuple[str, str, str, str]


def key(m: Mutant) -> Key:
    """What a mutant is known by: its text and not its line number, so that it survives changes elsewhere."""
    return m.file, m.function + ("" if m.nth == 1 else " #%d" % m.nth), m.old, m.new


def shown(m: Mutant) -> str:
    return "%s: %s\n    - %s\n    + %s\n" % key(m)
