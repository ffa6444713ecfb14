/*
 * Accesses that sampled guard pages catch (kfence=): the objects here are samples, as any of the
 * machine's may be.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"

#define SIZE 64u
#define NR_OBJECTS 16u
#define KFENCE "KFENCE, where sampled; KASAN; at the free with slab_debug=Z"

static bool start(void)
{
	struct guard_options options = {.interval = 1, .nr_objects = NR_OBJECTS};

	if (guard_on) {
		test_skip("kfence= is on");
		return false;
	}
	ASSERT_EQ(guard_start(&options), 0);
	return true;
}

/* At its page's start, or at its end. */
static volatile char *sample(bool at_start)
{
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		char *p;

		slab_bypass(true);
		p = kmalloc(SIZE, GFP_KERNEL);
		slab_bypass(false);
		p = must(p);
		ASSERT_TRUE(guard_owns(p));
		if (is_aligned((u64)p, PAGE_SIZE) == at_start)
			return p;
		kfree(p);
	}
	ASSERT_TRUE(false);
	return NULL;
}

static void stop(volatile char *p)
{
	kfree((void *)p);
	EXPECT_EQ(guard_stop(), 0);
}

MISUSE(write_past_the_end, "write past an object's end", TIER_SAMPLED, "at the access", KFENCE)
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	CAUGHT(p[SIZE] = 1,
	       "BUG: out of bounds right in kmalloc-64: object %p+64 (size 64): write at",
	       (void *)p);
	stop(p);
}

MISUSE(read_past_the_end, "read past an object's end", TIER_SAMPLED, "at the access",
       "KFENCE, where sampled; KASAN")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	CAUGHT((void)p[SIZE + 7],
	       "BUG: out of bounds right in kmalloc-64: object %p+71 (size 64): read at",
	       (void *)p);
	stop(p);
}

MISUSE(write_before_the_start, "write before an object's start", TIER_SAMPLED, "at the access",
       KFENCE)
{
	volatile char *p;

	if (!start())
		return;
	p = sample(true);
	CAUGHT(p[-1] = 1, "BUG: out of bounds left in kmalloc-64: object %p-1 (size 64): write at",
	       (void *)p);
	stop(p);
}

MISUSE(write_after_free, "write to a freed object", TIER_SAMPLED, "at the access",
       "KFENCE, where sampled; KASAN; at the next allocation with slab_debug=P")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	kfree((void *)p);
	CAUGHT(p[5] = 1, "BUG: use after free in kmalloc-64: object %p+5 (size 64): write at",
	       (void *)p);
	EXPECT_EQ(guard_stop(), 0);
}

MISUSE(read_after_free, "read of a freed object", TIER_SAMPLED, "at the access",
       "KFENCE, where sampled; KASAN")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(true);
	kfree((void *)p);
	CAUGHT((void)p[0], "BUG: use after free in kmalloc-64: object %p+0 (size 64): read at",
	       (void *)p);
	EXPECT_EQ(guard_stop(), 0);
}

MISUSE(canary, "write into the guarded page, beside the object", TIER_SAMPLED, "at the free",
       "KFENCE, where sampled; KASAN at the access")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(true);
	p[SIZE] = 1;
	CAUGHT(kfree((void *)p),
	       "BUG: canary overwritten right in kmalloc-64: object %p+64 (size 64): byte is 0x01",
	       (void *)p);
	EXPECT_EQ(guard_stop(), 0); /* it was freed all the same */
}

MISUSE(read_before_the_start, "read before an object's start", TIER_SAMPLED, "at the access",
       "KFENCE, where sampled; KASAN")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(true);
	CAUGHT((void)p[-1], "BUG: out of bounds left in kmalloc-64: object %p-1 (size 64): read at",
	       (void *)p);
	stop(p);
}

MISUSE(canary_left, "write into the guarded page, before the object", TIER_SAMPLED, "at the free",
       "KFENCE, where sampled; KASAN at the access")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	p[-1] = 1;
	CAUGHT(kfree((void *)p),
	       "BUG: canary overwritten left in kmalloc-64: object %p-1 (size 64): byte is 0x01",
	       (void *)p);
	EXPECT_EQ(guard_stop(), 0); /* it was freed all the same */
}

MISUSE(guarded_twice, "double free of a guarded object", TIER_SAMPLED, "at the free",
       "KFENCE, where sampled; KASAN")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	kfree((void *)p);
	CAUGHT(kfree((void *)p), "kfree: double free object=%p", (void *)p);
	EXPECT_EQ(guard_stop(), 0);
}

MISUSE(guarded_interior, "free of an address inside a guarded object", TIER_SAMPLED, "at the free",
       "KFENCE, where sampled; KASAN")
{
	volatile char *p;

	if (!start())
		return;
	p = sample(false);
	CAUGHT(kfree((void *)(p + 8)), "kfree: not the start of an object address=%p",
	       (void *)(p + 8));
	stop(p);
}
