/*
 * The kernel's command line. Every option stands once, in the table below, with its form, its place
 * in struct options and its help.
 *
 * A word that is no option, or whose value is malformed, is reported in one line and otherwise
 * ignored: a machine that boots without an option is worth more than one that stops over it. A
 * repeated option: the last one wins.
 */
#include <kernel/cmdline.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/debug.h>
#include <mm/harden.h>

#define WORD_MAX 192

enum form {
	FLAG,          /* name */
	TEXT,          /* name=value */
	FLAG_AND_TEXT, /* name or name=value: sets a flag, and the text */
	NUMBER,        /* name=N, with a range */
	SIZE,          /* name=N[KMGT] */
};

struct option {
	const char *name, *value; /* value: as the help shows it */
	enum form form;
	size_t flag, place; /* offsets in struct options; flag: of a bool, NO_FLAG if none */
	u64 min, max;
	const char *help;
};

#define NO_FLAG SIZE_MAX
#define AT(field) offsetof(struct options, field)

static const struct option table[] = {
    {"test", "[=PATTERN]", FLAG_AND_TEXT, AT(test), AT(test_pattern), 0, 0,
     "run the tests that match (suite, suite.name, * ?, commas, !suite; default: all), then end"},
    {"seed", "=N", NUMBER, AT(has_seed), AT(seed), 0, UINT64_MAX,
     "repeat a test run with its seed (default: another one each boot)"},
    {"bench", "[=PATTERN]", FLAG_AND_TEXT, AT(bench), AT(bench_pattern), 0, 0,
     "run the benchmarks that match (a name, * and ?; default: all), then end"},
    {"replay", "=ENGINE", TEXT, NO_FLAG, AT(replay), 0, 0,
     "replay the trace given as boot module on this allocator (kmalloc), then end"},
    {"stress", "=SECONDS", NUMBER, NO_FLAG, AT(stress), 1, 1000000,
     "allocate and free on all CPUs and in interrupts for so long, then end"},
    {"monitor", "", FLAG, AT(monitor), 0, 0, 0, "answer at a prompt (the default)"},
    {"demo", "", FLAG, AT(demo), 0, 0, 0,
     "view memory while a workload runs; the monitor is behind it (q)"},
    {"demo_for", "=SECONDS", NUMBER, NO_FLAG, AT(demo_for), 1, 1000000,
     "run the demo's workload for so long, without the view, then end"},
    {"trace", "[=LIST]", FLAG_AND_TEXT, AT(has_trace), AT(trace), 0, 0,
     "record events from the boot on: pages,buddy,objects,slabs,vmalloc,reclaim; to "
     "debugcon|serial|memory; drop (default: none; without a list: all)"},
    {"mem", "=SIZE", SIZE, NO_FLAG, AT(mem), 1, UINT64_MAX,
     "use no memory at or above this address (default: all)"},
    {"maxcpus", "=N", NUMBER, NO_FLAG, AT(maxcpus), 1, 256,
     "use at most this many CPUs (default: 256)"},
    {"slab_debug", "[=LETTERS[,CACHE…][;…]]", FLAG_AND_TEXT, AT(has_slab_debug), AT(slab_debug), 0,
     0,
     "allocator checks that cost time: F consistency, Z red zones, P poison, U stacks, Q "
     "quarantine, of all caches or those named; FZPU if there are no letters (default: none)"},
    {"init_on_alloc", "=0|1", NUMBER, NO_FLAG, AT(init_on_alloc), 0, 1,
     "zero all memory that is allocated (default: 0)"},
    {"init_on_free", "=0|1", NUMBER, NO_FLAG, AT(init_on_free), 0, 1,
     "zero all memory that is freed (default: 0)"},
    {"page_red_zones", "=0|1", NUMBER, NO_FLAG, AT(page_red_zones), 0, 1,
     "keep a page that is nobody's behind each block of pages (default: 0)"},
    {"slab_random", "", FLAG, AT(slab_random), 0, 0, 0,
     "give objects out in random order, seeded by the CPU or by seed= (default: by address)"},
    {"kmalloc_data", "", FLAG, AT(kmalloc_data), 0, 0, 0,
     "size classes of their own for what holds data alone (default: one for all)"},
    {"kmalloc_copies", "=N", NUMBER, NO_FLAG, AT(kmalloc_copies), 2, KMALLOC_COPIES_MAX,
     "so many caches a size class, chosen by call site and seed (default: 1)"},
    {"kmalloc_guard", "", FLAG, AT(kmalloc_guard), 0, 0, 0,
     "pages around each large kmalloc that may not be touched (default: none)"},
    {"kfence", "=INTERVAL", TEXT, NO_FLAG, AT(kfence), 0, 0,
     "guard pages for every so many-th object: 100, 100,random,objects=255 (default: none)"},
    {"failslab", "=RULE", TEXT, NO_FLAG, AT(fail[INJECT_OBJECTS]), 0, 0,
     "let object allocations fail: interval=10,times=3,cache=…,site=… (help failslab)"},
    {"fail_page_alloc", "=RULE", TEXT, NO_FLAG, AT(fail[INJECT_PAGES]), 0, 0,
     "let page allocations fail: probability=5,after=100,order=3 … (help failslab)"},
    {"quiet", "", FLAG, AT(quiet), 0, 0, 0, "show only warnings and errors of the log"},
    {"loglevel", "=N", NUMBER, NO_FLAG, AT(loglevel), 0, 7,
     "show log lines up to this level: 3 errors, 4 warnings, 6 information, 7 all (default: 6)"},
    {"safe", "", FLAG, AT(safe), 0, 0, 0,
     "use the fewest CPU features: no 1 GiB or global pages, SMEP, SMAP or UMIP"},
    {"console", "=LIST", TEXT, NO_FLAG, AT(console), 0, 0,
     "use only these: serial, screen, separated by a comma (default: both)"},
};

