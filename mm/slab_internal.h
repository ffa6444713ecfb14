/*
 * Private to the slab layer (slab.c, slab_cache.c, slab_layout.c, slab_cpu.c, slab_depot.c,
 * slab_kept.c, slab_check.c, kmalloc.c) and its tests.
 */
#pragma once

#include "event_record.h"
#include "internal.h"

#include <lib/bitmap.h>
#include <lib/race.h>
#include <mm/debug.h>
#include <mm/report.h>

#define CACHE_LINE 64

/*
 * The record of a slab: off the slab (but for the caches that hold the records themselves), found
 * through any of its pages' struct page.
 */
struct slab {
	u64 base;                 /* C: address of object 0 */
	u64 reciprocal;           /* C: see below */
	struct cpu_objects *cpu;  /* A: where frees go: the cache's home */
	struct kmem_cache *cache; /* C */
	struct list link;         /* L: cache->slabs[list] */
	u32 nr_to_next;           /* L: frees until it belongs on the next list: slab_nr_free() */
	u16 nr_pages;             /* C */
	u8 list;                  /* L: which of the cache's lists holds it */
	u8 node;                  /* C: where its memory lies */
	u64 bits;                 /* L: one for each object, set while it is free in the slab. Here
	                             where 64 are enough, else behind the tags: slab_bits() */
	u16 tag[]; /* one a slot: TAG_IN_SLAB, TAG_IN_MAGAZINE or the call site's. X or L, see
	              slab_cpu.c */
};

/* So many objects have their tags on one cache line, which whoever allocates or frees one of them
 * writes to: objects go to contexts by such groups. */
#define TAGS_A_LINE (CACHE_LINE / sizeof(u16))
#define TAGS_A_LINE_MASK ((1ull << TAGS_A_LINE) - 1)

static_assert(offsetof(struct slab, tag) == CACHE_LINE, "tags begin on a line, as records do");

/*
 * The index of an address in its slab is the high half of (address - base) * reciprocal, with
 * reciprocal = 2^64 / stride rounded up; and a slot starts there exactly when the low half is below
 * the reciprocal. For an offset q * stride + r the product is q * 2^64 + q * e + r * reciprocal,
 * with e = reciprocal * stride - 2^64 < stride. The low half is q * e where r is 0; otherwise it
 * is reciprocal at least, and no carry leaves it, as (q + 1) * e < reciprocal. With B as the bound
 * on strides and on a slab's bytes, (q + 1) * e < 2 * B, and the reciprocal is at least 2^64 / B.
 */
static_assert(2 * SLAB_MAX_SIZE < UINT64_MAX / SLAB_MAX_SIZE, "both hold by far");

/* A cache's slabs by how full they are: the fullest refills first, so that the emptiest can run
 * empty. */
enum { SLABS_FULL = 0, SLABS_PARTIAL = 1, NR_PARTIAL = 2, SLABS_EMPTY = 3, NR_SLAB_LISTS };

/* An object in a magazine, with the address of its tag, so that neither has to be looked up again.
 */
struct magazine_slot {
	void *object;
	u16 *tag;
};

#define MAGAZINE_SLOTS 62
#define MAGAZINE_BYTES (16 * KIB) /* of objects, at most, where 4 are not more */

/*
 * A stack of free objects. Below the first, at the bottom, stands a slot whose tag says TAG_IN_SLAB
 * for ever: who pops from an empty magazine finds an object that is not free, and needs no count.
 */
struct magazine {
	struct magazine_slot slot[1 + MAGAZINE_SLOTS]; /* 0: the bottom */
	struct magazine *next;                         /* L: in the depot */
	u64 unused;
};

static_assert(sizeof(struct magazine) == 1024, "magazines fill pages");

/*
 * The hot objects of one cache in one execution context (mm/context.h). X: only code of this
 * context, or its CPU's threads with interrupts off. Others read the counters: a moment's picture.
 */
