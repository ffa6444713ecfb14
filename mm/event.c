/*
 * Events: the rings, recording, and their way into the stream. See <mm/event.h>.
 *
 * Each CPU has one ring of records. Who records turns this CPU's interrupts off for the moment of
 * it, which makes the ring its own against its other context too, without a lock: `head` is written
 * here alone. Who drains holds `draining`, one word taken by compare-and-exchange with interrupts
 * off, merges the rings by time, and alone writes their tails.
 *
 * A full ring: without a stream the oldest record is overwritten. With one, whoever found the ring
 * full writes some of the stream himself, so that nothing is lost; or, where `drop` was asked for,
 * the event is lost and counted, and the next that finds room is preceded by a LOST record.
 *
 * Which kinds are recorded is one word, event_mask; it is 0 when events are off. Turning them on
 * also closes the fast ways of objects (slab_divert()) and pages (cpu_pages_divert()), before the
 * word is set, and turning them off opens them after it is cleared.
 *
 *   E1  head - tail <= the ring's records, but where the oldest are overwritten
 *   E2  a CPU's records ascend in time
 *   E3  records written to the stream plus those lost plus those waiting are those that happened
 *
 * Frees are recorded before what they free can be taken, allocations after they are made: so of two
 * events about one block the first has the lower time, on whatever CPUs they were.
 *
 * Cost: off, nothing on fast ways and one branch on slow ones. On: the slow way, and a store of 32
 * bytes. Not here: what the stream says of the start, and names (debug/event_stream.c).
 */
#include "event_record.h"
#include "internal.h"
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>
#include <mm/site.h>

struct event_ring {
	u64 head;    /* A: records ever put in; its CPU's, interrupts off */
	u64 tail;    /* A: of them, in the stream; who drains */
	u64 nr_lost; /* A: its CPU's */
	u64 nr_told; /* of those lost, by LOST records; its CPU's */
	struct event *slot;
} __aligned(64);

u64 event_mask;

static struct event_ring *rings; /* nr_rings of them; NULL: none. C while events are on */
static unsigned nr_rings;
static u32 nr_records;               /* C: in each; a power of two */
static struct event_options options; /* C */
static u32 draining;                 /* A: 1 while somebody drains */

static const u64 group_kinds[] = {
    3ull << EVENT_PAGES_ALLOC | 3ull << EVENT_PAGES_REFILL,
    3ull << EVENT_SPLIT | 3ull << EVENT_BUDDY_ALLOC,
    3ull << EVENT_OBJECT_ALLOC | 3ull << EVENT_LARGE_ALLOC,
    15ull << EVENT_SLAB_NEW,
    3ull << EVENT_VMALLOC,
    3ull << EVENT_RECLAIM,
};

static_assert(1u << ARRAY_SIZE(group_kinds) == EVENT_GROUPS_ALL + 1, "a mask each group");
static_assert(NR_EVENT_KINDS <= 64, "event_mask has a bit a kind");

static u64 mask_of(u32 groups)
{
	u64 mask = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(group_kinds); i++)
		if (groups >> i & 1)
			mask |= group_kinds[i];
	return mask;
}

/* --- recording --- */

