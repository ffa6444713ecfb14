"""Debian's Linux, made ready to boot with a module and a program of ours: what tools/bench-linux does before it runs.

Packages are downloaded by apt-get and unpacked, not installed. The kernel is taken out of its bzImage, the module is
built against the headers package with the kernel's own build system, and the initial file system is written here.
Whatever goes wrong raises Failure: one line for the user, and the status to end with.
"""

import glob
import lzma
import os
import re
import shutil
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SOURCES = os.path.join(ROOT, "tests", "bench", "linux")
FAILED, USAGE, MISSING = 1, 64, 69

# In the order in which they are linked: section_start and section_end hold the bounds of the records between.
SHARED = ["tests/bench/bench.c", "tests/bench/batch.c", "tests/bench/kmalloc_bench.c", "tests/bench/page_bench.c",
          "tests/bench/trace_bench.c", "kernel/trace.c", "kernel/replay.c", "kernel/replay_ops.c"]
OWN = ["module.c", "linux_bench.c", "vmalloc_bench.c"]
# The headers that tests/bench/linux/compat.h stands for.
COMPAT = ["compat.h", "boot/boot_info.h", "kernel/memory.h", "mm/mm.h"] + \
    ["lib/%s.h" % name for name in ("bits", "format", "log", "platform", "string", "types")]
REAL = ["tests/bench/bench.h", "tests/bench/batch.h", "kernel/replay.h", "kernel/replay_ops.h", "kernel/trace.h"]


class Failure(Exception):
    """One line for the user, and the status to end with."""

    def __init__(self, text, status=FAILED):
        super().__init__(text)
        self.status = status


def read(path):
    with open(path, "rb") as f:
        return f.read()


# --- Where this can run ---

def check_system(os_release, machine, which=shutil.which):
    """os_release: the text of /etc/os-release. Raises Failure where this cannot run."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    name = fields.get("ID", "unknown").strip('"')
    if name != "debian" or machine != "x86_64":
        raise Failure("Linux's figures are taken from Debian's kernel packages: this needs Debian on x86_64, not %s on %s"
                      " (docs/benchmarks-linux.md has the figures)" % (name, machine), MISSING)
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not which(tool):
            raise Failure("%s is not installed, and Linux's kernel comes by it" % tool, MISSING)


def read_os_release():
    try:
        with open("/etc/os-release", encoding="utf-8") as f:
            return f.read()
    except OSError:
        return ""


# --- The packages ---

def run(command, what, **more):
    """Its output; raises Failure with the last lines when it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          **more)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        raise Failure("%s failed:\n%s" % (what, "\n".join(text.splitlines()[-12:])))
    return text


def depends(package):
    """What the package needs, as apt knows it; alternatives and virtual packages do not occur here."""
    command = ["apt-cache", "depends", "--no-recommends", "--no-suggests", "--important", package]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return re.findall(r"^\s*\|?Depends: (\S+)", done.stdout.decode(), re.M)


def find_release():
    names = [p for p in depends("linux-image-amd64") if p.startswith("linux-image-")]
    if not names:
        raise Failure("apt knows no linux-image-amd64: `apt-get update` fetches its lists", MISSING)
    return names[0][len("linux-image-"):]


def packages_of(release):
    headers = "linux-headers-" + release
    names = ["linux-image-" + release, headers]
    return names + [p for p in depends(headers) if re.match(r"linux-(headers-.*-common|kbuild-)", p)]


def fetch(release, folder):
    """Downloads and unpacks, once: a folder that was finished holds a file that says so. Returns the version."""
    mark = os.path.join(folder, "unpacked")
    if os.path.exists(mark):
        with open(mark, encoding="ascii") as f:
            return f.read().strip()
    names = packages_of(release)
    if len(names) < 4:
        raise Failure("apt knows no headers for Linux %s: `apt-get update` fetches its lists" % release, MISSING)
    shutil.rmtree(folder, ignore_errors=True)
    packages = os.path.join(folder, "packages")
    os.makedirs(packages)
    print("# bench-linux: downloading %s" % " ".join(names), flush=True)
    # As the user who runs this: the folder need not be open to apt's own.
    run(["apt-get", "-o", "APT::Sandbox::User=" + os.environ.get("USER", "root"), "download"] + names, "the download",
        cwd=packages)
    for package in sorted(glob.glob(os.path.join(packages, "*.deb"))):
        run(["dpkg-deb", "-x", package, folder], "unpacking " + os.path.basename(package))
    image = glob.glob(os.path.join(packages, "linux-image-*.deb"))[0]
    version = run(["dpkg-deb", "-f", image, "Version"], "dpkg-deb").strip()
    shutil.rmtree(packages)
    shutil.rmtree(os.path.join(folder, "lib", "modules"), ignore_errors=True)  # hundreds of megabytes that nothing here needs
    with open(mark, "w", encoding="ascii") as f:
        f.write(version + "\n")
    return version


