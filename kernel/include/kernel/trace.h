/*
 * Reading an allocation trace (tests/data/traces/README.md has the format). Pure: bytes in,
 * operations out, no allocation, and no byte of the text is trusted.
 */
#pragma once

#include <lib/types.h>

#define TRACE_CACHE_NAME_MAX 64

struct trace_op {
	char kind; /* k c p m z r f */
	u64 id;
	u64 size;                         /* bytes; k c m z r */
	u64 align;                        /* z */
	u64 order;                        /* p */
	char cache[TRACE_CACHE_NAME_MAX]; /* c */
};

/* `# cache <name> size <s> align <a> …` of the header. */
struct trace_cache {
	char name[TRACE_CACHE_NAME_MAX];
	u64 size, align;
};

struct trace {
	const char *text;
	size_t length, at;                   /* at: the first byte not read yet */
	u64 nr_ops, nr_ids, peak_live_bytes; /* as the header says */
	unsigned line;                       /* number of the line that was read last */
	const char *error;                   /* after -EINVAL: what is wrong with it */
};

/* Reads the header's first lines. 0 or -EINVAL. The text stays in use. */
int trace_open(struct trace *t, const char *text, size_t length);

/* The header's next cache line: 1, or 0 when the header has ended, or -EINVAL. */
int trace_next_cache(struct trace *t, struct trace_cache *cache);

/* The next operation, after the header: 1, or 0 at the end of the text, or -EINVAL. */
int trace_next(struct trace *t, struct trace_op *op);
