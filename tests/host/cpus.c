/*
 * CPUs as threads: see cpus.h.
 *
 * The barrier is the C library's, so under the thread sanitizer what was written before it is
 * ordered before what is read after it; between two meetings only mm/'s own locks order anything,
 * which is the point.
 */
#include "mm/internal.h"

#include <lib/assert.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include <pthread.h>

struct worker {
	pthread_t thread;
	unsigned cpu;
	void (*fn)(void *arg);
	void *arg;
};

static pthread_barrier_t barrier;

void host_cpus_meet(void)
{
	pthread_barrier_wait(&barrier);
}

static void *work(void *argument)
{
	struct worker *w = argument;

	host_cpu_enter(w->cpu);
	host_cpus_meet();
	w->fn(w->arg);
	return NULL;
}

void host_cpus_run(unsigned n, void (*fn)(void *arg), void *arg)
{
	struct worker worker[MAX_CPUS];

	assert(n > 0 && n <= mm_nr_cpus && cpu_id() == 0);
	pthread_barrier_init(&barrier, NULL, n);
	for (unsigned cpu = 0; cpu < n; cpu++)
		worker[cpu] = (struct worker){.cpu = cpu, .fn = fn, .arg = arg};
	for (unsigned cpu = 1; cpu < n; cpu++)
		if (pthread_create(&worker[cpu].thread, NULL, work, &worker[cpu]) != 0)
			panic("host: no thread for CPU %u", cpu);
	work(&worker[0]);
	for (unsigned cpu = 1; cpu < n; cpu++)
		pthread_join(worker[cpu].thread, NULL);
	pthread_barrier_destroy(&barrier);
}

/* --- another machine for a while --- */

static u64 own_bytes;
static unsigned own_cpus;

static void remember_own(void)
{
	own_bytes = host_machine_pc_bytes();
	own_cpus = mm_nr_cpus;
	assert(own_bytes != 0); /* the host's test program runs on a PC */
}

const struct memmap *host_machine_borrow(u64 bytes, unsigned nr_cpus)
{
	remember_own();
	mm_nr_cpus = nr_cpus;
	return host_machine_boot_pc(bytes != 0 ? bytes : own_bytes);
}

const struct memmap *host_machine_borrow_nodes(const struct mem_range *firmware, u32 nr,
                                               const struct mm_topology *topology, unsigned nr_cpus)
{
	assert(nr_cpus <= topology->nr_nodes);
	remember_own();
	mm_set_topology(topology);
	for (unsigned cpu = 0; cpu < nr_cpus; cpu++)
		mm_set_cpu_node(cpu, cpu);
	mm_nr_cpus = nr_cpus;
	return host_machine_boot(firmware, nr);
}

void host_machine_return(void)
{
	static const struct mm_topology one_node = {.nr_nodes = 1};

	host_cpus_answer = false;
	mm_set_topology(&one_node);
	mm_nr_cpus = own_cpus;
	host_machine_boot_pc(own_bytes);
}
