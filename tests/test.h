/*
 * The test framework. A test is one block, found by the linker:
 *
 *     TEST(buddy, coalesces_with_its_xor_buddy) { ... EXPECT_EQ(a, b); ... }
 *
 * Every file tests/unit/<x>_test.c (host and kernel) and tests/kernel/<x>_test.c (kernel only) is
 * picked up without being named anywhere. EXPECT_ marks the test failed and goes on; ASSERT_ ends
 * the test, from any depth of calls.
 *
 * After each test four gates look at what it left behind, and fail it: the leak gate compares
 * pages and objects in use with those before it, the state gate runs every layer's X_check(), and
 * interrupts must be as they were, and no lock held (CONFIG=debug). Random tests take their
 * randomness from test_rng(), which is seeded from the run's seed and the test's name, so
 * `test=suite.name seed=N` repeats a test alone exactly as it went in the whole run.
 *
 * One run at a time, and one CPU of it: threads and other CPUs may work for a test, but only the
 * CPU that runs it may use the macros.
 */
#pragma once

#include <lib/rng.h>
#include <lib/string.h>
#include <lib/types.h>

struct test {
	const char *suite, *name, *file;
	void (*run)(void);
	int line;
};

/* gcc emits a file's variables last to first unless told; clang keeps their order. */
#if __has_attribute(no_reorder)
#define TEST_IN_ORDER_ __attribute__((no_reorder))
#else
#define TEST_IN_ORDER_
#endif

/* The section holds pointers: their size is their alignment, so no compiler or sanitizer pads
 * between them. */
#define TEST(suite_, name_)                                                                   \
	static void test_##suite_##_##name_(void);                                            \
	static const struct test test_record_##suite_##_##name_ = {                           \
	    #suite_, #name_, __FILE__, test_##suite_##_##name_, __LINE__};                    \
	static const struct test *const test_pointer_##suite_##_##name_ TEST_IN_ORDER_        \
	    __attribute__((section("strata_tests"), used)) = &test_record_##suite_##_##name_; \
	static void test_##suite_##_##name_(void)

/* The running test's generator. */
struct rng *test_rng(void);

/* A line of diagnosis in the report: "# text". */
void test_note(const char *fmt, ...) __printf(1, 2);

/* Marks the running test as skipped, with a plain reason; it still ends by returning. */
void test_skip(const char *reason);

/*
 * Runs all tests whose "suite.name" matches the pattern (NULL or "": all; `*`, `?`; a pattern
 * without a dot means all names of the suites that match it; several, separated by commas, of which
 * one that begins with ! takes what it matches out again: "slab*,!slab_check", "!*_model"), prints
 * KTAP, returns the number that failed; -ENOENT if none matched. test_list() prints the names
 * instead and returns how many there are.
 */
int test_run_all(const char *pattern, u64 seed);
int test_list(const char *pattern);

/* From here on no gate asks a memory manager: there is none. */
void test_without_machine(void);

/* The first test that matches, or the next one behind `after`; NULL: there is none. */
const struct test *test_next(const char *pattern, const struct test *after);

/* Of the current or last run: its seed, and its tests by result. */
u64 test_seed(void);
struct test_totals {
	unsigned planned, passed, failed, skipped;
};
void test_totals(struct test_totals *out);

/* The running test, or NULL: for whoever reports a panic. */
const struct test *test_current(void);

/*
 * What the gates ask, before and after each test. Both are optional: a program without a memory
 * manager leaves them undefined (they are weak references).
 */
struct test_usage {
	u64 pages, objects;
};
void test_usage_now(struct test_usage *out);
const char *test_state_check(void);                     /* NULL, or the broken invariant */
const char *test_not_applicable(const char *full_name); /* why this machine has no use for it */
u64 test_pages_kept(void); /* of the pages in use: what the machine never gives back */

/* --- below: what the macros are made of --- */

void test_fail(const char *file, int line, const char *fmt, ...) __printf(3, 4);
_Noreturn void test_end(void); /* ends the running test from any depth */

/* Compares two integers of any type by their mathematical values (-1 < 0u); op is the operator. */
bool test_compare(s64 a, bool a_signed, s64 b, bool b_signed, const char *op, const char *a_text,
                  const char *b_text, const char *file, int line);
bool test_compare_str(const char *a, const char *b, const char *a_text, const char *b_text,
                      const char *file, int line);

/* Integers and pointers alike become 64 bits and whether they were signed. */
/* clang-format off */
#define TEST_IS_SIGNED_(x)                                                                         \
	_Generic((x), signed char: true, short: true, int: true, long: true, long long: true,      \
		 char: (char)-1 < 0, default: false)
/* clang-format on */

#define TEST_CMP_(a, b, op, a_text, b_text)                                                  \
	({                                                                                   \
		__auto_type a_ = (a);                                                        \
		__auto_type b_ = (b);                                                        \
		test_compare((s64)a_, TEST_IS_SIGNED_(a_), (s64)b_, TEST_IS_SIGNED_(b_), op, \
		             a_text, b_text, __FILE__, __LINE__);                            \
	})

