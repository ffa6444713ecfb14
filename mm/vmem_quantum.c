/*
 * Quantum caches: per-CPU magazines for the sizes of 1 to 32 quanta of an arena.
 *
 * The idea is the paper's: small sizes are cut from slabs, so that they neither fragment the arena
 * nor need a boundary tag each, and each CPU keeps some at hand. A slab is 64 quanta of the arena,
 * aligned to its size: an address leads to it by a mask. Its record has a tag for each segment
 * (free in the slab, in a magazine, or live with its call site), as an object cache's slab has, so
 * that a double free is found at once. The object caches themselves would not do: theirs are pages.
 *
 * An allocation takes from its CPU's magazine, a free puts into it: interrupts off, no lock. A free
 * needs the slab's record: each magazine remembers that of the last free, which holds while no slab
 * has left (a generation counts that); else one of 8 tables is asked, each with a lock. An address
 * that no slab holds is the arena's own: when no slab can be had, small sizes come from there too.
 *
 * Who may write a tag: the owner of the segment in that moment, as with objects (slab_cpu.c). Two
 * CPUs that free one segment at the same instant may both see it live; then it is in two magazines,
 * and the second allocation finds a tag that is not TAG_IN_MAGAZINE and stops the machine.
 *
 * Q1  a slab's record is in the table of its address; its segment in the arena is a SEG_SLAB
 * Q2  a segment's bit in `free` is set exactly when its tag says that it is in the slab
 * Q3  what a magazine holds is of its class, and its tag says that it is in a magazine
 * Q4  a class's sums are those of its slabs; the partial ones are listed
 *
 * Cost: docs/vmem.md. Locks: class, then table. The arena is called with neither.
 */
#include "vmem_internal.h"

#include <lib/assert.h>
#include <lib/race.h>
#include <mm/kmalloc.h>

#define HALF (QUANTUM_MAGAZINE / 2) /* what moves between a magazine and the slabs */
/* A class's idle slabs may have a 2^-12th of the arena. */
#define IDLE_SHARE_SHIFT 12u
#define IDLE_SLABS_MAX 256u

static struct kmem_cache *slab_cache;

void quantum_init(void)
{
	slab_cache = kmem_cache_create("vmem_quantum", sizeof(struct quantum_slab),
	                               sizeof(struct quantum_slab), 0, NULL);
	if (slab_cache == NULL)
		panic("vmem: no memory for the cache of quantum slabs");
}

struct quantum_slab *quantum_find(const struct vmem *v, u64 addr)
{
	const struct quantum_table *t = quantum_table_of(v, addr);
	struct hash_node *n = hash_find(&t->hash, addr >> quantum_slab_shift(v));

	return n != NULL ? container_of(n, struct quantum_slab, node) : NULL;
}

static u64 slab_addr(const struct vmem *v, const struct quantum_slab *s)
{
	return s->node.key << quantum_slab_shift(v);
}

/* --- slabs --- */

/* The bits of a slab that is all free: one where each segment begins. */
static u64 all_bits(unsigned units)
{
	u64 bits = 0;

	for (unsigned i = 0; i + units <= SLAB_QUANTA; i += units)
		bits |= 1ull << i;
	return bits;
}

static void prepare_table(struct quantum_table *t, gfp_t flags)
{
	u64 irq = spin_lock_irq(&t->lock), bytes = hash_wants(&t->hash);
	struct hash_node **part;
	bool used = false;

	spin_unlock_irq(&t->lock, irq);
	if (likely(bytes == 0))
		return;
	part = kmalloc(bytes, flags | __GFP_NOWARN);
	irq = spin_lock_irq(&t->lock);
	used = hash_give(&t->hash, part, bytes);
	spin_unlock_irq(&t->lock, irq);
	if (!used)
		kfree(part);
}

static void enter_slab(struct vmem *v, struct quantum_slab *s, u64 at, unsigned units)
{
	struct quantum_class *c = &v->quantum_caches->of_units[units];
	struct quantum_table *t = quantum_table_of(v, at);
	u64 irq;

	*s = (struct quantum_slab){
	    .node.key = at >> quantum_slab_shift(v), .free = c->all, .units = units};
	irq = spin_lock_irq(&c->lock);
	spin_lock(&t->lock);
	hash_insert(&t->hash, &s->node);
	spin_unlock(&t->lock);
	list_push_back(&c->partial, &s->link);
	c->nr_slabs++;
	c->nr_empty++;
	c->nr_free += bit_count(c->all);
	spin_unlock_irq(&c->lock, irq);
}