static struct options current __ro_after_init;

static __printf(3, 4) void report(struct options *o, const char *word, const char *fmt, ...)
{
	char why[128];
	va_list args;

	va_start(args, fmt);
	vformat_buf(why, sizeof(why), fmt, args);
	va_end(args);
	log_warn("command line: \"%s\" is ignored: %s", word, why);
	o->nr_problems++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Copies the next word to buf, without its quotes, and returns what follows it; NULL when there is
 * no word. A word that is too long is cut, which *cut says; a quote that is never closed ends with
 * the text.
 */
static const char *next_word(const char *p, char buf[WORD_MAX], bool *cut)
{
	size_t n = 0;
	char quote = 0;

	*cut = false;
	while (is_blank(*p))
		p++;
	if (*p == '\0')
		return NULL;
	for (; *p && (quote || !is_blank(*p)); p++) {
		if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quote = quote ? 0 : *p;
		} else if (n < WORD_MAX - 1) {
			buf[n++] = *p;
		} else {
			*cut = true;
		}
	}
	buf[n] = '\0';
	return p;
}

/* The option that the word names; *value is the text behind its `=`, or NULL. */
static const struct option *find_option(const char *word, const char **value)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : strlen(word);

	*value = equals ? equals + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0)
			return &table[i];
	return NULL;
}

static bool set_number(const struct option *opt, const char *word, const char *value,
                       struct options *o)
{
	u64 n;
	int error = str_to_u64(value, opt->form == SIZE, &n);

	if (error == -ERANGE)
		report(o, word, "the number is too large");
	else if (error)
		report(o, word, "write %s%s, a number%s", opt->name, opt->value,
		       opt->form == SIZE ? " with K, M, G or T behind it or nothing" : "");
	else if (n < opt->min || n > opt->max)
		report(o, word, "%s is %llu to %llu", opt->name, (unsigned long long)opt->min,
		       (unsigned long long)opt->max);
	else
		*(u64 *)((char *)o + opt->place) = n;
	return !error && n >= opt->min && n <= opt->max;
}

static bool set_text(const struct option *opt, const char *word, const char *value,
                     struct options *o)
{
	if (strlen(value) >= OPTION_TEXT_MAX) {
		report(o, word, "the value is longer than %d characters", OPTION_TEXT_MAX - 1);
		return false;
	}
	str_copy((char *)o + opt->place, value, OPTION_TEXT_MAX);
	return true;
}

static void apply(const struct option *opt, const char *word, const char *value, struct options *o)
{
	bool ok = true;

	if (value && opt->form == FLAG) {
		report(o, word, "%s takes no value", opt->name);
		return;
	}
	if (!value && opt->form != FLAG && opt->form != FLAG_AND_TEXT) {
		report(o, word, "write %s%s", opt->name, opt->value);
		return;
	}
	if (value && (opt->form == NUMBER || opt->form == SIZE))
		ok = set_number(opt, word, value, o);
	else if (value)
		ok = set_text(opt, word, value, o);
	if (ok && opt->flag != NO_FLAG)
		*(bool *)((char *)o + opt->flag) = true;
}

static void log_option_names(void)
{
	char names[512];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table) && n < sizeof(names); i++)
		n += format_buf(names + n, sizeof(names) - n, " %s%s", table[i].name,
		                table[i].value);
	log_warn("command line: the options are%s", names);
}

void options_parse(const char *text, bool skip_image, struct options *o)
{
	char word[WORD_MAX];
	unsigned nr_unknown = 0;
	bool cut;

	memset(o, 0, sizeof(*o));
	o->mem = UINT64_MAX;
	o->maxcpus = 256;
	o->loglevel = LOG_INFO;
	if (skip_image) {
		text = next_word(text, word, &cut);
		if (!text)
			return;
	}
	while ((text = next_word(text, word, &cut)) != NULL) {
		const char *value;
		const struct option *opt = find_option(word, &value);

		if (cut)
			report(o, word, "the word is longer than %d characters", WORD_MAX - 1);
		else if (opt)
			apply(opt, word, value, o);
		else
			report(o, word, "there is no such option");
		nr_unknown += !cut && !opt;
	}
	if (nr_unknown > 0)
		log_option_names();
}

void cmdline_init(const struct boot_info *info)
{
	log_info("command line: %s", info->cmdline[0] ? info->cmdline : "(empty)");
	if (info->cmdline_cut)
		log_warn("command line: cut after %d characters", BOOT_CMDLINE_MAX - 1);
	options_parse(info->cmdline, info->protocol == BOOT_MULTIBOOT1, &current);
	mm_debug_configure(current.has_slab_debug ? current.slab_debug : NULL,
	                   current.init_on_alloc, current.init_on_free);
	mm_debug_page_red_zones(current.page_red_zones);
}

const struct options *options(void)
{
	return &current;
}

void cmdline_help(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char form[48];

		format_buf(form, sizeof(form), "%s%s", table[i].name, table[i].value);
		kprintf("  %-18s %s\n", form, table[i].help);
	}
}
