"""gdb commands that look at the memory manager: pages, buddy, slabs, sites, kmalloc-info, leaks; printers for struct page and
struct kmem_cache. They only read memory, so they work on a running QEMU that is stopped, after a panic, and on a memory
dump (QEMU's `dump-guest-memory -p FILE`, then: gdb build/debug/strata.elf FILE -x tools/gdb/memory.py).
"""

import array

import gdb

PAGE_MAP = 0xFFFFFF8000000000  # kernel/include/kernel/layout.h
PAGEBLOCKS = 0xFFFFFFFFFC000000  # a byte for each 2 MiB of the direct map
DIRECT_MAP = 0xFFFF800000000000
PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
PAGEBLOCK = 512  # pages
MAX_ORDER = 18
ORDER_RUN = 31
TYPES = ["none", "inner", "free", "cached", "allocated", "slab", "large"]
NONE, INNER, FREE, CACHED, ALLOCATED, SLAB, LARGE = range(7)
IN_SLAB, IN_MAGAZINE, FIRST_SITE = range(3)
MARK = 1 << 15  # of a tag, while leaks are looked for


def read(address, length):
    return bytes(gdb.selected_inferior().read_memory(address, length))


def words(address, length):
    return array.array("Q", read(address, length))


def symbol(name):
    try:
        return gdb.parse_and_eval(name)
    except gdb.error:
        raise gdb.GdbError("no symbol %s: load the kernel's file, build/debug/strata.elf" % name) from None


def address_of(name):
    return int(symbol("&" + name).cast(gdb.lookup_type("unsigned long")))


def number(text):
    return int(gdb.parse_and_eval(text).cast(gdb.lookup_type("unsigned long")))


def bytes_text(n):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return "%.1f %s" % (n, unit) if n % 1 else "%d %s" % (n, unit)
        n /= 1024
    return ""


# --- what the kernel's structures are ---


