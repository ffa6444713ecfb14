#!/usr/bin/env python3
"""Makes kernel/font.c from a console font: psf2c.py FONT.psf[.gz] > kernel/font.c

Reads PSF version 1 and 2 (psf.h of the kbd package is their specification), takes the glyphs of the
printable ASCII characters by the font's own Unicode table, and writes them as one C array. Run by
hand when the font is to change: its output is committed, so that no build needs the font's package.
"""
import gzip
import struct
import sys

FIRST, LAST, WIDTH, HEIGHT = 0x20, 0x7E, 8, 16

HEAD = """\
/*
 * The console's font: u_vga16 by Dmitry Bolkhovityanov, as Debian's console-setup-linux ships it
 * (/usr/share/consolefonts/Lat15-VGA16.psf.gz). Made by tools/psf2c.py: do not edit. Its notice:
 *
 * Copyright (C) 2000, 2001 by Dmitry Bolkhovityanov.  All Rights Reserved.
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
 * associated documentation files (the "Software"), to deal in the Software without restriction,
 * including without limitation the rights to use, copy, modify, merge, publish, distribute,
 * sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
 * furnished to do so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all copies or
 * substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
 * NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
 * NONINFRINGEMENT.  IN NO EVENT SHALL THE XFREE86 PROJECT BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
 * CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 *
 * Except as contained in this notice, the name of Dmitry Bolkhovityanov shall not be used in
 * advertising or otherwise to promote the sale, use or other dealings in this Software without
 * prior written authorization from the Dmitry Bolkhovityanov.
 */
#include <kernel/font.h>

/* clang-format off */
const u8 font_glyphs[FONT_LAST - FONT_FIRST + 1][FONT_HEIGHT] = {
"""


def read_font(data):
    """Returns (glyphs, {character: glyph number})."""
    if data[:2] == b"\x36\x04":
        mode, height = data[2], data[3]
        count, size, width, start = 512 if mode & 1 else 256, height, 8, 4
        has_table, unit = bool(mode & 6), 2
    elif data[:4] == b"\x72\xb5\x4a\x86":
        start, flags, count, size, height, width = struct.unpack_from("<6I", data, 8)
        has_table, unit = bool(flags & 1), 1
    else:
        sys.exit("psf2c: not a PSF font")
    if (width, height) != (WIDTH, HEIGHT) or len(data) < start + count * size:
        sys.exit(f"psf2c: the font is {width}x{height}; it must be {WIDTH}x{HEIGHT}, and whole")
    glyphs = [data[start + i * size : start + (i + 1) * size] for i in range(count)]
    table = data[start + count * size :]
    return glyphs, read_table(table, unit) if has_table else {i: i for i in range(count)}


def read_table(table, unit):
    """For each glyph its characters; sequences (after 0xfffe or 0xfe) are left out."""
    if unit == 2:
        words = [w for (w,) in struct.iter_unpack("<H", table[: len(table) & ~1])]
        groups = " ".join(map(str, words)).split(str(0xFFFF))
        lists = [[int(w) for w in g.split()] for g in groups]
        lists = [c[: c.index(0xFFFE)] if 0xFFFE in c else c for c in lists]
    else:
        groups = [g.split(b"\xfe")[0] for g in table.split(b"\xff")]
        lists = [[ord(c) for c in g.decode("utf-8")] for g in groups]
    return {c: i for i, chars in enumerate(lists) for c in chars}


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    glyphs, numbers = read_font(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    print(HEAD, end="")
    for c in range(FIRST, LAST + 1):
        if c not in numbers:
            sys.exit(f"psf2c: the font has no glyph for {chr(c)!r}")
        pixels = ",".join(f"0x{b:02x}" for b in glyphs[numbers[c]])
        print(f"\t/* {chr(c)} */ {{{pixels}}},")
    print("};")


if __name__ == "__main__":
    main()
