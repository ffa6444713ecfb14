"""The monitor, driven as a person does: QEMU with its serial port on pipes, keys in, text out.

Each test types a line and judges what appears before the next prompt. The line editor's redrawing
is undone by a terminal of a few lines (class Terminal), so a test sees what a person would see. Also
here: a panic on demand, a machine without a keyboard controller, one without a serial port, an idle
prompt that costs nothing, and a replay.
"""
import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
KERNEL = os.path.join(BUILD, os.environ.get("CONFIG", "debug"), "strata32.elf")
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
PROMPT = "strata> "
TIMEOUT = 60

UP, DOWN, RIGHT, LEFT, HOME, END, DELETE = (
    "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[H", "\x1b[F", "\x1b[3~")


def ctrl(letter):
    return chr(ord(letter) & 0x1F)


class Terminal:
    """What a terminal shows of the bytes: lines of text, no wrapping, no scrolling."""

    def __init__(self):
        self.lines, self.column = [""], 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", text, re.S):
            self.one(part)

    def one(self, part):
        line = self.lines[-1]
        if part == "\r":
            self.column = 0
        elif part == "\n":
            self.lines.append(" " * self.column)
        elif part == "\b":
            self.column = max(0, self.column - 1)
        elif part == "\x1b[K":
            self.lines[-1] = line[: self.column]
        elif part == "\x1b[2J":
            self.lines = [""]
        elif part >= " ":
            before = line[: self.column].ljust(self.column)
            self.lines[-1] = before + part + line[self.column + 1 :]
            self.column += 1

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Machine:
    """A booted kernel. The serial port is QEMU's standard input and output."""

    def __init__(self, *args, append="", serial=True):
        command = shlex.split(QEMU) + ["-kernel", KERNEL, "-append", append]
        command += "-m 64M -cpu max -nodefaults -display none -no-reboot".split()
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        command += ["-serial", "stdio"] if serial else []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command + list(args), bufsize=0, **pipes)
        self.raw = ""

    def read_until(self, pattern, timeout=TIMEOUT):
        """Reads until the pattern matches what came since the last call; the text to there."""
        end = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.raw, re.S)
            if match:
                text, self.raw = self.raw[: match.end()], self.raw[match.end() :]
                return text
            left = max(0, end - time.monotonic())
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise AssertionError(f"no {pattern!r} in:\n{self.raw}")
            self.raw += data.decode("latin-1")

    def send(self, keys):
        self.process.stdin.write(keys.encode("latin-1"))

    def settle(self):
        """Reads what is on its way until nothing has come for a moment."""
        while select.select([self.process.stdout], [], [], 0.4)[0]:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            self.raw += data.decode("latin-1")
        text, self.raw = self.raw, ""
        return text

    def ask(self, line):
        """Types the line and Enter; returns the answer without the echo and the prompt."""
        self.send(line + "\r")
        self.read_until(r"\n")
        answer = self.read_until(r"\r" + PROMPT + r"\x1b\[K")
        return answer[: answer.rindex("\r" + PROMPT)].replace("\r\n", "\n")

    def typed(self, keys):
        """Sends the keys; returns the line as a terminal shows it, and the cursor's place in it."""
        self.send(keys)
        terminal = Terminal()
        terminal.feed("\r" + PROMPT + self.settle())
        return terminal.lines[-1].rstrip()[len(PROMPT) :], terminal.column - len(PROMPT)

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait(self):
        return self.process.wait(TIMEOUT)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def check_needs():
    if not os.path.exists(KERNEL):
        raise AssertionError(f"{KERNEL} is missing: make")
    if shutil.which(shlex.split(QEMU)[0]) is None:
        raise AssertionError(f"{QEMU} is missing: make deps")


