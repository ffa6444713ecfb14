/*
 * The monitor: read a line, find its command in the one table, run it, again.
 *
 * The commands themselves are in monitor_help.c, monitor_mm.c (looking), monitor_view.c and
 * monitor_watch.c (watching), monitor_work.c (making work), monitor_trace.c (events),
 * monitor_alloc.c (allocating by hand), monitor_debug.c (looking for mistakes), monitor_online.c,
 * monitor_compare.c and monitor_machine.c. A command prints its answer with kprintf() and, when it
 * refuses, one line "NAME: what was wrong; what to do". The loop knows names, counts of arguments
 * and help; it adds nothing to what a command says.
 *
 * Adding a command: a function in one of those files, its declaration in monitor.h, a row here.
 */
#include <boot/boot_info.h>
#include <kernel/console.h>
#include <kernel/lineedit.h>
#include <kernel/monitor.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/slab.h>

#define PROMPT "strata> "

const struct monitor_command monitor_commands[] = {
    {"help", "[TOPIC|COMMAND|all]", "the commands by topic, or all about one", NULL, 0, 1,
     monitor_help},
    {"mem", "[-j]", "memory in use, free and cached, in total", NULL, 0, 0, monitor_mem},
    {"zones", "[-j]", "the zones: size and free memory", NULL, 0, 0, monitor_zones},
    {"numastat", "[-j]", "memory of each node, and where allocations went",
     "hit: blocks that the wanted node served; miss: served here, wanted elsewhere;\n"
     "foreign: wanted here, served elsewhere; local, remote: to CPUs of this node, of others.",
     0, 0, monitor_numastat},
    {"buddyinfo", "[-j]", "free blocks of each zone by order", NULL, 0, 0, monitor_buddyinfo},
    {"slabinfo", "[COLUMN|-j]", "the object caches, sorted by a column if one is given",
     "COLUMN: as its first line has them, or bytes, all memory that the cache has.", 0, 1,
     monitor_slabinfo},
    {"owners", "[-j]", "the caches and call sites that hold most memory", NULL, 0, 0,
     monitor_owners},
    {"shrinkers", "[-j]", "who can give memory back", NULL, 0, 0, monitor_shrinkers},
    {"vmeminfo", "[-j]", "the arenas of virtual addresses and other ranges", NULL, 0, 0,
     monitor_vmeminfo},
    {"sites", "[-j]", "live objects and bytes by the place that allocated them", NULL, 0, 0,
     monitor_sites},
    {"page", "PFN|ADDRESS", "what one page frame is",
     "A decimal number is a page frame's number. A number with 0x is an address: a virtual one\n"
     "when it lies in the direct map (0xffff8...), otherwise a physical one.",
     1, 1, monitor_page},
    {"map", "", "a picture of memory by page type and order", NULL, 0, 0, monitor_map},
    {"frag", "[-j]", "how fragmented free memory is", NULL, 0, 0, monitor_frag},
    {"view", "", "memory as cells that change while you look",
     "Keys: + and - zoom, arrows move, i or Enter tells about the page under #, p or space\n"
     "pauses, q or Ctrl-C leaves. A cell shows what most of it holds.",
     0, 0, monitor_view},
    {"demo", "[off]", "start a workload in the background, and view it",
     "It takes a quarter of free memory at most, and gives all back at demo off.", 0, 1,
     monitor_demo},
    {"memmap", "[-j]", "the physical address ranges and what they are used for", NULL, 0, 0,
     monitor_memmap},
    {"alloc", "[pages ORDER | bytes N | cache NAME]", "allocate by hand, or list what is held",
     "alloc pages 3      2^3 pages from alloc_pages()\n"
     "alloc bytes 100    from kmalloc(); K, M and G are understood\n"
     "alloc cache NAME   one object of that cache (slabinfo has the names)\n"
     "alloc              lists what was allocated so and not freed\n"
     "Each gets a number, by which free takes it back.",
     0, 2, monitor_alloc},
    {"free", "ID|ADDRESS|all", "free what alloc allocated",
     "Takes alloc's number, the exact address with 0x, or `all`. What alloc doesn't hold is\n"
     "refused; `free!` is the command that does not ask.",
     1, 1, monitor_free},
    {"free!", "ADDRESS", "kfree() any address: the checks may stop the machine",
     "The address goes to kfree() as it is. Anything but a live kmalloc object stops the\n"
     "machine with the line that names the fault.",
     1, 1, monitor_free_raw},
    {"online", "[ADDRESS SIZE]", "take memory in: what mem= cut off, what was offline",
     "Without a range: all that the map has; and what may be plugged in. With one: also memory "
     "that the map does not list, if "
     "it answers. New memory describes itself, in its lowest 256th.",
     0, 2, monitor_online},
    {"offline", "ADDRESS SIZE", "take free memory away, until online brings it back",
     "All of the range must be free; page shows what is where. K, M and G are understood.", 2, 2,
     monitor_offline},
    {"retire", "[PFN|ADDRESS]", "take a bad page away, at the latest when it is freed",
     "Without a page: lists them. Numbers as for page. The rest of its block stays.", 0, 1,
     monitor_retire},
    {"shrink", "", "give the caches' empty slabs back", NULL, 0, 0, monitor_shrink},
    {"check", "", "verify the memory manager's whole state", NULL, 0, 0, monitor_check},
    {"leaks", "", "live objects that nothing leads to, by call site",
     "Stops all CPUs, and looks for addresses of objects in data, stacks, registers, pages and "
     "the\n"
     "objects found so. Objects and bytes of each call site, and the first addresses; no ages.",
     0, 0, monitor_leaks},
    {"audit", "", "every page and object, held against the books",
     "Stops all CPUs and counts each page of the memory map and each object of the caches where\n"
     "it is. The sums must be what the layers say; a line names the first that is not.",
     0, 0, monitor_audit},
    {"failslab", "[RULE|off]", "let object allocations fail, or say how many did",
     "RULE: any of probability=PERCENT, interval=N, after=N, times=N, seed=N, cache=NAME,\n"
     "site=PLACE, with commas; names may have * and ?. failslab "
     "interval=10,times=3,cache=kmalloc-*\n"
     "fails every 10th, three times; a rule without a word fails all: failslab interval=1.",
     0, 1, monitor_failslab},
    {"fail_page_alloc", "[RULE|off]", "let page allocations fail, or say how many did",
     "RULE: as for failslab, but order=N (blocks of that order and above) for cache and site.", 0,
     1, monitor_fail_page_alloc},
    {"kfence", "[INTERVAL|off]", "take objects between guard pages, or say how many were",
     "INTERVAL: of the allocators' trips, a sample each: 100; 100,random,seed=1 by chance;\n"
     "100,objects=255 with so many objects. A wrong access to one stops the machine at once.",
     0, 1, monitor_kfence},
    {"trace", "[on [LIST]|off|dump [N] [-j]|status [-j]]", "record what the memory manager does",
     "trace on           all events, to where they can go: QEMU's debug console, the second "
     "serial\n"
     "                   port, or memory, which keeps the newest\n"
     "trace on LIST      of pages, buddy, objects, slabs, vmalloc, reclaim, with commas; "
     "debugcon,\n"
     "                   serial or memory says where to; drop: events that find no room are lost\n"
     "trace off          ends it, and the stream\n"
     "trace dump 20      the last events as text, while it is on and after that\n"
     "trace status       what is on, how much was recorded and lost (the default)",
     0, 2, monitor_trace},
    {"test", "[FILTER]", "run the self-tests",
     "FILTER: a suite (buddy), a test (buddy.alloc), patterns with * and ?, several with commas.",
     0, 1, monitor_test},
    {"compare", "[DESIGN]", "replay the loaded traces on the classic allocators",
     "Costs in ticks of the time stamp counter (instructions under -icount shift=0), steps, and\n"
     "what the heap held at most; live: what was asked for of that. Without a name, all;\n"
     "with one, also internal and external fragmentation and what coalescing costs.",
     0, 1, monitor_compare},
    {"log", "[LINES] [-j]", "the last lines of the log (20), shown before or not", NULL, 0, 1,
     monitor_log},
    {"loglevel", "[0-7]", "which log lines are shown", NULL, 0, 1, monitor_loglevel},
    {"cpu", "", "the processor, its features, and interrupts so far", NULL, 0, 0, monitor_cpu},
    {"cpus", "[-j]", "the CPUs, and what their threads did", NULL, 0, 0, monitor_cpus},
    {"threads", "[-j]", "the threads: id, CPU, what they do", NULL, 0, 0, monitor_threads},
    {"locks", "[mix|remote|-j]", "how often locks were taken and waited for",
     "A row for all locks of one name. How often they were taken is counted in CONFIG=debug;\n"
     "other builds print a dash there. Those of zones and caches are counted in every build.\n"
     "locks mix      allocates and frees at random, and says how often that took a lock\n"
     "locks remote   the same, where CPU 1 frees all that CPU 0 allocates",
     0, 1, monitor_locks},
    {"where", "ADDRESS|NAME", "the function at an address, or a function's address", NULL, 1, 1,
     monitor_where},
    {"pagetable", "[ADDRESS]", "all that is mapped, or the entries for an address", NULL, 0, 1,
     monitor_pagetable},
    {"bench", "[NAME]", "run benchmarks",
     "NAME may have * and ?: kmalloc_kfree_hot_*. The figures are ticks of the time stamp "
     "counter:\n"
     "instructions where QEMU runs with -icount shift=0.",
     0, 1, monitor_bench},
    {"stress", "[SECONDS]", "allocate and free on all CPUs and in interrupts (10 s)", NULL, 0, 1,
     monitor_stress},
    {"watch", "[SECONDS] COMMAND", "a command again and again (every 2 s), until a key", NULL, 1,
     MONITOR_MAX_ARGS - 1, monitor_watch},
    {"more", "COMMAND", "a command's answer, a screen at a time", NULL, 1, MONITOR_MAX_ARGS - 1,
     monitor_more},
    {"reboot", "", "restart the machine", NULL, 0, 0, monitor_reboot},
    {"poweroff", "", "switch the machine off", NULL, 0, 0, monitor_poweroff},
    {NULL, NULL, NULL, NULL, 0, 0, NULL},
};

