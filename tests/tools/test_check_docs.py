"""tools/check-docs: each kind of staleness is named, with its page and line; --update writes excerpts and nothing else."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "check-docs"

SOURCE = """/* Head. */
#include <a.h>

#define LIMIT 4u
#define LONG(x) \\
\tdo_it(x)

static int helper(int x);

struct thing {
\tint a; /* } */
};

static const char *const names[] = {
    "one", "}",
};

/* Doubles.
 * Twice. */
static int helper(int x)
{
\tif (x == '{')
\t\treturn 0;
\treturn 2 * x;
}

/* Theirs.
 * lab 3.2 */
int task(void)
{
\treturn helper(1);
}

/* lab 3.3, helper */
static int
task_helper(void)
{
\treturn 1;
}
"""
HELPER = "static int helper(int x)\n{\n\tif (x == '{')\n\t\treturn 0;\n\treturn 2 * x;\n}\n"
MAKEFILE = "all: build/x ## all\nbench test: all\nX := 3\n$H/y: all\n"


class CheckDocs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        self.write("mm/a.c", SOURCE)
        self.write("Makefile", MAKEFILE)
        self.write("docs/other.md", "# Other page\n\n## Two words: `code`, and more\n\n## Twice\n\n## Twice\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def check(self, page, *options, name="docs/page.md"):
        self.write(name, page)
        command = [sys.executable, str(TOOL), "--root", str(self.root), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def stale(self, page, *parts, name="docs/page.md"):
        result = self.check(page, name=name)
        self.assertEqual(result.returncode, 1, result.stdout)
        for part in parts:
            self.assertIn(part, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), len(parts), result.stderr)

    def fine(self, page, name="docs/page.md"):
        result = self.check(page, name=name)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_links_that_lead_somewhere(self):
        self.fine("# Here\n[a](other.md) ![b](../mm/a.c) [c](#here) [d](other.md#two-words-code-and-more) "
                  "[e](other.md#twice-1) [f](https://example.org/x) [`g`](../mm)\n")

    def test_links_that_do_not(self):
        self.stale("[a](gone.md)\n\n![b](gone.png)\n", "docs/page.md:1: the link leads nowhere: gone.md",
                   "docs/page.md:3: the link leads nowhere: gone.png")
        self.stale("[a](other.md#three-words)\n", "docs/page.md:1: no such heading: other.md#three-words")
        self.stale("# Here\n[a](#there)\n", "docs/page.md:2: no such heading: #there")
        self.stale("[a](other.md#twice-2)\n", "no such heading")

    def test_what_stands_in_code_is_no_link(self):
        self.fine("`[a](gone.md)`\n\n```\n[b](gone.md)\n# no heading\n```\n")
        self.stale("```\n# no heading\n```\n[a](#no-heading)\n", "docs/page.md:4: no such heading")

    def test_make_targets(self):
        self.fine("`make bench CONFIG=release`, `make test TEST='a b'`, `make -j2`, `make build/x`\n\n"
                  "```sh\nmake bench   # once\nmake BUILD=/x all && gone\n```\n\n```\nmake gone\n```\n")
        self.stale("`make gone`\n\n```sh\n$ make all gone2\n```\n", "docs/page.md:1: no such make target: gone",
                   "docs/page.md:4: no such make target: gone2")

    def excerpt(self, name, code):
        return "text\n\n<!-- excerpt mm/a.c: %s -->\n```c\n%s```\nbehind\n" % (name, code)

    def test_excerpts_of_every_kind(self):
        self.fine(self.excerpt("helper", HELPER))
        self.fine(self.excerpt("helper, commented", "/* Doubles.\n * Twice. */\n" + HELPER))
        self.fine(self.excerpt("thing", "struct thing {\n\tint a; /* } */\n};\n"))
        self.fine(self.excerpt("names", 'static const char *const names[] = {\n    "one", "}",\n};\n'))
        self.fine(self.excerpt("LIMIT", "#define LIMIT 4u\n"))
        self.fine(self.excerpt("LONG", "#define LONG(x) \\\n\tdo_it(x)\n"))

    def test_an_excerpt_that_is_stale(self):
        self.stale(self.excerpt("helper", HELPER.replace("2", "3")), "docs/page.md:3: the excerpt is not helper of mm/a.c")
        self.stale(self.excerpt("gone", ""), "docs/page.md:3: mm/a.c does not define gone")
        self.stale("<!-- excerpt mm/b.c: helper -->\n```c\n```\n", "docs/page.md:1: no such source: mm/b.c")
        self.stale("<!-- excerpt mm/a.c: helper -->\nno block\n", "docs/page.md:1: no code block")

    def test_what_students_write_is_not_shown(self):
        self.stale(self.excerpt("task", ""), "docs/page.md:3: task of mm/a.c is a lab's task")

    def test_nor_anything_in_their_own_pages(self):
        self.stale(self.excerpt("helper", HELPER), "pages for students show no code", name="docs/labs/3.md")

    def test_update_writes_the_excerpts_and_nothing_else(self):
        page = self.excerpt("helper", "old\n") + self.excerpt("LIMIT", "")
        result = self.check(page, "--update")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.root / "docs/page.md").read_text(encoding="utf-8"),
                         self.excerpt("helper", HELPER) + self.excerpt("LIMIT", "#define LIMIT 4u\n"))

    def test_list(self):
        result = self.check(self.excerpt("helper", "old\n"), "--list")
        self.assertEqual((result.returncode, result.stdout), (0, "docs/page.md:3: mm/a.c helper\n"))

    def test_wrong_options_end_with_one_line(self):
        for options in (["--what"], ["--root", "/nowhere"], ["extra"]):
            result = subprocess.run([sys.executable, str(TOOL), *options], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 64)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)

    def test_the_project_itself(self):
        result = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True, check=False)
        self.assertEqual(result.stderr, "", "tools/check-docs --update writes excerpts anew")


if __name__ == "__main__":
    unittest.main()
