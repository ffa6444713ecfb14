"""Pictures, as far as the tests of the screen need them: portable pixmaps (P6), which QEMU's screendump writes, cut into the
cells of a text screen; and PNG for a look at what a test saw (the standard library alone)."""

import re
import struct
import zlib

CELLS = {(720, 400): (9, 16), (640, 400): (8, 16)}  # VGA's text modes; framebuffers draw 8x16


class Picture:
    def __init__(self, width, height, pixels):
        self.width, self.height, self.pixels = width, height, pixels
        self.cell_width, self.cell_height = CELLS.get((width, height), (8, 16))
        self.columns, self.rows = width // self.cell_width, height // self.cell_height

    @classmethod
    def read_png(cls, path):
        """One that write_png() wrote: the lines are as they are, without filters."""
        with open(path, "rb") as file:
            data = file.read()
        at, parts = 8, {}
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at:at + 8])
            parts[kind] = parts.get(kind, b"") + data[at + 8:at + 8 + length]
            at += length + 12
        width, height = struct.unpack(">II", parts[b"IHDR"][:8])
        lines = zlib.decompress(parts[b"IDAT"])
        pixels = b"".join(lines[y * (3 * width + 1) + 1:(y + 1) * (3 * width + 1)] for y in range(height))
        if len(pixels) != 3 * width * height or any(lines[::3 * width + 1]):
            raise ValueError("%s was not written by write_png()" % path)
        return cls(width, height, pixels)

    @classmethod
    def read(cls, path):
        with open(path, "rb") as file:
            data = file.read()
        head = re.match(rb"P6\s+(?:#.*\s+)*(\d+)\s+(\d+)\s+255\s", data)
        if not head:
            raise ValueError("%s is no portable pixmap of 8 bits" % path)
        width, height = int(head.group(1)), int(head.group(2))
        pixels = data[head.end():]
        if len(pixels) != 3 * width * height:
            raise ValueError("%s is cut off" % path)
        return cls(width, height, pixels)

    def cell(self, row, column):
        """The cell's pixels, three bytes each, row by row."""
        step, width = 3 * self.width, 3 * self.cell_width
        at = row * self.cell_height * step + column * width
        return b"".join(self.pixels[y:y + width] for y in range(at, at + self.cell_height * step, step))

    def part(self, top, rows):
        """Whole rows of pixels, as a picture of their own."""
        return Picture(self.width, rows, self.pixels[3 * self.width * top:3 * self.width * (top + rows)])

    def difference(self, other):
        """The share of pixels, 0 to 1, that differ by more than 40 of 255 in some colour; 1 for other sizes."""
        if (self.width, self.height) != (other.width, other.height):
            return 1.0
        if self.pixels == other.pixels:
            return 0.0
        a, b = self.pixels, other.pixels
        far = sum(1 for i in range(0, len(a), 3)
                  if abs(a[i] - b[i]) > 40 or abs(a[i + 1] - b[i + 1]) > 40 or abs(a[i + 2] - b[i + 2]) > 40)
        return far / (self.width * self.height)

    def write_png(self, path):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        lines = b"".join(b"\0" + self.pixels[3 * self.width * y:3 * self.width * (y + 1)] for y in range(self.height))
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)) +
                       chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b""))
