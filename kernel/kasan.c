/*
 * The address sanitizer's checks and poison (CONFIG=kasan; the method: Serebryany, Bruening,
 * Potapenko and Vyukov, "AddressSanitizer: a fast address sanity checker", USENIX 2012).
 *
 * The compiler calls a function before each access to memory (kasan_abi.c), which looks at the
 * shadow bytes of what is touched. mm/ says what may be touched (mm/platform.h): an object to the
 * exact byte that was asked for; of pages those that are allocated. Red zones between objects are a
 * larger stride (PLATFORM_RED_ZONE), those of stacks and globals the compiler's.
 *
 *   N1  a shadow byte is that of 8 bytes which are all somebody's, or nobody's from some byte on
 *   N2  who gives memory up poisons it before anybody else can get it, and who gets it allows it
 *       afterwards; so two CPUs never write one shadow byte at a time
 *
 * Cost: an access of up to 16 bytes, one or two loads and a call; a range, a word of shadow for
 * each 64 bytes. What it does not see: assembler code, DMA, an access that jumps over a red zone
 * into memory that is somebody's, and a use after free of memory that is somebody's again.
 */
#include "kasan_internal.h"

#include <kernel/cpu.h>
#include <kernel/sections.h>
#include <kernel/stack.h>
#include <lib/bits.h>
#include <lib/platform.h>
#include <mm/page.h>
#include <mm/platform.h>

bool kasan_is_on;

/* --- poison --- */

/* The fast ways of mm/ call these in their middle: who is interrupted here is in one
 * (mm_in_fast_path() looks at the address alone). */
#define __in_fast_path __attribute__((section("mm_fast_text"), noinline))

__in_fast_path void kasan_fill(u64 va, u64 length, u8 value)
{
	u8 *at = shadow_of(va);
	u64 n = div_round_up(length, KASAN_GRANULE), word = value * 0x0101010101010101ull;

	for (; n > 0 && !is_aligned((u64)at, 8); n--)
		*at++ = value;
	if (n >= 8) {
		u64 words = n / 8;

		__asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(word) : "memory");
		n %= 8;
	}
	for (; n > 0; n--)
		*at++ = value;
}

__in_fast_path void kasan_allow(u64 va, u64 length)
{
	if (!kasan_is_on || length == 0)
		return;
	kasan_fill(va, align_down(length, KASAN_GRANULE), 0);
	if (length % KASAN_GRANULE != 0)
		*shadow_of(va + length) = length % KASAN_GRANULE;
}

__in_fast_path void kasan_poison(const void *p, size_t n, enum poison_kind kind)
{
	if (kasan_is_on && n != 0)
		kasan_fill((u64)p, n, (u8)(SHADOW_POISON + kind));
}

__in_fast_path void kasan_unpoison(const void *p, size_t n)
{
	kasan_allow((u64)p, n);
}

__in_fast_path void kasan_pages_freed(const struct page *head, u64 nr_pages)
{
	kasan_poison(page_address(head), nr_pages << PAGE_SHIFT, POISON_FREED_PAGE);
}

__in_fast_path void kasan_pages_allocated(const struct page *head, u64 nr_pages)
{
	kasan_unpoison(page_address(head), nr_pages << PAGE_SHIFT);
}

/* --- vmalloc --- */

#define CHUNK (PAGE_SIZE * KASAN_GRANULE) /* what one page of shadow is for */
#define FREED_MAX (2 * MIB)               /* of an area; what is more faults alone */

/* One chunk, or the part of one. */
static void chunk_usable(u64 va, u64 bytes, u64 usable, enum poison_kind kind)
{
	u64 whole = align_down(usable, KASAN_GRANULE);

	if (!kasan_is_backed(va) && (usable == bytes || !kasan_back(va, bytes)))
		return;
	kasan_poison((const void *)(va + whole), bytes - whole, kind);
	kasan_allow(va, usable);
}

void kasan_area_usable(u64 va, u64 bytes, u64 usable)
{
	enum poison_kind kind = usable == 0 ? POISON_VFREED : POISON_VMALLOC;
	u64 end = va + (usable == 0 ? min_u64(bytes, FREED_MAX) : bytes);

	for (u64 at = va, stop; at < end; at = stop) {
		u64 left = va + usable > at ? va + usable - at : 0;

		stop = min_u64(align_down(at, CHUNK) + CHUNK, end);
		chunk_usable(at, stop - at, min_u64(left, stop - at), kind);
	}
}

