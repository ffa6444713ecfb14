/*
 * Allocating by hand: a small table of what the user of the monitor holds.
 *
 *   H1  a slot with an id holds memory that `alloc` got and `free` has not given back; ids are
 *       never used twice.
 *   H2  nothing reaches a free function of mm/ from `free` that is not the start of such memory.
 *       `free!` is the one command that passes an address on unseen, for those who want to watch
 *       the allocator's own checks.
 *
 * A wrong free is refused with the reason that fits: freed before, inside number N, not ours.
 */
#include <kernel/monitor.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>

#define MAX_HELD 64

enum held_kind { HELD_PAGES, HELD_BYTES, HELD_OBJECT };

static struct held {
	u64 id; /* 0: the slot is empty */
	enum held_kind kind;
	char *memory;
	u64 size;                 /* bytes that were asked for */
	unsigned order;           /* HELD_PAGES */
	struct kmem_cache *cache; /* HELD_OBJECT */
} table[MAX_HELD];

static u64 last_id;

static struct held *find_empty(void)
{
	for (struct held *h = table; h < table + MAX_HELD; h++)
		if (h->id == 0)
			return h;
	return NULL;
}

static struct held *find_id(u64 id)
{
	for (struct held *h = table; h < table + MAX_HELD; h++)
		if (h->id == id)
			return h;
	return NULL;
}

/* The slot whose memory holds the address, or NULL. */
static struct held *find_address(u64 address)
{
	for (struct held *h = table; h < table + MAX_HELD; h++)
		if (h->id != 0 && address - (u64)h->memory < max_u64(h->size, 1))
			return h;
	return NULL;
}

static void print(const struct held *h)
{
	char size[16];

	kprintf("%3llu  %p  %-10s ", (unsigned long long)h->id, (void *)h->memory,
	        format_bytes(size, h->size));
	if (h->kind == HELD_PAGES)
		kprintf("pages, order %u, page frame %u\n", h->order,
		        page_to_pfn(virt_to_page(h->memory)));
	else if (h->kind == HELD_OBJECT)
		kprintf("object of cache %s\n", kmem_cache_name(h->cache));
	else
		kprintf("kmalloc, %zu bytes usable\n", ksize(h->memory));
}

static int list(void)
{
	unsigned n = 0;

	for (u64 id = 1; id <= last_id; id++) {
		struct held *h = find_id(id);

		if (h == NULL)
			continue;
		print(h);
		n++;
	}
	if (n == 0)
		kprintf("alloc: nothing is held; type help alloc\n");
	return 0;
}

static struct kmem_cache *find_cache(const char *name)
{
	struct kmem_cache *c = kmem_cache_next(NULL);

	while (c != NULL && strcmp(kmem_cache_name(c), name) != 0)
		c = kmem_cache_next(c);
	return c;
}

static int take_pages(struct held *h, const char *text)
{
	struct page *page;
	u64 order;

	if (!monitor_number("alloc", text, &order))
		return -EINVAL;
	if (order > MAX_ORDER) {
		kprintf("alloc: order %s is above the largest, %u\n", text, MAX_ORDER);
		return -EINVAL;
	}
	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, (unsigned)order);
	h->kind = HELD_PAGES;
	h->order = (unsigned)order;
	h->size = PAGE_SIZE << order;
	h->memory = page != NULL ? page_address(page) : NULL;
	return 0;
}

static int take_bytes(struct held *h, const char *text)
{
	if (!monitor_number("alloc", text, &h->size))
		return -EINVAL;
	h->kind = HELD_BYTES;
	h->memory = kmalloc(h->size, GFP_KERNEL | __GFP_NOWARN);
	return 0;
}

static int take_object(struct held *h, const char *name)
{
	h->cache = find_cache(name);
	if (h->cache == NULL) {
		kprintf("alloc: no cache \"%s\"; slabinfo lists them\n", name);
		return -ENOENT;
	}
	h->kind = HELD_OBJECT;
	h->size = kmem_cache_size(h->cache);
	h->memory = kmem_cache_alloc(h->cache, GFP_KERNEL | __GFP_NOWARN);
	return 0;
}

