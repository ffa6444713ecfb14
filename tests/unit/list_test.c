/*
 * lib/list.h: order, removal while walking, and that a corrupted link stops the machine before
 * anything is written.
 */
#include <lib/list.h>
#include <tests/test.h>

struct item {
	int value;
	struct list link;
};

static struct list head;
static struct item items[5];

static void build(unsigned n)
{
	list_init(&head);
	for (unsigned i = 0; i < n; i++) {
		items[i].value = (int)i;
		list_push_back(&head, &items[i].link);
	}
}

/* The values as decimal digits: "01234" is 1234. */
static int digits(void)
{
	struct item *it;
	int sum = 0;

	list_for_each(it, &head, link)
		sum = sum * 10 + it->value;
	return sum;
}

TEST(list, pushes_at_both_ends)
{
	static struct list initialised = LIST_INIT(initialised);

	EXPECT_TRUE(list_is_empty(&initialised));
	build(0);
	EXPECT_TRUE(list_is_empty(&head));
	build(3);
	EXPECT_FALSE(list_is_empty(&head));
	EXPECT_EQ(digits(), 12);
	items[3].value = 3;
	list_push_front(&head, &items[3].link);
	EXPECT_EQ(digits(), 3012);
	EXPECT_EQ(list_first(&head, struct item, link), &items[3]);
	EXPECT_EQ(list_entry(head.prev, struct item, link), &items[2]);
}

TEST(list, moves_as_a_whole)
{
	struct list other;

	build(5);
	list_take_all(&other, &head);
	EXPECT_TRUE(list_is_empty(&head));
	list_take_all(&head, &other);
	EXPECT_TRUE(list_is_empty(&other));
	EXPECT_EQ(digits(), 1234);
	list_remove(&items[4].link);
	list_remove(&items[0].link);
	EXPECT_EQ(digits(), 123);
}

TEST(list, removes_anywhere)
{
	build(5);
	list_remove(&items[2].link);
	EXPECT_EQ(digits(), 134);
	EXPECT_TRUE(list_is_empty(&items[2].link));
	list_remove(&items[0].link);
	list_remove(&items[4].link);
	EXPECT_EQ(digits(), 13);
	list_remove(&items[1].link);
	list_remove(&items[3].link);
	EXPECT_TRUE(list_is_empty(&head));
	list_remove(&items[3].link); /* a list of its own: harmless */
	list_push_back(&head, &items[3].link);
	EXPECT_EQ(digits(), 3);
}

TEST(list, a_walk_may_remove_the_current_entry)
{
	struct item *it, *inner;
	int pairs = 0;

	build(5);
	list_for_each(it, &head, link) {
		if (it->value % 2 == 0) {
			list_remove(&it->link);
			it->link = (struct list){NULL, NULL};
		}
	}
	EXPECT_EQ(digits(), 13);
	list_for_each(it, &head, link)
		list_for_each(inner, &head, link)
			pairs++;
	EXPECT_EQ(pairs, 4);
	list_for_each(it, &head, link)
		list_remove(&it->link);
	EXPECT_TRUE(list_is_empty(&head));
}

TEST(list, break_leaves_the_current_entry)
{
	struct item *it;

	build(5);
	list_for_each(it, &head, link) {
		if (it->value == 3)
			break;
	}
	EXPECT_EQ(it, &items[3]);
}

TEST(list, corrupted_next_is_caught_on_removal)
{
	build(3);
	items[1].link.next = &items[0].link;
	EXPECT_PANIC("list: corrupted link", list_remove(&items[1].link));
	EXPECT_EQ(items[0].link.next, &items[1].link);
	EXPECT_EQ(items[2].link.prev, &items[1].link);
}

TEST(list, corrupted_prev_is_caught_on_removal)
{
	build(3);
	items[1].link.prev = &head;
	EXPECT_PANIC("list: corrupted link", list_remove(&items[1].link));
	EXPECT_EQ(items[0].link.next, &items[1].link);
}

TEST(list, second_removal_of_stale_links_is_caught)
{
	struct list stale;

	build(3);
	stale = items[1].link;
	list_remove(&items[1].link);
	items[1].link = stale;
	EXPECT_PANIC("list: corrupted link", list_remove(&items[1].link));
	EXPECT_EQ(digits(), 2);
}

TEST(list, corrupted_neighbours_are_caught_on_insertion)
{
	build(2);
	items[0].link.prev = &items[1].link;
	EXPECT_PANIC("list: corrupted neighbours", list_push_front(&head, &items[2].link));
	build(2);
	items[1].link.next = &items[0].link;
	EXPECT_PANIC("list: corrupted neighbours", list_push_back(&head, &items[2].link));
	EXPECT_EQ(head.prev, &items[1].link);
}
