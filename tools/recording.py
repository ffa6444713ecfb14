"""A recorded terminal session as one animated SVG, which any browser and a README show without a script.

Why not a tool that exists: the converters from asciinema's format that Debian and npm have are svg-term-cli, which is not
maintained, and agg, which Debian 12 lacks; this needs the terminal that the tests have anyway, and fifty lines.

Frames stand below each other in one tall drawing; an animation in steps moves it past a window of one frame's size. A row of
text that several frames have is drawn once and used again.
"""

from html import escape

WIDTH, HEIGHT, BASELINE = 8.4, 17, 13  # of a cell, in the units of the SVG
MARGIN = 10


class Recording:
    """frames: (seconds that it is shown, its rows). A row is what Terminal has: (character, ink, paper) a cell."""

    def __init__(self, columns, rows, palette):
        self.columns, self.rows, self.palette = columns, rows, palette
        self.frames, self.row_names, self.definitions = [], {}, []

    def add(self, cells, seconds, cursor=None):
        """What the terminal shows now, for that long. cursor: (row, column), or None. The same again lasts longer."""
        rows = [tuple(row) for row in cells]
        if cursor:
            row, column = cursor[0], min(cursor[1], self.columns - 1)
            character, ink, paper = rows[row][column]
            rows[row] = rows[row][:column] + ((character, paper, ink),) + rows[row][column + 1:]
        if self.frames and self.frames[-1][1] == rows:
            self.frames[-1][0] += seconds
        else:
            self.frames.append([seconds, rows])

    @staticmethod
    def runs(row, key):
        """(first column, cells) of each stretch of cells that are alike."""
        start = 0
        for column in range(1, len(row) + 1):
            if column == len(row) or key(row[column]) != key(row[start]):
                yield start, row[start:column]
                start = column

    def draw(self, row):
        parts = []
        for column, cells in self.runs(row, lambda cell: cell[2]):
            if cells[0][2] != 0:
                parts.append('<rect class="c%d" x="%.1f" width="%.1f" height="%d"/>' % (
                    cells[0][2], column * WIDTH, len(cells) * WIDTH, HEIGHT))
        for column, cells in self.runs(row, lambda cell: cell[1] if cell[0] != " " else -1):
            if cells[0][0] != " ":
                parts.append('<text class="c%d" x="%.1f" y="%d" textLength="%.1f">%s</text>' % (
                    cells[0][1], column * WIDTH, BASELINE, len(cells) * WIDTH,
                    escape("".join(cell[0] for cell in cells))))
        return "".join(parts)

    def use(self, row, y):
        if all(cell[0] == " " and cell[2] == 0 for cell in row):
            return ""
        if row not in self.row_names:
            self.row_names[row] = "r%d" % len(self.row_names)
            self.definitions.append('<g id="%s">%s</g>' % (self.row_names[row], self.draw(row)))
        return '<use href="#%s" y="%d"/>' % (self.row_names[row], y)

    def write(self, path, title):
        width, height = self.columns * WIDTH, self.rows * HEIGHT
        whole = sum(seconds for seconds, _ in self.frames)
        steps, shown, at = [], [], 0.0
        for n, (seconds, rows) in enumerate(self.frames):
            steps.append("%.3f%%{transform:translateY(%dpx)}" % (100 * at / whole, -n * height))
            shown += [self.use(row, n * height + y * HEIGHT) for y, row in enumerate(rows)]
            at += seconds
        colours = "".join(".c%d{fill:#%02x%02x%02x}" % ((n,) + colour) for n, colour in enumerate(self.palette))
        full_width, full_height = width + 2 * MARGIN, height + 2 * MARGIN
        with open(path, "w") as file:
            file.write("""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.1f %d" width="%.1f" height="%d">
<title>%s</title>
<style>@keyframes play{%s}
#film{animation:play %.2fs step-end infinite}
text{font:14px "DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace;white-space:pre}
%s</style>
<defs>%s</defs>
<rect width="100%%" height="100%%" rx="6"/>
<svg x="%d" y="%d" width="%.1f" height="%d"><g id="film">%s</g></svg>
</svg>
""" % (full_width, full_height, full_width, full_height, escape(title), "".join(steps), whole, colours,
                "\n".join(self.definitions), MARGIN, MARGIN, width, height, "".join(shown)))
