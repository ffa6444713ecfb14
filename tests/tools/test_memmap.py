"""build/host/memmap against an oracle that shares no idea with it, the maps of tests/data/memmaps, and bad input.

The oracle decides page by page what docs/memmap.md says (no sort, no sweep): a page that any byte of a not usable
entry touches is of the most restrictive such type; otherwise it is usable if the usable entries cover all its bytes.
Large maps are decided in the same way on the cells between all end points. SEED=N repeats a run.
"""

import glob
import os
import random
import subprocess
import time
import unittest

PROGRAM = os.path.join(os.environ.get("BUILD", "build"), "host", "memmap")
MAPS = os.path.join("tests", "data", "memmaps")
SEED = int(os.environ.get("SEED") or random.randrange(1 << 32))
PAGE = 4096
NAMES = {1: "usable", 2: "reserved", 3: "acpi", 4: "nvs", 5: "bad"}
RANK = {"usable": 0, "acpi": 1, "nvs": 2, "reserved": 3, "bad": 4}


def run(text, *args, file="-"):
    data = text if isinstance(text, bytes) else text.encode()
    return subprocess.run([PROGRAM, *args, file], input=data, capture_output=True, timeout=60)


def name_of(kind):
    return NAMES.get(kind, kind if kind in RANK else "reserved")


def clipped(entries, bits):
    """(first byte, end, name) of what is left of each entry."""
    for base, length, kind in entries:
        end = min(base + length, 1 << 64, 1 << bits)
        if base < end and length > 0:
            yield base, end, name_of(kind)


def covers(spans, base, end):
    """Whether the union of the spans holds all of [base, end)."""
    while base < end:
        reach = max((e for b, e in spans if b <= base < e), default=None)
        if reach is None:
            return False
        base = reach
    return True


