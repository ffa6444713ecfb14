/*
 * Private to vmem*.c and its tests: segments, the table of those allocated, quantum caches.
 * Guards: V the arena's lock, Q a quantum class's, T a quantum table's, I its own CPU with
 * interrupts off, C constant after creation.
 */
#pragma once

#include "internal.h"

#include <lib/bits.h>
#include <mm/vmem.h>

/* --- vmem_hash.c: a table that grows and shrinks by one bucket at a time --- */

struct hash_node {
	struct hash_node *next;
	u64 key;
};

#define HASH_FIRST 16u /* buckets that every table has */
#define HASH_PARTS 32u

struct vmem_hash {
	u64 nr, nr_buckets;
	unsigned shift;                      /* C: the key's lower bits that are always the same */
	struct hash_node **part[HASH_PARTS]; /* [p]: buckets 8 << p … (16 << p) - 1; [0] unused */
	struct hash_node *first[HASH_FIRST];
};

void hash_init(struct vmem_hash *h, unsigned shift);
void hash_finish(struct vmem_hash *h);

/* Bytes of a part that the next insertions could use, or 0; and the part. */
u64 hash_wants(const struct vmem_hash *h);
bool hash_give(struct vmem_hash *h, struct hash_node **part, u64 bytes); /* false: too late */

void hash_insert(struct vmem_hash *h, struct hash_node *n);
struct hash_node *hash_find(const struct vmem_hash *h, u64 key);

/* A part that is no longer needed, for the caller to free, or NULL. The node must be in it. */
struct hash_node **hash_remove(struct vmem_hash *h, struct hash_node *n);
/* Buckets beyond one a node go, 64 at most, and what they lay in. *part: as above. True: again. */
bool hash_settle(struct vmem_hash *h, struct hash_node ***part);
struct hash_node **hash_bucket(const struct vmem_hash *h, u64 bucket);
u64 hash_bucket_of(const struct vmem_hash *h, u64 key);

/* --- vmem_seg.c: boundary tags --- */

enum seg_type {
	SEG_SPARE, /* holds nothing */
	SEG_SPAN,  /* marks a span: the segments up to the next marker tile it */
	SEG_FREE,
	SEG_ALLOC,
	SEG_SLAB, /* allocated, by the quantum caches */
};

/* A boundary tag. All V. */
struct vmem_seg {
	struct hash_node node; /* allocated: in the table; the key is the start, always */
	u64 end;
	struct list link; /* all of the arena, a circle through vmem.head; or the spare ones */
	struct list free; /* SEG_FREE: those of similar size */
	u32 tag;          /* allocated: by which call site */
	u8 type;
	bool imported; /* SEG_SPAN: from the source */
};
static_assert(sizeof(struct vmem_seg) == 64, "a cache line");

#define SEGS_NEEDED 4u /* what one operation may take: a span and its contents, cut in three */
#define SEGS_MAX 24u   /* spare ones above which some go back */
#define SEGS_TO_KEEP 8u

struct vmem {
	struct spinlock lock;
	u32 magic;
	char name[32];                       /* C */
	u64 quantum;                         /* C */
	unsigned shift;                      /* C: log2 of quantum */
	vmem_import import;                  /* C */
	vmem_release release;                /* C */
	void *source;                        /* C */
	struct vmem_quantum *quantum_caches; /* C; NULL: none */
	u64 qcache_max;                      /* C */
	u64 nonempty;                        /* V: bit i: free_list[i] has members */
	struct list free_list[64];           /* V: sizes 2^i … 2^(i+1) - 1 */
	struct vmem_seg head;                /* V: a SEG_SPAN of nothing */
	struct vmem_hash hash;               /* V */
	struct list spare;                   /* V: tags without use, the static ones last */
	u32 nr_spare;                        /* V */
	struct vmem_seg *rotor;              /* V: a segment at or before next, or NULL */
	u64 next;                            /* V: where the next fit begins to look */
	u64 size, in_use;                    /* V: sums of spans, of allocated segments */
	u64 nr_spans, nr_free;               /* V */
	u64 nr_failures;                     /* A */
	struct list link;                    /* guarded by the list's lock */
	struct vmem_seg first_segs[SEGS_NEEDED];
};

static inline u64 seg_start(const struct vmem_seg *s)
{
	return s->node.key;
}

static inline u64 seg_size(const struct vmem_seg *s)
{
	return s->end - s->node.key;
}

static inline bool seg_is_allocated(const struct vmem_seg *s)
{
	return s->type == SEG_ALLOC || s->type == SEG_SLAB;
}

