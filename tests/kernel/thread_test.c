/* Threads, and what they wait with. */
#include <kernel/apic.h>
#include <kernel/cpu.h>
#include <kernel/kasan.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/stack.h>
#include <kernel/sync.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <tests/test.h>

static unsigned other_cpu(void)
{
	return smp_nr_cpus() - 1;
}

static void add_one(void *arg)
{
	__atomic_add_fetch((u32 *)arg, 1, __ATOMIC_RELAXED);
}

TEST(thread, runs_and_is_joined)
{
	u32 n = 0;
	struct thread *t = thread_create(0, add_one, &n, "one");

	ASSERT_NOT_NULL(t);
	EXPECT_STREQ(thread_name(t), "one");
	thread_join(t);
	EXPECT_EQ(n, 1);
}

static struct vmem *arena_of_ids(void)
{
	for (struct vmem *v = vmem_next(NULL); v != NULL; v = vmem_next(v)) {
		struct vmem_stats s;

		vmem_stats(v, &s);
		if (strcmp(s.name, "thread ids") == 0)
			return v;
	}
	return NULL;
}

static bool find_thread(u32 id, struct thread_info *out)
{
	return thread_next(id - 1, out) && out->id == id;
}

TEST(thread, has_an_id_until_it_is_joined)
{
	struct thread_info info;
	u32 n = 0, id[3];

	for (unsigned i = 0; i < 3; i++) {
		struct thread *t = thread_create(other_cpu(), add_one, &n, "numbered");

		ASSERT_NOT_NULL(t);
		id[i] = thread_id(t);
		ASSERT_TRUE(find_thread(id[i], &info));
		EXPECT_STREQ(info.name, "numbered");
		EXPECT_EQ(info.cpu, other_cpu());
		thread_join(t);
		EXPECT_FALSE(find_thread(id[i], &info));
	}
	EXPECT_TRUE(id[0] != id[1] && id[1] != id[2] && id[0] != id[2]); /* not reused at once */
}

TEST(thread, all_are_listed_once_in_the_order_of_their_ids)
{
	struct thread *t[8];
	struct thread_info info;
	u32 n = 0, nr_ours = 0, nr_idle = 0, last = 0;
	bool self = false;

	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		ASSERT_NOT_NULL(t[i] = thread_create(i % smp_nr_cpus(), add_one, &n, "one of 8"));
	for (u32 id = 0; thread_next(id, &info); id = info.id) {
		EXPECT_GT(info.id, last);
		last = info.id;
		nr_ours += strcmp(info.name, "one of 8") == 0;
		nr_idle += strcmp(info.name, "idle") == 0;
		self |= info.id == thread_id(thread_self()) && strcmp(info.state, "running") == 0;
	}
	EXPECT_EQ(nr_ours, ARRAY_SIZE(t));
	EXPECT_EQ(nr_idle, smp_nr_cpus());
	EXPECT_TRUE(self);
	EXPECT_EQ(thread_here(), thread_self());
	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		thread_join(t[i]);
}

TEST(thread, without_an_id_there_is_none)
{
	struct vmem *ids = arena_of_ids();
	struct vmem_stats before, after;
	u64 at[64], size[64];
	unsigned nr = 0;
	u32 n = 0;

	ASSERT_NOT_NULL(ids);
	vmem_stats(ids, &before);
	for (u64 bytes = 1 << 14; bytes > 0;) {
		u64 addr = vmem_alloc(ids, bytes, GFP_KERNEL | __GFP_NOWARN);

		if (addr == 0) {
			bytes /= 2;
			continue;
		}
		ASSERT_LT(nr, ARRAY_SIZE(at));
		at[nr] = addr;
		size[nr++] = bytes;
	}
	EXPECT_NULL(thread_create(0, add_one, &n, "nameless"));
	while (nr-- > 0)
		vmem_free(ids, at[nr], size[nr]);
	vmem_reap(ids);
	vmem_stats(ids, &after);
	EXPECT_EQ(after.allocated, before.allocated);
	EXPECT_EQ(n, 0);
}

