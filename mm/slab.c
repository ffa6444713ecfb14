/*
 * Slabs: pages cut into objects of one size, with everything that the allocator must remember kept
 * outside them.
 *
 * 1. The idea (Bonwick, "The Slab Allocator", USENIX 1994). Objects of one kind come from slabs:
 * runs of pages cut into equal slots. Finding a free slot needs no search by size, what is freed is
 * reused at once, and constructed state survives between uses. Bonwick kept the free list inside
 * the free objects; here nothing of the allocator's is inside an object, free or not.
 *
 * 2. The record. Every slab has one: base, reciprocal, a tag for each slot and a bit for each free
 * object. Records are objects of a few internal caches, whose own records stand at the start of
 * their slab (else the recursion would not end). Each page of a slab leads to the record through
 * its struct page, so an address is traced in O(1).
 *
 * 3. Index of an address: (address - base) * reciprocal >> 32, with reciprocal = ceil(2^32 /
 * stride); and the address is the first byte of an object exactly when the low 32 bits of the
 * product are below the reciprocal (Lemire, Kaser and Kurz, "Faster remainder by direct
 * computation", 2019). Both hold while offset * stride < 2^32: slabs of several objects stay below
 * 128 KiB with strides up to 32 KiB. A slab of one object uses the reciprocal 1.
 *
 * 4. Tags. 0: free in the slab; 1: free in a magazine; above: allocated, by that call site. One
 * store on each path buys exact double-free detection, the owner of every live object and the leak
 * report.
 *
 * 5. Size of a slab: the smallest power of two of pages (up to 8) whose tail and metadata waste at
 * most 1/8 and which holds at least 8 objects if it can; for sizes where none does, a run of just
 * the pages that k objects need.
 *
 * 6. Full, eight grades of partial, and empty slabs stand on lists of their own. A refill takes
 * from the fullest, so that the emptiest get a chance to run empty; at most MAX_EMPTY_SLABS empty
 * ones are kept.
 *
 * Invariants: slab_check.c. Not here: magazines and the public alloc and free (slab_cpu.c), sizes
 * (kmalloc.c). Locks: a cache's lock guards its lists and bits; pages and records are allocated and
 * freed outside it.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>

struct list cache_list = LIST_INIT(cache_list);
struct spinlock cache_list_lock = SPINLOCK_INIT("slab caches");

/* Sizes of records: what the layouts below need, without much waste. */
static const u16 record_sizes[] = {80, 96, 128, 192, 256, 384, 512, 640, 768, 1024, 1152};
static struct kmem_cache record_caches[ARRAY_SIZE(record_sizes)];
static struct kmem_cache cache_cache, magazine_cache;

/* --- layout --- */

static u32 record_bytes(u32 nr_objects, u32 nr_slots)
{
	u32 bytes = (u32)sizeof(struct slab) + nr_slots * (u32)sizeof(u16);

	return (u32)align_up(bytes, sizeof(u64)) + (u32)bitmap_words(nr_objects) * (u32)sizeof(u64);
}

static struct kmem_cache *record_cache_for(u32 bytes)
{
	for (unsigned i = 0; i < ARRAY_SIZE(record_sizes); i++)
		if (bytes <= record_sizes[i])
			return &record_caches[i];
	return NULL;
}

/* Cuts nr_pages into objects. False when that is no usable layout. */
static bool try_layout(struct kmem_cache *c, u32 nr_pages)
{
	u32 bytes = nr_pages << PAGE_SHIFT;
	u32 nr_objects = bytes / c->stride;

	if (nr_objects == 0)
		return false;
	c->nr_pages = nr_pages;
	c->nr_objects = nr_objects;
	c->nr_slots = (u32)div_round_up(bytes, c->stride);
	c->record_bytes = record_bytes(nr_objects, c->nr_slots);
	c->record_cache = record_cache_for(c->record_bytes);
	return c->record_cache != NULL;
}