static inline struct vmem_seg *seg_next(const struct vmem_seg *s)
{
	return list_entry(s->link.next, struct vmem_seg, link);
}

static inline struct vmem_seg *seg_prev(const struct vmem_seg *s)
{
	return list_entry(s->link.prev, struct vmem_seg, link);
}

/* In the order of the list, spans and their segments; without the head. */
#define for_each_seg(s, v) \
	for (struct vmem_seg *s = seg_next(&(v)->head); s != &(v)->head; s = seg_next(s))

void seg_cache_init(void);

/* Takes the arena's lock, with SEGS_NEEDED spare tags and a table that may grow, if there is
 * memory. Returns the interrupt flag. */
u64 vmem_lock_prepared(struct vmem *v, gfp_t flags);

/* What an operation leaves to do when the lock has been released. */
struct vmem_leftovers {
	struct list segs;        /* tags too many */
	struct hash_node **part; /* of the table */
	u64 span, span_size;     /* to give back to the source; 0: none */
};
#define VMEM_LEFTOVERS(name) struct vmem_leftovers name = {LIST_INIT(name.segs), NULL, 0, 0}
void vmem_unlock(struct vmem *v, u64 irq, struct vmem_leftovers *left);

struct vmem_seg *seg_add_span_locked(struct vmem *v, u64 base, u64 size, bool imported);

/* Makes [at, at + size) of the free segment an allocated one. NULL: no tags. */
struct vmem_seg *seg_cut_locked(struct vmem *v, struct vmem_seg *s, u64 at, u64 size, u8 type,
                                u32 tag);
void seg_free_locked(struct vmem *v, struct vmem_seg *s, struct vmem_leftovers *left);
void seg_free_all(struct vmem *v);
void seg_settle(struct vmem *v);

/* --- vmem_fit.c: which free segment --- */

/* The lowest place in [start, end) for the request, or 0. */
u64 fit_in(const struct vmem_request *r, u64 start, u64 end);
/* A free segment with room for the request, and the place in it; NULL: none. */
struct vmem_seg *fit_find_locked(struct vmem *v, const struct vmem_request *r, gfp_t policy,
                                 u64 *at);
/* How much to import so that the request fits, wherever it comes from; 0: too much. */
u64 fit_import_size(const struct vmem *v, const struct vmem_request *r);

/* --- vmem.c --- */

u64 vmem_arena_alloc(struct vmem *v, const struct vmem_request *r, gfp_t flags, u8 type, u32 tag);
void vmem_arena_free(struct vmem *v, u64 addr, u64 size, u8 type);

/* --- vmem_quantum.c: per-CPU caches of small sizes --- */

#define SLAB_SHIFT 6u
#define SLAB_QUANTA (1u << SLAB_SHIFT)
#define QUANTUM_TABLES 8u
#define QUANTUM_MAGAZINE 14u

/* A slab's record. Its size is its alignment, so a tag's address leads to it. */
struct quantum_slab {
	struct hash_node node; /* T: the key is its number: its address >> quantum_slab_shift() */
	struct list link;      /* Q: of its class, when it has free segments */
	u64 free;              /* Q: bit i: the segment that begins with quantum i is in the slab */
	u32 units;             /* C: quanta of a segment */
	u32 unused;
	u16 tag[SLAB_QUANTA]; /* who has it: TAG_IN_SLAB, TAG_IN_MAGAZINE, or a call site */
} __aligned(256);
static_assert(sizeof(struct quantum_slab) == 256, "quantum_slab_of() rounds down to it");

struct quantum_slot {
	u64 addr;
	u16 *tag;
};

/* One CPU's for one class; and the slab where its last free went, valid while the caches'
 * generation is that of then. */
struct quantum_magazine {
	u64 nr;                                     /* I */
	u64 slab_number, generation;                /* I */
	struct quantum_slab *slab;                  /* I */
	struct quantum_slot slot[QUANTUM_MAGAZINE]; /* I */
};
static_assert(sizeof(struct quantum_magazine) == 256, "whole cache lines");

struct quantum_class {
	struct spinlock lock;
	struct list partial; /* Q: slabs with free segments, those without others last */
	u64 all;             /* C: bits of a slab that is all free */
	u64 nr_slabs, nr_empty, nr_free; /* Q: slabs, those all free, segments in slabs */
} __aligned(64);

struct quantum_table {
	struct spinlock lock;
	struct vmem_hash hash; /* T */
} __aligned(64);

