/*
 * The demo's workload: see <kernel/demo.h>.
 *
 * What it holds stands in a table of slots. Each step allocates into an empty slot, or frees a used
 * one, at random; the phase says of which kind and how full the table may get, so memory fills and
 * empties in waves. It takes at most a quarter of what is free when it starts.
 */
#include <kernel/demo.h>
#include <kernel/sched.h>
#include <lib/rng.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

#define NR_SLOTS 4096u
#define STEP_MS 20u
#define STEPS_EACH 150u /* three seconds a phase */
#define SHARE 4

enum holding { NOTHING, OBJECT, PAGES, AREA };

struct slot {
	void *p;
	u64 bytes;
	u8 what; /* enum holding */
	u8 order;
};

static const struct phase {
	const char *name;
	u8 what;
	u8 percent; /* of allocations among the steps' operations */
	u16 ops;    /* in a step */
} phases[] = {
    {"objects come", OBJECT, 90, 20},
    {"blocks of pages come", PAGES, 90, 6},
    {"areas of vmalloc come", AREA, 90, 4},
    {"half of all goes", OBJECT, 0, 20},
    {"objects and pages by turns", PAGES, 50, 40},
    {"all goes", OBJECT, 0, 150},
};

static struct slot *slots; /* NR_SLOTS of them, while it runs */
static struct thread *thread;
static bool should_stop, is_paused;       /* A */
static const struct phase *current_phase; /* A; NULL: none */
static struct rng rng;
static u64 held, limit;    /* bytes */
static unsigned max_order; /* of its blocks: more memory, larger ones */

static void release(struct slot *s)
{
	if (s->what == OBJECT)
		kfree(s->p);
	else if (s->what == PAGES)
		free_pages(virt_to_page(s->p), s->order);
	else if (s->what == AREA)
		vfree(s->p);
	held -= s->bytes;
	*s = (struct slot){0};
}

/* Small sizes are usual, large ones are not: a random number of bits. */
static u64 random_size(unsigned max_bits)
{
	u64 bits = 3 + rng_below(&rng, max_bits - 3);

	return (1ull << bits) + rng_below(&rng, 1ull << bits);
}

static void fill(struct slot *s, unsigned what)
{
	struct page *pages;

	s->what = (u8)what;
	switch (what) {
	case OBJECT:
		s->bytes = random_size(14);
		s->p = kmalloc(s->bytes, GFP_KERNEL | __GFP_NOWARN);
		break;
	case PAGES:
		s->order = (u8)rng_below(&rng, rng_below(&rng, max_order) + 1);
		s->bytes = PAGE_SIZE << s->order;
		pages = alloc_pages(GFP_KERNEL | __GFP_NOWARN, s->order);
		s->p = pages != NULL ? page_address(pages) : NULL;
		break;
	default:
		s->bytes = random_size(20);
		s->p = vmalloc(s->bytes);
		break;
	}
	held += s->bytes;
	if (s->p == NULL) {
		s->what = NOTHING;
		release(s);
	}
}

static void operate(const struct phase *p)
{
	struct slot *s = &slots[rng_below(&rng, NR_SLOTS)];
	bool wants = rng_below(&rng, 100) < p->percent;

	if (s->what != NOTHING && !wants)
		release(s);
	else if (s->what == NOTHING && wants && held < limit)
		fill(s, p->percent == 50 && rng_below(&rng, 2) ? OBJECT : p->what);
}

static bool is_over(void)
{
	return __atomic_load_n(&should_stop, __ATOMIC_ACQUIRE);
}

static void run_phase(const struct phase *p)
{
	__atomic_store_n(&current_phase, p, __ATOMIC_RELEASE);
	for (unsigned step = 0; step < STEPS_EACH && !is_over(); step++) {
		for (unsigned i = 0; i < p->ops; i++)
			operate(p);
		do
			thread_sleep(STEP_MS);
		while (__atomic_load_n(&is_paused, __ATOMIC_RELAXED) && !is_over());
	}
}

static void run(void *unused)
{
	(void)unused;
	while (!is_over())
		for (unsigned i = 0; i < ARRAY_SIZE(phases) && !is_over(); i++)
			run_phase(&phases[i]);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		if (slots[i].what != NOTHING)
			release(&slots[i]);
	__atomic_store_n(&current_phase, NULL, __ATOMIC_RELEASE);
}

const char *demo_phase(void)
{
	const struct phase *p = __atomic_load_n(&current_phase, __ATOMIC_ACQUIRE);

	return p != NULL ? p->name : "";
}

bool demo_start(u64 seed)
{
	struct mm_usage u;

	if (thread != NULL)
		return true;
	mm_usage(&u);
	limit = u.free_pages * PAGE_SIZE / SHARE;
	max_order = 6 + (unsigned)highest_bit(limit / (8 * MIB) | 1);
	if (max_order > MAX_ORDER)
		max_order = MAX_ORDER;
	rng_seed(&rng, seed);
	should_stop = false;
	slots = kvzalloc(NR_SLOTS * sizeof(*slots), GFP_KERNEL);
	if (slots == NULL)
		return false;
	thread = thread_create(THREAD_ANY_CPU, run, NULL, "demo");
	if (thread == NULL)
		kvfree(slots);
	return thread != NULL;
}

void demo_pause(bool pause)
{
	__atomic_store_n(&is_paused, pause, __ATOMIC_RELAXED);
}

void demo_stop(void)
{
	if (thread == NULL)
		return;
	__atomic_store_n(&should_stop, true, __ATOMIC_RELEASE);
	thread_join(thread);
	thread = NULL;
	kvfree(slots);
}