const struct monitor_command *monitor_find(const char *name)
{
	for (const struct monitor_command *c = monitor_commands; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

int monitor_unknown(const char *name)
{
	kprintf("%s: no such command; type help for the list\n", name);
	return -ENOENT;
}

bool monitor_number(const char *command, const char *text, u64 *out)
{
	int err = str_to_u64(text, true, out);

	if (err == -ERANGE)
		kprintf("%s: %s is too large: numbers have 64 bits\n", command, text);
	else if (err != 0)
		kprintf("%s: \"%s\" is no number; type help %s\n", command, text, command);
	return err == 0;
}

/* Cuts the line into words; returns how many there are, which may be more than argv holds. */
static int split(char *line, char *argv[MONITOR_MAX_ARGS])
{
	int argc = 0;

	for (char *at = line; *at != '\0';) {
		if (*at == ' ' || *at == '\t') {
			*at++ = '\0';
			continue;
		}
		if (argc < MONITOR_MAX_ARGS)
			argv[argc] = at;
		argc++;
		while (*at != '\0' && *at != ' ' && *at != '\t')
			at++;
	}
	return argc;
}

int monitor_execute(char *line)
{
	char *argv[MONITOR_MAX_ARGS];
	int argc = split(line, argv), result;

	if (argc == 0)
		return 0;
	const struct monitor_command *c = monitor_find(argv[0]);

	if (c == NULL)
		return monitor_unknown(argv[0]);
	if (argc > 1 && argc <= MONITOR_MAX_ARGS && strcmp(argv[argc - 1], "-j") == 0 &&
	    monitor_json(argc - 1, argv, &result))
		return result;
	if (argc - 1 < c->min_args || argc - 1 > c->max_args) {
		kprintf("usage: %s %s (type help %s)\n", c->name, c->args, c->name);
		return -EINVAL;
	}
	return c->run(argc, argv);
}

/* --- completion --- */

static const char *command_name(unsigned i)
{
	return monitor_commands[i].name;
}

static const char *cache_name(unsigned i)
{
	struct kmem_cache *c = kmem_cache_next(NULL);

	for (; c != NULL && i > 0; i--)
		c = kmem_cache_next(c);
	return c != NULL ? kmem_cache_name(c) : NULL;
}

/* Names of commands at the start and where a command takes one, of caches behind `alloc cache`. */
static const char *word_at(const struct lineedit *e, unsigned start, unsigned i)
{
	static const char *const takers[] = {"help ", "watch ", "more "};

	if (start == 0)
		return command_name(i);
	for (unsigned n = 0; n < ARRAY_SIZE(takers); n++)
		if (start == strlen(takers[n]) && strncmp(e->line, takers[n], start) == 0)
			return command_name(i);
	if (strncmp(e->line, "alloc cache ", 12) == 0 && start == 12)
		return cache_name(i);
	return NULL;
}

static void echo(struct sink *self, const char *text, size_t len)
{
	(void)self;
	platform_write(text, len);
}

static void read_line(struct lineedit *editor)
{
	enum lineedit_event event;

	do {
		lineedit_start(editor);
		do
			event = lineedit_input(editor, console_read());
		while (event == LINEEDIT_MORE);
	} while (event == LINEEDIT_CANCEL);
}

_Noreturn void monitor_run(const struct boot_info *info, bool demo)
{
	static struct sink out = {.write = echo};
	static struct lineedit editor;

	if (info->nr_bad > 0)
		kprintf("%u parts of the boot information were malformed and ignored: see log\n",
		        info->nr_bad);
	kprintf("Strata's monitor. Type help for the commands.\n");
	if (demo)
		(void)monitor_execute((char[]){"demo"});
	lineedit_init(&editor, &out, PROMPT);
	editor.word = word_at;
	for (;;) {
		read_line(&editor);
		(void)console_interrupted(); /* a Ctrl-C from before this command is not for it */
		(void)monitor_execute(editor.line);
	}
}
