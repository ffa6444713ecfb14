/*
 * Fault injection: the rules, and the decision.
 *
 * The fast ways in hold no hook. Instead, while anything is armed, they find nothing: every cache's
 * `hot` leads to the magazines that are always empty (slab_bypass()), and no context caches pages
 * (cpu_pages_bypass()). So all allocations come by the slow ways, which ask here when inject_on is
 * set: slab_alloc_slowly(), slab_alloc_bare() and kmem_cache_alloc_node_tag() for objects;
 * allocate() and alloc_contig_pages() for pages. A refused request is one that found no memory:
 * nothing is reclaimed, reported or counted as a failure of the page allocator, since memory is not
 * what is missing.
 *
 * Invariants:
 *   I1  inject_on is set exactly while a point or the n-th is armed, and then everything is
 *       bypassed
 *   I2  a request with __GFP_NOFAIL is neither failed nor counted
 *
 * Cost: off, one test on the slow ways. On, a lock for each allocation.
 */
#include "../slab_internal.h"

#include <lib/rng.h>
#include <lib/string.h>
#include <mm/inject.h>

bool inject_on;

static struct spinlock lock = SPINLOCK_INIT("inject");

/* L: guarded by lock. */
static struct point {
	struct inject_rule rule;
	struct inject_stats stats; /* L */
	u64 nr_chosen;             /* L: of those asked about, by cache, site and order */
	struct rng rng;            /* L */
} points[NR_INJECT_POINTS];

static struct {
	const struct mm_thread *thread; /* L: whose; NULL: not armed */
	u64 n, nr_asked;                /* L */
} nth;

static const char *const point_names[] = {"failslab", "fail_page_alloc"};

/* --- the decision --- */

/* What is asked for. */
struct request {
	const struct kmem_cache *cache;
	u32 tag;
	unsigned order;
};

static bool is_chosen(const struct inject_rule *r, const struct request *q)
{
	char site[96];

	if (q->cache == NULL)
		return q->order >= r->min_order;
	if (r->cache[0] != '\0' && !str_matches(r->cache, q->cache->name))
		return false;
	return r->site[0] == '\0' || str_matches(r->site, site_name(site, q->tag));
}

static bool fails_by_rule(struct point *p, const struct request *q)
{
	const struct inject_rule *r = &p->rule;

	if (!p->stats.armed)
		return false;
	p->stats.nr_asked++;
	if (!is_chosen(r, q) || ++p->nr_chosen <= r->after)
		return false;
	if ((p->nr_chosen - r->after) % r->interval != 0 || p->stats.nr_failed >= r->times ||
	    rng_below(&p->rng, 100) >= r->probability)
		return false;
	p->stats.nr_failed++;
	return true;
}

static bool is_nth(void)
{
	return nth.thread != NULL && !platform_in_interrupt() && platform_thread() == nth.thread &&
	       ++nth.nr_asked == nth.n;
}

static bool fails(enum inject_point point, gfp_t gfp, const struct request *q)
{
	u64 flags;
	bool failed;

	if (gfp & __GFP_NOFAIL)
		return false;
	flags = spin_lock_irq(&lock);
	failed = is_nth() || fails_by_rule(&points[point], q);
	spin_unlock_irq(&lock, flags);
	return failed;
}

bool inject_object(const struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	return fails(INJECT_OBJECTS, gfp, &(struct request){.cache = c, .tag = tag});
}

bool inject_pages(gfp_t gfp, unsigned order)
{
	return fails(INJECT_PAGES, gfp, &(struct request){.order = order});
}

/* --- on and off --- */

/* Brings the bypasses into line with what is armed. */
static int follow(void)
{
	bool on = nth.thread != NULL || points[INJECT_OBJECTS].stats.armed ||
	          points[INJECT_PAGES].stats.armed;

	if (on == inject_on)
		return 0;
	if (!cpu_pages_bypass(on))
		return -EAGAIN;
	slab_bypass(on);
	__atomic_store_n(&inject_on, on, __ATOMIC_RELAXED);
	return 0;
}

static void arm(struct point *p, const struct inject_rule *rule)
{
	u64 flags = spin_lock_irq(&lock);

	*p = (struct point){.stats.armed = rule != NULL};
	if (rule != NULL) {
		p->rule = *rule;
		rng_seed(&p->rng, rule->seed);
	}
	spin_unlock_irq(&lock, flags);
}

int inject_set(enum inject_point point, const struct inject_rule *rule)
{
	struct point former = points[point];
	int error;

	arm(&points[point], rule);
	error = follow();
	if (error != 0)
		points[point] = former;
	return error;
}

void inject_stats(enum inject_point point, struct inject_stats *out)
{
	u64 flags = spin_lock_irq(&lock);

	*out = points[point].stats;
	spin_unlock_irq(&lock, flags);
}

