/*
 * The table of allocated segments, by start: linear hashing (Litwin 1980; in memory: Larson,
 * "Dynamic Hash Tables", CACM 1988).
 *
 * A table of n buckets becomes one of n + 1 by splitting a single one: bucket b of the upper half
 * [low, 2 low) took its nodes from b - low. So no insertion ever moves more than one chain, where a
 * table that doubles would stop everyone for a million. The buckets lie in parts of doubling size,
 * which never move; the owner gives the next part before it is needed, and without memory for one
 * the chains just grow longer.
 *
 * H1  low <= nr_buckets < 2 low, low a power of two; the buckets below nr_buckets are in use
 * H2  a node with hash h stands in bucket h mod 2 low if that is in use, else in h mod low
 *
 * Cost: O(1) expected each, a chain of 1 to 4 nodes. Not here: locks; memory (its owner's).
 */
#include "vmem_internal.h"

#include <lib/assert.h>
#include <mm/kmalloc.h>

#define SETTLE_STEPS 64u

/* Buckets of a part. */
static u64 part_size(unsigned part)
{
	return (u64)HASH_FIRST / 2 << part;
}

static unsigned part_of(u64 bucket)
{
	return highest_bit(bucket) - lowest_bit(HASH_FIRST) + 1;
}

struct hash_node **hash_bucket(const struct vmem_hash *h, u64 bucket)
{
	unsigned top;

	if (bucket < HASH_FIRST)
		return (struct hash_node **)&h->first[bucket];
	top = highest_bit(bucket);
	return &h->part[top - lowest_bit(HASH_FIRST) + 1][bucket ^ 1ull << top];
}

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4), and H2. */
u64 hash_bucket_of(const struct vmem_hash *h, u64 key)
{
	u64 hash = (key >> h->shift) * 0x9e3779b97f4a7c15 >> 24;
	u64 low = 1ull << highest_bit(h->nr_buckets), bucket = hash & (2 * low - 1);

	return bucket < h->nr_buckets ? bucket : bucket - low;
}

void hash_init(struct vmem_hash *h, unsigned shift)
{
	*h = (struct vmem_hash){.nr_buckets = HASH_FIRST, .shift = shift};
}

void hash_finish(struct vmem_hash *h)
{
	for (unsigned i = 1; i < HASH_PARTS; i++) {
		kfree(h->part[i]);
		h->part[i] = NULL;
	}
}

/* Not at every insertion: while there is no memory, asking costs more than longer chains do. */
u64 hash_wants(const struct vmem_hash *h)
{
	if (likely(h->nr < h->nr_buckets) || h->nr % HASH_FIRST != 0)
		return 0;
	if (part_of(h->nr_buckets) >= HASH_PARTS || h->part[part_of(h->nr_buckets)] != NULL)
		return 0;
	return part_size(part_of(h->nr_buckets)) * sizeof(struct hash_node *);
}

bool hash_give(struct vmem_hash *h, struct hash_node **part, u64 bytes)
{
	if (hash_wants(h) != bytes)
		return false;
	h->part[part_of(h->nr_buckets)] = part;
	return true;
}

/* One bucket more, with its share of the nodes. */
static void split(struct vmem_hash *h)
{
	u64 bucket = h->nr_buckets;
	struct hash_node **to, **at;

	if (part_of(bucket) >= HASH_PARTS || h->part[part_of(bucket)] == NULL)
		return;
	h->nr_buckets++;
	to = hash_bucket(h, bucket);
	*to = NULL;
	at = hash_bucket(h, bucket ^ 1ull << highest_bit(bucket));
	while (*at != NULL) {
		struct hash_node *n = *at;

		if (hash_bucket_of(h, n->key) == bucket) {
			*at = n->next;
			n->next = *to;
			*to = n;
		} else {
			at = &n->next;
		}
	}
}

/* The part that was given and is not used yet, or NULL. */
static struct hash_node **take_unused(struct vmem_hash *h)
{
	struct hash_node **part = NULL;

	if (is_pow2(h->nr_buckets) && part_of(h->nr_buckets) < HASH_PARTS) {
		part = h->part[part_of(h->nr_buckets)];
		h->part[part_of(h->nr_buckets)] = NULL;
	}
	return part;
}

/* One bucket less. Returns the part whose first bucket it was, or NULL. A part behind the last
 * bucket goes before it: the next bucket to go would leave it behind. */
static struct hash_node **join(struct vmem_hash *h)
{
	struct hash_node **part = take_unused(h), **to;
	u64 bucket;

	if (part != NULL)
		return part;
	bucket = --h->nr_buckets;
	to = hash_bucket(h, bucket ^ 1ull << highest_bit(bucket));
	while (*to != NULL)
		to = &(*to)->next;
	*to = *hash_bucket(h, bucket);
	if (is_pow2(bucket)) {
		part = h->part[part_of(bucket)];
		h->part[part_of(bucket)] = NULL;
	}
	return part;
}

/* As many as the table can lose before it has four buckets for one that is used, at most. */
static struct hash_node **join_some(struct vmem_hash *h)
{
	struct hash_node **part = NULL;

	for (unsigned i = 0; i < 4 && part == NULL; i++) {
		if (likely(h->nr >= h->nr_buckets / 4) || h->nr_buckets == HASH_FIRST)
			break;
		part = join(h);
	}
	return part;
}

bool hash_settle(struct vmem_hash *h, struct hash_node ***part)
{
	for (unsigned i = 0; h->nr_buckets > max_u64(h->nr, HASH_FIRST); i++) {
		if (i == SETTLE_STEPS)
			return true;
		*part = join(h);
		if (*part != NULL)
			return true;
	}
	*part = take_unused(h);
	return false;
}

void hash_insert(struct vmem_hash *h, struct hash_node *n)
{
	struct hash_node **bucket = hash_bucket(h, hash_bucket_of(h, n->key));

	n->next = *bucket;
	*bucket = n;
	if (unlikely(++h->nr > h->nr_buckets))
		split(h);
}

struct hash_node *hash_find(const struct vmem_hash *h, u64 key)
{
	struct hash_node *n = *hash_bucket(h, hash_bucket_of(h, key));

	while (n != NULL && n->key != key)
		n = n->next;
	return n;
}

struct hash_node **hash_remove(struct vmem_hash *h, struct hash_node *n)
{
	struct hash_node **at = hash_bucket(h, hash_bucket_of(h, n->key));

	while (*at != n) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = n->next;
	h->nr--;
	return join_some(h);
}
