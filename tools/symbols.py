#!/usr/bin/env python3
"""Makes the kernel's symbol table: reads `nm -n` of a linked kernel on standard input, writes NASM
source on standard output. Empty input gives an empty table, for the first link.

The table names functions only (nm's types t, T, w, W) that lie in the kernel's text, by address,
one name an address (a global one before a local one). Its layout is kernel/symbols.c's struct
symbol_table: the count and the end of the text, then for each symbol its offset from KERNEL_BASE
and the place of its name, then the names.
"""

import sys

KERNEL_BASE = 0xFFFFFFFF80000000
NAMES_PER_LINE = 4
BOUNDS = ("kernel_start", "text_start", "text_end")  # of linker.ld: places, not functions


def read_symbols(lines):
    """{address: name} of the functions, and the end of the text (0: not given)."""
    best, end = {}, 0
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if len(fields) == 2 and len(fields[0]) == 1:
            continue  # undefined: no address
        if len(fields) != 3:
            sys.exit("symbols.py: line %d is not nm output: %r" % (number, line.rstrip()))
        address, kind, name = int(fields[0], 16), fields[1], fields[2]
        if name == "text_end":
            end = address
        if kind not in "tTwW" or address < KERNEL_BASE or name in BOUNDS:
            continue
        if address not in best or kind in "TW":
            best[address] = name
    return {a: n for a, n in best.items() if not end or a < end}, end


def write_table(symbols, end, out):
    print("; Made by tools/symbols.py: the functions of the kernel.", file=out)
    print("section .symbols progbits alloc noexec nowrite align=8", file=out)
    print("global symbol_table", file=out)
    print("symbol_table:", file=out)
    print("\tdd %d, %#x" % (len(symbols), (end - KERNEL_BASE) if end and symbols else 0), file=out)
    place, names = 0, []
    for address in sorted(symbols):
        print("\tdd %#x, %d" % (address - KERNEL_BASE, place), file=out)
        names.append(symbols[address])
        place += len(symbols[address]) + 1
    for i in range(0, len(names), NAMES_PER_LINE):
        print("\tdb " + ", ".join('"%s", 0' % n for n in names[i : i + NAMES_PER_LINE]), file=out)


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 0 if sys.argv[1] in ("-h", "--help") else 64
    symbols, end = read_symbols(sys.stdin)
    write_table(symbols, end, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