/* One slab more for this size. */
static __noinline bool grow(struct vmem *v, unsigned units, gfp_t flags)
{
	u64 bytes = quantum_slab_size(v), at;
	const struct vmem_request r = {.size = bytes, .align = bytes, .max = ~0ull};
	gfp_t gfp = flags & __GFP_ALL & ~(__GFP_ZERO | __GFP_NOFAIL | __GFP_DMA | __GFP_DMA32);
	struct quantum_slab *s = kmem_cache_alloc(slab_cache, gfp | __GFP_NOWARN);

	if (s == NULL)
		return false;
	at = vmem_arena_alloc(v, &r, gfp, SEG_SLAB, 0);
	if (at == 0) {
		kmem_cache_free(slab_cache, s);
		return false;
	}
	prepare_table(quantum_table_of(v, at), gfp);
	enter_slab(v, s, at, units);
	return true;
}

/* Off the class and the table: it is the caller's. The class's lock is held. */
static void leave_slab_locked(struct vmem *v, struct quantum_class *c, struct quantum_slab *s,
                              struct list *gone)
{
	struct quantum_table *t = quantum_table_of(v, slab_addr(v, s));
	struct hash_node **part;

	spin_lock(&t->lock);
	part = hash_remove(&t->hash, &s->node);
	spin_unlock(&t->lock);
	kfree(part);
	__atomic_fetch_add(&v->quantum_caches->generation, 1, __ATOMIC_RELEASE);
	c->nr_slabs--;
	c->nr_empty--;
	c->nr_free -= bit_count(c->all);
	list_remove(&s->link);
	list_push_back(gone, &s->link);
}

static void release(struct vmem *v, struct list *gone)
{
	while (!list_is_empty(gone)) {
		struct quantum_slab *s = list_first(gone, struct quantum_slab, link);
		u64 at = slab_addr(v, s);

		list_remove(&s->link);
		kmem_cache_free(slab_cache, s);
		vmem_arena_free(v, at, quantum_slab_size(v), SEG_SLAB);
	}
}

/* --- between magazines and slabs --- */

/* Takes up to n of one slab's segments; those of a slab that is left with none stand on no list. */
static unsigned take_locked(struct vmem *v, struct quantum_class *c, struct quantum_slab *s,
                            struct quantum_slot to[], unsigned n)
{
	unsigned nr = 0;

	c->nr_empty -= s->free == c->all;
	for (; nr < n && s->free != 0; nr++) {
		unsigned i = lowest_bit(s->free);

		s->free &= s->free - 1;
		s->tag[i] = TAG_IN_MAGAZINE;
		to[nr] = (struct quantum_slot){slab_addr(v, s) + ((u64)i << v->shift), &s->tag[i]};
	}
	c->nr_free -= nr;
	if (s->free == 0)
		list_remove(&s->link);
	return nr;
}

/* Fills half of the magazine, if the slabs have so much. Interrupts off. */
static bool refill(struct vmem *v, struct quantum_magazine *m, unsigned units)
{
	struct quantum_class *c = &v->quantum_caches->of_units[units];

	spin_lock(&c->lock);
	while (m->nr < HALF && !list_is_empty(&c->partial)) {
		struct quantum_slab *s = list_first(&c->partial, struct quantum_slab, link);

		m->nr += take_locked(v, c, s, m->slot + m->nr, HALF - (unsigned)m->nr);
	}
	spin_unlock(&c->lock);
	return m->nr != 0;
}

/* Back into its slab, which may now be all free: then it stands last. */
static void put_locked(struct vmem *v, struct quantum_class *c, struct quantum_slot slot)
{
	struct quantum_slab *s = quantum_slab_of(slot.tag);

	if (s->free == 0)
		list_push_front(&c->partial, &s->link);
	s->free |= 1ull << quantum_index(v, slot.addr);
	*slot.tag = TAG_IN_SLAB;
	c->nr_free++;
	if (s->free == c->all) {
		c->nr_empty++;
		list_remove(&s->link);
		list_push_back(&c->partial, &s->link);
	}
}

