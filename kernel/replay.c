/*
 * The replayer: the allocator's main job on real input, with a witness.
 *
 * A trace says what a program or a kernel asked of its allocator. Each operation is made here in
 * turn: k and m with kmalloc, r with krealloc, z with a kmalloc whose size is a power of two (which
 * aligns it) or a block of pages, c with a kmem_cache that the header or the first use creates, p
 * with alloc_pages, f with what fits the object.
 *
 * Each object is stamped with its id in its first and last bytes, and a free first looks whether
 * both are still there: two objects that overlap, or an allocator that writes into live memory, are
 * found at the next free.
 *
 *   R1  the sum of the sizes of the live slots is result->live_bytes, their number live_objects.
 *   R2  a slot is live from its allocation to its free even when the allocation failed (pointer
 * NULL): the trace goes on to free it.
 *
 * Cost: a table of 32 bytes an id, taken from the page allocator before the first measurement;
 * besides the allocator's own work a few dozen cycles an operation, which are not counted in
 * `cycles`.
 *
 * Does not do: threads. The `@` fields are read over, the operations happen on one CPU in file
 * order.
 */
#include <boot/boot_info.h>
#include <kernel/replay.h>
#include <kernel/trace.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>

#define MAX_CACHES 256u /* the largest recorded trace has 84 */
#define STAMP_BYTES sizeof(u64)

enum slot_kind { SLOT_EMPTY, SLOT_KMALLOC, SLOT_CACHE, SLOT_PAGES };

struct slot {
	char *object; /* NULL: the allocation failed, or has no bytes */
	u64 size;     /* as the trace says: what may be used */
	u32 kind;
	u32 detail; /* SLOT_CACHE: index into caches; SLOT_PAGES: order */
	u64 stamp;
};
static_assert(sizeof(struct slot) == 32, "the head comment gives the table's size");

struct cache {
	char name[TRACE_CACHE_NAME_MAX];
	u64 size;
	struct kmem_cache *cache;
};

struct replay {
	struct trace trace;
	struct replay_result *result;
	struct slot *slots;
	size_t slots_bytes;
	struct cache *caches;
	u32 nr_caches, last_cache;
	u64 before_objects, before_other_pages;
};

static int bad_line(struct replay *r, const char *why)
{
	if (r->result->error == NULL) {
		r->result->error = why;
		r->result->line = r->trace.line;
	}
	return -EINVAL;
}

static int fault(struct replay *r, const char *why)
{
	if (r->result->error == NULL)
		r->result->error = why;
	return -EFAULT;
}

/* --- stamps --- */

/* Different for each id and each use of it (splitmix64's multiplier spreads the bits). */
static u64 make_stamp(u64 id, u64 nr_ops)
{
	return (id + 1) * 0xbf58476d1ce4e5b9ull ^ nr_ops;
}

/* The stamp stands at both ends; in objects too small for two the second overlaps the first, or it
 * is cut. */
static void stamp(const struct slot *s)
{
	size_t n = s->size < STAMP_BYTES ? s->size : STAMP_BYTES;

	if (s->object == NULL || s->object == ZERO_SIZE_PTR)
		return;
	memcpy(s->object, &s->stamp, n);
	if (s->size >= 2 * STAMP_BYTES)
		memcpy(s->object + s->size - n, &s->stamp, n);
}

/* Whether the first `size` bytes hold the stamp, and at their end too if `both`. */
static bool has_stamp(const struct slot *s, u64 size, bool both)
{
	size_t n = size < STAMP_BYTES ? size : STAMP_BYTES;

	if (s->object == NULL || s->object == ZERO_SIZE_PTR)
		return true;
	if (memcmp(s->object, &s->stamp, n) != 0)
		return false;
	return !both || size < 2 * STAMP_BYTES || memcmp(s->object + size - n, &s->stamp, n) == 0;
}

static void verify(struct replay *r, const struct slot *s, u64 size, bool both)
{
	if (has_stamp(s, size, both))
		return;
	if (r->result->nr_corrupt++ == 0)
		log_error("replay: line %u: the content of object %zu at %p has changed",
		          r->trace.line, (size_t)(s - r->slots), (void *)s->object);
}

/* --- caches --- */

static struct cache *find_cache(struct replay *r, const char *name)
{
	/* Runs of one cache are common. */
	if (r->last_cache < r->nr_caches && strcmp(r->caches[r->last_cache].name, name) == 0)
		return &r->caches[r->last_cache];
	for (u32 i = 0; i < r->nr_caches; i++)
		if (strcmp(r->caches[i].name, name) == 0) {
			r->last_cache = i;
			return &r->caches[i];
		}
	return NULL;
}

