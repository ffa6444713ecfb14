/* The other CPUs: numbers, calls, translations, and one that does not answer. */
#include <kernel/apic.h>
#include <kernel/cpu.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/stack.h>
#include <lib/platform.h>
#include <mm/context.h>
#include <mm/page_alloc.h>
#include <tests/test.h>

TEST(smp, numbers_are_dense_and_apic_ids_differ)
{
	for (unsigned i = 0; i < smp_nr_cpus(); i++) {
		ASSERT_NOT_NULL(cpu_of(i));
		EXPECT_EQ(cpu_of(i)->id, i);
		for (unsigned k = 0; k < i; k++)
			EXPECT_NE(cpu_of(i)->apic_id, cpu_of(k)->apic_id);
	}
	EXPECT_NULL(cpu_of(smp_nr_cpus()));
	EXPECT_NULL(cpu_of(MAX_CPUS));
}

TEST(smp, all_that_the_tables_list_run)
{
	EXPECT_EQ(smp_nr_cpus(), mm_nr_cpus);
}

struct visit {
	u32 nr;
	u8 seen[MAX_CPUS];
	bool in_interrupt_context;
};

static void visit(void *arg)
{
	struct visit *v = arg;

	__atomic_add_fetch(&v->nr, 1, __ATOMIC_RELAXED);
	v->seen[cpu_id()]++;
	if (mm_this(id) != cpu_id() * NR_CONTEXT_KINDS + CONTEXT_INTERRUPTS)
		v->in_interrupt_context = false;
}

TEST(smp, calls_reach_those_that_are_meant)
{
	struct visit v = {.in_interrupt_context = true};

	smp_call_others(visit, &v);
	EXPECT_EQ(v.nr, smp_nr_cpus() - 1);
	EXPECT_EQ(v.seen[cpu_id()], 0);
	for (unsigned i = 0; i < smp_nr_cpus(); i++) {
		smp_call(i, visit, &v);
		EXPECT_EQ(v.seen[i], i == cpu_id() ? 1 : 2);
	}
	EXPECT_TRUE(v.in_interrupt_context);
}

/* Fewer where each has many to call: an emulator runs them in turn. */
static u32 rounds(void)
{
	return 1 + 40 / smp_nr_cpus();
}

static void call_all(void *arg)
{
	for (u32 i = 0; i < rounds(); i++)
		smp_call_others(visit, arg);
}

TEST(smp, calls_in_all_directions_at_once)
{
	struct visit v = {.nr = 0};
	struct thread *t[8];
	unsigned nr = smp_nr_cpus() < 8 ? smp_nr_cpus() : 8;

	for (unsigned i = 0; i < nr; i++)
		t[i] = thread_create(i, call_all, &v, "calls");
	for (unsigned i = 0; i < nr; i++)
		thread_join(t[i]);
	EXPECT_EQ(v.nr, rounds() * nr * (smp_nr_cpus() - 1));
}

static bool is_present(u32 apic_id)
{
	for (unsigned i = 0; i < smp_nr_cpus(); i++)
		if (cpu_of(i)->apic_id == apic_id)
			return true;
	return false;
}

/* An id that no CPU has; 255 would mean all of them. */
static u32 absent_apic_id(void)
{
	u32 id = 254;

	while (is_present(id))
		id--;
	return id;
}

TEST(smp, a_cpu_that_does_not_answer)
{
	unsigned room = mm_nr_cpus;

	if (!apic_is_present() || room == MAX_CPUS || room == 255) {
		test_skip("this machine has no local APIC, or all the CPUs that there may be");
		return;
	}
	EXPECT_EQ(smp_start_cpu(absent_apic_id(), 0), -ENOSPC); /* all are there */
	mm_nr_cpus = smp_nr_cpus() + 1;
	EXPECT_EQ(smp_start_cpu(absent_apic_id(), 0), -ETIMEDOUT);
	mm_nr_cpus = room;
	EXPECT_EQ(smp_nr_cpus(), room);
	EXPECT_NULL(cpu_of(room));
}

static u32 nr_drained;

/* In the context whose hot pages and objects it is to give back. */
static void count_drain(void)
{
	if (mm_this(id) % NR_CONTEXT_KINDS != CONTEXT_THREADS)
		return;
	__atomic_add_fetch(&nr_drained, 1, __ATOMIC_RELAXED);
}

TEST(smp, other_cpus_do_what_the_memory_manager_asks)
{
	u64 flags;

	nr_drained = 0;
	EXPECT_TRUE(platform_on_other_cpus(count_drain));
	EXPECT_GE(nr_drained, smp_nr_cpus() - 1);
	flags = irq_save();
	EXPECT_EQ(platform_on_other_cpus(count_drain), smp_nr_cpus() == 1);
	irq_restore(flags);
}

/* What every CPU sees at an address. */
struct look {
	const u32 *at;
	u32 value, nr_same;
};

static void look(void *arg)
{
	struct look *l = arg;

	if (__atomic_load_n(l->at, __ATOMIC_RELAXED) == l->value)
		__atomic_add_fetch(&l->nr_same, 1, __ATOMIC_RELAXED);
}

static u32 nr_that_see(u64 va, u32 value)
{
	struct look l = {(const u32 *)va, value, 0};

	look(&l);
	smp_call_others(look, &l);
	return l.nr_same;
}

static void map_to(u64 va, u64 pa, u64 length)
{
	pagetable_unmap(va, PAGE_SIZE);
	EXPECT_EQ(pagetable_map(va, pa, PAGE_SIZE, pagetable_bits(PAGING_WRITE)), 0);
	tlb_shootdown(va, length);
}

/* One address by itself, and so many that all translations go. */
TEST(smp, translations_are_forgotten_everywhere)
{
	struct page *other = alloc_page(GFP_KERNEL);
	u64 va = stack_alloc(), was;

	ASSERT_NOT_NULL(other);
	ASSERT_NE(va, 0);
	ASSERT_TRUE(paging_translate(va, &was, NULL));
	*(u32 *)va = 1;
	*(u32 *)page_address(other) = 2;
	EXPECT_EQ(nr_that_see(va, 1), smp_nr_cpus());
	map_to(va, page_to_phys(other), PAGE_SIZE);
	EXPECT_EQ(nr_that_see(va, 2), smp_nr_cpus());
	map_to(va, was, 256 * PAGE_SIZE);
	EXPECT_EQ(nr_that_see(va, 1), smp_nr_cpus());
	stack_free(va);
	free_page(other);
}
