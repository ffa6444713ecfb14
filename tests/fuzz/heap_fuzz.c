/*
 * kmalloc and object caches on a small machine of their own, against a table of what is live.
 *
 * The oracle: what is handed out overlaps nothing that is live, is aligned as promised, and keeps
 * what its owner wrote until it is freed; every free of something that is not live, or not at its
 * start, or not of that cache, stops with a line and changes nothing; the sums agree; and when all
 * is freed the machine has as many free pages as at boot. Nothing lives from one input to the next:
 * each boots its own 16 MiB.
 *
 * Input: operations of 1 to 8 bytes.
 */
#include <mm/mm.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>

#define MAX_LIVE 200u
#define MAX_GONE 8u
#define NR_CACHES 4u
#define HEAP NR_CACHES /* as a kind: of kmalloc */
#define MAX_OPS 300u
#define OPS_A_CHECK 32u
#define EDGE 64u /* bytes at either end of an object that carry its pattern */
#define SEED 0x5eedc0de5eedc0deull

struct live {
	u8 *p;
	size_t size, room; /* asked for, usable */
	u8 stamp;
	u32 kind;
};

static struct live live[MAX_LIVE];
static struct kmem_cache *caches[NR_CACHES];
static bool is_constructed[NR_CACHES + 1];
static void *gone[MAX_GONE]; /* freed lately */
static u32 nr_live, nr_gone;
static u8 next_stamp;
static u64 objects_at_boot, pages_at_boot;

/* The compiler believes that fresh memory is no memory it knows; that is what is to be shown. */
static void *hide(const void *p)
{
	__asm__ volatile("" : "+r"(p));
	return (void *)p;
}

static void construct(void *object)
{
	*(u64 *)object = SEED;
}

/* --- contents --- */

/* A constructed object keeps its first eight bytes. */
static void fill(const struct live *l)
{
	size_t from = is_constructed[l->kind] ? 8 : 0, n = l->size - from;

	memset(l->p + from, l->stamp, min_u64(n, EDGE));
	memset(l->p + l->size - min_u64(n, EDGE), l->stamp, min_u64(n, EDGE));
}

/* The first `size` bytes of l, which now stand at p. */
static void verify(const struct live *l, const u8 *p, size_t size)
{
	size_t from = is_constructed[l->kind] ? 8 : 0, n = l->size - from;

	if (is_constructed[l->kind])
		MUST_EQ(*(const u64 *)p, SEED);
	MUST(!mem_find_other(p + from, l->stamp, min_u64(size - from, min_u64(n, EDGE))));
	if (size >= l->size && n > 0)
		MUST(!mem_find_other(p + l->size - min_u64(n, EDGE), l->stamp, min_u64(n, EDGE)));
}

/* --- the table --- */

static const struct live *live_at(const void *p)
{
	for (u32 i = 0; i < nr_live; i++)
		if (live[i].p == p)
			return &live[i];
	return NULL;
}

static void keep(void *fresh, size_t size, u32 kind)
{
	u8 *p = hide(fresh);
	struct live l = {p, size, kind == HEAP ? ksize(p) : size, ++next_stamp, kind};

	MUST(l.room >= size);
	for (u32 i = 0; i < nr_live; i++)
		MUST(p + l.room <= live[i].p || live[i].p + live[i].room <= p);
	live[nr_live++] = l;
	fill(&l);
}

static void remember_gone(void *p)
{
	gone[nr_gone++ % MAX_GONE] = p;
}

/* --- kmalloc --- */

static size_t take_size(struct input *in)
{
	switch (input_below(in, 4)) {
	case 0:
		return 1 + input_below(in, 256);
	case 1:
		return 1 + input_below(in, 10000);
	case 2:
		return 4096 * (1 + input_below(in, 64)) - input_below(in, 3) + 1;
	default:
		return kmalloc_class_size(1 + input_below(in, 8192)) + input_below(in, 2);
	}
}

static gfp_t take_gfp(struct input *in)
{
	static const gfp_t flags[] = {GFP_KERNEL, GFP_ATOMIC, GFP_NOWAIT, GFP_KERNEL | __GFP_ZERO,
	                              GFP_KERNEL | __GFP_DMA32};

	return flags[input_below(in, ARRAY_SIZE(flags))] | __GFP_NOWARN;
}

static u64 promised_alignment(size_t size)
{
	return is_pow2(size) ? min_u64(max_u64(size, 8), PAGE_SIZE) : 8;
}

static void op_kmalloc(struct input *in)
{
	gfp_t gfp = take_gfp(in);
	size_t size = take_size(in);
	u8 *p = hide(kmalloc(size, gfp));

	if (p == NULL)
		return;
	MUST(is_aligned((u64)p, promised_alignment(size)));
	if (gfp & __GFP_ZERO)
		MUST(!mem_find_other(p, 0, size));
	keep(p, size, HEAP);
}

