/*
 * Random operations on gigabytes, of which most are untouched at first, against the oracle of
 * tests/model/giants.h.
 */
#include "tests/model/expect.h"
#include "tests/model/giants.h"

#if __STDC_HOSTED__
#define NR_RUNS 12u
#define NR_STEPS 1500u

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

/* Whole GiB with ragged ends, beside each other and with holes; others come later. */
static void open(void)
{
	giants_open();
	giants_add(1 + below(600), 900 + below(900));
	giants_add(2560, 512);
	EXPECT_SOUND(giants_check());
}

static const char *step(unsigned allocs_in_16)
{
	u32 what = below(64);
	unsigned order = MAX_ORDER - lowest_bit(below(1u << 9) | 1u << 9);

	if (what == 0)
		giants_add(1 + below(GIANTS_BLOCKS - 1), 1 + below(700));
	else if (what < 4)
		return giants_ask(below(GIANTS_BLOCKS), 7 + below(13));
	else if (what / 4 < allocs_in_16)
		return giants_alloc(order,
		                    below(4) == 0 ? 1 + below(1u << (order - PAGEBLOCK_ORDER)) : 0);
	else if (giants_held() > 0)
		giants_free(below(giants_held()));
	return NULL;
}

TEST(untouched_model, random_operations_on_gigabytes)
{
	for (unsigned run = 0; run < NR_RUNS; run++) {
		open();
		for (u32 i = 0; i < NR_STEPS; i++) {
			ASSERT_SOUND(
			    step(3 + i / 256 % 3 * 4)); /* mostly frees, both, allocations */
			if (i % 50 == 0)
				ASSERT_SOUND(giants_check());
		}
		while (giants_held() > 0)
			giants_free(0);
		ASSERT_SOUND(giants_check());
		EXPECT_EQ(giants.nr_free_pages, giants.nr_managed_pages);
	}
}
#endif
