/*
 * Guard pages, looked at: what a fault in the pool means, what an address is, the sums, the check,
 * and the option's text.
 *
 * A fault's address tells all. In a guard page it is out of the bounds of the nearer live
 * neighbour; in the page of a freed object, a use after free; in the page of a live one the page
 * has become accessible since the fault, which another CPU may do: the access is tried again.
 *
 * The first line is as that of other damage: "BUG: KIND in CACHE: object ADDRESS+OFFSET (size N):
 * …, by CALL SITE".
 *
 * Cost: O(1) for an address, O(objects of the pool) for the rest.
 */
#include "guard_internal.h"

#include <lib/assert.h>
#include <lib/log.h>
#include <lib/race.h>
#include <lib/string.h>
#include <mm/harden.h>

bool guard_owns(const void *address)
{
	return unlikely(data_race(guard_on)) && guard_is_in_pool(address);
}

/* --- the rest of the page --- */

const char *guard_canary_damage(const struct guard_slot *s)
{
	const char *page = guard_page_of(s), *end = s->object + s->size;
	const char *damage = mem_find_other(page, CANARY, (size_t)(s->object - page));

	return damage != NULL ? damage
	                      : mem_find_other(end, CANARY, (size_t)(page + PAGE_SIZE - end));
}

/* --- reports --- */

static _Noreturn void report(const char *kind, const struct guard_slot *s, const void *at,
                             const char *why)
{
	char site[96];

	panic("BUG: %s in %s: object %p%+ld (size %u): %s, by %s", kind, s->name, s->object,
	      (long)((s64)at - (s64)s->object), s->size, why, site_name(site, s->tag));
}

/* The neighbour of a guard page that lies nearest and has that state; NULL: neither has. */
static const struct guard_slot *nearest(u64 address, enum guard_state state)
{
	u64 page = (address - (u64)guard_pool.base) / PAGE_SIZE, nr = guard_pool.stats.nr_objects;
	const struct guard_slot *left = page != 0 ? &guard_pool.slots[page / 2 - 1] : NULL;
	const struct guard_slot *right = page / 2 < nr ? &guard_pool.slots[page / 2] : NULL;

	if (left != NULL && left->state != state)
		left = NULL;
	if (right != NULL && right->state != state)
		right = NULL;
	if (left == NULL || right == NULL)
		return left != NULL ? left : right;
	return address - (u64)(left->object + left->size) < (u64)right->object - address ? left
	                                                                                 : right;
}

static _Noreturn void report_guard_page(u64 address, const char *why)
{
	const struct guard_slot *s = nearest(address, SLOT_LIVE);

	if (s != NULL)
		report(address > (u64)s->object ? "out of bounds right" : "out of bounds left", s,
		       (const void *)address, why);
	s = nearest(address, SLOT_FREED);
	if (s != NULL)
		report("use after free", s, (const void *)address, why);
	panic("BUG: wild access in the pool of guard pages: address %#lx: %s", address, why);
}

bool guard_fault(u64 address, bool is_write, const char *who)
{
	const struct guard_slot *s = guard_slot_of((const void *)address);
	char why[96];

	if (!guard_owns((const void *)address))
		return large_guard_fault(address, is_write, who);
	format_buf(why, sizeof(why), "%s at %s", is_write ? "write" : "read", who);
	if (s == NULL)
		report_guard_page(address, why);
	switch (data_race(s->state)) {
	case SLOT_FRESH:
		panic("BUG: wild access in the pool of guard pages: address %#lx: %s", address,
		      why);
	case SLOT_FREED:
		report("use after free", s, (const void *)address, why);
	default:
		return true;
	}
}

_Noreturn void guard_report_canary(const struct guard_slot *s, const char *at, u8 byte)
{
	char why[64];

	format_buf(why, sizeof(why), "byte is %#04x, not %#04x, found at free", byte, CANARY);
	report(at < s->object ? "canary overwritten left" : "canary overwritten right", s, at, why);
}

/* --- looking --- */

/* What the slow ways in mm/ ask of an address: the object in its page that holds it. */
bool guard_object_of(const void *address, struct slab_object_info *out)
{
	const struct guard_slot *s = guard_owns(address) ? guard_slot_of(address) : NULL;

	if (s == NULL || s->state == SLOT_FRESH || s->cache == NULL ||
	    (u64)address - (u64)s->object >= s->size)
		return false;
	*out = (struct slab_object_info){
	    .cache = s->cache,
	    .object = s->object,
	    .offset = (u64)address - (u64)s->object,
	    .index = (unsigned)(s - guard_pool.slots),
	    .tag = s->state == SLOT_LIVE ? s->tag : TAG_IN_SLAB,
	};
	return true;
}

size_t guard_size(const void *object)
{
	const struct guard_slot *s = guard_owns(object) ? guard_slot_of(object) : NULL;

	return s != NULL && s->state == SLOT_LIVE && s->object == object ? s->size : 0;
}

/* Of this cache, or of all (NULL). */
u64 guard_nr_live(const struct kmem_cache *c)
{
	u64 flags, nr = 0;

	if (!data_race(guard_on))
		return 0;
	flags = spin_lock_irq(&guard_pool.lock);
	for (u64 i = 0; i < guard_pool.stats.nr_objects; i++)
		nr += guard_pool.slots[i].state == SLOT_LIVE &&
		      (c == NULL || guard_pool.slots[i].cache == c);
	spin_unlock_irq(&guard_pool.lock, flags);
	return nr;
}

