/* vmalloc and kvmalloc: pairs. Sizes are in KiB; few rounds, for a megabyte is a hundred thousand
 * instructions. */
#include <compat.h>
#include <tests/bench/bench.h>

#define VMALLOC_PAIR(name, kib, rounds)                         \
	BENCH(vmalloc_vfree_##name, rounds)                     \
	{                                                       \
		for (u32 i = 0; i < n; i++)                     \
			vfree(bench_opaque(vmalloc(kib *KIB))); \
	}

#define KVMALLOC_PAIR(name, kib, rounds)                                      \
	BENCH(kvmalloc_kvfree_##name, rounds)                                 \
	{                                                                     \
		for (u32 i = 0; i < n; i++)                                   \
			kvfree(bench_opaque(kvmalloc(kib *KIB, GFP_KERNEL))); \
	}

/* clang-format off */
VMALLOC_PAIR(4K, 4, 1000)
VMALLOC_PAIR(64K, 64, 200)
VMALLOC_PAIR(1M, 1024, 50)
KVMALLOC_PAIR(64K, 64, 1000)
KVMALLOC_PAIR(1M, 1024, 200)
/* clang-format on */
