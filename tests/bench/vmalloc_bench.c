/* Areas: pairs. The names are those of tests/bench/linux/vmalloc_bench.c. */
#include <mm/mm.h>
#include <tests/bench/bench.h>

#define VMALLOC_PAIR(name, kib, rounds)                                        \
	BENCH(vmalloc_vfree_##name, rounds)                                    \
	{                                                                      \
		for (u32 i = 0; i < n; i++)                                    \
			vfree(bench_opaque(vmalloc((kib)*KIB)));               \
	}                                                                      \
	BENCH(kvmalloc_kvfree_##name, rounds)                                  \
	{                                                                      \
		for (u32 i = 0; i < n; i++)                                    \
			kvfree(bench_opaque(kvmalloc((kib)*KIB, GFP_KERNEL))); \
	}

/* clang-format off */
VMALLOC_PAIR(4K, 4, 1280)
VMALLOC_PAIR(64K, 64, 1280)
VMALLOC_PAIR(1M, 1024, 320)
VMALLOC_PAIR(4M, 4096, 80)
/* clang-format on */