/* Tail and metadata together, at most 1/8 of all that the slab costs. */
static bool wastes_little(const struct kmem_cache *c)
{
	u32 bytes = c->nr_pages << PAGE_SHIFT;
	u32 waste = bytes - c->nr_objects * c->stride + c->record_cache->stride;

	return waste * 8 <= bytes + c->record_cache->stride;
}

/* A record's own slab: one page, record first, objects behind it. */
static void on_slab_layout(struct kmem_cache *c)
{
	u32 n = PAGE_SIZE / c->stride;

	while (align_up(record_bytes(n, n + 1), 16) + n * c->stride > PAGE_SIZE)
		n--;
	c->nr_pages = 1;
	c->nr_objects = n;
	c->nr_slots = n + 1;
	c->record_bytes = record_bytes(n, n + 1);
	c->record_cache = NULL;
}

static bool off_slab_layout(struct kmem_cache *c)
{
	enum { WANTED_OBJECTS = 8, MAX_ORDER_PAGES = 8, MAX_RUN_PAGES = 32 };

	for (u32 pages = 1; pages <= MAX_ORDER_PAGES; pages *= 2)
		if (try_layout(c, pages) && wastes_little(c) && c->nr_objects >= WANTED_OBJECTS)
			return true;
	for (u32 pages = MAX_ORDER_PAGES; pages >= 1; pages /= 2)
		if (try_layout(c, pages) && wastes_little(c))
			return true;
	for (u32 pages = 1; pages <= MAX_RUN_PAGES; pages++)
		if (try_layout(c, pages) && wastes_little(c))
			return true;
	return try_layout(c, (u32)div_round_up(c->stride, PAGE_SIZE));
}

const char *cache_layout(struct kmem_cache *c)
{
	if (c->flags & SLAB_ON_SLAB)
		on_slab_layout(c);
	else if (!off_slab_layout(c))
		return "no layout";
	c->bits_offset =
	    (u32)align_up(sizeof(struct slab) + c->nr_slots * sizeof(u16), sizeof(u64));
	c->reciprocal = c->nr_objects == 1 ? 1 : div_round_up(1ull << 32, c->stride);
	return NULL;
}

/* --- lists --- */

static u8 list_for(const struct kmem_cache *c, u32 nr_free)
{
	if (nr_free == 0)
		return SLABS_FULL;
	if (nr_free == c->nr_objects)
		return SLABS_EMPTY;
	return (u8)(SLABS_PARTIAL + nr_free * NR_PARTIAL / c->nr_objects);
}

static void list_slab(struct kmem_cache *c, struct slab *s)
{
	s->list = list_for(c, s->nr_free);
	list_push_front(&c->slabs[s->list], &s->link);
	c->nonempty_lists |= 1u << s->list;
	c->nr_empty += s->list == SLABS_EMPTY;
}

static void unlist_slab(struct kmem_cache *c, struct slab *s)
{
	list_remove(&s->link);
	if (list_is_empty(&c->slabs[s->list]))
		c->nonempty_lists &= ~(1u << s->list);
	c->nr_empty -= s->list == SLABS_EMPTY;
}

static void relist_slab(struct kmem_cache *c, struct slab *s)
{
	if (s->list != list_for(c, s->nr_free)) {
		unlist_slab(c, s);
		list_slab(c, s);
	}
}

/* --- objects in and out of slabs --- */

static u32 take_from_slab(struct kmem_cache *c, struct slab *s, struct magazine_slot slots[], u32 n)
{
	u64 *bits = slab_bits(c, s);
	u32 taken = 0;

	for (u32 word = 0; taken < n && taken < s->nr_free; word++) {
		u64 left = bits[word];

		for (; left != 0 && taken < n; left &= left - 1) {
			u32 index = word * 64 + lowest_bit(left);

			if (unlikely(s->tag[index] != TAG_IN_SLAB))
				panic("slab: free bit of a used object object=%p cache=%s",
				      slab_object(c, s, index), c->name);
			s->tag[index] = TAG_IN_MAGAZINE;
			slots[taken++] =
			    (struct magazine_slot){slab_object(c, s, index), &s->tag[index]};
		}
		bits[word] = left;
	}
	s->nr_free -= taken;
	c->nr_free -= taken;
	return taken;
}