static int add_cache(struct replay *r, const char *name, u64 size, u64 align)
{
	struct cache *c = &r->caches[r->nr_caches];

	if (r->nr_caches == MAX_CACHES)
		return bad_line(r, "more than 256 caches");
	if (size == 0 || size > SLAB_MAX_SIZE)
		return bad_line(r, "the cache's object size is not 1 to 262144 bytes");
	if (align != 0 && (!is_pow2(align) || align > PAGE_SIZE))
		return bad_line(r, "the cache's alignment is no power of two up to a page");
	c->cache = kmem_cache_create(name, size, align, 0, NULL);
	if (c->cache == NULL)
		return fault(r, "a cache could not be created");
	str_copy(c->name, name, sizeof(c->name));
	c->size = size;
	r->nr_caches++;
	return 0;
}

static int create_caches(struct replay *r)
{
	struct trace_cache cache;
	int found, err = 0;

	while (err == 0 && (found = trace_next_cache(&r->trace, &cache)) != 0) {
		if (found < 0)
			return bad_line(r, r->trace.error);
		if (find_cache(r, cache.name) != NULL)
			return bad_line(r, "the cache is there already");
		err = add_cache(r, cache.name, cache.size, cache.align);
	}
	return err;
}

/* --- operations --- */

/* From here to charge() is the allocator's time. */
static u64 clock(void)
{
	return cycles();
}

static void charge(struct replay *r, u64 start)
{
	r->result->cycles += cycles() - start;
}

static void count_live(struct replay *r, u64 size)
{
	r->result->live_bytes += size;
	if (r->result->live_bytes > r->result->peak_live_bytes)
		r->result->peak_live_bytes = r->result->live_bytes;
}

static int finish_alloc(struct replay *r, struct slot *s, u64 id, u64 align)
{
	struct replay_result *result = r->result;

	if (s->object == NULL)
		result->nr_failures++;
	else if (align > 1 && !is_aligned((u64)s->object, align) && result->nr_corrupt++ == 0)
		log_error("replay: line %u: %p is not aligned to %llu", r->trace.line,
		          (void *)s->object, (unsigned long long)align);
	s->stamp = make_stamp(id, result->nr_ops);
	stamp(s);
	result->nr_allocs++;
	result->live_objects++;
	count_live(r, s->size);
	return 0;
}

static int op_kmalloc(struct replay *r, struct slot *s, const struct trace_op *op)
{
	u64 start = clock();

	s->object = kmalloc(op->size, GFP_KERNEL | __GFP_NOWARN);
	charge(r, start);
	s->kind = SLOT_KMALLOC;
	s->size = op->size;
	return finish_alloc(r, s, op->id, 1);
}

static int alloc_block(struct replay *r, struct slot *s, u64 id, unsigned order, u64 size)
{
	u64 start = clock();
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	charge(r, start);
	s->object = page != NULL ? page_address(page) : NULL;
	s->kind = SLOT_PAGES;
	s->detail = order;
	s->size = size;
	return finish_alloc(r, s, id, PAGE_SIZE << order);
}

static int op_pages(struct replay *r, struct slot *s, const struct trace_op *op)
{
	if (op->order > MAX_ORDER)
		return bad_line(r, "the order is above 18");
	return alloc_block(r, s, op->id, (unsigned)op->order, PAGE_SIZE << op->order);
}

/* kmalloc aligns powers of two to themselves, up to a page; above that a block of pages does. */
static int op_aligned(struct replay *r, struct slot *s, const struct trace_op *op)
{
	u64 size = max_u64(max_u64(op->size, op->align), 1);

	if (!is_pow2(op->align) || size > PAGE_SIZE << MAX_ORDER)
		return bad_line(r, "the alignment is no power of two, or this is above 1 GiB");
	unsigned order = log2_ceil(size);

	if (op->align > PAGE_SIZE)
		return alloc_block(r, s, op->id, order - PAGE_SHIFT, op->size);
	u64 start = clock();

	s->object = kmalloc(1ull << order, GFP_KERNEL | __GFP_NOWARN);
	charge(r, start);
	s->kind = SLOT_KMALLOC;
	s->size = op->size;
	return finish_alloc(r, s, op->id, op->align);
}

static int op_cache(struct replay *r, struct slot *s, const struct trace_op *op)
{
	struct cache *c = find_cache(r, op->cache);

	if (c == NULL) {
		int err = add_cache(r, op->cache, op->size, 0);

		if (err != 0)
			return err;
		c = find_cache(r, op->cache);
	}
	if (c->size != op->size)
		return bad_line(r, "the cache's objects have another size");
	u64 start = clock();

	s->object = kmem_cache_alloc(c->cache, GFP_KERNEL | __GFP_NOWARN);
	charge(r, start);
	s->kind = SLOT_CACHE;
	s->detail = (u32)(c - r->caches);
	s->size = op->size;
	return finish_alloc(r, s, op->id, 1);
}

