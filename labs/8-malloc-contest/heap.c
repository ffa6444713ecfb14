/*
 * contest: a heap of your own, on a region (mm/region.h), behind the gallery's table (mm/heap.h).
 *
 * The front (mm/heaps/heap.c) deals with odd arguments, with requests above a mapped region's
 * threshold, and with resizes that have to move. What is here has sizes from 1 byte to the region's
 * and alignments from 16 to 4096. Only this file counts: types, helpers and includes of lib/ and
 * mm/ are yours to add, the table at the end is yours to change.
 *
 * This comment is the place for your design: its idea and source, its numbered invariants, its
 * cost, what it lacks, and which sequence of requests is its worst.
 */
#include <lib/bits.h>
#include <lib/string.h>
#include <mm/heap.h>

/* What the front makes for us, all zero but for `heap`. More books come from the region. */
struct contest {
	struct heap heap;
	void *books;
};

/*
 * Segregated fit with boundary tags (Knuth 1962; Wilson and others 1995, 3.6). The heap is a row of
 * blocks without gaps from `first` to a guard of size 0 at the region's break.
 *
 *     used   | head | object ............ |      head: the bytes of the block, and two bits
 *     free   | head | next | prev |  | foot |    foot: the bytes again; in free blocks alone
 *
 *   S1  the blocks fill the heap; OLDER_USED of each tells whether the one before is used.
 *   S2  no two free blocks touch; a free block's foot is its size.
 *   S3  each free block is in its shelf, and a shelf's bit is set when it has blocks.
 *
 * Shelves are of one size below 1 KiB, and of an eighth of a doubling above. Cost: O(1); in a shelf
 * of several sizes LOOKS blocks are looked at, then any block of a larger shelf does.
 * lab 8.1, helper
 */
#define IS_USED 1ul
/* lab 8.1, helper */
#define OLDER_USED 2ul
/* lab 8.1, helper */
#define LEAST_BLOCK 32ul
/* lab 8.1, helper */
#define FINE_SHELVES 64u
/* lab 8.1, helper */
#define NR_WORDS 5u
/* lab 8.1, helper */
#define NR_SHELVES (NR_WORDS * 64)
/* lab 8.1, helper */
#define LOOKS 6u

/* lab 8.1, helper */
struct piece {
	u64 head;
	struct piece *next, *prev; /* the object begins here when it is used */
};

/* lab 8.1, helper */
struct books {
	u64 stocked[NR_WORDS];
	struct piece *shelf[NR_SHELVES];
	struct piece *first, *guard;
	u64 unused;
};

/* lab 8.1, helper */
static struct books *books_of(const struct heap *heap)
{
	return ((const struct contest *)heap)->books;
}

/* lab 8.1, helper */
static u64 bytes_of(const struct piece *p)
{
	return p->head & ~15ul;
}

/* lab 8.1, helper */
static struct piece *behind(const struct piece *p)
{
	return (struct piece *)((u64)p + bytes_of(p));
}

/* lab 8.1, helper */
static u64 *foot_of(const struct piece *p)
{
	return (u64 *)((u64)p + bytes_of(p)) - 1;
}

/* lab 8.1, helper */
static struct piece *piece_of(const void *object)
{
	return (struct piece *)((u64)object - sizeof(u64));
}

/* lab 8.1, helper */
static unsigned shelf_of(u64 bytes)
{
	unsigned top;

	if (bytes < FINE_SHELVES * 16)
		return (unsigned)(bytes / 16);
	top = highest_bit(bytes);
	return FINE_SHELVES + (top - 10) * 8 + (unsigned)(bytes >> (top - 3) & 7);
}

/* lab 8.1, helper */
static void shelve(struct books *s, struct piece *p)
{
	unsigned i = shelf_of(bytes_of(p));

	p->prev = NULL;
	p->next = s->shelf[i];
	if (p->next != NULL)
		p->next->prev = p;
	s->shelf[i] = p;
	s->stocked[i / 64] |= 1ul << i % 64;
}

/* lab 8.1, helper */
static void unshelve(struct books *s, struct piece *p)
{
	unsigned i = shelf_of(bytes_of(p));

	if (p->next != NULL)
		p->next->prev = p->prev;
	if (p->prev != NULL)
		p->prev->next = p->next;
	else
		s->shelf[i] = p->next;
	if (s->shelf[i] == NULL)
		s->stocked[i / 64] &= ~(1ul << i % 64);
}

/* The piece becomes a free one of so many bytes; what is behind it learns of it.
 * lab 8.1, helper */
