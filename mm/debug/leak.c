/*
 * The leak finder: marks what the roots lead to, and reports the rest. See mm/leak.h.
 *
 * 1. Marks. A live object's tag has its highest bit set once something was found that leads to it
 *    (the head of a large kmalloc: the highest bit of its site). A marked tag still counts as live,
 *    and all marks are gone when the scan ends. Nobody else reads or writes tags meanwhile: the
 *    scan runs alone on the machine (platform_alone()).
 *
 * 2. The work list is an array that is there from the beginning. An object that finds it full stays
 *    marked and unread; then, when the list is empty, every marked object is read again, and so on
 *    until a round finds the list never full (Boehm's overflow, 1988). So any shape of heap is
 *    followed with 8 KiB, and a chain of any length needs one entry.
 *
 * 3. Blocks of alloc_pages() are roots as they stand, since they have no tags to say who uses them;
 *    but for those that are passed by, stacks above all, where old words would keep old objects.
 *
 * Invariant: LK1  before and after a scan no tag has the mark, and no head's flags are set.
 *
 * Cost: O(words of roots and live objects), with interrupts off.
 */
#include "../slab_internal.h"
#include "blocks.h"
#include "guard_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/leak.h>

#define MARK ((u16)TAG_MARK)
#define SITE_MARK (1u << 31)
#define PASSED_BY 1 /* in struct page's flags, during a scan */
#define WORK_MAX 512u

struct leak_scan {
	leak_roots roots;
	struct leak_report *out;
	unsigned nr_work;
	bool overflowed;
	u64 nr_marked;
};

/* Not in the scan itself, which lies on a stack; emptied, so that no old entry leads anywhere. */
static struct work {
	const u64 *start, *end;
} work[WORK_MAX];

/* --- marking --- */

/* Of what was just marked. */
static void add_work(struct leak_scan *s, const void *start, u64 bytes)
{
	const u64 *first = start;

	s->nr_marked++;
	if (s->nr_work == WORK_MAX)
		s->overflowed = true;
	else
		work[s->nr_work++] = (struct work){first, first + bytes / sizeof(u64)};
}

static void mark_object(struct leak_scan *s, struct slab *slab, u64 address)
{
	struct kmem_cache *c = slab->cache;
	u64 index = (address - slab->base) / c->stride;
	u16 *tag;

	if (index >= c->nr_objects || (c->flags & SLAB_INTERNAL))
		return;
	tag = &slab->tag[index];
	if (*tag < TAG_FIRST_SITE || (*tag & MARK))
		return;
	*tag |= MARK;
	add_work(s, slab_object(c, slab, (u32)index), c->size);
}

static void mark_large(struct leak_scan *s, u64 address)
{
	struct page *head = page_block_of(virt_to_phys((void *)address) >> PAGE_SHIFT);

	if (head == NULL || head->type != PAGE_LARGE || (head->site & SITE_MARK))
		return;
	head->site |= SITE_MARK;
	add_work(s, large_address(head), head->bytes);
}

static void follow(struct leak_scan *s, u64 word)
{
	struct slab *slab;

	if (!is_direct_map((void *)word))
		return;
	slab = slab_of((void *)word);
	if (slab != NULL)
		mark_object(s, slab, word);
	else
		mark_large(s, word);
}

/* Words of a stack are read past the sanitizer's marks. */
__attribute__((no_sanitize("address"))) static void read_words(struct leak_scan *s, const u64 *at,
                                                               const u64 *end)
{
	for (; at < end; at++)
		follow(s, *at);
}

static void do_work(struct leak_scan *s)
{
	while (s->nr_work != 0) {
		struct work w = work[--s->nr_work];

		work[s->nr_work] = (struct work){NULL, NULL};
		read_words(s, w.start, w.end);
	}
}

/* What these words lead to, and all that leads to. */
static void read_all(struct leak_scan *s, const u64 *start, const u64 *end)
{
	read_words(s, start, end);
	do_work(s);
}

void leak_add_root(struct leak_scan *s, const void *start, const void *end)
{
	const u64 *first = (const u64 *)align_up((u64)start, sizeof(u64));
	const u64 *last = (const u64 *)align_down((u64)end, sizeof(u64));

	if (first >= last)
		return;
	s->out->nr_roots += (u64)(last - first);
	read_all(s, first, last);
}

void leak_pass_by(struct leak_scan *s, struct page *head)
{
	(void)s;
	head->flags = PASSED_BY;
}

static void add_block(void *scan, struct page *head)
{
	if (head->type != PAGE_ALLOCATED)
		return;
	if (head->flags == 0 && !guard_is_in_pool(page_address(head)))
		leak_add_root(scan, page_address(head),
		              (char *)page_address(head) + (page_block_pages(head) << PAGE_SHIFT));
	head->flags = 0;
}

/* Of the pool of guarded objects only those that live can be read. They are not judged. */
static void add_guarded(struct leak_scan *s)
{
	for (u64 i = 0; guard_pool.base != NULL && i < guard_pool.stats.nr_objects; i++) {
		const struct guard_slot *slot = &guard_pool.slots[i];

		if (slot->state == SLOT_LIVE)
			leak_add_root(s, slot->object, slot->object + slot->size);
	}
}

/* --- every live object --- */

struct visit {
	struct leak_scan *scan;
	void (*object)(struct leak_scan *s, const struct kmem_cache *c, void *object, u16 *tag);
};

static void visit_slab(void *context, struct slab *slab)
{
	struct visit *v = context;
	struct kmem_cache *c = slab->cache;

	for (u32 i = 0; i < c->nr_objects; i++)
		if (slab->tag[i] >= TAG_FIRST_SITE)
			v->object(v->scan, c, slab_object(c, slab, i), &slab->tag[i]);
}

