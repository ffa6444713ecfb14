/*
 * Wrong frees of objects and damage to the slab layer's own state: each is caught, and named in one
 * line.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

static struct kmem_cache *c;

static struct kmem_cache *must_create(unsigned flags)
{
	struct kmem_cache *cache = kmem_cache_create("test", 120, 0, flags, NULL);

	ASSERT_NOT_NULL(cache);
	return cache;
}

static char *must_alloc(struct kmem_cache *cache)
{
	char *object = kmem_cache_alloc(cache, GFP_KERNEL);

	ASSERT_NOT_NULL(object);
	return object;
}

#define EXPECT_BAD_FREE(object, fault) \
	EXPECT_PANIC("slab: " fault, kmem_cache_free(c, (void *)(object)))

TEST(slab_fault, double_free_while_in_a_magazine)
{
	char *object, *other;

	c = must_create(0);
	object = must_alloc(c);
	other = must_alloc(c);
	kmem_cache_free(c, object);
	EXPECT_BAD_FREE(object, "double free object=");
	kmem_cache_free(c, other);
	EXPECT_BAD_FREE(object, "double free object=");
	EXPECT_BAD_FREE(other, "double free object=");
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, double_free_after_it_went_home_to_its_slab)
{
	for (unsigned i = 0; i < 2; i++) {
		char *object, *pin;

		c = must_create(i == 0 ? 0 : SLAB_NO_MAGAZINE);
		object = must_alloc(c);
		pin = must_alloc(c); /* keeps the slab */
		kmem_cache_free(c, object);
		kmem_cache_shrink(c);
		EXPECT_BAD_FREE(object, "double free object=");
		kmem_cache_free(c, pin);
		EXPECT_SOUND(kmem_cache_check(c));
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

