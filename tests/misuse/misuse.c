/*
 * The corpus' frame: which bugs are planted, and the lines that `make misuse` makes the table of:
 *
 *     # misuse: BUG | TIERS | WHEN | REPORT | LINUX
 *
 * REPORT is the first line's format, so it names what is printed and no address.
 */
#include "tests/misuse/misuse.h"

#include <lib/format.h>

static struct {
	const struct misuse *row;
	unsigned nr_lines; /* expected so far */
} now;

/* slab_debug= and kfence= are turned on by the bugs themselves. */
unsigned misuse_tiers(void)
{
	const unsigned everywhere =
	    TIER_RELEASE | TIER_BOOT | TIER_SAMPLED | TIER_ASKED | TIER_HARDENED;

#ifdef CONFIG_KASAN
	return everywhere | TIER_KASAN;
#else
	return everywhere;
#endif
}

static const char *tier_names(char buf[32], unsigned tiers)
{
	size_t n = 0;

	for (unsigned i = 0; i < 7; i++)
		if (tiers >> i & 1)
			n += format_buf(buf + n, 32 - n, "%s%u", n != 0 ? ", " : "", i + 1);
	return buf;
}

static void print_row(const struct misuse *row, const char *report)
{
	char tiers[32];

	test_note("misuse: %s | %s | %s | %s | %s", row->bug, tier_names(tiers, row->tiers),
	          row->when, report, row->linux_);
}

bool misuse_begin(const struct misuse *row)
{
	now.row = row;
	now.nr_lines = 0;
	if (row->tiers & misuse_tiers())
		return true;
	test_skip("no tier that catches it is turned on");
	return false;
}

void misuse_end(void)
{
	if ((now.row->tiers & misuse_tiers()) && now.nr_lines == 0)
		test_fail(__FILE__, __LINE__, "nothing was planted");
}

void misuse_row(const char *fmt)
{
	if (now.nr_lines++ == 0)
		print_row(now.row, fmt);
}

const char *misuse_expect(const char *fmt, ...)
{
	static char line[192];
	va_list args;

	misuse_row(fmt);
	va_start(args, fmt);
	vformat_buf(line, sizeof(line), fmt, args);
	va_end(args);
	return line;
}
