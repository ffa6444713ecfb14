/*
 * The address sanitizer on the stack, and what it must not be confused by; vmalloc areas that
 * other CPUs use; all of undefined behaviour (kernel/ubsan.c). One bug of each class is in
 * tests/misuse/kernel/.
 */
#include "tests/kernel/kasan_test.h"

#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/trap.h>
#include <mm/mm.h>

/* --- the stack --- */

/* Each in a frame of its own: a caught panic takes the red zones away from those that go on. */
TEST(kasan_stack, out_of_bounds)
{
	victim_array(0);
	victim_array(9);
	EXPECT_PANIC("KASAN: stack-out-of-bounds in victim_array", victim_array(10));
	EXPECT_PANIC("KASAN: stack-out-of-bounds in victim_array", victim_array(-1));
	EXPECT_PANIC("write of size 1 ", victim_array(16));
}

TEST(kasan_stack, variable_length_arrays)
{
	for (size_t n = 1; n < 70; n++) {
		victim_alloca(hide_size(n), 0);
		EXPECT_PANIC("KASAN: alloca-out-of-bounds", victim_alloca(hide_size(n), (long)n));
		EXPECT_PANIC("KASAN: alloca-out-of-bounds", victim_alloca(hide_size(n), -1));
	}
}

static __noinline void end_deep(unsigned depth)
{
	u8 array[40] = {0}, *p = hide(array);

	if (depth > 0)
		end_deep(depth - 1);
	else if (hide_size(1) != 0)
		panic("deep");
	read_byte(p);
}

static __noinline void touch_stack(void)
{
	u8 array[4000], *p = hide(array);

	for (unsigned i = 0; i < sizeof(array); i++)
		write_byte(p + i);
}

static void fault_deep(void *p)
{
	u8 array[40] = {0}, *q = hide(array);

	read_byte(p);
	read_byte(q);
}

/* Frames that ended without returning leave nothing behind. */
TEST(kasan_stack, legal_after_panics_and_faults)
{
	EXPECT_PANIC("deep", end_deep(20));
	touch_stack();
	ASSERT_TRUE(trap_expect(fault_deep, (void *)8, NULL));
	touch_stack();
}

static void use_stack(void *unused)
{
	(void)unused;
	touch_stack();
}

TEST(kasan_stack, legal_in_threads_on_stacks_of_others)
{
	for (unsigned i = 0; i < 20; i++) {
		struct thread *t = thread_create(0, use_stack, NULL, "kasan");

		ASSERT_NOT_NULL(t);
		thread_join(t);
	}
}

/* --- other CPUs --- */

static u8 *shared;
static bool worked;

static void use_shared(void *unused)
{
	(void)unused;
	memset(shared, 1, hide_size(5000));
	__atomic_store_n(&worked, true, __ATOMIC_RELEASE);
}

/* Shadow that one CPU was given is seen by all. */
TEST(kasan, legal_vmalloc_used_by_others)
{
	for (unsigned i = 0; i < 20; i++) {
		struct thread *t;

		shared = vmalloc(5000);
		ASSERT_NOT_NULL(shared);
		t = thread_create(i % smp_nr_cpus(), use_shared, NULL, "kasan");
		ASSERT_NOT_NULL(t);
		thread_join(t);
		EXPECT_TRUE(__atomic_exchange_n(&worked, false, __ATOMIC_ACQUIRE));
		vfree(shared);
	}
}

/* --- undefined behaviour --- */

static int hide_int(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static int overflow_add(int n)
{
	return n + 1;
}

static int overflow_multiply(int n)
{
	return n * 3;
}

static int overflow_negate(int n)
{
	return -n;
}

static int divide(int n, int by)
{
	return n / by;
}

static int shift(int n, int by)
{
	return n << by;
}

static int index_of(int i)
{
	static const int array[4] = {1, 2, 3, 4};

	return array[i];
}

static __noinline int read_unaligned(const int *p)
{
	return *p;
}

static __noinline bool read_bool(const bool *p)
{
	return *p;
}

TEST(ubsan, arithmetic)
{
	const int max = 0x7fffffff, min = -max - 1;

	EXPECT_EQ(overflow_add(hide_int(max - 1)), max);
	EXPECT_PANIC("UBSAN: signed-integer-overflow at tests/kernel/kasan_more_test.c:",
	             hide_int(overflow_add(hide_int(max))));
	EXPECT_PANIC("UBSAN: signed-integer-overflow", hide_int(overflow_multiply(hide_int(max))));
	EXPECT_PANIC("UBSAN: signed-integer-overflow", hide_int(overflow_negate(hide_int(min))));
	EXPECT_PANIC("UBSAN: division-overflow", hide_int(divide(hide_int(1), hide_int(0))));
	EXPECT_PANIC("UBSAN: division-overflow", hide_int(divide(hide_int(min), hide_int(-1))));
	EXPECT_PANIC("UBSAN: shift-out-of-bounds", hide_int(shift(hide_int(1), hide_int(32))));
	EXPECT_PANIC("UBSAN: shift-out-of-bounds", hide_int(shift(hide_int(1), hide_int(-1))));
	EXPECT_EQ(shift(hide_int(1), hide_int(30)), 1 << 30);
}

TEST(ubsan, memory)
{
	u64 words[2] = {2, 2};
	u8 *p = hide(words);

	EXPECT_EQ(index_of(hide_int(3)), 4);
	EXPECT_PANIC("UBSAN: array-index-out-of-bounds", hide_int(index_of(hide_int(4))));
	EXPECT_PANIC("UBSAN: array-index-out-of-bounds", hide_int(index_of(hide_int(-1))));
	EXPECT_PANIC("UBSAN: misaligned-or-too-small-object",
	             hide_int(read_unaligned((const int *)(p + 1))));
	EXPECT_PANIC("UBSAN: invalid-value-of-bool-or-enum", hide_int(read_bool((const bool *)p)));
}

static __noinline void reach_unreachable(int n)
{
	if (n == 1)
		__builtin_unreachable();
	(void)hide_int(n);
}

TEST(ubsan, unreachable_code)
{
	reach_unreachable(hide_int(2));
	EXPECT_PANIC("UBSAN: unreachable-code-reached", reach_unreachable(hide_int(1)));
}
