/* See vmem_oracle.h. */
#include "tests/model/vmem_oracle.h"

#include <lib/bits.h>
#include <lib/string.h>
#include <mm/mm.h>

#define QUANTA 2048u
#define MAX_HELD 600u
#define MAX_SPANS 64u

enum { OUTSIDE, FREE, HELD };

struct part {
	u32 start, nr; /* quanta */
	bool x;        /* of vmem_xalloc() */
	bool imported;
};

static struct vmem *v;
static vmem_oracle_draw draw_number;
static void *draw_context;
static unsigned mode;
static u64 quantum, origin; /* the address of quantum 0 of the array */
static u8 state[QUANTA];
static struct part held[MAX_HELD], span[MAX_SPANS];
static u32 nr_held, nr_spans, nr_used, span_limit;
static bool import_refused;
static u32 next_span, next_at;
static const char *broken; /* by a callback */

static u32 below(u32 bound)
{
	return draw_number(draw_context, bound);
}

static u64 addr_of(u32 at)
{
	return origin + at * quantum;
}

static bool is_all(u32 start, u32 nr, u8 what)
{
	return mem_find_other(state + start, what, nr) == NULL;
}

static struct part *span_of(u32 at)
{
	for (u32 i = 0; i < nr_spans; i++)
		if (at - span[i].start < span[i].nr)
			return &span[i];
	return NULL;
}

/* --- spans --- */

static void span_appears(u32 start, u32 nr, bool imported)
{
	span[nr_spans++] = (struct part){start, nr, false, imported};
	memset(state + start, FREE, nr);
}

static u64 import(void *source, u64 size, gfp_t flags)
{
	u32 nr = (u32)(size / quantum);

	(void)source;
	(void)flags;
	import_refused = true;
	if (size % quantum != 0 || size / quantum > QUANTA / 2 || nr_spans == span_limit)
		return 0;
	/* A gap, so that neighbours cannot be told by touching. */
	for (u32 at = QUANTA / 4; at + nr + 1 <= QUANTA; at++)
		if (is_all(at, nr + 1, OUTSIDE) && (at == 0 || state[at - 1] == OUTSIDE)) {
			import_refused = false;
			span_appears(at, nr, true);
			return addr_of(at);
		}
	return 0;
}

static void release(void *source, u64 addr, u64 size)
{
	u32 start = (u32)((addr - origin) / quantum), i = 0;

	(void)source;
	while (i < nr_spans && span[i].start != start)
		i++;
	if (i == nr_spans || span[i].nr * quantum != size || !span[i].imported) {
		broken = "a span was given back that is none";
		return;
	}
	if (!is_all(start, span[i].nr, FREE))
		broken = "a span was given back while in use";
	memset(state + start, OUTSIDE, span[i].nr);
	if (next_span == i) /* next fit starts over */
		next_span = next_at = 0;
	else if (next_span > i)
		next_span--;
	nr_spans--;
	for (; i < nr_spans; i++)
		span[i] = span[i + 1];
}

static const char *add_span(void)
{
	u32 start = below(QUANTA), nr = below(200);
	bool fits = start + nr <= QUANTA && nr_spans < span_limit;
	int error;

	if (start + nr > QUANTA || nr_spans == span_limit)
		return NULL;
	error = vmem_add(v, addr_of(start), nr * quantum, GFP_KERNEL);
	if (nr == 0)
		return error == -EINVAL ? NULL : "a span of nothing was taken";
	if (fits && is_all(start, nr, OUTSIDE)) {
		span_appears(start, nr, false);
		return error == 0 ? NULL : "a span was refused";
	}
	return error == -EEXIST ? NULL : "an overlapping span was taken";
}

/* --- what could be --- */

/* What the request says of an address, whatever is there. */
static bool obeys(const struct vmem_request *r, u64 addr)
{
	return addr % r->align == r->phase && addr >= r->min && r->max - r->min >= r->size &&
	       addr <= r->max - r->size &&
	       (r->nocross == 0 || addr / r->nocross == (addr + r->size - 1) / r->nocross);
}

static bool fits(const struct vmem_request *r, u32 at)
{
	const struct part *s = span_of(at);
	u32 nr = (u32)(r->size / quantum);

	return s != NULL && at + nr <= s->start + s->nr && is_all(at, nr, FREE) &&
	       obeys(r, addr_of(at));
}

/* The first place in a span from `from` on, or QUANTA. */
static u32 first_place(const struct vmem_request *r, u32 i, u32 from)
{
	u32 nr = (u32)(r->size / quantum), run = 0, end = span[i].start + span[i].nr;

	/* The end of each place, of which the last `run` quanta are free. */
	for (u32 at = from > span[i].start ? from : span[i].start; at < end; at++) {
		run = state[at] == FREE ? run + 1 : 0;
		if (run >= nr && obeys(r, addr_of(at + 1 - nr)))
			return at + 1 - nr;
	}
	return QUANTA;
}

