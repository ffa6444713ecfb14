/*
 * The symbol table that the build embeds names this very kernel.
 */
#include <kernel/sections.h>
#include <kernel/symbols.h>
#include <tests/test.h>

void symbols_test_landmark(void);

__noinline void symbols_test_landmark(void)
{
	__asm__ volatile("nop; nop; nop");
}

TEST(symbols, table_is_whole)
{
	EXPECT_NULL(symbols_check());
	EXPECT_GT(symbol_count(), 100);
}

TEST(symbols, finds_a_function_by_any_of_its_addresses)
{
	u64 va = (u64)symbols_test_landmark, offset = 99;

	EXPECT_STREQ(symbol_find(va, &offset), "symbols_test_landmark");
	EXPECT_EQ(offset, 0);
	EXPECT_STREQ(symbol_find(va + 2, &offset), "symbols_test_landmark");
	EXPECT_EQ(offset, 2);
	EXPECT_TRUE(strcmp(symbol_find(va - 1, NULL), "symbols_test_landmark") != 0);
}

TEST(symbols, finds_an_address_by_name)
{
	EXPECT_EQ(symbol_address("symbols_test_landmark"), (u64)symbols_test_landmark);
	EXPECT_EQ(symbol_address("no_such_function"), 0);
	EXPECT_EQ(symbol_address(""), 0);
}

TEST(symbols, knows_nothing_outside_the_text)
{
	EXPECT_NULL(symbol_find(0, NULL));
	EXPECT_NULL(symbol_find(~0ull, NULL));
	EXPECT_NULL(symbol_find((u64)text_start - 1, NULL));
	EXPECT_NULL(symbol_find((u64)text_end, NULL));
	EXPECT_NULL(symbol_find((u64)rodata_start, NULL));
}

TEST(symbols, formats_known_and_unknown_addresses)
{
	char text[96];

	EXPECT_STREQ(symbol_format(text, sizeof(text), (u64)symbols_test_landmark + 1),
	             "symbols_test_landmark+0x1");
	EXPECT_STREQ(symbol_format(text, sizeof(text), 0x1234), "0x0000000000001234");
}
