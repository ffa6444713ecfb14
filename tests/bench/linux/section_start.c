/* Where the benchmarks' records begin: the linker makes no __start_ symbols for a module, so the
 * object that is linked first and the one that is linked last (section_end.c) hold the section's
 * bounds. */
struct bench;

const struct bench *const __start_strata_benches[0]
    __attribute__((section("strata_benches"), used));