struct cpu_objects {
	struct magazine_slot *top;   /* the topmost used slot of `loaded`, or its bottom */
	struct magazine_slot *limit; /* top is here when it is full */
	struct magazine *loaded;     /* NULL: none yet; top and limit are that of nothing */
	struct magazine *spare;      /* NULL: none yet */
	u64 nr_spare;                /* objects in it: none, or as many as it may hold */
	u64 nr_refills, nr_flushes;  /* trips to the depot or the slabs */
	u64 random;                  /* the state of slab_randomize()'s shuffles; 0: not begun */
};

static_assert(sizeof(struct cpu_objects) == CONTEXT_STRIDE, "mm_this(offset) leads to it");

#define CACHE_MAGIC 0x51ab0cacu
#define SLAB_INTERNAL 0x100u /* the memory manager's own */
#define SLAB_ON_SLAB 0x200u  /* the record lies at the start of the slab itself */
#define SLAB_STATIC 0x400u   /* cannot be destroyed */
#define SLAB_PUBLIC_FLAGS \
	(SLAB_HWCACHE_ALIGN | SLAB_ZERO_ON_FREE | SLAB_NO_MAGAZINE | SLAB_NO_DEBUG)

/* Full and empty magazines between the CPUs and the slabs. L */
struct depot {
	struct magazine *full, *empty;
	u32 nr_full, nr_empty;
	u32 extra;      /* full ones beyond its share, because they were missed: slab_kept.c */
	u32 nr_refused; /* full ones that would have had room, had extra been larger */
	u32 nr_trips, min_full;            /* of the interval, while extra is not 0 */
	const struct cpu_objects *refused; /* whose magazine was refused last */
};

/* L: guarded by lock. C: constant after creation. A: atomic. */
struct kmem_cache {
	struct cpu_objects *hot;  /* A: where the fast ways in look: cpu, or what is always empty */
	struct cpu_objects *cpu;  /* C: one for each context; those that are always empty and full:
	                             no magazines */
	struct cpu_objects *home; /* L: where the fast ways put what is freed: cpu, or what is
	                             always full */
	u32 magic;                /* C */
	u32 flags;                /* C */
	u32 size, stride;         /* C */
	u32 align;                /* C */
	u32 capacity;             /* C: of a magazine; 0: no magazines */
	u32 nr_pages;             /* C: of a slab */
	u32 nr_objects;           /* C: of a slab */
	u32 nr_slots;     /* C: tags; one more than objects where a tail could hold an address */
	u32 bits_offset;  /* C: of a slab's bits in its record */
	u32 record_bytes; /* C */
	u32 nr_magazines; /* A: the contexts' and the depot's */
	u32 debug;        /* C: enum debug_letter; not 0: no magazines, and debug/slab_debug.c */
	u32 lead;         /* C: bytes before a slab's first object, under debugging */
	u32 left_zone;    /* C: of them, and before each object, that are its left red zone */
	u32 debug_offset; /* C: of the struct object_debugs in a slab's record */
	u64 reciprocal;   /* C */
	void (*ctor)(void *object); /* C */
	struct kmem_cache **copies; /* C: that have its objects, kmalloc_classes.c; NULL: it has */
	struct kmem_cache *record_cache; /* C: where the records come from; NULL when on the slab */

	/* What trips write begins a cache line, for the fast ways read the first. */
	struct spinlock lock __aligned(CACHE_LINE);
	struct list slabs[NR_SLAB_LISTS]; /* L */
	u32 nonempty_lists;               /* L: bit i while slabs[i] has members */
	u32 list_at[NR_SLAB_LISTS + 1];   /* C: free objects from which on slabs[i] is right */
	u64 nr_slabs, nr_empty;           /* L */
	u64 nr_free;                      /* L: objects in slabs, the sum of their nr_free */
	struct quarantine *quarantine;    /* C; L what it holds. NULL: none. debug/quarantine.c */
	u64 random;                       /* L: its next choice among free objects; 0: none */
	struct depot depot;               /* L */
	struct list link; /* the list of caches; this and the next two under its lock */
	u32 nr_walks;     /* of that list, that stand here */
	bool claimed;     /* to be destroyed: walks pass it by */
	bool gated;       /* A: hot is closed until the next allocation comes by: debug/guard.c */
	u16 number;       /* among events, while they are on: <mm/event.h> */
	char name[32];    /* C */
};

