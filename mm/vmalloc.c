/*
 * Virtually contiguous memory: addresses from a vmem arena, pages from the page allocator, page
 * tables to join them.
 *
 * An area's record is in a table by address. The addresses come from the arena "vmalloc", whose
 * quantum caches serve areas of up to 16 pages and their guard. Pages are mapped in batches, so
 * that a large area costs a few instructions a page; where all of a 2 MiB piece can be one block,
 * it is one leaf.
 *
 * Freeing: pages go back at once, the addresses wait (the idea is that of Linux's lazy purge,
 * mm/vmalloc.c). A CPU may still translate them until the purge, which makes all forget at once; so
 * nothing else is mapped there before. Tables that ran empty are unlinked, remembered by nobody
 * after the flush, and freed.
 *
 *   VM1  every area is mapped from its first byte to its last, and its guard page is not
 *   VM2  what areas and waiting ones have of the arena is what it has given out
 *
 * One lock guards the table, the list of waiting areas and the page tables: an allocation takes it
 * once, and so does a free. It is not held while pages or addresses are allocated or freed; memory
 * for page tables is taken under it, without reclaim.
 */
#include "event_record.h"
#include "vmem_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/page_alloc.h>
#include <mm/pt.h>
#include <mm/reclaim.h>
#include <mm/slab.h>
#include <mm/vmalloc.h>

#define SMALL_ORDER 3u /* the largest that CPUs cache */
#define PRUNE_AT_ONCE GIB
#define HUGE_ORDER 9u
#define HUGE_SIZE (PAGE_SIZE << HUGE_ORDER)
#define CACHED_SIZE_MAX (64 * KIB + PAGE_SIZE) /* with the guard: quantum caches have it */
#define WAITING_MAX 1024u
#define WAITING_BYTES_MAX (32 * MIB)

enum area_kind { AREA_PAGES, AREA_MAP, AREA_DEVICE };

struct vm_area {
	struct hash_node node; /* L: the key is its address */
	struct list link;      /* L: waiting */
	u64 size;              /* C: bytes of addresses, with the guard */
	u64 bytes;             /* C: mapped */
	bool aligned;          /* C: to 2 MiB, for large leaves */
	u8 kind;               /* C */
};

static struct spinlock area_lock = SPINLOCK_INIT("vmalloc"); /* L; and the page tables */
static struct vmem_hash areas;                               /* L */
static struct list waiting;                                  /* L */
static u64 waiting_start, waiting_end;                       /* L: the addresses that those span */
static struct vmalloc_stats counts;                          /* L */
static struct kmem_cache *area_cache;
static struct vmem *space;
static u64 memory_bits; /* C: of a leaf of vmalloc() memory */

static u64 area_start(const struct vm_area *a)
{
	return a->node.key;
}

/* --- areas --- */

static u64 addresses_alloc(u64 size, u64 align, gfp_t gfp)
{
	u64 va = align > PAGE_SIZE ? vmem_xalloc(space, size, align, 0, 0, 0, 0, gfp)
	                           : vmem_alloc(space, size, gfp);

	if (va == 0 && vmalloc_purge())
		return addresses_alloc(size, align, gfp);
	return va;
}

static void addresses_free(const struct vm_area *a)
{
	if (a->aligned)
		vmem_xfree(space, area_start(a), a->size);
	else
		vmem_free(space, area_start(a), a->size);
}

/* Addresses for so many bytes, with nothing mapped there. */
/* lab 7.4 */
static struct vm_area *area_create(u64 bytes, bool aligned, enum area_kind kind, gfp_t gfp, u32 tag)
{
	struct vm_area *a = slab_alloc(area_cache, gfp, tag);
	u64 va;

	if (a == NULL)
		return NULL;
	a->size = bytes + PAGE_SIZE;
	a->bytes = bytes;
	a->aligned = aligned;
	a->kind = (u8)kind;
	va = addresses_alloc(a->size, aligned ? HUGE_SIZE : PAGE_SIZE, gfp & ~__GFP_NOFAIL);
	if (va == 0) {
		kmem_cache_free(area_cache, a);
		return NULL;
	}
	a->node.key = va;
	return a;
}

