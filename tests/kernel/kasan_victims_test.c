/*
 * Functions that misuse their own stack, for the tests of the sanitizer and the corpus. In a file
 * without EXPECT_PANIC(): clang's red zones on the stack and __builtin_setjmp() do not go together
 * (Makefile).
 */
#include "tests/kernel/kasan_test.h"

__noinline void victim_array(long offset)
{
	u8 array[10] = {0}, *p = hide(array);

	write_byte(p + offset);
}

__noinline void victim_alloca(size_t n, long offset)
{
	u8 array[n], *p = hide(array);

	read_byte(p);
	read_byte(p + n - 1);
	write_byte(p + offset);
}

__noinline void victim_scope(void)
{
	u8 *p;

	{
		u8 array[10] = {0};

		p = hide(array);
	}
	write_byte(p);
}