/* How many of its objects are free in the slab: its set bits. L */
static inline u32 slab_nr_free(const struct kmem_cache *c, const struct slab *s)
{
	return c->list_at[s->list + 1] - s->nr_to_next;
}

static inline u64 *slab_bits(const struct kmem_cache *c, struct slab *s)
{
	return (u64 *)((char *)s + c->bits_offset);
}

/* Where its pages begin. */
static inline u64 slab_start(const struct slab *s)
{
	return align_down(s->base - s->cache->lead, PAGE_SIZE);
}

static inline void *slab_object(const struct kmem_cache *c, const struct slab *s, u32 index)
{
	return (void *)(s->base + (u64)index * c->stride);
}

/* The slab whose page holds the address, or NULL. Any address. O(1). */
static __always_inline struct slab *slab_of(const void *address)
{
	const struct page *page = page_hint(address);

	return likely(page != NULL && page->type == PAGE_SLAB) ? page->slab : NULL;
}

/* Bytes between two objects, at least, of caches that are made from now on; those of 0 have no
 * quarantine either. C, but for tests of layouts, and only there where a sanitizer looks. */
extern u32 slab_red_zone;

/* --- slab_layout.c --- */

/* Fills in the layout for the stride and flags. False: there is none. */
bool cache_layout(struct kmem_cache *c);

/* The alignment of a cache's objects: at least 8. align 0: the natural one. */
u32 cache_natural_align(size_t size, size_t align, unsigned flags);

/* --- slab_cache.c --- */

/* In place, for caches that are static or not on the list yet. 0 or -ENOMEM. */
int cache_setup(struct kmem_cache *c, const char *name, size_t size, size_t align, unsigned flags,
                void (*ctor)(void *));

/* The same in memory of its own, and on the list of all caches. NULL: no memory. */
struct kmem_cache *cache_make(const char *name, size_t size, size_t align, unsigned flags,
                              void (*ctor)(void *));

/* Puts it at the end of the list of all caches. */
void cache_enlist(struct kmem_cache *c);

/* The cache whose depot keeps the most bytes, another than c; NULL: none keeps any. It is not
 * destroyed before it is let go. */
struct kmem_cache *cache_hold_richest(const struct kmem_cache *c);
void cache_let_go(struct kmem_cache *c);

/* Where records of so many bytes come from; NULL: there are none so large. */
struct kmem_cache *slab_record_cache(u32 bytes);

/* --- slab.c --- */

/* Up to n free objects of the fullest slabs, now TAG_IN_MAGAZINE. L */
u32 slab_take_locked(struct kmem_cache *c, struct magazine_slot slots[], u32 n);

/* The reverse. L */
void slab_put_locked(struct kmem_cache *c, const struct magazine_slot slots[], u32 n);

/* Moves empty slabs to the list, to be released without the lock: after nr_put objects went back,
 * those that are too many, but no more than one or what these objects fill; or all. L */
void slab_trim_locked(struct kmem_cache *c, u32 nr_put, struct list *surplus);
void slab_take_empty_locked(struct kmem_cache *c, struct list *surplus);

/* One object past the magazines, from the slabs that there are, and back. No lock held. */
void *slab_take_bare(struct kmem_cache *c, u32 tag);
void slab_put_bare(struct kmem_cache *c, struct magazine_slot slot);

/* An object of the manager's own, and back. Nothing is checked. No lock held. */
void *slab_alloc_bare(struct kmem_cache *c, gfp_t gfp, u32 tag);
void slab_free_bare(struct kmem_cache *c, void *object);

/* Makes one more slab. False: no memory. No lock held. */
bool slab_grow(struct kmem_cache *c, gfp_t gfp);

/* The same of this node's memory, or of the next one's that has some: in *node which it was. */
bool slab_grow_on(struct kmem_cache *c, gfp_t gfp, unsigned *node);

