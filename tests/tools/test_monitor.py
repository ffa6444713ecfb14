"""The monitor, driven as a person does: QEMU with its serial port on pipes, keys in, text out.

Each test types a line and judges what appears before the next prompt. The line editor's redrawing
is undone by a terminal of a few lines (class Terminal), so a test sees what a person would see. Also
here: a panic on demand, a machine without a keyboard controller, one without a serial port, an idle
prompt that costs nothing, and a replay.
"""
import json
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

    def wait_for_prompt(self):
        """Until a line can be typed; what came before it."""
        return self.read_until(r"\r" + PROMPT + r"\x1b\[K")

    def give_up(self):
        """Ctrl-C: the line is gone, and a new one begins."""
        self.send(ctrl("C"))
        self.read_until(r"\^C.*\r" + PROMPT + r"\x1b\[K")

    def ask(self, line):
        """Types the line and Enter; returns the answer without the echo and the prompt."""
        self.send(line + "\r")
        self.read_until(r"\n")
        answer = self.wait_for_prompt()
        return answer[: answer.rindex("\r" + PROMPT)].replace("\r\n", "\n")

    def typed(self, keys):
        """Sends the keys; returns the line as a terminal shows it, and the cursor's place in it. Ctrl-L behind them clears
        the screen: what comes before that is all that the keys do."""
        self.send(keys + ctrl("L"))
        terminal = Terminal()
        terminal.feed("\r" + PROMPT + self.read_until(r"\x1b\[2J")[: -len("\x1b[2J")])
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
        cls.machine.wait_for_prompt()

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
            self.machine.give_up()

    # A command: what it is asked and what its answer has; or the test here that asks it.
    COMMANDS = {
        "help": "test_help_has_every_command_in_one_topic",
        "mem": ("mem", r"managed +\d+ pages"),
        "zones": ("zones", r"DMA32"),
        "numastat": ("numastat", r"\n +0 +\d+ +\d+ "),
        "buddyinfo": ("buddyinfo", r"order block +0:DMA +0:DMA32 .*\n +0 4 KiB +\d+ +\d+ "),
        "slabinfo": ("slabinfo", r"kmalloc-64"),
        "owners": ("owners", r"call site"),
        "shrinkers": ("shrinkers", r"slab .*what is free"),
        "vmeminfo": ("vmeminfo", r"arena .*\n.*vmalloc"),
        "sites": ("sites", r"objects"),
        "page": ("page 0xffff800000100000", r"page frame 0x100\b"),
        "map": ("map", r"order"),
        "frag": ("frag", r"free memory in blocks too small for:"),
        "view": "test_the_view_by_its_keys",
        "demo": "test_the_view_by_its_keys",
        "memmap": ("memmap", r"page zero"),
        "alloc": "test_alloc_and_free_by_hand",
        "free": "test_alloc_and_free_by_hand",
        "free!": "test_raw_free_of_a_held_page_stops_the_machine",
        "online": "test_memory_leaves_and_comes_back",
        "offline": "test_memory_leaves_and_comes_back",
        "retire": ("retire", r"^$"),
        "shrink": ("shrink", r"pages given back"),
        "check": ("check", r"every invariant .* holds"),
        "leaks": ("leaks", r"0 |no "),
        "audit": ("audit", r"pages"),
        "failslab": ("failslab", r"off"),
        "fail_page_alloc": ("fail_page_alloc", r"off"),
        "kfence": ("kfence", r"no guard pages: boot with kfence"),
        "test": "test_self_tests_run_from_the_prompt",
        "compare": ("compare nothing", r"compare: "),
        "log": ("log 100", r"memory map"),
        "loglevel": ("loglevel", r"loglevel: 6"),
        "cpu": ("cpu", r"CPU 0: "),
        "cpus": ("cpus", r"CPU 0: APIC id 0, node 0; \d+ threads"),
        "threads": ("threads", r"\n +1 +0  running +main\n"),
        "trace": ("trace status", r"trace: "),
        "locks": ("locks", r"taken   waited for\r?\n(.*\r?\n)*trips of pages to zones: \d+; of objects to depots and slabs: \d+"),
        "where": ("where monitor_execute", r"0xffffffff8\w+  monitor_execute"),
        "pagetable": ("pagetable 0xffff800000100000", r"PML4E 256  .*\n(.*\n)*.* maps "),
        "bench": ("bench kmalloc_kfree_hot_64", r"kmalloc_kfree_hot_64"),
        "stress": ("stress 1", r"stress: "),
        "watch": "test_watch_repeats_until_a_key",
        "more": "test_more_shows_a_screen_at_a_time",
        "reboot": "test_poweroff_and_reboot_end_the_machine",
        "poweroff": "test_poweroff_and_reboot_end_the_machine",
    }

    def commands(self):
        return [line.split()[0] for line in self.ask("help all").splitlines()]

    def test_help_has_every_command_in_one_topic(self):
        names, topics, listed = self.commands(), [], []
        self.assertEqual(len(names), len(set(names)))
        rows = self.ask("help").splitlines()
        self.assertLess(len(rows), 24)
        for row in rows[1:-1]:
            bold = re.match(r"\x1b\[1m(\S+) *\x1b\[0m \w", row)
            if bold:
                topics.append(bold.group(1))
            else:
                listed += row.split()
        self.assertEqual(listed, names)
        of_topics = []
        for topic in topics:
            of_topics += [line.split()[0] for line in self.ask("help " + topic).splitlines()]
        self.assertEqual(of_topics, names)
        for name in names:
            self.assertTrue(self.ask("help " + name).startswith(name + " "), name)

    def test_every_command_is_tested(self):
        self.assertEqual(set(self.commands()), set(self.COMMANDS))
        for test in self.COMMANDS.values():
            if isinstance(test, str):
                self.assertTrue(hasattr(MonitorTest, test) or hasattr(EndTest, test), test)

    def test_commands_answer(self):
        more = [("locks mix", r"mix, 200000 operations; per 1000:\r?\n\d+\.\d locks "), ("page 256", r"page frame 0x100\b"),
                ("page 0x100000", r"page frame 0x100\b"), ("pagetable", r"ffff8")]
        for line, expected in [t for t in self.COMMANDS.values() if not isinstance(t, str)] + more:
            with self.subTest(line):
                self.assertRegex(self.ask(line), expected)

    def test_json_has_the_keys_that_are_documented(self):
        """docs/monitor.md: a row a command, kinds of objects apart by semicolons."""
        with open(os.path.join(ROOT, "docs", "monitor.md")) as page:
            rows = re.findall(r"^\| `(\w+) -j`.*? \| (.*) \|$", page.read(), re.M)
        self.assertGreater(len(rows), 10)
        for command, kinds in rows:
            with self.subTest(command):
                wanted = [set(re.findall(r"`(\w+)`", kind)) for kind in kinds.split(";")]
                answers = [json.loads(line) for line in self.ask(command + " -j").splitlines()]
                for kind in wanted:
                    self.assertTrue(any(set(answer) | {"taken"} == kind | {"taken"} for answer in answers), kind)
                for answer in answers:
                    self.assertTrue(any(set(answer) | {"taken"} == kind | {"taken"} for kind in wanted), answer)
                    for value in answer.values():
                        self.assertIsInstance(value, (int, str, list))
        self.assertEqual(len(self.ask("log 3 -j").splitlines()), 3)
        names = re.findall(r"^(\w+) .*-j", self.ask("help all"), re.M)
        self.assertLessEqual(set(names), {command for command, _ in rows})

    def test_json_and_tables_agree(self):
        zones = [json.loads(line) for line in self.ask("buddyinfo -j").splitlines()]
        table = self.ask("buddyinfo").splitlines()
        self.assertEqual(table[0].split()[2:4], ["%d:%s" % (z["node"], z["zone"]) for z in zones])
        for order in range(19):
            counts = [int(n) for n in re.match(r" +\d+ \S+ \S+ +(\d+) +(\d+) ", table[1 + order]).groups()]
            self.assertEqual(counts, [z["free_blocks"][order] for z in zones])

    def test_slabinfo_sorts_by_every_column(self):
        columns = self.ask("slabinfo").splitlines()[0].split()
        for column, name in enumerate(columns):
            with self.subTest(name):
                rows = [line.split() for line in self.ask("slabinfo " + name).splitlines()[1:]]
                values = [row[column] if column == 0 else -int(row[column]) for row in rows]
                self.assertEqual(values, sorted(values))
        sizes = [json.loads(line) for line in self.ask("slabinfo -j").splitlines()]
        by_bytes = [line.split()[0] for line in self.ask("slabinfo bytes").splitlines()[1:]]
        self.assertEqual(set(by_bytes), {s["cache"] for s in sizes})

    def test_tab_completes(self):
        for keys, text in (("budd\t", "buddyinfo"), ("help slabi\t", "help slabinfo"), ("more thr\t", "more threads"),
                           ("alloc cache kmalloc-11\t", "alloc cache kmalloc-112"), ("frob\t", "frob")):
            with self.subTest(keys):
                try:
                    self.assertEqual(self.machine.typed(keys)[0], text)
                finally:
                    self.machine.give_up()

    def test_more_shows_a_screen_at_a_time(self):
        """Page, line, rest: nothing is lost between them."""
        whole = self.ask("help all").splitlines()
        shown = r"\x1b\[7m-- \d+%: space a page, Enter a line, q ends --\x1b\[0m"
        self.machine.send("more help all\r")
        self.machine.read_until("\n")
        text = self.machine.read_until(shown)
        first = text.count("\n")
        self.machine.send("\r")
        text += self.machine.read_until(shown)
        self.assertEqual(text.count("\n"), first + 1)
        end = r"\r" + PROMPT + r"\x1b\[K"
        while not re.search(end + "$", text):
            self.machine.send(" ")
            text += self.machine.read_until("(%s)|(%s)" % (shown, end))
        text = re.sub(shown + r"\r\x1b\[K", "", text)
        self.assertEqual(re.sub(end + "$", "", text).replace("\r\n", "\n").splitlines(), whole)
        self.machine.send("more help all\r")
        self.machine.read_until(shown)
        self.machine.send("q")
        self.machine.read_until(end)

    def test_watch_repeats_until_a_key(self):
        self.machine.send("watch 1 mem\r")
        for _ in range(2):
            self.machine.read_until(r"\x1b\[2J\x1b\[Hmem, every 1 s; a key ends it\r\n(.*\n)+failed page allocations")
        self.machine.send("x")
        self.machine.wait_for_prompt()
        self.assertIn("usage: watch", self.ask("watch 0 mem"))
        self.assertEqual(self.ask("watch view"), "watch: not of view\n")

    def test_the_view_by_its_keys(self):
        drawing = r"\x1b\[\?25l.*a second: "
        self.machine.send("demo\r")
        self.machine.read_until("demo: ")
        for key, expected in (("+", drawing), ("\x1b[B", drawing), ("\x1b[F", drawing), ("p", "PAUSED"), ("i", "A key goes back"),
                              (" ", drawing), ("p", r"\x1b\[1mp\x1b\[0mause")):
            self.machine.send(key)
            self.machine.read_until(expected)
        self.machine.send("q")
        self.machine.wait_for_prompt()
        self.assertEqual(self.ask("demo off"), "")
        self.assertIn("holds", self.ask("check"))

    def test_memory_leaves_and_comes_back(self):
        address = int(re.search(r"0x\w+", self.ask("alloc pages 4")).group(), 16) & 0x7FFFFFFFFFFF
        self.assertIn("offline: ", self.ask("offline %#x 64K" % address))
        self.ask("free all")
        self.ask("shrink")
        self.assertEqual(self.ask("offline %#x 64K" % address), "offline: 64 KiB less\n")
        self.assertEqual(self.ask("online %#x 64K" % address), "online: 64 KiB more\n")

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
        self.machine.give_up()

    def test_ctrl_l_clears_the_screen_and_keeps_the_line(self):
        self.machine.send("abc" + ctrl("L"))
        self.machine.read_until(r"\x1b\[2J\x1b\[H\r" + PROMPT + "abc")
        self.machine.give_up()

    def test_history(self):
        self.ask("loglevel")
        self.ask("help help")
        self.edit(UP, "help help", 9)
        self.edit(UP + UP, "loglevel", 8)
        self.edit("typing" + UP + DOWN, "typing", 6)
        self.machine.send(UP + UP)
        self.assertEqual(self.ask(""), "loglevel: 6\n")

    def test_ctrl_c_gives_the_line_up(self):
        self.machine.send("reboot" + ctrl("C"))
        self.assertIn("^C", self.machine.read_until(PROMPT + r"\x1b\[K"))
        self.assertIn("loglevel", self.ask("loglevel"))

    def test_pasted_lines_all_run(self):
        self.machine.send("loglevel\nloglevel 7\nloglevel 6\n")
        text = ""
        for _ in range(3):
            text += self.machine.wait_for_prompt()
        self.assertEqual(re.findall(r"loglevel: (\d)", text), ["6", "7", "6"])

    def test_idle_prompt_costs_nothing(self):
        self.ask("loglevel")
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
        machine.wait_for_prompt()
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
