/*
 * The allocator under measurement: start, footprint, aligned memory. See subject.h.
 *
 * Footprint. Strata's is counted by itself: every page that is not free and not in a CPU's cache of
 * free pages, so slabs whole or empty, large objects and the records. Of the others it is the
 * process's resident memory as the host's kernel walks it (smaps_rollup): what they touched and did
 * not give back. Both are compared with their own value before the work began.
 */
#include <tests/bench/host/work.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(SUBJECT_STRATA)

#include <mm/internal.h>
#include <tests/host/machine.h>

#define MACHINE_BYTES (6 * GIB)

void subject_start(unsigned nr_threads)
{
	mm_nr_cpus = nr_threads;
	host_log_level = LOG_ERROR;
	host_garbage_ram = host_garbage_page_map = 0;
	host_machine_boot_pc(MACHINE_BYTES);
}

void subject_thread(unsigned n)
{
	host_cpu_enter(n);
}

u64 subject_footprint(void)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return usage.used_pages * PAGE_SIZE;
}

/* kmalloc aligns powers of two to themselves up to a page; above that a block of pages does. */
static unsigned block_order(size_t align, size_t size)
{
	return log2_ceil(max_u64(align, size));
}

void *subject_alloc_aligned(size_t align, size_t size)
{
	unsigned order = block_order(align, size);
	struct page *page;

	if (align <= PAGE_SIZE)
		return kmalloc(1ul << order, GFP_KERNEL);
	page = alloc_pages(GFP_KERNEL, order - PAGE_SHIFT);
	return page != NULL ? page_address(page) : NULL;
}

void subject_free_aligned(void *p, size_t align, size_t size)
{
	if (align <= PAGE_SIZE)
		kfree(p);
	else
		free_pages(virt_to_page(p), block_order(align, size) - PAGE_SHIFT);
}

#else

void subject_start(unsigned nr_threads)
{
	(void)nr_threads;
}

void subject_thread(unsigned n)
{
	(void)n;
}

#if defined(SUBJECT_MALLOC)

/* The sum over all mappings, exact where /proc/self/statm may lag. Without stdio's streams, which
 * allocate. */
u64 subject_footprint(void)
{
	static char text[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	const char *line = n > 0 ? strstr(text, "Rss:") : NULL;

	if (line == NULL)
		fail(STATUS_FAILED, "cannot read /proc/self/smaps_rollup");
	close(fd);
	return strtoul(line + 4, NULL, 10) * KIB;
}

void *subject_alloc_aligned(size_t align, size_t size)
{
	void *p;

	return posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, size) == 0
	           ? p
	           : NULL;
}

#else

char subject_nothing[128 * 1024 * 1024];

u64 subject_footprint(void)
{
	return 0;
}

void *subject_alloc_aligned(size_t align, size_t size)
{
	(void)align;
	return subject_alloc(size);
}

#endif

void subject_free_aligned(void *p, size_t align, size_t size)
{
	(void)align;
	(void)size;
	subject_free(p);
}

#endif
