/*
 * All threads and their ids, for kernel/sched.c; everybody else asks kernel/sched.h.
 *
 * In threads, with no lock held: ids come from an arena, which may need memory.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

#define THREAD_ID_MAX 32767u

/* In every struct thread. */
struct thread_entry {
	struct list link;
	u32 id; /* 1 … THREAD_ID_MAX */
};

void thread_list_init(void);

/* Gives the thread an id. False: no memory, or all are in use. */
bool thread_list_add(struct thread_entry *e);
void thread_list_remove(struct thread_entry *e);

/* Calls copy for the thread with the lowest id above `after`, which does not go away meanwhile.
 * copy holds a lock: it prints nothing. False: there is none. */
bool thread_list_next(u32 after, void (*copy)(void *to, const struct thread_entry *from), void *to);
