/*
 * The table of execution contexts, and which one is current: see <mm/context.h>.
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>

/* The linker's names for the ends of a section. */
extern const char __start_mm_fast_text[], __stop_mm_fast_text[];

static struct mm_context *context_table __ro_after_init; /* mm_nr_contexts() entries */

unsigned mm_nr_contexts(void)
{
	return mm_nr_cpus * NR_CONTEXT_KINDS;
}

struct mm_context *mm_context_of(unsigned id)
{
	assert(id < mm_nr_contexts());
	return &context_table[id];
}

bool mm_in_fast_path(u64 ip)
{
	return ip >= (u64)__start_mm_fast_text && ip < (u64)__stop_mm_fast_text;
}

struct mm_context mm_context_enter(enum mm_context_kind kind)
{
	struct mm_context former = mm_context_read();

	if (context_table != NULL)
		mm_context_write(*mm_context_of(cpu_id() * NR_CONTEXT_KINDS + kind));
	return former;
}

void mm_context_leave(struct mm_context former)
{
	mm_context_write(former);
}

void mm_context_init(struct bootmem *boot)
{
	u64 length = sizeof(struct mm_context) * mm_nr_contexts();

	context_table = phys_to_virt(bootmem_alloc(boot, length, PAGE_SIZE, MEM_BOOTMEM));
	memset(context_table, 0, length);
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		context_table[id].id = id;
		context_table[id].offset = id * CONTEXT_STRIDE;
	}
}