TEST(thread, on_every_cpu)
{
	struct thread *t[64];
	u32 n = 0, nr = 0;

	for (unsigned cpu = 0; cpu < smp_nr_cpus() && nr < 64; cpu++, nr++)
		t[nr] = thread_create(cpu, add_one, &n, "each");
	for (unsigned i = 0; i < nr; i++) {
		ASSERT_NOT_NULL(t[i]);
		thread_join(t[i]);
	}
	EXPECT_EQ(n, nr);
}

TEST(thread, for_a_cpu_that_is_not_there)
{
	EXPECT_NULL(thread_create(smp_nr_cpus(), add_one, NULL, "nowhere"));
	EXPECT_NULL(thread_create(MAX_CPUS, add_one, NULL, "nowhere"));
}

struct where {
	unsigned cpu;
	bool on_thread_stack, interrupts;
};

static void look_around(void *arg)
{
	struct where *w = arg;

	w->cpu = cpu_id();
	w->on_thread_stack = stack_contains((u64)__builtin_frame_address(0), 8);
	w->interrupts = irq_is_enabled();
}

TEST(thread, has_its_cpu_a_stack_and_interrupts)
{
	struct where w = {MAX_CPUS, false, false};

	thread_join(thread_create(other_cpu(), look_around, &w, "looks"));
	EXPECT_EQ(w.cpu, other_cpu());
	EXPECT_TRUE(w.on_thread_stack);
	EXPECT_TRUE(w.interrupts);
}

static void sleep_30(void *arg)
{
	struct sched_stats before, after;

	sched_stats(cpu_id(), &before);
	thread_sleep(30);
	sched_stats(cpu_id(), &after);
	*(u64 *)arg = after.nr_ticks - before.nr_ticks;
}

TEST(thread, sleeps_as_long_as_it_should)
{
	u64 ticks = 0;

	thread_join(thread_create(THREAD_ANY_CPU, sleep_30, &ticks, "sleeper"));
	EXPECT_GE(ticks, 3);
}

/* --- pre-emption --- */

/* A number: where gcc 12 checks a bool (CONFIG=kasan), it forgets that it is volatile. */
typedef volatile u32 told;

static told stop;

static void spin(void *arg)
{
	while (!stop)
		(*(volatile u64 *)arg)++;
}

TEST(thread, who_does_not_yield_is_pre_empted)
{
	volatile u64 a = 0, b = 0;
	struct thread *first, *second;
	struct sched_stats stats;

	stop = false;
	first = thread_create(other_cpu(), spin, (void *)&a, "first");
	second = thread_create(other_cpu(), spin, (void *)&b, "second");
	while (a == 0 || b == 0)
		thread_sleep(10);
	stop = true;
	thread_join(first);
	thread_join(second);
	sched_stats(other_cpu(), &stats);
	EXPECT_GT(stats.nr_preempted, 0);
}

TEST(thread, stays_when_it_said_so)
{
	volatile u64 n = 0;
	struct thread *t;
	struct sched_stats before, after;

	stop = false;
	sched_stay();
	t = thread_create(0, spin, (void *)&n, "waits");
	sched_stats(0, &before);
	do { /* three ticks pass here, and it does not run */
		sched_stats(0, &after);
	} while (after.nr_ticks < before.nr_ticks + 3);
	EXPECT_EQ(n, 0);
	sched_move();
	stop = true;
	thread_join(t);
}

/* --- mutexes and wait queues --- */

#define ROUNDS 2000u

struct shared {
	struct mutex mutex;
	u64 a, b;
	u32 nr_torn;
};

static void count_under_mutex(void *arg)
{
	struct shared *s = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		mutex_lock(&s->mutex);
		s->nr_torn += s->a != s->b;
		s->a++;
		if (i % 64 == 0)
			thread_yield();
		s->b++;
		mutex_unlock(&s->mutex);
	}
}

