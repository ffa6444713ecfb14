/*
 * Two real CPUs free the same object, or the same page, in the same moment. Whoever comes second is
 * caught; and when both came through, the next two allocations meet the same memory, and that is
 * caught. Either way the machine stops, on any of the CPUs, so this is no part of a longer run: the
 * boots `race-…` of the matrix run each test alone, and expect that end.
 *
 * That every interleaving of the two frees is caught is proven on the protocol's model
 * (docs/protocol.md); a run is one of them.
 */
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <mm/mm.h>
#include <tests/test.h>

struct race {
	void *(*alloc)(void);
	void (*free)(void *p);
	void *p, *taken;             /* what both free; what the other CPU has afterwards */
	unsigned nr_ready, nr_freed; /* A: CPUs */
};

static void *alloc_object(void)
{
	return kmalloc(200, GFP_KERNEL);
}

static void free_object(void *p)
{
	kfree(p);
}

static void *alloc_one_page(void)
{
	return alloc_page(GFP_KERNEL);
}

static void free_one_page(void *p)
{
	free_page(p);
}

/* Both CPUs are here at once. */
static void meet(unsigned *nr)
{
	__atomic_add_fetch(nr, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(nr, __ATOMIC_ACQUIRE) != 2)
		cpu_relax();
}

static void *free_and_take(struct race *r)
{
	meet(&r->nr_ready);
	r->free(r->p);
	meet(&r->nr_freed);
	return r->alloc();
}

static void other_cpu(void *arg)
{
	struct race *r = arg;

	r->taken = free_and_take(r);
}

static void run_race(void *(*alloc)(void), void (*free)(void *p))
{
	static struct race r;
	struct test_totals totals;
	struct thread *other;
	void *taken;

	test_totals(&totals);
	if (smp_nr_cpus() < 2 || totals.planned != 1) {
		test_skip("ends the machine: the boots race-* run it alone, on two CPUs");
		return;
	}
	r = (struct race){.alloc = alloc, .free = free, .p = alloc()};
	ASSERT_NOT_NULL(r.p);
	other = thread_create(1, other_cpu, &r, "racer");
	ASSERT_NOT_NULL(other);
	taken = free_and_take(&r);
	thread_join(other);
	EXPECT_TRUE(taken == NULL && r.taken == NULL); /* both went on: nobody noticed */
}

TEST(free_race, two_cpus_free_one_object)
{
	run_race(alloc_object, free_object);
}

TEST(free_race, two_cpus_free_one_page)
{
	run_race(alloc_one_page, free_one_page);
}