/* The next part of the table of areas, which wants it now. */
static __noinline void grow_table(u64 bytes, gfp_t gfp)
{
	struct hash_node **part = kmalloc(bytes, gfp | __GFP_NOWARN);
	bool used;
	u64 irq;

	if (part == NULL)
		return;
	irq = spin_lock_irq(&area_lock);
	used = hash_give(&areas, part, bytes);
	spin_unlock_irq(&area_lock, irq);
	if (!used)
		kfree(part);
}

/* It is mapped, and counts from now on. Returns what the table wants: grow_table(). */
static u64 area_publish_locked(struct vm_area *a)
{
	hash_insert(&areas, &a->node);
	counts.nr_areas++;
	counts.bytes += a->bytes;
	counts.memory_bytes += a->kind == AREA_PAGES ? a->bytes : 0;
	return hash_wants(&areas);
}

/* Its leaves are gone. Its addresses wait; true when too many do. The area may be gone when the
 * lock is. */
/* lab 7.4 */
static bool area_retire_locked(struct vm_area *a)
{
	list_push_back(&waiting, &a->link);
	waiting_start = min_u64(waiting_start, area_start(a));
	waiting_end = max_u64(waiting_end, area_start(a) + a->size);
	counts.waiting_bytes += a->size;
	return ++counts.nr_waiting >= WAITING_MAX || counts.waiting_bytes >= WAITING_BYTES_MAX;
}

/* --- pages in and out of areas --- */

/* Blocks that are taken out, chained. */
struct blocks {
	struct page *first;
	u64 inner; /* pages that still belong to it */
};

static void collect(void *context, u64 va, unsigned level, u64 entry)
{
	struct blocks *b = context;
	struct page *page;

	(void)va;
	if (b->inner != 0) {
		b->inner--;
		return;
	}
	page = pfn_to_page((u32)((entry & PTE_ADDRESS) >> PAGE_SHIFT));
	b->inner = level == 0 ? (1ull << page->order) - 1 : 0;
	page->link = b->first;
	b->first = page;
}

static void free_blocks(struct page *page)
{
	while (page != NULL) {
		struct page *next = page->link;

		free_pages(page, page->order);
		page = next;
	}
}

static _Noreturn __cold __noinline void not_as_it_was(const struct vm_area *a)
{
	panic("vmalloc: an area is not mapped as it was address=%#lx bytes=%#lx", area_start(a),
	      a->bytes);
}

/* Unmaps the first `bytes` of a large area, and frees the blocks. None of them lies on both sides
 * of a multiple of 2 MiB. */
static void unmap_large(const struct vm_area *a, u64 bytes)
{
	for (u64 done = 0; done < bytes;) {
		u64 part = min_u64(bytes - done, 16 * HUGE_SIZE), irq, mapped;
		struct blocks b = {NULL, 0};

		irq = spin_lock_irq(&area_lock);
		mapped = pt_clear(platform_page_tables(), area_start(a) + done, part, collect, &b);
		spin_unlock_irq(&area_lock, irq);
		if (unlikely(mapped != part))
			not_as_it_was(a);
		free_blocks(b.first);
		done += part;
	}
}

/* Few pages come from the CPU's caches, many in blocks as large as they can be: what a page costs
 * is then its entry. */
static unsigned order_for(u64 nr_pages)
{
	unsigned order = highest_bit(nr_pages);

	return order < 6 ? (unsigned)min_u64(order, SMALL_ORDER)
	                 : (unsigned)min_u64(order, HUGE_ORDER);
}

/* The largest block up to that order that there is without effort, or a page with. */
static struct page *block_alloc(gfp_t gfp, unsigned *order)
{
	static const u8 lower[] = {0, 0, 0, 0, 3, 3, 3, 3, 3, 3};

	for (; *order != 0; *order = lower[*order]) {
		struct page *page = alloc_pages(
		    (gfp & ~(__GFP_RECLAIM | __GFP_NOFAIL)) | __GFP_NOWARN | __GFP_NORETRY, *order);

		if (page != NULL)
			return page;
	}
	return alloc_page(gfp);
}

