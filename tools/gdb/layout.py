"""How `make debug` begins: it stops where the kernel panics, and on a terminal shows source, assembly and registers.

A pipe, a dumb terminal, a gdb without its text interface and STRATA_LAYOUT=plain get gdb's plain prompt. In gdb:
`tui disable` and `layout strata` go to and fro.
"""

import os
import sys

import gdb


def break_on_panic():
    """strata.py has platform_panic(); a fault that nobody expects comes by the other door."""
    gdb.execute("break panic_trap", to_string=True)
    print("Stops at kernel_main and at a panic (info breakpoints). help user-defined lists Strata's commands.")


def wants_windows():
    return (os.environ.get("STRATA_LAYOUT", "") != "plain" and os.environ.get("TERM", "dumb") != "dumb"
            and sys.__stdin__.isatty() and sys.__stdout__.isatty())


def show_windows():
    """False: this gdb has no text interface, or the terminal is too small for it."""
    try:
        gdb.execute("tui new-layout strata {-horizontal {src 2 asm 1} 2 regs 1} 3 status 0 cmd 2")
        gdb.execute("layout strata")
        gdb.execute("focus cmd")
        return True
    except gdb.error as e:
        print("plain prompt: %s" % e)
        return False


gdb.execute("set pagination off")
gdb.execute("set disassemble-next-line auto")
break_on_panic()
if wants_windows():
    show_windows()
