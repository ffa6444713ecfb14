/*
 * What the fast ways in and out of the caches are made of: slab_cpu.c and kmalloc.c share it.
 *
 * All of it becomes part of functions that are marked __mm_fast: it calls nothing, so that no stack
 * frame is needed and an interrupted instruction pointer tells whether a thread is in the middle of
 * it (mm/context.h). Whatever is unusual goes to a slow path, which looks at everything again.
 */
#pragma once

#include "slab_internal.h"

/* The current context's part of a cache's array. */
static __always_inline struct cpu_objects *cpu_objects_here(struct cpu_objects *of_cache)
{
	return (struct cpu_objects *)((char *)of_cache + mm_this(offset));
}

/* The tag of the slot that starts `offset` bytes behind the slab's base; NULL: none does. */
static __always_inline u16 *tag_at(struct slab *s, u64 reciprocal, u64 offset)
{
	unsigned __int128 product = (unsigned __int128)offset * reciprocal;
	u16 *tag;

	if (unlikely((u64)product >= reciprocal))
		return NULL;
	tag = &s->tag[(u64)(product >> 64)];
	__asm__("" : "+r"(tag)); /* computed once, however often it is used */
	if (tag == NULL)
		__builtin_unreachable();
	return tag;
}

/* The slab and the tag of the slot that starts at the address; false: none does. Any address. */
static __always_inline bool find_slot(const void *address, struct slab **slab, u16 **tag)
{
	const struct page *page = page_hint(address);

	if (unlikely(page == NULL || page->type != PAGE_SLAB))
		return false;
	*slab = page->slab;
	*tag = tag_at(*slab, (*slab)->reciprocal, (u64)address - (*slab)->base);
	return likely(*tag != NULL);
}

/* Takes the hottest object. False: there is none, or it is not free. */
static __always_inline bool pop(struct cpu_objects *o, u32 tag, void **object)
{
	struct magazine_slot slot = *o->top;

	if (unlikely(*slot.tag != TAG_IN_MAGAZINE))
		return false;
	*slot.tag = (u16)tag;
	o->top--;
	*object = slot.object;
	return true;
}

/* Puts a live object on top. False: no room. */
static __always_inline bool push(struct cpu_objects *o, void *object, u16 *tag)
{
	struct magazine_slot *top = o->top;

	if (unlikely(top == o->limit))
		return false;
	*tag = TAG_IN_MAGAZINE;
	top[1] = (struct magazine_slot){object, tag};
	o->top++;
	return true;
}

/* The common free, when the address is a live object's, of this cache or of any. All of it, or
 * nothing and false. */
static __always_inline bool free_fast(const struct kmem_cache *c, bool any_cache, void *object)
{
	struct slab *s;
	u16 *tag;

	if (unlikely(!find_slot(object, &s, &tag) || (!any_cache && s->cache != c)))
		return false;
	if (unlikely(*tag < TAG_FIRST_SITE))
		return false;
	if (PLATFORM_POISONS) { /* before another thread can take it, unless it may be refused */
		if (cpu_objects_here(s->cpu)->top == cpu_objects_here(s->cpu)->limit)
			return false;
		platform_poison(object, s->cache->size);
	}
	if (unlikely(*tag < TAG_FIRST_SITE || !push(cpu_objects_here(s->cpu), object, tag)))
		return false;
	if (!PLATFORM_POISONS)
		platform_poison(object, s->cache->size);
	return true;
}