/* So many pages in blocks, chained in the order of their addresses to be; NULL: memory is short. */
/* lab 7.4 */
static struct page *blocks_alloc(u64 nr_pages, gfp_t gfp)
{
	struct page *first = NULL, **link = &first;

	while (nr_pages > 0) {
		unsigned order = order_for(nr_pages);
		struct page *block = block_alloc(gfp, &order);

		*link = block;
		if (unlikely(block == NULL)) {
			free_blocks(first);
			return NULL;
		}
		link = &block->link;
		nr_pages -= 1ull << order;
	}
	*link = NULL;
	return first;
}

/* Maps one block at `done`; its size, or 0. */
static u64 add_block(const struct vm_area *a, u64 done, gfp_t gfp)
{
	unsigned order = order_for((a->bytes - done) >> PAGE_SHIFT);
	struct page *page = block_alloc(gfp, &order);
	u64 irq;
	int error;

	if (page == NULL)
		return 0;
	irq = spin_lock_irq(&area_lock);
	error = pt_map(platform_page_tables(), area_start(a) + done, page_to_phys(page),
	               PAGE_SIZE << order, memory_bits);
	spin_unlock_irq(&area_lock, irq);
	if (error != 0) {
		free_pages(page, order);
		return 0;
	}
	return PAGE_SIZE << order;
}

/* Fills a large area with pages; false: it is as empty as before. */
static bool fill_large(const struct vm_area *a, gfp_t gfp)
{
	u64 done = 0;

	while (done < a->bytes) {
		u64 part = add_block(a, done, gfp);

		if (unlikely(part == 0)) {
			unmap_large(a, done);
			return false;
		}
		done += part;
	}
	return true;
}

/* --- purge --- */

/* Unlinks the tables that the areas, which span [start, end), left empty. When they lie close
 * together, each table is looked at once. */
static u64 prune_locked(const struct list *taken, u64 start, u64 end)
{
	struct page_tables *pt = platform_page_tables();
	u64 chain = 0;

	if (end - start <= PRUNE_AT_ONCE)
		return pt_prune(pt, start, end - start, 0);
	for (const struct list *l = taken->next; l != taken; l = l->next) {
		const struct vm_area *a = list_entry(l, const struct vm_area, link);

		chain = pt_prune(pt, area_start(a), a->size, chain);
	}
	return chain;
}

/* The waiting areas move to `taken`; none: false. */
/* lab 7.4 */
static bool take_waiting(struct list *taken, u64 *start, u64 *end, u64 *chain)
{
	u64 irq = spin_lock_irq(&area_lock);
	bool any = !list_is_empty(&waiting);

	if (any) {
		list_take_all(taken, &waiting);
		*start = waiting_start;
		*end = waiting_end;
		waiting_start = ~0ull;
		waiting_end = 0;
		*chain = prune_locked(taken, *start, *end);
		counts.nr_purges++;
		counts.nr_waiting = counts.waiting_bytes = 0;
	}
	spin_unlock_irq(&area_lock, irq);
	return any;
}

/* lab 7.4 */
bool vmalloc_purge(void)
{
	struct list taken;
	u64 start, end, chain;
	struct vm_area *a;

	if (!platform_may_flush() || !take_waiting(&taken, &start, &end, &chain))
		return false;
	platform_flush(start, end);
	(void)pt_free_tables(platform_page_tables(), chain);
	list_for_each(a, &taken, link) {
		addresses_free(a);
		kmem_cache_free(area_cache, a);
	}
	return true;
}

/* Gives back what the table of areas is larger than it need be. */
static void settle_table(void)
{
	bool more = true;

	while (more) {
		struct hash_node **part = NULL;
		u64 irq = spin_lock_irq(&area_lock);

		more = hash_settle(&areas, &part);
		spin_unlock_irq(&area_lock, irq);
		kfree(part);
	}
}

