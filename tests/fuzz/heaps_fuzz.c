/*
 * The gallery's designs (mm/heap.h) against a table of live objects: content, place, and the
 * design's own check. The first byte chooses the design, the second the kind of region and how
 * large it is; then operations of 3 or 4 bytes.
 *
 * Without the adapters: the kernel's allocators have targets of their own.
 */
#include <mm/heap.h>
#include <tests/fuzz/fuzz.h>

#define MAX_LIVE 200u
#define MAX_OPS 600u
#define OPS_A_CHECK 16u
#define OBJECT_SIZE 80u
#define THRESHOLD 6000u

static u8 memory[96 * KIB] __aligned(4096);
static struct live {
	u8 *p;
	size_t size;
	u8 stamp;
} live[MAX_LIVE];
static u32 nr_live;
static u8 next_stamp;
static struct heap *heap;

static void keep(u8 *p, size_t size, size_t align)
{
	MUST(is_aligned((u64)p, align));
	MUST(p >= memory && p + size <= memory + sizeof(memory));
	MUST(heap_usable_size(heap, p) >= size);
	for (u32 i = 0; i < nr_live; i++)
		MUST(p + size <= live[i].p || live[i].p + live[i].size <= p);
	memset(p, ++next_stamp, size);
	live[nr_live++] = (struct live){p, size, next_stamp};
}

static void verify(const struct live *l, size_t size)
{
	MUST(mem_find_other(l->p, l->stamp, size) == NULL);
}

static size_t take_size(struct input *in)
{
	u32 size = (u32)input_bytes(in, 2);

	return size & 0x8000 ? size % 9000 : size % 400;
}

static void op_alloc(struct input *in, size_t align)
{
	size_t size = take_size(in);
	u8 *p = heap_alloc_aligned(heap, size, align);

	if (p != NULL)
		keep(p, max_u64(size, 1), align);
}

static void op_free(struct input *in)
{
	u32 i = input_below(in, nr_live);
	struct live l = live[i];

	verify(&l, l.size);
	live[i] = live[--nr_live];
	heap_free(heap, l.p);
}

static void op_resize(struct input *in)
{
	u32 i = input_below(in, nr_live);
	size_t size = max_u64(take_size(in), 1);
	struct live l = live[i];
	u8 *p = heap_resize(heap, l.p, size);

	if (p == NULL) {
		verify(&l, l.size);
		return;
	}
	live[i] = live[--nr_live];
	l.p = p;
	verify(&l, min_u64(size, l.size));
	keep(p, size, HEAP_ALIGN);
}

static void step(struct input *in)
{
	u32 what = input_below(in, 16);

	if (what < 8 && nr_live < MAX_LIVE)
		op_alloc(in, what == 7 ? 16ul << input_below(in, 9) : HEAP_ALIGN);
	else if (what < 14 && nr_live > 0)
		op_free(in);
	else if (nr_live > 0)
		op_resize(in);
}

static void check(void)
{
	MUST_BE_SOUND(heap_check(heap));
	for (u32 i = 0; i < nr_live; i++)
		verify(&live[i], live[i].size);
}

static const struct heap_design *choose(u32 which)
{
	u32 nr = 0;

	while (heap_designs[nr] != NULL)
		nr++;
	while (heap_designs[which % nr]->traits & HEAP_KERNEL)
		which++;
	return heap_designs[which % nr];
}

void fuzz_one(struct input *in)
{
	const struct heap_design *design = choose((u32)input_bytes(in, 1));
	struct heap_options options = {OBJECT_SIZE, MAX_LIVE};
	u32 kind = input_below(in, 3) % 3, pages = 8 + input_below(in, sizeof(memory) / 4096 - 7);
	struct region region;

	memset(memory, 0xa5, sizeof(memory));
	if (design->traits & HEAP_MAPS)
		kind = REGION_MAPPED;
	region_init(&region, kind, memory, pages * 4096ul, THRESHOLD);
	nr_live = next_stamp = 0;
	heap = heap_create(design, &region, &options);
	if (heap == NULL)
		return;
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		step(in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	while (nr_live > 0)
		heap_free(heap, live[--nr_live].p);
	MUST_BE_SOUND(heap_check(heap));
	heap_destroy(heap);
}
