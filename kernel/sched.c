/*
 * The scheduler: a queue of ready threads on each CPU, served round robin.
 *
 * Threads do not move, so only one CPU ever takes from a queue and runs what is on it; others only
 * add to it (a wake-up, a new thread), under the queue's lock. That makes the switch simple: with
 * interrupts off the CPU takes the next thread, releases the lock, and changes stacks; nobody else
 * could run either thread meanwhile.
 *
 * In CONFIG=debug each call that may sleep says so by sched_check_sleep(), and a switch stops the
 * machine when a spinlock is held: its holder would not stay on its CPU.
 *
 * Pre-emption happens at the end of an interrupt, and is put off to the next one while the
 * interrupted code may not be left: inside sched_stay(), with interrupts off (an NMI), or in a fast
 * path of mm/ (mm_in_fast_path()), whose per-CPU state is half done there.
 *
 *   S1  a thread is on its CPU's ready list exactly when READY, on its sleepers' list only when
 * BLOCKED
 *
 *   S2  the current thread of a CPU is RUNNING, or BLOCKED or DEAD or READY on its way out
 *
 *   S3  a dead thread's stack is given back by the next thread, which no longer stands on it
 *
 * Cost: a switch is a dozen memory accesses; a tick looks at the sleepers whose time has come. A
 * CPU that idles has its timer off.
 */
#include <kernel/apic.h>
#include <kernel/cpu.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/stack.h>
#include <kernel/thread_list.h>
#include <kernel/trap.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/lock_check.h>
#include <lib/race.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/context.h>
#include <mm/guard.h>
#include <mm/kmalloc.h>

enum thread_state { THREAD_READY, THREAD_RUNNING, THREAD_BLOCKED, THREAD_DEAD };

/* Q: its CPU's queue's lock. C: constant once it runs. */
struct thread {
	u64 rsp;                        /* while it does not run */
	enum thread_state state;        /* Q */
	struct list link;               /* Q: ready or sleeping */
	u64 wake_tick;                  /* Q: while it sleeps */
	bool sleeping;                  /* Q: it is on the sleepers' list */
	struct run_queue *queue;        /* C */
	u64 stack;                      /* C: 0 for what ran before there were threads */
	void (*fn)(void *arg);          /* C */
	void *arg;                      /* C */
	struct thread *joiner;          /* Q: who waits for its end */
	bool finished;                  /* Q: its stack is gone too */
	struct mm_thread mm;            /* its own */
	u32 nr_stays;                   /* its own */
	struct trap_recovery *recovery; /* while it does not run: the CPU's (kernel/trap.h) */
	struct thread_entry entry;      /* kernel/thread_list.h */
	char name[THREAD_NAME_MAX];     /* C */
};

struct run_queue {
	struct spinlock lock;
	struct list ready, sleeping;
	struct thread *current, *idle; /* its own CPU */
	struct thread *dead;           /* its own CPU: waits for its stack to be given back */
	unsigned cpu, nr_threads;      /* C; Q */
	bool resched, running;         /* A */
	bool ticking;                  /* its own CPU: the timer is on */
	u64 ticks, nr_switches, nr_preempted, nr_deferred;
	struct thread first; /* the idle thread, or CPU 0's first */
};

void thread_switch(u64 *old_rsp, u64 new_rsp);
void thread_start(void);
_Noreturn void thread_main(void);

static struct run_queue queue0;
static void (*tick_hook)(void); /* A */
static bool has_timer;          /* CPU 0's runs: the others start theirs */

static struct run_queue *this_queue(void)
{
	return cpu_self()->run_queue;
}

static struct run_queue *queue_of(unsigned cpu)
{
	const struct cpu *c = cpu_of(cpu);

	return c != NULL ? c->run_queue : NULL;
}

struct thread *thread_self(void)
{
	u64 flags = irq_save();
	struct thread *self = this_queue()->current;

	irq_restore(flags);
	return self;
}

const char *thread_name(const struct thread *t)
{
	return t->name;
}

u32 thread_id(const struct thread *t)
{
	return t->entry.id;
}

const struct thread *thread_here(void)
{
	return this_queue() != NULL ? this_queue()->current : NULL;
}

static void describe(void *to, const struct thread_entry *entry)
{
	static const char *const states[] = {"ready", "running", "waits", "ended"};
	const struct thread *t = container_of(entry, const struct thread, entry);
	struct thread_info *out = to;

	*out = (struct thread_info){
	    .id = entry->id, .cpu = t->queue->cpu, .state = states[data_race(t->state)]};
	str_copy(out->name, t->name, sizeof(out->name));
}

bool thread_next(u32 after, struct thread_info *out)
{
	return thread_list_next(after, describe, out);
}

