/* Random operations on arenas of every kind, against an array (tests/model/vmem_oracle.h). */
#include "tests/model/expect.h"
#include "tests/model/vmem_oracle.h"

#define NR_ROUNDS 8u
#define NR_STEPS 1500u
#define STEPS_A_CHECK 50u

static u32 draw(void *context, u32 bound)
{
	(void)context;
	return (u32)rng_below(test_rng(), bound);
}

static void free_wrongly(void)
{
	u64 addr, size;

	if (!vmem_oracle_draw_free(&addr, &size))
		EXPECT_PANIC("vmem: ", vmem_free(vmem_oracle_arena(), addr, size));
}

static void run(unsigned mode)
{
	for (u32 round = 0; round < NR_ROUNDS; round++) {
		ASSERT_SOUND(vmem_oracle_open(mode, draw, NULL));
		for (u32 step = 1; step <= NR_STEPS; step++) {
			ASSERT_SOUND(vmem_oracle_step());
			if (step % 16 == 0)
				free_wrongly();
			if (step % STEPS_A_CHECK == 0)
				ASSERT_SOUND(vmem_oracle_check());
		}
		ASSERT_SOUND(vmem_oracle_close());
	}
}

TEST(vmem_model, spans_and_policies_against_an_array)
{
	run(0);
}

TEST(vmem_model, imports_against_an_array)
{
	run(ORACLE_IMPORTS);
}

TEST(vmem_model, quantum_caches_against_an_array)
{
	run(ORACLE_QCACHES);
}

TEST(vmem_model, imports_and_quantum_caches_against_an_array)
{
	run(ORACLE_IMPORTS | ORACLE_QCACHES);
}