def oracle(entries, bits):
    parts = list(clipped(entries, bits))
    edges = sorted({edge // PAGE + extra for b, e, _ in parts for edge in (b, e) for extra in (0, 1)})
    usable = [(b, e) for b, e, kind in parts if kind == "usable"]
    out = []
    for first, last in zip(edges, edges[1:]):
        base, end = first * PAGE, last * PAGE
        kinds = [k for b, e, k in parts if k != "usable" and b < end and base < e]
        if not kinds and not covers(usable, base, end):
            continue
        kind = max(kinds, key=RANK.get, default="usable")
        if out and out[-1][2] == kind and out[-1][0] + out[-1][1] == base:
            out[-1][1] += end - base
        else:
            out.append([base, end - base, kind])
    return "".join("%016x %016x %s\n" % tuple(line) for line in out)


def lines(entries):
    return "".join("%x %x %s\n" % entry for entry in entries)


def parse(text):
    fields = (line.split("#")[0].split() for line in text.splitlines())
    return [(int(f[0], 16), int(f[1], 16), int(f[2]) if f[2].isdigit() else f[2]) for f in fields if f]


def random_entry(rng, bits):
    """End points cluster: on pages, a byte beside them, on each other, and now and then anywhere in 64 bits."""
    top = 1 << bits
    shape = rng.random()
    if shape < 0.05:
        return rng.getrandbits(64), rng.getrandbits(64), rng.randint(0, 7)
    if shape < 0.1:
        return max(0, top - rng.randrange(3 * PAGE)), rng.choice([PAGE, 1 << 63, (1 << 64) - 1]), rng.randint(1, 5)
    base = max(0, rng.randrange(top // PAGE) * PAGE + rng.choice([0, 0, 0, 1, -1, 0x800]))
    length = rng.randrange(12) * PAGE + rng.choice([0, 0, 0, 1, -1, 0x800])
    kind = rng.choice([1, 1, 1, 2, 2, 3, 4, 5, 0, 6, 12, 0xFFFFFFFF])
    return base, max(0, length), kind


class Program(unittest.TestCase):
    def good(self, text, expected, *args):
        done = run(text, *args)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.decode(), expected)

    def bad(self, text, *wanted, args=(), file="-"):
        done = run(text, *args, file=file)
        message = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (1, b""), message)
        self.assertEqual(message.count("\n"), 1, message)
        for part in wanted:
            self.assertIn(part, message)


class Normalisation(Program):
    def test_example_of_the_definition(self):
        self.good("0 9fc00 1\n9fc00 400 2\n100000 3ee0000 1\n",
                  "0000000000000000 000000000009f000 usable\n"
                  "000000000009f000 0000000000001000 reserved\n"
                  "0000000000100000 0000000003ee0000 usable\n")

    def test_nothing_gives_nothing(self):
        self.good("", "")
        self.good("# only a comment\n\n1000 0 1\n", "")

    def test_halves_of_a_page_unite_before_they_shrink(self):
        self.good("0 1800 1\n1800 800 1\n", "%016x %016x usable\n" % (0, 0x2000))
        self.good("0 1800 1\n1801 7ff 1\n", "%016x %016x usable\n" % (0, 0x1000))

    def test_an_entry_past_the_end_is_cut_there(self):
        self.good("fffffffffffff000 2000 1\n", "")
        self.good("ff000 ffffffffffffffff 1\n", "%016x %016x usable\n" % (0xFF000, 0x1000), "--phys-bits", "20")
        self.good("fffffffff000 ffffffffffffffff 2\n",
                  "%016x %016x reserved\n" % (0xFFFFFFFFF000, 0x1000), "--phys-bits=48")

    def test_default_width_is_52_bits(self):
        self.good("0 ffffffffffffffff 2\n", "%016x %016x reserved\n" % (0, 1 << 52))

    def test_random_small_maps_match_the_oracle(self):
        rng = random.Random(SEED)
        for i in range(400):
            bits = rng.randint(12, 18)
            entries = [random_entry(rng, bits) for _ in range(rng.randint(1, 24))]
            with self.subTest(seed=SEED, map=i, text=lines(entries)):
                self.good(lines(entries), oracle(entries, bits), "--phys-bits", str(bits))

    def test_random_large_maps_match_the_oracle(self):
        rng = random.Random(SEED + 1)
        for i in range(6):
            bits = rng.choice([24, 36, 52])
            entries = [random_entry(rng, 24) for _ in range(150)]
            with self.subTest(seed=SEED, map=i, text=lines(entries)):
                self.good(lines(entries), oracle(entries, bits), "--phys-bits", str(bits))

    def test_order_does_not_matter(self):
        rng = random.Random(SEED + 2)
        entries = [random_entry(rng, 20) for _ in range(100)]
        first = run(lines(entries)).stdout
        for _ in range(20):
            rng.shuffle(entries)
            self.assertEqual(run(lines(entries)).stdout, first, "seed %d" % SEED)

    def test_the_result_is_its_own_result(self):
        rng = random.Random(SEED + 3)
        for _ in range(20):
            once = run(lines(random_entry(rng, 20) for _ in range(60))).stdout
            self.assertEqual(run(once).stdout, once, "seed %d" % SEED)

    def test_a_hundred_thousand_entries_in_any_order(self):
        # One usable entry with n reserved pages inside: the most ranges that any n + 1 entries can give, 2n + 1.
        n = 100_000
        comb = [(PAGE * (2 * i + 1), PAGE, 2) for i in range(n)] + [(0, (2 * n + 1) * PAGE, 1)]
        random.Random(SEED).shuffle(comb)
        start = time.monotonic()
        self.good(lines(comb), "".join("%016x %016x %s\n" % (i * PAGE, PAGE, ("usable", "reserved")[i % 2])
                                       for i in range(2 * n + 1)))
        self.assertLess(time.monotonic() - start, 20, "this is not O(n log n)")


class RealMaps(Program):
    def test_every_map_has_the_expected_result(self):
        names = sorted(glob.glob(os.path.join(MAPS, "*.txt")))
        self.assertGreaterEqual(len(names), 4)
        for name in names:
            with self.subTest(map=name), open(name) as f, open(name[:-4] + ".expected") as g:
                text, expected = f.read(), g.read()
                done = run("", "--phys-bits", "46", file=name)
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                self.assertEqual(done.stdout.decode(), expected)
                self.assertEqual(oracle(parse(text), 46), expected, "the expected file is wrong")


class Input(Program):
    ONE = "0000000000001000 0000000000002000 %s\n"

    def test_ways_to_write_an_entry(self):
        for text in ("1000 2000 1", "0x1000 0X2000 usable", "  1000\t2000   1  # comment\r", "01000 2000 0x1",
                     "#x\n1000 2000 1", "00000000000000000000001000 2000 01"):
            with self.subTest(text=text):
                self.good(text + "\n", self.ONE % "usable")

    def test_the_last_line_needs_no_newline(self):
        self.good("1000 2000 1", self.ONE % "usable")

    def test_upper_case_digits(self):
        self.good("ABC000 0xDEF000 1\n", "0000000000abc000 0000000000def000 usable\n")

    def test_types_by_number_and_name(self):
        for kind, name in NAMES.items():
            self.good("1000 2000 %d\n" % kind, self.ONE % name)
            self.good("1000 2000 %s\n" % name, self.ONE % name)

    def test_every_other_number_is_reserved(self):
        for kind in ("0", "6", "7", "12", "16", "20", "4294967295", "4294967297", "18446744073709551617", "0x10",
                     "99999999999999999999999999"):
            with self.subTest(type=kind):
                self.good("1000 2000 %s\n" % kind, self.ONE % "reserved")

    def test_bad_lines_are_named(self):
        for text, wanted in (("1000", "base length type"), ("1000 2000", "base length type"),
                             ("1000 2000 1 4", "text behind"), ("g000 2000 1", "base"), ("1000 -1 1", "length"),
                             ("1000 2000 ram", "type"), ("1000 2000 -1", "type"), ("0x 2000 1", "base"),
                             ("1000 2000 kernel", "type"), ("10000000000000000 1 1", "base"),
                             ("1000 0x10000000000000000 1", "length"), ("1000 2000 1.", "type"),
                             ("1000 2000 0x", "type"), ("0x0x1 2000 1", "base"), ("1,2,3", "base length type")):
            with self.subTest(text=text):
                self.bad("# one\n0 1000 1\n" + text + "\n0 1000 1\n", "<stdin>:3:", wanted)

    def test_binary_input_is_named(self):
        self.bad(b"0 1000 1\n0\0 1000 1\n", "<stdin>:2:", "NUL")

    def test_a_bad_line_in_a_file_is_named_with_the_file(self):
        self.bad("", "tests/tools/test_memmap.py:1:", file="tests/tools/test_memmap.py")

    def test_files_that_cannot_be_read(self):
        self.bad("", "no/such/file", "No such file", file="no/such/file")
        self.bad("", "Is a directory", file="tests")


class CommandLine(Program):
    def test_help(self):
        done = run("", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"--phys-bits", done.stdout)

    def test_widths_that_are_none(self):
        for bits in ("0", "11", "53", "64", "-1", "x", "", "40x", "0x20", "99999999999999999999"):
            with self.subTest(bits=bits):
                self.bad("", "--phys-bits", "12 to 52", args=("--phys-bits", bits))

    def test_wrong_usage(self):
        self.bad("", "--frob", args=("--frob",))
        self.bad("", "more than one file", args=("a",))
        self.bad("", "no file", file="--")
        self.bad("", "no number", file="--phys-bits")

    def test_a_full_disk_is_no_success(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            done = subprocess.run([PROGRAM, "-"], input=b"0 1000 1\n", stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


if __name__ == "__main__":
    unittest.main()