struct mm_thread *platform_thread(void)
{
	static struct mm_thread before_threads;

	return this_queue() != NULL ? &thread_self()->mm : &before_threads;
}

bool platform_in_interrupt(void)
{
	return mm_this(id) % NR_CONTEXT_KINDS == CONTEXT_INTERRUPTS;
}

/* --- the switch --- */

/* S3, and whoever waits for the end. Interrupts off. */
static void bury(struct run_queue *q)
{
	struct thread *t = q->dead, *joiner;

	q->dead = NULL;
	if (t == NULL)
		return;
	stack_free(t->stack);
	spin_lock(&q->lock);
	q->nr_threads--;
	t->finished = true;
	joiner = t->joiner;
	spin_unlock(&q->lock);
	if (joiner != NULL)
		thread_wake(joiner);
}

/* A CPU with nothing to run and nobody to wake needs no ticks: they would cost emulated machines
 * more than all else. */
static void set_timer(struct run_queue *q)
{
	bool wanted = has_timer && (q->current != q->idle || !list_is_empty(&q->sleeping) ||
	                            q->cpu == 0); /* it keeps the time */

	if (wanted && !q->ticking)
		apic_timer_start(SCHED_HZ);
	else if (!wanted && q->ticking)
		apic_timer_stop();
	q->ticking = wanted;
}

/* The next thread runs. Interrupts off; returns when this one is chosen again. */
static void schedule(void)
{
	struct run_queue *q = this_queue();
	struct thread *from = q->current, *to;

	if (lock_check_nr_held() != 0)
		panic("sched: %s loses the CPU while it holds the lock %s", from->name,
		      lock_check_name(0));
	spin_lock(&q->lock);
	__atomic_store_n(&q->resched, false, __ATOMIC_RELAXED);
	if (from->state == THREAD_RUNNING && from != q->idle) {
		from->state = THREAD_READY;
		list_push_back(&q->ready, &from->link);
	}
	to = q->idle;
	if (!list_is_empty(&q->ready)) {
		to = list_first(&q->ready, struct thread, link);
		list_remove(&to->link);
	}
	to->state = THREAD_RUNNING;
	q->current = to;
	q->nr_switches += from != to;
	set_timer(q);
	spin_unlock(&q->lock);
	if (from == to)
		return;
	if (from->state == THREAD_DEAD)
		q->dead = from;
	from->recovery = cpu_self()->recovery;
	cpu_self()->recovery = to->recovery;
	thread_switch(&from->rsp, to->rsp);
	bury(this_queue());
}

_Noreturn void thread_main(void)
{
	struct run_queue *q = this_queue();
	struct thread *self = q->current;

	bury(q);
	irq_restore(RFLAGS_INTERRUPTS);
	self->fn(self->arg);
	(void)irq_save();
	spin_lock(&q->lock);
	self->state = THREAD_DEAD;
	spin_unlock(&q->lock);
	schedule();
	panic("sched: a dead thread runs: %s", self->name);
}

/* --- creating and ending --- */

/* The stack as thread_switch() leaves it. 16-byte aligned at thread_start, as before a call. */
static u64 first_frame(u64 stack)
{
	u64 *top = (u64 *)(stack + CPU_STACK_SIZE);

	*--top = 0;
	*--top = 0;
	*--top = (u64)thread_start;
	for (unsigned i = 0; i < 6; i++)
		*--top = 0;
	return (u64)top;
}

static unsigned least_loaded(void)
{
	unsigned best = 0;

	for (unsigned i = 1; i < smp_nr_cpus(); i++)
		if (queue_of(i)->nr_threads < queue_of(best)->nr_threads)
			best = i;
	return best;
}

/* Ready, at the end of its queue. The queue's lock is held. */
static void make_ready(struct thread *t)
{
	struct run_queue *q = t->queue;

	spin_assert_held(&q->lock);
	if (t->sleeping)
		list_remove(&t->link);
	t->sleeping = false;
	t->state = THREAD_READY;
	list_push_back(&q->ready, &t->link);
	if (q->current == q->idle)
		__atomic_store_n(&q->resched, true, __ATOMIC_RELAXED);
}

/* A CPU that idles is told at once; one that is busy sees the thread at its next tick. */
static void notify(const struct run_queue *q)
{
	if (q->cpu != cpu_id() && __atomic_load_n(&q->resched, __ATOMIC_RELAXED))
		apic_send(cpu_of(q->cpu)->apic_id, VECTOR_RESCHEDULE);
}

static void enqueue(struct thread *t)
{
	struct run_queue *q = t->queue;
	u64 flags = spin_lock_irq(&q->lock);

	make_ready(t);
	spin_unlock(&q->lock);
	notify(q);
	irq_restore(flags);
}