/* Slabs of which all is free, but for so many, to `gone`. */
static void trim_locked(struct vmem *v, struct quantum_class *c, u64 nr_kept, struct list *gone)
{
	while (c->nr_empty > nr_kept)
		leave_slab_locked(v, c, list_entry(c->partial.prev, struct quantum_slab, link),
		                  gone);
}

/* Slabs that may idle: what comes in waves must not make them anew each time. In a large arena they
 * are nothing to it, and the next shortage takes them (vmem_reap()). */
static u64 nr_idle_kept(const struct vmem *v, const struct quantum_class *c)
{
	u64 share = data_race(v->size) >> (quantum_slab_shift(v) + IDLE_SHARE_SHIFT);

	return 1 + c->nr_slabs / 8 + min_u64(share, IDLE_SLABS_MAX);
}

/* The n lowest of the magazine, the longest unused; and slabs that are too many, if anybody takes
 * them. Interrupts off. */
static void flush(struct vmem *v, struct quantum_magazine *m, unsigned units, u64 n,
                  struct list *gone)
{
	struct quantum_class *c = &v->quantum_caches->of_units[units];

	spin_lock(&c->lock);
	for (u64 i = 0; i < n; i++)
		put_locked(v, c, m->slot[i]);
	if (gone != NULL)
		trim_locked(v, c, nr_idle_kept(v, c), gone);
	spin_unlock(&c->lock);
	m->nr -= n;
	for (u64 i = 0; i < m->nr; i++)
		m->slot[i] = m->slot[i + n];
}

/* --- in and out --- */

static void check_hottest(const struct vmem *v, const struct quantum_magazine *m)
{
	const struct quantum_slot *slot = &m->slot[m->nr - 1];

	if (*slot->tag != TAG_IN_MAGAZINE)
		panic("vmem: cached segment is in use, freed twice at once? arena=%s addr=%#lx",
		      v->name, slot->addr);
}

u64 quantum_alloc(struct vmem *v, unsigned units, gfp_t flags, u32 tag)
{
	do {
		u64 irq = irq_save(), addr = 0;
		struct quantum_magazine *m = quantum_magazine(v, cpu_id(), units);

		if (m->nr != 0 || refill(v, m, units)) {
			check_hottest(v, m);
			addr = quantum_pop(v, units, tag);
		}
		irq_restore(irq);
		if (addr != 0)
			return addr;
	} while (grow(v, units, flags));
	return 0;
}

static const char *free_fault(const struct vmem *v, const struct quantum_slab *s, u64 addr,
                              unsigned units)
{
	unsigned i = quantum_index(v, addr);

	if (!is_aligned(addr, v->quantum) || i % s->units != 0)
		return "inside a segment";
	if (s->tag[i] < TAG_FIRST_SITE)
		return "double free";
	return s->units != units ? "wrong size" : NULL;
}

/* A live segment's tag becomes that of a cached one. NULL: there is none, and the fault, if a slab
 * has the address. */
static u16 *retire(struct vmem *v, struct quantum_magazine *m, u64 addr, unsigned units,
                   const char **fault)
{
	u64 generation = __atomic_load_n(&v->quantum_caches->generation, __ATOMIC_ACQUIRE);
	struct quantum_table *t = quantum_table_of(v, addr);
	struct quantum_slab *s;

	spin_lock(&t->lock);
	s = quantum_find(v, addr);
	*fault = s != NULL ? free_fault(v, s, addr, units) : NULL;
	spin_unlock(&t->lock);
	if (s == NULL || *fault != NULL)
		return NULL;
	m->slab_number = s->node.key;
	m->generation = generation;
	m->slab = s;
	__atomic_store_n(&s->tag[quantum_index(v, addr)], TAG_IN_MAGAZINE, __ATOMIC_RELAXED);
	return &s->tag[quantum_index(v, addr)];
}

/* Into a full magazine, half of which goes to the slabs first. */
static void push_full(struct vmem *v, struct quantum_magazine *m, unsigned units,
                      struct quantum_slot slot, u64 irq)
{
	struct list gone = LIST_INIT(gone);

	flush(v, m, units, HALF, &gone);
	m->slot[m->nr++] = slot;
	irq_restore(irq);
	release(v, &gone);
}

