/*
 * kmalloc's size classes: which cache serves a request.
 *
 * 32 classes: 16-byte steps to 64, then four to a doubling, up to 8 KiB; at most 20 % of a class is
 * lost to rounding where powers of two lose half (the steps are those of jemalloc's and many
 * others' small classes). All powers of two are classes and slabs start on a page, so such sizes
 * are aligned to themselves. A table with an entry every 16 bytes leads from a size to its cache.
 *
 * Hardening (mm/harden.h) changes which caches there are, and no instruction of the fast ways:
 *
 *   kmalloc_data    __GFP_DATA has a table of its own. Off, both tables hold the same caches. An
 *                   overflow or a dangling pointer in data that come from outside cannot meet an
 *                   object with pointers (the idea is that of XNU's kalloc_data and of Linux's
 *                   kmem_buckets).
 *   kmalloc_copies  the table leads to a cache that has no objects. Its fast ways find it empty, as
 *                   they find any empty cache, and the slow way goes on to one of the copies, by a
 *                   hash of the call site's tag and the seed (Linux's RANDOM_KMALLOC_CACHES; Gong
 *                   Ruiqi, 2023). So who can reach one call site seldom shares slabs with another.
 *                   A class under slab_debug= has no copies.
 *
 * Invariant: K1 (kmalloc.c). All of it is constant after kmalloc_classes_init().
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <mm/harden.h>
#include <mm/kmalloc.h>

#define NR_CLASSES 32

static struct kmem_cache class_cache[NR_CLASSES], data_cache[NR_CLASSES];
static struct kmem_cache *copy_of[NR_CLASSES][KMALLOC_COPIES_MAX] __ro_after_init;

struct kmem_cache *kmalloc_cache[KMALLOC_MAX_CLASS / 16] __ro_after_init;
struct kmem_cache *kmalloc_data_cache[KMALLOC_MAX_CLASS / 16] __ro_after_init;
u32 kmalloc_nr_copies __ro_after_init, kmalloc_copy_hash __ro_after_init;

/* C: requests above need a closer look; 0 when classes are debugged */
size_t kmalloc_plain_classes;

/* Class 0 … 3: 16 … 64. Then each doubling (2^n, 2^(n+1)] in quarters. */
/* lab 5.1 */
static unsigned class_of(size_t size)
{
	unsigned n;

	if (size <= 64)
		return size == 0 ? 0 : (unsigned)(size - 1) / 16;
	n = highest_bit(size - 1);
	return 4 + (n - 6) * 4 + (unsigned)((size - 1) >> (n - 2) & 3);
}

/* lab 5.1 */
static size_t class_size(unsigned class)
{
	unsigned doubling = class / 4, quarter = class % 4;

	return doubling == 0 ? (quarter + 1) * 16ul : (quarter + 5ul) << (doubling + 3);
}

/* Powers of two to themselves, up to a page; others as far as their size allows. */
/* lab 5.1 */
static size_t class_align(unsigned class)
{
	size_t lowest = 1ul << lowest_bit(class_size(class));

	return lowest < PAGE_SIZE ? lowest : PAGE_SIZE;
}

/* lab 5.1 */
size_t kmalloc_class_size(size_t size)
{
	if (size == 0)
		return class_size(0);
	return size <= KMALLOC_MAX_CLASS ? kmalloc_cache[(size - 1) / 16]->size : 0;
}

/* --- init --- */

static void setup_class(struct kmem_cache *c, const char *kind, unsigned class, unsigned flags)
{
	char name[32];

	format_buf(name, sizeof(name), "kmalloc-%s%lu", kind, class_size(class));
	if (cache_setup(c, name, class_size(class), class_align(class), SLAB_STATIC | flags,
	                NULL) != 0)
		panic("kmalloc: no memory for the cache %s", name);
	cache_enlist(c);
	if (c->debug != 0)
		kmalloc_plain_classes = 0;
}

static void make_copies(struct kmem_cache *c, unsigned class)
{
	char name[32];

	for (u32 i = 0; i < kmalloc_nr_copies; i++) {
		format_buf(name, sizeof(name), "%s-rnd-%02u", c->name, i);
		copy_of[class][i] = cache_make(name, class_size(class), class_align(class),
		                               SLAB_STATIC | SLAB_NO_DEBUG, NULL);
		if (copy_of[class][i] == NULL)
			panic("kmalloc: no memory for the cache %s", name);
	}
	c->copies = copy_of[class];
}

/* Whether it has its own objects is known when it is set up: who is to have copies has no magazines
 * of its own. */
static void init_class(unsigned class)
{
	bool copied = kmalloc_nr_copies > 1;

	setup_class(&class_cache[class], "", class, copied ? SLAB_NO_MAGAZINE : 0);
	if (copied && class_cache[class].debug == 0)
		make_copies(&class_cache[class], class);
}

void kmalloc_classes_init(void)
{
	const struct mm_hardening hardening = mm_hardening();

	kmalloc_plain_classes = KMALLOC_MAX_CLASS;
	kmalloc_nr_copies = hardening.kmalloc_copies;
	kmalloc_copy_hash = (u32)(hardening.seed * 0x9e3779b97f4a7c15 >> 32) | 1;
	for (unsigned i = 0; i < NR_CLASSES; i++) {
		init_class(i);
		if (hardening.kmalloc_data)
			setup_class(&data_cache[i], "data-", i, 0);
	}
	for (size_t size = 16; size <= KMALLOC_MAX_CLASS; size += 16) {
		const unsigned class = class_of(size);

		kmalloc_cache[(size - 1) / 16] = &class_cache[class];
		kmalloc_data_cache[(size - 1) / 16] =
		    hardening.kmalloc_data ? &data_cache[class] : &class_cache[class];
	}
}

/* --- check --- */

static bool is_class(const struct kmem_cache *c, unsigned class)
{
	const u64 stride = align_up(class_size(class) + PLATFORM_RED_ZONE, class_align(class));

	return c->size == class_size(class) && (c->debug != 0 || c->stride == stride);
}

const char *kmalloc_classes_check(void)
{
	for (unsigned i = 0; i < NR_CLASSES; i++) {
		const struct kmem_cache *c = &class_cache[i];

		if (kmalloc_data_cache[0] == &data_cache[0] && !is_class(&data_cache[i], i))
			return "K1: a size class for data is not as large as its size";
		if (!is_class(c, i) || (i != 0 && class_size(i) <= class_size(i - 1)))
			return "K1: a size class is not as large as its size";
		if (c->copies != NULL && c->nr_slabs != 0)
			return "K3: a size class that has copies has objects of its own";
		for (u32 copy = 0; c->copies != NULL && copy < kmalloc_nr_copies; copy++)
			if (!is_class(c->copies[copy], i))
				return "K1: a copy of a size class is not as large as its size";
	}
	return NULL;
}
