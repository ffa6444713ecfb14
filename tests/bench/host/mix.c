/*
 * The random mix: so many objects live, of mixed sizes (mix_size()); each step frees one that is
 * chosen at random and allocates another in its place. The first word of each is written, as a
 * program would. Which object and what size is drawn before the clock starts.
 *
 * mix_footprint writes whole objects and reports the highest footprint over the highest sum of live
 * bytes, looked at sixteen times for each replacement of all objects.
 */
#include <tests/bench/host/work.h>

#include <string.h>

#define MAX_LIVE 4000000u
#define STEPS 100000u /* drawn ahead */

static u32 nr_live, *size_of;
static void **objects;
static struct step {
	u32 place, size;
} * steps;

static struct lcg g = {20240101};

static u32 read_live(const char *argument)
{
	unsigned long n = argument ? strtoul(argument, NULL, 10) : 100000;

	if (n == 0 || n > MAX_LIVE)
		fail(STATUS_USAGE, "the number of live objects must be 1 to %u", MAX_LIVE);
	return (u32)n;
}

static void draw(void)
{
	for (u32 i = 0; i < STEPS; i++)
		steps[i] = (struct step){lcg_below(&g, nr_live), mix_size(&g)};
}

static void make_tables(const char *argument)
{
	nr_live = read_live(argument);
	objects = table(nr_live * sizeof(objects[0]));
	size_of = table(nr_live * sizeof(size_of[0]));
	steps = table(STEPS * sizeof(steps[0]));
	draw();
}

static void fill(void)
{
	for (u32 i = 0; i < nr_live; i++) {
		size_of[i] = mix_size(&g);
		objects[i] = must(subject_alloc(size_of[i]));
		*(u64 *)objects[i] = i;
	}
}

static void replace(void)
{
	for (u32 i = 0; i < STEPS; i++) {
		struct step s = steps[i];

		subject_free(objects[s.place]);
		objects[s.place] = must(subject_alloc(s.size));
		*(u64 *)objects[s.place] = i;
	}
}

static void run_mix(const char *argument)
{
	struct phase p = {.name = "pair", .ops = STEPS};

	make_tables(argument);
	subject_start(1);
	fill();
	for (u32 done = 0; done < 2 * nr_live; done += STEPS) {
		replace();
		draw();
	}
	for (unsigned i = 0; i < nr_blocks; i++) {
		phase_run(&p, replace);
		draw();
	}
	phase_report(&p);
}

/* --- footprint --- */

static u64 live_bytes, peak_live, base, peak_footprint;

static void put(u32 place, u32 size)
{
	live_bytes -= objects[place] ? size_of[place] : 0;
	live_bytes += size;
	subject_free(objects[place]);
	size_of[place] = size;
	objects[place] = memset(must(subject_alloc(size)), 0x5a, size);
	peak_live = max_u64(peak_live, live_bytes);
}

static void look(void)
{
	peak_footprint = max_u64(peak_footprint, subject_footprint() - base);
}

static void run_footprint(const char *argument)
{
	make_tables(argument);
	subject_start(1);
	base = subject_footprint();
	for (u32 i = 0; i < nr_live; i++)
		put(i, mix_size(&g));
	for (u32 i = 0; i < 10 * nr_live; i++) {
		if (i % (nr_live / 16 + 1) == 0)
			look();
		put(lcg_below(&g, nr_live), mix_size(&g));
	}
	look();
	report("live_bytes", (double)peak_live);
	report("footprint", (double)peak_footprint / (double)peak_live);
}

const struct work mix_works[] = {
    {"mix", "[LIVE]: objects of mixed sizes replaced at random (default: 100,000)", run_mix},
    {"mix_footprint", "[LIVE]: pages taken over live bytes, at the peak", run_footprint},
    {0},
};
