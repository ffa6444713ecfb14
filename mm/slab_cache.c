/*
 * Caches: created, listed, shrunk and destroyed; and the slab layer's own caches, with which
 * everything starts.
 *
 * The layer eats what it cooks: struct kmem_cache, magazines and slab records are objects of
 * internal caches. The records' caches come first, since they alone need no record from elsewhere.
 * Internal caches have no magazines, and nobody outside may free their objects or destroy them.
 *
 * A cache with live objects is never destroyed: the log lists them by call site, and nothing
 * changes. Reclaim may walk all caches at any time, on any CPU: a walk holds the cache at which it
 * stands, and whoever destroys one waits for those walks and then has it alone.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/lock_class.h>
#include <lib/race.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/harden.h>
#include <mm/node.h>
#include <mm/reclaim.h>
#include <mm/stats.h>

struct list cache_list = LIST_INIT(cache_list);
struct spinlock cache_list_lock = SPINLOCK_INIT("slab caches");

/* Sizes of records, in whole cache lines: what the layouts need, without much waste. */
static const u16 record_sizes[] = {128, 192, 256, 384, 512, 640, 768, 1024, 1152, 1408};
static struct kmem_cache record_caches[ARRAY_SIZE(record_sizes)];
static struct kmem_cache cache_cache;
static bool bypassed;           /* under the list's lock */
static bool numbered, diverted; /* likewise */

struct kmem_cache *slab_record_cache(u32 bytes)
{
	for (unsigned i = 0; i < ARRAY_SIZE(record_sizes); i++)
		if (bytes <= record_sizes[i])
			return &record_caches[i];
	return NULL;
}

/* What is zeroed on free needs no more than the flag. A constructor's work is never overwritten. */
static void choose_debugging(struct kmem_cache *c)
{
	unsigned letters = mm_debug_letters(c->name);

	if ((letters & DEBUG_ZERO_FREE) && c->ctor == NULL)
		c->flags |= SLAB_ZERO_ON_FREE;
	if (c->ctor != NULL)
		letters &= ~(unsigned)DEBUG_ZERO_ALLOC;
	c->debug = letters & ~(unsigned)DEBUG_ZERO_FREE;
}

u32 slab_red_zone = PLATFORM_RED_ZONE;

static u32 red_zone(void)
{
	return PLATFORM_RED_ZONE != 0 ? slab_red_zone : 0;
}

/* Where a sanitizer looks, everyone's objects wait before they are used again. */
static bool wants_quarantine(const struct kmem_cache *c)
{
	if (c->debug != 0 || c->flags & (SLAB_INTERNAL | SLAB_NO_DEBUG))
		return c->debug & DEBUG_QUARANTINE;
	return PLATFORM_POISONS && red_zone() != 0;
}

/* All, or nothing and false: no memory. */
static bool create_parts(struct kmem_cache *c)
{
	if (wants_quarantine(c) && !quarantine_create(c))
		return false;
	if (c->debug != 0 || c->flags & SLAB_NO_MAGAZINE || cpu_objects_create(c))
		return true;
	quarantine_destroy(c);
	return false;
}

int cache_setup(struct kmem_cache *c, const char *name, size_t size, size_t align, unsigned flags,
                void (*ctor)(void *))
{
	memset(c, 0, sizeof(*c));
	str_copy(c->name, name, sizeof(c->name));
	c->size = (u32)size;
	c->align = cache_natural_align(size, align, flags);
	c->stride = (u32)align_up(
	    max_u64(size, SLAB_MIN_STRIDE) + (flags & SLAB_INTERNAL ? 0 : red_zone()), c->align);
	c->flags = flags;
	c->ctor = ctor;
	if (!(flags & (SLAB_INTERNAL | SLAB_NO_DEBUG)))
		choose_debugging(c);
	c->magic = CACHE_MAGIC;
	spin_init(&c->lock, "slab cache");
	for (unsigned i = 0; i < NR_SLAB_LISTS; i++)
		list_init(&c->slabs[i]);
	if (!cache_layout(c))
		return -EINVAL;
	slab_set_grades(c);
	c->number = EVENT_NO_CACHE;
	c->cpu = c->hot = c->home = cpu_objects_none;
	if (!create_parts(c))
		return -ENOMEM;
	c->home = cpu_objects_for_free(c);
	return 0;
}

