/* The remote workload of tests/model/traffic.h with the kernel's threads, one on each CPU. */
#pragma once

#include "tests/model/traffic.h"

/* CPUs 0 … 2 * nr_pairs - 1, which must be there. False: no memory, or an object that did not
 * arrive whole. Threads only. */
bool traffic_remote_on_cpus(u64 seed, unsigned nr_pairs, u64 objects_each, size_t size,
                            struct traffic *out);
