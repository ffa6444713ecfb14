/*
 * The monitor's commands that look for mistakes: what was leaked, what is where, allocations that
 * fail on purpose, objects between guard pages. What they do is in mm/debug/; here are their words.
 */
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/pagetable.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/audit.h>
#include <mm/mm.h>

/* NULL: off. 0, or a line in the log or on the console has said why not. */
static int arm(enum inject_point point, const char *name, const char *text)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];
	int error = text != NULL ? inject_parse(point, text, &rule, why) : 0;

	if (error == 0) {
		error = inject_set(point, text != NULL ? &rule : NULL);
		str_copy(why, "other CPUs cannot be told now", sizeof(why));
	}
	if (error != 0)
		log_warn("%s: %s; nothing is changed", name, why);
	return error;
}

void monitor_arm(const char *failslab, const char *fail_page_alloc)
{
	if (failslab[0] != '\0')
		(void)arm(INJECT_OBJECTS, "failslab", failslab);
	if (fail_page_alloc[0] != '\0')
		(void)arm(INJECT_PAGES, "fail_page_alloc", fail_page_alloc);
}

static int inject(enum inject_point point, int argc, char **argv)
{
	if (argc == 2)
		return arm(point, argv[0], strcmp(argv[1], "off") == 0 ? NULL : argv[1]);
	stats_print_inject();
	return 0;
}

int monitor_leaks(int argc, char **argv)
{
	s64 nr = stats_print_leaks();

	(void)argc;
	(void)argv;
	return nr < 0 ? (int)nr : 0;
}

int monitor_audit(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return stats_print_audit(memory_map(), pagetable_nr_pages());
}

int monitor_failslab(int argc, char **argv)
{
	return inject(INJECT_OBJECTS, argc, argv);
}

int monitor_fail_page_alloc(int argc, char **argv)
{
	return inject(INJECT_PAGES, argc, argv);
}

/* 0, or a line in the log has said why not. */
static int start_guard(const char *text)
{
	struct guard_options options;
	char why[GUARD_WHY_MAX];
	int error = guard_parse(text, &options, why);

	if (error != 0) {
		log_warn("kfence: %s; nothing is changed", why);
		return error;
	}
	if (options.seed == 0)
		options.seed = cycles();
	error = guard_start(&options);
	if (error != 0)
		log_warn("kfence: %s", error == -ENOMEM ? "no memory for the guard pages"
		                                        : "it is on already: kfence off first");
	else
		log_info("kfence: every %lu%s trips, %lu objects between guard pages",
		         options.interval, options.random ? " (by chance)" : "",
		         options.nr_objects);
	return error;
}

void monitor_guard(const char *kfence)
{
	if (kfence[0] != '\0')
		(void)start_guard(kfence);
}

int monitor_kfence(int argc, char **argv)
{
	int error = 0;

	if (argc == 1)
		stats_print_guard();
	else if (strcmp(argv[1], "off") != 0)
		return start_guard(argv[1]);
	else
		error = guard_stop();
	if (error != 0)
		log_warn("kfence: objects between guard pages live; it stays on");
	return error;
}