static u64 load(const u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static bool is_full(const struct event_ring *r, u64 more)
{
	return r->head + more - load(&r->tail) > nr_records;
}

static void put(struct event_ring *r, const struct event *e)
{
	struct event *slot = &r->slot[r->head & (nr_records - 1)];

	*slot = *e;
	slot->time = cycles();
	slot->cpu = (u8)cpu_id();
	__atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
}

static size_t drain_locked(size_t max);

/* Interrupts off. False: somebody else drains. */
static bool try_drain(size_t max, size_t *nr)
{
	u32 idle = 0;

	if (!__atomic_compare_exchange_n(&draining, &idle, 1, false, __ATOMIC_ACQUIRE,
	                                 __ATOMIC_RELAXED))
		return false;
	*nr = drain_locked(max);
	__atomic_store_n(&draining, 0, __ATOMIC_RELEASE);
	return true;
}

/* So many records fit now. Interrupts off. Whoever drains has interrupts off too, so is another
 * CPU and will be done. */
static bool make_room(struct event_ring *r, u64 more)
{
	enum { AT_ONCE = 64 };
	size_t nr;

	if (options.write == NULL)
		return true;
	while (is_full(r, more)) {
		if (options.drop)
			return false;
		if (!try_drain(AT_ONCE, &nr))
			cpu_relax();
	}
	return true;
}

static void tell_losses(struct event_ring *r)
{
	struct event lost = {
	    .kind = EVENT_LOST, .size = r->nr_lost - r->nr_told, .cache = EVENT_NO_CACHE};

	put(r, &lost);
	r->nr_told = r->nr_lost;
}

/* Interrupts off. */
static void record_here(struct event_ring *r, const struct event *e)
{
	const bool behind = r->nr_lost != r->nr_told;

	if (!make_room(r, 1 + behind)) {
		__atomic_store_n(&r->nr_lost, r->nr_lost + 1, __ATOMIC_RELAXED);
		return;
	}
	if (behind)
		tell_losses(r);
	put(r, e);
}

__noinline void event_record(const struct event *e)
{
	u64 flags = irq_save();

	if (event_is_on(e->kind))
		record_here(&rings[cpu_id()], e);
	irq_restore(flags);
}

__noinline void event_block(enum event_kind kind, u64 pfn, unsigned order, u64 bytes, unsigned zone,
                            u64 caller)
{
	event_record(&(struct event){
	    .kind = (u8)kind,
	    .address = pfn << PAGE_SHIFT,
	    .size = bytes,
	    .order = (u8)order,
	    .node = (u8)(zone >> 2),
	    .site = caller != 0 && event_is_on(kind) ? event_number_caller(caller) : EVENT_NO_SITE,
	    .cache = EVENT_NO_CACHE,
	});
}

__noinline void event_trip(enum event_kind kind, u16 cache, unsigned order, unsigned node, u64 nr)
{
	event_record(&(struct event){
	    .kind = (u8)kind,
	    .size = nr,
	    .order = (u8)order,
	    .node = (u8)node,
	    .cache = cache,
	});
}

__noinline void event_bytes(enum event_kind kind, u64 address, u64 size, u16 cache, u32 site)
{
	event_record(&(struct event){
	    .kind = (u8)kind,
	    .address = address,
	    .size = size,
	    .site = site < TAG_FIRST_SITE ? EVENT_NO_SITE : (u16)site,
	    .cache = cache,
	});
}

/* --- draining --- */

/* The ring whose next record, below its limit, is the oldest; NULL: there is none. */
static struct event_ring *oldest(const u64 limit[])
{
	struct event_ring *best = NULL;
	u64 time = UINT64_MAX;

	for (unsigned i = 0; i < nr_rings; i++) {
		struct event_ring *r = &rings[i];
		const struct event *e = &r->slot[r->tail & (nr_records - 1)];

		if (r->tail != limit[i] && e->time < time) {
			best = r;
			time = e->time;
		}
	}
	return best;
}

/* Up to what is there now: so that a CPU which records on does not hold the others' back. */
static size_t drain_locked(size_t max)
{
	static u64 limit[MAX_CPUS]; /* by `draining` */
	struct event_ring *r;
	size_t nr = 0;

	if (options.write == NULL)
		return 0;
	for (unsigned i = 0; i < nr_rings; i++)
		limit[i] = load(&rings[i].head);
	for (; nr < max && (r = oldest(limit)) != NULL; nr++) {
		event_stream_put(&r->slot[r->tail & (nr_records - 1)]);
		__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
	}
	return nr;
}

size_t event_drain(size_t max)
{
	enum { AT_ONCE = 64 }; /* with interrupts off */
	size_t nr = 0, part = AT_ONCE;

	while (nr < max && part == AT_ONCE) {
		u64 flags = irq_save();

		if (rings == NULL || !try_drain(min_u64(AT_ONCE, max - nr), &part))
			part = 0;
		nr += part;
		irq_restore(flags);
	}
	return nr;
}

/* --- on and off --- */

static void release_rings(void)
{
	for (unsigned i = 0; i < nr_rings; i++)
		free_pages_exact(rings[i].slot, (u64)nr_records * sizeof(struct event));
	if (rings != NULL)
		free_pages_exact(rings, mm_nr_cpus * sizeof(*rings));
	rings = NULL;
	nr_rings = 0;
}

/* At most a 64th of what is free, for all together. */
static u32 ring_size(u32 wanted)
{
	u64 free = 0, size = wanted;

	if (wanted != 0)
		return wanted;
	for_each_zone(z)
		free += zone_free_pages(z);
	for (size = EVENT_RING_RECORDS; size > EVENT_RING_MIN;) {
		if (size * sizeof(struct event) * mm_nr_cpus <= free << PAGE_SHIFT >> 6)
			break;
		size /= 2;
	}
	return (u32)size;
}

/* False: what there is of them is the caller's to release. */
static bool make_rings(void)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY;

	nr_records = ring_size(options.nr_records);
	rings = alloc_pages_exact(mm_nr_cpus * sizeof(*rings), gfp);
	if (rings == NULL)
		return false;
	for (nr_rings = 0; nr_rings < mm_nr_cpus; nr_rings++) {
		struct event *slot = alloc_pages_exact((u64)nr_records * sizeof(*slot), gfp);

		if (slot == NULL)
			return false;
		rings[nr_rings] = (struct event_ring){.slot = slot};
	}
	return true;
}

