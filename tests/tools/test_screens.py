"""What is on the screen: QEMU's pictures of it, on VGA's text mode and on the framebuffers of BIOS and UEFI.

Three witnesses, none of which has the answer written down:

- a terminal (tools/terminal.py) that was fed what the serial port said: every cell of the picture must show that character
  in those colours. No font is known here: on each screen, all cells with the same character must have the same shape, and
  different characters different ones.
- the monitor's own `-j` answers on the same machine: what the memory map and the allocators say of an address decides which
  letter its cell must show.
- a small picture of the view's static rows (tests/data/screens/), with tolerance: that the shapes are letters and not
  something else that is as consistent. REFERENCE=1 in the environment writes them again; look at them then.

Nothing waits for a time. A drawing is known to be on the screen when the machine has answered the key after it.
"""

import functools
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools"))
from picture import Picture  # noqa: E402
from screen_machine import PROMPT, ScreenMachine, ovmf  # noqa: E402
from terminal import PALETTE, Terminal  # noqa: E402

BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
KERNEL = os.path.join(BUILD, os.environ.get("CONFIG", "debug"), "strata32.elf")
ISO = os.path.join(BUILD, "strata.iso")
REFERENCES = os.path.join(ROOT, "tests", "data", "screens")
TOLERANCE = 0.01
PAGE = 4096
PREFIX, FOOT = 13, 8  # columns of the address; rows below the cells
LETTERS = {"kernel": "K", "page map": "M", "page tables": "T"}
REPAINT = "\x1b[?25l"  # what a drawing of the view begins with