/* Not a live segment of the caches: the arena's own, or wrong. */
static void free_elsewhere(struct vmem *v, u64 addr, u64 size, const char *fault)
{
	if (fault != NULL)
		panic("vmem: %s arena=%s addr=%#lx size=%#lx", fault, v->name, addr, size);
	vmem_arena_free(v, addr, align_up(size, v->quantum), SEG_ALLOC);
}

void quantum_free(struct vmem *v, u64 addr, u64 size)
{
	unsigned units = (unsigned)((size - 1) >> v->shift) + 1;
	u64 irq = irq_save();
	struct quantum_magazine *m = quantum_magazine(v, cpu_id(), units);
	const char *fault;
	u16 *tag = retire(v, m, addr, units, &fault);

	if (tag == NULL) {
		irq_restore(irq);
		free_elsewhere(v, addr, size, fault);
		return;
	}
	if (m->nr == QUANTUM_MAGAZINE) {
		push_full(v, m, units, (struct quantum_slot){addr, tag}, irq);
		return;
	}
	m->slot[m->nr++] = (struct quantum_slot){addr, tag};
	irq_restore(irq);
}

/* --- the whole --- */

void quantum_flush_here(struct vmem *v)
{
	for (unsigned units = 1; units <= v->quantum_caches->nr_classes; units++) {
		u64 irq = irq_save();
		struct quantum_magazine *m = quantum_magazine(v, cpu_id(), units);

		flush(v, m, units, m->nr, NULL);
		irq_restore(irq);
	}
}

void quantum_release_empty(struct vmem *v)
{
	struct list gone = LIST_INIT(gone);

	for (unsigned units = 1; units <= v->quantum_caches->nr_classes; units++) {
		struct quantum_class *c = &v->quantum_caches->of_units[units];
		u64 irq = spin_lock_irq(&c->lock);

		trim_locked(v, c, 0, &gone);
		spin_unlock_irq(&c->lock, irq);
	}
	release(v, &gone);
}

bool quantum_create(struct vmem *v, gfp_t flags)
{
	struct vmem_quantum *q = kzalloc(sizeof(*q), flags & __GFP_ALL);

	if (q == NULL)
		return false;
	q->generation = 1; /* no magazine's, so none remembers a slab */
	q->nr_classes = (unsigned)(v->qcache_max >> v->shift);
	q->magazines =
	    kcalloc((u64)mm_nr_cpus * q->nr_classes, sizeof(*q->magazines), flags & __GFP_ALL);
	if (q->magazines == NULL) {
		kfree(q);
		return false;
	}
	for (unsigned units = 1; units <= q->nr_classes; units++) {
		spin_init(&q->of_units[units].lock, "vmem quantum class");
		list_init(&q->of_units[units].partial);
		q->of_units[units].all = all_bits(units);
	}
	for (unsigned i = 0; i < QUANTUM_TABLES; i++) {
		spin_init(&q->table[i].lock, "vmem quantum table");
		hash_init(&q->table[i].hash, 0);
	}
	v->quantum_caches = q;
	return true;
}

void quantum_drain(struct vmem *v)
{
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		for (unsigned units = 1; units <= v->quantum_caches->nr_classes; units++) {
			struct quantum_magazine *m = quantum_magazine(v, cpu, units);
			u64 irq = irq_save();

			flush(v, m, units, m->nr, NULL);
			irq_restore(irq);
		}
	quantum_release_empty(v);
}

void quantum_destroy(struct vmem *v)
{
	for (unsigned i = 0; i < QUANTUM_TABLES; i++)
		hash_finish(&v->quantum_caches->table[i].hash);
	kfree(v->quantum_caches->magazines);
	kfree(v->quantum_caches);
	v->quantum_caches = NULL;
}

u64 quantum_idle(struct vmem *v)
{
	const struct vmem_quantum *q = v->quantum_caches;
	u64 idle = 0;

	for (unsigned units = 1; units <= q->nr_classes; units++) {
		struct quantum_class *c = &v->quantum_caches->of_units[units];
		u64 irq = spin_lock_irq(&c->lock), nr = c->nr_free;

		/* Other CPUs' go on: a number that is a moment old. */
		for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
			nr += data_race(quantum_magazine(v, cpu, units)->nr);
		idle += nr * units + c->nr_slabs * (SLAB_QUANTA - bit_count(c->all) * units);
		spin_unlock_irq(&c->lock, irq);
	}
	return idle << v->shift;
}