/* A failure leaves the object as it was; the trace goes on with the new size. Content up to the
 * smaller size must have moved along. */
static int op_realloc(struct replay *r, struct slot *s, const struct trace_op *op)
{
	if (s->kind != SLOT_KMALLOC)
		return bad_line(r, "r of an object that is not of kmalloc or malloc");
	u64 old_size = s->object != NULL ? s->size : 0;

	verify(r, s, s->size, true);
	u64 start = clock();
	char *moved = krealloc(s->object, op->size, GFP_KERNEL | __GFP_NOWARN);

	charge(r, start);
	r->result->nr_reallocs++;
	if (moved == NULL) {
		r->result->nr_failures++;
		kfree(s->object);
	}
	s->object = moved;
	verify(r, s, min_u64(old_size, op->size), false);
	r->result->live_bytes -= s->size;
	s->size = op->size;
	count_live(r, s->size);
	s->stamp = make_stamp(op->id, r->result->nr_ops);
	stamp(s);
	return 0;
}

static void release(struct replay *r, struct slot *s)
{
	verify(r, s, s->size, true);
	u64 start = clock();

	if (s->kind == SLOT_KMALLOC)
		kfree(s->object);
	else if (s->kind == SLOT_CACHE)
		kmem_cache_free(r->caches[s->detail].cache, s->object);
	else if (s->object != NULL)
		free_pages(virt_to_page(s->object), s->detail);
	charge(r, start);
	r->result->live_bytes -= s->size;
	r->result->live_objects--;
	s->kind = SLOT_EMPTY;
	s->object = NULL;
}

static int step(struct replay *r, const struct trace_op *op)
{
	struct slot *s = &r->slots[op->id];
	bool needs_live = op->kind == 'f' || op->kind == 'r';

	if (needs_live != (s->kind != SLOT_EMPTY))
		return bad_line(r, needs_live ? "the object is not live"
		                              : "the object is live already");
	r->result->nr_ops++;
	switch (op->kind) {
	case 'p':
		return op_pages(r, s, op);
	case 'z':
		return op_aligned(r, s, op);
	case 'c':
		return op_cache(r, s, op);
	case 'r':
		return op_realloc(r, s, op);
	case 'f':
		release(r, s);
		r->result->nr_frees++;
		return 0;
	default:
		return op_kmalloc(r, s, op);
	}
}

static int run_operations(struct replay *r)
{
	struct trace_op op;
	int found, err = 0;

	while (err == 0 && (found = trace_next(&r->trace, &op)) != 0)
		err = found < 0 ? bad_line(r, r->trace.error) : step(r, &op);
	if (err == 0 && r->result->nr_ops != r->trace.nr_ops)
		err = bad_line(r, "the text ends here, but the header counts other operations");
	if (err == 0 && r->result->peak_live_bytes != r->trace.peak_live_bytes)
		err = bad_line(r, "the peak of live bytes is not the one in the header");
	return err;
}

/* --- the whole --- */

/* Everything that caches hold back is given back first, so that the numbers are comparable. */
static void usage_now(struct mm_usage *u)
{
	slab_shrink_all();
	drain_cpu_pages();
	mm_usage(u);
}

static void measure_before(struct replay *r)
{
	struct mm_usage u;

	usage_now(&u);
	r->result->pages_before = u.used_pages;
	r->before_objects = u.live_objects;
	r->before_other_pages = u.used_pages - u.slab_pages;
	mm_reset_peak();
}

static void measure_peak(struct replay *r)
{
	struct mm_usage u;

	mm_usage(&u);
	r->result->peak_pages = u.peak_used_pages - r->result->pages_before;
}

static void measure_after(struct replay *r)
{
	struct mm_usage u;

	usage_now(&u);
	r->result->pages_after = u.used_pages;
	r->result->lost_objects = u.live_objects - r->before_objects;
	r->result->lost_pages = u.used_pages - u.slab_pages - r->before_other_pages;
}

static int free_all(struct replay *r)
{
	u64 live_bytes = r->result->live_bytes, live_objects = r->result->live_objects;
	u64 time = r->result->cycles;
	int err = 0;

	for (u64 i = 0; i < r->trace.nr_ids; i++)
		if (r->slots[i].kind != SLOT_EMPTY)
			release(r, &r->slots[i]);
	for (u32 i = 0; i < r->nr_caches; i++)
		if (kmem_cache_destroy(r->caches[i].cache) != 0)
			err = fault(r, "a cache could not be destroyed: objects were lost");
	r->result->live_bytes = live_bytes;
	r->result->live_objects = live_objects;
	r->result->cycles = time;
	return err;
}