static u32 any_place(const struct vmem_request *r)
{
	u32 at = QUANTA;

	for (u32 i = 0; i < nr_spans && at == QUANTA; i++)
		at = first_place(r, i, 0);
	return at;
}

static u32 next_place(const struct vmem_request *r)
{
	u32 at = QUANTA;

	for (u32 i = next_span; i < nr_spans && at == QUANTA; i++)
		at = first_place(r, i, i == next_span ? next_at : 0);
	return at != QUANTA ? at : any_place(r);
}

/* The free run around a free quantum. */
static struct part run_of(u32 at)
{
	const struct part *s = span_of(at);
	u32 start = at, end = at;

	while (start > s->start && state[start - 1] == FREE)
		start--;
	while (end < s->start + s->nr && state[end] == FREE)
		end++;
	return (struct part){.start = start, .nr = end - start};
}

static bool is_best(const struct vmem_request *r, u32 at)
{
	u32 nr = run_of(at).nr;

	for (u32 i = 0; i < nr_spans; i++)
		for (u32 p = 0; (p = first_place(r, i, p)) != QUANTA; p++)
			if (run_of(p).nr < nr)
				return false;
	return true;
}

/* --- operations --- */

static const char *judge(const struct vmem_request *r, gfp_t policy, u64 addr, bool x, u32 expected)
{
	u32 at = (u32)((addr - origin) / quantum);
	bool known = !(mode & ORACLE_QCACHES); /* is all that guides the choice seen here? */

	if (addr == 0) {
		if (!known)
			return NULL;
		if (any_place(r) != QUANTA)
			return "nothing was found though there was room";
		if (mode & ORACLE_IMPORTS && r->min == 0 && r->max == ~0ull && !import_refused)
			return "nothing was imported";
		return NULL;
	}
	if (addr < origin || at >= QUANTA || (addr - origin) % quantum != 0 || !fits(r, at))
		return "what was given breaks the request, or was not free";
	if (known && policy & VM_NEXTFIT && expected != QUANTA && at != expected)
		return "next fit took another";
	if (known && policy & VM_BESTFIT && !(policy & VM_NEXTFIT) && !is_best(r, at))
		return "best fit took a larger one";
	if (policy & VM_NEXTFIT) {
		next_span = (u32)(span_of(at) - span);
		next_at = at + (u32)(r->size / quantum);
	}
	held[nr_held++] = (struct part){.start = at, .nr = (u32)(r->size / quantum), .x = x};
	memset(state + at, HELD, (u32)(r->size / quantum));
	nr_used += (u32)(r->size / quantum);
	return NULL;
}

static u32 draw_size(void)
{
	u32 how = below(8);

	return how < 5 ? 1 + below(8) : how < 7 ? 1 + below(40) : 1 + below(QUANTA / 2);
}

static gfp_t draw_policy(void)
{
	static const gfp_t policies[] = {VM_INSTANTFIT, VM_INSTANTFIT, VM_BESTFIT, VM_NEXTFIT};

	return policies[below(4)];
}

static const char *alloc_some(void)
{
	struct vmem_request r = {.align = quantum, .max = ~0ull};
	gfp_t policy = draw_policy();
	u64 addr, asked;
	u32 expected;

	r.size = draw_size() * quantum;
	asked = r.size - (quantum > 1 ? below(quantum < 16 ? (u32)quantum : 16) : 0);
	expected = policy & VM_NEXTFIT ? next_place(&r) : QUANTA;
	addr = vmem_alloc(v, asked, policy | GFP_KERNEL | __GFP_NOWARN);
	return judge(&r, policy, addr, false, expected);
}

static bool is_possible(const struct vmem_request *r)
{
	return (r->nocross == 0 ||
	        (r->nocross >= r->size && r->phase % r->nocross + r->size <= r->nocross)) &&
	       r->min < r->max && r->max - r->min >= r->size;
}

static const char *xalloc_some(void)
{
	struct vmem_request r = {.size = draw_size() * quantum, .max = ~0ull};
	gfp_t policy = draw_policy();
	u32 what = below(16), expected;
	u64 addr;

	r.align = quantum << (what & 1 ? below(7) : 0);
	r.phase = what & 2 ? below((u32)(r.align / quantum)) * quantum : 0;
	r.nocross = what & 4 ? quantum << below(9) : 0;
	if (what & 8) {
		r.min = addr_of(below(QUANTA));
		r.max = below(2) ? addr_of(below(QUANTA)) : ~0ull;
	}
	expected = policy & VM_NEXTFIT ? next_place(&r) : QUANTA;
	addr = vmem_xalloc(v, r.size, r.align, r.phase, r.nocross, r.min, r.max,
	                   policy | GFP_KERNEL | __GFP_NOWARN);
	if (!is_possible(&r))
		return addr == 0 ? NULL : "an impossible request was served";
	return judge(&r, policy, addr, true, expected);
}