class Page:
    """A head, or a slab's page, from the 16 bytes of its struct page."""

    def __init__(self, pfn, raw):
        self.pfn, self.type, self.order, self.zone = pfn, raw[0], raw[1], raw[2]
        self.next = int.from_bytes(raw[4:8], "little")
        self.slab = int.from_bytes(raw[8:16], "little")
        self.bytes, self.site = self.slab & 0xFFFFFFFF, self.slab >> 32

    @property
    def address(self):
        return DIRECT_MAP + (self.pfn << PAGE_SHIFT)

    @property
    def object(self):
        """Where the bytes of a large kmalloc begin: behind a guard page, if it has more pages than they need."""
        guarded = number("large_guard_on") and self.pages > -(-self.bytes // PAGE_SIZE)
        return self.address + (PAGE_SIZE if guarded else 0)

    @property
    def pages(self):
        if self.type == SLAB:
            return 1
        return self.next if self.order == ORDER_RUN else 1 << self.order


def zones():
    table = symbol("zone_table")
    first, last = table.type.range()
    found = [table[i] for i in range(first, last + 1) if int(table[i]["buddy"]["nr_managed_pages"])]
    if not found:
        raise gdb.GdbError("there are no zones: the memory manager is not up yet")
    return found


def pages():
    """Every head and slab page that the page map vouches for, in the order of frames."""
    for zone in zones():
        pfn, high = int(zone["buddy"]["low"]), int(zone["buddy"]["high"])
        while pfn < high:
            block = pfn // PAGEBLOCK
            state = read(PAGEBLOCKS + block, 1)[0]
            end = min((block + 1) * PAGEBLOCK, high)
            n = end - pfn if state == 2 else 1 if state == 1 and pfn % PAGEBLOCK == 0 else 0
            raw = read(PAGE_MAP + 16 * pfn, 16 * n) if n else b""
            for i in range(n):
                if raw[16 * i] not in (NONE, INNER):
                    yield Page(pfn + i, raw[16 * i:16 * i + 16])
            pfn = end


def page_at(pfn):
    state = read(PAGEBLOCKS + pfn // PAGEBLOCK, 1)[0]
    if state == 2 or (state == 1 and pfn % PAGEBLOCK == 0):
        return Page(pfn, read(PAGE_MAP + 16 * pfn, 16))
    return None


def block_of(pfn):
    """The head of the block with the frame, or None."""
    for order in range(MAX_ORDER + 1):
        page = page_at(pfn & ~((1 << order) - 1))
        if page and page.type not in (NONE, INNER):
            return page if page.pfn + page.pages > pfn else None
    for distance in range(1, 1 << 16):  # a run begins anywhere
        page = page_at(pfn - distance) if distance <= pfn else None
        if not page or page.type == NONE:
            return None
        if page.type != INNER:
            return page if page.pfn + page.pages > pfn else None
    return None


def caches():
    kind = gdb.lookup_type("struct kmem_cache")
    offset = next(f.bitpos // 8 for f in kind.fields() if f.name == "link")
    head = address_of("cache_list")
    at = int(symbol("cache_list")["next"])
    while at != head:
        cache = gdb.Value(at - offset).cast(kind.pointer()).dereference()
        yield cache
        at = int(cache["link"]["next"])


class Slab:
    """A slab's record: its cache's figures and the tags."""

    def __init__(self, address):
        record = gdb.Value(address).cast(gdb.lookup_type("struct slab").pointer()).dereference()
        cache = record["cache"].dereference()
        self.address, self.base = address, int(record["base"])
        self.name = cache["name"].string()
        self.size, self.stride = int(cache["size"]), int(cache["stride"])
        self.nr_objects, self.flags = int(cache["nr_objects"]), int(cache["flags"])
        self.tags = array.array("H", read(int(record["tag"].address), 2 * self.nr_objects))

    @property
    def is_internal(self):
        return bool(self.flags & 0x100)

    def index_of(self, address):
        index = (address - self.base) // self.stride
        return index if address >= self.base and index < self.nr_objects else None


def slabs():
    """Every slab, once."""
    seen = set()
    for page in pages():
        if page.type == SLAB and page.slab not in seen:
            seen.add(page.slab)
            yield Slab(page.slab)


def site_name(tag):
    if tag < FIRST_SITE:
        return "free" if tag == IN_SLAB else "cached"
    kind = gdb.lookup_type("struct alloc_site")
    at = address_of("__start_alloc_sites") + (tag - FIRST_SITE) * kind.sizeof
    if at >= address_of("__stop_alloc_sites"):
        return "unknown site %d" % tag
    site = gdb.Value(at).cast(kind.pointer()).dereference()
    return "%s:%d (%s)" % (site["file"].string(), int(site["line"]), site["function"].string())


# --- commands ---


class Command(gdb.Command):
    """A user command whose help is its class's text."""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_USER)

    def invoke(self, argument, from_tty):
        try:
            self.run(gdb.string_to_argv(argument))
        except gdb.MemoryError as error:
            raise gdb.GdbError("%s: %s: what leads there is damaged, or not up yet" % (self.name, error)) from None

    def usage(self):
        raise gdb.GdbError("usage: " + self.__doc__.strip().splitlines()[0])


class Pages(Command):
    """pages [TYPE]

How many blocks and pages there are of each type; with a type (free, cached, allocated, slab, large) all of its blocks."""

    name = "pages"

    def run(self, argv):
        if argv:
            if argv[0] not in TYPES[FREE:]:
                self.usage()
            for page in pages():
                if TYPES[page.type] == argv[0]:
                    print("%#10x  %#x  %d pages" % (page.pfn, page.address, page.pages))
            return
        blocks, sums = [0] * len(TYPES), [0] * len(TYPES)
        for page in pages():
            blocks[page.type] += 1
            sums[page.type] += page.pages
        print("%-10s %10s %12s %12s" % ("type", "blocks", "pages", "bytes"))
        for kind in range(FREE, len(TYPES)):
            print("%-10s %10d %12d %12s" % (TYPES[kind], blocks[kind], sums[kind], bytes_text(sums[kind] << PAGE_SHIFT)))


class Buddy(Command):
    """buddy

Free blocks of each zone by order."""

    name = "buddy"

    def run(self, argv):
        if argv:
            self.usage()
        every = zones()
        print("%5s %9s" % ("order", "block") + "".join("%14s" % ("%d:%s" % (int(z["node"]), z["name"].string())) for z in every))
        for order in range(MAX_ORDER + 1):
            print("%5d %9s" % (order, bytes_text(PAGE_SIZE << order)) +
                  "".join("%14d" % int(z["buddy"]["nr_free_blocks"][order]) for z in every))
        print("%15s" % "free pages" + "".join("%14d" % int(z["buddy"]["nr_free_pages"]) for z in every))


class Slabs(Command):
    """slabs [CACHE]

The caches with their slabs and live objects; with a name, that cache's slabs as bits: # live, c in a magazine, . free."""

    name = "slabs"

    def run(self, argv):
        if len(argv) > 1:
            self.usage()
        if argv:
            self.show(argv[0])
            return
        live, cached, count = {}, {}, {}
        for slab in slabs():
            count[slab.name] = count.get(slab.name, 0) + 1
            live[slab.name] = live.get(slab.name, 0) + sum(tag >= FIRST_SITE for tag in slab.tags)
            cached[slab.name] = cached.get(slab.name, 0) + sum(tag == IN_MAGAZINE for tag in slab.tags)
        print("%-24s %6s %8s %8s %6s" % ("cache", "size", "live", "cached", "slabs"))
        for cache in caches():
            name = cache["name"].string()
            print("%-24s %6d %8d %8d %6d" % (name, int(cache["size"]), live.get(name, 0), cached.get(name, 0), count.get(name, 0)))

    def show(self, name):
        if name not in [cache["name"].string() for cache in caches()]:
            raise gdb.GdbError("slabs: no cache is named %s; `slabs` lists them" % name)
        for slab in slabs():
            if slab.name == name:
                print("%#x  %s" % (slab.base, "".join("#" if tag >= FIRST_SITE else "c" if tag else "." for tag in slab.tags)))


class Sites(Command):
    """sites [COUNT]

Live objects and bytes by the place that allocated them, the most bytes first (default: 20 places)."""

    name = "sites"

    def run(self, argv):
        if len(argv) > 1 or (argv and not argv[0].isdigit()):
            self.usage()
        sums = {}

        def add(tag, size):
            n, total = sums.get(tag, (0, 0))
            sums[tag] = (n + 1, total + size)

        for slab in slabs():
            if not slab.is_internal:
                for tag in slab.tags:
                    if tag >= FIRST_SITE:
                        add(tag & ~MARK, slab.size)
        for page in pages():
            if page.type == LARGE:
                add(page.site, page.bytes)
        print("%10s %12s  %s" % ("objects", "bytes", "call site"))
        for tag, (n, total) in sorted(sums.items(), key=lambda item: -item[1][1])[:int(argv[0]) if argv else 20]:
            print("%10d %12d  %s" % (n, total, site_name(tag)))


class KmallocInfo(Command):
    """kmalloc-info ADDRESS

What an address in the direct map is: its object, cache, state and call site, or its block of pages."""

    name = "kmalloc-info"

    def run(self, argv):
        if len(argv) != 1:
            self.usage()
        address = number(argv[0])
        if not DIRECT_MAP <= address < DIRECT_MAP + (64 << 40):
            raise gdb.GdbError("kmalloc-info: %#x is not in the direct map" % address)
        page = block_of((address - DIRECT_MAP) >> PAGE_SHIFT)
        if not page:
            print("%#x: not the page allocator's, or never handed out" % address)
        elif page.type == SLAB:
            self.show_object(address, Slab(page.slab))
        elif page.type == LARGE:
            print("%#x: byte %d of a kmalloc of %d bytes at %#x, by %s" % (
                address, address - page.object, page.bytes, page.object, site_name(page.site)))
        else:
            print("%#x: byte %d of a block of %d pages at %#x: %s" % (
                address, address - page.address, page.pages, page.address, TYPES[page.type]))

    def show_object(self, address, slab):
        index = slab.index_of(address)
        if index is None:
            print("%#x: in a slab of %s, but in no object" % (address, slab.name))
            return
        start, tag = slab.base + index * slab.stride, slab.tags[index]
        state = "live, by " + site_name(tag) if tag >= FIRST_SITE else "free, in a magazine" if tag else "free"
        print("%#x: byte %d of object %d at %#x (size %d) of %s: %s" % (
            address, address - start, index, start, slab.size, slab.name, state))


class Leaks(Command):
    """leaks

Live objects that no word of the data, of other objects or of blocks of pages (stacks among them) leads to, by call site. It
is conservative: an old word that looks like an address hides a leak."""

    name = "leaks"

    def run(self, argv):
        if argv:
            self.usage()
        blocks, slab_of, large_of = [], {}, {}
        for page in pages():
            if page.type == SLAB:
                slab_of[page.pfn] = page.slab
            elif page.type in (ALLOCATED, LARGE):
                (large_of if page.type == LARGE else {}).update((page.pfn + i, page) for i in range(page.pages))
                if page.type == ALLOCATED:
                    blocks.append((page.address, page.pages << PAGE_SHIFT))
        known = {address: Slab(address) for address in set(slab_of.values())}
        for first, last in (("data_start", "init_start"), ("init_end", "kernel_end")):
            start, end = address_of(first), address_of(last)
            if first != "init_end" or end > start:
                blocks.append((start, end - start))
        reached, work = set(), []
        for start, length in blocks:
            for word in self.readable(start, length):
                self.follow(word, slab_of, known, large_of, reached, work)
        while work:
            for word in self.readable(*work.pop()):
                self.follow(word, slab_of, known, large_of, reached, work)
        self.report(known, large_of, reached)

    @staticmethod
    def readable(start, length):
        """Its words, page by page: some of the image is not mapped (guard pages between stacks), and of a longer stretch of
        a dump gdb takes what is in the kernel's file instead."""
        at, end = (start + 7) & ~7, (start + length) & ~7
        while at < end:
            n = min(PAGE_SIZE - at % PAGE_SIZE, end - at)
            try:
                yield from words(at, n)
            except gdb.MemoryError:
                pass
            at += n

    @staticmethod
    def follow(word, slab_of, known, large_of, reached, work):
        pfn = (word - DIRECT_MAP) >> PAGE_SHIFT
        if pfn in slab_of:
            slab = known[slab_of[pfn]]
            index = slab.index_of(word)
            if index is None or slab.is_internal or slab.tags[index] < FIRST_SITE:
                return
            start, length = slab.base + index * slab.stride, slab.size
        elif pfn in large_of:
            start, length = large_of[pfn].object, large_of[pfn].bytes
        else:
            return
        if start not in reached:
            reached.add(start)
            work.append((start, length))

    @staticmethod
    def report(known, large_of, reached):
        lost = {}
        live = 0
        for slab in known.values():
            for i, tag in enumerate(slab.tags):
                if tag >= FIRST_SITE and not slab.is_internal:
                    live += 1
                    if slab.base + i * slab.stride not in reached:
                        lost.setdefault(tag, []).append((slab.base + i * slab.stride, slab.size))
        for page in {page.pfn: page for page in large_of.values()}.values():
            live += 1
            if page.object not in reached:
                lost.setdefault(page.site, []).append((page.object, page.bytes))
        print("%d live objects: %d unreferenced" % (live, sum(len(objects) for objects in lost.values())))
        for tag, objects in sorted(lost.items(), key=lambda item: -len(item[1])):
            print("%8d objects %10d bytes  %s, first %#x" % (
                len(objects), sum(size for _, size in objects), site_name(tag), objects[0][0]))


# --- printers ---


class PagePrinter:
    """struct page in words."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        kind, order = int(self.value["type"]), int(self.value["order"])
        name = TYPES[kind] if kind < len(TYPES) else "type %d?" % kind
        text = "{%s, node %d" % (name, int(self.value["zone"]) >> 2)
        if kind == SLAB:
            return text + ", slab %#x}" % int(self.value["slab"])
        text += ", %d pages" % int(self.value["nr_pages"]) if order == ORDER_RUN else ", order %d" % order
        if kind == FREE:
            text += ", next %#x prev %#x" % (int(self.value["next"]), int(self.value["prev"]))
        if kind == LARGE:
            text += ", %d bytes by %s" % (int(self.value["bytes"]), site_name(int(self.value["site"])))
        return text + "}"


class CachePrinter:
    """struct kmem_cache in a line."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        v = self.value
        return "{%s: size %d, stride %d, %d objects in a slab of %d pages; %d slabs, %d empty, %d objects free}" % (
            v["name"].string(), int(v["size"]), int(v["stride"]), int(v["nr_objects"]), int(v["nr_pages"]),
            int(v["nr_slabs"]), int(v["nr_empty"]), int(v["nr_free"]))


def find_printer(value):
    name = value.type.strip_typedefs().unqualified().name
    return {"page": PagePrinter, "kmem_cache": CachePrinter}.get(name, lambda v: None)(value)


for command in (Pages, Buddy, Slabs, Sites, KmallocInfo, Leaks):
    command()
gdb.pretty_printers.append(find_printer)
