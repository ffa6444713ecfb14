"""tools/mutate: which changes it makes of C text, which it leaves alone, the list of equivalents, and its usage."""

import collections
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import unittest

MUTATE = os.path.abspath(os.path.join("tools", "mutate"))
sys.path.insert(0, os.path.dirname(MUTATE))

from mutation import changes, program, schema  # noqa: E402


def load():
    loader = importlib.machinery.SourceFileLoader("mutate", MUTATE)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutate", loader))
    loader.exec_module(module)
    return module


mutate = load()


def changed(body):
    """The mutated lines of a function with this body."""
    source = "int f(int a, int b)\n{\n\t%s\n}\n" % body
    return [m.new for m in changes.mutants_of("mm/x.c", source)]


class Changes(unittest.TestCase):
    def test_relations_and_operators(self):
        self.assertEqual(changed("return a < b;"), ["return a <= b;"])
        self.assertEqual(changed("return a && b;"), ["return a || b;"])
        self.assertEqual(changed("return a << b;"), ["return a >> b;"])
        self.assertEqual(changed("return a + b;"), ["return a - b;"])
        self.assertEqual(changed("return !a;"), ["return a;"])

    def test_constants(self):
        self.assertEqual(changed("return 7u;"), ["return 8u;", "return 6u;"])
        self.assertEqual(changed("return 0;"), ["return 1;"])
        self.assertEqual(changed("return 0x10;"), ["return 0x11;", "return 0xf;"])

    def test_conditions(self):
        self.assertIn("if (!(g(a)))", changed("if (g(a))\n\t\tb = a;"))
        self.assertEqual([c for c in changed("if (a == b)\n\t\tbreak;") if c.startswith("if")], ["if (a != b)"])

    def test_words(self):
        self.assertEqual(changed("return min_u64(a, b);"), ["return max_u64(a, b);"])
        self.assertEqual(changed("return true;"), ["return false;"])

    def test_statements(self):
        for statement in ("g(a, b);", "a = b;", "a |= b;", "p->x = b;", "*p = b;", "a++;", "break;", "return;"):
            self.assertIn(";", changed(statement), statement)
        self.assertIn("if (a) ;", [c.replace("\n", " ") for c in changed("if (a) g(b);")])

    def test_declarations_and_results_stay(self):
        for text in ("int c = a;", "struct page *p = q;", "return a;", "goto out;", "u8 t[4] = {x[a], y};"):
            self.assertEqual(changed(text), [], text)

    def test_what_is_left_alone(self):
        for text in ("debug_assert(a < 1);", 'log_info("x %d", a + 1);', "u8 c = sizeof(a + 1);", "char s[32], t[16];",
                     "/* a < b */", '"a < b";', "va_end(args);",
                     "cpu_relax();", '__asm__("" : "+r"(a));', '__asm__ volatile("" : : : "memory");'):
            self.assertEqual(changed(text), [], text)
        self.assertEqual(changed('panic("x %d", a + 1);'), [";"])
        self.assertEqual(list(changes.mutants_of("x", "#define f(a) { return a < 1; }\nstatic int t[] = {1, 2};\n")), [])

    def test_pointers_are_not_operators(self):
        self.assertEqual(changed("return f(&a, *b, -c);"), [])

    def test_a_for_loop(self):
        found = changed("for (i = 0; i <= a; i++)\n\t\tg();")
        self.assertIn("for (i = 0; i < a; i++)", found)
        self.assertFalse([c for c in found if "; ; i++" in c])
        self.assertNotIn("for (; ; )", changed("for (; a--; )\n\t\tg();"))

    def test_no_change_is_tried_twice(self):
        self.assertEqual(changed("return a < 8;"), ["return a <= 8;", "return a < 7;"])
        self.assertEqual(changed("return a > 8;"), ["return a >= 8;", "return a > 9;"])
        self.assertEqual(changed("return a >= 8 && b;"), ["return a > 8 && b;", "return a >= 7 && b;", "return a >= 8 || b;"])
        self.assertEqual(len(changed("return a < 8 * b;")), 4)


class Places(unittest.TestCase):
    SOURCE = "int f(void)\n{\n\treturn a < b;\n}\n"

    def test_a_mutant_is_known_by_its_text(self):
        [one] = changes.mutants_of("mm/x.c", self.SOURCE)
        [moved] = changes.mutants_of("mm/x.c", "/* more\n */\n" + self.SOURCE)
        self.assertNotEqual(one.line, moved.line)
        self.assertEqual(changes.key(one), changes.key(moved))
        self.assertEqual(mutate.rank(one, "1"), mutate.rank(moved, "1"))
        self.assertNotEqual(mutate.rank(one, "1"), mutate.rank(one, "2"))

    def test_the_change_is_where_it_says(self):
        [m] = changes.mutants_of("mm/x.c", self.SOURCE)
        self.assertEqual(self.SOURCE[:m.start] + m.text + self.SOURCE[m.end:], self.SOURCE.replace("<", "<="))