u32 slab_take_locked(struct kmem_cache *c, struct magazine_slot slots[], u32 n)
{
	u32 taken = 0;

	while (taken < n) {
		u32 usable = c->nonempty_lists & ~(1u << SLABS_FULL);
		struct slab *s;

		if (usable == 0)
			break;
		s = list_first(&c->slabs[lowest_bit(usable)], struct slab, link);
		taken += take_from_slab(c, s, slots + taken, n - taken);
		relist_slab(c, s);
	}
	return taken;
}

void slab_put_locked(struct kmem_cache *c, const struct magazine_slot slots[], u32 n,
                     struct list *surplus)
{
	for (u32 i = 0; i < n; i++) {
		struct slab *s = virt_to_page(slots[i].object)->slab;

		*slots[i].tag = TAG_IN_SLAB;
		bitmap_set(slab_bits(c, s), (size_t)(slots[i].tag - s->tag));
		s->nr_free++;
		c->nr_free++;
		relist_slab(c, s);
		if (s->list == SLABS_EMPTY && c->nr_empty > MAX_EMPTY_SLABS) {
			unlist_slab(c, s);
			c->nr_slabs--;
			c->nr_free -= c->nr_objects;
			list_push_back(surplus, &s->link);
		}
	}
}

void slab_take_empty_locked(struct kmem_cache *c, struct list *surplus)
{
	while (!list_is_empty(&c->slabs[SLABS_EMPTY])) {
		struct slab *s = list_first(&c->slabs[SLABS_EMPTY], struct slab, link);

		unlist_slab(c, s);
		c->nr_slabs--;
		c->nr_free -= c->nr_objects;
		list_push_back(surplus, &s->link);
	}
}

/* --- slabs from and to the page allocator --- */

static struct page *pages_alloc(const struct kmem_cache *c, gfp_t gfp)
{
	gfp &= ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32);
	return is_pow2(c->nr_pages) ? alloc_pages(gfp, highest_bit(c->nr_pages))
	                            : page_run_alloc(gfp, c->nr_pages);
}

static void pages_free(const struct kmem_cache *c, struct page *head)
{
	if (is_pow2(c->nr_pages))
		free_pages(head, highest_bit(c->nr_pages));
	else
		page_run_free(head, c->nr_pages);
}

static void pages_enter_slab(struct page *head, u32 nr_pages, struct slab *s)
{
	for (u32 i = 0; i < nr_pages; i++) {
		head[i].slab = s;
		head[i].type = PAGE_SLAB;
	}
}

static void pages_leave_slab(struct page *head, u32 nr_pages)
{
	head->type = PAGE_ALLOCATED;
	for (u32 i = 1; i < nr_pages; i++)
		head[i].type = PAGE_INNER;
}

static struct slab *record_alloc(struct kmem_cache *c, struct page *head, gfp_t gfp)
{
	if (c->record_cache == NULL)
		return page_address(head);
	return kmem_cache_alloc_at(c->record_cache, gfp & ~__GFP_ZERO, ALLOC_SITE());
}

static void record_init(struct kmem_cache *c, struct slab *s, struct page *head)
{
	u64 start = (u64)page_address(head);

	memset(s, 0, c->record_bytes);
	s->base = c->record_cache ? start : start + align_up(c->record_bytes, 16);
	s->reciprocal = c->reciprocal;
	s->span = start + ((u64)c->nr_pages << PAGE_SHIFT) - s->base;
	s->cache = c;
	s->nr_pages = c->nr_pages;
	s->nr_free = c->nr_objects;
	bitmap_fill(slab_bits(c, s), c->nr_objects);
}