static void set_nth(const struct mm_thread *thread, u64 n)
{
	u64 flags = spin_lock_irq(&lock);

	nth.thread = thread;
	nth.n = n;
	nth.nr_asked = 0;
	spin_unlock_irq(&lock, flags);
}

int inject_nth_begin(u64 n)
{
	int error;

	set_nth(platform_thread(), n);
	error = follow();
	if (error != 0)
		set_nth(NULL, 0);
	return error;
}

bool inject_nth_end(void)
{
	bool was = nth.nr_asked >= nth.n;

	set_nth(NULL, 0);
	if (follow() != 0)
		panic("inject: ended where other CPUs cannot be told");
	return was;
}

/* --- text --- */

/* A key of a rule: a number in a range, or text. */
struct key {
	const char *name;
	size_t place, size; /* in struct inject_rule; size: of text, 0: a number */
	u64 min, max;
	unsigned points; /* bit i: a key of that point */
};

#define KEY_NUMBER(name_, field, min_, max_, points_)                              \
	{                                                                          \
		name_, offsetof(struct inject_rule, field), 0, min_, max_, points_ \
	}
#define KEY_TEXT(name_, field, points_)                                     \
	{                                                                   \
		name_, offsetof(struct inject_rule, field),                 \
		    sizeof(((struct inject_rule *)0)->field), 0, 0, points_ \
	}

static const struct key keys[] = {
    KEY_NUMBER("probability", probability, 1, 100, 3),
    KEY_NUMBER("interval", interval, 1, UINT64_MAX, 3),
    KEY_NUMBER("after", after, 0, UINT64_MAX, 3),
    KEY_NUMBER("times", times, 1, UINT64_MAX, 3),
    KEY_NUMBER("seed", seed, 0, UINT64_MAX, 3),
    KEY_TEXT("cache", cache, 1u << INJECT_OBJECTS),
    KEY_TEXT("site", site, 1u << INJECT_OBJECTS),
    KEY_NUMBER("order", min_order, 0, MAX_ORDER, 1u << INJECT_PAGES),
};

static const struct key *find_key(enum inject_point point, const char *word, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if ((keys[i].points >> point & 1) && strlen(keys[i].name) == length &&
		    strncmp(keys[i].name, word, length) == 0)
			return &keys[i];
	return NULL;
}

static int bad_word(char why[INJECT_WHY_MAX], const char *what, const char *word)
{
	format_buf(why, INJECT_WHY_MAX, "%s: %s", what, word);
	return -EINVAL;
}

static int set_key(const struct key *k, const char *word, const char *value,
                   struct inject_rule *out, char why[INJECT_WHY_MAX])
{
	u64 n;

	if (k->size != 0)
		return str_copy((char *)out + k->place, value, k->size) < k->size
		           ? 0
		           : bad_word(why, "the text is too long", word);
	if (str_to_u64(value, false, &n) != 0)
		return bad_word(why, "no number", word);
	if (n < k->min || n > k->max)
		return bad_word(why, k->max == 100 ? "it is 1 to 100 per cent" : "out of its range",
		                word);
	*(u64 *)((char *)out + k->place) = n;
	return 0;
}

static int read_word(enum inject_point point, const char *word, struct inject_rule *out,
                     char why[INJECT_WHY_MAX])
{
	const char *equals = strchr(word, '=');
	const struct key *k = equals ? find_key(point, word, (size_t)(equals - word)) : NULL;

	if (k == NULL)
		return bad_word(why,
		                point == INJECT_OBJECTS
		                    ? "not probability, interval, after, times, seed, cache or site"
		                    : "not probability, interval, after, times, seed or order",
		                word);
	return set_key(k, word, equals + 1, out, why);
}

int inject_parse(enum inject_point point, const char *text, struct inject_rule *out,
                 char why[INJECT_WHY_MAX])
{
	char word[80];
	int error = 0;

	*out =
	    (struct inject_rule){.probability = 100, .interval = 1, .times = UINT64_MAX, .seed = 1};
	while (*text != '\0' && error == 0) {
		const char *comma = strchr(text, ',');
		size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);

		if (length >= sizeof(word))
			return bad_word(why, "a word is too long", "80 characters and more");
		str_copy(word, text, length + 1);
		error = read_word(point, word, out, why);
		text += length + (comma != NULL);
	}
	return error;
}

void stats_print_inject(void)
{
	for (unsigned i = 0; i < NR_INJECT_POINTS; i++) {
		struct inject_stats s;

		inject_stats(i, &s);
		kprintf("%-16s %-5s %12lu asked %12lu failed\n", point_names[i],
		        s.armed ? "armed" : "off", s.nr_asked, s.nr_failed);
	}
}