class Equivalents(unittest.TestCase):
    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(text)
            f.flush()
            return mutate.read_equivalents(f.name)

    def test_an_entry_is_what_is_printed(self):
        [m] = changes.mutants_of("mm/x.c", Places.SOURCE)
        self.assertEqual(list(self.read("# a reason\n" + changes.shown(m))), [changes.key(m)])

    def test_the_second_of_two_that_read_the_same(self):
        twice = list(changes.mutants_of("mm/x.c", "int f(void)\n{\n\tg();\n\tg();\n}\n"))
        self.assertEqual([changes.key(m)[1] for m in twice], ["f", "f #2"])
        self.assertEqual(list(self.read("# a reason\n" + changes.shown(twice[1]))), [changes.key(twice[1])])

    def test_a_dropped_statement(self):
        [m] = [m for m in changes.mutants_of("mm/x.c", "int f(void)\n{\n\tg();\n}\n") if m.what == "dropped"]
        self.assertEqual(list(self.read("# a reason\n" + changes.shown(m) + changes.shown(m))), [changes.key(m)])

    def test_an_entry_without_a_reason_is_refused(self):
        for text in ("mm/x.c: f\n    - a\n    + b\n", "# r\n\nmm/x.c: f\n    - a\n    + b\n", "what?\n"):
            with self.assertRaises(mutate.Refused) as refused:
                self.read(text)
            self.assertIn(".txt:", str(refused.exception))

    def test_the_project_s_list_is_read(self):
        self.assertIsInstance(mutate.read_equivalents(mutate.EQUIVALENT), dict)


class Schemata(unittest.TestCase):
    SOURCE = """static int last;
static int f(int a, int b)
{
\tstatic int calls;
\tif (a < b)
\t\tgoto out;
\tcalls += 1;
out:
\treturn calls + a;
}
static void g(void)
{
\tlast = f(last, 2);
}
"""
    MAIN = """
#include <stdio.h>
#include <stdlib.h>
unsigned mutant_now;
unsigned char mutant_entered[8];
int main(int argc, char **argv)
{
\tmutant_now = (unsigned)atoi(argv[1]);
\tint result = argc > 2 ? (g(), last) : f(2, 2);
\tprintf("%d %d%d%d %s %d", result, mutant_entered[4], mutant_entered[5], mutant_entered[6], __FILE__, __LINE__);
}
"""

    def run_each(self, source, answers):
        """{mutant's new text: output}; the unchanged program's is under ""."""
        mutants = dict(enumerate(changes.mutants_of("mm/x.c", source), schema.FIRST_ID))
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.c")
            with open(path, "w", encoding="utf-8") as f:
                f.write(schema.write("mm/x.c", source, mutants.items(), 5) + self.MAIN)
            subprocess.run(["gcc", "-w", "-o", path + ".out", path], check=True)
            for number in [0, *mutants]:
                text = mutants[number].new if number else ""
                answers[text] = subprocess.run([path + ".out", str(number)], stdout=subprocess.PIPE, check=True,
                                               text=True).stdout
        return answers

    def test_one_program_holds_all_mutants(self):
        line = self.SOURCE.count("\n") + self.MAIN[:self.MAIN.index("printf")].count("\n") + 1
        answers = self.run_each(self.SOURCE, {})
        self.assertEqual(answers[""], "3 010 mm/x.c %d" % line)
        self.assertEqual(answers["if (a <= b)"][0], "2")
        self.assertEqual(answers["calls += 2;"][0], "4")
        self.assertEqual(answers["calls -= 1;"][0], "1")
        self.assertEqual(answers["return calls - a;"], "-1 010 mm/x.c %d" % line)

    def test_what_does_not_compile_is_blamed_on_its_mutant(self):
        self.assertEqual(schema.blamed("mm/x.c:12003:5: error: no\nmm/x.c:13001:1: warning: y\nmm/x.c:9:1: error: z\n"),
                         {12})

    def test_functions_are_numbered_as_they_stand(self):
        self.assertEqual(schema.function_names("mm/x.c", self.SOURCE), ["mm/x.c:f", "mm/x.c:g"])


