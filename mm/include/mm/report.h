/*
 * What is said of corrupted memory: one fixed first line, and after it the object's story.
 *
 * The first line is the panic's, for people and scripts to search for:
 *
 *     BUG: <kind> in <cache>: object <address>+<offset> (size <n>) is 0x<byte>, not 0x<byte>, by
 *     <call site>
 *
 * offset: of the first wrong byte, from the object's start; negative before it. size: what was
 * asked for. call site: who allocated the object, or did so last. The kinds of wrong calls (a
 * double free, …), which release builds catch too, begin with the called function instead: "kfree:
 * double free object=…". Below both the machine prints the story: whose object, in which state,
 * stacks where they are kept, the bytes around, and what would tell more.
 */
#pragma once

#include <lib/format.h>
#include <lib/types.h>

/* The kinds of damage, as they stand in the first line. */
#define REPORT_KINDS(X)                                         \
	X(RIGHT_RED_ZONE, "right red zone overwritten") /* Z */ \
	X(LEFT_RED_ZONE, "left red zone overwritten")   /* Z */ \
	X(WRITE_AFTER_FREE, "write after free")         /* P */ \
	X(INCONSISTENT_SLAB, "inconsistent slab")       /* F */

/* The kinds of wrong calls, as they stand behind the function's name: always on. */
#define REPORT_CALLS(X)                                           \
	X(DOUBLE_FREE, "double free")                             \
	X(NOT_THE_START, "not the start of an object")            \
	X(WRONG_CACHE, "wrong cache")                             \
	X(MANAGERS_OWN, "memory of the allocator itself")         \
	X(NOT_HEAP, "not heap memory")                            \
	X(FREED_PAGE, "memory of a freed page")                   \
	X(PAGES_MEMORY, "memory of alloc_pages")                  \
	X(INSIDE_LARGE, "inside a large kmalloc")                 \
	X(LARGE_KMALLOC, "a large kmalloc")                       \
	X(NO_OBJECT, "not an object of its slab")                 \
	X(FREED_OBJECT, "freed object")                           \
	X(NOT_A_CACHE, "not a cache, or destroyed before")        \
	X(DESTROYED_CACHE, "allocation from a destroyed cache")   \
	X(BESIDE_GUARDED, "beside an object between guard pages") \
	X(VMALLOC_ADDRESS, "a vmalloc address, for vfree()")      \
	X(WRONG_ORDER, "wrong order")                             \
	X(NOT_A_HEAD, "not the head of a block")                  \
	X(NOT_RAM, "not RAM")                                     \
	X(NOT_A_PAGE, "not a struct page")

enum report_kind {
#define REPORT_ENUM_(name, text) REPORT_##name,
	REPORT_KINDS(REPORT_ENUM_) REPORT_CALLS(REPORT_ENUM_)
#undef REPORT_ENUM_
	    NR_REPORT_KINDS
};

/* "right red zone overwritten" … */
const char *report_kind_text(enum report_kind kind);

/* Damage that a check has found. */
struct damage {
	bool found;
	enum report_kind kind;
	const char *where; /* the cache's name */
	const void *object;
	const void *at;  /* the first wrong byte */
	u64 size;        /* of the object, as asked for */
	u8 is, should;   /* that byte */
	u32 tag;         /* who allocated the object (mm/site.h), 0: nobody knows */
	const char *why; /* where there is no wrong byte: the broken invariant */
};

/* The end: panics with the first line. No lock held, so that tests can expect it. */
_Noreturn void report_damage(const struct damage *d);

/* The story of any address, at most a screen. Reads without locks: for a machine that stands still,
 * or is not changing this object. */
void report_address(struct sink *out, const void *address);

/* The same for panic_about() (lib/assert.h), to the console. subject: an address. */
void report_story(const void *subject);