class MonitorTest(unittest.TestCase):
    """All on one machine, which stays as it was after each test."""

    @classmethod
    def setUpClass(cls):
        check_needs()
        cls.machine = Machine()
        cls.machine.read_until(r"\r" + PROMPT + r"\x1b\[K")

    @classmethod
    def tearDownClass(cls):
        cls.machine.close()

    def ask(self, line):
        return self.machine.ask(line)

    def edit(self, keys, text, column):
        """Types the keys at an empty prompt, compares, and gives the line up."""
        try:
            self.assertEqual(self.machine.typed(keys), (text, column))
        finally:
            self.machine.send(ctrl("C"))
            self.machine.settle()

    def test_help_lists_every_command_once_and_explains_each(self):
        lines = self.ask("help").splitlines()
        names = [line.split()[0] for line in lines if not line.startswith("Keys:")]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertIn(name, self.ask("help " + name))
        wanted = "mem zones buddyinfo slabinfo owners shrinkers sites page alloc free free! check test map log cpu locks"
        for name in (wanted + " where reboot poweroff").split():
            self.assertIn(name, names)

    def test_looking_commands_answer(self):
        for line, expected in (
            ("mem", r"managed +\d+ pages"),
            ("zones", r"DMA32"),
            ("buddyinfo", r"4 KiB"),
            ("owners", r"call site"),
            ("shrinkers", r"slab .*what is free"),
            ("slabinfo", r"kmalloc-64"),
            ("sites", r"objects"),
            ("map", r"order"),
            ("page 256", r"page frame 0x100\b"),
            ("page 0x100000", r"page frame 0x100\b"),
            ("page 0xffff800000100000", r"page frame 0x100\b"),
            ("memmap", r"page zero"),
            ("cpu", r"CPU 0: "),
            ("threads", r"\n +1 +0  running +main\n"),
            ("locks", r"taken   waited for\r?\n(.*\r?\n)*trips of pages to zones: \d+; of objects to depots and slabs: \d+"),
            ("locks mix", r"mix, 200000 operations; per 1000:\r?\n\d+\.\d locks "),
            ("log 100", r"memory map"),
            ("loglevel", r"loglevel: 6"),
            ("check", r"every invariant .* holds"),
            ("shrink", r"pages given back"),
            ("where monitor_execute", r"0xffffffff8\w+  monitor_execute"),
        ):
            with self.subTest(line):
                self.assertRegex(self.ask(line), expected)

    def test_bad_input_gets_one_clear_line(self):
        for line, expected in (
            ("frob", "frob: no such command; type help for the list"),
            ("page", "usage: page PFN|ADDRESS (type help page)"),
            ("page zero", 'page: "zero" is no number; type help page'),
            ("alloc pages 99", "alloc: order 99 is above the largest, 18"),
            ("alloc bytes 1G", "alloc: no memory for bytes 1G"),
            ("free 99", "free: there is no number 99; alloc lists what is held"),
            ("loglevel 9", "loglevel: 9 is not 0 to 7"),
        ):
            with self.subTest(line):
                self.assertEqual(self.ask(line), expected + "\n")
        self.assertIn("nothing.like.it", self.ask("test nothing.like.it"))

    def test_alloc_and_free_by_hand(self):
        answer = self.ask("alloc pages 3")
        number, address = re.match(r" *(\d+)  (0x\w+)  32 KiB +pages, order 3", answer).groups()
        self.assertIn(address, self.ask("alloc"))
        self.assertRegex(self.ask("page " + address), "(?s)allocated.*order 3")
        inside = hex(int(address, 16) + 5)
        refusal = f"is inside number {number}, 5 bytes from its start: free {number}"
        self.assertEqual(self.ask("free " + inside), f"free: {inside} {refusal}\n")
        self.assertEqual(self.ask("free " + address), f"free: number {number} freed\n")
        self.assertEqual(self.ask("free " + number), f"free: number {number} was freed already\n")
        self.assertRegex(self.ask("alloc bytes 1K"), "kmalloc, 1024 bytes usable")
        self.assertRegex(self.ask("alloc cache kmalloc-64"), "object of cache kmalloc-64")
        self.assertEqual(self.ask("free all"), "free: 2 freed\n")
        self.assertEqual(self.ask("check"), "check: every invariant of the memory manager holds\n")

    def test_self_tests_run_from_the_prompt(self):
        answer = self.ask("test lineedit.shows_*")
        self.assertRegex(answer, r"(?s)KTAP version 1\n1\.\.2\n.*ok 2 lineedit\.")
        self.assertNotIn("not ok", answer)

    def test_editing_keys(self):
        for keys, text, column in (
            ("mem", "mem", 3),
            ("mm" + LEFT + "e", "mem", 2),
            ("memx\x7f", "mem", 3),
            ("xmem" + HOME + DELETE, "mem", 0),
            ("em" + HOME + "m" + END, "mem", 3),
            ("mem" + ctrl("A"), "mem", 0),
            ("mem" + ctrl("A") + ctrl("E"), "mem", 3),
            ("mem" + ctrl("A") + RIGHT + ctrl("K"), "m", 1),
            ("a b" + LEFT + ctrl("U"), "b", 0),
            ("alloc pages" + ctrl("W"), "alloc", 6),
            ("\x1b[15~x\x1bOPy", "xy", 2),
        ):
            with self.subTest(keys):
                self.edit(keys, text, column)

    def test_long_line_scrolls_sideways(self):
        text, column = self.machine.typed("x" * 60 + "y" * 60)
        self.assertEqual(len(PROMPT + text), 79)
        self.assertEqual(column, len(text))
        self.machine.send(ctrl("C"))
        self.machine.settle()

    def test_ctrl_l_clears_the_screen_and_keeps_the_line(self):
        self.machine.send("abc" + ctrl("L"))
        text = self.machine.settle()
        self.assertIn("\x1b[2J\x1b[H\r" + PROMPT + "abc", text)
        self.machine.send(ctrl("C"))
        self.machine.settle()

    def test_history(self):
        self.ask("loglevel")
        self.ask("help help")
        self.edit(UP, "help help", 9)
        self.edit(UP + UP, "loglevel", 8)
        self.edit("typing" + UP + DOWN, "typing", 6)
        self.machine.send(UP + UP)
        self.machine.settle()
        self.assertEqual(self.ask(""), "loglevel: 6\n")

    def test_ctrl_c_gives_the_line_up(self):
        self.machine.send("reboot" + ctrl("C"))
        self.assertIn("^C", self.machine.read_until(PROMPT + r"\x1b\[K"))
        self.assertIn("loglevel", self.ask("loglevel"))

    def test_pasted_lines_all_run(self):
        self.machine.send("loglevel\nloglevel 7\nloglevel 6\n")
        text = ""
        for _ in range(3):
            text += self.machine.read_until(r"\r" + PROMPT + r"\x1b\[K")
        self.assertEqual(re.findall(r"loglevel: (\d)", text), ["6", "7", "6"])

    def test_idle_prompt_costs_nothing(self):
        self.machine.settle()
        before = self.machine.cpu_seconds()
        time.sleep(2)
        self.assertLess(self.machine.cpu_seconds() - before, 0.5)