class Servers(unittest.TestCase):
    """Judge against a server that answers as told."""

    class Judge(program.Judge):
        def __init__(self, answers):  # pylint: disable=super-init-not-called
            [self.mutant] = changes.mutants_of("mm/x.c", Places.SOURCE)
            self.schemata = self
            self.number, self.invalid = {self.mutant: 10}, set()
            self.inside = {"mm/x.c:f": [program.Test(n, "passed", 50000 if n == "long" else 100, frozenset(), frozenset())
                                        for n in ("four", "two", "long")]}
            self.everywhere = {"mm/x.c:f": []}
            self.boots = set()
            self.programs = {program.PLAIN: "", program.SANE: ""}
            self.answers, self.asked = answers, []

        def run(self, flavour, number, how, boots, tests, factor=0):
            if tests:
                self.asked.append((flavour.name if how == "body" else how, [t.name for t in tests]))
            return self.answers[flavour.name].pop(0) if tests else ("passed", program.BOOT)

    def verdict(self, plain, sane, gates=()):
        judge = self.Judge({"plain": plain, "sane": sane})
        judge.everywhere["mm/x.c:f"] = [t for t in judge.inside["mm/x.c:f"] if t.name in gates]
        return judge.judge(judge.mutant), judge.asked

    def test_killed_without_sanitizers(self):
        result, asked = self.verdict([("failed", "two")], [])
        self.assertEqual(result, program.Verdict("killed", "two failed (plain)"))
        self.assertEqual(asked, [("plain", ["four", "two"])])

    def test_killed_with_sanitizers(self):
        result, asked = self.verdict([("passed", "two")], [("failed", "four")])
        self.assertEqual(result.result, "killed")
        self.assertEqual(asked, [("plain", ["four", "two"]), ("sane", ["four", "two", "long"])])

    def test_survived(self):
        self.assertEqual(self.verdict([("passed", "long")], [("passed", "long")])[0], program.Verdict("survived", ""))

    def test_a_test_that_never_ends_is_passed_over(self):
        result, asked = self.verdict([("timeout", "four"), ("crashed", "two")], [])
        self.assertEqual(result.result, "killed")
        self.assertEqual(asked, [("plain", ["four", "two"]), ("plain", ["two"])])

    def test_what_survives_in_the_tests_is_tried_in_the_gates_too(self):
        result, asked = self.verdict([("passed", "two"), ("failed", "two")], [], ["two"])
        self.assertEqual(result.result, "killed")
        self.assertEqual(asked, [("plain", ["four", "two"]), ("run", ["two"])])

    def test_timed_out_is_not_killed(self):
        result, _ = self.verdict([("timeout", "two")], [("timeout", "two"), ("passed", "long")])
        self.assertEqual(result, program.Verdict("timed out", "two"))


class Numbers(unittest.TestCase):
    """A test may have another number, or none, in the other build."""

    def test_a_test_is_known_by_its_name(self):
        judge = program.Judge.__new__(program.Judge)
        judge.names = {program.PLAIN: ["a", "b"], program.SANE: ["a", "new", "b"]}
        lines = []

        class Server:
            def send(self, line):
                lines.append(line)

            def receive(self):
                return ["failed", "1"]

        judge.server = lambda flavour, boots: Server()
        tests = [program.Test(n, "passed", 1, frozenset(), frozenset()) for n in ("new", "b")]
        self.assertEqual(judge.run(program.PLAIN, 9, "run", False, tests, 5), ("failed", "b"))
        self.assertEqual(judge.run(program.SANE, 9, "body", False, tests, 5), ("failed", "new"))
        self.assertEqual(lines, ["run 9 5 1", "body 9 20 1,2"])
        self.assertEqual(judge.run(program.PLAIN, 9, "run", False, tests[:1], 5), ("passed", program.BOOT))


class Goals(unittest.TestCase):
    def end(self, killed, survived, late, *options):
        total = collections.Counter({"killed": killed, "survived": survived, "timed out": late})
        with contextlib.redirect_stdout(io.StringIO()):
            return mutate.verdict(mutate.read_options(["--file", "mm/check.c", *options]), total)

    def test_the_goal(self):
        self.assertEqual(self.end(95, 5, 0), 0)
        self.assertEqual(self.end(94, 6, 0), 1)
        self.assertEqual(self.end(94, 0, 6), 1, "a time-out is no kill")
        self.assertEqual(self.end(94, 6, 0, "--goal", "94"), 0)
        self.assertEqual(self.end(0, 0, 0), 1, "nothing was tried")

    def test_an_equivalent_that_is_killed(self):
        self.assertEqual(self.end(0, 5, 0, "--equivalents"), 0)
        self.assertEqual(self.end(1, 4, 0, "--equivalents"), 1)


class Program(unittest.TestCase):
    def run_it(self, *options):
        done = subprocess.run([sys.executable, MUTATE, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, timeout=60, text=True)
        return done.returncode, done.stdout

    def test_list(self):
        code, out = self.run_it("--list", "--file", "mm/check.c")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"mm/check\.c:\d+: \w+\nmm/check\.c: \w+\n    - .*\n    \+ .*\n")
        self.assertRegex(out, r"\d+ mutants\n$")

    def test_a_sample_is_the_same_every_time(self):
        one, two, other = (self.run_it("--list", "--sample", "9", "--seed", seed)[1] for seed in ("1", "1", "2"))
        self.assertEqual(one, two)
        self.assertNotEqual(one, other)
        self.assertIn("9 mutants", one)

    def test_wrong_usage(self):
        for options in (("--file", "mm/none.c"), ("--jobs", "0"), ("--what",), ("--sample", "x"), ("--goal", "101")):
            code, out = self.run_it(*options)
            self.assertEqual(code, 64, options)
            self.assertRegex(out, r"^mutate: [^\n]+\n$")

    def test_help(self):
        code, out = self.run_it("--help")
        self.assertEqual(code, 0)
        self.assertIn("--sample", out)


if __name__ == "__main__":
    unittest.main()
