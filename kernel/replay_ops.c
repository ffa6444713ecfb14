/*
 * The replayer's hands: each operation of a trace, made on the memory manager, with a witness.
 *
 * k and m are made with kmalloc, r with krealloc, z with a kmalloc whose size is a power of two
 * (which aligns it) or a block of pages, c with a kmem_cache that the header or the first use
 * creates, p with alloc_pages, f with what fits the object.
 *
 * Each object is stamped with its id in its first and last bytes, and a free or realloc first looks
 * whether both are still there: two objects that overlap, or an allocator that writes into live
 * memory, are found at the next free.
 *
 *   R1  the sum of the sizes of the live slots is result->live_bytes, their number live_objects.
 *   R2  a slot is live from its allocation to its free even when the allocation failed (object
 *       NULL): the trace goes on to free it.
 *
 * Cost: besides the allocator's own work a few dozen cycles an operation, which `cycles` does not
 * count; the clock's own cost is taken off.
 *
 * Does not do: threads. The `@` fields are read over, the operations happen on one CPU in file
 * order.
 */
#include <kernel/replay_ops.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>

#define STAMP_BYTES sizeof(u64)

int replay_bad_line(struct replay *r, const char *why)
{
	if (r->result->error == NULL) {
		r->result->error = why;
		r->result->line = r->trace.line;
	}
	return -EINVAL;
}

int replay_fault(struct replay *r, const char *why)
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

static bool verify(struct replay *r, const struct slot *s, u64 size, bool both)
{
	if (has_stamp(s, size, both))
		return true;
	if (r->result->nr_corrupt++ == 0)
		log_error("replay: line %u: the content of object %zu at %p has changed",
		          r->trace.line, (size_t)(s - r->slots), (void *)s->object);
	return false;
}

/* --- caches --- */

static struct replay_cache *find_cache(struct replay *r, const char *name)
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
	struct replay_cache *c = &r->caches[r->nr_caches];

	if (r->nr_caches == REPLAY_MAX_CACHES)
		return replay_bad_line(r, "more than 256 caches");
	if (size == 0 || size > SLAB_MAX_SIZE)
		return replay_bad_line(r, "the cache's object size is not 1 to 262144 bytes");
	if (align != 0 && (!is_pow2(align) || align > PAGE_SIZE))
		return replay_bad_line(r, "the cache's alignment is no power of two up to a page");
	c->cache = kmem_cache_create(name, size, align, 0, NULL);
	if (c->cache == NULL)
		return replay_fault(r, "a cache could not be created");
	str_copy(c->name, name, sizeof(c->name));
	c->size = size;
	r->nr_caches++;
	return 0;
}

int replay_create_caches(struct replay *r)
{
	struct trace_cache cache;
	int found, err = 0;

	while (err == 0 && (found = trace_next_cache(&r->trace, &cache)) != 0) {
		if (found < 0)
			return replay_bad_line(r, r->trace.error);
		if (find_cache(r, cache.name) != NULL)
			return replay_bad_line(r, "the cache is there already");
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

/* What clock() and charge() measure with nothing between them: the least of a few tries. */
u64 replay_clock_cost(void)
{
	u64 least = ~0ull;

	for (unsigned i = 0; i < 7; i++) {
		u64 start = clock();

		least = min_u64(least, clock() - start);
	}
	return least;
}

static void charge(struct replay *r, u64 start)
{
	u64 spent = clock() - start;

	r->result->cycles += spent - min_u64(spent, r->clock_cost);
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
		return replay_bad_line(r, "the order is above 18");
	return alloc_block(r, s, op->id, (unsigned)op->order, PAGE_SIZE << op->order);
}

/* kmalloc aligns powers of two to themselves, up to a page; above that a block of pages does. */
static int op_aligned(struct replay *r, struct slot *s, const struct trace_op *op)
{
	u64 size = max_u64(max_u64(op->size, op->align), 1);

	if (!is_pow2(op->align) || size > PAGE_SIZE << MAX_ORDER)
		return replay_bad_line(r,
		                       "the alignment is no power of two, or this is above 1 GiB");
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
	struct replay_cache *c = find_cache(r, op->cache);

	if (c == NULL) {
		int err = add_cache(r, op->cache, op->size, 0);

		if (err != 0)
			return err;
		c = find_cache(r, op->cache);
	}
	if (c->size != op->size)
		return replay_bad_line(r, "the cache's objects have another size");
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
		return replay_bad_line(r, "r of an object that is not of kmalloc or malloc");
	u64 old_size = s->object != NULL ? s->size : 0;
	bool is_whole = verify(r, s, s->size, true);
	u64 start = clock();
	char *moved = krealloc(s->object, op->size, GFP_KERNEL | __GFP_NOWARN);

	charge(r, start);
	r->result->nr_reallocs++;
	if (moved == NULL) {
		r->result->nr_failures++;
		kfree(s->object);
	}
	s->object = moved;
	if (is_whole)
		(void)verify(r, s, min_u64(old_size, op->size), false);
	r->result->live_bytes -= s->size;
	s->size = op->size;
	count_live(r, s->size);
	s->stamp = make_stamp(op->id, r->result->nr_ops);
	stamp(s);
	return 0;
}

static void release(struct replay *r, struct slot *s)
{
	(void)verify(r, s, s->size, true);
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

int replay_step(struct replay *r, const struct trace_op *op)
{
	struct slot *s = &r->slots[op->id];
	bool needs_live = op->kind == 'f' || op->kind == 'r';

	if (needs_live != (s->kind != SLOT_EMPTY))
		return replay_bad_line(r, needs_live ? "the object is not live"
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

int replay_operations(struct replay *r)
{
	struct trace_op op;
	int found, err = 0;

	while (err == 0 && (found = trace_next(&r->trace, &op)) != 0)
		err = found < 0 ? replay_bad_line(r, r->trace.error) : replay_step(r, &op);
	if (err == 0 && r->result->nr_ops != r->trace.nr_ops)
		err = replay_bad_line(r,
		                      "the text ends here, but the header counts other operations");
	if (err == 0 && r->result->peak_live_bytes != r->trace.peak_live_bytes)
		err = replay_bad_line(r, "the peak of live bytes is not the one in the header");
	return err;
}

int replay_free_all(struct replay *r)
{
	u64 live_bytes = r->result->live_bytes, live_objects = r->result->live_objects;
	u64 time = r->result->cycles;
	int err = 0;

	for (u64 i = 0; i < r->trace.nr_ids; i++)
		if (r->slots[i].kind != SLOT_EMPTY)
			release(r, &r->slots[i]);
	for (u32 i = 0; i < r->nr_caches; i++)
		if (kmem_cache_destroy(r->caches[i].cache) != 0)
			err = replay_fault(r, "a cache could not be destroyed: objects were lost");
	r->result->live_bytes = live_bytes;
	r->result->live_objects = live_objects;
	r->result->cycles = time;
	return err;
}
