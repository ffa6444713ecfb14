/*
 * Arenas of every kind against an array with one byte a quantum, and wrong frees. The oracle is
 * that of the model test (tests/model/vmem_oracle.h); here the fuzzer decides what is done.
 *
 * Input: the kind of arena, then operations of 1 to 8 bytes.
 */
#include <mm/mm.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>
#include <tests/model/vmem_oracle.h>

#define OPS_A_CHECK 16u
#define MAX_OPS 400u

static u32 draw(void *context, u32 bound)
{
	return input_below(context, bound);
}

static void free_wrongly(void)
{
	u64 addr, size;

	if (!vmem_oracle_draw_free(&addr, &size))
		MUST_PANIC("vmem: ", vmem_free(vmem_oracle_arena(), addr, size));
}

void fuzz_one(struct input *in)
{
	struct mm_usage before, after;
	static bool booted;

	/* Once: booting costs a hundred times what an input does. No address of its memory decides
	 * anything, and at the end of an input nothing of it is in use. */
	if (!booted)
		host_machine_boot_pc(32 * MIB);
	booted = true;
	mm_usage(&before);
	MUST_BE_SOUND(vmem_oracle_open(input_below(in, NR_ORACLE_MODES), draw, in));
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		if (input_below(in, 16) == 15)
			free_wrongly();
		else
			MUST_BE_SOUND(vmem_oracle_step());
		if (i % OPS_A_CHECK == 0)
			MUST_BE_SOUND(vmem_oracle_check());
	}
	MUST_BE_SOUND(vmem_oracle_close());
	MUST_BE_SOUND(mm_check());
	mm_usage(&after);
	MUST_EQ(after.live_objects, before.live_objects);
}