bool slab_grow(struct kmem_cache *c, gfp_t gfp)
{
	struct page *head = pages_alloc(c, gfp);
	struct slab *s;
	u64 flags;

	if (head == NULL)
		return false;
	s = record_alloc(c, head, gfp);
	if (s == NULL) {
		pages_free(c, head);
		return false;
	}
	record_init(c, s, head);
	for (u32 i = 0; c->ctor != NULL && i < c->nr_objects; i++)
		c->ctor(slab_object(c, s, i));
	pages_enter_slab(head, c->nr_pages, s);

	flags = spin_lock_irq(&c->lock);
	list_slab(c, s);
	c->nr_slabs++;
	c->nr_free += c->nr_objects;
	spin_unlock_irq(&c->lock, flags);
	return true;
}

u64 slab_release(struct kmem_cache *c, struct list *surplus)
{
	u64 pages = 0;

	while (!list_is_empty(surplus)) {
		struct slab *s = list_first(surplus, struct slab, link);
		struct page *head = virt_to_page((void *)align_down(s->base, PAGE_SIZE));

		list_remove(&s->link);
		pages += s->nr_pages;
		pages_leave_slab(head, s->nr_pages);
		if (c->record_cache != NULL)
			kmem_cache_free(c->record_cache, s);
		pages_free(c, head);
	}
	return pages;
}

/* --- caches --- */

static u32 natural_align(size_t size, size_t align, unsigned flags)
{
	if (flags & SLAB_HWCACHE_ALIGN)
		align = max_u64(align, size > 32 ? 64 : 1ull << log2_ceil(size));
	if (align == 0)
		align = is_pow2(size) ? min_u64(size, 64) : 8;
	return (u32)max_u64(align, 8);
}

int cache_setup(struct kmem_cache *c, const char *name, size_t size, size_t align, unsigned flags,
                void (*ctor)(void *))
{
	memset(c, 0, sizeof(*c));
	str_copy(c->name, name, sizeof(c->name));
	c->size = (u32)size;
	c->align = natural_align(size, align, flags);
	c->stride = (u32)align_up(max_u64(size, SLAB_MIN_STRIDE), c->align);
	c->flags = flags;
	c->ctor = ctor;
	c->magic = CACHE_MAGIC;
	spin_init(&c->lock, "slab cache");
	for (unsigned i = 0; i < NR_SLAB_LISTS; i++)
		list_init(&c->slabs[i]);
	if (cache_layout(c) != NULL)
		return -EINVAL;
	if (!(flags & SLAB_NO_MAGAZINE)) {
		char *memory = kmem_cache_alloc_at(&magazine_cache, GFP_KERNEL, ALLOC_SITE());

		if (memory == NULL)
			return -ENOMEM;
		magazine_init(c, memory);
	}
	return 0;
}

static void cache_enlist(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	list_push_back(&cache_list, &c->link);
	spin_unlock_irq(&cache_list_lock, flags);
}

static const char *bad_arguments(const char *name, size_t size, size_t align, unsigned flags,
                                 void (*ctor)(void *))
{
	if (name == NULL || name[0] == '\0')
		return "no name";
	if (size == 0 || size > SLAB_MAX_SIZE)
		return "impossible size";
	if (align != 0 && (!is_pow2(align) || align > PAGE_SIZE))
		return "impossible alignment";
	if (ctor != NULL && (flags & SLAB_ZERO_ON_FREE))
		return "zeroing on free would undo the constructor";
	return flags & ~SLAB_PUBLIC_FLAGS ? "unknown flags" : NULL;
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *))
{
	const char *fault = bad_arguments(name, size, align, flags, ctor);
	struct kmem_cache *c;

	if (fault != NULL) {
		log_warn("slab: cannot create a cache: %s name=%s size=%lu align=%lu flags=%#x",
		         fault, name ? name : "(null)", size, align, flags);
		return NULL;
	}
	c = kmem_cache_alloc_at(&cache_cache, GFP_KERNEL, ALLOC_SITE());
	if (c == NULL)
		return NULL;
	if (cache_setup(c, name, size, align, flags, ctor) != 0) {
		c->magic = 0;
		kmem_cache_free(&cache_cache, c);
		return NULL;
	}
	cache_enlist(c);
	return c;
}

