/*
 * The audit on the machine itself, with the map that it booted with.
 */
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <mm/audit.h>

#include "tests/test.h"

TEST(audit_kernel, every_page_of_the_memory_map_is_somewhere)
{
	static struct audit a;
	u64 sum = 0;

	ASSERT_EQ(audit_take(memory_map(), pagetable_nr_pages(), &a), 0);
	EXPECT_STREQ(a.fault, "");
	for (unsigned i = 0; i < NR_AUDIT_STATES; i++)
		sum += a.pages[i];
	EXPECT_EQ(sum, a.usable);
	EXPECT_EQ(a.usable << PAGE_SHIFT, memmap_bytes(memory_map(), MEM_USABLE));
	EXPECT_EQ(a.pages[AUDIT_OFFLINE], 0);
	EXPECT_EQ(a.tables, pagetable_nr_pages());
}