/* Sizes that overflow or that nobody has. */
static void op_absurd(struct input *in)
{
	size_t n = input_bytes(in, 8), size = input_bytes(in, 8), product;
	bool overflows = __builtin_mul_overflow(n, size, &product);
	void *p;

	if (n > KMALLOC_MAX_SIZE)
		MUST(hide(kmalloc(n, GFP_NOWAIT | __GFP_NOWARN)) == NULL);
	MUST(hide(kmalloc(0, GFP_KERNEL)) == ZERO_SIZE_PTR);
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
	p = hide(kcalloc(n, size, GFP_KERNEL | __GFP_NOWARN));
	if (overflows || product > KMALLOC_MAX_SIZE)
		MUST(p == NULL);
	else if (product == 0)
		MUST(p == ZERO_SIZE_PTR);
	else if (p != NULL)
		MUST(!mem_find_other(p, 0, product));
	if (p != NULL)
		kfree(p);
}

static void op_krealloc(struct input *in)
{
	u32 i = input_below(in, nr_live);
	struct live l = live[i];
	size_t size = take_size(in);
	u8 *p;

	if (l.kind != HEAP)
		return;
	p = hide(krealloc(l.p, size, GFP_KERNEL | __GFP_NOWARN));
	if (p == NULL) {
		verify(&l, l.p, l.size);
		return;
	}
	verify(&l, p, min_u64(size, l.size));
	live[i] = live[--nr_live];
	if (p != l.p)
		remember_gone(l.p);
	keep(p, size, HEAP);
}

static void op_kmemdup(struct input *in)
{
	struct live l = live[input_below(in, nr_live)];
	u8 *p = hide(kmemdup(l.p, l.size, GFP_KERNEL | __GFP_NOWARN));

	if (p == NULL)
		return;
	verify(&l, p, l.size);
	keep(p, l.size, HEAP);
}

/* --- caches --- */

static void op_create(struct input *in)
{
	static const unsigned all_flags[] = {0, SLAB_HWCACHE_ALIGN, SLAB_ZERO_ON_FREE,
	                                     SLAB_NO_MAGAZINE};
	u32 i = input_below(in, NR_CACHES);
	unsigned flags = all_flags[input_below(in, ARRAY_SIZE(all_flags))];
	size_t size = take_size(in), align = input_below(in, 8);
	bool ctor = size >= 8 && input_below(in, 3) == 0;

	align = align == 7 ? input_below(in, 1 << 14) : align == 0 ? 0 : 8ull << (align - 1);
	if (caches[i] != NULL)
		return;
	caches[i] = kmem_cache_create("fuzzed", size, align, flags, ctor ? construct : NULL);
	if (size > SLAB_MAX_SIZE || (align != 0 && (!is_pow2(align) || align > PAGE_SIZE)))
		MUST(caches[i] == NULL);
	is_constructed[i] = ctor;
	if (caches[i] != NULL)
		MUST_EQ(kmem_cache_size(caches[i]), size);
}

static u32 nr_of_kind(u32 kind)
{
	u32 nr = 0;

	for (u32 i = 0; i < nr_live; i++)
		nr += live[i].kind == kind;
	return nr;
}

static void destroy(u32 i)
{
	int error = kmem_cache_destroy(caches[i]);

	if (caches[i] == NULL)
		MUST_EQ(error, 0);
	else
		MUST_EQ((u64)error, nr_of_kind(i) == 0 ? 0 : (u64)-EBUSY);
	if (error == 0)
		caches[i] = NULL;
}

static void op_cache_alloc(struct input *in)
{
	u32 i = input_below(in, NR_CACHES), n = input_below(in, 24);
	gfp_t gfp = take_gfp(in) & ~(is_constructed[i] ? __GFP_ZERO : 0u);
	void *objects[24];

	n = n < 8 ? 1 : n;
	if (caches[i] == NULL || nr_live + n > MAX_LIVE)
		return;
	if (n == 1) {
		objects[0] = kmem_cache_alloc(caches[i], gfp);
		if (objects[0] == NULL)
			return;
	} else {
		size_t got = kmem_cache_alloc_bulk(caches[i], gfp, n, objects);

		MUST(got == 0 || got == n);
		n = (u32)got;
	}
	for (u32 j = 0; j < n; j++) {
		if (is_constructed[i])
			MUST_EQ(*(u64 *)objects[j], SEED);
		if (gfp & __GFP_ZERO)
			MUST(!mem_find_other(objects[j], 0, kmem_cache_size(caches[i])));
		keep(objects[j], kmem_cache_size(caches[i]), i);
	}
}

static void op_bulk_free(struct input *in)
{
	u32 kind = input_below(in, NR_CACHES), max = input_below(in, 32), n = 0;
	void *objects[32];

	for (u32 i = nr_live; i-- > 0 && n < max;) {
		if (live[i].kind != kind)
			continue;
		verify(&live[i], live[i].p, live[i].size);
		objects[n++] = live[i].p;
		live[i] = live[--nr_live];
	}
	if (n > 0)
		kmem_cache_free_bulk(caches[kind], n, objects);
}