/* One object of a slab that has some. L */
struct magazine_slot slab_take_one_locked(struct kmem_cache *c, struct slab *s);

/* Frees the slabs on the list; returns their pages. No lock held. */
u64 slab_release(struct kmem_cache *c, struct list *surplus);

/* How many pages slab_release() ever freed, of all caches. */
u64 slab_nr_released(void);

/* Which list a slab stands on, by its free objects: for the cache's layout. */
void slab_set_grades(struct kmem_cache *c);

/* --- slab_depot.c --- */

/* Where magazines and the arrays of contexts come from. */
extern struct kmem_cache magazine_cache, cpu_objects_cache;

/* The elements of caches without magazines: always empty and always full. */
extern struct cpu_objects *cpu_objects_none;
void cpu_objects_init(void);

/* A cache's array. False: no memory. The magazines must be flushed before it goes. */
bool cpu_objects_create(struct kmem_cache *c);
void cpu_objects_destroy(struct kmem_cache *c);
struct cpu_objects *cpu_objects_of(const struct kmem_cache *c, unsigned context);

/* A cache's home, when nothing is diverted: where a longer way is right, the one that is full. */
static inline struct cpu_objects *cpu_objects_for_free(const struct kmem_cache *c)
{
	bool is_longer =
	    c->flags & SLAB_ZERO_ON_FREE || (PLATFORM_POISONS && c->quarantine != NULL);

	return is_longer ? cpu_objects_none : c->cpu;
}

/* How many objects it holds, the spare's included. */
u64 cpu_objects_count(const struct cpu_objects *o);

/* Makes `loaded` have an object, or room for one. False: the cache has none in the depot and the
 * slabs, or there is no memory for magazines. Interrupts off. */
bool cpu_objects_refill(struct kmem_cache *c, struct cpu_objects *o);
bool cpu_objects_make_room(struct kmem_cache *c, struct cpu_objects *o, struct list *surplus);

/* Objects in the magazines of all contexts and of the depot. */
u64 magazine_objects(const struct kmem_cache *c);

/* Gives all objects of this CPU's magazines (a handler: of its own context's) and of the depot back
 * to the slabs, and the magazines too; with all_cpus everyone's (nobody may be using the cache). */
void magazine_flush(struct kmem_cache *c, bool all_cpus);

/* Gives one magazine of the depot back to the slabs, if it has one. No lock held. */
void depot_give_back(struct kmem_cache *c);

/* --- slab_node.c --- */

extern bool slab_has_nodes; /* C: this machine has more than one */

/* A slab of this node with free objects, or NULL: none among the first few of each list. L */
struct slab *slab_of_node_locked(struct kmem_cache *c, unsigned node);

/* --- slab_kept.c --- */

/* Bytes of objects in the depots, and how many there may be. */
extern u64 slab_kept;       /* A */
extern u64 slab_kept_limit; /* C, but for tests */
void slab_kept_init(void);
u64 depot_kept(const struct kmem_cache *c);

/* Whether another full magazine should wait there (looks without the lock: one too many, or too
 * few, for a moment), or another empty one. L */
bool depot_wants_full(const struct kmem_cache *c);
bool depot_wants_empty(const struct kmem_cache *c);

/* What trips teach it: it had no full magazine for a context; no room for one of a context; the end
 * of each; and that all was taken from it. L */
void depot_note_miss(struct kmem_cache *c, const struct cpu_objects *o);
void depot_note_refusal(struct kmem_cache *c, const struct cpu_objects *o);
void depot_note_trip(struct kmem_cache *c);
void depot_forget(struct kmem_cache *c);

/* L. NULL: there is none. */
void depot_push_full(struct kmem_cache *c, struct magazine *m);
void depot_push_empty(struct kmem_cache *c, struct magazine *m);
struct magazine *depot_pop_full(struct kmem_cache *c);
struct magazine *depot_pop_empty(struct kmem_cache *c);

/* Before a cache grows: another's depot may have to give a magazine back to its slabs. No lock
 * held. */
void slab_pay_for_growth(const struct kmem_cache *growing);

