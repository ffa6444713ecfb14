"""The tools that look at screens, without a machine: the terminal, pictures, the recording, and docs-assets' options. What they
make of a real machine is test_screens.py's."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ET

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "docs-assets")
sys.path.insert(0, os.path.join(ROOT, "tools"))
from picture import Picture  # noqa: E402
from recording import Recording  # noqa: E402
from terminal import PALETTE, Terminal  # noqa: E402


class TerminalTest(unittest.TestCase):
    def shows(self, text, *lines, **size):
        terminal = Terminal(size.get("columns", 10), size.get("rows", 3), size.get("jump", 1))
        terminal.feed(text)
        self.assertEqual(terminal.lines(), list(lines) + [""] * (terminal.rows - len(lines)))
        return terminal

    def test_text_wraps_and_scrolls(self):
        self.shows("0123456789", "0123456789")
        self.shows("0123456789ab\r\nc\td", "0123456789", "ab", "c       d")
        self.shows("a\nb\nc\nd", "b", "c", "d")
        self.shows("a\nb\nc\nd", "c", "d", jump=2)

    def test_sequences(self):
        self.shows("abc\b\bX\x1b[K", "aX")
        self.shows("one\ntwo\x1b[1;2H\x1b[Ktop", "otop", "two")
        self.shows("one\ntwo\x1b[2Jx", "", "   x")
        self.shows("abc\x1b[2D!\x1b[3C?\x1b[99Z.", "a!c  ?.")
        self.assertFalse(self.shows("\x1b[?25l", "").cursor_is_shown)

    def test_a_sequence_may_come_in_pieces(self):
        terminal = Terminal(10, 2)
        for part in "a\x1b[91;4", "4mb\x1b", "[0mc":
            terminal.feed(part)
        self.assertEqual(terminal.cells[0][:3], [("a", 7, 0), ("b", 9, 4), ("c", 7, 0)])

    def test_bright_and_inverse(self):
        terminal = self.shows("\x1b[1;31ma\x1b[22mb\x1b[7mc", "abc")
        self.assertEqual([cell[1:] for cell in terminal.cells[0][:3]], [(9, 0), (1, 0), (0, 1)])


class PictureTest(unittest.TestCase):
    def picture(self, width=16, height=32):
        return Picture(width, height, bytes(i * 7 % 256 for i in range(3 * width * height)))

    def test_png_comes_back_as_it_was(self):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "a.png")
            self.picture().write_png(path)
            self.assertEqual(Picture.read_png(path).pixels, self.picture().pixels)

    def test_cells_are_where_they_should_be(self):
        picture = self.picture()
        cell = picture.cell(1, 1)
        self.assertEqual(len(cell), 3 * 8 * 16)
        self.assertEqual(cell[:24], picture.pixels[3 * (16 * 16 + 8):][:24])
        self.assertEqual((Picture(720, 400, b"").columns, Picture(1024, 768, b"").rows), (80, 48))

    def test_difference(self):
        a = Picture(2, 1, bytes([0, 0, 0, 100, 100, 100]))
        self.assertEqual(a.difference(a), 0)
        self.assertEqual(a.difference(Picture(2, 1, bytes([40, 0, 0, 100, 141, 100]))), 0.5)
        self.assertEqual(a.difference(Picture(1, 2, a.pixels)), 1)

    def test_a_damaged_file_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            for data in b"P5 1 1 255 a", b"P6 2 2 255 abc":
                file.seek(0)
                file.truncate()
                file.write(data)
                file.flush()
                self.assertRaises(ValueError, Picture.read, file.name)


class RecordingTest(unittest.TestCase):
    def test_rows_are_drawn_once_and_frames_follow_each_other(self):
        terminal, recording = Terminal(5, 2), Recording(5, 2, PALETTE)
        for text, seconds in (("a<b", 1), ("", 2), ("\r\n\x1b[31;44mcc", 1)):
            terminal.feed(text)
            recording.add(terminal.cells, seconds)
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "a.svg")
            recording.write(path, "x & y")
            tree = ET.parse(path)
        text = ET.tostring(tree.getroot(), encoding="unicode")
        self.assertIn("4.00s step-end", text)
        self.assertEqual(re.findall(r"([0-9.]+)%{transform:translateY\((-?\d+)px\)", text), [("0.000", "0"), ("75.000", "-34")])
        self.assertEqual(text.count("a&lt;b"), 1)
        self.assertEqual(len(re.findall(r"<\S*use ", text)), 3)
        self.assertRegex(text, r'class="c4" x="0.0" width="16.8"')


class OptionsTest(unittest.TestCase):
    def run_tool(self, *args):
        done = subprocess.run([sys.executable, TOOL, *args], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def test_list_names_files_that_are_there(self):
        status, out, _ = self.run_tool("--list")
        self.assertEqual(status, 0)
        files = [line.split()[1] for line in out.splitlines()]
        for name in files:
            if name != "several":
                self.assertTrue(os.path.exists(os.path.join(ROOT, "docs", "img", name)), name)
        self.assertGreater(len(files), 5)

    def test_wrong_use_is_one_line(self):
        for args, text in ((["--only", "nothing"], "no picture is called nothing"), (["--nonsense"], "--nonsense"),
                           (["--build", "/nowhere", "--only", "view"], "is missing: make")):
            with self.subTest(args):
                status, out, err = self.run_tool(*args)
                self.assertEqual((status, out, err.count("\n")), (64, "", 1), err)
                self.assertIn(text, err)


if __name__ == "__main__":
    unittest.main()