/* Where the fast ways in look from now on. The list's lock is held, or nobody has the cache yet. */
static void set_hot(struct kmem_cache *c)
{
	bool closed = bypassed || diverted || c->gated;

	__atomic_store_n(&c->hot, closed ? cpu_objects_none : c->cpu, __ATOMIC_RELAXED);
}

static u64 random_seed; /* under the list's lock; 0: in order */

/* Each cache has its own sequence, which is never 0 but to say that there is none: so it is of the
 * manager's own, and of those under debugging, whose reports should come again alike. */
static void set_random(struct kmem_cache *c)
{
	const bool wanted = random_seed != 0 && !(c->flags & SLAB_INTERNAL) && c->debug == 0;
	u64 flags = spin_lock_irq(&c->lock);
	struct rng rng;

	rng_seed(&rng, random_seed ^ (u64)c);
	c->random = wanted ? rng_next(&rng) | 1 : 0;
	spin_unlock_irq(&c->lock, flags);
}

void slab_randomize(u64 seed)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	random_seed = seed;
	for (struct list *at = cache_list.next; at != &cache_list; at = at->next)
		set_random(list_entry(at, struct kmem_cache, link));
	spin_unlock_irq(&cache_list_lock, flags);
}

/* Where frees go from now on, of the slabs that there are too. */
static void set_home(struct kmem_cache *c, struct cpu_objects *home)
{
	u64 flags = spin_lock_irq(&c->lock);

	c->home = home;
	for (unsigned i = 0; i < NR_SLAB_LISTS; i++)
		for (struct list *at = c->slabs[i].next; at != &c->slabs[i]; at = at->next)
			__atomic_store_n(&list_entry(at, struct slab, link)->cpu, home,
			                 __ATOMIC_RELAXED);
	spin_unlock_irq(&c->lock, flags);
}

void slab_divert(bool on, bool objects)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	numbered = on;
	diverted = on && objects;
	for (struct list *at = cache_list.next; at != &cache_list; at = at->next) {
		struct kmem_cache *c = list_entry(at, struct kmem_cache, link);

		c->number = on ? event_name_cache(c->name, c->size) : EVENT_NO_CACHE;
		set_hot(c);
		set_home(c, diverted ? cpu_objects_none : cpu_objects_for_free(c));
	}
	spin_unlock_irq(&cache_list_lock, flags);
}

void cache_enlist(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	list_push_back(&cache_list, &c->link);
	set_random(c);
	set_hot(c);
	if (diverted)
		set_home(c, cpu_objects_none);
	if (numbered)
		c->number = event_name_cache(c->name, c->size);
	spin_unlock_irq(&cache_list_lock, flags);
}

void slab_bypass(bool on)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	bypassed = on;
	for (struct list *at = cache_list.next; at != &cache_list; at = at->next)
		set_hot(list_entry(at, struct kmem_cache, link));
	spin_unlock_irq(&cache_list_lock, flags);
}

static const char *bad_arguments(const char *name, size_t size, size_t align, unsigned flags,
                                 void (*ctor)(void *))
{
	if (name == NULL || name[0] == '\0')
		return "no name";
	if (size == 0 || size > SLAB_MAX_SIZE)
		return "impossible size";
	if (align != 0 && (!is_pow2(align) || align > PAGE_SIZE))
		return "impossible alignment";
	if (ctor != NULL && (flags & SLAB_ZERO_ON_FREE))
		return "zeroing on free would undo the constructor";
	return flags & ~SLAB_PUBLIC_FLAGS ? "unknown flags" : NULL;
}

struct kmem_cache *cache_make(const char *name, size_t size, size_t align, unsigned flags,
                              void (*ctor)(void *))
{
	struct kmem_cache *c = slab_alloc(&cache_cache, GFP_KERNEL, ALLOC_TAG());

	if (c == NULL)
		return NULL;
	if (cache_setup(c, name, size, align, flags, ctor) != 0) {
		c->magic = 0;
		kmem_cache_free(&cache_cache, c);
		return NULL;
	}
	cache_enlist(c);
	return c;
}

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *))
{
	const char *fault = bad_arguments(name, size, align, flags, ctor);

	if (fault != NULL) {
		log_warn("slab: cannot create a cache: %s name=%s size=%lu align=%lu flags=%#x",
		         fault, name ? name : "(null)", size, align, flags);
		return NULL;
	}
	return cache_make(name, size, align, flags, ctor);
}