class EndTest(unittest.TestCase):
    """Ways to end, and odd machines: a machine for each."""

    TRACE_HEADER = "# trace 1\n# origin: a test\n# ops: 3  ids: 2  peak-live-bytes: 4196\n"

    def boot(self, *args, **options):
        check_needs()
        machine = Machine(*args, **options)
        self.addCleanup(machine.close)
        return machine

    def at_prompt(self, *args, **options):
        machine = self.boot(*args, **options)
        machine.read_until(r"\r" + PROMPT + r"\x1b\[K")
        return machine

    def test_raw_free_of_a_held_page_stops_the_machine(self):
        machine = self.at_prompt()
        address = re.search(r"0x\w+", machine.ask("alloc pages 0")).group()
        machine.send(f"free! {address}\r")
        text = machine.read_until(r"PANIC: [^\n]*\n")
        self.assertRegex(text, "PANIC: kfree: .*" + address)
        self.assertEqual(machine.wait(), 37)

    def test_poweroff_and_reboot_end_the_machine(self):
        for command in ("poweroff", "reboot"):
            with self.subTest(command):
                machine = self.at_prompt()
                machine.send(command + "\r")
                self.assertEqual(machine.wait(), 0)

    def test_machine_without_keyboard_controller(self):
        machine = self.at_prompt("-machine", "pc,i8042=off")
        self.assertIn("loglevel: 6", machine.ask("loglevel"))

    def test_machine_without_serial_port_boots(self):
        machine = self.boot(append="test=lineedit", serial=False)
        self.assertEqual(machine.wait(), 33)

    def test_replay_of_a_small_trace(self):
        with tempfile.NamedTemporaryFile("w", suffix=".trace") as file:
            file.write(self.TRACE_HEADER + "m 0 100\np 1 0\nf 0\n")
            file.flush()
            machine = self.boot("-initrd", file.name, append="replay=kmalloc")
            text = machine.read_until("replay: result [^\n]*\n")
            self.assertEqual(machine.wait(), 33, text)
        for line in (
            "operations 3",
            "failures 0",
            "peak-live-bytes 4196",
            "left-objects 1",
            "left-bytes 4096",
            "lost-objects 0",
            "result PASS",
        ):
            self.assertIn("replay: " + line, text)

    def test_replay_of_a_bad_trace_fails_with_its_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".trace") as file:
            file.write(self.TRACE_HEADER + "m 0 100\nf 1\n")
            file.flush()
            machine = self.boot("-initrd", file.name, append="replay=kmalloc")
            text = machine.read_until("replay: result [^\n]*\n")
            self.assertEqual(machine.wait(), 35)
        self.assertIn("replay: result FAIL: line 5: the object is not live", text)

    def test_replay_without_a_trace_says_how(self):
        machine = self.boot(append="replay=kmalloc")
        self.assertIn("no trace", machine.read_until("replay: result [^\n]*\n"))
        self.assertEqual(machine.wait(), 35)


if __name__ == "__main__":
    unittest.main()
