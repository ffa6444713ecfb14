/*
 * Values by key that give way when memory is short: see <mm/lru_cache.h>.
 *
 * A value is in a hash chain, by its key, and in the list of all by the time of its last use. Both
 * are under one lock, which is held for a lookup and a copy; values are computed, allocated and
 * freed outside of it. Evicting takes from the old end, some at a time, so that nobody waits long.
 *
 *   LRU1  every value is in its key's chain and in the list, and nr_values counts them
 *   LRU2  a key has one value at most
 *
 * Cost: a lookup is a chain's length, nr_values / NR_CHAINS; a miss adds what fill() costs.
 */
#include <lib/assert.h>
#include <lib/race.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <mm/lru_cache.h>
#include <mm/reclaim.h>

#define NR_CHAINS 256u
#define BATCH 32u /* evicted at a time */

struct value {
	u64 key;
	struct list chain, use; /* L */
	u8 bytes[];
};

struct lru_cache {
	struct kmem_cache *values;
	size_t size;
	lru_fill_fn fill;
	void *data;
	struct shrinker shrinker;
	struct spinlock lock;         /* L */
	struct lru_cache_stats stats; /* L */
	struct list used;             /* L: the most recent first */
	struct list chain[NR_CHAINS]; /* L */
};

/* Fibonacci hashing (Knuth, TAOCP 3, 6.4). */
static struct list *chain_of(struct lru_cache *c, u64 key)
{
	return &c->chain[key * 0x9e3779b97f4a7c15ull >> 56];
}

static struct value *find_locked(struct lru_cache *c, u64 key)
{
	struct value *v;

	list_for_each(v, chain_of(c, key), chain)
		if (v->key == key)
			return v;
	return NULL;
}

static void insert_locked(struct lru_cache *c, struct value *v)
{
	list_push_front(chain_of(c, v->key), &v->chain);
	list_push_front(&c->used, &v->use);
	c->stats.nr_values++;
}

static void remove_locked(struct lru_cache *c, struct value *v)
{
	list_remove(&v->chain);
	list_remove(&v->use);
	c->stats.nr_values--;
}

/* Copies the value and makes it the most recent. */
static bool read_hit(struct lru_cache *c, u64 key, void *out)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct value *v = find_locked(c, key);

	if (v != NULL) {
		list_remove(&v->use);
		list_push_front(&c->used, &v->use);
		memcpy(out, v->bytes, c->size);
		c->stats.nr_hits++;
	} else {
		c->stats.nr_misses++;
	}
	spin_unlock_irq(&c->lock, flags);
	return v != NULL;
}

/* Keeps a new value, unless another thread was quicker (LRU2). Returns what is to be freed. */
static struct value *keep(struct lru_cache *c, struct value *v)
{
	u64 flags = spin_lock_irq(&c->lock);
	bool is_new = find_locked(c, v->key) == NULL;

	if (is_new)
		insert_locked(c, v);
	spin_unlock_irq(&c->lock, flags);
	return is_new ? NULL : v;
}

bool lru_cache_read(struct lru_cache *c, u64 key, void *out)
{
	struct value *v;

	if (read_hit(c, key, out))
		return true;
	if (!c->fill(key, out, c->data))
		return false;
	v = kmem_cache_alloc(c->values, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (v != NULL) {
		v->key = key;
		memcpy(v->bytes, out, c->size);
		kmem_cache_free(c->values, keep(c, v));
	}
	return true;
}

void lru_cache_forget(struct lru_cache *c, u64 key)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct value *v = find_locked(c, key);

	if (v != NULL)
		remove_locked(c, v);
	spin_unlock_irq(&c->lock, flags);
	kmem_cache_free(c->values, v);
}

/* Frees up to nr of the least recently used; returns how many. */
static u64 evict_batch(struct lru_cache *c, u64 nr)
{
	void *victim[BATCH];
	u64 n = 0, flags = spin_lock_irq(&c->lock);

	while (n < nr && n < BATCH && !list_is_empty(&c->used)) {
		struct value *v = list_entry(c->used.prev, struct value, use);

		remove_locked(c, v);
		victim[n++] = v;
	}
	c->stats.nr_evicted += n;
	spin_unlock_irq(&c->lock, flags);
	kmem_cache_free_bulk(c->values, n, victim);
	return n;
}

static u64 scan(struct shrinker *self, u64 nr)
{
	struct lru_cache *c = container_of(self, struct lru_cache, shrinker);
	u64 done = 0, n;

	do {
		n = evict_batch(c, nr - done);
		done += n;
	} while (n == BATCH && done < nr);
	return done;
}

static u64 count(struct shrinker *self)
{
	return data_race(container_of(self, struct lru_cache, shrinker)->stats.nr_values);
}

void lru_cache_stats(struct lru_cache *c, struct lru_cache_stats *out)
{
	u64 flags = spin_lock_irq(&c->lock);

	*out = c->stats;
	spin_unlock_irq(&c->lock, flags);
}

struct lru_cache *lru_cache_create(const char *name, size_t size, lru_fill_fn fill, void *data)
{
	struct lru_cache *c;

	assert(fill != NULL);
	if (size == 0 || size > LRU_MAX_SIZE)
		return NULL;
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (c == NULL)
		return NULL;
	c->values = kmem_cache_create(name, sizeof(struct value) + size, 0, 0, NULL);
	if (c->values == NULL) {
		kfree(c);
		return NULL;
	}
	c->size = size;
	c->fill = fill;
	c->data = data;
	spin_init(&c->lock, "lru_cache");
	list_init(&c->used);
	for (unsigned i = 0; i < NR_CHAINS; i++)
		list_init(&c->chain[i]);
	c->shrinker =
	    (struct shrinker){.name = kmem_cache_name(c->values), .count = count, .scan = scan};
	register_shrinker(&c->shrinker);
	return c;
}

void lru_cache_destroy(struct lru_cache *c)
{
	if (c == NULL)
		return;
	unregister_shrinker(&c->shrinker);
	scan(&c->shrinker, ~0ull);
	if (kmem_cache_destroy(c->values) != 0)
		panic("lru_cache: destroyed while values are read");
	kfree(c);
}