static int judge(struct replay *r)
{
	struct replay_result *result = r->result;
	const char *broken = mm_check();

	if (result->nr_corrupt > 0)
		return fault(r, "objects had lost their content or alignment");
	if (result->lost_objects != 0 || result->lost_pages != 0)
		return fault(r, "memory is still in use after everything was freed");
	if (broken != NULL)
		return fault(r, broken);
	if (result->nr_failures > 0)
		return fault(r, "allocations failed: the machine has too little memory");
	return 0;
}

static int with_tables(struct replay *r)
{
	int err, verdict;

	memset(r->slots, 0, r->slots_bytes);
	measure_before(r);
	err = create_caches(r);
	if (err == 0)
		err = run_operations(r);
	measure_peak(r);
	verdict = free_all(r);
	measure_after(r);
	if (verdict == 0)
		verdict = judge(r);
	return err != 0 ? err : verdict;
}

int replay_text(const char *text, size_t length, struct replay_result *result)
{
	struct replay r = {.result = result};
	size_t caches_bytes = MAX_CACHES * sizeof(struct cache);
	int err;

	memset(result, 0, sizeof(*result));
	if (trace_open(&r.trace, text, length) != 0)
		return bad_line(&r, r.trace.error);
	r.slots_bytes = max_u64(r.trace.nr_ids, 1) * sizeof(struct slot);
	r.slots = alloc_pages_exact(r.slots_bytes, GFP_KERNEL | __GFP_NOWARN);
	r.caches = alloc_pages_exact(caches_bytes, GFP_KERNEL | __GFP_NOWARN);
	if (r.slots != NULL && r.caches != NULL) {
		err = with_tables(&r);
	} else {
		result->error = "no memory for the table of live objects";
		err = -ENOMEM;
	}
	if (r.caches != NULL)
		free_pages_exact(r.caches, caches_bytes);
	if (r.slots != NULL)
		free_pages_exact(r.slots, r.slots_bytes);
	return err;
}

/* --- the report --- */

static void print_number(const char *key, u64 value)
{
	kprintf("replay: %s %llu\n", key, (unsigned long long)value);
}

static void print_summary(const struct replay_result *r)
{
	u64 peak_bytes = r->peak_pages * PAGE_SIZE;
	s64 overhead = (s64)(peak_bytes - r->peak_live_bytes);
	u64 tenths = r->peak_live_bytes == 0 || overhead < 0
	                 ? 0
	                 : (u64)overhead / (r->peak_live_bytes / 1000 + 1);

	print_number("operations", r->nr_ops);
	print_number("allocations", r->nr_allocs);
	print_number("frees", r->nr_frees);
	print_number("reallocations", r->nr_reallocs);
	print_number("failures", r->nr_failures);
	print_number("corrupted-objects", r->nr_corrupt);
	print_number("peak-live-bytes", r->peak_live_bytes);
	print_number("peak-pages", r->peak_pages);
	kprintf("replay: overhead-bytes %lld\n", (long long)overhead);
	kprintf("replay: overhead-percent %llu.%llu\n", (unsigned long long)tenths / 10,
	        (unsigned long long)tenths % 10);
	print_number("left-objects", r->live_objects);
	print_number("left-bytes", r->live_bytes);
	print_number("pages-before", r->pages_before);
	print_number("pages-after", r->pages_after);
	kprintf("replay: lost-objects %lld\n", (long long)r->lost_objects);
	kprintf("replay: lost-pages %lld\n", (long long)r->lost_pages);
	print_number("cycles-per-operation", r->nr_ops == 0 ? 0 : r->cycles / r->nr_ops);
}

static void print_verdict(const struct replay_result *r, int err)
{
	if (err == 0)
		kprintf("replay: result PASS\n");
	else if (r->line != 0)
		kprintf("replay: result FAIL: line %u: %s\n", r->line, r->error);
	else
		kprintf("replay: result FAIL: %s\n", r->error);
}

int replay_run(const struct boot_info *info, const char *engine)
{
	struct replay_result result;

	if (strcmp(engine, "kmalloc") != 0) {
		kprintf("replay: result FAIL: no engine \"%s\"; there is: kmalloc\n", engine);
		return -EINVAL;
	}
	if (info->nr_modules == 0) {
		kprintf("replay: result FAIL: no trace: give the file as the first boot module "
		        "(make replay TRACE=file)\n");
		return -ENOENT;
	}
	const struct boot_module *m = &info->module[0];

	kprintf("replay: trace %s, %llu bytes\n", m->name, (unsigned long long)m->length);
	int err = replay_text(phys_to_virt(m->base), m->length, &result);

	if (result.nr_ops > 0)
		print_summary(&result);
	print_verdict(&result, err);
	return err;
}
