/*
 * Expectations on the X_check() functions: sound, or broken at exactly the named invariant.
 */
#pragma once

#include "tests/test.h"

#define EXPECT_SOUND(check)                                                               \
	({                                                                                \
		const char *broken_ = (check);                                            \
		if (broken_)                                                              \
			test_fail(__FILE__, __LINE__, "%s says \"%s\"", #check, broken_); \
	})
#define ASSERT_SOUND(check)                                                               \
	({                                                                                \
		const char *broken_ = (check);                                            \
		if (broken_) {                                                            \
			test_fail(__FILE__, __LINE__, "%s says \"%s\"", #check, broken_); \
			test_end();                                                       \
		}                                                                         \
	})
/* name: how the answer begins, such as "B1:". */
#define EXPECT_BROKEN(check, name)                                                               \
	({                                                                                       \
		const char *broken_ = (check);                                                   \
		if (broken_ == NULL || strncmp(broken_, name, strlen(name)) != 0)                \
			test_fail(__FILE__, __LINE__, "%s says \"%s\", expected \"%s\"", #check, \
			          broken_ ? broken_ : "(sound)", name);                          \
	})
