"""A terminal of a few lines, and pictures of it: what a stream of text with ECMA-48's escape sequences looks like, cell by
cell. The tests hold QEMU's pictures of the screen against it, and docs-assets makes its recording with it.

It understands what kernel/screen.c does, and scrolls as that does: `jump` rows at a time.
"""

import re

PLAIN = (7, 0)
# VGA's text mode, and kernel/framebuffer.c.
PALETTE = [(0, 0, 0), (0xAA, 0, 0), (0, 0xAA, 0), (0xAA, 0x55, 0), (0, 0, 0xAA), (0xAA, 0, 0xAA), (0, 0xAA, 0xAA),
           (0xAA, 0xAA, 0xAA), (0x55, 0x55, 0x55), (0xFF, 0x55, 0x55), (0x55, 0xFF, 0x55), (0xFF, 0xFF, 0x55),
           (0x55, 0x55, 0xFF), (0xFF, 0x55, 0xFF), (0x55, 0xFF, 0xFF), (0xFF, 0xFF, 0xFF)]
PART = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|(\x1b.?)|(.)", re.S)


class Terminal:
    """cells[row][column] is (character, ink, paper); row and column are the cursor's."""

    def __init__(self, columns=80, rows=25, jump=1):
        self.columns, self.rows, self.jump = columns, rows, jump
        self.row = self.column = 0
        self.cursor_is_shown = True
        self.unfinished = ""
        self.select(0)
        self.cells = [self.blank_row() for _ in range(rows)]

    def blank_row(self):
        return [(" ",) + self.colours] * self.columns

    def feed(self, text):
        """text may end inside an escape sequence: the rest comes next time."""
        text = self.unfinished + text
        cut = re.search(r"\x1b(\[[?0-9;]*)?$", text)
        self.unfinished = cut.group() if cut else ""
        for m in PART.finditer(text[:len(text) - len(self.unfinished)]):
            private, parameters, final, _, character = m.groups()
            if character:
                self.character(character)
            elif final and private:
                if parameters == "25" and final in "hl":
                    self.cursor_is_shown = final == "h"
            elif final:
                self.sequence([int(p or 0) for p in parameters.split(";")], final)

    def character(self, c):
        if c == "\n":
            self.newline()
        elif c == "\r":
            self.column = 0
        elif c == "\b":
            self.column = max(0, self.column - 1)
        elif c == "\t":
            self.put(" ")
            while self.column % 8:
                self.put(" ")
        elif c >= " ":
            self.put(c if c <= "~" else "?")

    def newline(self):
        self.column = 0
        if self.row + 1 == self.rows:
            self.cells = self.cells[self.jump:] + [self.blank_row() for _ in range(self.jump)]
            self.row -= self.jump
        self.row += 1

    def put(self, c):
        if self.column == self.columns:
            self.newline()
        self.cells[self.row][self.column] = (c,) + self.colours
        self.column += 1

    def select(self, n):
        if n == 0:
            self.ink, self.paper = PLAIN
            self.bright = self.inverse = False
        elif n in (1, 22):
            self.bright = n == 1
        elif n in (7, 27):
            self.inverse = n == 7
        elif 30 <= n <= 37 or 90 <= n <= 97:
            self.ink = n - 30 if n < 40 else n - 82
        elif 40 <= n <= 47 or 100 <= n <= 107:
            self.paper = n - 40 if n < 50 else n - 92
        ink = self.ink | 8 if self.bright else self.ink
        self.colours = (self.paper, ink) if self.inverse else (ink, self.paper)

    def clear(self, row, start=0):
        self.cells[row][start:] = self.blank_row()[start:]

    def sequence(self, parameters, final):
        first, at = parameters[0], min(self.column, self.columns - 1)
        second = parameters[1] if len(parameters) > 1 else 0
        if final == "m":
            for n in parameters:
                self.select(n)
        elif final == "K":
            self.clear(self.row, at)
        elif final == "J":
            self.clear(self.row, at if first == 0 else 0)
            for row in range(self.row if first == 0 else -1, self.rows - 1):
                self.clear(row + 1)
        elif final == "H":
            self.row = min(max(first, 1), self.rows) - 1
            self.column = min(max(second, 1), self.columns) - 1
        elif final == "C":
            self.column = min(at + max(first, 1), self.columns - 1)
        elif final == "D":
            self.column = max(at - max(first, 1), 0)

    def lines(self):
        return ["".join(cell[0] for cell in row).rstrip() for row in self.cells]

    def text(self):
        return "\n".join(self.lines()).rstrip("\n")