/* --- stacks --- */

/* All of it: what lies below is nobody's, and the frames above lose their red zones for once. */
void kasan_forget_frames(u64 va)
{
	const struct cpu *self = cpu_self();
	u64 base;

	if (!kasan_is_on)
		return;
	base = stack_find(va);
	if (base != 0)
		return kasan_allow(base, CPU_STACK_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(self->stack); i++)
		if (va - self->stack[i].base < self->stack[i].size)
			kasan_allow(self->stack[i].base, self->stack[i].size);
}

/* --- checks --- */

/* The first granule at or after `at` with a shadow byte other than 0, or `end`. */
static const u8 *skip_zeros(const u8 *at, const u8 *end)
{
	for (; at < end && !is_aligned((u64)at, 8); at++)
		if (*at != 0)
			return at;
	for (; end - at >= 8 && *(const u64 *)at == 0; at += 8)
		;
	while (at < end && *at == 0)
		at++;
	return at;
}

u64 kasan_first_bad(u64 va, u64 length)
{
	const u8 *first = shadow_of(va), *last = shadow_of(va + length - 1);
	const u8 *at = skip_zeros(first, last + 1);
	u64 granule, from;

	if (at > last)
		return 0;
	granule = align_down(va, KASAN_GRANULE) + (u64)(at - first) * KASAN_GRANULE;
	from = *at < KASAN_GRANULE ? granule + *at : granule;
	if (from >= va + length)
		return 0;
	return from > va ? from : va;
}

/* What may not be touched, or runs round the end of the address space. */
static __noinline void look_closely(u64 va, u64 length, bool write, u64 ip)
{
	struct kasan_access access = {.va = va, .length = length, .ip = ip, .write = write};

	if ((s64)length < 0)
		access.bad = va;
	else if (has_shadow(va) && va + length - 1 >= va)
		access.bad = kasan_first_bad(va, length);
	if (access.bad != 0 && cpu_self()->panic_depth == 0)
		kasan_report(&access);
}

void kasan_check(u64 va, u64 length, bool write, u64 ip)
{
	if (kasan_is_on && length != 0)
		look_closely(va, length, write, ip);
}

void platform_check_access(const void *p, long n, bool write, const void *ip)
{
	kasan_check((u64)p, (u64)n, write, (u64)ip);
}

/* Sizes that the compiler knows: the common case in line. */
static __always_inline void check_small(u64 va, u64 length, bool write, u64 ip)
{
	u64 last = va + length - 1;
	signed char value;

	if (unlikely(!kasan_is_on || !has_shadow(va)))
		return;
	if (length == 16 && (*shadow_of(va) | *shadow_of(va + KASAN_GRANULE)) != 0)
		return look_closely(va, length, write, ip);
	if ((va ^ last) >= KASAN_GRANULE && *shadow_of(va) != 0)
		return look_closely(va, length, write, ip);
	value = (signed char)*shadow_of(last);
	if (unlikely(value != 0 && (signed char)(last % KASAN_GRANULE) >= value))
		look_closely(va, length, write, ip);
}

/* The names are the compiler's: gcc's and clang's alike. */
#define ACCESS(length)                                            \
	void __asan_load##length##_noabort(u64 va);               \
	void __asan_store##length##_noabort(u64 va);              \
	void __asan_load##length##_noabort(u64 va)                \
	{                                                         \
		check_small(va, length, false, RETURN_ADDRESS()); \
	}                                                         \
	void __asan_store##length##_noabort(u64 va)               \
	{                                                         \
		check_small(va, length, true, RETURN_ADDRESS());  \
	}

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __asan_loadN_noabort(u64 va, u64 length);
void __asan_storeN_noabort(u64 va, u64 length);

void __asan_loadN_noabort(u64 va, u64 length)
{
	kasan_check(va, length, false, RETURN_ADDRESS());
}

void __asan_storeN_noabort(u64 va, u64 length)
{
	kasan_check(va, length, true, RETURN_ADDRESS());
}
