/*
 * What the CPU was told to do: control registers, segments, stacks, and the few primitives of
 * platform/lib.h.
 */
#include <kernel/backtrace.h>
#include <kernel/cpu.h>
#include <kernel/symbols.h>
#include <lib/platform.h>
#include <tests/test.h>

static u64 read_cr4(void)
{
	u64 cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	return cr4;
}

TEST(cpu, features_that_it_has_are_on)
{
	u64 cr4 = read_cr4();

	EXPECT_EQ(cr4 >> 7 & 1, cpu_features.global_pages);
	EXPECT_EQ(cr4 >> 11 & 1, cpu_features.umip);
	EXPECT_EQ(cr4 >> 20 & 1, cpu_features.smep);
	EXPECT_EQ(cr4 >> 21 & 1, cpu_features.smap);
}

TEST(cpu, write_protection_holds_in_the_kernel)
{
	u64 cr0;

	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	EXPECT_EQ(cr0 >> 16 & 1, 1);
}

TEST(cpu, no_execute_is_on_where_there_is_one)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0xc0000080));
	EXPECT_EQ(low >> 11 & 1, cpu_features.nx);
}

TEST(cpu, address_widths_are_plausible)
{
	EXPECT_GE(cpu_features.phys_bits, 32);
	EXPECT_LE(cpu_features.phys_bits, 52);
	EXPECT_GE(cpu_features.virt_bits, 48);
	EXPECT_EQ(strlen(cpu_features.vendor), 12);
}

TEST(cpu, knows_itself)
{
	EXPECT_EQ(cpu_id(), 0);
	EXPECT_TRUE(cpu_self() == cpu_self()->self);
	EXPECT_EQ(cpu_self()->id, 0);
}

static void lose_self(void *arg)
{
	(void)arg;
	__asm__ volatile("wrmsr; ud2" : : "c"(0xc0000101), "a"(0), "d"(0));
}

TEST(cpu, an_exception_finds_the_cpu_that_lost_itself)
{
	EXPECT_TRUE(trap_expect(lose_self, NULL, NULL));
	EXPECT_TRUE(cpu_self() == cpu_self()->self);
}

TEST(cpu, stacks_are_told_apart)
{
	u8 local;
	const struct kernel_stack *s = &cpu_self()->stack[0];

	EXPECT_TRUE(cpu_stack_contains((u64)&local, 1));
	EXPECT_TRUE(cpu_stack_contains(s->base, s->size));
	EXPECT_FALSE(cpu_stack_contains(s->base, s->size + 1));
	EXPECT_FALSE(cpu_stack_contains(s->base - 1, 1));
	EXPECT_FALSE(cpu_stack_contains(s->base + s->size, 1));
	EXPECT_FALSE(cpu_stack_contains((u64)&cpu_features, 1));
	EXPECT_FALSE(cpu_stack_contains(s->base + 1, ~0ull));
}

TEST(cpu, interrupt_flag_is_saved_and_restored)
{
	u64 outer = irq_save();
	u64 inner;

	EXPECT_FALSE(irq_is_enabled());
	inner = irq_save();
	irq_restore(inner);
	EXPECT_FALSE(irq_is_enabled());
	irq_restore(outer);
	EXPECT_EQ(irq_is_enabled(), (outer & RFLAGS_INTERRUPTS) != 0);
}

TEST(cpu, cycles_grow)
{
	u64 before = cycles();

	cpu_relax();
	EXPECT_GT(cycles(), before);
}

static __noinline size_t collect(u64 *out, size_t max)
{
	return backtrace_collect((u64)__builtin_frame_address(0), out, max);
}

TEST(backtrace, reaches_the_start)
{
	u64 frames[32], offset;
	size_t n = collect(frames, ARRAY_SIZE(frames));

	ASSERT_GT(n, 3);
	ASSERT_LT(n, ARRAY_SIZE(frames));
	ASSERT_NOT_NULL(symbol_find(frames[n - 1], &offset));
	EXPECT_STREQ(symbol_find(frames[n - 1], &offset), "enter_high");
}

TEST(backtrace, stops_at_nonsense)
{
	u64 frames[8];
	/* A frame whose caller's frame is: no stack, misaligned, itself. */
	u64 fake[2] = {0x1234, 0x5678};

	EXPECT_EQ(backtrace_collect(0, frames, 8), 0);
	EXPECT_EQ(backtrace_collect(~7ull, frames, 8), 0);
	EXPECT_EQ(backtrace_collect((u64)&cpu_features, frames, 8), 0);
	EXPECT_EQ(backtrace_collect((u64)fake + 1, frames, 8), 0);
	EXPECT_EQ(backtrace_collect((u64)fake, frames, 8), 1);
	EXPECT_EQ(frames[0], 0x5678);
	fake[0] = (u64)fake;
	EXPECT_EQ(backtrace_collect((u64)fake, frames, 8), 1);
	fake[0] = (u64)fake + 4;
	EXPECT_EQ(backtrace_collect((u64)fake, frames, 8), 1);
}