/* --- slab_cpu.c --- */

/* What is unusual about an allocation or a free, from the beginning. who: the function's name for
 * messages. c NULL: of any cache but the manager's own. */
void *slab_alloc_slowly(struct kmem_cache *c, gfp_t gfp, u32 tag);
/* The same of so many bytes, at most the cache's: 0 for that. */
void *slab_alloc_sized(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size);
void slab_free_slowly(const char *who, struct kmem_cache *c, void *object);

/* An object's event; object NULL: none. size 0: what the call site says, or the cache's. */
void slab_record(enum event_kind kind, const struct kmem_cache *c, const void *object, size_t size,
                 u32 tag);

/* The next cache with magazines, in turn: its next allocation finds the fast way closed, and passes
 * the gate (once: true), which opens it again. The end: no gate is left. Any context. */
void cache_gate_next(void);
bool cache_gate_pass(struct kmem_cache *c);
void cache_gate_end(void);

/* --- debug/guard.c: objects between guard pages. No lock held, any context --- */

/* Instead of a trip, if this one is a sample: an object, or NULL. size: as asked for, or 0. */
void *guard_sample(struct kmem_cache *c, u32 tag, size_t size);
static inline void *guard_alloc(struct kmem_cache *c, u32 tag, size_t size)
{
	return unlikely(data_race(guard_on)) ? guard_sample(c, tag, size) : NULL;
}

/* The address is the pool's. who, c: as slab_free_slowly(). */
void guard_free(const char *who, const struct kmem_cache *c, void *object);

/* --- debug/guard_report.c --- */

/* Whether the address is the pool's; the object that holds it; the size of one that lives and
 * starts there, or 0. Any address. */
bool guard_owns(const void *address);
bool guard_object_of(const void *address, struct slab_object_info *out);
size_t guard_size(const void *object);

/* Of this cache, or of all (NULL). */
u64 guard_nr_live(const struct kmem_cache *c);
void guard_sum_sites(const struct kmem_cache *c);

/* It is destroyed; no object of it lives. */
void guard_forget_cache(const struct kmem_cache *c);

/* --- debug/slab_debug.c: caches with c->debug --- */

/* What debugging keeps of each object, in its slab's record. L */
struct object_debug {
	union {
		u32 size; /* as asked for, while it is live and after that */
		u32 sum;  /* of a free object's contents, in caches with a constructor */
	};
	u32 alloc_stack, free_stack; /* in the stack depot; 0: not kept */
	u32 changed_ms;              /* when it was allocated or freed last; wraps in 49 days */
	u16 last_tag;                /* of the call site that allocated it; 0: never was */
	u8 alloc_cpu;
};

static_assert(sizeof(struct object_debug) == 20, "a record has room for SLAB_DEBUG_OBJECTS");

#define SLAB_DEBUG_OBJECTS 60 /* a slab, at most */
#define RED_ZONE_MIN 16       /* both sides together */
#define ANY_NODE MAX_NODES

static inline struct object_debug *slab_object_debug(const struct kmem_cache *c, struct slab *s,
                                                     u32 index)
{
	return (struct object_debug *)((char *)s + c->debug_offset) + index;
}

/* For how long it has been allocated, or free. */
static inline u32 object_debug_age_ms(const struct object_debug *o)
{
	return (u32)platform_milliseconds() - o->changed_ms;
}

/* Instead of slab_alloc_slowly() and the rest of slab_free_slowly(). size: what was asked for, 0
 * for what the call site says, or else the cache's. The object starts at the address. */
void *slab_debug_alloc(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size, unsigned node);
void slab_debug_free(const char *who, struct slab *s, void *object);

/* All of a new slab's objects are free; and still untouched, before its pages go. */
void slab_debug_enter(struct kmem_cache *c, struct slab *s);
void slab_debug_leave(struct kmem_cache *c, struct slab *s);

/* The bytes of a live object that may be used; and another number of them, in the same slot. */
size_t slab_debug_size(struct slab *s, const void *object);
void slab_debug_resize(struct slab *s, void *object, size_t size);

