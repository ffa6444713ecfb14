"""The course's machinery, without building anything: marks and stubs, what an export may hold, what a submission may
name, which lines of a run are believed, and that manifests, marks and wrong solutions agree with the sources.

`make labs-check` runs the rest: it grades the grader.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, "tools")
from labs import export, judge, lint, marks, report  # noqa: E402
from labs.manifest import Boot, Lab, Refused, Task, read_labs  # noqa: E402
from labs.wrong import read_wrong  # noqa: E402

TREE = os.getcwd()
KEY = bytes(range(16))

SOURCE = """/* A file. */
#include <lib/types.h>

static int helper_of_given_code(int a)
{
	return a;
}

/* lab 3.1, helper */
static int only_mine(int a)
{
	return a + 12345;
}

/*
 * What it does.
 * lab 3.1
 */
int first(struct thing *t, int (*fn)(void), u32 values[4])
{
	return only_mine(helper_of_given_code(t->value + fn() + values[0]));
}

/* lab 4.1 */
int second(void)
{
	return 2;
}
"""


def signed(text):
    return "# signed %016x %s\n" % (judge.siphash(KEY, text.encode()), text)


class Marks(unittest.TestCase):
    def test_a_body_becomes_a_stub_and_a_helper_goes(self):
        text = marks.starter(SOURCE, 3)
        self.assertIn('\t(void)t;\n\t(void)fn;\n\t(void)values;\n\tlab_todo("lab 3: first is yours");\n', text)
        self.assertNotIn("only_mine", text)
        self.assertNotIn("12345", text)
        self.assertIn("return 2;", text)  # another lab's is given
        self.assertIn(" * lab 3.1\n", text)
        self.assertNotIn("lab 4.1", text)

    def test_what_only_removed_code_used_does_not_warn(self):
        self.assertIn("__attribute__((unused)) static int helper_of_given_code(", marks.starter(SOURCE, 3))

    def test_other_labs_see_no_mark(self):
        self.assertNotIn("lab 3", marks.starter(SOURCE, 5))
        self.assertIn("12345", marks.starter(SOURCE, 5))

    def test_a_mark_without_a_function(self):
        with self.assertRaises(marks.MarkError):
            marks.regions("/* lab 3.1 */\nstatic int x;\n")

    def test_macros_and_types_can_be_helpers(self):
        text = marks.starter("#include <a.h>\n\n/* lab 3.1, helper */\n#define X \\\n\t1\n\n"
                             "/* lab 3.1, helper */\nstruct s {\n\tint a;\n};\n\nint y;\n", 3)
        self.assertNotIn("struct s", text)
        self.assertNotIn("X", text)
        self.assertIn("int y;", text)


class Exports(unittest.TestCase):
    LAB = Lab(3, "labs/3-x", "x", "docs/labs/3-x.md", ["mm/x.c"], [], None)

    def secret(self):
        secret = export.Secret()
        secret.add(["u32 half_of_the_block = pfn + 7;", "map[half_of_the_block].next = 0;", "b->nr_splits += from - to;"])
        return secret

    def test_a_long_line_in_a_text_is_found(self):
        self.assertEqual(self.secret().in_text("a\n  u32  half_of_the_block = pfn + 7;\n"),
                         [(2, "u32  half_of_the_block = pfn + 7;")])
        self.assertEqual(self.secret().in_text("b->nr_splits"), [])

    def test_in_code_single_lines_are_idioms(self):
        lines = ["\tu32 half_of_the_block = pfn + 7;", "\tmap[half_of_the_block].next = 0;", "", "\tb->nr_splits += from - to;"]
        self.assertEqual(self.secret().in_code("\n".join(lines[:2])), [])
        self.assertEqual(self.secret().in_code("\n".join(["x;"] + lines))[0][0], 2)

    def test_a_page_loses_the_block_that_tells(self):
        page = "A\n```c\nint a;\n```\nB\n```c\nu32 half_of_the_block = pfn + 7;\n```\nC\n"
        clean = export.clean_page(page, self.secret(), self.LAB)
        self.assertIn("int a;", clean)
        self.assertNotIn("half_of_the_block", clean)
        self.assertIn("C\n", clean)

    def test_the_lecturers_files_stay(self):
        for path in ("labs/3-x/wrong.txt", "labs/3-x/hidden/a_test.c", "tests/mutants-equivalent.txt", ".ci/run",
                     "tools/labs-check", "tools/labs/check.py", "tests/tools/test_labs.py", "docs/labs/grading.md"):
            self.assertFalse(export.is_exported(path, self.LAB), path)
        for path in ("mm/buddy.c", "tools/grade", "tools/labs/judge.py", "docs/labs/3-x.md", "tests/unit/buddy_test.c"):
            self.assertTrue(export.is_exported(path, self.LAB), path)

    def test_the_makefile_has_no_target_of_theirs(self):
        with open("Makefile", encoding="utf-8") as f:
            text = export.makefile(f.read())
        self.assertNotIn("\nlabs-check:", text)
        self.assertNotIn("\nmutate:", text)
        self.assertIn("\ngrade:", text)


class Signatures(unittest.TestCase):
    def test_siphash_is_the_papers(self):
        self.assertEqual(judge.siphash(KEY, bytes(range(15))), 0xa129ca6149be45e5)  # its appendix A

    def test_signed_results_are_believed(self):
        run = judge.read_run(signed("plan a.b") + "# begin a.b\nok 1 a.b\n" + signed("passed a.b"), KEY)
        self.assertEqual(run.verdict("a.b"), "")

    def test_others_are_not(self):
        forged = "# signed 0123456789abcdef passed a.b\nok 1 a.b\n# passed: 1 failed: 0 skipped: 0 seed: 1\n"
        run = judge.read_run(signed("plan a.b") + "# begin a.b\n" + forged, KEY)
        self.assertIn("no signed result", run.verdict("a.b"))
        self.assertEqual(run.unsigned, 1)

    def test_a_signature_of_another_test_is_not_this_ones(self):
        run = judge.read_run(signed("plan a.b") + signed("passed a.c"), KEY)
        self.assertNotEqual(run.verdict("a.b"), "")

    def test_the_first_useful_line_explains(self):
        run = judge.read_run(signed("plan a.b") + "# begin a.b\n# tests/unit/x_test.c:5: EXPECT a == b: 1 < 2\n"
                             "# tests/unit/x_test.c:6: EXPECT\n" + signed("failed a.b"), KEY)
        self.assertEqual(run.verdict("a.b"), "tests/unit/x_test.c:5: EXPECT a == b: 1 < 2")


class Names(unittest.TestCase):
    REFERENCE = lint.Facts(undefined=["buddy_check"], defined=["buddy_alloc"], sections=[".text"], includes=["<mm/x.h>"])

    def complaints(self, **facts):
        return lint.complaints("mm/buddy.c", lint.Facts(**facts), self.REFERENCE, [])

    def test_what_the_reference_names_is_fine(self):
        self.assertEqual(self.complaints(undefined=["buddy_check", "memset", "panic", "kprintf"], defined=["buddy_alloc"],
                                         sections=[".text.unlikely", ".bss"], includes=["<lib/bits.h>"]), [])

    def test_the_rest_is_named(self):
        for facts, word in (({"undefined": ["test_end"]}, "test_end"), ({"undefined": ["_exit"]}, "_exit"),
                            ({"undefined": ["sign_line"]}, "sign_line"), ({"defined": ["sign_key_hide"]}, "static"),
                            ({"sections": ["strata_tests"]}, "section"), ({"starts": 8}, "before main"),
                            ({"includes": ['"tests/sign.h"']}, "includes"), ({"special": ['asm ("" )']}, "asm")):
            found = self.complaints(**facts)
            self.assertEqual(len(found), 1, facts)
            self.assertIn(word, found[0])

    def test_assembly_is_seen_through_macros(self):
        facts = lint.text_facts("", '# 1 "x.c"\nint a; asm volatile("nop");\n# 1 "y.h"\nasm("in a header");\n', "x.c")
        self.assertEqual(len(facts.special), 1)

    def test_includes_are_read_past_comments(self):
        facts = lint.text_facts('/* #include <no.h> */\n#include /* x */ "../tests/sign.h"\n', "", "x.c")
        self.assertEqual(facts.includes, ['"../tests/sign.h"'])


class Manifests(unittest.TestCase):
    def test_functions_are_those_that_are_marked(self):
        labs = read_labs(TREE)
        self.assertTrue(labs)
        for lab in labs.values():
            found: dict[str, list[str]] = {}
            for owned in lab.owned:
                with open(owned, encoding="utf-8") as f:
                    for r in marks.regions(f.read()):
                        if r.lab == lab.number and not r.is_helper:
                            found.setdefault(r.task, []).append(r.name)
            self.assertEqual({t.id: sorted(t.functions) for t in lab.tasks if t.functions}, {t: sorted(n) for t, n in found.items()})

    def test_points_are_a_hundred(self):
        for lab in read_labs(TREE).values():
            self.assertEqual(lab.points, 100, lab.name)

    def test_wrong_solutions_fit_the_sources(self):
        for lab in read_labs(TREE).values():
            solutions = read_wrong(os.path.join(lab.folder, "wrong.txt"), lab)
            self.assertGreaterEqual(len(solutions), 20, lab.name)
            self.assertEqual({w.task for w in solutions}, {t.id for t in lab.tasks})
            for w in solutions:
                with open(w.file, encoding="utf-8") as f:
                    text = f.read()
                self.assertNotEqual(w.apply(text), text)

    def test_nothing_of_a_solution_is_exported(self):
        for lab in read_labs(TREE).values():
            files = export.texts(TREE, lab)
            for owned in lab.owned:
                for task in lab.tasks:
                    for name in task.functions:
                        if ("lab %s" % task.id) in files[owned].decode() and name + "(" in files[owned].decode():
                            self.assertIn("lab_todo", files[owned].decode())


class Reports(unittest.TestCase):
    LAB = Lab(3, "labs/3-x", "x", "docs/labs/3-x.md", [], [Task("3.1", "lists", 60)], Boot("boots", 40, "x"))

    def test_gradescopes_form(self):
        g = report.Grade(self.LAB, [report.Row("3.1", "lists", 12, 60, ["a.b: why"]), report.Row("boot", "boots", 40, 40)])
        out = json.loads(json.dumps(report.results(g)))
        self.assertEqual((out["score"], out["tests"][0]["score"], out["tests"][0]["max_score"]), (52, 12, 60))
        self.assertEqual(out["tests"][1]["status"], "passed")
        self.assertIn("a.b: why", report.table(g))

    def test_a_refusal_gives_nothing(self):
        self.assertEqual(report.nothing(self.LAB, ["why"]).points, 0)


class Usage(unittest.TestCase):
    def refused(self, *command):
        done = subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertEqual(len(done.stderr.decode().strip().splitlines()), 1)
        return done.stderr.decode()

    def test_one_clear_line(self):
        self.assertIn("no lab 99", self.refused("tools/lab-export", "99", "--out", "/nonexistent/x"))
        self.assertIn("say where to", self.refused("tools/lab-export", "3"))
        self.assertIn("there already", self.refused("tools/lab-export", "3", "--out", "/"))
        self.assertIn("which lab", self.refused("tools/grade", "--no-boot"))
        self.assertIn("no such folder", self.refused("tools/grade", "3", "--submission", "/nonexistent"))
        self.assertIn("no lab x", self.refused("tools/labs-check", "--labs", "x", "--qemu", "true"))
        self.assertIn("number", self.refused("tools/labs-check", "--sample", "many"))

    def test_help(self):
        for tool in ("tools/lab-export", "tools/grade", "tools/labs-check"):
            done = subprocess.run([sys.executable, tool, "--help"], stdout=subprocess.PIPE, check=True)
            self.assertIn(b"64", done.stdout)

    def test_a_manifest_that_is_none(self):
        with tempfile.TemporaryDirectory() as tree:
            os.makedirs(tree + "/labs/1-x")
            with open(tree + "/labs/1-x/lab.json", "w", encoding="utf-8") as f:
                f.write("{")
            with self.assertRaisesRegex(Refused, "labs/1-x/lab.json"):
                read_labs(tree)


if __name__ == "__main__":
    unittest.main()