TEST(thread, a_mutex_lets_one_in)
{
	struct shared s = {.a = 0};
	struct thread *t[4];

	mutex_init(&s.mutex, "test");
	for (u32 i = 0; i < 4; i++)
		t[i] = thread_create(i % smp_nr_cpus(), count_under_mutex, &s, "counts");
	for (u32 i = 0; i < 4; i++)
		thread_join(t[i]);
	EXPECT_EQ(s.a, 4 * ROUNDS);
	EXPECT_EQ(s.b, 4 * ROUNDS);
	EXPECT_EQ(s.nr_torn, 0);
}

TEST(thread, mutexes_notice_misuse)
{
	struct mutex m;

	mutex_init(&m, "test");
	EXPECT_TRUE(mutex_try_lock(&m));
	EXPECT_FALSE(mutex_try_lock(&m));
	EXPECT_TRUE(mutex_is_held(&m));
	EXPECT_PANIC("mutex: taken again by its owner: test", mutex_lock(&m));
	spin_init(&m.lock, "test"); /* a panic leaves what was held */
	mutex_unlock(&m);
	EXPECT_FALSE(mutex_is_held(&m));
	EXPECT_PANIC("mutex: released by another than its owner: test", mutex_unlock(&m));
}

struct channel {
	struct wait_queue queue;
	u32 full, value;
	u64 sum;
};

static void send_all(void *arg)
{
	struct channel *c = arg;

	for (u32 i = 1; i <= ROUNDS; i++) {
		u64 flags = wait_lock(&c->queue);

		while (c->full)
			wait_sleep(&c->queue, &flags);
		c->full = 1;
		c->value = i;
		wake_all_locked(&c->queue);
		wait_unlock(&c->queue, flags);
	}
}

static void receive_all(void *arg)
{
	struct channel *c = arg;

	for (u32 i = 1; i <= ROUNDS; i++) {
		u64 flags = wait_lock(&c->queue);

		while (!c->full)
			wait_sleep(&c->queue, &flags);
		c->full = 0;
		c->sum += c->value;
		wake_one_locked(&c->queue);
		wait_unlock(&c->queue, flags);
	}
}

TEST(thread, wait_queues_lose_no_wake_up)
{
	struct channel c = {.full = 0};
	struct thread *sender, *receiver;

	wait_queue_init(&c.queue, "test");
	sender = thread_create(0, send_all, &c, "sender");
	receiver = thread_create(other_cpu(), receive_all, &c, "receiver");
	thread_join(sender);
	thread_join(receiver);
	EXPECT_EQ(c.sum, (u64)ROUNDS * (ROUNDS + 1) / 2);
}

/* --- sleeping where nobody may (CONFIG=debug) --- */

#ifdef CONFIG_DEBUG

static void do_nothing(void *arg)
{
	(void)arg;
}

/* All that may sleep, though none of it would sleep here. */
static void try_to_sleep(unsigned how, struct thread *t, struct mutex *m)
{
	switch (how) {
	case 0:
		mutex_lock(m);
		break;
	case 1:
		thread_sleep(1);
		break;
	case 2:
		thread_wait();
		break;
	case 3:
		thread_yield();
		break;
	default:
		thread_join(t);
	}
}

static const char *const sleepers[] = {"mutex_lock", "thread_sleep", "thread_wait", "thread_yield",
                                       "thread_join"};

static void expect_no_sleep(struct thread *t, const char *why)
{
	struct mutex m;
	char line[96];

	mutex_init(&m, "not taken");
	for (unsigned how = 0; how < ARRAY_SIZE(sleepers); how++) {
		format_buf(line, sizeof(line), "sched: %s may sleep, %s", sleepers[how], why);
		EXPECT_PANIC(line, try_to_sleep(how, t, &m));
	}
	EXPECT_NULL(m.owner);
}

TEST(thread, nothing_sleeps_with_a_spinlock)
{
	struct thread *t = thread_create(0, do_nothing, NULL, "ends");
	struct spinlock l = SPINLOCK_INIT("sleepless");
	u64 flags;

	ASSERT_NOT_NULL(t);
	flags = spin_lock_irq(&l);
	expect_no_sleep(t, "and the lock sleepless is held");
	spin_unlock_irq(&l, flags);
	thread_join(t);
}

