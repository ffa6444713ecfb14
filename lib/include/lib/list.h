/*
 * Circular doubly linked lists with a head, links in the objects. Every unlink verifies that both
 * neighbours point back (safe unlinking, as in glibc since 2004 and Linux's CONFIG_LIST_HARDENED),
 * so a corrupted list stops the machine instead of writing where an attacker chose.
 */
#pragma once

#include <lib/assert.h>
#include <lib/types.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name)          \
	{                        \
		&(name), &(name) \
	}

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_insert_between(struct list *l, struct list *prev, struct list *next)
{
	if (unlikely(prev->next != next || next->prev != prev))
		panic("list: corrupted neighbours prev=%p next=%p", (void *)prev, (void *)next);
	l->next = next;
	l->prev = prev;
	prev->next = l;
	next->prev = l;
}

static inline void list_push_front(struct list *head, struct list *l)
{
	list_insert_between(l, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *l)
{
	list_insert_between(l, head->prev, head);
}

/* Leaves l initialised, as a list of its own. */
static inline void list_remove(struct list *l)
{
	struct list *next = l->next, *prev = l->prev;

	if (unlikely(next->prev != l || prev->next != l))
		panic("list: corrupted link %p", (void *)l);
	next->prev = prev;
	prev->next = next;
	list_init(l);
}

/* All of `from`, which has entries, becomes what the head `to` has, whatever that was; `from` is
 * empty then. */
static inline void list_take_all(struct list *to, struct list *from)
{
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

/*
 * Runs the body for each entry, first to last. The body may remove the current entry (and free it),
 * no other. After the loop `it` is not an entry, unless `break` ended it.
 */
#define list_for_each(it, head, member)                                              \
	for (struct list *it##_at_ = (head)->next, *it##_next_ = it##_at_->next;     \
	     it = list_entry(it##_at_, __typeof__(*it), member), it##_at_ != (head); \
	     it##_at_ = it##_next_, it##_next_ = it##_at_->next)
