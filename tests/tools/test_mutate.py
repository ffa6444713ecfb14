"""tools/mutate: which changes it makes of C text, which it leaves alone, the list of equivalents, and its usage."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

MUTATE = os.path.abspath(os.path.join("tools", "mutate"))


def load():
    loader = importlib.machinery.SourceFileLoader("mutate", MUTATE)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutate", loader))
    loader.exec_module(module)
    return module


mutate = load()


def changed(body):
    """The mutated lines of a function with this body."""
    source = "int f(int a, int b)\n{\n\t%s\n}\n" % body
    return [m.new for m in mutate.mutants_of("mm/x.c", source)]


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
                     "/* a < b */", '"a < b";'):
            self.assertEqual(changed(text), [], text)
        self.assertEqual(changed('panic("x %d", a + 1);'), [";"])
        self.assertEqual(list(mutate.mutants_of("x", "#define f(a) { return a < 1; }\nstatic int t[] = {1, 2};\n")), [])

    def test_pointers_are_not_operators(self):
        self.assertEqual(changed("return f(&a, *b, -c);"), [])

    def test_a_for_loop(self):
        found = changed("for (i = 0; i <= a; i++)\n\t\tg();")
        self.assertIn("for (i = 0; i < a; i++)", found)
        self.assertFalse([c for c in found if "; ; i++" in c])


class Places(unittest.TestCase):
    SOURCE = "int f(void)\n{\n\treturn a < b;\n}\n"

    def test_a_mutant_is_known_by_its_text(self):
        [one] = mutate.mutants_of("mm/x.c", self.SOURCE)
        [moved] = mutate.mutants_of("mm/x.c", "/* more\n */\n" + self.SOURCE)
        self.assertNotEqual(one.line, moved.line)
        self.assertEqual(mutate.key(one), mutate.key(moved))
        self.assertEqual(mutate.rank(one, "1"), mutate.rank(moved, "1"))
        self.assertNotEqual(mutate.rank(one, "1"), mutate.rank(one, "2"))

    def test_the_change_is_where_it_says(self):
        [m] = mutate.mutants_of("mm/x.c", self.SOURCE)
        self.assertEqual(self.SOURCE[:m.start] + m.text + self.SOURCE[m.end:], self.SOURCE.replace("<", "<="))


class Equivalents(unittest.TestCase):
    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as f:
            f.write(text)
            f.flush()
            return mutate.read_equivalents(f.name)

    def test_an_entry_is_what_is_printed(self):
        [m] = mutate.mutants_of("mm/x.c", Places.SOURCE)
        self.assertEqual(list(self.read("# a reason\n" + mutate.shown(m))), [mutate.key(m)])

    def test_a_dropped_statement(self):
        [m] = [m for m in mutate.mutants_of("mm/x.c", "int f(void)\n{\n\tg();\n}\n") if m.what == "dropped"]
        self.assertEqual(list(self.read("# a reason\n" + mutate.shown(m) + mutate.shown(m))), [mutate.key(m)])

    def test_an_entry_without_a_reason_is_refused(self):
        for text in ("mm/x.c: f\n    - a\n    + b\n", "# r\n\nmm/x.c: f\n    - a\n    + b\n", "what?\n"):
            with self.assertRaises(SystemExit) as refused:
                self.read(text)
            self.assertIn(".txt:", str(refused.exception))

    def test_the_project_s_list_is_read(self):
        self.assertIsInstance(mutate.read_equivalents(mutate.EQUIVALENT), dict)


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
        for options in (("--file", "mm/none.c"), ("--jobs", "0"), ("--what",)):
            code, out = self.run_it(*options)
            self.assertEqual(code, 2, options)
            self.assertIn("mutate: ", out)


if __name__ == "__main__":
    unittest.main()
