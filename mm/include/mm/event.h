/*
 * Events: what the memory manager does, one record each, with time, CPU, address, size and call
 * site. Off unless somebody asks; then each CPU records into a ring of its own, and what is there
 * is written on as a stream (a file, a port), or stays for who wants to see the last ones.
 *
 * While events are on, no object and no page goes the fast way: those find empty magazines and
 * stacks, and the slow ways, which hold the real ones, record and then do what the fast ones would
 * have done. So the fast ways cost nothing when events are off, and what is traced behaves as what
 * is not.
 *
 * docs/events.md has the stream's format, for readers outside.
 */
#pragma once

#include <lib/types.h>

/* All numbers little-endian. What the fields mean depends on the kind: docs/events.md. */
struct event {
	u64 time;    /* cycles() */
	u64 address; /* physical for pages and slabs, virtual for objects and areas */
	u64 size;
	u16 site;  /* number of a call site: its tag, or a caller's number; EVENT_NO_SITE */
	u16 cache; /* EVENT_NO_CACHE */
	u8 kind;   /* enum event_kind */
	u8 cpu;
	u8 order;
	u8 node;
};

static_assert(sizeof(struct event) == 32, "the stream's format");
static_assert(offsetof(struct event, kind) == 28, "the stream's format");

#define EVENT_MAGIC 0x5645415441525453ull /* "STRATAEV" */
#define EVENT_VERSION 1
#define EVENT_NO_SITE 0
#define EVENT_NO_CACHE 0xffff

enum event_kind {
	/* Of the stream itself: never in a ring, but for LOST. */
	EVENT_HEADER = 1,   /* first: address EVENT_MAGIC, size the version, time ticks a second */
	EVENT_NAME_SITE,    /* site; size bytes of text follow, in whole records */
	EVENT_NAME_CACHE,   /* cache, address its objects' size; text likewise */
	EVENT_MEMORY,       /* a zone's range: address, size, node, order: the zone's kind */
	EVENT_LOST,         /* size events of this CPU, before this one */
	EVENT_ALREADY_FREE, /* a free block at the start: address, order, size bytes */
	EVENT_ALREADY_SLAB, /* a slab at the start: address, size bytes, cache */
	EVENT_ALREADY_OBJECTS, /* a cache at the start: size live bytes, address live objects */
	EVENT_END,

	EVENT_PAGES_ALLOC = 16, /* address, order, size bytes: what callers get, and give back */
	EVENT_PAGES_FREE,
	EVENT_SPLIT,        /* address; order: from; size: to this order */
	EVENT_MERGE,        /* address of the result, its order; size: the order before */
	EVENT_PAGES_REFILL, /* a trip of a CPU's stack to its zone: order, size blocks */
	EVENT_PAGES_DRAIN,
	EVENT_BUDDY_ALLOC, /* a zone's buddy hands out, takes back: address, order, size bytes */
	EVENT_BUDDY_FREE,

	EVENT_OBJECT_ALLOC = 32, /* address, size as asked for, cache, site */
	EVENT_OBJECT_FREE, /* address, size of the cache's objects, cache, site: its owner's */
	EVENT_SLAB_NEW,    /* address, size bytes, cache */
	EVENT_SLAB_GONE,
	EVENT_MAGAZINE_REFILL, /* a trip of a CPU to the depot or the slabs: cache, size objects */
	EVENT_MAGAZINE_DRAIN,

	EVENT_LARGE_ALLOC = 40, /* kmalloc above the classes: address, size, site */
	EVENT_LARGE_FREE,

	EVENT_VMALLOC = 44, /* address, size, site */
	EVENT_VFREE,

	EVENT_RECLAIM = 48,  /* size: pages that came back */
	EVENT_OUT_OF_MEMORY, /* order, size bytes that there were not */
	NR_EVENT_KINDS,
};

/* Which kinds are recorded. */
enum event_group {
	EVENT_GROUP_PAGES = 1 << 0,   /* PAGES_ALLOC … PAGES_FREE, PAGES_REFILL, PAGES_DRAIN */
	EVENT_GROUP_BUDDY = 1 << 1,   /* BUDDY_ALLOC, BUDDY_FREE, SPLIT, MERGE */
	EVENT_GROUP_OBJECTS = 1 << 2, /* OBJECT_…, LARGE_… */
	EVENT_GROUP_SLABS = 1 << 3,   /* SLAB_…, MAGAZINE_… */
	EVENT_GROUP_VMALLOC = 1 << 4,
	EVENT_GROUP_RECLAIM = 1 << 5, /* RECLAIM, OUT_OF_MEMORY */
	EVENT_GROUPS_ALL = (1 << 6) - 1,
};

/* Where a stream goes: n bytes, in order. Called with interrupts off, in any context, with locks of
 * mm/ held; it allocates nothing, takes no lock and waits for nobody. */
typedef void event_writer(void *context, const void *bytes, size_t n);

struct event_options {
	u32 groups;          /* 0: all */
	u32 nr_records;      /* a CPU's ring: a power of two; 0: EVENT_RING_RECORDS, or less where
	                        memory is small */
	event_writer *write; /* NULL: the rings keep the newest events, for event_last() */
	void *context;       /* its */
	u64 ticks_a_second;  /* of cycles(); 0: unknown */
	bool drop; /* a full ring loses events, which are counted; else who finds it full writes */
};

#define EVENT_RING_RECORDS 32768u
#define EVENT_RING_MIN 64u

/*
 * Recording begins: the stream's header, and all that is free, in slabs and live at this moment. 0;
 * -EBUSY: it is on; -EINVAL: nr_records; -ENOMEM; -EAGAIN: other CPUs cannot be told now
 * (interrupts are off). In threads, one caller at a time, as event_stop().
 */
int event_start(const struct event_options *options);

/*
 * It ends, and the rest of the stream is written. What the rings hold stays readable until
 * event_release() gives their memory back, which event_start() does too. 0; -ENOENT: it is off;
 * -EAGAIN as above.
 */
int event_stop(void);
void event_release(void);

/* Writes events to the stream, up to max, the oldest first; returns how many. Any context. */
size_t event_drain(size_t max);

/* The newest events of all CPUs, n at most, the oldest of them first; returns how many. They may be
 * in the stream already. In threads. */
size_t event_last(struct event out[], size_t n);

struct event_stats {
	bool on;
	u32 groups, nr_records; /* nr_records: of a CPU */
	u64 nr_recorded;        /* since event_start(), those that were lost left out */
	u64 nr_lost;            /* for want of room */
	u64 nr_waiting;         /* in the rings, not in the stream yet; without a stream: 0 */
	u64 nr_bytes;           /* of the stream */
};
void event_stats(struct event_stats *out);

/* --- words: mm/debug/event_text.c --- */

/* "page-alloc"; NULL: there is no such kind. */
const char *event_kind_name(unsigned kind);

/* "pages,objects", or "all": enum event_group. 0, or -EINVAL: a word is none. */
int event_parse_groups(const char *text, u32 *groups);
char *event_groups_text(char buf[64], u32 groups);

/* What the numbers stand for until event_release(). The cache's: NULL: none. The site's, of either
 * kind: "mm/foo.c:12 (bar)", "bar+0x2a"; returns buf. */
const char *event_cache_name(u16 cache);
char *event_site_name(char buf[96], u16 site);

/* One line about the event, without a newline: "pages-alloc 0x12000 order 1 …". Returns buf. */
#define EVENT_TEXT_MAX 192
char *event_text(char buf[EVENT_TEXT_MAX], const struct event *e);