static int take(struct held *h, const char *what, const char *argument)
{
	if (strcmp(what, "pages") == 0)
		return take_pages(h, argument);
	if (strcmp(what, "bytes") == 0)
		return take_bytes(h, argument);
	if (strcmp(what, "cache") == 0)
		return take_object(h, argument);
	kprintf("alloc: \"%s\" is none of pages, bytes, cache; type help alloc\n", what);
	return -EINVAL;
}

int monitor_alloc(int argc, char **argv)
{
	struct held *h = find_empty();

	if (argc == 1)
		return list();
	if (argc == 2) {
		kprintf("alloc: %s needs an argument; type help alloc\n", argv[1]);
		return -EINVAL;
	}
	if (h == NULL) {
		kprintf("alloc: %u things are held already, free some\n", MAX_HELD);
		return -ENOSPC;
	}
	int err = take(h, argv[1], argv[2]);

	if (err != 0)
		return err;
	if (h->memory == NULL) {
		kprintf("alloc: no memory for %s %s\n", argv[1], argv[2]);
		return -ENOMEM;
	}
	h->id = ++last_id;
	print(h);
	return 0;
}

static void give_back(struct held *h)
{
	if (h->kind == HELD_PAGES)
		free_pages(virt_to_page(h->memory), h->order);
	else if (h->kind == HELD_OBJECT)
		kmem_cache_free(h->cache, h->memory);
	else
		kfree(h->memory);
	h->id = 0;
}

unsigned monitor_free_all(void)
{
	unsigned n = 0;

	for (struct held *h = table; h < table + MAX_HELD; h++)
		if (h->id != 0) {
			give_back(h);
			n++;
		}
	return n;
}

/* What to free; NULL after a line that says why not. */
static struct held *choose_by_id(u64 id)
{
	struct held *h = id != 0 ? find_id(id) : NULL;

	if (h == NULL && id != 0 && id <= last_id)
		kprintf("free: number %llu was freed already\n", (unsigned long long)id);
	else if (h == NULL)
		kprintf("free: there is no number %llu; alloc lists what is held\n",
		        (unsigned long long)id);
	return h;
}

static struct held *choose_by_address(u64 address)
{
	struct held *h = find_address(address);

	if (h == NULL) {
		kprintf(
		    "free: %#llx is nothing that alloc holds; free! would try it all the same\n",
		    (unsigned long long)address);
	} else if (address != (u64)h->memory) {
		kprintf("free: %#llx is inside number %llu, %llu bytes from its start: free %llu\n",
		        (unsigned long long)address, (unsigned long long)h->id,
		        (unsigned long long)(address - (u64)h->memory), (unsigned long long)h->id);
		h = NULL;
	}
	return h;
}

int monitor_free(int argc, char **argv)
{
	u64 n;

	(void)argc;
	if (strcmp(argv[1], "all") == 0) {
		kprintf("free: %u freed\n", monitor_free_all());
		return 0;
	}
	if (!monitor_number(argv[0], argv[1], &n))
		return -EINVAL;
	struct held *h = strncmp(argv[1], "0x", 2) == 0 ? choose_by_address(n) : choose_by_id(n);

	if (h == NULL)
		return -EINVAL;
	kprintf("free: number %llu freed\n", (unsigned long long)h->id);
	give_back(h);
	return 0;
}

/* The address may be anything. If it was memory of ours after all, it is gone now. */
int monitor_free_raw(int argc, char **argv)
{
	u64 address;

	(void)argc;
	if (!monitor_number(argv[0], argv[1], &address))
		return -EINVAL;
	kfree((const void *)address);
	struct held *h = find_address(address);

	if (h != NULL)
		h->id = 0;
	kprintf("free!: kfree(%#llx) found no fault\n", (unsigned long long)address);
	return 0;
}
