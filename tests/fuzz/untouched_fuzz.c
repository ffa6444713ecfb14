/*
 * The buddy on gigabytes that are untouched at first, against one owner a pageblock
 * (tests/model/giants.h): ranges added at any time, blocks from 2 MiB to 1 GiB, runs, wrong frees.
 *
 * Input: operations of 2 to 5 bytes.
 */
#include <tests/fuzz/fuzz.h>
#include <tests/model/giants.h>

#define MAX_OPS 300u
#define OPS_A_CHECK 16u

static const char *step(struct input *in)
{
	u32 what = input_below(in, 8);
	unsigned order = PAGEBLOCK_ORDER + input_below(in, MAX_ORDER - PAGEBLOCK_ORDER + 1);

	if (what == 0) {
		u32 first = input_below(in, GIANTS_BLOCKS);

		giants_add(first, input_below(in, GIANTS_BLOCKS));
	} else if (what == 1) {
		return giants_ask(input_below(in, GIANTS_BLOCKS), order);
	} else if (what == 2) {
		return giants_alloc(order, 1 + input_below(in, 1u << (order - PAGEBLOCK_ORDER)));
	} else if (what < 6) {
		return giants_alloc(order, 0);
	} else if (giants_held() > 0) {
		giants_free(input_below(in, giants_held()));
	}
	return NULL;
}

void fuzz_one(struct input *in)
{
	giants_open();
	giants_add(512, 3 * 512);
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		MUST_BE_SOUND(step(in));
		if (i % OPS_A_CHECK == 0)
			MUST_BE_SOUND(giants_check());
	}
	while (giants_held() > 0)
		giants_free(giants_held() - 1);
	MUST_BE_SOUND(giants_check());
	MUST_EQ(giants.nr_free_pages, giants.nr_managed_pages);
}
