/*
 * See traffic.h. The sizes of the mix are those of the host's benchmark (docs/benchmarks-host.md):
 * 16 to 8191 bytes, mostly small; the logarithm is the lesser of two uniform draws over the nine
 * doublings, linear inside each.
 *
 * A ring is written by one CPU and read by one; its two positions are all that they share. Each
 * object carries its number, so one that is lost, doubled or overwritten on the way is noticed.
 */
#include "traffic.h"

#include <lib/bits.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/mm.h>

static size_t mix_size(struct rng *rng)
{
	u64 draw = rng_next(rng), log = min_u64(draw & 0xffff, draw >> 16 & 0xffff) * 9;
	u64 base = 16ull << (log >> 16);

	return base + (base * (log & 0xffff) >> 16);
}

/* --- what is counted --- */

static struct mm_traffic before;

static void begin_count(void)
{
	mm_traffic(&before);
}

static void end_count(struct traffic *out, u64 nr_ops)
{
	out->nr_ops = nr_ops;
	mm_traffic(&out->of);
	out->of.zone_locks -= before.zone_locks;
	out->of.cache_locks -= before.cache_locks;
	out->of.zone_waits -= before.zone_waits;
	out->of.cache_waits -= before.cache_waits;
	out->of.page_trips -= before.page_trips;
	out->of.object_trips -= before.object_trips;
}

u64 traffic_per_1000(const struct traffic *t, u64 count)
{
	return t->nr_ops != 0 ? count * 10000 / t->nr_ops : 0;
}

u64 traffic_locks(const struct traffic *t)
{
	return traffic_per_1000(t, t->of.zone_locks + t->of.cache_locks);
}

char *traffic_format(char buf[128], const struct traffic *t)
{
	u64 caches = traffic_per_1000(t, t->of.cache_locks), locks = traffic_locks(t);
	u64 zones = traffic_per_1000(t, t->of.zone_locks);
	u64 waits = traffic_per_1000(t, t->of.zone_waits + t->of.cache_waits);
	u64 trips = traffic_per_1000(t, t->of.object_trips);

	format_buf(buf, 128,
	           "%lu.%lu locks (caches %lu.%lu, zones %lu.%lu), %lu.%lu waits, %lu.%lu trips",
	           locks / 10, locks % 10, caches / 10, caches % 10, zones / 10, zones % 10,
	           waits / 10, waits % 10, trips / 10, trips % 10);
	return buf;
}

/* --- mix --- */

static bool replace(struct rng *rng, void *objects[], u64 nr_live, u64 steps)
{
	for (u64 i = 0; i < steps; i++) {
		void **place = &objects[rng_below(rng, nr_live)];

		kfree(*place);
		*place = kmalloc(mix_size(rng), GFP_KERNEL);
		if (*place == NULL)
			return false;
	}
	return true;
}

/* A quarter of the machine's memory at most. */
static u64 live_here(u64 nr_live)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return min_u64(nr_live, usage.managed_pages * 2);
}

bool traffic_mix(u64 seed, u64 nr_live, u64 steps, struct traffic *out)
{
	u64 nr = live_here(nr_live);
	void **objects = alloc_pages_exact(nr * sizeof(*objects), GFP_KERNEL | __GFP_ZERO);
	struct rng rng;
	bool done;

	if (objects == NULL)
		return false;
	rng_seed(&rng, seed);
	done = replace(&rng, objects, nr, 2 * nr);
	begin_count();
	done = done && replace(&rng, objects, nr, steps);
	end_count(out, 2 * steps);
	for (u64 i = 0; i < nr; i++)
		kfree(objects[i]);
	free_pages_exact(objects, nr * sizeof(*objects));
	return done;
}

/* --- remote --- */

#define RING 1024u

/* Each position is written by one CPU. */
static struct ring {
	u64 head __aligned(128);
	u64 tail __aligned(128);
	u64 *slot[RING] __aligned(128);
} rings[TRAFFIC_MAX_PAIRS];

static struct {
	u64 seed, objects;
	unsigned nr_pairs;
	size_t size;
	u64 nr_wrong; /* A */
} remote;

static void *next_object(struct rng *rng)
{
	return kmalloc(remote.size != TRAFFIC_MIX ? remote.size : mix_size(rng), GFP_KERNEL);
}

/* What has no memory is handed over as nothing, so that the other does not wait for it. */
static void produce(struct ring *r, struct rng *rng)
{
	for (u64 i = 0; i < remote.objects; i++) {
		u64 *object;

		while (i - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == RING)
			cpu_relax();
		object = next_object(rng);
		if (object != NULL)
			*object = i;
		r->slot[i % RING] = object;
		__atomic_store_n(&r->head, i + 1, __ATOMIC_RELEASE);
	}
}

static void consume(struct ring *r)
{
	for (u64 i = 0; i < remote.objects; i++) {
		u64 *object;

		while (__atomic_load_n(&r->head, __ATOMIC_ACQUIRE) == i)
			cpu_relax();
		object = r->slot[i % RING];
		if (object == NULL || *object != i)
			__atomic_add_fetch(&remote.nr_wrong, 1, __ATOMIC_RELAXED);
		kfree(object);
		__atomic_store_n(&r->tail, i + 1, __ATOMIC_RELEASE);
	}
}

void traffic_remote_begin(u64 seed, unsigned nr_pairs, u64 objects_each, size_t size)
{
	memset(&remote, 0, sizeof(remote));
	remote.seed = seed;
	remote.objects = objects_each;
	remote.nr_pairs = nr_pairs;
	remote.size = size;
	for (unsigned i = 0; i < nr_pairs; i++)
		rings[i].head = rings[i].tail = 0;
	begin_count();
}

void traffic_remote_run(unsigned number)
{
	struct ring *r = &rings[number / 2];
	struct rng rng;

	rng_seed(&rng, remote.seed + number);
	if (number % 2 == 0)
		produce(r, &rng);
	else
		consume(r);
}

bool traffic_remote_end(struct traffic *out)
{
	end_count(out, 2 * remote.objects * remote.nr_pairs);
	return remote.nr_wrong == 0;
}