class Screen:
    """A machine, what its terminal shows, and the view's geometry."""

    def __init__(self, name, **how):
        self.name = name
        self.terminal = None
        self.machine = ScreenMachine(memory="128M", seconds=60, on_text=self.feed, **how)
        self.has_menu = "iso" in how

    def get_ready(self):
        if self.has_menu:
            self.machine.wait_for("Watch memory")
            self.machine.send("\r")
        self.machine.wait_for(PROMPT)
        photo = self.photograph()
        self.terminal = Terminal(photo.columns, photo.rows, 1 if photo.rows < 30 else photo.rows // 8)
        self.machine.send("\x0c")  # Ctrl-L: screen and terminal begin alike
        self.machine.wait_for(PROMPT)

    def feed(self, text):
        if self.terminal:
            self.terminal.feed(text)

    def photograph(self):
        with tempfile.TemporaryDirectory() as scratch:
            return Picture.read(self.machine.photograph(os.path.join(scratch, "screen.ppm")))

    def objects(self, line):
        return [json.loads(row) for row in self.machine.ask(line).splitlines()]

    def open_view(self):
        """Paused, and wholly on the screen: a key that does nothing is answered by a drawing that changes nothing."""
        self.machine.send("view\r")
        self.machine.wait_for(REPAINT)
        self.machine.send("p")
        self.machine.wait_for("PAUSED")
        self.key("?")

    def key(self, *keys):
        """Each is answered by a drawing; the last one's is on the screen when that of a further key has begun."""
        for key in keys + ("?",):
            self.machine.send(key)
            self.machine.wait_for(REPAINT)

    def close_view(self):
        self.machine.send("q")
        self.machine.wait_for(PROMPT)

    def back_to_the_prompt(self):
        """From wherever a test has failed."""
        self.machine.send("\x03\x03\x0c")
        self.machine.wait_for("\x1b[2J\x1b[H" + PROMPT)

    # --- the view, as the terminal has it ---

    def cell_bytes(self):
        number, unit = re.search(r"cell (\d+) (KiB|MiB|GiB)", self.terminal.lines()[0]).groups()
        return int(number) << {"KiB": 10, "MiB": 20, "GiB": 30}[unit]

    def letter_at(self, address):
        """What the cell with that address shows; None if it is not on the screen."""
        columns = (self.terminal.columns - PREFIX) // 16 * 16
        cell = (address - int(self.terminal.lines()[1].split()[0], 16)) // self.cell_bytes()
        row, column = divmod(cell, columns)
        if not 0 <= row < self.terminal.rows - 1 - FOOT:
            return None
        return self.terminal.cells[1 + row][PREFIX + column][0]


@functools.lru_cache(maxsize=None)
def colour_of(pixel):
    """Its number in the palette, or the pixel itself. VGA's converters have six bits."""
    for n, colour in enumerate(PALETTE):
        if all(abs(a - b) < 8 for a, b in zip(pixel, colour)):
            return n
    return pixel


def on_each(test):
    """The test, on every screen."""
    @functools.wraps(test)
    def on_all(self):
        for screen in self.screens:
            with self.subTest(screen.name):
                try:
                    test(self, screen)
                except BaseException:
                    screen.back_to_the_prompt()
                    raise
    return on_all


class ScreensTest(unittest.TestCase):
    SCREENS = {"text": {"kernel": KERNEL}, "bios": {"iso": ISO}, "uefi": {"iso": ISO, "uefi": True}}

    @classmethod
    def setUpClass(cls):
        for path in (KERNEL, ISO):
            if not os.path.exists(path):
                raise AssertionError("%s is missing: make" % path)
        if shutil.which("qemu-system-x86_64") is None and "QEMU" not in os.environ:
            raise AssertionError("QEMU is missing: make deps")
        cls.screens = []
        cls.addClassCleanup(lambda: [screen.machine.__exit__() for screen in cls.screens])
        for name, how in cls.SCREENS.items():
            if name == "uefi" and ovmf() is None:
                continue  # test_uefi_is_there says so
            cls.screens.append(Screen(name, **how))
        for screen in cls.screens:
            screen.get_ready()

    def compare(self, screen):
        """The picture with the terminal, cell by cell. Returns the characters' shapes."""
        photo, terminal = screen.photograph(), screen.terminal
        shapes, known = {}, {}
        self.assertEqual((photo.columns, photo.rows), (terminal.columns, terminal.rows))
        for row in range(photo.rows):
            for column in range(photo.columns):
                if terminal.cursor_is_shown and (row, column) == (terminal.row, terminal.column):
                    continue
                character, ink, paper = terminal.cells[row][column]
                pixels = photo.cell(row, column)
                if pixels not in known:
                    known[pixels] = [colour_of(pixels[i:i + 3]) for i in range(0, len(pixels), 3)]
                where = "row %d, column %d, %r" % (row, column, character)
                self.assertLessEqual(set(known[pixels]), {ink, paper}, where)
                if ink != paper:
                    shape = tuple(colour == ink for colour in known[pixels])
                    self.assertEqual(shapes.setdefault(character, shape), shape, where)
        self.assertEqual(len(set(shapes.values())), len(shapes), "two characters look the same")
        self.assertFalse(any(shapes.get(" ", [])), "a space has ink")
        return shapes

    def test_uefi_is_there(self):
        self.assertIsNotNone(ovmf(), "OVMF is not installed: make deps")

    @on_each
    def test_the_prompt_and_what_commands_say(self, screen):
        screen.machine.ask("help mem")
        screen.machine.ask("zones")
        screen.machine.ask("no-such-command !\"$%&'()*+,/:;<=>?@[]^_`{|}~")
        shapes = self.compare(screen)
        self.assertGreater(len(shapes), 50)

    @on_each
    def test_scrolling(self, screen):
        screen.machine.ask("log 100")
        screen.machine.ask("help mem")
        self.compare(screen)

    @on_each
    def test_the_view_shows_what_the_serial_port_says(self, screen):
        screen.open_view()
        self.compare(screen)
        screen.key("+", "\x1b[B", "\x1b[C")
        self.compare(screen)
        screen.close_view()

    @on_each
    def test_cells_agree_with_the_memory_map(self, screen):
        ranges = screen.objects("memmap -j")
        screen.open_view()
        seen = set()
        size = screen.cell_bytes()
        for r in ranges:
            for address in range(-(-r["start"] // size) * size, r["end"] - size + 1, size):
                if r["type"] in LETTERS and address > 0:
                    seen.add(r["type"])
                    self.assertEqual(screen.letter_at(address), LETTERS[r["type"]], hex(address))
        screen.close_view()
        self.assertLessEqual({"kernel", "page map"}, seen)

    @on_each
    def test_cells_agree_with_what_is_allocated(self, screen):
        """By hand: 2 MiB of pages, which are there while they are held and not after."""
        answer = screen.machine.ask("alloc pages 9")
        address = int(re.search(r"0xffff8\w+", answer).group(), 16) & 0x7FFFFFFFFFFF
        screen.open_view()
        size = screen.cell_bytes()
        cells = range(address, address + 512 * PAGE, size)
        self.assertEqual({screen.letter_at(a) for a in cells}, {"A"})
        screen.close_view()
        screen.machine.ask("free all")
        screen.open_view()
        self.assertNotIn("A", {screen.letter_at(a) for a in cells})
        screen.close_view()

    @on_each
    def test_numbers_agree_with_json(self, screen):
        screen.open_view()
        text = screen.terminal.text()
        screen.close_view()
        zones = screen.objects("zones -j")
        for zone in zones:
            used, all_of_it = re.search(r"%s (\d+)/(\d+)" % zone["zone"], text).groups()
            self.assertEqual(int(all_of_it), zone["managed_pages"] >> 8)
            self.assertAlmostEqual(int(used), (zone["managed_pages"] - zone["free_pages"]) >> 8, delta=1)
        index = [int(n) for n in re.search(r"^frag(.*)$", text, re.M).group(1).split()]
        wanted = [f["unusable_per_mille"] // 10 for f in screen.objects("frag -j") if "order" in f]
        self.assertEqual(len(index), 19)
        for mine, theirs in zip(index[1:], wanted[1:] if len(wanted) == 19 else wanted):
            self.assertAlmostEqual(mine, theirs, delta=2)

    @on_each
    def test_keys_of_the_keyboard_do_the_same(self, screen):
        """PS/2, through QEMU's keyboard: zoom, and a page in words."""
        screen.open_view()
        before = screen.cell_bytes()
        screen.machine.press("equal")
        screen.machine.wait_for(REPAINT)
        screen.machine.press("down", "right")
        screen.machine.wait_for(REPAINT)
        screen.machine.wait_for(REPAINT)
        screen.key("?")
        self.assertEqual(screen.cell_bytes() * 2, before)
        screen.machine.press("i")
        screen.machine.wait_for("A key goes back")
        self.assertIn("page frame 0x", screen.terminal.text())
        screen.machine.press("spc")
        screen.machine.wait_for(REPAINT)
        screen.key("?")
        self.compare(screen)
        screen.close_view()

    @on_each
    def test_legend_looks_as_it_did(self, screen):
        screen.open_view()
        photo = screen.photograph()
        screen.close_view()
        legend = photo.part((photo.rows - FOOT) * photo.cell_height, 3 * photo.cell_height)
        path = os.path.join(REFERENCES, "legend-%dx%d.png" % (photo.width, photo.height))
        if os.environ.get("REFERENCE") == "1":
            legend.write_png(path)
        self.assertTrue(os.path.exists(path), "no picture of this size: REFERENCE=1, and look at it")
        self.assertLess(legend.difference(Picture.read_png(path)), TOLERANCE)


if __name__ == "__main__":
    unittest.main()
