/*
 * Arenas: integer ranges handed out in pieces, whatever the integers mean.
 *
 * 1. The idea (Bonwick and Adams, "Magazines and Vmem", USENIX 2001). Every segment, free or
 * allocated, has a boundary tag outside the resource (Knuth, TAOCP 1, 2.5), so that what is handed
 * out may be ids as well as memory. Tags of neighbours are linked: a free merges in O(1). Free
 * segments stand on lists by power of two with a mask of those not empty: an allocation is a bit
 * scan. Allocated ones are in a table by start: a free needs the address alone, and is believed
 * only when start and size are right.
 *
 * 2. Spans. An arena's numbers come in spans, added by hand or imported from a source when it runs
 * out; an imported span goes back when all of it is free. Segments never merge across spans.
 *
 * 3. Quantum caches. The small sizes come from per-CPU magazines over slabs of 64 quanta, each a
 * segment of the arena: vmem_quantum.c.
 *
 * 4. Files: boundary tags (vmem_seg.c), the table (vmem_hash.c), the choice of a segment
 * (vmem_fit.c), the check with the invariants V1 … (vmem_check.c). This one has arenas, spans, and
 * the ways in and out.
 *
 * Cost: allocation and free are O(1), whatever the number of segments: no list is walked, no table
 * is moved. The exceptions are those of vmem_fit.c: best fit, next fit, limits, and an arena whose
 * only fitting segments are less than twice the size. docs/vmem.md has the figures.
 *
 * Locks: the arena's guards its tags and lists; a source is asked, and memory allocated, outside
 * it.
 */
#include "vmem_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#define VMEM_MAGIC 0x6d656d76u /* "vmem" */

static struct list arenas = LIST_INIT(arenas);
static struct spinlock arenas_lock = SPINLOCK_INIT("vmem arenas");

void vmem_init(void)
{
	list_init(&arenas);
	seg_cache_init();
	quantum_init();
}

/* --- arenas --- */

static const char *bad_arena(const char *name, u64 quantum, bool imports, bool gives_back,
                             const void *source, u64 qcache_max)
{
	if (name == NULL || name[0] == '\0')
		return "no name";
	if (!is_pow2(quantum) || quantum > 1ull << 56)
		return "the quantum is no power of two";
	if (imports != gives_back || (imports && source == NULL))
		return "import without a source, or without a way back";
	if (qcache_max % quantum != 0 || qcache_max / quantum > VMEM_QCACHE_QUANTA)
		return "impossible size of the quantum caches";
	return NULL;
}

static u64 import_from_arena(void *source, u64 size, gfp_t flags)
{
	return vmem_alloc((struct vmem *)source, size, flags);
}

static void release_to_arena(void *source, u64 addr, u64 size)
{
	vmem_free(source, addr, size);
}

static void arena_setup(struct vmem *v, const char *name, u64 quantum)
{
	memset(v, 0, sizeof(*v));
	spin_init(&v->lock, "vmem");
	v->magic = VMEM_MAGIC;
	str_copy(v->name, name, sizeof(v->name));
	v->quantum = quantum;
	v->shift = lowest_bit(quantum);
	for (unsigned i = 0; i < ARRAY_SIZE(v->free_list); i++)
		list_init(&v->free_list[i]);
	list_init(&v->head.link);
	v->head.type = SEG_SPAN;
	hash_init(&v->hash, v->shift);
	list_init(&v->spare);
	for (unsigned i = 0; i < SEGS_NEEDED; i++)
		list_push_back(&v->spare, &v->first_segs[i].link);
	v->nr_spare = SEGS_NEEDED;
}

static void arena_enlist(struct vmem *v)
{
	u64 irq = spin_lock_irq(&arenas_lock);

	list_push_back(&arenas, &v->link);
	spin_unlock_irq(&arenas_lock, irq);
}

struct vmem *vmem_create(const char *name, u64 base, u64 size, u64 quantum, vmem_import import,
                         vmem_release release, void *source, u64 qcache_max, gfp_t flags)
{
	const char *fault =
	    bad_arena(name, quantum, import != NULL, release != NULL, source, qcache_max);
	struct vmem *v;

	if (fault != NULL) {
		log_warn("vmem: cannot create an arena: %s name=%s quantum=%#lx qcache_max=%#lx",
		         fault, name ? name : "(null)", quantum, qcache_max);
		return NULL;
	}
	v = kmalloc(sizeof(*v), flags & __GFP_ALL);
	if (v == NULL)
		return NULL;
	arena_setup(v, name, quantum);
	v->source = source;
	v->import = source != NULL && import == NULL ? import_from_arena : import;
	v->release = source != NULL && release == NULL ? release_to_arena : release;
	v->qcache_max = qcache_max;
	if ((size != 0 && vmem_add(v, base, size, flags) != 0) ||
	    (qcache_max != 0 && !quantum_create(v, flags))) {
		kfree(v); /* all its tags are its own */
		return NULL;
	}
	arena_enlist(v);
	return v;
}