/* --- frees, right and wrong --- */

static void free_live(u32 i, bool sensitive)
{
	struct live l = live[i];

	verify(&l, l.p, l.size);
	live[i] = live[--nr_live];
	if (l.kind == HEAP && sensitive)
		kfree_sensitive(l.p);
	else if (l.kind == HEAP)
		kfree(l.p);
	else
		kmem_cache_free(caches[l.kind], l.p);
	remember_gone(l.p);
}

static void must_refuse(void *p)
{
	p = hide(p);
	MUST_PANIC("kfree: ", kfree(p));
	for (u32 i = 0; i < NR_CACHES; i++)
		if (caches[i] != NULL)
			MUST_PANIC("slab: ", kmem_cache_free(caches[i], p));
	MUST_PANIC("ksize: ", (void)ksize(p));
	MUST_PANIC("kfree: ", kfree_sensitive(p));
	MUST_PANIC("krealloc: ", (void)krealloc(p, 10, GFP_KERNEL));
}

static void op_bad_free(struct input *in)
{
	u32 how = input_below(in, 4);
	u64 offset = input_bytes(in, 3);
	const struct live *l = nr_live > 0 ? &live[offset % nr_live] : NULL;

	if (how == 0 && nr_gone > 0) {
		void *p = gone[offset % min_u64(nr_gone, MAX_GONE)];

		if (live_at(p) == NULL)
			must_refuse(p);
	} else if (how == 1 && l != NULL && l->room > 1) {
		must_refuse(l->p + 1 + offset % (l->room - 1));
	} else if (how == 2 && l != NULL) {
		for (u32 i = 0; i < NR_CACHES; i++)
			if (caches[i] != NULL && i != l->kind)
				MUST_PANIC("slab: ", kmem_cache_free(caches[i], l->p));
	} else if (how == 3) {
		u64 any = input_bytes(in, 8);
		void *p = any & 1 ? (void *)any : phys_to_virt(any % (5 * GIB));

		/* Anything but a live object is refused, the allocator's own memory too. */
		if (p != NULL && p != ZERO_SIZE_PTR && live_at(p) == NULL)
			must_refuse(p);
	}
}

/* --- the whole --- */

static void check(void)
{
	struct mm_usage usage;

	MUST_BE_SOUND(mm_check());
	mm_usage(&usage);
	MUST_EQ(usage.live_objects, objects_at_boot + nr_live);
	for (u32 i = 0; i < nr_live; i++)
		verify(&live[i], live[i].p, live[i].size);
	for (u32 i = 0; i < NR_CACHES; i++) {
		struct kmem_cache_stats stats;

		if (caches[i] == NULL)
			continue;
		kmem_cache_stats(caches[i], &stats);
		MUST_EQ(stats.nr_live, nr_of_kind(i));
		MUST_EQ(stats.nr_live + stats.nr_cached + stats.nr_in_slab,
		        stats.nr_slabs * stats.objects_per_slab);
	}
}

static u64 pages_in_use(void)
{
	struct mm_usage usage;

	slab_shrink_all();
	drain_cpu_pages();
	mm_usage(&usage);
	objects_at_boot = usage.live_objects;
	return usage.used_pages;
}

static void step(struct input *in)
{
	u32 what = input_below(in, 16);
	bool room = nr_live < MAX_LIVE;

	if (what < 4 && room)
		op_kmalloc(in);
	else if (what < 7)
		op_cache_alloc(in);
	else if (what < 10 && nr_live > 0)
		free_live(input_below(in, nr_live), what == 9);
	else if (what == 10 && nr_live > 0)
		op_krealloc(in);
	else if (what == 11)
		op_create(in);
	else if (what == 12)
		destroy(input_below(in, NR_CACHES));
	else if (what == 13)
		op_bulk_free(in);
	else if (what == 14)
		op_bad_free(in);
	else if (what == 15)
		switch (input_below(in, 4)) {
		case 0:
			slab_shrink_all();
			break;
		case 1:
			op_absurd(in);
			break;
		case 2:
			if (nr_live > 0 && room)
				op_kmemdup(in);
			break;
		default:
			drain_cpu_pages();
		}
}

void fuzz_one(struct input *in)
{
	host_garbage_ram = host_garbage_page_map = 64 * KIB;
	host_machine_boot_pc(16 * MIB);
	nr_live = nr_gone = next_stamp = 0;
	pages_at_boot = pages_in_use();
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		step(in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	while (nr_live > 0)
		free_live(nr_live - 1, false);
	for (u32 i = 0; i < NR_CACHES; i++)
		destroy(i);
	MUST_EQ(pages_in_use(), pages_at_boot);
	MUST_BE_SOUND(mm_check());
}