/* Its stack and its id. False: there is none; nothing is kept. */
static bool thread_setup(struct thread *t)
{
	t->stack = stack_alloc();
	if (t->stack == 0)
		return false;
	t->rsp = first_frame(t->stack);
	if (!thread_list_add(&t->entry)) {
		stack_free(t->stack);
		return false;
	}
	return true;
}

struct thread *thread_create(unsigned cpu, void (*fn)(void *arg), void *arg, const char *name)
{
	struct thread *t;
	u64 flags;

	if (cpu == THREAD_ANY_CPU)
		cpu = least_loaded();
	if (cpu >= smp_nr_cpus())
		return NULL;
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (t == NULL)
		return NULL;
	t->queue = queue_of(cpu);
	t->fn = fn;
	t->arg = arg;
	str_copy(t->name, name, sizeof(t->name));
	if (!thread_setup(t)) {
		kfree(t);
		return NULL;
	}
	flags = spin_lock_irq(&t->queue->lock);
	t->queue->nr_threads++;
	spin_unlock_irq(&t->queue->lock, flags);
	enqueue(t);
	return t;
}

void thread_join(struct thread *t)
{
	struct run_queue *q = t->queue;

	sched_check_sleep("thread_join", irq_is_enabled(), 0);
	assert(t != thread_self());
	for (;;) {
		u64 flags = spin_lock_irq(&q->lock);
		bool finished = t->finished;

		if (!finished) {
			t->joiner = thread_self();
			thread_prepare_wait();
		}
		spin_unlock_irq(&q->lock, flags);
		if (finished)
			break;
		thread_wait();
	}
	thread_list_remove(&t->entry);
	kfree(t);
}

/* --- waiting --- */

#ifdef CONFIG_DEBUG
void sched_check_sleep(const char *who, bool interrupts_on, unsigned nr_locks)
{
	if (lock_check_nr_held() > nr_locks)
		panic("sched: %s may sleep, and the lock %s is held", who, lock_check_name(0));
	if (!interrupts_on)
		panic("sched: %s may sleep, and interrupts are off", who);
	if (thread_self()->nr_stays != 0)
		panic("sched: %s may sleep, within sched_stay()", who);
}
#endif

void thread_prepare_wait(void)
{
	struct thread *self = thread_self();

	assert(!irq_is_enabled());
	assert(self != self->queue->idle);
	__atomic_store_n(&self->state, THREAD_BLOCKED, __ATOMIC_RELAXED);
}

bool thread_may_wait(void)
{
	const struct run_queue *q = this_queue();

	return q != NULL && irq_is_enabled() && q->current != q->idle && q->current->nr_stays == 0;
}

void thread_wait(void)
{
	struct thread *self;
	u64 flags;

	sched_check_sleep("thread_wait", irq_is_enabled(), 0);
	flags = irq_save();
	self = thread_self();
	assert(self->nr_stays == 0); /* it would sleep where it promised not to */
	if (self->state != THREAD_RUNNING)
		schedule();
	irq_restore(flags);
}

void thread_wake(struct thread *t)
{
	struct run_queue *q = t->queue;
	u64 flags = spin_lock_irq(&q->lock);

	if (t->state == THREAD_BLOCKED)
		make_ready(t);
	spin_unlock(&q->lock);
	notify(q);
	irq_restore(flags);
}

void thread_yield(void)
{
	u64 flags;

	sched_check_sleep("thread_yield", irq_is_enabled(), 0);
	flags = irq_save();
	schedule();
	irq_restore(flags);
}

void thread_sleep(unsigned milliseconds)
{
	struct run_queue *q;
	struct thread *self;
	u64 flags;

	sched_check_sleep("thread_sleep", irq_is_enabled(), 0);
	flags = irq_save();
	q = this_queue();
	self = q->current;
	spin_lock(&q->lock);
	self->wake_tick = q->ticks + 1 + div_round_up((u64)milliseconds * SCHED_HZ, 1000);
	self->state = THREAD_BLOCKED;
	self->sleeping = true;
	list_push_back(&q->sleeping, &self->link);
	spin_unlock(&q->lock);
	schedule();
	irq_restore(flags);
}

/* --- pre-emption --- */

void sched_stay(void)
{
	thread_self()->nr_stays++;
}

void sched_move(void)
{
	thread_self()->nr_stays--;
}

/* Wakes the sleepers whose time has come. */
static void wake_sleepers(struct run_queue *q)
{
	struct list *node = q->sleeping.next;

	while (node != &q->sleeping) {
		struct thread *t = list_entry(node, struct thread, link);

		node = node->next;
		if (t->wake_tick <= q->ticks)
			make_ready(t);
	}
}

