"""gdb commands for Strata, loaded by `make debug`. In gdb: help user-defined.

They read plain memory and symbols only, so they work at any stop, a panic included.
"""

import os

import gdb

gdb.execute("source " + os.path.join(os.path.dirname(os.path.abspath(__file__)), "memory.py"))

PAGE_MAP_BASE = 0xFFFFFF8000000000
DIRECT_MAP_BASE = 0xFFFF800000000000
PAGE_SHIFT = 12


def number(text):
    """A number from any gdb expression, without a sign."""
    return int(gdb.parse_and_eval(text).cast(gdb.lookup_type("unsigned long")))


class Command(gdb.Command):
    """A user command whose help is its class's text."""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_USER)

    def usage(self):
        raise gdb.GdbError("usage: " + self.__doc__.strip().splitlines()[0])


class StrataPage(Command):
    """strata-page PFN|ADDRESS

The struct page of a page frame: a page frame number, or an address in the direct map."""

    name = "strata-page"

    def invoke(self, argument, from_tty):
        if not argument:
            self.usage()
        value = number(argument)
        pfn = (value - DIRECT_MAP_BASE) >> PAGE_SHIFT if value >= DIRECT_MAP_BASE else value
        try:
            page = gdb.parse_and_eval("*((struct page *)%#x + %d)" % (PAGE_MAP_BASE, pfn))
            print("pfn %d  physical %#x  virtual %#x" % (
                pfn, pfn << PAGE_SHIFT, DIRECT_MAP_BASE + (pfn << PAGE_SHIFT)))
            print(page.format_string(max_depth=3))
        except gdb.MemoryError:
            raise gdb.GdbError("page frame %d has no metadata: no RAM, or not initialised yet" % pfn) from None


class StrataPhys(Command):
    """strata-phys ADDRESS [BYTES]

Hexadecimal dump of physical memory, through the direct map (default: 64 bytes)."""

    name = "strata-phys"

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if not 1 <= len(words) <= 2:
            self.usage()
        count = number(words[1]) if len(words) > 1 else 64
        gdb.execute("x/%dxg %#x" % ((count + 7) // 8, DIRECT_MAP_BASE + number(words[0])))


class StrataRegisters(Command):
    """strata-regs

Control registers and the flags, in words where they matter."""

    name = "strata-regs"
    CR0 = {0: "PE", 1: "MP", 3: "TS", 5: "NE", 16: "WP", 31: "PG"}
    CR4 = {5: "PAE", 6: "MCE", 7: "PGE", 9: "OSFXSR", 11: "UMIP", 12: "LA57", 20: "SMEP", 21: "SMAP"}
    EFER = {0: "SCE", 8: "LME", 10: "LMA", 11: "NXE"}

    def invoke(self, argument, from_tty):
        for name, bits in (("cr0", self.CR0), ("cr4", self.CR4), ("efer", self.EFER)):
            value = number("$" + name)
            print("%-5s %#012x  %s" % (name, value, " ".join(
                text for bit, text in bits.items() if value >> bit & 1)))
        print("cr2   %#018x\ncr3   %#018x" % (number("$cr2"), number("$cr3")))
        print("interrupts " + ("on" if number("$eflags & 512") else "off"))


for command in (StrataPage, StrataPhys, StrataRegisters):
    command()
gdb.execute("set pagination off")
gdb.execute("set print pretty on")
if gdb.lookup_global_symbol("platform_panic"):
    gdb.execute("break platform_panic")  # so that a panic stops here, with its backtrace
if gdb.lookup_global_symbol("kernel_main"):
    gdb.execute("hbreak kernel_main")  # hardware: the image is not in memory yet
print("Stopped before the firmware. `continue` runs to kernel_main; strata-page, strata-phys, strata-regs; "
      "pages, buddy, slabs, sites, kmalloc-info, leaks.")
