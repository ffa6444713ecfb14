/*
 * Virtually contiguous memory, touched: contents, guard pages, read-only windows, device registers;
 * and translations that are forgotten.
 */
#include <kernel/kasan.h>
#include <kernel/paging.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/trap.h>
#include <lib/bits.h>
#include <mm/mm.h>
#include <mm/pt.h>
#include <tests/model/vmalloc_load.h>
#include <tests/test.h>

/* What the page tables say of freed addresses is asked here, not what a sanitizer says. */
static __no_kasan void read_byte(void *p)
{
	(void)*(volatile u8 *)p;
}

static __no_kasan void write_byte(void *p)
{
	*(volatile u8 *)p = 1;
}

static void call(void *p)
{
	((void (*)(void))p)();
}

static void expect_fault(void (*access)(void *), const void *p, u64 error)
{
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(access, (void *)p, &f));
	EXPECT_EQ(f.vector, TRAP_PAGE_FAULT);
	EXPECT_EQ(f.cr2, (u64)p);
	EXPECT_EQ(f.error, error);
}

static void expect_works(u8 *p, u64 bytes)
{
	for (u64 i = 0; i < bytes; i += 8)
		*(volatile u64 *)(p + i) = (u64)p ^ i;
	for (u64 i = 0; i < bytes; i += 8)
		ASSERT_EQ(*(volatile u64 *)(p + i), (u64)p ^ i);
}

TEST(vmalloc_memory, all_of_it_works_and_its_guard_faults)
{
	static const u64 sizes[] = {PAGE_SIZE, 5 * PAGE_SIZE, MIB, 2 * MIB + 3 * PAGE_SIZE};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u8 *p = vmalloc(sizes[i]);

		ASSERT_NOT_NULL(p);
		expect_works(p, sizes[i]);
		expect_fault(read_byte, p + sizes[i], 0);
		expect_fault(write_byte, p + sizes[i], FAULT_WRITE);
		vfree(p);
		(void)vmalloc_purge();
		expect_fault(read_byte, p, 0);
	}
}

TEST(vmalloc_memory, does_not_execute)
{
	u32 flags;
	u8 *p = vmalloc(PAGE_SIZE);
	u64 pa;

	ASSERT_NOT_NULL(p);
	*(volatile u8 *)p = 0xc3; /* ret */
	ASSERT_TRUE(paging_translate((u64)p, &pa, &flags));
	if (flags & PAGING_EXECUTE)
		test_skip("this CPU has no NX");
	else
		expect_fault(call, p, FAULT_PRESENT | FAULT_FETCH);
	EXPECT_NULL(paging_check());
	vfree(p);
}

TEST(vmalloc_memory, two_windows_show_the_same_page)
{
	struct page *page[2] = {alloc_page(GFP_KERNEL), alloc_page(GFP_KERNEL)};
	volatile u8 *a, *b;

	ASSERT_TRUE(page[0] != NULL && page[1] != NULL);
	a = vmap(page, 2, VM_WRITE);
	b = vmap(page, 2, 0);
	ASSERT_TRUE(a != NULL && b != NULL);
	a[PAGE_SIZE + 7] = 0x5a;
	EXPECT_EQ(b[PAGE_SIZE + 7], 0x5a);
	EXPECT_EQ(((volatile u8 *)page_address(page[1]))[7], 0x5a);
	expect_fault(write_byte, (const void *)b, FAULT_PRESENT | FAULT_WRITE);
	vunmap((const void *)a);
	vunmap((const void *)b);
	free_page(page[0]);
	free_page(page[1]);
}

/* Filled and looked at by all CPUs, then freed and purged: nobody may still see it. */
static u8 *shared;
static unsigned nr_stale;

static void touch(void *unused)
{
	(void)unused;
	(void)*(volatile u8 *)shared;
}

static void look(void *unused)
{
	(void)unused;
	if (!trap_expect(read_byte, shared, NULL))
		__atomic_fetch_add(&nr_stale, 1, __ATOMIC_RELAXED);
}

TEST(vmalloc_memory, no_cpu_remembers_what_was_purged)
{
	nr_stale = 0;
	shared = vmalloc(PAGE_SIZE);
	ASSERT_NOT_NULL(shared);
	smp_call_others(touch, NULL);
	touch(NULL);
	vfree(shared);
	ASSERT_TRUE(vmalloc_purge());
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++)
		smp_call(cpu, look, NULL);
	EXPECT_EQ(nr_stale, 0);
}

TEST(vmalloc_memory, device_registers_can_be_mapped_and_unmapped)
{
	for (unsigned i = 0; i < 3; i++) {
		volatile u32 *apic = ioremap(0xfee00030, 4);
		u32 flags;
		u64 pa;

		ASSERT_NOT_NULL((const void *)apic);
		ASSERT_TRUE(paging_translate((u64)apic, &pa, &flags));
		EXPECT_EQ(pa, 0xfee00030);
		EXPECT_EQ(flags & PAGING_UNCACHED, PAGING_UNCACHED);
		EXPECT_EQ(*apic, *apic);
		iounmap((const void *)apic);
		(void)vmalloc_purge();
		expect_fault(read_byte, (const void *)apic, 0);
	}
}

static void run_loads(void *load)
{
	vmalloc_load_all(load);
}

/* What Linux's lib/test_vmalloc.c does, on all CPUs at once. On a small machine some of it finds no
 * memory. */
TEST(vmalloc_memory, all_loads_on_all_cpus)
{
	static struct vmalloc_load load[8];
	struct thread *thread[ARRAY_SIZE(load)];
	unsigned nr = smp_nr_cpus() < ARRAY_SIZE(load) ? smp_nr_cpus() : ARRAY_SIZE(load);
	u64 nr_had = 0;

	for (unsigned i = 0; i < nr; i++) {
		load[i] = (struct vmalloc_load){.loops = 10};
		rng_seed(&load[i].rng, rng_next(test_rng()));
		thread[i] = thread_create(i, run_loads, &load[i], "load");
		EXPECT_NOT_NULL(thread[i]);
	}
	for (unsigned i = 0; i < nr; i++) {
		if (thread[i] != NULL)
			thread_join(thread[i]);
		EXPECT_EQ(load[i].nr_wrong, 0);
		nr_had += load[i].nr_had;
	}
	vmalloc_load_finish(&load[0]);
	EXPECT_GT(nr_had, 100);
	EXPECT_NULL(vmalloc_check());
}