static u64 give_waiting(struct shrinker *self, u64 nr)
{
	(void)self;
	nr = vmalloc_purge();
	vmem_reap(space);
	settle_table();
	return nr;
}

/* --- vmalloc --- */

/* The area is mapped, or it was not possible: then it is retired. */
static void *publish_or_retire(struct vm_area *a, int error, u64 irq, gfp_t gfp)
{
	void *p = (void *)area_start(a);
	u64 wanted = 0;

	if (likely(error == 0))
		wanted = area_publish_locked(a);
	else
		(void)area_retire_locked(a);
	spin_unlock_irq(&area_lock, irq);
	if (unlikely(wanted != 0))
		grow_table(wanted, gfp);
	return likely(error == 0) ? p : NULL;
}

/* lab 7.4 */
static void *alloc_small(u64 bytes, gfp_t gfp, gfp_t inner, u32 tag)
{
	struct vm_area *a = area_create(bytes, false, AREA_PAGES, inner, tag);
	struct page *first;
	u64 irq;
	void *p;

	if (unlikely(a == NULL))
		return NULL;
	first = blocks_alloc(bytes >> PAGE_SHIFT, gfp);
	irq = spin_lock_irq(&area_lock);
	p = publish_or_retire(
	    a,
	    likely(first != NULL)
	        ? pt_map_blocks(platform_page_tables(), area_start(a), first, memory_bits)
	        : -ENOMEM,
	    irq, inner);
	if (unlikely(p == NULL))
		free_blocks(first);
	return p;
}

/* lab 7.4 */
static __noinline void *alloc_large(u64 bytes, gfp_t gfp, gfp_t inner, u32 tag)
{
	struct vm_area *a = area_create(bytes, true, AREA_PAGES, inner, tag);
	bool filled;

	if (a == NULL)
		return NULL;
	filled = fill_large(a, gfp);
	return publish_or_retire(a, filled ? 0 : -ENOMEM, spin_lock_irq(&area_lock), inner);
}

/* lab 7.4 */
void *vmalloc_tag(u64 size, gfp_t gfp, u32 tag)
{
	gfp_t inner = gfp & ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32);
	u64 bytes = align_up(size, PAGE_SIZE);
	void *p;

	if (unlikely(size == 0 || size > VMALLOC_MAX_SIZE))
		return NULL;
	p = likely(bytes < HUGE_SIZE) ? alloc_small(bytes, gfp, inner, tag)
	                              : alloc_large(bytes, gfp, inner, tag);
	if (likely(p != NULL))
		platform_area_usable((u64)p, bytes, size);
	if (event_any() && p != NULL)
		event_bytes(EVENT_VMALLOC, (u64)p, size, EVENT_NO_CACHE, tag);
	return p;
}

/* What is wrong with freeing this address as such a kind. Called when no area has it. */
/* lab 7.4 */
static _Noreturn __cold void wrong_free(const char *who, const void *p)
{
	const char *fault = is_vmalloc_addr(p) ? "not the start of an area" : "not a vmalloc area";
	u64 irq = spin_lock_irq(&area_lock);

	for (const struct list *l = waiting.next; l != &waiting; l = l->next)
		if (area_start(list_entry(l, const struct vm_area, link)) == (u64)p)
			fault = "double free";
	spin_unlock_irq(&area_lock, irq);
	panic("%s: %s address=%p", who, fault, p);
}

static const char *const owners[] = {"vfree()", "vunmap()", "iounmap()"};

/* The area that starts there leaves the table, when it is of this kind. The lock is held, but for a
 * panic. */
static struct vm_area *area_take_locked(const char *who, const void *p, enum area_kind kind,
                                        struct hash_node ***part, u64 irq)
{
	struct hash_node *n = hash_find(&areas, (u64)p);
	struct vm_area *a = n != NULL ? container_of(n, struct vm_area, node) : NULL;