TEST(slab_fault, free_of_an_object_that_was_never_handed_out)
{
	char *object;

	c = must_create(SLAB_NO_MAGAZINE);
	object = must_alloc(c);
	EXPECT_BAD_FREE(object + c->stride, "double free object=");
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, not_the_start)
{
	char *object;

	c = must_create(0);
	object = must_alloc(c);
	for (unsigned offset = 1; offset < 120; offset++)
		EXPECT_BAD_FREE(object + offset, "not the start of an object");
	EXPECT_SOUND(kmem_cache_check(c));
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, behind_the_last_object_of_a_slab)
{
	struct slab *s;
	char *object, *tail;

	c = must_create(0);
	object = must_alloc(c);
	s = slab_of(object);
	tail = slab_object(c, s, c->nr_objects);
	ASSERT_TRUE(slab_of(tail) == s);
	EXPECT_BAD_FREE(tail, "not an object of its slab");
	EXPECT_BAD_FREE(tail + 8, "not an object of its slab");
	EXPECT_BAD_FREE(s->base + c->nr_pages * PAGE_SIZE - 1, "not an object of its slab");
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, wrong_cache)
{
	struct kmem_cache *other = must_create(0);
	char *object = must_alloc(other), *heap = kmalloc(120, GFP_KERNEL);

	c = must_create(0);
	ASSERT_NOT_NULL(heap);
	EXPECT_BAD_FREE(object, "wrong cache object=");
	EXPECT_BAD_FREE(heap, "wrong cache object=");
	EXPECT_BAD_FREE(c, "memory of the allocator itself");
	EXPECT_BAD_FREE(slab_of(object), "memory of the allocator itself");
	EXPECT_BAD_FREE(other->cpu, "memory of the allocator itself");
	kfree(heap);
	kmem_cache_free(other, object);
	EXPECT_EQ(kmem_cache_destroy(other), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, memory_of_others)
{
	char *large = kmalloc(20000, GFP_KERNEL);
	struct page *page = alloc_pages(GFP_KERNEL, 2);

	c = must_create(0);
	ASSERT_NOT_NULL(large);
	ASSERT_NOT_NULL(page);
	EXPECT_BAD_FREE(page_address(page), "memory of alloc_pages");
	EXPECT_BAD_FREE(page_address(page + 1), "memory of alloc_pages");
	free_pages(page, 2);
	EXPECT_BAD_FREE(page_address(page), "memory of a freed page");
	drain_cpu_pages();
	EXPECT_BAD_FREE((char *)page_address(page + 3) + 64, "memory of a freed page");
	EXPECT_BAD_FREE(large, "a large kmalloc");
	EXPECT_BAD_FREE(large + 8, "inside a large kmalloc");
	EXPECT_BAD_FREE(large + 4096, "inside a large kmalloc");
	kfree(large);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, no_heap_memory)
{
	static int in_data;
	int on_stack;

	c = must_create(0);
	kmem_cache_free(c, NULL);
	EXPECT_BAD_FREE(&on_stack, "not heap memory");
	EXPECT_BAD_FREE(&in_data, "not heap memory");
	EXPECT_BAD_FREE("text", "not heap memory");
	EXPECT_BAD_FREE(1, "not heap memory");
	EXPECT_BAD_FREE(0x1000, "not heap memory");
	EXPECT_BAD_FREE(0xdeadbeefdeadbeeful, "not heap memory"); /* not canonical */
	EXPECT_BAD_FREE(~0ul, "not heap memory");
	EXPECT_BAD_FREE(0x8000000000000000ul, "not heap memory");
	EXPECT_BAD_FREE(phys_to_virt(0), "not heap memory");
	EXPECT_BAD_FREE(phys_to_virt(0xb8000), "not heap memory");
	EXPECT_BAD_FREE(phys_to_virt(PLATFORM_MAX_PA - 8), "not heap memory");
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, an_object_of_a_slab_that_is_gone)
{
	char *object;

	c = must_create(0);
	object = must_alloc(c);
	kmem_cache_free(c, object);
	EXPECT_GT(kmem_cache_shrink(c), 0);
	EXPECT_BAD_FREE(object, "memory of a freed page");
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, bulk_free_stops_at_the_bad_one)
{
	void *objects[3];

	c = must_create(0);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 2, objects), 2);
	objects[2] = objects[0];
	EXPECT_PANIC("slab: double free", kmem_cache_free_bulk(c, 3, objects));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, a_destroyed_cache_is_not_used)
{
	c = must_create(0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_PANIC("slab: not a cache, or destroyed before", (void)kmem_cache_destroy(c));
	platform_unpoison(c, sizeof(*c));
	EXPECT_PANIC("slab: allocation from a destroyed cache",
	             (void)kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_PANIC("slab: not a cache, or destroyed before",
	             (void)kmem_cache_destroy((struct kmem_cache *)&c));
}

/* A second free that raced with the first, seen when the object is handed out again. */
TEST(slab_fault, an_object_in_two_magazines)
{
	char *object;
	struct slab_object_info info;
	u16 *tag;

	c = must_create(0);
	object = must_alloc(c);
	ASSERT_TRUE(slab_object_of(object, &info));
	tag = &slab_of(object)->tag[info.index];
	kmem_cache_free(c, object);
	*tag = (u16)info.tag;
	EXPECT_PANIC("slab: cached object is in use", (void)kmem_cache_alloc(c, GFP_KERNEL));
	*tag = TAG_IN_MAGAZINE;
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* With objects of 256 bytes the bits end with their word. */
static void expect_fewer_bits(size_t size)
{
	char *object;
	struct slab *s;
	u64 right[8], bytes;

	c = kmem_cache_create("test", size, 0, SLAB_NO_MAGAZINE, NULL);
	object = must_alloc(c);
	s = slab_of(object);
	bytes = bitmap_words(c->nr_objects) * sizeof(u64);
	ASSERT_LE(bytes, sizeof(right));
	memcpy(right, slab_bits(c, s), bytes);
	memset(slab_bits(c, s), 0, bytes);
	EXPECT_PANIC("slab: fewer free bits than free objects", (void)must_alloc(c));
	spin_unlock(&c->lock); /* the panic came under it */
	memcpy(slab_bits(c, s), right, bytes);
	EXPECT_SOUND(kmem_cache_check(c));
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_fault, fewer_free_bits_than_free_objects)
{
	expect_fewer_bits(120);
	expect_fewer_bits(256);
}

TEST(slab_fault, a_free_bit_of_a_used_object)
{
	char *object;
	struct slab *s;

	c = must_create(SLAB_NO_MAGAZINE);
	object = must_alloc(c);
	s = slab_of(object);
	s->tag[1] = TAG_FIRST_SITE;
	EXPECT_PANIC("slab: free bit of a used object", (void)kmem_cache_alloc(c, GFP_KERNEL));
	spin_unlock(&c->lock); /* the panic came under it */
	s->tag[1] = TAG_IN_SLAB;
	EXPECT_SOUND(kmem_cache_check(c));
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