static void list_leak(void *context, u32 tag, u64 objects, u64 bytes)
{
	char site[96];

	log_error("slab:   %lu objects, %lu bytes from %s", objects, bytes, site_name(site, tag));
	(void)context;
}

static void check_is_cache(const struct kmem_cache *c)
{
	struct slab_object_info info;

	if (!slab_object_of(c, &info) || info.cache != &cache_cache || info.object != c ||
	    info.tag < TAG_FIRST_SITE || c->magic != CACHE_MAGIC || c->flags & SLAB_STATIC)
		panic_about(report_story, c, "slab: not a cache, or destroyed before cache=%p",
		            (const void *)c);
}

/* From now on no walk stands at the cache. */
static void claim(struct kmem_cache *c)
{
	bool busy;

	do {
		u64 flags = spin_lock_irq(&cache_list_lock);

		busy = c->nr_walks != 0;
		c->claimed = !busy;
		spin_unlock_irq(&cache_list_lock, flags);
		if (busy)
			cpu_relax();
	} while (busy);
}

/* Off the list, or free for all again. */
static void end_claim(struct kmem_cache *c, bool off_the_list)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	if (off_the_list)
		list_remove(&c->link);
	c->claimed = false;
	spin_unlock_irq(&cache_list_lock, flags);
}

int kmem_cache_destroy(struct kmem_cache *c)
{
	struct kmem_cache_stats stats;

	if (c == NULL)
		return 0;
	check_is_cache(c);
	claim(c);
	magazine_flush(c, true);
	kmem_cache_shrink(c);
	kmem_cache_stats(c, &stats);
	if (stats.nr_live + stats.nr_guarded != 0) {
		log_error("slab: cache %s not destroyed: %lu objects are live", c->name,
		          stats.nr_live + stats.nr_guarded);
		cache_visit_sites(c, list_leak, NULL);
		end_claim(c, false);
		return -EBUSY;
	}
	end_claim(c, true);
	cpu_objects_destroy(c);
	guard_forget_cache(c);
	quarantine_destroy(c);
	c->magic = 0;
	kmem_cache_free(&cache_cache, c);
	return 0;
}

u64 kmem_cache_shrink(struct kmem_cache *c)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags;

	magazine_flush(c, false);
	flags = spin_lock_irq(&c->lock);
	slab_take_empty_locked(c, &surplus);
	spin_unlock_irq(&c->lock, flags);
	return slab_release(c, &surplus);
}

/* --- the gate: debug/guard.c --- */

static void set_gate(struct kmem_cache *c, bool gated)
{
	__atomic_store_n(&c->gated, gated, __ATOMIC_RELAXED);
	set_hot(c);
}

void cache_gate_next(void)
{
	static u32 turn; /* under the list's lock */
	u64 flags = spin_lock_irq(&cache_list_lock);
	struct list *at = cache_list.next;
	u32 nr = 0;

	for (; at != &cache_list && nr < turn; at = at->next)
		nr++;
	for (; at != &cache_list; at = at->next, nr++) {
		struct kmem_cache *c = list_entry(at, struct kmem_cache, link);

		if (c->capacity != 0 && !c->claimed) {
			set_gate(c, true);
			break;
		}
	}
	turn = at != &cache_list ? nr + 1 : 0;
	spin_unlock_irq(&cache_list_lock, flags);
}

bool cache_gate_pass(struct kmem_cache *c)
{
	bool gated;
	u64 flags;

	if (!__atomic_load_n(&c->gated, __ATOMIC_RELAXED))
		return false;
	flags = spin_lock_irq(&cache_list_lock);
	gated = c->gated;
	set_gate(c, false);
	spin_unlock_irq(&cache_list_lock, flags);
	return gated;
}

void cache_gate_end(void)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	for (struct list *at = cache_list.next; at != &cache_list; at = at->next)
		set_gate(list_entry(at, struct kmem_cache, link), false);
	spin_unlock_irq(&cache_list_lock, flags);
}

/* The next cache, which the walk now holds instead of c. */
static struct kmem_cache *walk(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);
	struct list *at = c != NULL ? &c->link : &cache_list;
	struct kmem_cache *next = NULL;

	if (c != NULL)
		c->nr_walks--;
	do {
		at = at->next;
		next = at != &cache_list ? list_entry(at, struct kmem_cache, link) : NULL;
	} while (next != NULL && next->claimed);
	if (next != NULL)
		next->nr_walks++;
	spin_unlock_irq(&cache_list_lock, flags);
	return next;
}

