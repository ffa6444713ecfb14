/*
 * Where a search for leaks begins: the image's data, and the stacks in use.
 *
 * The running thread's stack is read from its present depth on, with the registers that its callers
 * may still need put there first; those of threads that wait, and of CPUs that are held, as a
 * whole: what they no longer use may hide a leak, but never makes one. Free stacks are passed by.
 */
#include <kernel/cpu.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <kernel/stack.h>
#include <mm/leak.h>
#include <mm/mm.h>

struct stacks {
	struct leak_scan *scan;
	u64 rsp; /* of the running thread */
};

/* Page by page: guard pages lie between the image's stacks. What the running thread has not got to
 * yet is left out. */
static void add(const struct stacks *s, u64 start, u64 end, u64 stack)
{
	for (u64 page = start, pa; page < end; page += PAGE_SIZE) {
		u64 from = page;

		if (page >= stack && page < s->rsp && s->rsp - stack < CPU_STACK_SIZE)
			from = min_u64(s->rsp, page + PAGE_SIZE);
		if (paging_translate(page, &pa, NULL))
			leak_add_root(s->scan, (void *)from, (void *)(page + PAGE_SIZE));
	}
}

static void add_stack(void *context, u64 base, u64 pa, bool in_use)
{
	const struct stacks *s = context;

	leak_pass_by(s->scan, pfn_to_page((u32)(pa >> PAGE_SHIFT)));
	if (in_use)
		add(s, base, base + CPU_STACK_SIZE, base);
}

/* CPU 0's first stack is part of the data. */
__noinline void platform_roots(struct leak_scan *scan)
{
	u64 first_stack = cpu_of(0)->stack[0].base;
	struct stacks s = {.scan = scan};

	__builtin_unwind_init(); /* the registers go to the stack, above this frame's locals */
	s.rsp = align_down((u64)&s, sizeof(u64));
	add(&s, (u64)data_start, (u64)init_start, first_stack);
	add(&s, (u64)init_end, (u64)kernel_end, first_stack);
	stack_visit(add_stack, &s);
}
