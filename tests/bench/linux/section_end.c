/* Where the benchmarks' records end: see section_start.c. */
struct bench;

const struct bench *const __stop_strata_benches[0] __attribute__((section("strata_benches"), used));