static void make_free(struct books *s, struct piece *p, u64 bytes)
{
	p->head = bytes | (p->head & OLDER_USED);
	*foot_of(p) = bytes;
	behind(p)->head &= ~OLDER_USED;
	shelve(s, p);
}

/* The first shelf from i on that has anything.
 * lab 8.1, helper */
static struct piece *first_from(const struct books *s, unsigned i)
{
	u64 word = i < NR_SHELVES ? s->stocked[i / 64] >> i % 64 << i % 64 : 0;

	for (unsigned w = i / 64; w < NR_WORDS; word = ++w < NR_WORDS ? s->stocked[w] : 0)
		if (word != 0)
			return s->shelf[w * 64 + lowest_bit(word)];
	return NULL;
}

/* lab 8.1, helper */
static struct piece *find(struct heap *heap, u64 bytes)
{
	const struct books *s = books_of(heap);
	unsigned i = shelf_of(bytes), looks = 0;

	heap->steps++;
	if (i >= NR_SHELVES)
		return NULL;
	if (i < FINE_SHELVES)
		return first_from(s, i);
	for (struct piece *p = s->shelf[i]; p != NULL && looks < LOOKS; p = p->next, looks++)
		if (bytes_of(p) >= bytes)
			return p;
	heap->steps += looks;
	return first_from(s, i + 1);
}

/* A free piece of so many bytes at the break, the free one that ends there being part of it.
 * lab 8.1, helper */
static struct piece *grow(struct heap *heap, u64 bytes)
{
	struct books *s = books_of(heap);
	struct piece *p = s->guard;
	u64 have = 0;

	if (!(p->head & OLDER_USED)) {
		have = *((u64 *)p - 1);
		p = (struct piece *)((u64)p - have);
	}
	if (have >= bytes)
		return p;
	if (bytes > heap->region->nr_bytes || region_extend(heap->region, bytes - have) == NULL)
		return NULL;
	if (have != 0)
		unshelve(s, p);
	s->guard = (struct piece *)((u64)p + bytes);
	s->guard->head = IS_USED;
	make_free(s, p, bytes);
	return p;
}

/* The piece is used from now on; what it has beyond `bytes` becomes a free one.
 * lab 8.1, helper */
static void use(struct books *s, struct piece *p, u64 bytes)
{
	u64 rest = bytes_of(p) - bytes;

	if (rest < LEAST_BLOCK) {
		p->head |= IS_USED;
		behind(p)->head |= OLDER_USED;
		return;
	}
	p->head = bytes | (p->head & OLDER_USED) | IS_USED;
	behind(p)->head = OLDER_USED;
	make_free(s, behind(p), rest);
}

/* The free piece, taken from its shelf, without what is in front of the first aligned object.
 * lab 8.1, helper */
static struct piece *skip_front(struct books *s, struct piece *p, u64 align)
{
	u64 object = align_up((u64)p + sizeof(u64), align), gap, bytes = bytes_of(p);
	struct piece *aligned = piece_of((void *)object);

	if (aligned == p)
		return p;
	if ((u64)aligned - (u64)p < LEAST_BLOCK)
		aligned = piece_of((void *)(align_up(object + LEAST_BLOCK - 16, align)));
	gap = (u64)aligned - (u64)p;
	aligned->head = bytes - gap;
	make_free(s, p, gap);
	return aligned;
}

/* lab 8.1, helper */
static u64 block_bytes(size_t size)
{
	return max_u64(align_up(size + sizeof(u64), 16), LEAST_BLOCK);
}

/* lab 8.1 */
static bool contest_init(struct heap *heap)
{
	struct books *s = region_extend(heap->region, sizeof(*s));

	if (s == NULL)
		return false;
	memset(s, 0, sizeof(*s));
	((struct contest *)heap)->books = s;
	/* Heads stand at 8 modulo 16, so that objects are aligned. */
	s->guard = region_extend(heap->region, 16);
	if (s->guard == NULL)
		return false;
	s->guard = s->first = piece_of((u8 *)s->guard + 16);
	s->guard->head = IS_USED | OLDER_USED;
	return true;
}

/* lab 8.1 */
static void *contest_alloc(struct heap *heap, size_t size, size_t align)
{
	u64 bytes = block_bytes(size), wanted = align > 16 ? bytes + align + LEAST_BLOCK : bytes;
	struct piece *p = find(heap, wanted);

	if (p == NULL)
		p = grow(heap, wanted);
	if (p == NULL)
		return NULL;
	unshelve(books_of(heap), p);
	if (align > 16)
		p = skip_front(books_of(heap), p, align);
	use(books_of(heap), p, bytes);
	return &p->next;
}

