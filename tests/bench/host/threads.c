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
#include <tests/bench/host/work.h>

#include <pthread.h>

enum { PAIRS = 100000, LIVE = 50000, STEPS = 50000, OBJECTS = 50000, RING = 4096, SIZES = 4096 };
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

static void *hot(void *context)
{
	struct thread *t = context;

	subject_thread(t->number);
	for (unsigned round = 0; round < nr_rounds; round++) {
		begin_round(t);
		for (u32 i = 0, n = alone && t->number != 0 ? 0 : PAIRS; i < n; i++)
			subject_free(opaque(subject_alloc(64)));
		end_round(t);
	}
	return NULL;
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
	run_threads(PAIRS, hot);
}

static void run_scaling(const char *argument)
{
	struct phase wall = {.name = "scaling", .ops = 1}, cpu = {.name = "scaling_cpu", .ops = 1};

	(void)argument;
	start_threads(2 * nr_blocks + 1, hot);
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
    {"threads_scaling", "two threads' hot pairs of 64 bytes, in times of one's alone", run_scaling},
    {"threads_mix", "two threads: the mix, 50,000 live objects each", run_mix},
    {"producer_consumer", "one thread allocates 256 bytes, the other frees them", run_pass},
    {0},
};
