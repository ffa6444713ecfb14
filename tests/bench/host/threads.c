/*
 * Two threads, each a processor of its own for Strata: the same work on each, and one that
 * allocates what the other frees.
 *
 * Two figures. pair is elapsed time divided by what one thread did: when threads do not disturb
 * each other it is that of one thread alone. It means something only where two processors are free.
 * cpu is the processor time of both, waiting for each other included, divided by what both did.
 *
 * scaling, of the hot pairs: how many times as much two threads get done as one alone, which has
 * the other wait; 2 when they do not disturb each other at all. Each block has both, one right
 * after the other. In elapsed time it needs two free processors; scaling_cpu takes each thread's
 * processor time instead, and so only shows what they do to each other's caches.
 */
#define _GNU_SOURCE
#include <tests/bench/host/work.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { PAIRS = 1000000, LIVE = 50000, STEPS = 50000, OBJECTS = 50000, RING = 4096, SIZES = 4096 };
enum { MAX_ROUNDS = 11 };

static pthread_barrier_t barrier;
static unsigned nr_rounds;
static bool alone; /* this round is thread 0's; changed between rounds */

/* Each thread's own; the padding keeps them on different cache lines. */
static struct thread {
	pthread_t id;
	unsigned number;
	struct lcg g;
	void **objects;
	double cpu_ns; /* of the round */
	u64 padding[16];
} threads[2];

static void meet(void)
{
	pthread_barrier_wait(&barrier);
}

static void begin_round(struct thread *t)
{
	meet();
	t->cpu_ns = -cpu_ns();
}

static void end_round(struct thread *t)
{
	t->cpu_ns += cpu_ns();
	meet();
}

/* Each on a processor of its own, if there are two: or a round may be over before the system's
 * scheduler has parted them. */
static void part_threads(void)
{
	cpu_set_t allowed, one;
	unsigned nr = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2)
		return;
	for (unsigned cpu = 0; nr < 2; cpu++) {
		if (!CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(threads[nr++].id, sizeof(one), &one);
	}
}

static void start_threads(unsigned rounds, void *(*body)(void *))
{
	nr_rounds = rounds;
	subject_start(2);
	pthread_barrier_init(&barrier, NULL, 3);
	for (unsigned i = 0; i < 2; i++) {
		threads[i].number = i;
		threads[i].g.state = i;
		if (pthread_create(&threads[i].id, NULL, body, &threads[i]) != 0)
			fail(STATUS_FAILED, "cannot start a thread");
	}
	part_threads();
}

static void join_threads(void)
{
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i].id, NULL);
}

/* A round of the threads; how long it took. */
static double time_round(void)
{
	double start;

	meet();
	start = wall_ns();
	meet();
	return wall_ns() - start;
}

/* Runs the body on both threads, a round a block after a warm-up, and times the rounds. */
static void run_threads(u64 ops, void *(*body)(void *))
{
	struct phase pair = {.name = "pair", .ops = ops}, cpu = {.name = "cpu", .ops = 2 * ops};

	start_threads((nr_blocks < MAX_ROUNDS ? nr_blocks : MAX_ROUNDS) + 1, body);
	(void)time_round(); /* the warm-up */
	for (unsigned i = 1; i < nr_rounds; i++) {
		phase_add(&pair, time_round());
		phase_add(&cpu, threads[0].cpu_ns + threads[1].cpu_ns);
	}
	join_threads();
	phase_report(&pair);
	phase_report(&cpu);
}

#define HOT(name, alloc, free)                                                               \
	static void *hot_##name(void *context)                                               \
	{                                                                                    \
		struct thread *t = context;                                                  \
                                                                                             \
		subject_thread(t->number);                                                   \
		for (unsigned round = 0; round < nr_rounds; round++) {                       \
			begin_round(t);                                                      \
			for (u32 i = 0, n = alone && t->number != 0 ? 0 : PAIRS; i < n; i++) \
				free(opaque(alloc));                                         \
			end_round(t);                                                        \
		}                                                                            \
		return NULL;                                                                 \
	}

/* clang-format off */
HOT(16, subject_alloc(16), subject_free)
HOT(64, subject_alloc(64), subject_free)
HOT(1024, subject_alloc(1024), subject_free)
HOT(page, subject_page_alloc(), subject_page_free)
/* clang-format on */