static void check_is_arena(const struct vmem *v)
{
	if (unlikely(v->magic != VMEM_MAGIC))
		panic("vmem: not an arena, or destroyed before arena=%p", (const void *)v);
}

enum { LEAKS_SHOWN = 8 };

static void show_leak(void *context, unsigned kind, u64 addr, u64 size, u32 tag)
{
	unsigned *nr = context;
	char site[96];

	if (kind == VMEM_ALLOC && ++*nr <= LEAKS_SHOWN)
		log_error("vmem:   addr=%#lx size=%#lx from %s", addr, size, site_name(site, tag));
}

/* What users hold. */
static bool has_live_segments(struct vmem *v)
{
	unsigned nr = 0;

	if (vmem_size(v, VMEM_ALLOC) == 0)
		return false;
	log_error("vmem: arena %s not destroyed: %#lx of %#lx are allocated", v->name,
	          vmem_size(v, VMEM_ALLOC), v->size);
	vmem_walk(v, VMEM_ALLOC, show_leak, &nr);
	if (nr > LEAKS_SHOWN)
		log_error("vmem:   and %u more", nr - LEAKS_SHOWN);
	return true;
}

int vmem_destroy(struct vmem *v)
{
	u64 irq;

	if (v == NULL)
		return 0;
	check_is_arena(v);
	if (v->quantum_caches != NULL)
		quantum_drain(v);
	if (has_live_segments(v))
		return -EBUSY;
	irq = spin_lock_irq(&arenas_lock);
	list_remove(&v->link);
	spin_unlock_irq(&arenas_lock, irq);
	v->magic = 0;
	if (v->quantum_caches != NULL)
		quantum_destroy(v);
	hash_finish(&v->hash);
	seg_free_all(v);
	kfree(v);
	return 0;
}

/* --- spans --- */

static bool overlaps_locked(struct vmem *v, u64 base, u64 size)
{
	for_each_seg(s, v) if (s->type == SEG_SPAN && base < s->end &&
	                       seg_start(s) < base + size) return true;
	return false;
}

int vmem_add(struct vmem *v, u64 base, u64 size, gfp_t flags)
{
	VMEM_LEFTOVERS(left);
	int error = 0;
	u64 irq;

	check_is_arena(v);
	if (base == 0 || size == 0 || !is_aligned(base | size, v->quantum) || base + size <= base)
		return -EINVAL;
	irq = vmem_lock_prepared(v, flags);
	if (overlaps_locked(v, base, size))
		error = -EEXIST;
	else if (seg_add_span_locked(v, base, size, false) == NULL)
		error = -ENOMEM;
	vmem_unlock(v, irq, &left);
	return error;
}

/* --- alloc --- */

static u64 take_locked(struct vmem *v, struct vmem_seg *s, u64 at, u64 size, u8 type, u32 tag,
                       gfp_t flags)
{
	s = seg_cut_locked(v, s, at, size, type, tag);
	if (unlikely(s == NULL))
		return 0;
	if (flags & VM_NEXTFIT) {
		v->rotor = s;
		v->next = s->end;
	}
	return at;
}

/* A span from the source, and the segment from it, before anybody else can have it. */
static u64 alloc_imported(struct vmem *v, const struct vmem_request *r, gfp_t flags, u8 type,
                          u32 tag)
{
	u64 size = fit_import_size(v, r), base, at = 0, irq;
	VMEM_LEFTOVERS(left);
	struct vmem_seg *s;

	if (v->import == NULL || size == 0 || r->min != 0 || r->max != ~0ull)
		return 0;
	base = v->import(v->source, size, flags & __GFP_ALL & ~__GFP_NOFAIL);
	if (base == 0)
		return 0;
	assert(is_aligned(base, v->quantum) && base + size > base);
	irq = vmem_lock_prepared(v, flags);
	s = v->nr_spare >= SEGS_NEEDED ? seg_add_span_locked(v, base, size, true) : NULL;
	if (s != NULL) {
		at = take_locked(v, s, fit_in(r, base, base + size), r->size, type, tag, flags);
	} else {
		left.span = base;
		left.span_size = size;
	}
	vmem_unlock(v, irq, &left);
	return at;
}

static u64 alloc_here(struct vmem *v, const struct vmem_request *r, gfp_t flags, u8 type, u32 tag)
{
	u64 irq = vmem_lock_prepared(v, flags), at;
	struct vmem_seg *s = fit_find_locked(v, r, flags, &at);

	at = s != NULL ? take_locked(v, s, at, r->size, type, tag, flags) : 0;
	spin_unlock_irq(&v->lock, irq);
	return at;
}

