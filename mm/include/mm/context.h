/*
 * Execution contexts: why the fast ways in and out of the allocators need neither a lock nor
 * interrupts off.
 *
 * Each CPU has two contexts, that of its threads and that of its interrupt handlers, and each
 * context has hot pages and hot objects of its own. A handler that lands in the middle of a
 * thread's allocation finds its own, whole; it never sees the half-done ones. Code in one context
 * runs one at a time: handlers do not nest (interrupts are off in them), and the scheduler must not
 * switch threads while the interrupted instruction lies in a fast path (mm_in_fast_path()). Slow
 * paths turn interrupts off; a thread's may then touch both contexts of its CPU, a handler's its
 * own alone, because it may have stopped a thread in the middle of a fast path.
 *
 * The platform keeps the current context's words where one instruction reads them (mm_this() of
 * <mm/platform.h>: %gs in the kernel, thread-local on the host) and calls mm_context_enter() around
 * every interrupt handler.
 *
 * Exceptions run in the context that they interrupt; those that may come anywhere (NMI, machine
 * check) must not allocate.
 */
#pragma once

#include <mm/platform.h>

/* How many CPUs may run: set before mm_init(), 1 if never. */
extern unsigned mm_nr_cpus;

enum mm_context_kind { CONTEXT_THREADS, CONTEXT_INTERRUPTS, NR_CONTEXT_KINDS };

/* A context's part of an array with one element a context has this size: a cache line. */
#define CONTEXT_STRIDE 64

/* What fast paths read with mm_this(). */
struct mm_context {
	u64 offset;              /* id * CONTEXT_STRIDE */
	struct cpu_pages *pages; /* its hot pages */
	u64 id;                  /* cpu * NR_CONTEXT_KINDS + kind */
};

/* All of a fast path's code: it calls nothing outside, but for its slow path as the last thing.
 * Never inlined: a copy elsewhere would be pre-empted in its middle, and another thread of the CPU
 * would find the stack half popped. krealloc_tag() is two of them with a memcpy() in between, which
 * is outside: nothing of the context is half done there, nor remembered across it. */
#define __mm_fast __attribute__((section("mm_fast_text"), noinline)) PLATFORM_FAST

/* Whether an instruction at this address may be in the middle of a fast path. */
bool mm_in_fast_path(u64 ip);

/* Makes one of this CPU's contexts the current one, and returns the former, for mm_context_leave().
 * Interrupts off, or before they come. Before mm_init() both do nothing. */
struct mm_context mm_context_enter(enum mm_context_kind kind);
void mm_context_leave(struct mm_context former);
