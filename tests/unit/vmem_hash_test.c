/*
 * mm/vmem_hash.c: when the table asks for a part, when it gives one back, and that every node is
 * found at every size between.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/test.h"

#define NR_NODES 256u

static struct vmem_hash h;
static struct hash_node node[NR_NODES];

/* Keys 0, 8, 16 … */
static void insert(u64 i)
{
	node[i].key = i << 3;
	hash_insert(&h, &node[i]);
}

static void give_what_it_wants(void)
{
	u64 bytes = hash_wants(&h);
	struct hash_node **part;

	if (bytes == 0)
		return;
	part = kmalloc(bytes, GFP_KERNEL);
	ASSERT_NOT_NULL(part);
	ASSERT_TRUE(hash_give(&h, part, bytes));
}

static void insert_with_parts(u64 nr)
{
	hash_init(&h, 3);
	for (u64 i = 0; i < nr; i++) {
		give_what_it_wants();
		insert(i);
	}
}

static void expect_found(u64 from, u64 to)
{
	for (u64 i = 0; i < NR_NODES; i++)
		ASSERT_EQ((u64)hash_find(&h, i << 3), i >= from && i < to ? (u64)&node[i] : 0);
}

/* From 16 on a bucket a node, and a part for each doubling, at the last moment. */
TEST(vmem_hash, grows_by_a_bucket_a_node)
{
	hash_init(&h, 3);
	for (u64 i = 0; i < NR_NODES; i++) {
		EXPECT_EQ(hash_wants(&h), i >= 16 && is_pow2(i) ? i * sizeof(void *) : 0);
		give_what_it_wants();
		EXPECT_EQ(hash_wants(&h), 0);
		insert(i);
		EXPECT_EQ(h.nr, i + 1);
		EXPECT_EQ(h.nr_buckets, max_u64(16, i + 1));
	}
	expect_found(0, NR_NODES);
	hash_finish(&h);
}

/* It asks again now and then, not each time. */
TEST(vmem_hash, without_memory_the_chains_grow)
{
	hash_init(&h, 3);
	for (u64 i = 0; i < 100; i++) {
		EXPECT_EQ(hash_wants(&h), i != 0 && i % 16 == 0 ? 16 * sizeof(void *) : 0);
		insert(i);
		EXPECT_EQ(h.nr_buckets, 16);
	}
	expect_found(0, 100);
}

TEST(vmem_hash, a_part_that_is_not_wanted_is_refused)
{
	struct hash_node **part = kmalloc(128, GFP_KERNEL);

	ASSERT_NOT_NULL(part);
	hash_init(&h, 3);
	EXPECT_FALSE(hash_give(&h, part, 128));
	for (u64 i = 0; i < 16; i++)
		insert(i);
	EXPECT_FALSE(hash_give(&h, part, 256));
	EXPECT_TRUE(hash_give(&h, part, 128));
	EXPECT_FALSE(hash_give(&h, part, 128)); /* somebody else was first */
	EXPECT_EQ((u64)h.part[1], (u64)part);
	hash_finish(&h);
}

/* Four buckets a node at most, up to four fewer a removal; a part goes with its first bucket. */
TEST(vmem_hash, shrinks_by_what_a_removal_can)
{
	unsigned nr_parts = 0;

	insert_with_parts(NR_NODES);
	for (u64 i = 0; i < NR_NODES; i++) {
		struct hash_node **part = hash_remove(&h, &node[i]);
		u64 left = NR_NODES - 1 - i;

		EXPECT_EQ(h.nr, left);
		EXPECT_EQ(h.nr_buckets, left >= 64   ? 256
		                        : left >= 32 ? 4 * left + 3
		                        : left >= 3  ? 4 * left + 4
		                                     : 16);
		EXPECT_EQ(part != NULL, left == 31 || left == 15 || left == 7 || left == 3);
		nr_parts += part != NULL;
		kfree(part);
		expect_found(i + 1, NR_NODES);
	}
	EXPECT_EQ(nr_parts, 4);
	for (unsigned i = 0; i < HASH_PARTS; i++)
		EXPECT_NULL(h.part[i]);
}

/* What was given at the last moment before the nodes began to go is behind the last bucket. */
TEST(vmem_hash, a_part_that_was_never_used_goes_too)
{
	struct hash_node **unused, **part = NULL;

	insert_with_parts(64);
	give_what_it_wants();
	unused = h.part[3];
	ASSERT_NOT_NULL(unused);
	for (u64 i = 0; i < 64 && part == NULL; i++)
		part = hash_remove(&h, &node[i]);
	EXPECT_EQ((u64)part, (u64)unused);
	EXPECT_EQ(h.nr_buckets, 64);
	kfree(part);
	while (hash_settle(&h, &part))
		kfree(part);
	hash_finish(&h);
	insert_with_parts(64);
	give_what_it_wants();
	h.nr = 0; /* all at once */
	for (unsigned i = 3; i >= 1; i--) {
		EXPECT_TRUE(hash_settle(&h, &part));
		EXPECT_NOT_NULL(part);
		kfree(part);
	}
	EXPECT_FALSE(hash_settle(&h, &part));
	EXPECT_EQ(h.nr_buckets, HASH_FIRST);
}

/* With nodes in it: they are not its own. */
TEST(vmem_hash, its_end_gives_the_parts_back_and_no_more)
{
	insert_with_parts(70);
	EXPECT_NOT_NULL(h.first[0]);
	EXPECT_TRUE(h.part[1] != NULL && h.part[2] != NULL && h.part[3] != NULL);
	hash_finish(&h);
	for (unsigned i = 0; i < HASH_PARTS; i++)
		EXPECT_NULL(h.part[i]);
}

TEST(vmem_hash, only_what_is_in_it_can_be_removed)
{
	hash_init(&h, 3);
	insert(1);
	EXPECT_PANIC("assertion failed", (void)hash_remove(&h, &node[2]));
}

/* Its largest size needs more memory than there is, so the table is told that it has it. */
TEST(vmem_hash, there_is_a_last_part)
{
	hash_init(&h, 3);
	h.nr = h.nr_buckets = 16ull << (HASH_PARTS - 1);
	EXPECT_EQ(hash_wants(&h), 0);
	insert(0);
	EXPECT_EQ(h.nr_buckets, 16ull << (HASH_PARTS - 1));
	EXPECT_EQ((u64)hash_find(&h, 0), (u64)&node[0]);
	hash_init(&h, 3);
	h.nr = h.nr_buckets = 8ull << (HASH_PARTS - 1);
	EXPECT_EQ(hash_wants(&h), (8ull << (HASH_PARTS - 1)) * sizeof(void *));
}
