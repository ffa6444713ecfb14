/*
 * Tests that have no subject under `slab_debug=` or with hardening: the magazines, stacks, layouts
 * and orders that they look at are not there then. They are skipped, each with what it needs; all
 * others run as ever.
 *
 * And those that look at what comes next after a free: where a sanitizer lets freed objects wait
 * (CONFIG=kasan), none does as long as such a test runs.
 */
#include "mm/slab_internal.h"

#include <lib/string.h>
#include <mm/debug.h>
#include <mm/guard.h>
#include <mm/harden.h>
#include <tests/test.h>

/* What a test needs to be as it is without debugging and hardening. */
enum need {
	STACKS,    /* the CPUs' page stacks */
	MAGAZINES, /* of any cache */
	LAYOUT,    /* strides, slabs and places of objects; sizes that are those of classes */
	ORDER,     /* of the objects that are given out */
	CLASSES,   /* one cache a size class */
	LARGE,     /* a large kmalloc is just its pages */
	REUSE,     /* freed pages are the next to be had */
	SLABS,     /* all objects lie in slabs, and the pool of guard pages is the test's */
};

static const struct {
	const char *tests;
	enum need need;
} table[] = {
    {"cpu_pages.*", STACKS},
    {"cpu_pages_check.*", STACKS},
    {"check.every_layer_is_asked", STACKS},
    {"contig.empties_the_caches_first", STACKS},
    {"counters.a_trip_to_the_zone_and_its_lock_are_counted", STACKS},
    {"books.magazines_hold_objects_by_their_size", MAGAZINES},
    {"depot_learning.*", MAGAZINES},
    {"contig_edges.plenty_is_had_without_emptying_caches", STACKS},
    {"cpu_pages_edges.*", STACKS},
    {"page_alloc_edges.memory_is_not_cleared_unless_asked", STACKS},
    {"audit.balances_with_some_of_everything", MAGAZINES},
    {"audit.counts_depots_and_what_is_offline", MAGAZINES},
    {"sweep_kernel.threads", STACKS}, /* how often it allocates depends on them */
    {"misuse.page_raced", STACKS},
    {"page_alloc.falls_back_from_high_zones_to_low", REUSE},
    {"page_alloc.zeroed_memory_is_zero_though_it_was_dirty", REUSE},
    {"page_gap.blocks_are_as_ever_and_cost_a_page_more", REUSE},
    {"context_interrupt.at_every_instruction*", REUSE}, /* each free verifies another page */
    {"misuse.cached_page_damaged", STACKS},
    {"unreferenced_kernel.guarded_objects_are_roots", MAGAZINES},
    {"misuse.free_raced", MAGAZINES},
    {"misuse.kfree_never_allocated", LAYOUT},
    {"misuse.free_bits_damaged", LAYOUT},
    {"unreferenced.any_address_inside_leads_to_it_and_none_beside", LAYOUT}, /* ksize is exact */
    {"fast_path.*", MAGAZINES},
    {"event.stacks_and_magazines_keep_what_they_hold", MAGAZINES},
    {"event.counts_are_those_of_the_statistics", MAGAZINES},
    {"guard.*", MAGAZINES}, /* only caches with magazines are sampled */
    {"guard_pages.*", MAGAZINES},
    {"slab_depot.*", MAGAZINES},
    {"slab_kept.*", MAGAZINES},
    {"slab_trips.*", MAGAZINES},
    {"slab_moments.*", MAGAZINES},
    {"slab_cache.what_a_cache_costs_beside_its_slabs", MAGAZINES},
    {"slab_cache.traffic_of_a_cache", MAGAZINES},
    {"slab_cache.no_memory_for_the_contexts_of_a_cache", MAGAZINES},
    {"slab_cache.*_the_magazines_of_others*", MAGAZINES},
    {"site.objects_know_who_asked_for_them", MAGAZINES},
    {"page_alloc.cached_blocks_are_used_before_failing", STACKS},
    {"slab_fault.wrong_cache", MAGAZINES},
    {"misuse.write_past_the_end", MAGAZINES}, /* sampled objects come where magazines are empty */
    {"misuse.read_past_the_end", MAGAZINES},
    {"misuse.write_before_the_start", MAGAZINES},
    {"misuse.write_after_free", MAGAZINES},
    {"misuse.read_after_free", MAGAZINES},
    {"misuse.canary", MAGAZINES},
    {"slab_fault.an_object_in_two_magazines", MAGAZINES},
    {"slab_fault.free_of_an_object_that_was_never_handed_out", LAYOUT},
    {"slab.the_object_just_freed_comes_next", MAGAZINES},
    {"slab.an_address_tells_its_object", MAGAZINES},
    {"traffic.random_mix", MAGAZINES},
    {"slab.nothing_is_written_into_free_objects", LAYOUT},
    {"slab_check.*", LAYOUT},
    {"slab_lists.*", LAYOUT},
    {"kmalloc.krealloc_gives_back_what_a_smaller_size_does_not_need", LAYOUT},
    {"kmalloc.a_krealloc_that_fails_leaves_the_block", LAYOUT},
    {"kmalloc.sensitive_contents_are_wiped", LAYOUT},
    {"kmalloc.krealloc_from_class_to_class", LAYOUT},
    {"kmalloc.blocks_of_the_first_call_site", LAYOUT},
    {"kmalloc.blocks_of_every_class_and_its_edges", LAYOUT},
    {"kmalloc.krealloc_stays_where_it_fits", LAYOUT},
    {"kmalloc_check.K1_classes_are_as_large_as_their_sizes", LAYOUT},
    {"bounds.of_a_slabs_object", CLASSES},
    {"bounds.of_copies", CLASSES},
    {"kmalloc.large_blocks_take_exactly_their_pages", LARGE},
    {"kmalloc.krealloc_gives_back_what_a_smaller_size_does_not_need", LARGE},
    {"kmalloc.krealloc_from_class_to_class", CLASSES},
    {"context_interrupt.stacks_are_half_changed_in_fast_paths_alone", CLASSES},
    {"kmalloc.krealloc_with_a_full_magazine", CLASSES},
    {"debug_edges.the_audit_counts_untouched_memory_and_other_kinds", LARGE},
    {"slab_fault.a_free_bit_of_a_used_object", ORDER},
    {"misuse.free_bits_damaged", ORDER},
    {"inject.frees_and_checks_hold_while_armed", ORDER},
    {"unreferenced.any_address_inside_leads_to_it_and_none_beside", ORDER},
    {"pressure.who_would_rather_fail", CLASSES},
    {"guard.an_access_past_either_end_is_named", CLASSES},
    {"guard.a_use_after_free_is_named", CLASSES},
    {"guard.what_is_written_beside_is_found_at_the_free", CLASSES},
    {"misuse.write_past_the_end", CLASSES},
    {"misuse.read_past_the_end", CLASSES},
    {"misuse.write_before_the_start", CLASSES},
    {"misuse.write_after_free", CLASSES},
    {"misuse.read_after_free", CLASSES},
    {"misuse.canary", CLASSES},
    {"guard.a_fault_between_two_objects_is_the_nearer_ones", CLASSES},
    {"oom.one_screen_of_who_holds_what", LARGE},
    {"slab_cache_boot.the_manager_s_caches_then_kmalloc_s", CLASSES},
    {"kmalloc_boot.large_blocks_are_counted_from_none", LARGE},
    {"retire.a_page_in_a_cpu_s_cache_is_free", STACKS},
    {"sweep.caches", MAGAZINES},
    {"guard.*", SLABS},
    {"slab_fault.behind_the_last_object_of_a_slab", LAYOUT},
    {"bounds.of_pages_and_large_blocks", LAYOUT},
    {"bounds.of_an_object_between_guard_pages", MAGAZINES},
    {"bounds.of_copies", LAYOUT},
    {"slab_random.*", LAYOUT},
    {"legal.contents_of_caches_of_every_kind", LAYOUT},
    {"misuse.read_before_the_start", SLABS},
    {"misuse.read_before_the_start", MAGAZINES},
    {"misuse.canary_left", SLABS},
    {"misuse.canary_left", MAGAZINES},
    {"misuse.guarded_twice", SLABS},
    {"misuse.guarded_twice", MAGAZINES},
    {"misuse.guarded_interior", SLABS},
    {"misuse.guarded_interior", MAGAZINES},
    {"misuse.read_before_the_start", CLASSES},
    {"misuse.canary_left", CLASSES},
    {"view.every_kind_has_its_letter", SLABS},
    {"misuse.memcpy_over_object", SLABS},
    {"misuse.memcpy_over_object", CLASSES},
    {"misuse.copy_over_object", SLABS},
    {"misuse.copy_over_object", LAYOUT},
    {"misuse.copy_over_object", CLASSES},
    {"misuse.memcpy_over_object", LAYOUT},
    {"misuse.copy_from_freed", CLASSES},
    {"misuse.copy_from_freed", SLABS},
    {"slab_check.*", SLABS},
    {"slab_trips.*", SLABS},
    {"slab_depot.*", SLABS},
    {"slab_lists.*", SLABS},
    {"slab_kept.*", SLABS},
    {"slab_moments.*", SLABS},
    {"fast_path.*", SLABS},
    {"depot_learning.*", SLABS},
    {"guard_pages.*", SLABS},
    {"kmalloc_check.*", SLABS},
    {"slab_fault.*", SLABS},
    {"slab_random.*", SLABS},
    {"kmalloc_fault.*", SLABS},
    {"inject.a_sweep_*", SLABS},
    {"unreferenced*", SLABS},
    {"audit.*", SLABS},
    {"bounds.*", SLABS},
    {"kmalloc.blocks_of_every_class_and_its_edges", SLABS},
    {"kmalloc.sensitive_contents_are_wiped", SLABS},
    {"kmalloc.a_named_node_changes_no_class", SLABS},
    {"page_free.of_pages_in_other_hands", SLABS},
    {"site.objects_know_who_asked_for_them", SLABS},
    {"slab.objects_of_any_size_and_alignment", SLABS},
    {"slab.constructors_run_once_and_their_work_survives", SLABS},
    {"slab.few_empty_slabs_are_kept", SLABS},
    {"slab.the_fullest_slab_refills_first", SLABS},
    {"sweep.caches", SLABS},
    {"misuse.write_past_the_end", SLABS},
    {"misuse.read_past_the_end", SLABS},
    {"misuse.write_before_the_start", SLABS},
    {"misuse.write_after_free", SLABS},
    {"misuse.read_after_free", SLABS},
    {"misuse.canary", SLABS},
    {"misuse.kfree_never_allocated", SLABS},
    {"misuse.slab_page", SLABS},
    {"retire.a_page_of_a_slab", SLABS},
    {"slab_cache.live_objects_are_those_of_all_caches_but_the_manager_s", SLABS},
    {"kmalloc.krealloc_gives_back_what_a_smaller_size_does_not_need", SLABS},
    {"sweep_kernel.threads", SLABS},
    {"cpu_pages.one_trip_to_the_zone_serves_many", SLABS},
    {"kmalloc.krealloc_from_class_to_class", SLABS},
    {"slab.bulk_is_all_or_nothing", SLABS},
    {"kmalloc.krealloc_with_a_full_magazine", SLABS},
    {"sweep.vmem", SLABS},
    {"vmem_quantum.without_memory_for_magazines_there_is_no_arena", SLABS},
};

