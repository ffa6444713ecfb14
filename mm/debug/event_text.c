/*
 * Events in words: the names of kinds and groups, and one line about an event.
 */
#include "../event_record.h"

#include <lib/format.h>
#include <lib/string.h>

/* What an event's fields are, for a line about it. */
enum shape { BLOCK, BLOCKS, FROM_TO, TRIP, BYTES, NUMBER };

static const struct {
	const char *name;
	enum shape shape;
} kinds[NR_EVENT_KINDS] = {
    [EVENT_HEADER] = {"header", NUMBER},
    [EVENT_NAME_SITE] = {"name-site", NUMBER},
    [EVENT_NAME_CACHE] = {"name-cache", NUMBER},
    [EVENT_MEMORY] = {"memory", BLOCK},
    [EVENT_LOST] = {"lost", NUMBER},
    [EVENT_ALREADY_FREE] = {"already-free", BLOCK},
    [EVENT_ALREADY_SLAB] = {"already-slab", BYTES},
    [EVENT_ALREADY_OBJECTS] = {"already-objects", BYTES},
    [EVENT_END] = {"end", NUMBER},
    [EVENT_PAGES_ALLOC] = {"pages-alloc", BLOCK},
    [EVENT_PAGES_FREE] = {"pages-free", BLOCK},
    [EVENT_SPLIT] = {"split", FROM_TO},
    [EVENT_MERGE] = {"merge", FROM_TO},
    [EVENT_PAGES_REFILL] = {"pages-refill", BLOCKS},
    [EVENT_PAGES_DRAIN] = {"pages-drain", BLOCKS},
    [EVENT_BUDDY_ALLOC] = {"buddy-alloc", BLOCK},
    [EVENT_BUDDY_FREE] = {"buddy-free", BLOCK},
    [EVENT_OBJECT_ALLOC] = {"object-alloc", BYTES},
    [EVENT_OBJECT_FREE] = {"object-free", BYTES},
    [EVENT_SLAB_NEW] = {"slab-new", BYTES},
    [EVENT_SLAB_GONE] = {"slab-gone", BYTES},
    [EVENT_MAGAZINE_REFILL] = {"magazine-refill", TRIP},
    [EVENT_MAGAZINE_DRAIN] = {"magazine-drain", TRIP},
    [EVENT_LARGE_ALLOC] = {"large-alloc", BYTES},
    [EVENT_LARGE_FREE] = {"large-free", BYTES},
    [EVENT_VMALLOC] = {"vmalloc", BYTES},
    [EVENT_VFREE] = {"vfree", BYTES},
    [EVENT_RECLAIM] = {"reclaim", NUMBER},
    [EVENT_OUT_OF_MEMORY] = {"out-of-memory", BLOCK},
};

static const char *const groups[] = {"pages", "buddy", "objects", "slabs", "vmalloc", "reclaim"};

static_assert(1u << ARRAY_SIZE(groups) == EVENT_GROUPS_ALL + 1, "a name each group");

const char *event_kind_name(unsigned kind)
{
	return kind < NR_EVENT_KINDS ? kinds[kind].name : NULL;
}

static u32 group_of(const char *word, size_t length)
{
	if (length == 3 && strncmp(word, "all", 3) == 0)
		return EVENT_GROUPS_ALL;
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		if (strlen(groups[i]) == length && strncmp(groups[i], word, length) == 0)
			return 1u << i;
	return 0;
}

int event_parse_groups(const char *text, u32 *out)
{
	u32 sum = 0;

	for (;;) {
		const char *comma = strchr(text, ',');
		size_t length = comma != NULL ? (size_t)(comma - text) : strlen(text);
		u32 group = group_of(text, length);

		if (group == 0)
			return -EINVAL;
		sum |= group;
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	*out = sum;
	return 0;
}

char *event_groups_text(char buf[64], u32 chosen)
{
	size_t n = 0;

	str_copy(buf, chosen == EVENT_GROUPS_ALL ? "all" : "none", 64);
	for (unsigned i = 0; i < ARRAY_SIZE(groups) && chosen != EVENT_GROUPS_ALL; i++)
		if (chosen >> i & 1)
			n += format_buf(buf + n, 64 - n, "%s%s", n != 0 ? "," : "", groups[i]);
	return buf;
}

static void details(char *buf, size_t room, const struct event *e)
{
	const unsigned long size = e->size;
	const bool is_split = e->kind == EVENT_SPLIT;

	switch (kinds[e->kind].shape) {
	case BLOCK:
		format_buf(buf, room, " %#lx order %u, %lu bytes", e->address, e->order, size);
		break;
	case BLOCKS:
		format_buf(buf, room, " %lu blocks of order %u", size, e->order);
		break;
	case FROM_TO:
		format_buf(buf, room, " %#lx order %lu to %lu", e->address,
		           is_split ? e->order : size, is_split ? size : e->order);
		break;
	case TRIP:
		format_buf(buf, room, " %lu objects", size);
		break;
	case BYTES:
		format_buf(buf, room, " %#lx %lu bytes", e->address, size);
		break;
	default:
		format_buf(buf, room, " %lu", size);
	}
}

char *event_text(char buf[EVENT_TEXT_MAX], const struct event *e)
{
	const char *name = event_kind_name(e->kind), *cache = event_cache_name(e->cache);
	char what[64], site[96];

	if (name == NULL) {
		format_buf(buf, EVENT_TEXT_MAX, "unknown kind %u", e->kind);
		return buf;
	}
	details(what, sizeof(what), e);
	event_site_name(site, e->site);
	format_buf(buf, EVENT_TEXT_MAX, "%s%s%s%s%s%s", name, what, cache != NULL ? " of " : "",
	           cache != NULL ? cache : "", e->site != EVENT_NO_SITE ? " by " : "",
	           e->site != EVENT_NO_SITE ? site : "");
	return buf;
}
