/*
 * See exchange.h. A slot belongs to one kind, so whoever takes a block knows how to free it; its
 * size stands in the block itself, which is part of what is verified.
 *
 * The slots change hands by one atomic exchange, so a handler may come between any two instructions
 * of the step that it interrupts. Nothing else is shared but the two counters.
 */
#include "exchange.h"

#include <mm/mm.h>
#include <tests/test.h>

#define NR_SLOTS 256u
#define MANY 24u
#define OBJECT_SIZE 96u

static struct {
	u64 *slot[NR_EXCHANGE_KINDS][NR_SLOTS]; /* A */
	struct kmem_cache *cache;
	unsigned kinds;
	u64 nr_moved, nr_wrong; /* A */
} exchange;

/* --- signatures --- */

/* The first words, the last, and one in each few cache lines between. */
static bool has_pattern(u64 word, u64 nr_words)
{
	return word < 8 || word % 61 == 0 || word == nr_words - 1;
}

u64 *block_sign(void *memory, size_t bytes, u64 mark)
{
	u64 *word = memory, n = bytes / sizeof(u64);

	if (word == NULL)
		return NULL;
	word[0] = bytes;
	word[1] = mark;
	for (u64 i = 2; i < n; i++)
		if (has_pattern(i, n))
			word[i] = mark ^ i;
	return word;
}

bool block_is_signed(const u64 *word, size_t bytes)
{
	u64 n = bytes / sizeof(u64), wrong = word[0] != bytes;

	for (u64 i = 2; i < n; i++)
		wrong += has_pattern(i, n) && word[i] != (word[1] ^ i);
	return wrong == 0;
}

/* --- the kinds: alloc_ fills blocks and returns how many --- */

static unsigned alloc_sizes(struct rng *rng, gfp_t gfp, void *block[], size_t *bytes)
{
	unsigned scale = (unsigned)rng_below(rng, 11); /* the last few reach above the classes */

	*bytes = 16 + rng_below(rng, 16ul << scale);
	block[0] = kmalloc(*bytes, gfp);
	return block[0] != NULL;
}

static unsigned alloc_objects(struct rng *rng, gfp_t gfp, void *block[], size_t *bytes)
{
	*bytes = OBJECT_SIZE;
	if (rng_below(rng, 8) == 0)
		return (unsigned)kmem_cache_alloc_bulk(exchange.cache, gfp, MANY, block);
	block[0] = kmem_cache_alloc(exchange.cache, gfp);
	return block[0] != NULL;
}

static unsigned alloc_blocks(struct rng *rng, gfp_t gfp, void *block[], size_t *bytes)
{
	unsigned order = (unsigned)rng_below(rng, 8);
	struct page *page = alloc_pages(gfp, order);

	*bytes = PAGE_SIZE << order;
	block[0] = page ? page_address(page) : NULL;
	return block[0] != NULL;
}

static unsigned alloc_single_pages(struct rng *rng, gfp_t gfp, void *block[], size_t *bytes)
{
	struct page *pages[MANY];
	unsigned n = (unsigned)alloc_pages_bulk(gfp, rng_below(rng, 8) ? 1 : MANY, pages);

	*bytes = PAGE_SIZE;
	for (unsigned i = 0; i < n; i++)
		block[i] = page_address(pages[i]);
	return n;
}

static unsigned alloc_exact(struct rng *rng, gfp_t gfp, void *block[], size_t *bytes)
{
	*bytes = 16 + rng_below(rng, 9 * PAGE_SIZE);
	block[0] = alloc_pages_exact(*bytes, gfp);
	return block[0] != NULL;
}

static void free_block(enum exchange_kind kind, u64 *block)
{
	u64 bytes = block[0];

	switch (kind) {
	case EXCHANGE_SIZES:
		kfree(block);
		break;
	case EXCHANGE_OBJECTS:
		kmem_cache_free(exchange.cache, block);
		break;
	case EXCHANGE_EXACT:
		free_pages_exact(block, bytes);
		break;
	default:
		free_pages(virt_to_page(block), log2_ceil(bytes >> PAGE_SHIFT));
	}
}

static unsigned (*const alloc_kind[])(struct rng *, gfp_t, void *[], size_t *) = {
    [EXCHANGE_SIZES] = alloc_sizes,   [EXCHANGE_OBJECTS] = alloc_objects,
    [EXCHANGE_BLOCKS] = alloc_blocks, [EXCHANGE_PAGES] = alloc_single_pages,
    [EXCHANGE_EXACT] = alloc_exact,
};

static_assert(ARRAY_SIZE(alloc_kind) == NR_EXCHANGE_KINDS, "each kind has its own way");

/* --- the exchange --- */

static void count(u64 *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void put(enum exchange_kind kind, u64 slot, u64 *block)
{
	u64 *found = __atomic_exchange_n(&exchange.slot[kind][slot], block, __ATOMIC_ACQ_REL);

	if (found == NULL)
		return;
	/* A wrong one is counted and left alone: freeing by its header would hide the fault. */
	if (!block_is_signed(found, found[0])) {
		count(&exchange.nr_wrong);
		return;
	}
	free_block(kind, found);
	count(&exchange.nr_moved);
}

static enum exchange_kind any_kind(struct rng *rng)
{
	for (;;) {
		unsigned kind = (unsigned)rng_below(rng, NR_EXCHANGE_KINDS);

		if (exchange.kinds >> kind & 1)
			return kind;
	}
}

void exchange_step(struct rng *rng, gfp_t gfp)
{
	enum exchange_kind kind = any_kind(rng);
	void *block[MANY] = {NULL};
	unsigned n = 1;
	size_t bytes = 0;

	/* A little more often than it takes, so that most slots are full. */
	if (rng_below(rng, 8) < 5)
		n = alloc_kind[kind](rng, gfp, block, &bytes);
	for (unsigned i = 0; i < n; i++)
		put(kind, rng_below(rng, NR_SLOTS), block_sign(block[i], bytes, rng_next(rng)));
}

bool exchange_begin(unsigned kinds)
{
	memset(&exchange, 0, sizeof(exchange));
	exchange.kinds = kinds != 0 ? kinds : (1u << NR_EXCHANGE_KINDS) - 1;
	exchange.cache = kmem_cache_create("exchange", OBJECT_SIZE, 0, 0, NULL);
	return exchange.cache != NULL;
}

const char *exchange_end(void)
{
	for (unsigned kind = 0; kind < NR_EXCHANGE_KINDS; kind++)
		for (u64 slot = 0; slot < NR_SLOTS; slot++)
			put(kind, slot, NULL);
	if (exchange.nr_wrong != 0) {
		test_note("%lu blocks were not as their owners left them", exchange.nr_wrong);
		return "a block was written to by two";
	}
	if (kmem_cache_destroy(exchange.cache) != 0)
		return "objects are live that nobody holds";
	return NULL;
}

u64 exchange_moved(void)
{
	return __atomic_load_n(&exchange.nr_moved, __ATOMIC_RELAXED);
}