	if (unlikely(a == NULL || a->kind != kind)) {
		spin_unlock_irq(&area_lock, irq);
		if (a == NULL)
			wrong_free(who, p);
		panic("%s: an area for %s address=%p", who, owners[a->kind], p);
	}
	*part = hash_remove(&areas, n);
	counts.nr_areas--;
	counts.bytes -= a->bytes;
	counts.memory_bytes -= kind == AREA_PAGES ? a->bytes : 0;
	return a;
}

/* Unmaps all of it; the blocks of a small one are left to the caller. Returns the bytes. */
static u64 unmap_locked(const struct vm_area *a, struct page **blocks, u64 *irq)
{
	struct page_tables *pt = platform_page_tables();

	if (a->kind != AREA_PAGES)
		return pt_clear(pt, area_start(a), a->bytes, NULL, NULL);
	if (likely(a->bytes < HUGE_SIZE))
		return pt_take_blocks(pt, area_start(a), a->bytes >> PAGE_SHIFT, blocks)
		       << PAGE_SHIFT;
	spin_unlock_irq(&area_lock, *irq);
	unmap_large(a, a->bytes);
	*irq = spin_lock_irq(&area_lock);
	return a->bytes;
}

/* The record of the area is an object, which knows who asked for it. */
static __noinline void record_free(const struct vm_area *a)
{
	struct slab_object_info info;
	u32 tag = slab_object_of(a, &info) ? info.tag : EVENT_NO_SITE;

	event_bytes(EVENT_VFREE, area_start(a), a->bytes, EVENT_NO_CACHE, tag);
}

/* lab 7.4 */
static void area_free(const char *who, const void *p, enum area_kind kind)
{
	struct page *blocks = NULL;
	struct hash_node **part;
	struct vm_area *a;
	bool many;
	u64 irq;

	if (p == NULL)
		return;
	irq = spin_lock_irq(&area_lock);
	a = area_take_locked(who, p, kind, &part, irq);
	if (event_any() && kind == AREA_PAGES)
		record_free(a);
	platform_area_usable(area_start(a), a->bytes, 0);
	if (unlikely(unmap_locked(a, &blocks, &irq) != a->bytes)) {
		spin_unlock_irq(&area_lock, irq);
		not_as_it_was(a);
	}
	many = area_retire_locked(a);
	spin_unlock_irq(&area_lock, irq);
	free_blocks(blocks);
	if (unlikely(part != NULL))
		kfree(part);
	if (unlikely(many))
		(void)vmalloc_purge();
}

void vfree(const void *p)
{
	area_free("vfree", p, AREA_PAGES);
}

void *kvmalloc_tag(u64 size, gfp_t gfp, u32 tag)
{
	/* One page or less: what one cannot have, the other cannot either. */
	gfp_t first =
	    size <= PAGE_SIZE ? gfp : (gfp & ~__GFP_NOFAIL) | __GFP_NOWARN | __GFP_NORETRY;
	void *p = kmalloc_any(size, first, tag);

	if (p != NULL || size <= PAGE_SIZE || gfp & (__GFP_DMA | __GFP_DMA32))
		return p;
	return vmalloc_tag(size, gfp, tag);
}

void kvfree(const void *p)
{
	if (is_vmalloc_addr(p))
		vfree(p);
	else
		kfree(p);
}

/* --- windows --- */

void *vmap_tag(struct page *const pages[], size_t n, unsigned flags, u32 tag)
{
	struct vm_area *a;
	void *va;
	int error;
	u64 irq;

	if (n == 0 || n > VMALLOC_MAX_SIZE >> PAGE_SHIFT)
		return NULL;
	a = area_create(n << PAGE_SHIFT, 0, AREA_MAP, GFP_KERNEL, tag);
	if (a == NULL)
		return NULL;
	irq = spin_lock_irq(&area_lock);
	error = pt_map_pages(platform_page_tables(), area_start(a), pages, n,
	                     platform_page_bits(flags));
	va = publish_or_retire(a, error, irq, GFP_KERNEL);
	if (va != NULL)
		platform_area_usable((u64)va, n << PAGE_SHIFT, n << PAGE_SHIFT);
	return va;
}

void vunmap(const void *p)
{
	area_free("vunmap", p, AREA_MAP);
}

