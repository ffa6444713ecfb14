/*
 * The symbol table: function names by address.
 *
 * tools/symbols.py makes it from a first link; linker.ld puts it at the end of the constants, so
 * that the second link moves no function. Sorted by offset from KERNEL_BASE; names follow the
 * entries, each with a NUL.
 *
 * S1  Offsets ascend strictly and lie before text_end.
 * S2  Name places ascend strictly: every name is its own and not empty.
 *
 * Cost: O(log n) by address, O(n) by name. It does not know data, nor sizes: what follows a
 * function's last byte belongs to it until the next one.
 */
#include <kernel/layout.h>
#include <kernel/symbols.h>
#include <lib/format.h>
#include <lib/string.h>

struct symbol {
	u32 offset, name;
};

extern const struct symbol_table {
	u32 count, text_end;
	struct symbol symbol[];
} symbol_table;

size_t symbol_count(void)
{
	return symbol_table.count;
}

static const char *name_of(const struct symbol *s)
{
	return (const char *)&symbol_table.symbol[symbol_table.count] + s->name;
}

const char *symbols_check(void)
{
	const struct symbol_table *t = &symbol_table;

	for (u32 i = 0; i < t->count; i++) {
		if (t->symbol[i].offset >= t->text_end)
			return "S1: a symbol lies behind the text";
		if (i > 0 && t->symbol[i].offset <= t->symbol[i - 1].offset)
			return "S1: the symbols are not sorted";
		if (i > 0 && t->symbol[i].name <= t->symbol[i - 1].name + 1)
			return "S2: a symbol has no name";
	}
	return NULL;
}

const char *symbol_find(u64 va, u64 *offset)
{
	const struct symbol_table *t = &symbol_table;
	u64 wanted = va - KERNEL_BASE;
	u32 low = 0, high = t->count;

	if (t->count == 0 || wanted < t->symbol[0].offset || wanted >= t->text_end)
		return NULL;
	while (high - low > 1) { /* symbol[low].offset <= wanted < symbol[high].offset */
		u32 middle = low + (high - low) / 2;

		if (t->symbol[middle].offset <= wanted)
			low = middle;
		else
			high = middle;
	}
	if (offset)
		*offset = wanted - t->symbol[low].offset;
	return name_of(&t->symbol[low]);
}

u64 symbol_address(const char *name)
{
	for (u32 i = 0; i < symbol_table.count; i++)
		if (strcmp(name_of(&symbol_table.symbol[i]), name) == 0)
			return KERNEL_BASE + symbol_table.symbol[i].offset;
	return 0;
}

const char *symbol_format(char *buf, size_t size, u64 va)
{
	u64 offset;
	const char *name = symbol_find(va, &offset);

	if (name)
		format_buf(buf, size, "%s+0x%llx", name, (unsigned long long)offset);
	else
		format_buf(buf, size, "0x%016llx", (unsigned long long)va);
	return buf;
}