void guard_sum_sites(const struct kmem_cache *c)
{
	u64 flags;

	if (!data_race(guard_on))
		return;
	flags = spin_lock_irq(&guard_pool.lock);
	for (u64 i = 0; i < guard_pool.stats.nr_objects; i++)
		if (guard_pool.slots[i].state == SLOT_LIVE && guard_pool.slots[i].cache == c)
			site_sums_add(guard_pool.slots[i].tag, 1, c->size);
	spin_unlock_irq(&guard_pool.lock, flags);
}

void guard_forget_cache(const struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&guard_pool.lock);

	for (u64 i = 0; i < guard_pool.stats.nr_objects; i++)
		if (guard_pool.slots[i].cache == c)
			guard_pool.slots[i].cache = NULL;
	spin_unlock_irq(&guard_pool.lock, flags);
}

void guard_stats(struct guard_stats *out)
{
	u64 flags = spin_lock_irq(&guard_pool.lock);

	*out = guard_pool.stats;
	spin_unlock_irq(&guard_pool.lock, flags);
}

void stats_print_guard(void)
{
	struct guard_stats st;

	guard_stats(&st);
	if (st.nr_objects == 0) {
		kprintf("no guard pages: boot with kfence=INTERVAL\n");
		return;
	}
	kprintf("guard pages: every %lu%s trips; %lu of %lu objects live\n",
	        guard_pool.chose.interval, guard_pool.chose.random ? " (by chance)" : "",
	        st.nr_live, st.nr_objects);
	kprintf("  %lu sampled: %lu by the timer, %lu at their page's start; %lu refused\n",
	        st.nr_sampled, st.nr_by_tick, st.nr_left, st.nr_refused);
}

static const char *check_slot(const struct guard_slot *s, u64 *nr_live)
{
	*nr_live += s->state == SLOT_LIVE || s->state == SLOT_BUSY;
	if (s->state != SLOT_LIVE)
		return NULL;
	if (guard_slot_of(s->object) != s || guard_slot_of(s->object + s->size - 1) != s)
		return "G2: a guarded object does not lie in its page";
	return guard_canary_damage(s) != NULL ? "G2: bytes beside a guarded object were written"
	                                      : NULL;
}

static const char *check_locked(void)
{
	u64 nr_live = 0, nr_queued = 0;
	const char *fault = NULL;

	for (u64 i = 0; i < guard_pool.stats.nr_objects && fault == NULL; i++)
		fault = check_slot(&guard_pool.slots[i], &nr_live);
	if (fault != NULL)
		return fault;
	for (struct list *l = guard_pool.queue.next; l != &guard_pool.queue;
	     l = l->next, nr_queued++)
		if (nr_queued > guard_pool.stats.nr_objects)
			break;
	if (nr_live != guard_pool.stats.nr_live ||
	    nr_live + nr_queued != guard_pool.stats.nr_objects)
		return "G1: guarded objects live and in the queue are not as many as is said";
	return NULL;
}

const char *guard_check(void)
{
	const char *fault;
	u64 flags;

	if (!data_race(guard_on))
		return NULL;
	flags = spin_lock_irq(&guard_pool.lock);
	fault = check_locked();
	spin_unlock_irq(&guard_pool.lock, flags);
	return fault;
}

/* --- the option --- */

static int refuse(char why[GUARD_WHY_MAX], const char *what, const char *word)
{
	format_buf(why, GUARD_WHY_MAX, "%s: %s", what, word);
	return -EINVAL;
}

/* name=N. 0, or -EINVAL: it is another word, or its number is none or out of range. */
static int read_number(const char *word, const char *name, u64 min, u64 max, u64 *out)
{
	size_t length = strlen(name);
	u64 n;

	if (strncmp(word, name, length) != 0 || str_to_u64(word + length, false, &n) != 0 ||
	    n < min || n > max)
		return -EINVAL;
	*out = n;
	return 0;
}

static int read_word(const char *word, bool first, struct guard_options *out,
                     char why[GUARD_WHY_MAX])
{
	if (first)
		return read_number(word, "", 1, UINT32_MAX, &out->interval) == 0
		           ? 0
		           : refuse(why, "the interval is a number from 1 on, not", word);
	if (strcmp(word, "random") == 0) {
		out->random = true;
		return 0;
	}
	if (read_number(word, "seed=", 0, UINT64_MAX, &out->seed) == 0 ||
	    read_number(word, "objects=", 1, GUARD_MAX_OBJECTS, &out->nr_objects) == 0)
		return 0;
	return refuse(why, "not random, seed=N or objects=N (1 to 4095)", word);
}

int guard_parse(const char *text, struct guard_options *out, char why[GUARD_WHY_MAX])
{
	*out = (struct guard_options){.nr_objects = GUARD_DEFAULT_OBJECTS};
	for (bool first = true;; first = false) {
		size_t length = strlen(text);
		const char *comma = strchr(text, ',');
		char word[40];
		int error;

		if (comma != NULL)
			length = (size_t)(comma - text);
		if (length >= sizeof(word))
			return refuse(why, "a word is too long", "40 characters and more");
		str_copy(word, text, length + 1);
		error = read_word(word, first, out, why);
		if (error != 0 || comma == NULL)
			return error;
		text = comma + 1;
	}
}