static void free_held(u32 i)
{
	struct part h = held[i];

	held[i] = held[--nr_held];
	memset(state + h.start, FREE, h.nr);
	nr_used -= h.nr;
	if (h.x)
		vmem_xfree(v, addr_of(h.start), h.nr * quantum);
	else
		vmem_free(v, addr_of(h.start), h.nr * quantum);
}

const char *vmem_oracle_step(void)
{
	u32 what = below(16);
	const char *fault = NULL;

	import_refused = false;
	if (what < 5 && nr_held < MAX_HELD)
		fault = alloc_some();
	else if (what < 8 && nr_held < MAX_HELD)
		fault = xalloc_some();
	else if (what < 14 && nr_held > 0)
		free_held(below(nr_held));
	else if (what == 14)
		fault = add_span();
	else if (what == 15 && mode & ORACLE_QCACHES)
		vmem_reap(v);
	return fault != NULL ? fault : broken;
}

/* --- the whole --- */

struct walk {
	u32 nr_used, nr_held, nr_spans;
	const char *fault;
};

static void visit(void *context, unsigned kind, u64 addr, u64 size, u32 tag)
{
	u32 at = (u32)((addr - origin) / quantum), nr = (u32)(size / quantum);
	struct walk *w = context;

	(void)tag;
	if (kind == VMEM_SPAN) {
		const struct part *s = &span[w->nr_spans++];

		if (w->nr_spans > nr_spans || s->start != at || s->nr != nr)
			w->fault = "the spans are not those that were added";
	} else if (kind == VMEM_ALLOC) {
		w->nr_used += nr;
		w->nr_held++;
		if (!is_all(at, nr, HELD))
			w->fault = "what is free was said to be allocated";
	} else if (!is_all(at, nr, FREE) || (!(mode & ORACLE_QCACHES) && run_of(at).nr != nr)) {
		w->fault = "a free segment is not a whole run of what is free";
	}
}

const char *vmem_oracle_check(void)
{
	struct walk w = {0};
	const char *fault = vmem_check(v);
	u32 nr_all = 0;

	if (fault != NULL)
		return fault;
	vmem_walk(v, VMEM_SPAN | VMEM_ALLOC | VMEM_FREE, visit, &w);
	for (u32 i = 0; i < nr_spans; i++)
		nr_all += span[i].nr;
	if (w.fault != NULL)
		return w.fault;
	if (w.nr_held != nr_held || w.nr_used != nr_used)
		return "the walk misses what is held";
	if (vmem_size(v, VMEM_ALLOC) != nr_used * quantum ||
	    vmem_size(v, VMEM_FREE) != (nr_all - nr_used) * quantum)
		return "the sizes are not those of the array";
	return NULL;
}

const char *vmem_oracle_open(unsigned new_mode, vmem_oracle_draw draw, void *context)
{
	static const u64 quanta[] = {1, 1, 16, 4096};

	draw_number = draw;
	draw_context = context;
	mode = new_mode;
	nr_held = nr_spans = nr_used = next_span = next_at = 0;
	broken = NULL;
	memset(state, OUTSIDE, sizeof(state));
	span_limit = 1 + below(MAX_SPANS - 1);
	quantum = quanta[below(4)];
	/* The lowest addresses that an arena may have, or the highest. */
	origin = below(2) ? quantum : align_down(~0ull, quantum) - QUANTA * quantum;
	v = vmem_create("oracle", addr_of(0), 100 * quantum, quantum,
	                mode & ORACLE_IMPORTS ? import : NULL,
	                mode & ORACLE_IMPORTS ? release : NULL, mode & ORACLE_IMPORTS ? &v : NULL,
	                mode & ORACLE_QCACHES ? (1 + below(16)) * quantum : 0, GFP_KERNEL);
	if (v == NULL)
		return "no arena";
	span_appears(0, 100, false);
	return vmem_oracle_check();
}

const char *vmem_oracle_close(void)
{
	const char *fault = vmem_oracle_check();

	while (nr_held > 0)
		free_held(nr_held - 1);
	if (fault == NULL)
		fault = broken;
	if (fault == NULL)
		fault = vmem_oracle_check();
	if (fault != NULL)
		return fault;
	return vmem_destroy(v) == 0 ? broken : "an empty arena was not destroyed";
}

struct vmem *vmem_oracle_arena(void)
{
	return v;
}

bool vmem_oracle_draw_free(u64 *addr, u64 *size)
{
	u32 at = nr_held > 0 && below(2) ? held[below(nr_held)].start + below(3) : below(QUANTA);
	u32 nr = 1 + below(below(4) == 0 ? 64 : 8);

	*addr = addr_of(at) + (quantum > 1 && below(8) == 0 ? quantum / 2 : 0);
	*size = nr * quantum;
	for (u32 i = 0; i < nr_held; i++)
		if (addr_of(held[i].start) == *addr && held[i].nr == nr)
			return true;
	return false;
}
