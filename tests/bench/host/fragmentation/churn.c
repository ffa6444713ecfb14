/*
 * The experiment of LLFree's authors (Wrenger, Rommel, Halbuer, Dietrich, Lohmann: "LLFree:
 * Scalable and Optionally-Persistent Page-Frame Allocation", USENIX ATC 2023; their module
 * linux-alloc-bench, "frag"): 90 % of memory is allocated page by page, half of these pages, chosen
 * at random, are freed. Then each round frees a share of the live pages at random and allocates as
 * many. After each round: how many of the 2 MiB frames that the free memory could make are free?
 *
 * A placer that hands out what was freed last fills the holes anywhere and stays where it began;
 * one that fills the fullest 2 MiB first empties the others.
 */
#include <tests/bench/host/fragmentation/placer.h>

#include <lib/rng.h>
#include <stdio.h>

static u32 *live;
static u32 nr_live;

double huge_share(const struct free_state *s)
{
	u64 possible = s->pages >> HUGE_ORDER;

	return possible ? (double)free_blocks(s, HUGE_ORDER) / (double)possible : 0;
}

static void swap(u32 i, u32 j)
{
	u32 x = live[i];

	live[i] = live[j];
	live[j] = x;
}

static void allocate(const struct placer *p, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		live[nr_live] = p->alloc(0);
		if (live[nr_live] == 0)
			fail(STATUS_FAILED, "%s has no page left after %u", p->name, nr_live);
		nr_live++;
	}
}

static void release_random(const struct placer *p, struct rng *rng, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		swap((u32)rng_below(rng, nr_live), nr_live - 1);
		p->release(live[--nr_live], 0);
	}
}

static void print_round(const struct placer *p, unsigned round)
{
	struct free_state s;

	p->look(&s);
	printf("round %u %.6f\n", round, huge_share(&s));
	fflush(stdout);
}

void run_churn(const struct placer *p, const struct options *o)
{
	struct free_state s;
	struct rng rng;
	u32 nr;

	rng_seed(&rng, o->seed);
	p->start(o->memory);
	p->look(&s);
	nr = (u32)(s.pages / 10 * 9);
	live = table((nr + 1ull) * sizeof(live[0]));
	allocate(p, nr);
	release_random(p, &rng, nr / 2);
	print_round(p, 0);
	for (unsigned round = 1; round <= o->rounds; round++) {
		u32 share = (u32)((u64)nr_live * o->percent / 100);

		release_random(p, &rng, share);
		allocate(p, share);
		print_round(p, round);
	}
}
