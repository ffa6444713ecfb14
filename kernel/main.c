/*
 * The order of the boot, and what the machine is for this time: tests, a replay, the benchmarks or
 * the monitor.
 *
 * boot/start.asm calls kernel_main() on CPU 0 with interrupts off and the early page tables.
 */
#include <kernel/cmdline.h>
#include <kernel/console.h>
#include <kernel/cpu.h>
#include <kernel/demo.h>
#include <kernel/events.h>
#include <kernel/irq.h>
#include <kernel/kasan.h>
#include <kernel/machine.h>
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/paging.h>
#include <kernel/reclaimer.h>
#include <kernel/replay.h>
#include <kernel/sched.h>
#include <kernel/sign_key.h>
#include <kernel/smp.h>
#include <kernel/symbols.h>
#include <kernel/trap.h>
#include <lib/assert.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <mm/harden.h>
#include <tests/bench/bench.h>
#include <tests/kernel/stress.h>
#include <tests/test.h>

_Noreturn void kernel_main(u32 magic, u64 info_pa);

static void set_console_level(const struct options *o)
{
	bool for_scripts = o->test || o->bench || o->replay[0] || o->stress != 0;

	console_set_level(o->quiet ? LOG_WARN : (int)o->loglevel);
	console_set_colours(!for_scripts);
}

static _Noreturn void end(bool passed)
{
	events_finish();
	machine_exit(passed ? MACHINE_PASS : MACHINE_FAIL);
}

static _Noreturn void run_tests(const struct options *o)
{
	u64 seed = o->has_seed ? o->seed : cycles();
	int failed;

	log_info("test: seed %llu", (unsigned long long)seed);
	failed = test_run_all(o->test_pattern, seed);
	if (failed == -ENOENT)
		kprintf("test: nothing matches \"%s\"\n", o->test_pattern);
	end(failed == 0);
}

static _Noreturn void run_benches(const struct options *o)
{
	int err = bench_run_all(o->bench_pattern);

	if (err == -ENOENT)
		kprintf("bench: nothing matches \"%s\"\n", o->bench_pattern);
	end(err == 0);
}

static _Noreturn void run_replay(const struct options *o)
{
	end(replay_run(boot_info(), o->replay) == 0);
}

static _Noreturn void run_stress(const struct options *o)
{
	end(stress_for(o->has_seed ? o->seed : cycles(), o->stress));
}

static _Noreturn void run_demo(const struct options *o)
{
	if (!demo_start(o->has_seed ? o->seed : cycles()))
		end(false);
	thread_sleep((unsigned)o->demo_for * 1000);
	demo_stop();
	end(true);
}

static _Noreturn void run(const struct options *o)
{
	if (o->test)
		run_tests(o);
	if (o->bench)
		run_benches(o);
	if (!reclaimer_start()) /* from here on nothing must go the same way each time */
		log_warn("reclaim: no memory for the background thread; who allocates reclaims");
	if (o->replay[0])
		run_replay(o);
	if (o->stress != 0)
		run_stress(o);
	if (o->demo_for != 0)
		run_demo(o);
	monitor_run(boot_info(), o->demo);
}

/* What the allocators are to be, before there are any. */
static void choose_hardening(const struct options *o)
{
	const struct mm_hardening choice = {
	    .seed = o->has_seed ? o->seed : cpu_random(),
	    .slab_random = o->slab_random,
	    .kmalloc_data = o->kmalloc_data,
	    .kmalloc_guard = o->kmalloc_guard,
	    .kmalloc_copies = (u32)o->kmalloc_copies,
	};

	mm_harden(&choice);
}

__no_kasan _Noreturn void kernel_main(u32 magic, u64 info_pa)
{
	const char *broken;

	kasan_early_init();   /* CONFIG=kasan: functions may store into the stack's shadow */
	cpu_init();           /* %gs, descriptors, stacks: cpu_id() and locks work */
	trap_init();          /* a fault is reported from here on */
	console_early_init(); /* serial port: text is seen from here on */
	cpu_detect();         /* what this CPU can do, its address width */
	sign_key_take(magic, info_pa);         /* of a graded run: before anyone can read it */
	memory_read_boot_info(magic, info_pa); /* the loader's bytes become struct boot_info */
	cmdline_init(boot_info());             /* options() */
	set_console_level(options());
	choose_hardening(options());
	if (options()->safe)
		cpu_forget_features();
	cpu_enable_features(); /* NX, write protection, SMEP, SMAP, UMIP … */
	smp_read_tables();     /* how many CPUs and nodes there are */
	memory_init();         /* memory map → final page tables → page allocator → kmalloc */
	console_init(boot_info()); /* the screen shows what was logged so far */
	sched_init();              /* this is a thread now */
	smp_init();                /* interrupt controllers of the CPUs; the others start */
	irq_init();                /* devices */
	memory_give_back();        /* what only the boot needed */
	__asm__ volatile("sti");

	broken = symbols_check();
	if (broken)
		panic("symbols: %s", broken);
	log_info("Strata is up: %u symbols, %llu million cycles since reset",
	         (unsigned)symbol_count(), (unsigned long long)(cycles() / 1000000));
	events_start_thread(); /* if events are on */
	paging_seal();
	monitor_guard(options()->kfence);
	monitor_arm(options()->fail[INJECT_OBJECTS], options()->fail[INJECT_PAGES]);
	run(options());
}
