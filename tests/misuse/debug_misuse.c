/*
 * Writes beside objects and into freed ones, and whose objects they were: what `slab_debug=` finds,
 * in caches that are created with it. Each is repaired after its line.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"
#include "tests/model/debugged.h"

#define SIZE 100u

static struct kmem_cache *c;

static char *object_with(const char *letters)
{
	debugged_begin(letters);
	c = kmem_cache_create("planted", SIZE, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(c);
	return must(kmem_cache_alloc(c, GFP_KERNEL));
}

static void destroy(char *p)
{
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(byte_behind, "one byte written behind an object", TIER_BOOT, "at the free (Z)",
       "the same with slab_debug=Z; KASAN at the access")
{
	char *p = object_with("Z");
	u8 was = plant(p + SIZE, 0x41);

	CAUGHT(kmem_cache_free(c, p),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41, not "
	       "0xcc, by ",
	       (void *)p);
	(void)plant(p + SIZE, was);
	destroy(p);
}

MISUSE(byte_before, "one byte written before an object", TIER_BOOT, "at the free (Z)",
       "the same with slab_debug=Z; KASAN at the access")
{
	char *p = object_with("Z");
	u8 was = plant(p - 1, 0x41);

	CAUGHT(
	    kmem_cache_free(c, p),
	    "BUG: left red zone overwritten in planted: object %p-1 (size 100) is 0x41, not 0xcc, "
	    "by ",
	    (void *)p);
	(void)plant(p - 1, was);
	destroy(p);
}

static void write_freed(char *p, u64 at)
{
	u8 was;

	kmem_cache_free(c, p);
	was = plant(p + at, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "BUG: write after free in planted: object %p+%lu (size 100) is 0x41, not 0x6b, by ",
	       (void *)p, at);
	(void)plant(p + at, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(first_byte_freed, "first byte of a freed object written", TIER_BOOT,
       "at the next allocation of it (P)", "the same with slab_debug=P; KASAN at the access")
{
	write_freed(object_with("P"), 0);
}

MISUSE(byte_50_freed, "50th byte of a freed object written", TIER_BOOT,
       "at the next allocation of it (P)", "the same with slab_debug=P; KASAN at the access")
{
	write_freed(object_with("P"), 49);
}

MISUSE(zone_of_freed, "red zone of a freed object written", TIER_BOOT,
       "at the next allocation of it (Z)", "the same with slab_debug=Z")
{
	char *p = object_with("Z");
	u8 was;

	kmem_cache_free(c, p);
	was = plant(p + SIZE, 0x41);
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41",
	       (void *)p);
	(void)plant(p + SIZE, was);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(neighbour_damaged, "a neighbour's red zone written", TIER_BOOT,
       "at the next allocation or free in that slab (F)", "the same with slab_debug=FZ")
{
	char *p = object_with("FZP"), *q = must(kmem_cache_alloc(c, GFP_KERNEL));
	u8 was = plant(q + SIZE, 0x41);

	CAUGHT(kmem_cache_free(c, p),
	       "BUG: right red zone overwritten in planted: object %p+100 (size 100) is 0x41",
	       (void *)q);
	(void)plant(q + SIZE, was);
	kmem_cache_free(c, q);
	destroy(p);
}

/* With all letters what is right stays silent, to the last byte. */
LEGAL(every_byte_of_a_debugged_object)
{
	char *p = object_with("FZPUQ");

	for (unsigned i = 0; i < 50; i++) {
		memset(p, 0xcc, SIZE);
		kmem_cache_free(c, p);
		p = must(kmem_cache_alloc(c, GFP_KERNEL));
	}
	memset(p, 0x6b, SIZE);
	destroy(p);
}