/* Whether the page allocator manages a page of [start, end). */
static bool has_managed_memory(u64 start, u64 end)
{
	for (u64 pfn = start >> PAGE_SHIFT; pfn < end >> PAGE_SHIFT; pfn++)
		if (page_block_of(pfn) != NULL)
			return true;
	return false;
}

void *ioremap_tag(u64 pa, u64 size, unsigned flags, u32 tag)
{
	u64 start = align_down(pa, PAGE_SIZE), end = align_up(pa + size, PAGE_SIZE), irq;
	struct vm_area *a;
	int error;
	char *va;

	if (size == 0 || pa + size < pa || end > PTE_ADDRESS || end - start > VMALLOC_MAX_SIZE ||
	    end < start)
		return NULL;
	if (has_managed_memory(start, end)) {
		log_warn("ioremap: [%#lx, %#lx) has memory of the page allocator", start, end);
		return NULL;
	}
	a = area_create(end - start, 0, AREA_DEVICE, GFP_KERNEL, tag);
	if (a == NULL)
		return NULL;
	irq = spin_lock_irq(&area_lock);
	error = pt_map(platform_page_tables(), area_start(a), start, end - start,
	               platform_page_bits(flags));
	va = publish_or_retire(a, error, irq, GFP_KERNEL);
	if (va != NULL)
		platform_area_usable((u64)va, end - start, end - start);
	return va != NULL ? va + (pa - start) : NULL;
}

void iounmap(const void *p)
{
	area_free("iounmap", (const void *)align_down((u64)p, PAGE_SIZE), AREA_DEVICE);
}

/* --- looking in --- */

void vmalloc_stats(struct vmalloc_stats *out)
{
	u64 irq = spin_lock_irq(&area_lock);

	*out = counts;
	spin_unlock_irq(&area_lock, irq);
}

static const char *check_area(const struct vm_area *a)
{
	const struct page_tables *pt = platform_page_tables();
	u64 start = area_start(a), pa;

	for (u64 at = 0; at < a->bytes; at += PAGE_SIZE)
		if (!pt_translate(pt, start + at, &pa))
			return "VM1: an area is not mapped whole";
	return pt_translate(pt, start + a->bytes, &pa) ? "VM1: a guard page is mapped" : NULL;
}

const char *vmalloc_check(void)
{
	u64 irq = spin_lock_irq(&area_lock), sum = counts.waiting_bytes, bytes = 0;
	const char *fault = NULL;

	for (u64 i = 0; i < areas.nr_buckets; i++)
		for (struct hash_node *n = *hash_bucket(&areas, i); n != NULL; n = n->next) {
			const struct vm_area *a = container_of(n, const struct vm_area, node);

			if (fault == NULL)
				fault = check_area(a);
			sum += a->size;
			bytes += a->bytes;
		}
	if (fault == NULL && (bytes != counts.bytes || sum != vmem_size(space, VMEM_ALLOC)))
		fault = "VM2: the areas are not what the arena has given out";
	spin_unlock_irq(&area_lock, irq);
	return fault;
}

void vmalloc_init(void)
{
	static struct shrinker shrinker = {.name = "vmalloc", .scan = give_waiting};

	hash_init(&areas, PAGE_SHIFT);
	memory_bits = platform_page_bits(VM_WRITE);
	list_init(&waiting);
	waiting_start = ~0ull;
	waiting_end = 0;
	counts = (struct vmalloc_stats){0};
	area_cache = kmem_cache_create("vm_area", sizeof(struct vm_area), 0, 0, NULL);
	space = vmem_create("vmalloc", PLATFORM_VMALLOC_BASE, PLATFORM_VMALLOC_SIZE, PAGE_SIZE,
	                    NULL, NULL, NULL, CACHED_SIZE_MAX, GFP_KERNEL);
	if (area_cache == NULL || space == NULL || platform_page_tables() == NULL)
		panic("vmalloc: no memory for its records");
	vmem_reap(space); /* as it is found again when nothing is in use */
	register_shrinker(&shrinker);
}