struct vmem_quantum {
	struct quantum_class of_units[VMEM_QCACHE_QUANTA + 1];
	struct quantum_table table[QUANTUM_TABLES];
	u64 generation;                     /* A: grows when a slab leaves */
	unsigned nr_classes;                /* C */
	struct quantum_magazine *magazines; /* I: [cpu * nr_classes + units - 1] */
};

static inline struct quantum_slab *quantum_slab_of(const u16 *tag)
{
	return (struct quantum_slab *)align_down((u64)tag, sizeof(struct quantum_slab));
}

static inline unsigned quantum_slab_shift(const struct vmem *v)
{
	return v->shift + SLAB_SHIFT;
}

static inline u64 quantum_slab_size(const struct vmem *v)
{
	return v->quantum << SLAB_SHIFT;
}

/* Which of its slab's quanta an address is. */
static inline unsigned quantum_index(const struct vmem *v, u64 addr)
{
	return (unsigned)(addr >> v->shift) % SLAB_QUANTA;
}

void quantum_init(void);
bool quantum_create(struct vmem *v, gfp_t flags);
/* All CPUs' magazines and all idle slabs back to the arena, which nobody uses; then the rest. */
void quantum_drain(struct vmem *v);
void quantum_destroy(struct vmem *v);

static inline struct quantum_table *quantum_table_of(const struct vmem *v, u64 addr)
{
	return &v->quantum_caches->table[(addr >> quantum_slab_shift(v)) % QUANTUM_TABLES];
}

static inline struct quantum_magazine *quantum_magazine(const struct vmem *v, unsigned cpu,
                                                        unsigned units)
{
	const struct vmem_quantum *q = v->quantum_caches;

	return &q->magazines[cpu * q->nr_classes + units - 1];
}

/* This CPU's hottest segment of so many quanta, or 0: there is none, or its tag is damaged. */
static __always_inline u64 quantum_pop(struct vmem *v, unsigned units, u32 tag)
{
	u64 irq = irq_save(), addr = 0;
	struct quantum_magazine *m = quantum_magazine(v, cpu_id(), units);
	u64 nr = m->nr;

	if (likely(nr != 0)) {
		struct quantum_slot slot = m->slot[nr - 1];

		if (likely(*slot.tag == TAG_IN_MAGAZINE)) {
			__atomic_store_n(slot.tag, (u16)tag, __ATOMIC_RELAXED);
			m->nr = nr - 1;
			addr = slot.addr;
		}
	}
	irq_restore(irq);
	return addr;
}

/* Puts a live segment of so many quanta on top, if it is of the slab of the last one. All, or
 * nothing and false. */
static __always_inline bool quantum_push(struct vmem *v, u64 addr, unsigned units)
{
	u64 irq = irq_save(), nr;
	struct quantum_magazine *m = quantum_magazine(v, cpu_id(), units);
	bool done = false;
	u16 *tag;

	/* The address is live, so its slab is there, and no slab has left since it was found: the
	 * record is this slab's, whoever looks at it. */
	if (likely(m->slab_number == addr >> quantum_slab_shift(v) &&
	           m->generation ==
	               __atomic_load_n(&v->quantum_caches->generation, __ATOMIC_ACQUIRE))) {
		tag = &m->slab->tag[quantum_index(v, addr)];
		nr = m->nr;
		if (likely(*tag >= TAG_FIRST_SITE && nr != QUANTUM_MAGAZINE &&
		           is_aligned(addr, v->quantum))) {
			__atomic_store_n(tag, TAG_IN_MAGAZINE, __ATOMIC_RELAXED);
			m->slot[nr] = (struct quantum_slot){addr, tag};
			m->nr = nr + 1;
			done = true;
		}
	}
	irq_restore(irq);
	return done;
}

/* The same with trips to the slabs; 0: no slab can be had. */
u64 quantum_alloc(struct vmem *v, unsigned units, gfp_t flags, u32 tag);
/* Any other free of a size up to qcache_max: the caches' or the arena's own. */
void quantum_free(struct vmem *v, u64 addr, u64 size);
void quantum_flush_here(struct vmem *v); /* this CPU's magazines into the slabs */
void quantum_release_empty(struct vmem *v);
u64 quantum_idle(struct vmem *v); /* units in slabs that no user has */
void quantum_visit_live(struct vmem *v, u64 slab, vmem_visitor visit, void *context);
struct quantum_slab *quantum_find(const struct vmem *v, u64 addr); /* the caller has its table */
const char *quantum_check(struct vmem *v);
