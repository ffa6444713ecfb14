/*
 * What report_address() says of an address, kept as text for a test to look into.
 */
#pragma once

#include <lib/string.h>
#include <mm/report.h>

#include <tests/test.h>

static struct {
	struct sink sink;
	size_t length;
	char text[8192];
} told;

static inline void told_keep(struct sink *self, const char *part, size_t len)
{
	(void)self;
	for (size_t i = 0; i < len && told.length + 1 < sizeof(told.text); i++)
		told.text[told.length++] = part[i];
	told.text[told.length] = '\0';
}

static inline void tell(const void *address)
{
	told.sink.write = told_keep;
	told.length = 0;
	report_address(&told.sink, address);
}

static inline bool is_told(const void *address, const char *part)
{
	tell(address);
	return strstr(told.text, part) != NULL;
}

/* Of the last that was told. */
#define EXPECT_TOLD(part)                                                        \
	({                                                                       \
		if (strstr(told.text, part) == NULL)                             \
			test_fail(__FILE__, __LINE__, "not told: \"%s\"", part); \
	})
