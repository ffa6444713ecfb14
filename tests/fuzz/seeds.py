#!/usr/bin/env python3
"""Writes the seeds in tests/fuzz/seeds/ again: small inputs that reach every part of each target, from which the fuzzer
starts. Inputs that once found something stand beside them, as found-*, and are left alone.

    tests/fuzz/seeds.py
"""

import glob
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
MAP = bytes([20, 55])  # how struct input makes a map of it: 52 bits, storage for 63 ranges


def write(target, name, data):
    folder = os.path.join(HERE, "seeds", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(data)


# --- ACPI ---

def acpi_table(signature, body):
    return signature + struct.pack("<I", 36 + len(body)) + bytes(28) + body  # the target repairs the sum


def acpi_memory(version, *tables):
    """The reader's memory from 0x10000 on: the root, the list of tables, the tables."""
    size, at, places, rest = (8 if version else 4), 256, [], b""
    for table in tables:
        places.append(0x10000 + at + len(rest))
        rest += table + bytes(-len(table) % 16)
    listed = acpi_table(b"XSDT" if version else b"RSDT", b"".join(place.to_bytes(size, "little") for place in places))
    root = b"RSD PTR " + bytes(7) + bytes([2 if version else 0]) + struct.pack("<IIQ", 0x10040, 36, 0x10040) + bytes(4)
    return bytes([2 if version else 1]) + root.ljust(64, b"\0") + listed.ljust(at - 64, b"\0") + rest


def acpi_madt():
    entries_ = b"".join(struct.pack("<BBBBI", 0, 8, i, i, i != 2) for i in range(4))
    entries_ += struct.pack("<BBHIII", 9, 16, 0, 300, 1, 300) + struct.pack("<BBBBII", 1, 12, 0, 0, 0xfec00000, 0)
    entries_ += struct.pack("<BBBBIH", 2, 10, 0, 9, 20, 15) + struct.pack("<BBHQ", 5, 12, 0, 0xfee00000)
    return acpi_table(b"APIC", struct.pack("<II", 0xfee00000, 1) + entries_)


def acpi_srat(*ranges):
    body = bytes(12) + struct.pack("<BBBBIB3BI", 0, 16, 0, 1, 1, 0, 0, 0, 0, 0) + struct.pack("<BBHIIIII", 2, 24, 0, 1, 300, 1, 0, 0)
    for domain, base, length in ranges:
        body += struct.pack("<BBIHQQIIQ", 1, 40, domain, 0, base, length, 0, 1, 0)
    return acpi_table(b"SRAT", body)


def acpi_slit(n, distances):
    return acpi_table(b"SLIT", struct.pack("<Q", n) + bytes(distances))


def write_acpi():
    nodes = acpi_srat((0, 0, 1 << 30), (1, 1 << 32, 1 << 30), (0, 1 << 30, 1 << 30))
    for version in (0, 1):
        write("acpi", "all-v%d" % version, acpi_memory(version, acpi_madt(), nodes, acpi_slit(2, (10, 20, 21, 10))))
    write("acpi", "overlap", acpi_memory(1, acpi_madt(), acpi_srat((0, 0, 1 << 31), (1, 1 << 30, 1 << 30))))
    write("acpi", "nine-nodes", acpi_memory(1, acpi_srat(*[(i, i << 30, 1 << 30) for i in range(9)])))
    write("acpi", "bad-slit", acpi_memory(1, nodes, acpi_slit(2, (10, 9, 9, 10))))
    write("acpi", "no-root", b"\0")


# --- Multiboot 2 ---

def tag(kind, body):
    size = 8 + len(body)
    return struct.pack("<II", kind, size) + body + bytes(-size % 8)


def entries(*ranges):
    return b"".join(struct.pack("<QQII", base, length, kind, 0) for base, length, kind in ranges)


def descriptors(*ranges):
    return b"".join(struct.pack("<IIQQQQ", kind, 0, base, 0, pages, attributes) for kind, base, pages, attributes in ranges)


def rsdp(revision):
    body = bytearray(b"RSD PTR \0STRATA" + bytes([revision]) + struct.pack("<I", 0xe0000))
    body[8] = -sum(body) & 255
    if revision >= 2:
        body += struct.pack("<IQ", 36, 0xe1000) + bytes(4)
        body[32] = -sum(body) & 255
    return bytes(body)


def multiboot2(*tags):
    body = b"".join(tags) + struct.pack("<II", 0, 8)
    return MAP + struct.pack("<II", 8 + len(body), 0) + body


PC = entries((0, 0x9fc00, 1), (0x9fc00, 0x400, 2), (0xf0000, 0x10000, 2), (0x100000, 0x3ee0000, 1), (0x3fe0000, 0x20000, 3))
EFI = descriptors((7, 0x100000, 0x700, 15), (3, 0x800000, 16, 15), (9, 0x810000, 4, 15), (10, 0x814000, 4, 15),
                  (5, 0x818000, 8, 1 << 63), (8, 0x820000, 1, 0), (2, 0x821000, 0x100, 8), (7, 1 << 32, 0x10000, 15 | 1 << 18))
FRAMEBUFFER = struct.pack("<QIIIBBBBBBBBBB", 0xfd000000, 4096, 1024, 768, 32, 1, 0, 0, 16, 8, 8, 8, 0, 8)
TEXT_SCREEN = struct.pack("<QIIIBBH", 0xb8000, 160, 80, 25, 16, 2, 0)


def write_multiboot2():
    write("multiboot2", "bios", multiboot2(
        tag(1, b"test=buddy.* quiet\0"), tag(2, b"GRUB 2.06\0"), tag(3, struct.pack("<II", 0x200000, 0x210000) + b"trace\0"),
        tag(4, struct.pack("<II", 639, 64512)), tag(6, struct.pack("<II", 24, 0) + PC), tag(8, TEXT_SCREEN),
        tag(9, struct.pack("<III", 2, 64, 1) + bytes(128)), tag(14, rsdp(0)), tag(21, struct.pack("<I", 0x200000))))
    write("multiboot2", "efi", multiboot2(
        tag(12, struct.pack("<Q", 0x7ff000)), tag(18, b""), tag(17, struct.pack("<II", 40, 1) + EFI), tag(8, FRAMEBUFFER),
        tag(14, rsdp(0)), tag(15, rsdp(2))))
    write("multiboot2", "basic", multiboot2(tag(4, struct.pack("<II", 640, 7168))))
    write("multiboot2", "empty", multiboot2())
    write("multiboot2", "truncated", multiboot2(tag(6, struct.pack("<II", 24, 0) + PC))[:-30])
    write("multiboot2", "sections-edge", multiboot2(tag(9, struct.pack("<III", 2, 64, 2) + bytes(128)),
                                                    tag(9, struct.pack("<III", 1, 39, 0) + bytes(39))))
    write("multiboot2", "long-names", multiboot2(tag(1, b"a" * 1100 + b"\0"), tag(3, struct.pack("<II", 1, 2) + b"m" * 200)))


# --- Multiboot 1: memory from 0x10000 on, the structure first ---

def multiboot1(flags, **fields):
    names = ("lower upper device cmdline mods mods_at sections size shdrs strings mmap_length mmap drives drives_at config"
             " loader apm vbe_control vbe_mode").split()
    head = struct.pack("<20I", flags, *[fields.get(name, 0) for name in names]) + bytes(8)
    return head + fields.get("screen", bytes(28))


def write_multiboot1():
    at = 0x10000 + 128
    mmap = b"".join(struct.pack("<IQQI", 20, base, length, kind)
                    for base, length, kind in ((0, 0x9fc00, 1), (0x9fc00, 0x400, 2), (0x100000, 0x3ee0000, 1)))
    texts = b"strata32.elf test seed=7\0QEMU\0module one\0"
    modules = struct.pack("<8I", 0x200000, 0x210000, at + 30, 0, 0x220000, 0x220000, 0, 0)
    parts = [texts + bytes(-len(texts) % 16), modules, mmap, bytes(80)]
    places = [at + sum(map(len, parts[:i])) for i in range(len(parts))]
    fields = {"lower": 639, "upper": 64512, "cmdline": at, "loader": at + 25, "mods": 2, "mods_at": places[1],
              "mmap": places[2], "mmap_length": len(mmap), "sections": 2, "size": 40, "shdrs": places[3], "strings": 1}
    screen = struct.pack("<QIIIBB6B", 0xfd000000, 4096, 1024, 768, 32, 1, 16, 8, 8, 8, 0, 8)
    for name, flags in (("everything", 0x126d), ("no-framebuffer", 0x26d), ("basic", 1), ("no-flags", 0), ("a.out", 0x30)):
        head = multiboot1(flags, screen=screen, **fields)
        write("multiboot1", name, MAP + head + bytes(128 - len(head)) + b"".join(parts))
    write("multiboot1", "short", MAP + multiboot1(1, **fields)[:12])


# --- text ---

def write_texts():
    write("cmdline", "all", b"\0test=buddy*,slab.* seed=0x1234 bench replay=kmalloc monitor mem=512M maxcpus=4 slab_debug=poison "
          b"quiet loglevel=7 safe console=serial,screen")
    write("cmdline", "multiboot1", b"\1/boot/strata.elf test=\"a b\" bench='c\"d'")
    write("cmdline", "wrong", b"\0nonsense mem=0 mem=1X mem=99999999999999999999 maxcpus=0 loglevel=8 quiet=1 seed= =x mem test=" +
          b"t" * 130 + b" " + b"w" * 200 + b" 'open")
    header = b"# trace 1\n# origin: a test\n# ops: 8  ids: 3  peak-live-bytes: 12345\n"
    write("trace", "every-kind", header + b"# cache dentry size 192 align 8\n# cache files size 704\n# note\n"
          b"k 0 24\nc 1 dentry 192 @3\np 2 4\nf 2\nm 2 100\nr 2 200 @1\nf 0\nz 0 64 256\n")
    write("trace", "wrong", header + b"k 9 24\n")
    write("trace", "overflow", header + b"k 0 99999999999999999999\n")
    for length in (63, 64):
        write("trace", "name-%d" % length, header + b"c 0 " + b"n" * length + b" 8\n")
    write("trace", "xz", b"\xfd7zXZ\0")


# --- operations: the targets say how they read them ---

def write_memmap():
    def entry(how, base, length, shift=3):
        return struct.pack("<BHHB", how, base, length, shift)
    write("memmap", "pc", bytes([4, 0, 20, 1]) + entry(1, 0, 9) + entry(2, 9, 1) + entry(1, 10, 6) + entry(3, 12, 1) +
          entry(17, 0, 16) + bytes([0, 2, 0, 16, 0, 32, 2, 0, 16, 4, 0, 0, 0, 255, 255]))
    write("memmap", "nested", bytes([3, 0, 0, 1]) + entry(1, 0, 16) + entry(5, 2, 9) + entry(4, 3, 5) + entry(2, 1, 1, 0))
    write("memmap", "bytes", bytes([3, 0, 10, 1]) + entry(1, 0, 5000, 0) + entry(1, 5000, 9000, 0) + entry(2, 13000, 1, 0) +
          entry(65, 100, 7, 0))
    write("memmap", "poor", bytes([23, 0, 10, 0]) + b"".join(entry(1 + i % 2, 2 * i, 1, 2) for i in range(24)))


def write_operations():
    def mix(n, step):
        return bytes((i * step + i // 7) & 255 for i in range(n))
    for target in ("buddy", "heap", "loan", "pages", "untouched"):
        for i, step in enumerate((37, 91, 151)):
            write(target, "mix-%d" % i, mix(200, step))
    for design in range(20):
        write("heaps", "mix-%d" % design, bytes([design, design % 3, 16]) + mix(300, 37 + 2 * design))
    for kind in range(4):  # which kind of arena: plain, imports, quantum caches, both
        write("vmem", "mix-%d" % kind, bytes([kind]) + mix(400, 37 + 2 * kind))
    for leaf in range(3):  # the largest leaf, and how many tables there are
        for limit in range(4):
            write("pt", "mix-%d-%d" % (leaf, limit), bytes([next(how for how in range(256) if how % 3 == leaf and how >> 2 & 3 == limit)]) +
                  mix(300, 41 + 6 * limit + 2 * leaf))


def main():
    for old in glob.glob(os.path.join(HERE, "seeds", "*", "*")):
        if not os.path.basename(old).startswith("found-"):
            os.remove(old)
    write_acpi()
    write_multiboot1()
    write_multiboot2()
    write_texts()
    write_memmap()
    write_operations()


if __name__ == "__main__":
    main()
