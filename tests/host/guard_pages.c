/*
 * Guard pages on the host (platform_guard() of mm/platform.h): mprotect(), and a handler of SIGSEGV
 * that asks mm/ what the fault means, as the kernel's trap handler does.
 *
 * What is none of the pool's is a fault like any other: the handler takes itself away, and the
 * instruction faults again.
 */
#define _GNU_SOURCE
#include <lib/assert.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/sealed.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

u64 host_guard_refused;

#define ERROR_WRITE 2 /* in the processor's error code of a page fault */

static void on_fault(int number, siginfo_t *info, void *context)
{
	const greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (!guard_fault((u64)info->si_addr, reg[REG_ERR] & ERROR_WRITE, "an instruction"))
		signal(number, SIG_DFL);
}

/* A caught panic leaves the handler by a jump: the signal must not stay blocked. */
static void take_faults(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	if (sigaction(SIGSEGV, &action, NULL) != 0)
		panic("host: sigaction");
}

bool platform_guard_begin(void *start, u64 length)
{
	(void)start;
	(void)length;
	take_faults();
	return host_guard_refused == 0 || --host_guard_refused != 0;
}

void platform_guard(void *page, bool accessible)
{
	if (mprotect(page, PAGE_SIZE, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
		panic("host: mprotect");
}

/* A process's own memory: nothing is known of it here. */
const char *platform_bounds_fault(const void *p, size_t n)
{
	(void)p;
	(void)n;
	return NULL;
}

/* Nothing is sealed in a process. */
void sealed_store(void *to, u64 word)
{
	*(u64 *)to = word;
}
