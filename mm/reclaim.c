/*
 * Reclaim: asks whoever registered to give memory back, when the page allocator has none left. The
 * idea and the contract stand in <mm/reclaim.h>.
 *
 *   R1  an allocation made by a shrinker does not reclaim: a flag of the thread ends the recursion.
 *       Other threads do, on other CPUs or in turn on this one
 *   R2  a shrinker on which a walk stands stays listed; so a walk can step on, and who unregisters
 *       waits until none does. The list's lock is not held while a shrinker runs (it takes its own)
 *   R3  each shrinker is called a bounded number of times: PRIORITIES + 2
 *
 * Cost: a call of each shrinker in each round.
 */
#include "event_record.h"
#include "internal.h"

#include <lib/assert.h>
#include <lib/race.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>
#include <mm/stats.h>

/* The first round asks for a 2^PRIORITIES-th of what each counts, the last for all. */
#define PRIORITIES 8

#define BALANCE_ROUNDS 64

/* What a count() is believed. */
#define COUNT_MAX (1ull << 40)

static struct spinlock lock = SPINLOCK_INIT("reclaim");
static struct list shrinkers = LIST_INIT(shrinkers); /* guarded by lock */

void reclaim_init(void)
{
	list_init(&shrinkers);
}

void register_shrinker(struct shrinker *s)
{
	u64 flags;

	assert(s->scan != NULL);
	s->nr_asked = s->nr_given = s->nr_walks = 0;
	flags = spin_lock_irq(&lock);
	list_push_back(&shrinkers, &s->link);
	spin_unlock_irq(&lock, flags);
}

/* R2 */
void unregister_shrinker(struct shrinker *s)
{
	for (bool busy = true; busy;) {
		u64 flags = spin_lock_irq(&lock);

		busy = s->nr_walks != 0;
		if (!busy)
			list_remove(&s->link);
		spin_unlock_irq(&lock, flags);
		cpu_relax();
	}
}

/* The next after s (NULL: the first), on which the walk stands now; NULL at the end. */
static struct shrinker *walk(struct shrinker *s)
{
	struct shrinker *next = NULL;
	u64 flags = spin_lock_irq(&lock);
	struct list *link = s ? s->link.next : shrinkers.next;

	if (s != NULL)
		s->nr_walks--;
	if (link != &shrinkers) {
		next = list_entry(link, struct shrinker, link);
		next->nr_walks++;
	}
	spin_unlock_irq(&lock, flags);
	return next;
}

static void ask(struct shrinker *s, u64 nr)
{
	u64 given = s->scan(s, nr);
	u64 flags = spin_lock_irq(&lock);

	s->nr_asked++;
	s->nr_given += given;
	spin_unlock_irq(&lock, flags);
}

/* All memory that nobody uses goes back to the zones. */
static void give_unused(void)
{
	for (struct shrinker *s = walk(NULL); s != NULL; s = walk(s))
		if (s->count == NULL)
			ask(s, ~0ull);
	drain_cpu_pages();
}

/* A share of what each counts, at least one object. False: nobody has any. */
static bool give_share(unsigned priority)
{
	bool asked = false;

	for (struct shrinker *s = walk(NULL); s != NULL; s = walk(s)) {
		u64 count = s->count ? min_u64(s->count(s), COUNT_MAX) : 0;

		if (count != 0) {
			ask(s, max_u64(count >> priority, 1));
			asked = true;
		}
	}
	return asked;
}

static u64 free_pages_now(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += data_race(z->buddy.nr_free_pages);
	return nr;
}

/* Others allocate and free meanwhile, so it is no more than a measure of progress. */
static u64 gained(u64 before)
{
	u64 now = free_pages_now();

	return now > before ? now - before : 0;
}

bool reclaim_is_under_way(void)
{
	return platform_thread()->in_reclaim;
}

u64 reclaim_pages(u64 nr_pages)
{
	struct mm_thread *self = platform_thread();
	u64 before;

	if (self->in_reclaim) /* R1 */
		return 0;
	self->in_reclaim = true;
	before = free_pages_now();
	give_unused();
	for (unsigned priority = PRIORITIES + 1; priority-- > 0 && gained(before) < nr_pages;) {
		if (!give_share(priority))
			break;
		give_unused();
	}
	self->in_reclaim = false;
	before = gained(before);
	if (event_any())
		event_trip(EVENT_RECLAIM, EVENT_NO_CACHE, 0, 0, before);
	return before;
}

/* What the zones lack to their high marks. */
static u64 pages_wanted(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += z->mark[MARK_HIGH] -
		      min_u64(data_race(z->buddy.nr_free_pages), z->mark[MARK_HIGH]);
	return nr;
}

/* Whoever allocates meanwhile may use up what came; so not for ever. */
bool reclaim_balance(void)
{
	for (unsigned i = 0; i < BALANCE_ROUNDS && pages_wanted() != 0; i++)
		if (reclaim_pages(pages_wanted()) == 0)
			break;
	return pages_wanted() == 0;
}

void shrinkers_visit(void (*visit)(const struct shrinker *s, u64 could_give))
{
	for (struct shrinker *s = walk(NULL); s != NULL; s = walk(s))
		visit(s, s->count != NULL ? s->count(s) : SHRINKER_FREE_ANYWAY);
}

static void print_shrinker(const struct shrinker *s, u64 could_give)
{
	if (could_give != SHRINKER_FREE_ANYWAY)
		kprintf("%-20s %12lu", s->name, could_give);
	else
		kprintf("%-20s %12s", s->name, "what is free");
	kprintf(" %10lu %12lu\n", data_race(s->nr_asked), data_race(s->nr_given));
}

void stats_print_shrinkers(void)
{
	kprintf("%-20s %12s %10s %12s\n", "shrinker", "could give", "asked", "gave");
	shrinkers_visit(print_shrinker);
}
