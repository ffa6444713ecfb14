/*
 * Classes of locks, and what is counted of each. All locks of one name are a class.
 *
 * A class is made when a lock of a new name is first waited for, or in CONFIG=debug first taken;
 * names are never forgotten. There may be MAX_LOCK_CLASSES - 1; class 0 stands for all others.
 */
#pragma once

#include <lib/types.h>

struct spinlock;

#define MAX_LOCK_CLASSES 64u /* bits of a word: lock_check.c's sets of classes */

/* A: atomic. */
struct lock_class {
	const char *name; /* A: NULL: not in use */
	u64 nr_waited;    /* A: takings that had to wait for another CPU */
	u64 nr_taken;     /* A: all takings; counted in CONFIG=debug only */
};

/* Its number. Any context. */
u32 lock_class_of(struct spinlock *l);

struct lock_class *lock_class(u32 number);

/* How often locks of its class were waited for. Any context. */
u64 lock_class_nr_waited(struct spinlock *l);

/* Every class in use, those of no number last, if there were any; a copy of each. */
void lock_class_visit(void (*visit)(void *context, const struct lock_class *c), void *context);