/* NULL, or "D1: …". L */
const char *slab_debug_check_locked(struct kmem_cache *c);

/* --- debug/stack_depot.c --- */

/* Takes the depot's memory, once at boot, if anything has the letter U. */
void stack_depot_init(void);

/* --- debug/large_debug.c: the zone behind a large kmalloc, to the end of its last page --- */

void large_mark(struct page *head);
void large_verify(const struct page *head);

/* --- debug/harden.c: pages on both sides of a large kmalloc that may not be touched --- */

extern bool large_guard_on; /* C */

/* A run for nr_pages with such pages around them, where that can be; NULL: no memory. From close to
 * open, while it is a large kmalloc's, they may not be touched. */
struct page *large_guard_alloc(unsigned node, gfp_t gfp, u32 nr_pages);
void large_guard_close(const struct page *head);
void large_guard_open(const struct page *head);

/* Whether the run has them; its bytes are set. */
static inline bool large_has_guards(const struct page *head)
{
	return unlikely(large_guard_on) && head->nr_pages > div_round_up(head->bytes, PAGE_SIZE);
}

/* Where the bytes of a large kmalloc begin. */
static inline char *large_address(const struct page *head)
{
	return (char *)page_address(head) + (large_has_guards(head) ? PAGE_SIZE : 0);
}

/* --- kmalloc_classes.c --- */

extern u32 kmalloc_nr_copies, kmalloc_copy_hash; /* C */
void kmalloc_classes_init(void);
const char *kmalloc_classes_check(void);

/* Which of a class's copies serves the call site (multiplicative hashing). */
static inline struct kmem_cache *cache_copy(const struct kmem_cache *c, u32 tag)
{
	return c->copies[(u64)(tag * kmalloc_copy_hash) * kmalloc_nr_copies >> 32];
}

/* --- kmalloc.c: what tests of debugging change --- */

extern size_t kmalloc_plain_classes;
extern bool kmalloc_large_has_zone;

/* --- debug/quarantine.c --- */

/* Freed objects in the order in which they came, a page of slots. L */
#define QUARANTINE_SLOTS 255u

struct quarantine {
	u32 first, nr, limit; /* limit: of nr, C */
	struct magazine_slot slot[QUARANTINE_SLOTS];
};

/* No cache's objects wait while it is set: for tests of what is reused, and when. */
extern bool quarantine_is_paused;

bool quarantine_create(struct kmem_cache *c); /* false: no memory */
void quarantine_destroy(struct kmem_cache *c);

/* Gives all that waits back to the slabs: false when nothing did. No lock held. */
bool quarantine_drain(struct kmem_cache *c);

/* A freed object of a cache without debugging. False: it waits. True: *slot, this one or another,
 * has waited long enough. No lock held. */
bool quarantine_pass(struct kmem_cache *c, struct magazine_slot *slot);

/* Puts one in and takes the oldest out: false when there is room enough without. */
bool quarantine_exchange(struct quarantine *q, struct magazine_slot in, struct magazine_slot *out);
bool quarantine_take(struct quarantine *q, struct magazine_slot *out);
const struct magazine_slot *quarantine_at(const struct quarantine *q, u32 i);

/* How many objects wait. */
static inline u64 quarantine_count(const struct kmem_cache *c)
{
	return c->quarantine != NULL ? c->quarantine->nr : 0;
}

/* --- slab_check.c --- */

/* NULL, or what is wrong with this slab's record: "S1: …". L */
const char *slab_check_one_locked(const struct kmem_cache *c, struct slab *s);

/* Names what is wrong with freeing this address, and panics. `who` is the function that was called.
 */
_Noreturn void slab_bad_free(const char *who, const struct kmem_cache *c, const void *object);

/* Calls visit for each slab. L */
void cache_visit_slabs(struct kmem_cache *c, void (*visit)(void *context, struct slab *s),
                       void *context);

/* Live objects and bytes of each site in this cache. */
void cache_visit_sites(struct kmem_cache *c,
                       void (*visit)(void *context, u32 tag, u64 objects, u64 bytes),
                       void *context);
