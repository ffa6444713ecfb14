"""check-layers on a small tree of its own: each way of reaching up is found, and what is allowed is not."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.abspath(os.path.join("tools", "check-layers"))
TREE = {
    "lib/a.c": "#include <lib/a.h>\nint platform_cpu(void);\nint lib_a(void) { return platform_cpu(); }\n",
    "lib/include/lib/a.h": "#include <stdint.h>\nint lib_a(void);\n",
    "mm/b.c": '#include "internal.h"\n#include <lib/a.h>\nint mm_b(void);\nint mm_b(void) { return lib_a(); }\n',
    "mm/internal.h": "#include <platform/mm.h>\n",
    "kernel/c.c": "#include <lib/a.h>\n#include <kernel/c.h>\nint kernel_c = 1;\n",
}


@unittest.skipUnless(shutil.which("gcc") and shutil.which("nm"), "gcc and nm are needed")
class Layers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="strata-test-")
        self.addCleanup(self.folder.cleanup)
        for path, text in TREE.items():
            self.write(path, text)

    def write(self, path, text):
        full = os.path.join(self.folder.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text)

    def check(self):
        """Compiles without the includes, which are looked at as text, and checks."""
        for path in ("lib/a.c", "mm/b.c", "kernel/c.c"):
            out = os.path.join(self.folder.name, "build", path + ".o")
            os.makedirs(os.path.dirname(out), exist_ok=True)
            with open(os.path.join(self.folder.name, path)) as f:
                code = "".join(line for line in f if not line.startswith("#include"))
            subprocess.run(["gcc", "-w", "-c", "-x", "c", "-", "-o", out], input=code.encode(), check=True)
        done = subprocess.run([sys.executable, CHECK, "build"], cwd=self.folder.name, stdout=subprocess.PIPE,
                              check=False)
        return done.returncode, done.stdout.decode()

    def refused(self, *words):
        status, out = self.check()
        self.assertEqual(status, 1, out)
        self.assertEqual(len(out.strip().splitlines()), 1, out)
        for word in words:
            self.assertIn(word, out)

    def test_a_clean_tree(self):
        status, out = self.check()
        self.assertEqual(status, 0, out)

    def test_the_gallery_sees_lib_alone(self):
        self.write("mm/heaps/d.c", "#include <mm/heap.h>\n#include <mm/b.h>\n")
        self.refused("mm/heaps/d.c", "mm/b.h")

    def test_an_adapter_of_the_gallery_sees_mm(self):
        self.write("mm/heaps/kernel_d.c", "#include <mm/heap.h>\n#include <mm/b.h>\n")
        self.assertEqual(self.check()[0], 0)

    def test_a_call_upward(self):
        self.write("lib/a.c", TREE["lib/a.c"] + "int mm_b(void);\nint lib_up(void) { return mm_b(); }\n")
        self.refused("lib/a.c", "mm_b", "mm/b.c")

    def test_data_of_a_layer_above(self):
        self.write("mm/b.c", TREE["mm/b.c"] + "extern int kernel_c;\nint mm_up(void) { return kernel_c; }\n")
        self.refused("mm/b.c", "kernel_c", "kernel/c.c")

    def test_a_weak_call_upward(self):
        self.write("mm/b.c", TREE["mm/b.c"] + "extern int kernel_c __attribute__((weak));\n"
                   "int mm_up(void) { return kernel_c; }\n")
        self.refused("kernel_c")

    def test_an_include_upward(self):
        self.write("lib/include/lib/a.h", "#include <mm/page.h>\n")
        self.refused("lib/include/lib/a.h:1", "mm/page.h")

    def test_a_private_header_from_outside(self):
        self.write("kernel/c.c", TREE["kernel/c.c"] + '#include "mm/internal.h"\n')
        self.refused("kernel/c.c:4", "private")

    def test_a_hosted_header(self):
        self.write("mm/b.c", TREE["mm/b.c"] + "#include <stdio.h>\n")
        self.refused("stdio.h", "freestanding")

    def test_nothing_built_is_no_pass(self):
        done = subprocess.run([sys.executable, CHECK, "nowhere"], cwd=self.folder.name, stdout=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"build first", done.stdout)


if __name__ == "__main__":
    unittest.main()