TEST(thread, nothing_sleeps_with_interrupts_off)
{
	struct thread *t = thread_create(0, do_nothing, NULL, "ends");
	u64 flags;

	ASSERT_NOT_NULL(t);
	flags = irq_save();
	expect_no_sleep(t, "and interrupts are off");
	irq_restore(flags);
	thread_join(t);
}

TEST(thread, nothing_sleeps_where_it_said_that_it_stays)
{
	struct thread *t = thread_create(0, do_nothing, NULL, "ends");

	ASSERT_NOT_NULL(t);
	sched_stay();
	expect_no_sleep(t, "within sched_stay()");
	sched_move();
	thread_join(t);
}

static void expect_no_wait(struct wait_queue *q, const char *line)
{
	u64 flags = wait_lock(q);

	EXPECT_PANIC(line, wait_sleep(q, &flags));
	EXPECT_TRUE(list_is_empty(&q->waiters));
	wait_unlock(q, flags);
}

TEST(thread, a_wait_queue_s_own_lock_is_no_hindrance_others_are)
{
	struct spinlock l = SPINLOCK_INIT("sleepless");
	struct wait_queue q;
	u64 flags = RFLAGS_INTERRUPTS;

	wait_queue_init(&q, "waiting");
	EXPECT_PANIC("spinlock: not held by this CPU: waiting", wake_one_locked(&q));
	EXPECT_PANIC("spinlock: not held by this CPU: waiting", wake_all_locked(&q));
	EXPECT_PANIC("spinlock: not held by this CPU: waiting", wait_sleep(&q, &flags));
	flags = spin_lock_irq(&l);
	expect_no_wait(&q, "sched: wait_sleep may sleep, and the lock sleepless is held");
	spin_unlock_irq(&l, flags);
	flags = irq_save();
	expect_no_wait(&q, "sched: wait_sleep may sleep, and interrupts are off");
	irq_restore(flags);
	sched_stay();
	expect_no_wait(&q, "sched: wait_sleep may sleep, within sched_stay()");
	sched_move();
}

static void set(void *flag)
{
	*(told *)flag = true;
}

static void hold_until(struct spinlock *l, told *flag)
{
	spin_lock(l); /* with interrupts on */
	sched_move();
	while (!*flag)
		cpu_relax();
}

/* The other thread's turn comes at the next tick after the sched_move(). */
TEST(thread, the_holder_of_a_spinlock_must_not_lose_its_cpu)
{
	struct spinlock l = SPINLOCK_INIT("too long");
	told ran = false;
	struct thread *t;

	if (!apic_is_present()) {
		test_skip("this machine has no local APIC");
		return;
	}
	sched_stay();
	t = thread_create(0, set, (void *)&ran, "wants to run");
	ASSERT_NOT_NULL(t);
	EXPECT_PANIC("sched: main loses the CPU while it holds the lock too long",
	             hold_until(&l, &ran));
	spin_unlock(&l);
	thread_join(t);
	EXPECT_TRUE(ran);
}

#endif

/* --- stacks --- */

static __no_kasan void overflow(void *arg)
{
	volatile u8 big[CPU_STACK_SIZE];
	volatile u32 lowest = 0; /* compilers leave out what they see is not used */

	big[lowest] = 1; /* beyond the stack */
	*(u8 *)arg = big[lowest];
}

static void expect_overflow(void *arg)
{
	struct trap_frame frame;
	u8 byte;

	*(bool *)arg = trap_expect(overflow, &byte, &frame) && frame.vector == TRAP_DOUBLE_FAULT &&
	               stack_is_guard(frame.cr2);
}

TEST(thread, a_stack_overflow_is_caught)
{
	bool caught = false;

	thread_join(thread_create(other_cpu(), expect_overflow, &caught, "deep"));
	EXPECT_TRUE(caught);
}