u64 vmem_arena_alloc(struct vmem *v, const struct vmem_request *r, gfp_t flags, u8 type, u32 tag)
{
	u64 at = alloc_here(v, r, flags, type, tag);

	return likely(at != 0) ? at : alloc_imported(v, r, flags, type, tag);
}

/* What idles in the quantum caches may be what is missing. */
static __noinline u64 alloc_with_effort(struct vmem *v, const struct vmem_request *r, gfp_t flags,
                                        u32 tag)
{
	u64 at = 0;

	if (v->quantum_caches != NULL && flags & __GFP_RECLAIM && !(flags & __GFP_NORETRY)) {
		vmem_reap(v);
		at = vmem_arena_alloc(v, r, flags, SEG_ALLOC, tag);
	}
	if (at == 0) {
		__atomic_fetch_add(&v->nr_failures, 1, __ATOMIC_RELAXED);
		if (flags & __GFP_NOFAIL)
			panic("vmem: nothing left and may not fail arena=%s size=%#lx", v->name,
			      r->size);
	}
	return at;
}

static u64 alloc_request(struct vmem *v, const struct vmem_request *r, gfp_t flags, u32 tag)
{
	u64 at = vmem_arena_alloc(v, r, flags, SEG_ALLOC, tag);

	return likely(at != 0) ? at : alloc_with_effort(v, r, flags, tag);
}

static __noinline u64 impossible(const struct vmem *v, const char *why, u64 size, gfp_t flags)
{
	if (!(flags & __GFP_NOWARN))
		log_warn("vmem: impossible request: %s arena=%s size=%#lx", why, v->name, size);
	return 0;
}

/* What the hot way did not do. */
static __noinline u64 alloc_slowly(struct vmem *v, u64 size, gfp_t flags, u32 tag)
{
	struct vmem_request r = {
	    .size = align_up(size, v->quantum), .align = v->quantum, .max = ~0ull};
	u64 at = 0;

	check_is_arena(v);
	if (size - 1 < v->qcache_max)
		at = quantum_alloc(v, (unsigned)((size - 1) >> v->shift) + 1, flags, tag);
	if (at != 0)
		return at;
	if (unlikely(r.size == 0))
		return impossible(v, size == 0 ? "size 0" : "the size wraps", size, flags);
	return alloc_request(v, &r, flags, tag);
}

u64 vmem_alloc_tag(struct vmem *v, u64 size, gfp_t flags, u32 tag)
{
	if (likely(size - 1 < v->qcache_max)) {
		u64 at = quantum_pop(v, (unsigned)((size - 1) >> v->shift) + 1, tag);

		if (likely(at != 0))
			return at;
	}
	return alloc_slowly(v, size, flags, tag);
}

static const char *bad_request(const struct vmem *v, const struct vmem_request *r)
{
	if (r->size == 0)
		return "size 0, or it wraps";
	if (!is_pow2(r->align) || r->phase >= r->align || r->phase % v->quantum != 0)
		return "alignment no power of two, or phase beyond it or not of whole quanta";
	if (r->nocross != 0 && (!is_pow2(r->nocross) || r->nocross < r->size))
		return "nocross no power of two, or below the size";
	if (r->nocross != 0 && (r->phase & (r->nocross - 1)) + r->size > r->nocross)
		return "phase and nocross exclude each other";
	if (r->max < r->min || r->max - r->min < r->size)
		return "limits with no room between";
	return NULL;
}

u64 vmem_xalloc_tag(struct vmem *v, const struct vmem_request *asked, gfp_t flags, u32 tag)
{
	struct vmem_request r = *asked;
	const char *fault;

	check_is_arena(v);
	r.size = align_up(r.size, v->quantum);
	if (r.align == 0 || (is_pow2(r.align) && r.align < v->quantum))
		r.align = v->quantum;
	fault = bad_request(v, &r);
	if (unlikely(fault != NULL))
		return impossible(v, fault, asked->size, flags);
	return alloc_request(v, &r, flags, tag);
}

/* --- free --- */

struct search {
	u64 addr;
	const char *found;
};

static void explain(void *context, unsigned kind, u64 addr, u64 size, u32 tag)
{
	struct search *search = context;

	(void)tag;
	if (search->addr - addr >= size || search->found != NULL)
		return;
	if (kind == VMEM_FREE)
		search->found = "double free";
	else if (kind == VMEM_ALLOC)
		search->found = search->addr == addr ? "wrong size" : "inside a segment";
	else
		search->found = "the quantum caches have it";
}