static void visit_objects(struct visit *v)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		u64 flags;

		if (c->flags & SLAB_INTERNAL)
			continue;
		flags = spin_lock_irq(&c->lock);
		cache_visit_slabs(c, visit_slab, v);
		spin_unlock_irq(&c->lock, flags);
	}
}

static void read_again(struct leak_scan *s, const struct kmem_cache *c, void *object, u16 *tag)
{
	if (*tag & MARK)
		read_all(s, object, (u64 *)object + c->size / sizeof(u64));
}

static void read_large_again(void *scan, struct page *head)
{
	const u64 *start = (const u64 *)large_address(head);

	if (head->type == PAGE_LARGE && (head->site & SITE_MARK))
		read_all(scan, start, start + head->bytes / sizeof(u64));
}

static void mark_rest(struct leak_scan *s)
{
	while (s->overflowed) {
		u64 former = s->nr_marked;

		s->overflowed = false;
		s->out->nr_rounds++;
		visit_objects(&(struct visit){s, read_again});
		blocks_visit(read_large_again, s);
		debug_assert(!s->overflowed || s->nr_marked > former); /* so it ends */
	}
}

/* --- the report --- */

/* NULL: there are others, and no room. */
static struct leak_site *site_for(struct leak_report *out, u32 tag)
{
	struct leak_site *end = out->site + out->nr_sites;

	for (struct leak_site *s = out->site; s < end; s++)
		if (s->tag == tag)
			return s;
	if (out->nr_sites == LEAK_SITES)
		return NULL;
	out->nr_sites++;
	*end = (struct leak_site){0, 0, tag, LEAK_NO_AGE, LEAK_NO_AGE};
	return end;
}

static void add_to_site(struct leak_site *s, u64 bytes, u32 age_ms)
{
	s->objects++;
	s->bytes += bytes;
	if (age_ms == LEAK_NO_AGE)
		return;
	s->youngest_ms = (u32)min_u64(s->youngest_ms, age_ms);
	if (s->oldest_ms == LEAK_NO_AGE || age_ms > s->oldest_ms)
		s->oldest_ms = age_ms;
}

static void leaked(struct leak_report *out, const void *object, u32 tag, u64 bytes, u32 age_ms)
{
	struct leak_site *s = site_for(out, tag);

	out->nr_leaked++;
	out->leaked_bytes += bytes;
	if (out->nr_samples < LEAK_SAMPLES) {
		out->sample_ms[out->nr_samples] = age_ms;
		out->sample[out->nr_samples++] = object;
	}
	if (s != NULL)
		add_to_site(s, bytes, age_ms);
}

static u32 age_ms(const struct kmem_cache *c, const void *object)
{
	struct slab *s = slab_of(object);

	if (c->debug == 0)
		return LEAK_NO_AGE;
	return object_debug_age_ms(
	    slab_object_debug(c, s, (u32)(((u64)object - s->base) / c->stride)));
}

static void judge(struct leak_scan *s, const struct kmem_cache *c, void *object, u16 *tag)
{
	s->out->nr_objects++;
	if (*tag & MARK)
		*tag &= (u16)~MARK;
	else
		leaked(s->out, object, *tag, c->size, age_ms(c, object));
}

static void judge_large(void *scan, struct page *head)
{
	struct leak_scan *s = scan;

	if (head->type != PAGE_LARGE)
		return;
	s->out->nr_objects++;
	if (head->site & SITE_MARK)
		head->site &= ~SITE_MARK;
	else
		leaked(s->out, large_address(head), head->site, head->bytes, LEAK_NO_AGE);
}

/* Alone on the machine. */
static void scan_all(void *scan)
{
	struct leak_scan *s = scan;

	s->roots(s);
	blocks_visit(add_block, s);
	add_guarded(s);
	mark_rest(s);
	visit_objects(&(struct visit){s, judge});
	blocks_visit(judge_large, s);
}

int leak_find(leak_roots roots, struct leak_report *out)
{
	struct leak_scan s = {.roots = roots != NULL ? roots : platform_roots, .out = out};

	memset(out, 0, sizeof(*out));
	return platform_alone(scan_all, &s) ? 0 : -EAGAIN;
}

s64 stats_print_leaks(void)
{
	static struct leak_report r;
	char name[96];

	if (leak_find(NULL, &r) != 0) {
		kprintf("leaks: other CPUs cannot be held now\n");
		return -EAGAIN;
	}
	kprintf("%lu live objects, %lu KiB of roots: %lu objects (%lu bytes) unreferenced\n",
	        r.nr_objects, r.nr_roots >> 7, r.nr_leaked, r.leaked_bytes);
	for (const struct leak_site *s = r.site; s < r.site + r.nr_sites; s++) {
		kprintf("%10lu %12lu  %s", s->objects, s->bytes, site_name(name, s->tag));
		if (s->oldest_ms != LEAK_NO_AGE)
			kprintf(", %u to %u ms old", s->youngest_ms, s->oldest_ms);
		kprintf("\n");
	}
	for (unsigned i = 0; i < r.nr_samples; i++) {
		kprintf("  %p", r.sample[i]);
		if (r.sample_ms[i] != LEAK_NO_AGE)
			kprintf(", %u ms old", r.sample_ms[i]);
		kprintf("\n");
	}
	if (r.nr_leaked > r.nr_samples)
		kprintf("  and %lu more\n", r.nr_leaked - r.nr_samples);
	return (s64)r.nr_leaked;
}