struct kmem_cache *cache_hold_richest(const struct kmem_cache *but)
{
	u64 flags = spin_lock_irq(&cache_list_lock), most = 0;
	struct kmem_cache *richest = NULL;

	for (struct list *at = cache_list.next; at != &cache_list; at = at->next) {
		struct kmem_cache *c = list_entry(at, struct kmem_cache, link);
		u64 bytes = depot_kept(c);

		if (bytes > most && c != but && !c->claimed) {
			most = bytes;
			richest = c;
		}
	}
	if (richest != NULL)
		richest->nr_walks++;
	spin_unlock_irq(&cache_list_lock, flags);
	return richest;
}

void cache_let_go(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);

	c->nr_walks--;
	spin_unlock_irq(&cache_list_lock, flags);
}

/* The internal caches come last: shrinking the others frees their records and magazines, some of
 * whose slabs go at once. */
u64 slab_shrink_all(void)
{
	u64 before = slab_nr_released();

	for (struct kmem_cache *c = walk(NULL); c != NULL; c = walk(c))
		if (!(c->flags & SLAB_INTERNAL))
			kmem_cache_shrink(c);
	kmem_cache_shrink(&magazine_cache);
	kmem_cache_shrink(&cpu_objects_cache);
	kmem_cache_shrink(&cache_cache);
	for (unsigned i = 0; i < ARRAY_SIZE(record_caches); i++)
		kmem_cache_shrink(&record_caches[i]);
	return slab_nr_released() - before;
}

static u64 shrink_slabs(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	return slab_shrink_all();
}

static void setup_internal(struct kmem_cache *c, const char *name, size_t size, unsigned flags)
{
	flags |= SLAB_INTERNAL | SLAB_STATIC | SLAB_NO_MAGAZINE;
	if (cache_setup(c, name, size, 0, flags, NULL) != 0)
		panic("slab: cannot set up the cache %s", name);
	cache_enlist(c);
}

void slab_init(void)
{
	static struct shrinker shrinker = {.name = "slab", .scan = shrink_slabs};
	char name[32];

	list_init(&cache_list);
	bypassed = numbered = diverted = false;
	random_seed = mm_hardening().slab_random ? mm_hardening().seed | 1 : 0;
	slab_kept_init();
	stack_depot_init();
	slab_has_nodes = mm_nr_nodes() > 1;
	cpu_objects_init();
	for (unsigned i = 0; i < ARRAY_SIZE(record_sizes); i++) {
		format_buf(name, sizeof(name), "slab-record-%u", record_sizes[i]);
		setup_internal(&record_caches[i], name, record_sizes[i], SLAB_ON_SLAB);
	}
	setup_internal(&cache_cache, "kmem_cache", sizeof(struct kmem_cache), SLAB_HWCACHE_ALIGN);
	setup_internal(&magazine_cache, "magazines", sizeof(struct magazine), 0);
	setup_internal(&cpu_objects_cache, "cpu_objects",
	               sizeof(struct cpu_objects) * mm_nr_contexts(), 0);
	register_shrinker(&shrinker);
}

/* --- names --- */

size_t kmem_cache_size(const struct kmem_cache *c)
{
	return c->size;
}

const char *kmem_cache_name(const struct kmem_cache *c)
{
	return c->name;
}

struct kmem_cache *kmem_cache_next(const struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&cache_list_lock);
	struct list *next = c ? c->link.next : cache_list.next;

	spin_unlock_irq(&cache_list_lock, flags);
	return next == &cache_list ? NULL : list_entry(next, struct kmem_cache, link);
}

void cache_add_traffic(struct kmem_cache *c, struct mm_traffic *out)
{
	out->cache_locks += spin_nr_taken(&c->lock);
	out->cache_waits = lock_class_nr_waited(&c->lock); /* of all caches */
	for (unsigned i = 0; c->capacity != 0 && i < mm_nr_contexts(); i++)
		out->object_trips += data_race(cpu_objects_of(c, i)->nr_refills) +
		                     data_race(cpu_objects_of(c, i)->nr_flushes);
}
