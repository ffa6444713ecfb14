/*
 * Hot pairs: one object (or page) is allocated and freed, over and over. What is measured is the
 * shortest way through the allocator, its memory in the processor's first cache.
 *
 * A hundred others of the size stay live meanwhile, as in any program: without them some allocators
 * would give their last page back, and take it again, at every pair.
 */
#include <tests/bench/host/work.h>

enum { PAIRS = 100000, SIZES = 4096, OTHERS = 100 };

static size_t runtime_size;
static u16 *sizes;

#define HOT_PAIR(size)                                             \
	static void pairs_of_##size(void)                          \
	{                                                          \
		for (u32 i = 0; i < PAIRS; i++)                    \
			subject_free(opaque(subject_alloc(size))); \
	}

/* clang-format off */
HOT_PAIR(16)
HOT_PAIR(64)
HOT_PAIR(256)
HOT_PAIR(1024)
HOT_PAIR(4096)
/* clang-format on */

static void pairs_of_runtime_size(void)
{
	size_t size = runtime_size;

	for (u32 i = 0; i < PAIRS; i++)
		subject_free(opaque(subject_alloc(size)));
}

static void pairs_of_mixed_sizes(void)
{
	for (u32 i = 0; i < PAIRS; i++)
		subject_free(opaque(subject_alloc(sizes[i % SIZES])));
}

static void page_pairs(void)
{
	for (u32 i = 0; i < PAIRS; i++)
		subject_page_free(opaque(subject_page_alloc()));
}

/* other: makes one that stays. */
static void run_pairs(void (*body)(void), void *(*other)(u32))
{
	struct phase p = {.name = "pair", .ops = PAIRS};

	subject_start(1);
	for (u32 i = 0; i < OTHERS; i++)
		opaque(must(other(i)));
	body();
	for (unsigned i = 0; i < nr_blocks; i++)
		phase_run(&p, body);
	phase_report(&p);
}

static void *other_object(u32 i)
{
	(void)i;
	return subject_alloc(runtime_size);
}

static void *other_page(u32 i)
{
	(void)i;
	return subject_page_alloc();
}

static void *other_mixed(u32 i)
{
	return subject_alloc(sizes[i % SIZES]);
}

#define RUN_HOT(size)                                     \
	static void run_##size(const char *argument)      \
	{                                                 \
		(void)argument;                           \
		runtime_size = size;                      \
		run_pairs(pairs_of_##size, other_object); \
	}

/* clang-format off */
RUN_HOT(16)
RUN_HOT(64)
RUN_HOT(256)
RUN_HOT(1024)
RUN_HOT(4096)
/* clang-format on */

static void run_page(const char *argument)
{
	(void)argument;
	run_pairs(page_pairs, other_page);
}

static void run_size(const char *argument)
{
	runtime_size = argument ? strtoul(argument, NULL, 10) : 0;
	if (runtime_size == 0)
		fail(STATUS_USAGE, "the workload needs a size in bytes");
	run_pairs(pairs_of_runtime_size, other_object);
}

static void run_mixed(const char *argument)
{
	struct lcg g = {1};

	(void)argument;
	sizes = table(SIZES * sizeof(sizes[0]));
	for (u32 i = 0; i < SIZES; i++)
		sizes[i] = (u16)mix_size(&g);
	run_pairs(pairs_of_mixed_sizes, other_mixed);
}

const struct work pair_works[] = {
    {"hot_16", "a pair of 16 bytes, a constant", run_16},
    {"hot_64", "of 64", run_64},
    {"hot_256", "of 256", run_256},
    {"hot_1024", "of 1024", run_1024},
    {"hot_4096", "of 4096", run_4096},
    {"hot_runtime", "SIZE: a size that the compiler does not know", run_size},
    {"hot_mixed", "a different size each time, of the mix's", run_mixed},
    {"hot_page", "a page of 4 KiB: alloc_pages(0), or malloc(4096)", run_page},
    {0},
};