static _Noreturn __cold __noinline void wrong_free(struct vmem *v, u64 addr, u64 size)
{
	struct search search = {addr, NULL};

	check_is_arena(v);
	vmem_walk(v, VMEM_FREE | VMEM_ALLOC | VMEM_QCACHE, explain, &search);
	panic("vmem: %s arena=%s addr=%#lx size=%#lx",
	      search.found != NULL ? search.found : "free of what no span holds", v->name, addr,
	      size);
}

void vmem_arena_free(struct vmem *v, u64 addr, u64 size, u8 type)
{
	u64 irq = spin_lock_irq(&v->lock);
	struct hash_node *n = hash_find(&v->hash, addr);
	struct vmem_seg *s = n != NULL ? container_of(n, struct vmem_seg, node) : NULL;
	VMEM_LEFTOVERS(left);

	if (unlikely(s == NULL || seg_size(s) != size || s->type != type)) {
		spin_unlock_irq(&v->lock, irq);
		wrong_free(v, addr, size);
	}
	seg_free_locked(v, s, &left);
	vmem_unlock(v, irq, &left);
}

void vmem_xfree(struct vmem *v, u64 addr, u64 size)
{
	vmem_arena_free(v, addr, align_up(size, v->quantum), SEG_ALLOC);
}

void vmem_free(struct vmem *v, u64 addr, u64 size)
{
	if (likely(size - 1 < v->qcache_max)) {
		if (unlikely(!quantum_push(v, addr, (unsigned)((size - 1) >> v->shift) + 1)))
			quantum_free(v, addr, size);
	} else {
		vmem_arena_free(v, addr, align_up(size, v->quantum), SEG_ALLOC);
	}
}

void vmem_reap(struct vmem *v)
{
	if (v->quantum_caches != NULL) {
		(void)platform_on_other_cpus(vmem_reap_here);
		quantum_flush_here(v);
		quantum_release_empty(v);
	}
	seg_settle(v);
}

void vmem_reap_here(void)
{
	u64 irq = spin_lock_irq(&arenas_lock);
	struct vmem *v;

	list_for_each(v, &arenas, link) {
		if (v->quantum_caches != NULL)
			quantum_flush_here(v);
	}
	spin_unlock_irq(&arenas_lock, irq);
}

/* --- looking in --- */

u64 vmem_size(struct vmem *v, unsigned kinds)
{
	u64 idle = v->quantum_caches != NULL ? quantum_idle(v) : 0;
	u64 irq = spin_lock_irq(&v->lock);
	u64 used = v->in_use - min_u64(idle, v->in_use), size = v->size;

	spin_unlock_irq(&v->lock, irq);
	return (kinds & VMEM_ALLOC ? used : 0) + (kinds & VMEM_FREE ? size - used : 0);
}

static unsigned kind_of(const struct vmem_seg *s)
{
	static const u8 kinds[] = {[SEG_SPAN] = VMEM_SPAN,
	                           [SEG_FREE] = VMEM_FREE,
	                           [SEG_ALLOC] = VMEM_ALLOC,
	                           [SEG_SLAB] = VMEM_QCACHE};
	return kinds[s->type];
}

void vmem_walk(struct vmem *v, unsigned kinds, vmem_visitor visit, void *context)
{
	u64 irq = spin_lock_irq(&v->lock);

	for_each_seg(s, v)
	{
		if (kind_of(s) & kinds)
			visit(context, kind_of(s), seg_start(s), seg_size(s), s->tag);
		if (s->type == SEG_SLAB && kinds & VMEM_ALLOC)
			quantum_visit_live(v, seg_start(s), visit, context);
	}
	spin_unlock_irq(&v->lock, irq);
}

void vmem_stats(struct vmem *v, struct vmem_stats *out)
{
	u64 idle = v->quantum_caches != NULL ? quantum_idle(v) : 0;
	u64 irq = spin_lock_irq(&v->lock);

	*out = (struct vmem_stats){
	    .name = v->name,
	    .quantum = v->quantum,
	    .qcache_max = v->qcache_max,
	    .size = v->size,
	    .allocated = v->in_use,
	    .idle = idle,
	    .largest_free = v->nonempty ? 1ull << highest_bit(v->nonempty) : 0,
	    .nr_spans = v->nr_spans,
	    .nr_free = v->nr_free,
	    .nr_allocated = v->hash.nr,
	    .nr_failures = v->nr_failures,
	};
	spin_unlock_irq(&v->lock, irq);
}

struct vmem *vmem_next(const struct vmem *v)
{
	u64 irq = spin_lock_irq(&arenas_lock);
	struct list *next = v != NULL ? v->link.next : arenas.next;

	spin_unlock_irq(&arenas_lock, irq);
	return next == &arenas ? NULL : list_entry(next, struct vmem, link);
}
