/*
 * A second reader of page tables, for tests: one address at a time, written from the processor
 * manual's tables (Intel SDM 3A, 4.5.4, tables 4-15 to 4-20) and sharing nothing with mm/pt.c.
 */
#pragma once

#include <lib/types.h>

struct walk_result {
	bool present, write, execute, user, global;
	u64 pa;
	unsigned bits; /* log2 of the page's size */
	unsigned pat;  /* which entry of the page attribute table */
};

struct walk_result walker_translate(u64 root_pa, u64 va);

/* How many page tables hang below the root, itself not counted; one that is reached twice counts
 * twice. */
u64 walker_count_tables(u64 root_pa);