static bool divert(bool on)
{
	const bool objects = options.groups & EVENT_GROUP_OBJECTS;
	const bool pages = options.groups & EVENT_GROUP_PAGES;

	if (pages && !cpu_pages_divert(on))
		return false;
	slab_divert(on, objects);
	return true;
}

/* The machine stands still: what the stream says of the start is true at one moment. */
static void begin(void *unused)
{
	(void)unused;
	if (options.write != NULL)
		event_stream_begin();
	__atomic_store_n(&event_mask, mask_of(options.groups), __ATOMIC_RELEASE);
}

int event_start(const struct event_options *o)
{
	if (event_mask != 0)
		return -EBUSY;
	if (o->nr_records != 0 && (!is_pow2(o->nr_records) || o->nr_records < EVENT_RING_MIN))
		return -EINVAL;
	event_release();
	options = *o;
	options.groups = o->groups != 0 ? o->groups & EVENT_GROUPS_ALL : EVENT_GROUPS_ALL;
	if (!make_rings() || !event_stream_open(&options)) {
		event_release();
		return -ENOMEM;
	}
	if (divert(true)) {
		if (platform_alone(begin, NULL))
			return 0;
		(void)divert(false);
	}
	event_release();
	return -EAGAIN;
}

static void nothing(void)
{
}

static void end_stream(void)
{
	for (unsigned i = 0; i < nr_rings && options.write != NULL; i++) {
		const struct event_ring *r = &rings[i];
		struct event lost = {.kind = EVENT_LOST,
		                     .time = cycles(),
		                     .size = r->nr_lost - r->nr_told,
		                     .cache = EVENT_NO_CACHE,
		                     .cpu = (u8)i};

		if (lost.size != 0)
			event_stream_put(&lost);
	}
	event_stream_close();
}

/* Once every CPU has been asked something nobody is in the middle of a record. */
int event_stop(void)
{
	const u64 mask = event_mask;

	if (mask == 0)
		return -ENOENT;
	__atomic_store_n(&event_mask, 0, __ATOMIC_RELEASE);
	if (!platform_on_other_cpus(nothing) || !divert(false)) {
		__atomic_store_n(&event_mask, mask, __ATOMIC_RELEASE);
		return -EAGAIN;
	}
	(void)event_drain(SIZE_MAX);
	end_stream();
	return 0;
}

void event_release(void)
{
	if (event_mask != 0)
		return;
	release_rings();
	event_stream_release();
}

void event_init(void)
{
	event_mask = 0;
	rings = NULL;
	nr_rings = 0;
	event_stream_init();
}

/* --- looking in --- */

/* The newest below `next`, if it is there for sure: not overwritten, nor about to be. */
static bool read_before(const struct event_ring *r, u64 next, struct event *out)
{
	if (next == 0)
		return false;
	*out = r->slot[(next - 1) & (nr_records - 1)];
	return load(&r->head) - (next - 1) < nr_records;
}

static void reverse(struct event e[], size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct event first = e[i];

		e[i] = e[n - 1 - i];
		e[n - 1 - i] = first;
	}
}

size_t event_last(struct event out[], size_t n)
{
	static u64 next[MAX_CPUS]; /* one caller at a time */
	size_t nr = 0;

	for (unsigned i = 0; i < nr_rings; i++)
		next[i] = load(&rings[i].head);
	for (unsigned from = 0; nr < n && from < nr_rings; nr += from < nr_rings) {
		struct event e = {0}, best = {0};

		from = nr_rings;
		for (unsigned i = 0; i < nr_rings; i++)
			if (read_before(&rings[i], next[i], &e) &&
			    (from == nr_rings || e.time > best.time)) {
				best = e;
				from = i;
			}
		if (from < nr_rings) {
			out[nr] = best;
			next[from]--;
		}
	}
	reverse(out, nr);
	return nr;
}

void event_stats(struct event_stats *out)
{
	*out = (struct event_stats){
	    .on = event_mask != 0,
	    .groups = options.groups,
	    .nr_records = rings != NULL ? nr_records : 0,
	    .nr_bytes = event_stream_bytes(),
	};
	for (unsigned i = 0; i < nr_rings; i++) {
		const struct event_ring *r = &rings[i];

		out->nr_recorded += load(&r->head);
		out->nr_lost += load(&r->nr_lost);
		if (options.write != NULL)
			out->nr_waiting += load(&r->head) - load(&r->tail);
	}
}
