/*
 * The depot of stacks: each backtrace is kept once, and known by a number that fits beside an
 * object (the idea is that of Linux's lib/stackdepot.c).
 *
 * A hash table of chains over one array of 8-byte words. A record is a header word (length, the
 * number of the next record of its chain) and the return addresses; its number is its place in the
 * array. Records are never freed. The memory is taken once, at boot, so that saving a stack never
 * allocates: it happens inside the allocators. When the array is full, new stacks are counted as
 * lost and known by 0; those that are there are found as before.
 *
 * Readers take no lock: a record is complete before its number is published. Writers take one, the
 * last in the order.
 *
 * Invariant: used <= nr_words; every chain's records have frames that hash to its bucket.
 *
 * Cost: a backtrace, a hash, and one comparison a record in the chain.
 */
#include "debug_internal.h"

#include <lib/log.h>
#include <lib/race.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

#define DEPOT_SHARE 256ul /* of memory, between these: */
#define DEPOT_MIN (64 * KIB)
#define DEPOT_MAX (8 * MIB)
#define BUCKETS_SHARE 16 /* of the depot: room for a number a 64-byte record */

struct record {
	u32 next, nr_frames;
	u64 frame[];
};

struct stack_depot stack_depot;

static struct record *record_of(u32 number)
{
	return (struct record *)&stack_depot.word[number];
}

static u64 hash_frames(const u64 *frame, size_t n)
{
	u64 hash = n;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ frame[i]) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 32;
}

/* In a chain, from this record on; 0: not there. */
static u32 find(u32 number, const u64 *frame, size_t n)
{
	for (; number != 0; number = record_of(number)->next) {
		const struct record *r = record_of(number);

		if (r->nr_frames == n && memcmp(r->frame, frame, n * sizeof(*frame)) == 0)
			break;
	}
	return number;
}

/* A new record at the head of the chain. L. 0: no room. */
static u32 append(u32 *bucket, const u64 *frame, size_t n)
{
	u32 number = stack_depot.used, words = (u32)n + 1;

	spin_assert_held(&stack_depot.lock);
	if (words > stack_depot.nr_words - stack_depot.used)
		return 0;
	record_of(number)->next = *bucket;
	record_of(number)->nr_frames = (u32)n;
	memcpy(record_of(number)->frame, frame, n * sizeof(*frame));
	stack_depot.used += words;
	__atomic_store_n(bucket, number, __ATOMIC_RELEASE);
	return number;
}

/* The chain has none such yet; but another CPU may be adding it too. */
static u32 add(u32 *bucket, const u64 *frame, size_t n)
{
	u64 flags = spin_lock_irq(&stack_depot.lock);
	u32 number = find(*bucket, frame, n);
	bool is_new = number == 0;

	if (is_new)
		number = append(bucket, frame, n);
	spin_unlock_irq(&stack_depot.lock, flags);
	if (is_new)
		__atomic_add_fetch(number != 0 ? &stack_depot.nr_stacks : &stack_depot.nr_lost, 1,
		                   __ATOMIC_RELAXED);
	return number;
}

u32 stack_depot_save_here(void)
{
	u64 frame[STACK_DEPTH];
	size_t n;
	u32 *bucket, number;

	if (stack_depot.word == NULL)
		return 0;
	n = platform_backtrace(frame, STACK_DEPTH);
	if (n == 0)
		return 0;
	bucket = &stack_depot.bucket[hash_frames(frame, n) & (stack_depot.nr_buckets - 1)];
	number = find(__atomic_load_n(bucket, __ATOMIC_ACQUIRE), frame, n);
	if (number == 0)
		return add(bucket, frame, n);
	__atomic_add_fetch(&stack_depot.nr_hits, 1, __ATOMIC_RELAXED);
	return number;
}

size_t stack_depot_get(u32 number, const u64 **frames)
{
	if (stack_depot.word == NULL || number == 0 || number >= data_race(stack_depot.used) ||
	    record_of(number)->nr_frames > STACK_DEPTH)
		return 0;
	*frames = record_of(number)->frame;
	return record_of(number)->nr_frames;
}

void stack_depot_stats(struct stack_depot_stats *out)
{
	*out = (struct stack_depot_stats){
	    .nr_stacks = __atomic_load_n(&stack_depot.nr_stacks, __ATOMIC_RELAXED),
	    .nr_hits = __atomic_load_n(&stack_depot.nr_hits, __ATOMIC_RELAXED),
	    .nr_lost = __atomic_load_n(&stack_depot.nr_lost, __ATOMIC_RELAXED),
	    .used_bytes = data_race(stack_depot.used) * sizeof(u64),
	    .size_bytes = stack_depot.nr_words * sizeof(u64),
	};
}

static void reset(void)
{
	memset(&stack_depot, 0, sizeof(stack_depot));
	spin_init(&stack_depot.lock, "stack depot");
}

static u64 size_bytes(void)
{
	return stack_depot.nr_buckets * sizeof(u32) + stack_depot.nr_words * sizeof(u64);
}

void stack_depot_destroy(void)
{
	if (stack_depot.word != NULL)
		free_pages_exact(stack_depot.bucket, size_bytes());
	reset();
}

bool stack_depot_create(u64 bytes)
{
	char *memory = alloc_pages_exact(bytes, GFP_NOWAIT | __GFP_NOWARN | __GFP_ZERO);

	reset();
	if (memory == NULL)
		return false;
	stack_depot.nr_buckets = 1u << highest_bit(bytes / BUCKETS_SHARE / sizeof(u32));
	stack_depot.bucket = (u32 *)memory;
	stack_depot.nr_words = (u32)(bytes / sizeof(u64) - stack_depot.nr_buckets / 2);
	stack_depot.used = 1; /* 0 is no number */
	stack_depot.word = (u64 *)(memory + stack_depot.nr_buckets * sizeof(u32));
	return true;
}

void stack_depot_init(void)
{
	u64 memory = 0;

	reset();
	if (!mm_debug_wants(DEBUG_OWNER))
		return;
	for_each_zone(z)
		memory += z->buddy.nr_managed_pages << PAGE_SHIFT;
	memory = max_u64(DEPOT_MIN, min_u64(memory / DEPOT_SHARE, DEPOT_MAX));
	if (!stack_depot_create(align_down(memory, PAGE_SIZE)))
		log_warn("slab_debug: no memory for stacks: U is ignored");
}