/* What --help says of the argument. */
static void *(*hot_of(const char *what))(void *)
{
	if (what == NULL || strcmp(what, "64") == 0)
		return hot_64;
	if (strcmp(what, "16") == 0)
		return hot_16;
	if (strcmp(what, "1024") == 0)
		return hot_1024;
	if (strcmp(what, "page") == 0)
		return hot_page;
	fail(STATUS_USAGE, "threads_scaling takes 16, 64, 1024 or page, not %s", what);
}

static void *mix(void *context)
{
	struct thread *t = context;
	u16 *sizes = table(SIZES * sizeof(sizes[0]));

	subject_thread(t->number);
	t->objects = table(LIVE * sizeof(t->objects[0]));
	for (u32 i = 0; i < SIZES; i++)
		sizes[i] = (u16)mix_size(&t->g);
	for (u32 i = 0; i < LIVE; i++)
		t->objects[i] = must(subject_alloc(mix_size(&t->g)));
	for (unsigned round = 0; round < nr_rounds; round++) {
		begin_round(t);
		for (u32 i = 0; i < STEPS; i++) {
			u32 place = lcg_below(&t->g, LIVE);

			subject_free(t->objects[place]);
			t->objects[place] = must(subject_alloc(sizes[i % SIZES]));
			*(u64 *)t->objects[place] = i;
		}
		end_round(t);
	}
	return NULL;
}

/* --- producer and consumer --- */

/* One writes head, the other tail; each on a cache line of its own. */
static struct {
	u64 head __aligned(128), tail __aligned(128);
	void *slot[RING] __aligned(128);
} ring;

static void wait_for_other(void)
{
	cpu_relax();
}

static void produce(void)
{
	for (u64 i = 0, head = ring.head; i < OBJECTS; i++) {
		while (head - __atomic_load_n(&ring.tail, __ATOMIC_ACQUIRE) == RING)
			wait_for_other();
		u64 *p = must(subject_alloc(256));

		*p = i;
		ring.slot[head++ % RING] = p;
		__atomic_store_n(&ring.head, head, __ATOMIC_RELEASE);
	}
}

static void consume(void)
{
	for (u64 i = 0, tail = ring.tail; i < OBJECTS; i++) {
		while (__atomic_load_n(&ring.head, __ATOMIC_ACQUIRE) == tail)
			wait_for_other();
		subject_free(ring.slot[tail++ % RING]);
		__atomic_store_n(&ring.tail, tail, __ATOMIC_RELEASE);
	}
}

static void *pass(void *context)
{
	struct thread *t = context;

	subject_thread(t->number);
	for (unsigned round = 0; round < nr_rounds; round++) {
		begin_round(t);
		t->number == 0 ? produce() : consume();
		end_round(t);
	}
	return NULL;
}

static void run_hot(const char *argument)
{
	(void)argument;
	run_threads(PAIRS, hot_64);
}

static void run_scaling(const char *argument)
{
	struct phase wall = {.name = "scaling", .ops = 1}, cpu = {.name = "scaling_cpu", .ops = 1};

	start_threads(2 * nr_blocks + 1, hot_of(argument));
	(void)time_round();
	for (unsigned i = 0; i < nr_blocks; i++) {
		double one, one_cpu, both;

		alone = true;
		one = time_round();
		one_cpu = threads[0].cpu_ns;
		alone = false;
		both = time_round();
		phase_add(&wall, 2 * one / both);
		phase_add(&cpu, 4 * one_cpu / (threads[0].cpu_ns + threads[1].cpu_ns));
	}
	join_threads();
	phase_report(&wall);
	phase_report(&cpu);
}

static void run_mix(const char *argument)
{
	(void)argument;
	run_threads(STEPS, mix);
}

static void run_pass(const char *argument)
{
	(void)argument;
	run_threads(OBJECTS, pass);
}

const struct work thread_works[] = {
    {"threads_hot", "two threads: a pair of 64 bytes", run_hot},
    {"threads_scaling", "16, 64, 1024 or page: two threads' hot pairs, in times of one's alone",
     run_scaling},
    {"threads_mix", "two threads: the mix, 50,000 live objects each", run_mix},
    {"producer_consumer", "one thread allocates 256 bytes, the other frees them", run_pass},
    {0},
};