static bool has_guard_pool(void)
{
	struct guard_stats pool;

	guard_stats(&pool);
	return pool.nr_objects != 0;
}

static const char *const reusing[] = {
    "books.a_full_magazine_is_sound",
    "event.stacks_and_magazines_keep_what_they_hold",
    "inject.frees_and_checks_hold_while_armed",
    "kmalloc.krealloc_from_class_to_class",
    "kmalloc.krealloc_with_a_full_magazine",
    "misuse.free_raced",
    "slab.constructors_run_once_and_their_work_survives",
    "slab.few_empty_slabs_are_kept",
    "slab.the_fullest_slab_refills_first",
    "slab.the_object_just_freed_comes_next",
    "slab_fault.an_object_in_two_magazines",
    "traffic.random_mix",
};

static bool wants_reuse(const char *full_name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reusing); i++)
		if (str_matches(reusing[i], full_name))
			return true;
	return false;
}

const char *test_not_applicable(const char *full_name)
{
	static const char *const reasons[] = {
	    [STACKS] = "slab_debug, page_red_zones: no page waits in a CPU's stack",
	    [MAGAZINES] = "slab_debug: caches have no magazines",
	    [LAYOUT] = "slab_debug: objects lie otherwise",
	    [ORDER] = "slab_random: objects come in another order",
	    [CLASSES] = "kmalloc_copies: a size class is several caches",
	    [LARGE] = "kmalloc_guard: a large kmalloc has two pages more",
	    [REUSE] = "slab_debug=Q: freed pages wait",
	    [SLABS] = "kfence: some objects lie between guard pages",
	};
	const struct mm_hardening hardening = mm_hardening();
	const bool caches = mm_debug_letters("?") != 0;
	const bool missing[] = {
	    [STACKS] = page_debug_on,
	    [MAGAZINES] = caches,
	    [LAYOUT] = caches,
	    [ORDER] = hardening.slab_random,
	    [CLASSES] = hardening.kmalloc_copies > 1,
	    [LARGE] = hardening.kmalloc_guard,
	    [REUSE] = (mm_debug_letters("pages") & DEBUG_QUARANTINE) != 0,
	    [SLABS] = has_guard_pool(),
	};

	quarantine_is_paused = wants_reuse(full_name);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (missing[table[i].need] && str_matches(table[i].tests, full_name))
			return reasons[table[i].need];
	return NULL;
}
