/*
 * Backtraces by frame pointers: [rbp] is the caller's rbp, [rbp + 8] the return address.
 *
 * B1  A frame is read only when both its words lie in one kernel stack, which is mapped always.
 * B2  Frames ascend, except for the one step from an exception stack back to the stack it
 * interrupted; so the walk ends. A frame pointer of 0 is the outermost, as boot/start.asm leaves
 * it.
 *
 * It does not see functions without a frame (assembler, leaf functions of CONFIG=release).
 */
#include <kernel/backtrace.h>
#include <kernel/cpu.h>
#include <kernel/symbols.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <mm/platform.h>

#define MAX_DEPTH 64

size_t backtrace_collect(u64 rbp, u64 *out, size_t max)
{
	size_t n = 0;
	u64 last = 0;

	while (n < max && rbp > last && is_aligned(rbp, 8) && cpu_stack_contains(rbp, 16)) {
		const u64 *frame = (const u64 *)rbp;

		if (frame[1] == 0)
			break;
		out[n++] = frame[1];
		last = rbp;
		rbp = frame[0];
	}
	return n;
}

static void print_frame(unsigned i, u64 va, u64 shown)
{
	char name[96];

	kprintf("  #%-2u 0x%016llx %s\n", i, (unsigned long long)shown,
	        symbol_format(name, sizeof(name), va));
}

void backtrace_print(u64 rip, u64 rbp)
{
	u64 frames[MAX_DEPTH];
	size_t n = backtrace_collect(rbp, frames, MAX_DEPTH);
	unsigned shown = 0;

	kprintf("backtrace:\n");
	if (rip != 0)
		print_frame(shown++, rip, rip);
	/* A call that never returns may end its function: the call itself, one byte before, names
	 * it. */
	for (size_t i = 0, repeats; i < n; i += 1 + repeats) {
		print_frame(shown++, frames[i] - 1, frames[i]);
		repeats = 0;
		while (i + repeats + 1 < n && frames[i + repeats + 1] == frames[i])
			repeats++;
		if (repeats > 0)
			kprintf("  … %zu times more\n", repeats);
	}
	if (shown == 0)
		kprintf("  (no frame pointer in a kernel stack: 0x%016llx)\n",
		        (unsigned long long)rbp);
	else if (n == MAX_DEPTH)
		kprintf("  (cut after %u frames)\n", MAX_DEPTH);
}

/* --- For mm/platform.h --- */

size_t __noinline platform_backtrace(u64 *out, size_t max)
{
	return backtrace_collect((u64)__builtin_frame_address(0), out, max);
}

char *platform_symbol(char buf[96], u64 va)
{
	(void)symbol_format(buf, 96, va - 1); /* the call, as in backtrace_print() */
	return buf;
}

void __noinline backtrace_here(void)
{
	backtrace_print(0, (u64)__builtin_frame_address(0));
}
