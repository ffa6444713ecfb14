/*
 * The background reclaimer: see <kernel/reclaimer.h>. What it does is reclaim_balance() in
 * mm/reclaim.c; here is when.
 *
 * The page allocator wakes it from any context, so waking is a flag under the queue's lock, and
 * nothing at all when it is awake already. When the shrinkers could not give enough it pauses
 * before it may be woken again: memory that is used up for good must not keep a CPU busy.
 */
#include <kernel/reclaimer.h>
#include <kernel/sched.h>
#include <kernel/sync.h>
#include <lib/race.h>
#include <mm/platform.h>
#include <mm/reclaim.h>

#define PAUSE_MS 100

static struct wait_queue queue = WAIT_QUEUE_INIT(queue, "reclaimer");
/* All under the queue's lock; `awake` is read without it as a hint. */
static u32 awake = 1; /* nobody wakes what does not run */
static bool is_running, should_stop;
static struct thread *thread;
static u64 nr_wakes, nr_balanced;

void platform_reclaim_wanted(void)
{
	u64 flags;

	if (data_race(awake))
		return;
	flags = wait_lock(&queue);
	if (is_running && !awake) {
		awake = true;
		nr_wakes++;
		wake_all_locked(&queue);
	}
	wait_unlock(&queue, flags);
}

/* Until there is work. False: the thread should end. */
static bool wait_for_work(void)
{
	u64 flags = wait_lock(&queue);
	bool go_on;

	awake = false;
	while (!awake && !should_stop)
		wait_sleep(&queue, &flags);
	go_on = !should_stop;
	wait_unlock(&queue, flags);
	return go_on;
}

static void note_balanced(void)
{
	u64 flags = wait_lock(&queue);

	nr_balanced++;
	wait_unlock(&queue, flags);
}

static void reclaim_in_background(void *unused)
{
	(void)unused;
	while (wait_for_work()) {
		if (reclaim_balance())
			note_balanced();
		else
			thread_sleep(PAUSE_MS);
	}
}

static void set_running(bool on)
{
	u64 flags = wait_lock(&queue);

	is_running = on;
	should_stop = !on;
	awake = !on;
	wake_all_locked(&queue);
	wait_unlock(&queue, flags);
}

bool reclaimer_start(void)
{
	if (thread != NULL)
		return true;
	set_running(true);
	thread = thread_create(THREAD_ANY_CPU, reclaim_in_background, NULL, "reclaimer");
	if (thread == NULL)
		set_running(false);
	return thread != NULL;
}

void reclaimer_stop(void)
{
	if (thread == NULL)
		return;
	set_running(false);
	thread_join(thread);
	thread = NULL;
}

void reclaimer_stats(struct reclaimer_stats *out)
{
	u64 flags = wait_lock(&queue);

	*out = (struct reclaimer_stats){is_running, nr_wakes, nr_balanced};
	wait_unlock(&queue, flags);
}
