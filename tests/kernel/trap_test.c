/*
 * Exceptions arrive, are told apart, are described in words, and can be survived by trap_expect().
 */
#include <kernel/cpu.h>
#include <kernel/layout.h>
#include <kernel/sections.h>
#include <kernel/trap.h>
#include <tests/test.h>

static void undefined(void *arg)
{
	(void)arg;
	__asm__ volatile("ud2");
}

static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

static void divide(void *arg)
{
	(void)arg;
	__asm__ volatile("xorl %%ecx, %%ecx; xorl %%edx, %%edx; movl $1, %%eax; divl %%ecx"
	                 :
	                 :
	                 : "eax", "ecx", "edx");
}

static void load_bad_selector(void *arg)
{
	(void)arg;
	__asm__ volatile("movl $0x1238, %%eax; movl %%eax, %%es" : : : "eax");
}

static void read_at(void *p)
{
	(void)*(volatile u8 *)p;
}

static void do_nothing(void *arg)
{
	*(int *)arg += 1;
}

TEST(trap, exceptions_have_their_vectors)
{
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(undefined, NULL, &f));
	EXPECT_EQ(f.vector, TRAP_INVALID_OPCODE);
	EXPECT_EQ(f.error, 0);
	ASSERT_TRUE(trap_expect(breakpoint, NULL, &f));
	EXPECT_EQ(f.vector, TRAP_BREAKPOINT);
	ASSERT_TRUE(trap_expect(divide, NULL, &f));
	EXPECT_EQ(f.vector, 0);
	EXPECT_EQ(f.rax, 1);
	ASSERT_TRUE(trap_expect(load_bad_selector, NULL, &f));
	EXPECT_EQ(f.vector, TRAP_GENERAL_PROTECTION);
	EXPECT_EQ(f.error, 0x1238);
}

TEST(trap, frame_is_the_faulting_instructions)
{
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(undefined, NULL, &f));
	EXPECT_GE(f.rip, (u64)undefined);
	EXPECT_LT(f.rip, (u64)undefined + 64);
	EXPECT_EQ(f.cs, SELECTOR_CODE);
	EXPECT_TRUE(cpu_stack_contains(f.rsp, 8));
}

TEST(trap, no_exception_is_no_recovery)
{
	int called = 0;

	EXPECT_FALSE(trap_expect(do_nothing, &called, NULL));
	EXPECT_EQ(called, 1);
	EXPECT_NULL(cpu_self()->recovery);
}

static void expect_inside(void *arg)
{
	*(bool *)arg = trap_expect(undefined, NULL, NULL);
	undefined(NULL);
}

TEST(trap, expectations_nest)
{
	bool inner = false;
	struct trap_frame f;

	EXPECT_TRUE(trap_expect(expect_inside, &inner, &f));
	EXPECT_TRUE(inner);
	EXPECT_NULL(cpu_self()->recovery);
}

static void fault_with_interrupts(void *on)
{
	if (on)
		__asm__ volatile("sti");
	else
		__asm__ volatile("cli");
	undefined(NULL);
}

TEST(trap, interrupt_flag_is_as_it_was)
{
	bool enabled = irq_is_enabled();

	EXPECT_TRUE(trap_expect(fault_with_interrupts, NULL, NULL));
	EXPECT_EQ(irq_is_enabled(), enabled);
	EXPECT_TRUE(trap_expect(fault_with_interrupts, (void *)1, NULL));
	EXPECT_EQ(irq_is_enabled(), enabled);
}

static int depth;

/* 16 KiB of stack do not last for a million calls. */
static __noinline void overflow(void *arg)
{
	volatile u8 frame[256];

	frame[0] = (u8)(u64)arg;
	if (depth++ < 1000000)
		overflow((void *)(u64)frame[0]);
	frame[1] = 0; /* not a tail call */
}

TEST(trap, stack_overflow_is_a_double_fault_and_named)
{
	struct trap_frame f;
	char text[192];

	depth = 0;
	ASSERT_TRUE(trap_expect(overflow, NULL, &f));
	EXPECT_EQ(f.vector, TRAP_DOUBLE_FAULT);
	EXPECT_GT(depth, 10);
	trap_describe(&f, text, sizeof(text));
	EXPECT_NOT_NULL(strstr(text, "stack overflow, guard page of the kernel stack"));
}

TEST(trap, null_dereference_is_named)
{
	struct trap_frame f;
	char text[192];

	ASSERT_TRUE(trap_expect(read_at, (void *)8, &f));
	EXPECT_STREQ(trap_describe(&f, text, sizeof(text)),
	             "page fault (#PF): read of 0x0000000000000008, not present, kernel mode: "
	             "null dereference");
}

TEST(trap, guard_page_is_named)
{
	struct trap_frame f;
	char text[192];

	ASSERT_TRUE(trap_expect(read_at, (void *)(cpu_self()->stack[IST_NMI].base - 8), &f));
	EXPECT_NOT_NULL(strstr(trap_describe(&f, text, sizeof(text)),
	                       "stack overflow, guard page of the NMI stack"));
}

/* The description of a made-up frame. */
static const char *describe(u64 vector, u64 error, u64 cr2)
{
	static char text[192];
	struct trap_frame f = {.vector = vector, .error = error, .cr2 = cr2};

	return trap_describe(&f, text, sizeof(text));
}

TEST(trap, page_fault_codes_are_decoded)
{
	EXPECT_STREQ(describe(TRAP_PAGE_FAULT, FAULT_PRESENT | FAULT_WRITE, DIRECT_MAP_BASE),
	             "page fault (#PF): write to 0xffff800000000000, read-only, kernel mode");
	EXPECT_STREQ(
	    describe(TRAP_PAGE_FAULT, FAULT_PRESENT | FAULT_FETCH, KERNEL_BASE),
	    "page fault (#PF): fetch from 0xffffffff80000000, not executable, kernel mode");
	EXPECT_STREQ(describe(TRAP_PAGE_FAULT, FAULT_USER, 0x400000),
	             "page fault (#PF): read of 0x0000000000400000, not present, user mode: user "
	             "half, never mapped");
	EXPECT_STREQ(describe(TRAP_PAGE_FAULT, FAULT_PRESENT | FAULT_RESERVED, KERNEL_BASE),
	             "page fault (#PF): read of 0xffffffff80000000, reserved bit set in a page "
	             "table, kernel mode");
}

TEST(trap, selector_codes_are_decoded)
{
	EXPECT_STREQ(describe(TRAP_GENERAL_PROTECTION, 0x18, 0),
	             "general protection fault (#GP): GDT entry 3");
	EXPECT_STREQ(describe(TRAP_INVALID_TSS, 0x1c, 0), "invalid TSS (#TS): LDT entry 3");
	EXPECT_STREQ(describe(11, 0x103, 0),
	             "segment not present (#NP): interrupt vector 32, by an external event");
	EXPECT_NOT_NULL(strstr(describe(TRAP_GENERAL_PROTECTION, 0, 0), "no selector"));
}

TEST(trap, every_vector_has_a_name)
{
	for (u64 v = 0; v < 300; v++)
		EXPECT_NOT_NULL(trap_name(v));
	EXPECT_STREQ(trap_name(TRAP_MACHINE_CHECK), "machine check (#MC)");
	EXPECT_STREQ(trap_name(15), "reserved exception");
	EXPECT_STREQ(trap_name(255), "interrupt");
}

TEST(trap, non_canonical_address_is_a_protection_fault)
{
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(read_at, (void *)0x1234567800000000, &f));
	EXPECT_EQ(f.vector, TRAP_GENERAL_PROTECTION);
}
