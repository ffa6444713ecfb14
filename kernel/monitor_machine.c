/*
 * The monitor's commands for the machine and the kernel around the memory manager.
 */
#include <kernel/console.h>
#include <kernel/cpu.h>
#include <kernel/events.h>
#include <kernel/irq.h>
#include <kernel/log.h>
#include <kernel/machine.h>
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/symbols.h>
#include <lib/lock_class.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/stats.h>
#include <tests/kernel/traffic.h>
#include <tests/test.h>

#define WORK_OPS 200000 /* of locks' workloads */

int monitor_memmap(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	const struct memmap *m = memory_map();
	char size[16];

	for (u32 i = 0; i < m->nr; i++) {
		const struct mem_range *r = &m->range[i];

		if (console_interrupted())
			return 0;
		kprintf("0x%012llx - 0x%012llx  %-10s  %s\n", (unsigned long long)r->base,
		        (unsigned long long)(r->base + r->length - 1),
		        format_bytes(size, r->length), memmap_type_name(r->type));
	}
	memory_print_account();
	return 0;
}

static void print_feature(bool has, const char *name)
{
	kprintf(" %s%s", has ? "" : "no-", name);
}

static void print_interrupts(void)
{
	kprintf("interrupts:");
	for (unsigned line = 0; line < IRQ_NR_LINES; line++)
		if (irq_count(line) > 0)
			kprintf(" line %u: %llu,", line, (unsigned long long)irq_count(line));
	kprintf(" unexpected: %llu\n", (unsigned long long)irq_spurious_count());
}

static void print_cpus(void)
{
	for (unsigned i = 0; i < smp_nr_cpus(); i++) {
		struct sched_stats s;

		sched_stats(i, &s);
		kprintf(
		    "CPU %u: APIC id %u, node %u; %u threads, %lu switches, %lu pre-emptions, %lu "
		    "put off\n",
		    i, cpu_of(i)->apic_id, cpu_of(i)->node, s.nr_threads, s.nr_switches,
		    s.nr_preempted, s.nr_deferred);
	}
}

int monitor_cpu(int argc, char **argv)
{
	const struct cpu_features *f = &cpu_features;

	(void)argc;
	(void)argv;
	kprintf("%s%s%s, %u physical and %u virtual address bits\n", f->vendor,
	        f->brand[0] != '\0' ? " " : "", f->brand, f->phys_bits, f->virt_bits);
	kprintf("features:");
	print_feature(f->nx, "nx");
	print_feature(f->gib_pages, "1gib-pages");
	print_feature(f->global_pages, "global-pages");
	print_feature(f->smep, "smep");
	print_feature(f->smap, "smap");
	print_feature(f->umip, "umip");
	kprintf("\n");
	print_cpus();
	print_interrupts();
	return 0;
}

int monitor_cpus(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	print_cpus();
	return 0;
}

int monitor_threads(int argc, char **argv)
{
	struct thread_info t;

	(void)argc;
	(void)argv;
	kprintf("%5s %4s  %-8s %s\n", "id", "CPU", "state", "name");
	for (u32 id = 0; thread_next(id, &t) && !console_interrupted(); id = t.id)
		kprintf("%5u %4u  %-8s %s\n", t.id, t.cpu, t.state, t.name);
	return 0;
}

static void print_lock_class(void *context, const struct lock_class *c)
{
	(void)context;
#ifdef CONFIG_DEBUG
	kprintf("%-24s %12lu %12lu\n", c->name, c->nr_taken, c->nr_waited);
#else
	kprintf("%-24s %12s %12lu\n", c->name, "-", c->nr_waited);
#endif
}

static void print_locks(void)
{
	struct mm_traffic t;

	mm_traffic(&t);
	kprintf("%-24s %12s %12s\n", "lock", "taken", "waited for");
	lock_class_visit(print_lock_class, NULL);
	kprintf("of the zones and caches there are now:\n");
	kprintf("%-24s %12lu %12lu\n", "zones", t.zone_locks, t.zone_waits);
	kprintf("%-24s %12lu %12lu\n", "slab caches' own", t.cache_locks, t.cache_waits);
	kprintf("trips of pages to zones: %lu; of objects to depots and slabs: %lu\n", t.page_trips,
	        t.object_trips);
}

/* Runs the workload, which takes a second or two. */
static int count_locks(const char *work)
{
	bool remote = strcmp(work, "remote") == 0, done;
	struct traffic t;
	char text[128];

	if (!remote && strcmp(work, "mix") != 0) {
		kprintf("locks: %s is not a workload; mix and remote are\n", work);
		return -EINVAL;
	}
	if (remote && smp_nr_cpus() < 2) {
		kprintf("locks: remote needs two CPUs; here is one\n");
		return -ENOENT;
	}
	done = remote ? traffic_remote_on_cpus(cycles(), 1, WORK_OPS / 2, TRAFFIC_MIX, &t)
	              : traffic_mix(cycles(), WORK_OPS / 2, WORK_OPS / 2, &t);
	if (!done) {
		kprintf("locks: not enough memory for the workload\n");
		return -ENOMEM;
	}
	kprintf("%s, %lu operations; per 1000:\n%s\n", work, t.nr_ops, traffic_format(text, &t));
	return 0;
}

int monitor_locks(int argc, char **argv)
{
	if (argc == 2)
		return count_locks(argv[1]);
	print_locks();
	return 0;
}

int monitor_log(int argc, char **argv)
{
	u64 lines = MONITOR_LOG_LINES;

	if (argc == 2 && !monitor_number(argv[0], argv[1], &lines))
		return -EINVAL;
	log_print_tail(lines < MONITOR_MAX_LOG_LINES ? (unsigned)lines : MONITOR_MAX_LOG_LINES);
	return 0;
}

int monitor_loglevel(int argc, char **argv)
{
	u64 level;

	if (argc == 2) {
		if (!monitor_number(argv[0], argv[1], &level))
			return -EINVAL;
		if (level > LOG_DEBUG) {
			kprintf("loglevel: %s is not 0 to 7\n", argv[1]);
			return -EINVAL;
		}
		console_set_level((int)level);
	}
	kprintf("loglevel: %d\n", console_level());
	return 0;
}

static int where_name(const char *name)
{
	u64 address = symbol_address(name);

	if (address == 0) {
		kprintf("where: \"%s\" is no address and no function's name\n", name);
		return -ENOENT;
	}
	kprintf("%#llx  %s\n", (unsigned long long)address, name);
	return 0;
}

int monitor_where(int argc, char **argv)
{
	char name[96];
	u64 address, offset;

	(void)argc;
	if (str_to_u64(argv[1], false, &address) != 0)
		return where_name(argv[1]);
	if (symbol_find(address, &offset) == NULL) {
		kprintf("where: %#llx is not in the kernel's code\n", (unsigned long long)address);
		return -ENOENT;
	}
	kprintf("%#llx  %s\n", (unsigned long long)address,
	        symbol_format(name, sizeof(name), address));
	return 0;
}

/* Held allocations stay: each test's leak gate compares with the state before that test. */
int monitor_test(int argc, char **argv)
{
	int failed = test_run_all(argc == 2 ? argv[1] : NULL, cycles());

	return failed == 0 ? 0 : failed < 0 ? failed : -EFAULT;
}

int monitor_reboot(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	kprintf("rebooting\n");
	events_finish();
	machine_reboot();
}

int monitor_poweroff(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	kprintf("switching off\n");
	events_finish();
	machine_poweroff();
}