def unpack_kernel(image):
    """The uncompressed kernel inside a bzImage, by its header (Documentation/x86/boot.rst)."""
    with open(image, "rb") as f:
        data = f.read()
    if data[0x202:0x206] != b"HdrS":
        raise Failure("%s is no Linux kernel image" % image)
    sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    payload = data[(sectors + 1) * 512 + offset:][:length]
    if payload[:6] != b"\xfd7zXZ\0":
        raise Failure("%s is not packed with xz, which is all that this can unpack" % image)
    return lzma.LZMADecompressor().decompress(payload)


# --- The module and the initial file system ---

def link(target, name):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    if os.path.lexists(name):
        os.unlink(name)
    os.symlink(target, name)


def lay_out(folder):
    """kbuild wants every source in one folder: links to them, and to compat.h under each name that it stands for."""
    starts = [os.path.join(SOURCES, "section_start.c")]
    sources = [os.path.join(ROOT, s) for s in SHARED] + [os.path.join(SOURCES, s) for s in OWN]
    ends = [os.path.join(SOURCES, "section_end.c")]
    objects = []
    for source in starts + sources + ends:
        link(source, os.path.join(folder, os.path.basename(source)))
        objects.append(os.path.basename(source)[:-2] + ".o")
    for header in COMPAT:
        link(os.path.join(SOURCES, "compat.h"), os.path.join(folder, "include", header))
    for header in REAL:
        real = header if header.startswith("tests/") else "kernel/include/" + header
        link(os.path.join(ROOT, real), os.path.join(folder, "include", header))
    with open(os.path.join(folder, "Kbuild"), "w", encoding="ascii") as f:
        f.write("obj-m := strata_bench.o\nstrata_bench-y := %s\n" % " ".join(objects))
        f.write("ccflags-y := -std=gnu11 -I$(src)/include -Wno-format -Wno-declaration-after-statement\n")
        # A local array starts with NULLs: alloc_pages_bulk_array() fills only those.
        f.write("CFLAGS_page_bench.o := -ftrivial-auto-var-init=zero\n")


def headers_of(root, release):
    """The headers package names its common half by a path from the root: here that is another one."""
    headers = os.path.join(root, "usr", "src", "linux-headers-" + release)
    makefile = os.path.join(headers, "Makefile")
    with open(makefile, encoding="ascii") as f:
        text = f.read()
    ours = re.sub(r"^include /usr/src/", "include %s/usr/src/" % root, text, flags=re.M)
    if ours != text:
        with open(makefile, "w", encoding="ascii") as f:
            f.write(ours)
    return headers


def compiler_of(headers):
    with open(os.path.join(headers, ".kernelvariables"), encoding="ascii") as f:
        found = re.search(r"\(CROSS_COMPILE\)(gcc-\d+)", f.read())
    name = found.group(1) if found else "gcc"
    if not shutil.which(name):
        raise Failure("the kernel was compiled by %s, and so must its modules be: apt-get install %s" % (name, name), MISSING)
    return name


def build_module(root, release, folder):
    headers = headers_of(root, release)
    compiler_of(headers)
    lay_out(folder)
    jobs = "-j%d" % (os.cpu_count() or 1)
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "BUILD", "CONFIG")}
    run(["make", jobs, "-C", headers, "M=" + folder, "modules"], "building the module", env=clean)
    run(["strip", "--strip-debug", os.path.join(folder, "strata_bench.ko")], "strip")
    return os.path.join(folder, "strata_bench.ko")


def build_small(folder):
    """The machine's only program, and the kernel of a few instructions."""
    os.makedirs(folder, exist_ok=True)
    init, first = os.path.join(folder, "init"), os.path.join(folder, "first.elf")
    run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only",
         "-nostdlib", "-static", "-no-pie", "-fno-pie", "-o", init, os.path.join(SOURCES, "init.c")], "building init")
    run(["nasm", "-f", "elf32", "-o", first + ".o", os.path.join(SOURCES, "first.asm")], "nasm")
    run(["ld", "-m", "elf_i386", "-Ttext=0x1000000", "-o", first, first + ".o"], "ld")
    return init, first


def cpio(files):
    """The bytes of a `newc` archive: {name: (content, mode)}."""
    out = bytearray()
    entries = list(files.items()) + [("TRAILER!!!", (b"", 0))]
    for number, (name, (content, mode)) in enumerate(entries, 1):
        fields = [number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % n for n in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)