static void list_leak(void *context, u32 tag, u64 objects, u64 bytes)
{
	char site[96];

	log_error("slab:   %lu objects, %lu bytes from %s", objects, bytes, site_name(site, tag));
	(void)context;
}

static void check_is_cache(const struct kmem_cache *c)
{
	struct slab_object_info info;

	if (!slab_object_of(c, &info) || info.cache != &cache_cache || info.object != c ||
	    info.tag < TAG_FIRST_SITE || c->magic != CACHE_MAGIC)
		panic("slab: not a cache, or destroyed before cache=%p", (const void *)c);
}

int kmem_cache_destroy(struct kmem_cache *c)
{
	struct kmem_cache_stats stats;
	u64 flags;

	if (c == NULL)
		return 0;
	check_is_cache(c);
	magazine_flush(c, true);
	kmem_cache_shrink(c);
	kmem_cache_stats(c, &stats);
	if (stats.nr_live != 0) {
		log_error("slab: cache %s not destroyed: %lu objects are live", c->name,
		          stats.nr_live);
		cache_visit_sites(c, list_leak, NULL);
		return -EBUSY;
	}
	flags = spin_lock_irq(&cache_list_lock);
	list_remove(&c->link);
	spin_unlock_irq(&cache_list_lock, flags);
	if (c->magazines != NULL)
		kmem_cache_free(&magazine_cache, c->magazines);
	c->magazines = NULL;
	c->magic = 0;
	kmem_cache_free(&cache_cache, c);
	return 0;
}

u64 kmem_cache_shrink(struct kmem_cache *c)
{
	struct list surplus = LIST_INIT(surplus);
	u64 pages = magazine_flush(c, false);
	u64 flags = spin_lock_irq(&c->lock);

	slab_take_empty_locked(c, &surplus);
	spin_unlock_irq(&c->lock, flags);
	return pages + slab_release(c, &surplus);
}

/* The internal caches come last: shrinking the others frees their records. */
u64 slab_shrink_all(void)
{
	u64 pages = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		if (!(c->flags & SLAB_INTERNAL))
			pages += kmem_cache_shrink(c);
	pages += kmem_cache_shrink(&magazine_cache) + kmem_cache_shrink(&cache_cache);
	for (unsigned i = 0; i < ARRAY_SIZE(record_caches); i++)
		pages += kmem_cache_shrink(&record_caches[i]);
	return pages;
}

static u64 shrink_slabs(struct shrinker *self, u64 nr_pages)
{
	(void)self;
	(void)nr_pages;
	return slab_shrink_all();
}

static void setup_internal(struct kmem_cache *c, const char *name, size_t size, unsigned flags)
{
	flags |= SLAB_INTERNAL | SLAB_STATIC | SLAB_NO_MAGAZINE;
	if (cache_setup(c, name, size, 0, flags, NULL) != 0)
		panic("slab: cannot set up the cache %s", name);
	cache_enlist(c);
}

void slab_init(void)
{
	static struct shrinker shrinker = {.name = "slab", .shrink = shrink_slabs};
	char name[32];

	list_init(&cache_list);
	for (unsigned i = 0; i < ARRAY_SIZE(record_sizes); i++) {
		format_buf(name, sizeof(name), "slab-record-%u", record_sizes[i]);
		setup_internal(&record_caches[i], name, record_sizes[i], SLAB_ON_SLAB);
	}
	setup_internal(&cache_cache, "kmem_cache", sizeof(struct kmem_cache), 0);
	setup_internal(&magazine_cache, "magazines", (size_t)MAGAZINE_BYTES * mm_nr_cpus, 0);
	register_shrinker(&shrinker);
}

/* --- names --- */

size_t kmem_cache_size(const struct kmem_cache *c)
{
	return c->size;
}

const char *kmem_cache_name(const struct kmem_cache *c)
{
	return c->name;
}

struct kmem_cache *kmem_cache_next(const struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);
	struct list *next = c ? c->link.next : cache_list.next;

	spin_unlock_irq(&cache_list_lock, flags);
	return next == &cache_list ? NULL : list_entry(next, struct kmem_cache, link);
}
