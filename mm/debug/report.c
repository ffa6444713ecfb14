/*
 * Reports: the first line of damage that was found, and the story of an address.
 *
 * The story is written to a sink, so that tests can read it; a panic gives it to the console. It
 * reads the allocator's state without locks and trusts none of it that page_lookup() does not vouch
 * for: the machine stands still, or is about to.
 *
 *     object 0xffff888000aa1040 + 50: index 3 of its slab, cache kmalloc-64, asked for 50 bytes
 *     state: allocated by kernel/foo.c:12 (bar), CPU 0
 *       allocated at: …        (U)
 *       freed at: …            (U)
 *     memory: [ ] are bytes that a check did not expect
 *       …40: 00 00 00 00 …
 *     more: boot with slab_debug=FZPU,kmalloc-64
 */
#include "debug_internal.h"

#include <lib/assert.h>
#include <lib/log.h>
#include <lib/string.h>

#define LINE_BYTES 16
#define LINES_BEFORE 2
#define LINES_BEHIND 4

static const char *const kind_texts[NR_REPORT_KINDS] = {
#define REPORT_TEXT_(name, text) [REPORT_##name] = (text),
    REPORT_KINDS(REPORT_TEXT_) REPORT_CALLS(REPORT_TEXT_)
#undef REPORT_TEXT_
};

static struct damage last; /* what the story may mark; of the panic that is told */

const char *report_kind_text(enum report_kind kind)
{
	return kind < NR_REPORT_KINDS ? kind_texts[kind] : "unknown";
}

/* --- the first line --- */

/* " by mm/foo.c:12 (bar)", or nothing. */
static const char *by_whom(char buf[112], u32 tag)
{
	char site[96];

	buf[0] = '\0';
	if (tag >= TAG_FIRST_SITE)
		format_buf(buf, 112, ", by %s", site_name(site, tag));
	return buf;
}

void report_damage(const struct damage *d)
{
	char by[112], what[96];

	last = *d;
	if (d->why != NULL)
		format_buf(what, sizeof(what), ": %s", d->why);
	else
		format_buf(what, sizeof(what), " is 0x%02x, not 0x%02x", d->is, d->should);
	panic_about(report_story, d->at, "BUG: %s in %s: object %p%+ld (size %lu)%s%s",
	            report_kind_text(d->kind), d->where, d->object,
	            (long)((s64)d->at - (s64)d->object), d->size, what, by_whom(by, d->tag));
}

/* --- the object --- */

static void tell_stack(struct sink *out, const char *what, u32 number)
{
	const u64 *frame;
	size_t n = stack_depot_get(number, &frame);
	char name[96];

	if (n != 0)
		format_to(out, "  %s\n", what);
	for (size_t i = 0; i < n; i++)
		format_to(out, "    %s\n", platform_symbol(name, frame[i]));
}

static bool is_quarantined(const struct kmem_cache *c, const void *object)
{
	for (u32 i = 0; i < quarantine_count(c) && i < QUARANTINE_SLOTS; i++)
		if (quarantine_at(c->quarantine, i)->object == object)
			return true;
	return false;
}

static void tell_state(struct sink *out, const struct slab_object_info *info)
{
	char site[96];

	if (info->tag >= TAG_FIRST_SITE)
		format_to(out, "state: allocated by %s", site_name(site, info->tag));
	else if (is_quarantined(info->cache, info->object))
		format_to(out, "state: free, in quarantine");
	else
		format_to(out, "state: free, in %s",
		          info->tag == TAG_IN_SLAB ? "its slab" : "a magazine");
}

/* What debugging kept of it. */
static void tell_debug(struct sink *out, const struct slab_object_info *info, struct slab *s)
{
	const struct object_debug *o = slab_object_debug(info->cache, s, info->index);
	char site[96];

	if (o->last_tag >= TAG_FIRST_SITE && info->tag < TAG_FIRST_SITE)
		format_to(out, ", before by %s", site_name(site, o->last_tag));
	if (o->last_tag >= TAG_FIRST_SITE)
		format_to(out, ", allocated on CPU %u, %s%u ms ago", o->alloc_cpu,
		          info->tag < TAG_FIRST_SITE ? "freed " : "", object_debug_age_ms(o));
	format_to(out, "\n");
	tell_stack(out, "allocated at:", o->alloc_stack);
	tell_stack(
	    out, info->tag < TAG_FIRST_SITE ? "freed at:" : "freed before that at:", o->free_stack);
}

