/*
 * The kernel's command line: words `name` or `name=value`, separated by blanks; quotes ("…" or '…')
 * keep blanks in a value. The table of options, with defaults and help texts, is in
 * kernel/cmdline.c and nowhere else.
 */
#pragma once

#include <boot/boot_info.h>
#include <lib/types.h>
#include <mm/inject.h>

#define OPTION_TEXT_MAX 128

struct options {
	bool test, bench, monitor, demo, quiet, safe;
	bool slab_random, kmalloc_data, kmalloc_guard; /* mm/harden.h */
	u64 kmalloc_copies;                            /* 0: not given */
	char test_pattern[OPTION_TEXT_MAX];            /* "" is all tests */
	char bench_pattern[OPTION_TEXT_MAX];           /* "" is all benchmarks */
	char replay[OPTION_TEXT_MAX];                  /* the engine; "" is no replay */
	bool has_slab_debug;
	char slab_debug[OPTION_TEXT_MAX];             /* mm/debug.h */
	u64 init_on_alloc, init_on_free;              /* 0 or 1 */
	u64 page_red_zones;                           /* 0 or 1 */
	char fail[NR_INJECT_POINTS][OPTION_TEXT_MAX]; /* a rule (mm/inject.h); "": none */
	char kfence[OPTION_TEXT_MAX];                 /* mm/guard.h; "": none */
	char console[OPTION_TEXT_MAX];                /* "" is all there are */
	bool has_trace;
	char trace[OPTION_TEXT_MAX]; /* kernel/events.h; "": all, wherever they can go */
	u64 demo_for;                /* seconds; 0: no such run */
	bool has_seed;
	u64 seed;
	u64 mem; /* bytes; usable memory at or above this address is not used */
	u64 maxcpus;
	u64 stress;      /* seconds; 0: no stress */
	u64 loglevel;    /* 0 … 7 */
	u32 nr_problems; /* words that were reported and ignored */
};

/*
 * Sets *o to the defaults and then to what the text says. Unknown and malformed words are reported
 * in one log line each and ignored. skip_image: the first word is the image's name (Multiboot1
 * passes it, Multiboot2 does not).
 */
void options_parse(const char *text, bool skip_image, struct options *o);

/* Parses the boot loader's text into the options that options() returns from then on. */
void cmdline_init(const struct boot_info *info);
const struct options *options(void);

/* Prints the table of options. */
void cmdline_help(void);
