/*
 * How the layers of mm/ say what they do: private to mm/. See <mm/event.h> and event.c.
 *
 * Off, a hook is one comparison and a branch that is not taken; it stands on slow ways alone. Where
 * even what it would need to remember is too dear, the whole operation stands twice, inlined, with
 * and without records (`recorded`), and the comparison at its top chooses.
 */
#pragma once

#include <lib/race.h>
#include <mm/event.h>
#include <mm/page.h>

extern u64 event_mask; /* A: bit k while kind k is recorded */

/* What a slow way asks: two instructions, and no register. event_record() looks at the kind. */
static __always_inline bool event_any(void)
{
	return unlikely(data_race(event_mask) != 0);
}

static __always_inline bool event_is_on(enum event_kind kind)
{
	return data_race(event_mask) >> kind & 1;
}

/* time and cpu are filled in. Any context, any lock; the order of two calls on a CPU is that of
 * their records. */
void event_record(const struct event *e);

/* The caller has asked event_any(). A block of page frames, and the address of the call that asked
 * for it (0: nobody's, or not known): */
void event_block(enum event_kind kind, u64 pfn, unsigned order, u64 bytes, unsigned zone,
                 u64 caller);
/* a number of things, of a zone's stack or of a cache's magazine: */
void event_trip(enum event_kind kind, u16 cache, unsigned order, unsigned node, u64 nr);
/* bytes at an address: */
void event_bytes(enum event_kind kind, u64 address, u64 size, u16 cache, u32 site);

void event_init(void);

/* --- debug/event_stream.c --- */

void event_stream_init(void);
bool event_stream_open(const struct event_options *o);
void event_stream_begin(void);                /* the machine stands still */
void event_stream_put(const struct event *e); /* with the names that it is the first to use */
void event_stream_close(void);
u64 event_stream_bytes(void);
void event_stream_release(void);

/* A cache's number from now on; EVENT_NO_CACHE: there are too many. Under the caches' lock. */
u16 event_name_cache(const char *name, u32 size);

/* A number for the address of a call, from now on: above those of the call sites that have a
 * record. EVENT_NO_SITE: there are too many. Any context. */
u16 event_number_caller(u64 address);
