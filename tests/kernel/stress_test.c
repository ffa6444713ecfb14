/*
 * The stress (tests/kernel/stress.h): a table of slots that all threads share. A step puts
 * something new into a slot with an atomic exchange, and checks and frees what was there, whoever
 * made it. So nearly every free is remote, and everything passes through the depots and zones.
 *
 * An object is filled from its first word on with a pattern that follows from its size and a stamp;
 * its last bytes are part of it, so an overlap of two objects, a lost write or an early reuse
 * shows.
 *
 * At each tick of a CPU's timer a handler does the same with a table of its own, wherever the
 * thread was interrupted (GFP_ATOMIC).
 */
#include <kernel/apic.h>
#include <kernel/cpu.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/kernel/stress.h>
#include <tests/test.h>

#define NR_SLOTS 512u
#define NR_TICK_SLOTS 16u
#define MAX_THREADS (2 * MAX_CPUS)
#define MAX_BYTES 20000u

/* At the start of each object. */
struct header {
	u64 stamp;
	u32 size;
	u32 kind;
};

enum { KIND_KMALLOC, KIND_CACHE, KIND_PAGES, NR_KINDS };

#define CACHE_SIZE 320u

static struct {
	struct header *slot[NR_SLOTS]; /* A */
	struct kmem_cache *cache;
	u64 nr_failures, nr_corrupt, nr_interrupt_ops; /* A */
	u64 ops_each, seed;
	struct {
		struct header *slot[NR_TICK_SLOTS];
		struct rng rng;
	} __aligned(64) tick[MAX_CPUS]; /* I */
} stress;

/* --- objects --- */

static void count(u64 *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void fill(struct header *h)
{
	u64 *word = (u64 *)(h + 1);
	u32 n = (h->size - (u32)sizeof(*h)) / 8;

	for (u32 i = 0; i < n; i++)
		word[i] = h->stamp + i * 0x9e3779b97f4a7c15ull;
}

static void check(const struct header *h)
{
	const u64 *word = (const u64 *)(h + 1);
	u32 n = (h->size - (u32)sizeof(*h)) / 8;

	for (u32 i = 0; i < n; i++)
		if (word[i] != h->stamp + i * 0x9e3779b97f4a7c15ull) {
			count(&stress.nr_corrupt);
			return;
		}
}

static void *allocate(u32 kind, u32 *size, struct rng *rng, gfp_t gfp)
{
	unsigned order = (unsigned)rng_below(rng, 3);
	struct page *page;

	switch (kind) {
	case KIND_CACHE:
		*size = CACHE_SIZE;
		return kmem_cache_alloc(stress.cache, gfp);
	case KIND_PAGES:
		*size = (u32)PAGE_SIZE << order;
		page = alloc_pages(gfp, order);
		return page != NULL ? page_address(page) : NULL;
	default: /* mostly small */
		*size = (u32)sizeof(struct header) +
		        (u32)rng_below(rng, rng_below(rng, 8) == 0 ? MAX_BYTES : 600);
		return kmalloc(*size, gfp);
	}
}

static struct header *make(struct rng *rng, gfp_t gfp)
{
	u32 kind = (u32)rng_below(rng, NR_KINDS), size;
	struct header *h = allocate(kind, &size, rng, gfp | __GFP_NOWARN);

	if (h == NULL) {
		count(&stress.nr_failures);
		return NULL;
	}
	*h = (struct header){.stamp = rng_next(rng), .size = size, .kind = kind};
	fill(h);
	return h;
}

static void release(struct header *h)
{
	if (h == NULL)
		return;
	check(h);
	if (h->kind == KIND_CACHE)
		kmem_cache_free(stress.cache, h);
	else if (h->kind == KIND_PAGES)
		free_pages(virt_to_page(h), log2_ceil(h->size) - PAGE_SHIFT);
	else
		kfree(h);
}

/* --- interrupts --- */

static void tick(void)
{
	struct header **slot;
	unsigned cpu = cpu_id();
	struct rng *rng = &stress.tick[cpu].rng;

	/* An emulator runs many CPUs in turn: with all their ticks it would do nothing else. */
	if (rng_below(rng, 1 + smp_nr_cpus() / 4) != 0)
		return;
	for (u32 i = 0; i < 8; i++) {
		slot = &stress.tick[cpu].slot[rng_below(rng, NR_TICK_SLOTS)];
		release(*slot);
		*slot = rng_below(rng, 4) ? make(rng, GFP_ATOMIC) : NULL;
		count(&stress.nr_interrupt_ops);
	}
}

/* --- threads --- */

/* What is done now and then, besides. */
static void disturb(struct rng *rng)
{
	struct kmem_cache *c;
	void *object;

	switch (rng_below(rng, 4)) {
	case 0:
		kmem_cache_shrink(stress.cache);
		break;
	case 1:
		drain_cpu_pages();
		break;
	case 2:
		thread_yield();
		break;
	default:
		c = kmem_cache_create("stress too", 24 + rng_below(rng, 500), 0, 0, NULL);
		object = c != NULL ? kmem_cache_alloc(c, GFP_KERNEL) : NULL;
		if (object != NULL)
			kmem_cache_free(c, object);
		(void)kmem_cache_destroy(c);
	}
}

static void worker(void *arg)
{
	struct rng rng;

	rng_seed(&rng, stress.seed + (u64)arg);
	for (u64 i = 0; i < stress.ops_each; i++) {
		struct header *h = rng_below(&rng, 16) ? make(&rng, GFP_KERNEL) : NULL;
		struct header **slot = &stress.slot[rng_below(&rng, NR_SLOTS)];

		release(__atomic_exchange_n(slot, h, __ATOMIC_ACQ_REL));
		if (rng_below(&rng, 256) == 0)
			disturb(&rng);
	}
}

static void run_threads(unsigned nr_threads)
{
	static struct thread *t[MAX_THREADS]; /* too many for a stack; one stress at a time */

	for (unsigned i = 0; i < nr_threads; i++)
		t[i] = thread_create(i % smp_nr_cpus(), worker, (void *)(u64)i, "stress");
	for (unsigned i = 0; i < nr_threads; i++)
		if (t[i] != NULL)
			thread_join(t[i]);
}

static void release_all(void)
{
	for (u32 i = 0; i < NR_SLOTS; i++)
		release(stress.slot[i]);
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++)
		for (u32 i = 0; i < NR_TICK_SLOTS; i++)
			release(stress.tick[cpu].slot[i]);
}

