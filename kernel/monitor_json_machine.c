/*
 * The answers for scripts (<kernel/json.h>) of the commands about the machine and the kernel around
 * the memory manager: memory map, CPUs, threads, locks, log.
 */
#include <kernel/cpu.h>
#include <kernel/json.h>
#include <kernel/log.h>
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <lib/lock_class.h>
#include <mm/stats.h>

static int json_memmap(int argc, char **argv)
{
	const struct memmap *m = memory_map();

	(void)argc;
	(void)argv;
	for (u32 i = 0; i < m->nr; i++) {
		const struct mem_range *r = &m->range[i];

		json_begin();
		json_number("start", r->base);
		json_number("end", r->base + r->length);
		json_text("type", memmap_type_name(r->type));
		json_end();
	}
	return 0;
}

static int json_cpus(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < smp_nr_cpus(); i++) {
		struct sched_stats s;

		sched_stats(i, &s);
		json_begin();
		json_number("cpu", i);
		json_number("apic_id", cpu_of(i)->apic_id);
		json_number("node", cpu_of(i)->node);
		json_number("threads", s.nr_threads);
		json_number("switches", s.nr_switches);
		json_number("preemptions", s.nr_preempted);
		json_number("deferred", s.nr_deferred);
		json_end();
	}
	return 0;
}

static int json_threads(int argc, char **argv)
{
	struct thread_info t;

	(void)argc;
	(void)argv;
	for (u32 id = 0; thread_next(id, &t); id = t.id) {
		json_begin();
		json_text("name", t.name);
		json_number("id", t.id);
		json_number("cpu", t.cpu);
		json_text("state", t.state);
		json_end();
	}
	return 0;
}

/* How often it was taken is counted in CONFIG=debug. */
static void print_lock_class(void *unused, const struct lock_class *c)
{
	(void)unused;
	json_begin();
	json_text("lock", c->name);
#ifdef CONFIG_DEBUG
	json_number("taken", c->nr_taken);
#endif
	json_number("waited", c->nr_waited);
	json_end();
}

static int json_locks(int argc, char **argv)
{
	struct mm_traffic t;

	(void)argc;
	(void)argv;
	lock_class_visit(print_lock_class, NULL);
	mm_traffic(&t);
	json_begin();
	json_number("zone_locks", t.zone_locks);
	json_number("zone_waits", t.zone_waits);
	json_number("cache_locks", t.cache_locks);
	json_number("cache_waits", t.cache_waits);
	json_number("page_trips", t.page_trips);
	json_number("object_trips", t.object_trips);
	json_end();
	return 0;
}

static void print_log_line(enum log_level level, const char *text, size_t len, void *unused)
{
	(void)unused;
	json_begin();
	json_number("level", level);
	json_bytes("text", text, len);
	json_end();
}

static int json_log(int argc, char **argv)
{
	u64 nr = MONITOR_LOG_LINES;

	if (argc == 2 && !monitor_number(argv[0], argv[1], &nr))
		return -EINVAL;
	log_for_each_tail(nr < MONITOR_MAX_LOG_LINES ? (unsigned)nr : MONITOR_MAX_LOG_LINES,
	                  print_log_line, NULL);
	return 0;
}

const struct json_command json_machine_commands[] = {
    {"memmap", 0, json_memmap},
    {"cpus", 0, json_cpus},
    {"threads", 0, json_threads},
    {"locks", 0, json_locks},
    {"log", 1, json_log},
    {"trace", 2, monitor_trace_json},
    {NULL, 0, NULL},
};