#define TEST_TRUE_(cond, want, text)                                                              \
	({                                                                                        \
		bool ok_ = (bool)(cond) == (want);                                                \
		if (!ok_)                                                                         \
			test_fail(__FILE__, __LINE__, "EXPECT_%s(%s)", (want) ? "TRUE" : "FALSE", \
			          text);                                                          \
		ok_;                                                                              \
	})
#define TEST_NULL_(p, want, text)                                          \
	({                                                                 \
		const void *p_ = (const void *)(p);                        \
		bool ok_ = (p_ == NULL) == (want);                         \
		if (!ok_)                                                  \
			test_fail(__FILE__, __LINE__, "EXPECT_%s(%s): %p", \
			          (want) ? "NULL" : "NOT_NULL", text, p_); \
		ok_;                                                       \
	})
#define TEST_STR_(a, b, a_text, b_text) test_compare_str(a, b, a_text, b_text, __FILE__, __LINE__)
#define TEST_MUST_(ok) ((ok) ? (void)0 : test_end())

#define EXPECT_TRUE(x) ((void)TEST_TRUE_(x, true, #x))
#define EXPECT_FALSE(x) ((void)TEST_TRUE_(x, false, #x))
#define EXPECT_EQ(a, b) ((void)TEST_CMP_(a, b, "==", #a, #b))
#define EXPECT_NE(a, b) ((void)TEST_CMP_(a, b, "!=", #a, #b))
#define EXPECT_LT(a, b) ((void)TEST_CMP_(a, b, "<", #a, #b))
#define EXPECT_LE(a, b) ((void)TEST_CMP_(a, b, "<=", #a, #b))
#define EXPECT_GT(a, b) ((void)TEST_CMP_(a, b, ">", #a, #b))
#define EXPECT_GE(a, b) ((void)TEST_CMP_(a, b, ">=", #a, #b))
#define EXPECT_NULL(p) ((void)TEST_NULL_(p, true, #p))
#define EXPECT_NOT_NULL(p) ((void)TEST_NULL_(p, false, #p))
#define EXPECT_STREQ(a, b) ((void)TEST_STR_(a, b, #a, #b))

#define ASSERT_TRUE(x) TEST_MUST_(TEST_TRUE_(x, true, #x))
#define ASSERT_FALSE(x) TEST_MUST_(TEST_TRUE_(x, false, #x))
#define ASSERT_EQ(a, b) TEST_MUST_(TEST_CMP_(a, b, "==", #a, #b))
#define ASSERT_NE(a, b) TEST_MUST_(TEST_CMP_(a, b, "!=", #a, #b))
#define ASSERT_LT(a, b) TEST_MUST_(TEST_CMP_(a, b, "<", #a, #b))
#define ASSERT_LE(a, b) TEST_MUST_(TEST_CMP_(a, b, "<=", #a, #b))
#define ASSERT_GT(a, b) TEST_MUST_(TEST_CMP_(a, b, ">", #a, #b))
#define ASSERT_GE(a, b) TEST_MUST_(TEST_CMP_(a, b, ">=", #a, #b))
#define ASSERT_NULL(p) TEST_MUST_(TEST_NULL_(p, true, #p))
#define ASSERT_NOT_NULL(p) TEST_MUST_(TEST_NULL_(p, false, #p))
#define ASSERT_STREQ(a, b) TEST_MUST_(TEST_STR_(a, b, #a, #b))

/*
 * The statement must panic with a line that contains `text`. State that the statement changed
 * before the panic stays changed (a local variable only if it is volatile: C11 7.13.2.1); locks
 * that it held stay held, so the checks under test come before any lock. Interrupts are put back as
 * they were. Only in the thread that runs the test: in any other a panic is a real one. Not nested;
 * no `return`, `break` or `goto` out of the statement.
 */
struct test_trap {
	void *jump[5]; /* __builtin_setjmp's: neither the kernel nor all hosts have the library's */
};
void test_trap_arm(struct test_trap *trap);
void test_trap_disarm(void);
bool test_trap_caught(const char *text, const char *file, int line);

/* Whether a panic of this thread, now, would be the expected one. */
bool test_expects_panic(void);

#define EXPECT_PANIC(text, ...)                                                              \
	({                                                                                   \
		struct test_trap trap_;                                                      \
		if (__builtin_setjmp(trap_.jump) == 0) {                                     \
			test_trap_arm(&trap_);                                               \
			__VA_ARGS__;                                                         \
			test_trap_disarm();                                                  \
			test_fail(__FILE__, __LINE__, "EXPECT_PANIC \"%s\": there was none", \
			          text);                                                     \
		} else {                                                                     \
			(void)test_trap_caught(text, __FILE__, __LINE__);                    \
		}                                                                            \
	})