/* lab 8.2 */
static void contest_free(struct heap *heap, void *object)
{
	struct books *s = books_of(heap);
	struct piece *p = piece_of(object), *next = behind(p);
	u64 bytes = bytes_of(p);

	if (!(next->head & IS_USED)) {
		unshelve(s, next);
		bytes += bytes_of(next);
		heap->joins++;
	}
	if (!(p->head & OLDER_USED)) {
		u64 older = *((u64 *)p - 1);

		p = (struct piece *)((u64)p - older);
		unshelve(s, p);
		bytes += older;
		heap->joins++;
	}
	make_free(s, p, bytes);
}

/* lab 8.3 */
static bool contest_resize(struct heap *heap, void *object, size_t size)
{
	struct books *s = books_of(heap);
	struct piece *p = piece_of(object), *next = behind(p);
	u64 bytes = block_bytes(size), have = bytes_of(p);
	bool is_followed = !(next->head & IS_USED);

	if (is_followed)
		have += bytes_of(next);
	if (size > heap->region->nr_bytes || have < bytes)
		return false;
	if (is_followed)
		unshelve(s, next);
	p->head = have | (p->head & OLDER_USED);
	use(s, p, bytes);
	return true;
}

/* lab 8.1 */
static size_t contest_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return bytes_of(piece_of(object)) - sizeof(u64);
}

/* lab 8.4, helper */
static bool is_place(const struct books *s, const struct piece *p)
{
	return p >= s->first && p < s->guard && (u64)p % 16 == 8;
}

/* How many pieces the shelf has; ~0: one of them does not belong there.
 * lab 8.4, helper */
static u64 count_shelf(const struct books *s, unsigned i)
{
	const struct piece *before = NULL;
	u64 nr = 0;

	for (const struct piece *p = s->shelf[i]; p != NULL; before = p, p = p->next, nr++)
		if (!is_place(s, p) || p->prev != before || p->head & IS_USED ||
		    bytes_of(p) < LEAST_BLOCK || shelf_of(bytes_of(p)) != i)
			return ~0ul;
	return nr;
}

/* lab 8.4, helper */
static const char *check_shelves(const struct books *s, u64 nr_free)
{
	u64 nr = 0;

	for (unsigned i = 0; i < NR_SHELVES; i++) {
		u64 here = count_shelf(s, i);

		if (here == ~0ul)
			return "contest S3: a block stands in a wrong shelf";
		if ((s->stocked[i / 64] >> i % 64 & 1) != (here != 0))
			return "contest S3: a shelf's bit is wrong";
		nr += here;
	}
	return nr == nr_free ? NULL : "contest S3: a free block is in no shelf";
}

/* lab 8.4 */
static const char *contest_check(const struct heap *heap)
{
	const struct books *s = books_of(heap);
	bool older_used = true;
	u64 nr_free = 0;

	if ((u64)s != (u64)heap + align_up(sizeof(struct contest), 16) ||
	    s->first != piece_of((u8 *)align_up((u64)(s + 1), 16) + 16) || s->unused != 0 ||
	    (u8 *)s->guard + sizeof(u64) != heap->region->brk)
		return "contest S1: the books' own places are wrong";
	for (const struct piece *p = s->first; p != s->guard; p = behind(p)) {
		bool used = p->head & IS_USED;

		if (bytes_of(p) < LEAST_BLOCK || bytes_of(p) > (u64)s->guard - (u64)p ||
		    p->head & 12)
			return "contest S1: a block's size leads astray";
		if (older_used != !!(p->head & OLDER_USED))
			return "contest S1: a block is wrong about the one before";
		if (!used && (!older_used || *foot_of(p) != bytes_of(p)))
			return "contest S2: two free blocks touch, or a foot is wrong";
		older_used = used;
		nr_free += !used;
	}
	if (s->guard->head != (IS_USED | (older_used ? OLDER_USED : 0)))
		return "contest S1: the guard is wrong";
	return check_shelves(s, nr_free);
}

/* lab 8.4 */
static void contest_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct books *s = books_of(heap);

	for (const struct piece *p = s->first; p != s->guard; p = behind(p)) {
		struct heap_block block = {p, bytes_of(p), p->head & IS_USED};

		visit(context, &block);
	}
}

const struct heap_design heap_contest = {
    .name = "contest",
    .idea = "what it does, in one line",
    .traits = HEAP_REUSES | HEAP_COALESCES | HEAP_GROWS,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct contest),
    .init = contest_init,
    .alloc = contest_alloc,
    .free = contest_free,
    .resize = contest_resize,
    .usable_size = contest_usable_size,
    .check = contest_check,
    .walk = contest_walk,
};