static void tell_object(struct sink *out, const void *address, struct slab_object_info *info)
{
	const struct kmem_cache *c = info->cache;
	struct slab *s = slab_of(info->object);
	s64 offset = (s64)address - (s64)info->object;

	format_to(out, "object %p%+ld: index %u of its slab, cache %s, %u bytes", info->object,
	          (long)offset, info->index, c->name, c->size);
	if (slab_debug_size(s, info->object) != c->size)
		format_to(out, ", asked for %lu", slab_debug_size(s, info->object));
	format_to(out, "\n");
	tell_state(out, info);
	if (c->debug != 0)
		tell_debug(out, info, s);
	else
		format_to(out, "\n");
}

/* --- memory --- */

static bool is_marked(const void *p)
{
	return last.found && last.why == NULL && p == last.at;
}

static void tell_line(struct sink *out, const u8 *line)
{
	format_to(out, "  %p:", (const void *)line);
	for (unsigned i = 0; i < LINE_BYTES; i++)
		format_to(out, is_marked(line + i) ? "[%02x]" : " %02x ", mark_read(line + i));
	format_to(out, "\n");
}

/* A few lines around it, of its own page. */
static void tell_memory(struct sink *out, const void *address)
{
	const u8 *page = (const u8 *)align_down((u64)address, PAGE_SIZE);
	u64 line = ((u64)address - (u64)page) / LINE_BYTES;
	u64 from = line > LINES_BEFORE ? line - LINES_BEFORE : 0;
	u64 to = min_u64(line + LINES_BEHIND, PAGE_SIZE / LINE_BYTES);

	format_to(out, "memory around %p:\n", address);
	for (u64 i = from; i < to; i++)
		tell_line(out, page + i * LINE_BYTES);
}

/* --- the story --- */

static void tell_page(struct sink *out, const void *address, const struct page *head)
{
	char site[96];

	format_to(out, "page frame %#lx: %s, in a block of %lu pages at frame %#x\n",
	          virt_to_phys(address) >> PAGE_SHIFT, page_type_name(head->type),
	          page_block_pages(head), page_to_pfn(head));
	if (head->type == PAGE_LARGE)
		format_to(out, "a kmalloc of %u bytes by %s\n", head->bytes,
		          site_name(site, head->site));
}

/* What would have told more, or sooner. */
static void tell_more(struct sink *out, const struct kmem_cache *c)
{
	const unsigned wanted = DEBUG_ALL | DEBUG_QUARANTINE;

	if (c == NULL)
		format_to(out, "more: boot with slab_debug=FZPU\n");
	else if ((c->debug & wanted) != wanted && !(c->flags & SLAB_INTERNAL))
		format_to(out, "more: boot with slab_debug=FZPUQ,%s\n", c->name);
}

/* The left zone of an object belongs to it, and not to the one before. */
static bool find_object(const void *address, struct slab_object_info *info)
{
	const struct slab *s = slab_of(address);

	if (s == NULL)
		return false;
	if (slab_object_of((const char *)address + s->cache->left_zone, info) &&
	    (const char *)info->object > (const char *)address)
		return true;
	return slab_object_of(address, info);
}

void report_address(struct sink *out, const void *address)
{
	struct slab_object_info info = {.cache = NULL};
	const struct page *head = NULL;

	if (is_direct_map(address))
		head = page_block_of(virt_to_phys(address) >> PAGE_SHIFT);
	if (head == NULL) {
		format_to(out, "address %p: no memory that the allocator knows\n", address);
		return;
	}
	if (find_object(address, &info))
		tell_object(out, address, &info);
	else
		tell_page(out, address, head);
	tell_memory(out, address);
	tell_more(out, info.cache);
}

static void write_to_console(struct sink *self, const char *text, size_t len)
{
	(void)self;
	platform_write(text, len);
}

void report_story(const void *subject)
{
	struct sink console = {write_to_console};

	report_address(&console, subject);
	last.found = false;
}
