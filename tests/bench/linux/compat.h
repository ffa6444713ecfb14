/*
 * What Strata's benchmark sources ask of lib/, mm/ and the kernel, said in Linux's words.
 *
 * The Linux column of docs/benchmarks-linux.md is not a second set of benchmarks: the same files
 * (tests/bench/, and the replayer with its trace reader from kernel/) are compiled into a Linux
 * module. Each header that they include and that is not a benchmark's own is this file, under that
 * name (tools/linux_kernel.py makes the links). So it holds nothing but names: where Linux has the
 * function under the same name, nothing stands here.
 *
 *   L1  Nothing here does work inside a measured block that a Linux caller would not do: macros and
 *       inline functions that vanish.
 *   L2  Interrupts off means pre-emption off too.
 */
#pragma once

#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/gfp.h>
#include <linux/glob.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/vmalloc.h>

/* --- lib/ --- */

#define __noinline noinline
#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

/* The loudest level: the line reaches the serial port whatever `quiet` says. */
#define kprintf(format, ...) printk(KERN_EMERG format, ##__VA_ARGS__)
#define log_error(format, ...) printk(KERN_EMERG "# " format "\n", ##__VA_ARGS__)
#define format_buf snprintf
#define str_copy strscpy

static inline bool str_matches(const char *pattern, const char *text)
{
	return glob_match(pattern, text);
}

#define is_pow2(n) is_power_of_2(n)
#define log2_ceil(n) ((unsigned)order_base_2(n))
#define is_aligned(n, align) IS_ALIGNED(n, align)
#define min_u64(a, b) min_t(u64, a, b)
#define max_u64(a, b) max_t(u64, a, b)

static inline u64 irq_save(void)
{
	unsigned long flags;

	preempt_disable();
	local_irq_save(flags);
	return flags;
}

static inline void irq_restore(u64 flags)
{
	local_irq_restore((unsigned long)flags);
	preempt_enable();
}

static inline u64 cycles(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* --- mm/ --- */

#define SLAB_MAX_SIZE 262144u

/* Linux's free_pages() takes an address, __free_pages() the page. */
#define free_pages(page, order) __free_pages(page, order)

/* Linux fills only the entries that are NULL: what is freed is set so, outside the clock. */
#define alloc_pages_bulk(gfp, n, pages) alloc_pages_bulk_array(gfp, n, pages)

static inline void free_pages_bulk(size_t n, struct page *pages[])
{
	for (size_t i = 0; i < n; i++) {
		__free_page(pages[i]);
		pages[i] = NULL;
	}
}

/*
 * The cache "bench", which hot pairs and bulk calls make for themselves, exists from the module's
 * start to its end (module.c): Linux can neither make nor destroy one while interrupts are off.
 */
extern struct kmem_cache *linux_bench_cache;

static inline struct kmem_cache *linux_cache_create(const char *name, size_t size, size_t align,
                                                    unsigned flags, void (*ctor)(void *))
{
	if (linux_bench_cache != NULL && strcmp(name, "bench") == 0)
		return linux_bench_cache;
	return kmem_cache_create(name, (unsigned)size, (unsigned)align, flags, ctor);
}

static inline int linux_cache_destroy(struct kmem_cache *cache)
{
	if (cache != linux_bench_cache)
		kmem_cache_destroy(cache);
	return 0;
}

#undef kmem_cache_create
#define kmem_cache_create linux_cache_create
#define kmem_cache_destroy linux_cache_destroy

/* What the benchmarks read of it. Linux's replays are judged by their content, not by the books. */
struct mm_usage {
	u64 managed_pages, free_pages, used_pages, slab_pages, peak_used_pages, live_objects;
};

static inline void mm_usage(struct mm_usage *usage)
{
	struct sysinfo info;

	si_meminfo(&info);
	*usage = (struct mm_usage){.managed_pages = info.totalram, .free_pages = info.freeram};
}

static inline void slab_shrink_all(void)
{
}

static inline void drain_cpu_pages(void)
{
}

static inline void mm_reset_peak(void)
{
}

static inline const char *mm_check(void)
{
	return NULL;
}

/* --- kernel/, boot/ --- */

/* From the kernel's first instruction until all memory was usable (module.c). */
u64 memory_boot_cycles(void);

struct boot_module {
	u64 base; /* here: the address of the text, not a physical one */
	u64 length;
	const char *name;
};

struct boot_info {
	u32 nr_modules;
	struct boot_module module[1];
};

/* Module 0 is the trace that the module's parameter names. */
const struct boot_info *boot_info(void);

#define phys_to_virt(base) ((char *)(uintptr_t)(base))
