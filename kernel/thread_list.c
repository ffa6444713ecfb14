/*
 * All threads, and their ids.
 *
 * Ids are numbers from 1 on, the same on every CPU, out of a vmem arena: the next one after the
 * last that was given (next fit), so that an id that was seen in a log is not soon another
 * thread's. A thread has its id until it is joined.
 *
 *   I1  a thread is on the list exactly while it has an id, and no two have the same
 *
 * Cost: thread_list_next() looks at all threads, so a listing is quadratic: it is for people.
 * Locks: the list's own, which is not held while anything is printed, and the arena's.
 */
#include <kernel/thread_list.h>
#include <lib/platform.h>
#include <lib/spinlock.h>
#include <mm/vmem.h>

static struct list threads = LIST_INIT(threads);             /* L */
static struct spinlock list_lock = SPINLOCK_INIT("threads"); /* L */
static struct vmem *ids;

void thread_list_init(void)
{
	ids = vmem_create("thread ids", 1, THREAD_ID_MAX, 1, NULL, NULL, NULL, 0, GFP_KERNEL);
	if (ids == NULL)
		panic("sched: no memory for the ids of threads");
}

bool thread_list_add(struct thread_entry *e)
{
	u64 id = vmem_alloc(ids, 1, GFP_KERNEL | VM_NEXTFIT), irq;

	if (id == 0)
		return false;
	vmem_reap(ids); /* what it uses says then how many threads there are, and nothing else */
	e->id = (u32)id;
	irq = spin_lock_irq(&list_lock);
	list_push_back(&threads, &e->link);
	spin_unlock_irq(&list_lock, irq);
	return true;
}

void thread_list_remove(struct thread_entry *e)
{
	u64 irq = spin_lock_irq(&list_lock);

	list_remove(&e->link);
	spin_unlock_irq(&list_lock, irq);
	vmem_free(ids, e->id, 1);
	vmem_reap(ids);
}

bool thread_list_next(u32 after, void (*copy)(void *to, const struct thread_entry *from), void *to)
{
	u64 irq = spin_lock_irq(&list_lock);
	const struct thread_entry *best = NULL;
	struct thread_entry *e;

	list_for_each(e, &threads, link) {
		if (e->id > after && (best == NULL || e->id < best->id))
			best = e;
	}
	if (best != NULL)
		copy(to, best);
	spin_unlock_irq(&list_lock, irq);
	return best != NULL;
}