void quantum_visit_live(struct vmem *v, u64 slab, vmem_visitor visit, void *context)
{
	struct quantum_table *t = quantum_table_of(v, slab);
	const struct quantum_slab *s;

	spin_lock(&t->lock);
	s = quantum_find(v, slab);
	for (u32 i = 0; s != NULL && i + s->units <= SLAB_QUANTA; i += s->units) {
		u32 tag = __atomic_load_n(&s->tag[i], __ATOMIC_RELAXED);

		if (tag >= TAG_FIRST_SITE)
			visit(context, VMEM_ALLOC, slab + ((u64)i << v->shift),
			      s->units << v->shift, tag);
	}
	spin_unlock(&t->lock);
}

/* --- check --- */

/* Of one class, over its slabs. */
struct quantum_sums {
	u64 nr_slabs, nr_empty, nr_free, nr_partial;
};

static const char *check_slab(const struct vmem *v, const struct vmem_seg *seg,
                              struct quantum_sums sums[])
{
	const struct quantum_slab *s = quantum_find(v, seg_start(seg));
	struct quantum_sums *sum;
	u64 all, in_slab = 0;

	if (s == NULL || seg_size(seg) != quantum_slab_size(v) || s->units == 0 ||
	    s->units > v->quantum_caches->nr_classes)
		return "Q1: a slab is not in its table";
	for (unsigned i = 0; i < SLAB_QUANTA; i++)
		in_slab |= (u64)(s->tag[i] == TAG_IN_SLAB) << i;
	all = v->quantum_caches->of_units[s->units].all;
	if (s->free != (in_slab & all) || ~in_slab & ~all)
		return "Q2: a slab's bits and tags differ";
	sum = &sums[s->units];
	sum->nr_slabs++;
	sum->nr_empty += s->free == all;
	sum->nr_partial += s->free != 0;
	sum->nr_free += bit_count(s->free);
	return NULL;
}

static const char *check_magazine(const struct vmem *v, const struct quantum_magazine *m,
                                  unsigned units)
{
	if (m->nr > QUANTUM_MAGAZINE)
		return "Q3: a magazine holds too many";
	for (u64 i = 0; i < m->nr; i++) {
		const struct quantum_slab *s = quantum_slab_of(m->slot[i].tag);

		if (s->units != units || *m->slot[i].tag != TAG_IN_MAGAZINE ||
		    slab_addr(v, s) + ((u64)(m->slot[i].tag - s->tag) << v->shift) !=
		        m->slot[i].addr)
			return "Q3: a magazine holds what is not cached";
	}
	return NULL;
}

static const char *check_class(const struct quantum_class *c, const struct quantum_sums *sum)
{
	u64 nr_listed = 0;
	bool empty = false;
	struct quantum_slab *s;

	list_for_each(s, &c->partial, link) {
		if (s->free == 0 || (empty && s->free != c->all) || ++nr_listed > sum->nr_partial)
			return "Q4: the list of partial slabs is wrong";
		empty = s->free == c->all;
	}
	if (nr_listed != sum->nr_partial)
		return "Q4: a partial slab is not listed";
	if (c->nr_slabs != sum->nr_slabs || c->nr_empty != sum->nr_empty ||
	    c->nr_free != sum->nr_free)
		return "Q4: a class's sums are not those of its slabs";
	return NULL;
}

const char *quantum_check(struct vmem *v)
{
	struct quantum_sums sums[VMEM_QCACHE_QUANTA + 1] = {0};
	const struct vmem_quantum *q = v->quantum_caches;
	u64 nr_slabs = 0, nr_entered = 0;
	const char *fault = NULL;

	for_each_seg(seg, v) if (seg->type == SEG_SLAB && fault == NULL)
	{
		fault = check_slab(v, seg, sums);
		nr_slabs++;
	}
	for (unsigned i = 0; i < QUANTUM_TABLES; i++)
		nr_entered += q->table[i].hash.nr;
	if (fault == NULL && nr_entered != nr_slabs)
		return "Q1: a table holds what is no slab";
	for (unsigned units = 1; units <= q->nr_classes && fault == NULL; units++) {
		fault = check_class(&q->of_units[units], &sums[units]);
		for (unsigned cpu = 0; cpu < mm_nr_cpus && fault == NULL; cpu++)
			fault = check_magazine(v, quantum_magazine(v, cpu, units), units);
	}
	return fault;
}
