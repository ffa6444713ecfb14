/*
 * The kernel's command line. Input: 1 byte (whether the image's name comes first); the rest is the
 * text. Three oracles:
 *
 *   ranges      every value is one that the option's help allows
 *   round trip  the options written down as a command line, each character in quotes of its own,
 *               are read back as the same options, with nothing to complain about
 *   one door    cmdline_init() gives what options_parse() gives of the text that it was left
 */
#include <kernel/cmdline.h>
#include <lib/format.h>
#include <tests/fuzz/fuzz.h>

#define TEXT_MAX 4096

struct writer {
	char text[TEXT_MAX];
	size_t length;
};

static void write_word(struct writer *w, const char *word)
{
	w->length += format_buf(w->text + w->length, TEXT_MAX - w->length, "\t%s", word);
	MUST(w->length < TEXT_MAX);
}

static void write_text(struct writer *w, const char *name, const char *value)
{
	write_word(w, name);
	for (; *value; value++) {
		char quote = *value == '\'' ? '"' : '\'';

		w->length += format_buf(w->text + w->length, TEXT_MAX - w->length, "%c%c%c", quote,
		                        *value, quote);
	}
	MUST(w->length < TEXT_MAX);
}

static void write_number(struct writer *w, const char *name, u64 value)
{
	char digits[24];

	format_buf(digits, sizeof(digits), "%lu", value);
	write_text(w, name, digits);
}

static void write_flag(struct writer *w, const char *name, bool set)
{
	if (set)
		write_word(w, name);
}

static void write_options(struct writer *w, const struct options *o)
{
	write_flag(w, "test", o->test);
	write_flag(w, "bench", o->bench);
	write_flag(w, "monitor", o->monitor);
	write_flag(w, "demo", o->demo);
	write_flag(w, "quiet", o->quiet);
	write_flag(w, "safe", o->safe);
	if (o->test)
		write_text(w, "test=", o->test_pattern);
	if (o->bench)
		write_text(w, "bench=", o->bench_pattern);
	write_text(w, "replay=", o->replay);
	write_text(w, "slab_debug=", o->slab_debug);
	write_text(w, "console=", o->console);
	if (o->has_seed)
		write_number(w, "seed=", o->seed);
	write_number(w, "mem=", o->mem);
	write_number(w, "maxcpus=", o->maxcpus);
	write_number(w, "loglevel=", o->loglevel);
}

static void must_be_same(const struct options *a, const struct options *b)
{
	MUST(a->test == b->test && a->bench == b->bench && a->monitor == b->monitor);
	MUST(a->quiet == b->quiet && a->safe == b->safe && a->has_seed == b->has_seed);
	MUST_EQ(strcmp(a->test_pattern, b->test_pattern), 0);
	MUST_EQ(strcmp(a->bench_pattern, b->bench_pattern), 0);
	MUST_EQ(strcmp(a->replay, b->replay), 0);
	MUST_EQ(strcmp(a->slab_debug, b->slab_debug), 0);
	MUST_EQ(strcmp(a->console, b->console), 0);
	MUST_EQ(a->seed, b->seed);
	MUST_EQ(a->mem, b->mem);
	MUST_EQ(a->maxcpus, b->maxcpus);
	MUST_EQ(a->loglevel, b->loglevel);
}

static void check_ranges(const struct options *o, size_t length)
{
	const char *const texts[] = {o->test_pattern, o->bench_pattern, o->replay, o->slab_debug,
	                             o->console};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		MUST(strnlen(texts[i], OPTION_TEXT_MAX) < OPTION_TEXT_MAX);
	MUST(o->mem >= 1 && o->maxcpus >= 1 && o->maxcpus <= 256 && o->loglevel <= 7);
	MUST((o->test || !o->test_pattern[0]) && (o->bench || !o->bench_pattern[0]));
	MUST(o->has_seed || o->seed == 0);
	MUST(o->nr_problems <= (length + 1) / 2); /* words have a blank between them */
}

static void check_round_trip(const struct options *o)
{
	static struct writer w;
	struct options again;

	w.length = 0;
	write_options(&w, o);
	options_parse(w.text, false, &again);
	must_be_same(o, &again);
	MUST_EQ(again.nr_problems, 0);
}

static void check_init(const char *text, bool skip_image)
{
	static struct boot_info info;
	struct options o;

	info.protocol = skip_image ? BOOT_MULTIBOOT1 : BOOT_MULTIBOOT2;
	info.cmdline_cut = str_copy(info.cmdline, text, sizeof(info.cmdline)) >= BOOT_CMDLINE_MAX;
	cmdline_init(&info);
	options_parse(info.cmdline, skip_image, &o);
	must_be_same(options(), &o);
	MUST_EQ(options()->nr_problems, o.nr_problems);
}

void fuzz_one(struct input *in)
{
	bool skip_image = input_below(in, 2);
	struct options *o = exact_alloc(sizeof(*o));
	size_t size;
	char *text = (char *)input_take_rest(in, &size, true);

	options_parse(text, skip_image, o);
	check_ranges(o, strlen(text));
	check_round_trip(o);
	check_init(text, skip_image);
	exact_free(text);
	exact_free(o);
}
