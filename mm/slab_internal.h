/*
 * Private to the slab layer (slab.c, slab_cpu.c, slab_check.c, kmalloc.c) and its tests.
 */
#pragma once

#include "internal.h"

#include <lib/bitmap.h>

/*
 * The record of a slab: off the slab (but for the caches that hold the records themselves), found
 * through any of its pages' struct page. After the tags come the bits, at cache->bits_offset.
 */
struct slab {
	u64 base;       /* C: address of object 0 */
	u64 reciprocal; /* C: index of the object at an offset = offset * reciprocal >> 32 */
	u64 span;       /* C: bytes from base within which an address has a slot */
	struct kmem_cache *cache; /* C */
	struct list link;         /* L: cache->slabs[list] */
	u32 nr_free;              /* L: set bits */
	u32 nr_pages;             /* C */
	u8 list;                  /* L: which of the cache's lists holds it */
	u8 unused[7];
	u16 tag[]; /* one a slot: TAG_IN_SLAB, TAG_IN_MAGAZINE or the call site's. I or L, see
	              slab_cpu.c */
};

static_assert(offsetof(struct slab, tag) == 64, "a record starts with one cache line");

/* A cache's slabs by how full they are: the fullest refills first, so that the emptiest can run
 * empty. */
enum { SLABS_FULL = 0, SLABS_PARTIAL = 1, NR_PARTIAL = 8, SLABS_EMPTY = 9, NR_SLAB_LISTS };

/* An object in a magazine, with the address of its tag, so that neither has to be looked up again.
 */
struct magazine_slot {
	void *object;
	u16 *tag;
};

#define MAGAZINE_BYTES 1024
#define MAGAZINE_SLOTS 62

/* One CPU's stack of hot objects of one cache. I: its own CPU, interrupts off. */
struct magazine {
	u32 nr, capacity;
	u64 nr_refills, nr_flushes;
	u64 unused;
	struct magazine_slot slot[MAGAZINE_SLOTS];
};

static_assert(sizeof(struct magazine) == MAGAZINE_BYTES, "magazines of all CPUs lie side by side");

#define CACHE_MAGIC 0x51ab0cacu
#define SLAB_INTERNAL 0x100u /* the memory manager's own */
#define SLAB_ON_SLAB 0x200u  /* the record lies at the start of the slab itself */
#define SLAB_STATIC 0x400u   /* cannot be destroyed */
#define SLAB_PUBLIC_FLAGS (SLAB_HWCACHE_ALIGN | SLAB_ZERO_ON_FREE | SLAB_NO_MAGAZINE)

/* L: guarded by lock. C: constant after creation. */
struct kmem_cache {
	char *magazines;  /* C: CPU i's is at i * MAGAZINE_BYTES; NULL: none */
	u32 magic;        /* C */
	u32 flags;        /* C */
	u32 size, stride; /* C */
	u32 align;        /* C */
	u32 nr_pages;     /* C: of a slab */
	u32 nr_objects;   /* C: of a slab */
	u32 nr_slots;     /* C: tags; one more than objects where a tail could hold an address */
	u32 bits_offset;  /* C: of the bits in the record */
	u32 record_bytes; /* C */
	u64 reciprocal;   /* C */
	void (*ctor)(void *object);      /* C */
	struct kmem_cache *record_cache; /* C: where the records come from; NULL when on the slab */

	struct spinlock lock;
	struct list slabs[NR_SLAB_LISTS]; /* L */
	u32 nonempty_lists;               /* L: bit i while slabs[i] has members */
	u64 nr_slabs, nr_empty;           /* L */
	u64 nr_free;                      /* L: objects in slabs, the sum of their nr_free */
	struct list link;                 /* the list of caches, under its lock */
	char name[32];                    /* C */
};

/* A cache keeps this many empty slabs at most. */
#define MAX_EMPTY_SLABS 4

static inline u64 *slab_bits(const struct kmem_cache *c, struct slab *s)
{
	return (u64 *)((char *)s + c->bits_offset);
}

static inline void *slab_object(const struct kmem_cache *c, const struct slab *s, u32 index)
{
	return (void *)(s->base + (u64)index * c->stride);
}

/* The slab whose page holds the address, or NULL. Any address. O(1). */
static inline struct slab *slab_of(const void *address)
{
	const struct page *page = page_hint(address);

	return page != NULL && page->type == PAGE_SLAB ? page->slab : NULL;
}

/* --- slab_layout.c --- */

/* Fills in the layout for the stride and flags. False: there is none. */
bool cache_layout(struct kmem_cache *c);

/* The alignment of a cache's objects: at least 8. align 0: the natural one. */
u32 cache_natural_align(size_t size, size_t align, unsigned flags);

/* --- slab_cache.c --- */

/* In place, for caches that are static or not on the list yet. 0 or -ENOMEM. */
int cache_setup(struct kmem_cache *c, const char *name, size_t size, size_t align, unsigned flags,
                void (*ctor)(void *));

/* Where records of so many bytes come from; NULL: there are none so large. */
struct kmem_cache *slab_record_cache(u32 bytes);

extern struct list cache_list;
extern struct spinlock cache_list_lock;

/* --- slab.c --- */

/* Up to n free objects of the fullest slabs, now TAG_IN_MAGAZINE. L */
u32 slab_take_locked(struct kmem_cache *c, struct magazine_slot slots[], u32 n);

/* The reverse; slabs that are empty and too many go to `surplus`, to be released without the lock.
 * L */
void slab_put_locked(struct kmem_cache *c, const struct magazine_slot slots[], u32 n,
                     struct list *surplus);

/* Makes one more slab. False: no memory. No lock held. */
bool slab_grow(struct kmem_cache *c, gfp_t gfp);

/* Frees the slabs on the list; returns their pages. No lock held. */
u64 slab_release(struct kmem_cache *c, struct list *surplus);

/* Takes all empty slabs off the cache. L */
void slab_take_empty_locked(struct kmem_cache *c, struct list *surplus);

/* Names what is wrong with freeing this address, and panics. `who` is the function that was called.
 */
_Noreturn void slab_bad_free(const char *who, const struct kmem_cache *c, const void *object);

/* --- slab_check.c --- */

/* Live objects and bytes of each site in this cache. */
void cache_visit_sites(struct kmem_cache *c,
                       void (*visit)(void *context, u32 tag, u64 objects, u64 bytes),
                       void *context);

/* --- slab_cpu.c --- */

/* Objects in all CPUs' magazines of the cache. */
u64 magazine_objects(const struct kmem_cache *c);

/* Empties this CPU's magazine, or with all_cpus everyone's (nobody may be using the cache then).
 * Returns the pages of slabs that thereby became surplus. */
u64 magazine_flush(struct kmem_cache *c, bool all_cpus);

void magazine_init(struct kmem_cache *c, char *memory);
struct magazine *magazine_of_cpu(const struct kmem_cache *c, unsigned cpu);

/* Frees an object whose slab is known. */
void slab_free_object(const char *who, struct slab *s, void *object);