static void nothing(void *arg)
{
	(void)arg;
}

void stress_run(u64 seed, unsigned nr_threads, u64 ops_each, struct stress_result *out)
{
	memset(&stress, 0, sizeof(stress));
	stress.seed = seed;
	stress.ops_each = ops_each;
	stress.cache = kmem_cache_create("stress", CACHE_SIZE, 0, 0, NULL);
	if (stress.cache == NULL) {
		*out = (struct stress_result){.fault = "no memory for the stress's cache"};
		return;
	}
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++)
		rng_seed(&stress.tick[cpu].rng, seed ^ ~(u64)cpu);
	sched_set_tick_hook(tick);
	run_threads(nr_threads < MAX_THREADS ? nr_threads : MAX_THREADS);
	sched_set_tick_hook(NULL);
	smp_call_others(nothing, NULL); /* no handler is in the middle of it any more */
	release_all();
	*out = (struct stress_result){.nr_ops = nr_threads * ops_each,
	                              .nr_interrupt_ops = stress.nr_interrupt_ops,
	                              .nr_failures = stress.nr_failures,
	                              .nr_corrupt = stress.nr_corrupt};
	if (kmem_cache_destroy(stress.cache) != 0)
		out->fault = "the stress's cache still has live objects";
	else
		out->fault = mm_check();
}

/* Two a CPU, so that threads are pre-empted; one where an emulator has more CPUs than it can run.
 */
static unsigned nr_threads(void)
{
	return smp_nr_cpus() < 32 ? 2 * smp_nr_cpus() : smp_nr_cpus();
}

bool stress_for(u64 seed, u64 seconds)
{
	u64 end = sched_milliseconds() + 1000 * seconds;
	u64 ops = 0, interrupt_ops = 0;
	struct stress_result r = {0};

	for (unsigned round = 1; sched_milliseconds() < end; round++, seed++) {
		stress_run(seed, nr_threads(), 20000 / (1 + smp_nr_cpus() / 4), &r);
		ops += r.nr_ops;
		interrupt_ops += r.nr_interrupt_ops;
		kprintf("stress: round %u seed %llu: %llu operations, %llu in interrupts, %llu "
		        "failures\n",
		        round, (unsigned long long)seed, (unsigned long long)ops,
		        (unsigned long long)interrupt_ops, (unsigned long long)r.nr_failures);
		if (r.nr_corrupt != 0 || r.fault != NULL) {
			kprintf("stress: FAIL: %llu objects corrupted; %s\n",
			        (unsigned long long)r.nr_corrupt,
			        r.fault ? r.fault : "all invariants hold");
			return false;
		}
	}
	kprintf("stress: PASS\n");
	return true;
}

TEST(stress, threads_and_interrupts_lose_nothing)
{
	u64 ops = 6000 / (1 + smp_nr_cpus() / 4);
	struct stress_result r;

	stress_run(rng_next(test_rng()), nr_threads(), ops, &r);
	EXPECT_EQ(r.nr_corrupt, 0);
	if (r.fault != NULL)
		test_fail(__FILE__, __LINE__, "after the stress: %s", r.fault);
	if (apic_is_present())
		EXPECT_GT(r.nr_interrupt_ops, 0);
	test_note("%lu operations, %lu in interrupts, %lu failed allocations", r.nr_ops,
	          r.nr_interrupt_ops, r.nr_failures);
}