u64 sched_milliseconds(void)
{
	return __atomic_load_n(&queue0.ticks, __ATOMIC_RELAXED) * 1000 / SCHED_HZ;
}

u64 platform_milliseconds(void)
{
	return sched_milliseconds();
}

bool sched_is_ticking(void)
{
	return this_queue()->ticking;
}

void sched_set_tick_hook(void (*hook)(void))
{
	__atomic_store_n(&tick_hook, hook, __ATOMIC_RELEASE);
}

void sched_tick(void)
{
	struct run_queue *q = this_queue();
	void (*hook)(void) = __atomic_load_n(&tick_hook, __ATOMIC_ACQUIRE);

	spin_lock(&q->lock);
	q->ticks++;
	wake_sleepers(q);
	if (!list_is_empty(&q->ready))
		__atomic_store_n(&q->resched, true, __ATOMIC_RELAXED);
	spin_unlock(&q->lock);
	if (hook != NULL)
		hook();
	if (cpu_id() == 0)
		guard_tick();
}

void sched_resched(void)
{
	__atomic_store_n(&this_queue()->resched, true, __ATOMIC_RELAXED);
}

void sched_leave_interrupt(const struct trap_frame *f)
{
	struct run_queue *q = this_queue();

	if (q == NULL || !__atomic_load_n(&q->resched, __ATOMIC_RELAXED))
		return;
	if (q->current->nr_stays != 0 || !(f->rflags & RFLAGS_INTERRUPTS))
		return;
	if (mm_in_fast_path(f->rip)) {
		q->nr_deferred++;
		return;
	}
	q->nr_preempted++;
	schedule();
}

/* --- CPUs --- */

static void init_queue(struct run_queue *q, struct cpu *cpu)
{
	*q = (struct run_queue){.cpu = cpu->id};
	spin_init(&q->lock, "run queue");
	list_init(&q->ready);
	list_init(&q->sleeping);
	q->first.queue = q;
	q->first.state = THREAD_RUNNING;
	q->current = q->idle = &q->first;
	str_copy(q->first.name, "idle", sizeof(q->first.name));
	cpu->run_queue = q;
}

static void idle_loop(void)
{
	for (;;) {
		(void)irq_save();
		/* Again: the end of the last one may have woken another. */
		while (!list_is_empty(&this_queue()->ready))
			schedule();
		__asm__ volatile("sti; hlt" : : : "memory");
	}
}

static void idle_main(void *arg)
{
	(void)arg;
	idle_loop();
}

/* What runs so far is no idle thread: the idle one gets a stack of its own. */
void sched_init(void)
{
	struct run_queue *q = &queue0;
	struct thread *idle;

	stack_init();
	init_queue(q, cpu_self());
	str_copy(q->first.name, "main", sizeof(q->first.name));
	q->nr_threads = 1;
	thread_list_init();
	idle = kzalloc(sizeof(*idle), GFP_KERNEL);
	if (idle == NULL || !thread_list_add(&q->first.entry))
		panic("sched: no memory for the first threads");
	idle->queue = q;
	idle->fn = idle_main;
	str_copy(idle->name, "idle", sizeof(idle->name));
	if (!thread_setup(idle))
		panic("sched: no memory for the first threads");
	q->idle = idle;
}

bool sched_add_cpu(struct cpu *cpu)
{
	struct run_queue *q = kzalloc(sizeof(*q), GFP_KERNEL);

	if (q == NULL)
		return false;
	init_queue(q, cpu);
	if (thread_list_add(&q->first.entry))
		return true;
	kfree(q);
	cpu->run_queue = NULL;
	return false;
}

void sched_remove_cpu(struct cpu *cpu)
{
	if (cpu->run_queue == NULL)
		return;
	thread_list_remove(&cpu->run_queue->first.entry);
	kfree(cpu->run_queue);
	cpu->run_queue = NULL;
}

_Noreturn void sched_run_cpu(void)
{
	__atomic_store_n(&this_queue()->running, true, __ATOMIC_RELEASE);
	idle_loop();
	__builtin_unreachable();
}

bool sched_cpu_runs(unsigned cpu)
{
	const struct run_queue *q = queue_of(cpu);

	return q != NULL && __atomic_load_n(&q->running, __ATOMIC_ACQUIRE);
}

void sched_start_timer(void)
{
	u64 flags = irq_save();

	has_timer = true;
	set_timer(this_queue());
	irq_restore(flags);
}

void sched_stats(unsigned cpu, struct sched_stats *out)
{
	const struct run_queue *q = queue_of(cpu);

	*out = (struct sched_stats){0};
	if (q == NULL)
		return;
	*out = (struct sched_stats){q->nr_threads, q->nr_switches, q->nr_preempted, q->ticks,
	                            q->nr_deferred};
}
