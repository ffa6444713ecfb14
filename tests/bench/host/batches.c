/*
 * Batches, as the kernel's own benchmark has them (docs/benchmarks.md): 10,000 objects (4,096
 * pages) are allocated into an array, and then all freed in the array's order, backwards, or in a
 * fixed random permutation. Far more than any per-thread cache holds, so the ways behind it count.
 */
#include <tests/bench/host/work.h>

#include <string.h>

enum { OBJECTS = 10000, PAGES = 4096 };

static void **objects;
static u32 *order_of;

#define BATCH(size)                                       \
	static void alloc_all_##size(void)                \
	{                                                 \
		for (u32 i = 0; i < OBJECTS; i++)         \
			objects[i] = subject_alloc(size); \
	}

/* clang-format off */
BATCH(32)
BATCH(256)
BATCH(1024)
/* clang-format on */

static void free_all(void)
{
	for (u32 i = 0; i < OBJECTS; i++)
		subject_free(objects[order_of[i]]);
}

static void alloc_all_pages(void)
{
	for (u32 i = 0; i < PAGES; i++)
		objects[i] = subject_page_alloc();
}

static void free_all_pages(void)
{
	for (u32 i = 0; i < PAGES; i++)
		subject_page_free(objects[order_of[i]]);
}

/* The permutation that docs/benchmarks.md names: Fisher and Yates from the top. */
static void shuffle(u32 n)
{
	u32 x = 12345;

	for (u32 i = n - 1; i > 0; i--) {
		u32 j, swap = order_of[i];

		x = x * 1664525u + 1013904223u;
		j = (u32)((u64)x * (i + 1) >> 32);
		order_of[i] = order_of[j];
		order_of[j] = swap;
	}
}

static void set_order(const char *order, u32 n)
{
	bool is_reverse = order != NULL && strcmp(order, "reverse") == 0;
	bool is_random = order != NULL && strcmp(order, "random") == 0;

	if (!is_reverse && !is_random && (order == NULL || strcmp(order, "same") != 0))
		fail(STATUS_USAGE, "the workload needs an order: same, reverse or random");
	objects = table(n * sizeof(objects[0]));
	order_of = table(n * sizeof(order_of[0]));
	for (u32 i = 0; i < n; i++)
		order_of[i] = is_reverse ? n - 1 - i : i;
	if (is_random)
		shuffle(n);
}

static void run_batches(u32 n, const char *order, void (*alloc)(void), void (*release)(void))
{
	struct phase a = {.name = "alloc", .ops = n}, f = {.name = "free", .ops = n};

	set_order(order, n);
	subject_start(1);
	for (unsigned i = 0; i < 3; i++) {
		alloc();
		must(objects[n - 1]);
		release();
	}
	for (unsigned i = 0; i < nr_blocks; i++) {
		phase_run(&a, alloc);
		phase_run(&f, release);
	}
	phase_report(&a);
	phase_report(&f);
}

static void run_32(const char *order)
{
	run_batches(OBJECTS, order, alloc_all_32, free_all);
}

static void run_256(const char *order)
{
	run_batches(OBJECTS, order, alloc_all_256, free_all);
}

static void run_1024(const char *order)
{
	run_batches(OBJECTS, order, alloc_all_1024, free_all);
}

static void run_pages(const char *order)
{
	run_batches(PAGES, order, alloc_all_pages, free_all_pages);
}

const struct work batch_works[] = {
    {"batch_32", "ORDER (same, reverse, random): 10,000 objects of 32 bytes", run_32},
    {"batch_256", "ORDER: of 256", run_256},
    {"batch_1024", "ORDER: of 1024", run_1024},
    {"batch_page", "ORDER: 4,096 pages of 4 KiB", run_pages},
    {0},
};
