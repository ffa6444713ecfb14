/*
 * The trace reader: a cursor over text, that hands out one line's fields after the other.
 *
 * A module is whatever the user gave the boot loader, so every number is checked for digits and
 * overflow, every field for its separator and every line for its end; the first fault stops the
 * reading with the line's number and a reason. What a line means for the objects (is it live? does
 * the cache exist?) is the replayer's business.
 *
 * Cost: one pass, O(1) a byte.
 */
#include <kernel/trace.h>
#include <lib/string.h>

static bool fail(struct trace *t, const char *why)
{
	if (t->error == NULL)
		t->error = why;
	return false;
}

static char peek(const struct trace *t)
{
	return t->at < t->length ? t->text[t->at] : '\0';
}

static bool at_line_end(const struct trace *t)
{
	return t->at >= t->length || t->text[t->at] == '\n';
}

static void next_line(struct trace *t)
{
	while (!at_line_end(t))
		t->at++;
	t->at += t->at < t->length;
}

/* A word that must stand here, its blanks included. */
static bool expect(struct trace *t, const char *word, const char *why)
{
	size_t n = strlen(word);

	if (t->length - t->at < n || memcmp(t->text + t->at, word, n) != 0)
		return fail(t, why);
	t->at += n;
	return true;
}

static bool read_number(struct trace *t, u64 *out)
{
	u64 n = 0;
	size_t start = t->at;

	for (; peek(t) >= '0' && peek(t) <= '9'; t->at++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (u64)(peek(t) - '0'), &n))
			return fail(t, "a number is too large");
	if (t->at == start)
		return fail(t, "a number is missing");
	*out = n;
	return true;
}

static bool read_field(struct trace *t, u64 *out)
{
	return expect(t, " ", "a field is missing") && read_number(t, out);
}

static bool read_name(struct trace *t, char name[TRACE_CACHE_NAME_MAX])
{
	size_t n = 0;

	for (; !at_line_end(t) && peek(t) != ' '; t->at++) {
		if (n == TRACE_CACHE_NAME_MAX - 1)
			return fail(t, "the cache's name is too long");
		if (peek(t) <= ' ' || peek(t) > '~')
			return fail(t, "the cache's name has a character that is not text");
		name[n++] = peek(t);
	}
	name[n] = '\0';
	return n > 0 || fail(t, "the cache's name is missing");
}

static bool end_line(struct trace *t)
{
	if (!at_line_end(t))
		return fail(t, "there is more on the line than its operation has fields");
	t->at += t->at < t->length;
	return true;
}

static bool read_counts(struct trace *t)
{
	static const char why[] = "expected \"# ops: N  ids: M  peak-live-bytes: B\"";

	t->line++;
	return expect(t, "# ops: ", why) && read_number(t, &t->nr_ops) &&
	       expect(t, "  ids: ", why) && read_number(t, &t->nr_ids) &&
	       expect(t, "  peak-live-bytes: ", why) && read_number(t, &t->peak_live_bytes) &&
	       end_line(t);
}

/* What people load by mistake deserves better than "not a trace". */
static const char *why_no_trace(const char *text, size_t length)
{
	static const char xz[] = {(char)0xfd, '7', 'z', 'X', 'Z'};

	if (length >= sizeof(xz) && memcmp(text, xz, sizeof(xz)) == 0)
		return "the file is compressed with xz: unpack it first (xz -dc)";
	if (length >= 2 && memcmp(text, "\x1f\x8b", 2) == 0)
		return "the file is compressed with gzip: unpack it first";
	return "the file is no trace: its first line must be \"# trace 1\"";
}

static bool read_header(struct trace *t)
{
	t->line = 1;
	if (!expect(t, "# trace 1\n", why_no_trace(t->text, t->length)))
		return false;
	t->line++;
	if (!expect(t, "# origin: ", "expected \"# origin: …\""))
		return false;
	next_line(t);
	if (!read_counts(t))
		return false;
	/* Every id needs an operation, and every operation three characters: so the header can't
	 * ask for tables that have nothing to do with the text. */
	if (t->nr_ids > t->nr_ops || t->nr_ops > t->length)
		return fail(t, "the counts can't be true for a text of this length");
	return true;
}

int trace_open(struct trace *t, const char *text, size_t length)
{
	memset(t, 0, sizeof(*t));
	t->text = text;
	t->length = length;
	return read_header(t) ? 0 : -EINVAL;
}

/* `align <a>` may be missing: then the allocator's own. */
static bool read_cache(struct trace *t, struct trace_cache *cache)
{
	memset(cache, 0, sizeof(*cache));
	if (!read_name(t, cache->name) || !expect(t, " size ", "the cache's size is missing") ||
	    !read_number(t, &cache->size))
		return false;
	if (t->length - t->at > 7 && memcmp(t->text + t->at, " align ", 7) == 0)
		return expect(t, " align ", "") && read_number(t, &cache->align);
	return true;
}

int trace_next_cache(struct trace *t, struct trace_cache *cache)
{
	static const char start[] = "# cache ";

	while (t->error == NULL && peek(t) == '#') {
		t->line++;
		if (t->length - t->at < sizeof(start) ||
		    memcmp(t->text + t->at, start, sizeof(start) - 1) != 0) {
			next_line(t);
			continue;
		}
		t->at += sizeof(start) - 1;
		bool ok = read_cache(t, cache);

		next_line(t);
		return ok ? 1 : -EINVAL;
	}
	return t->error == NULL ? 0 : -EINVAL;
}

static bool read_fields(struct trace *t, struct trace_op *op)
{
	switch (op->kind) {
	case 'f':
		return true;
	case 'k':
	case 'm':
	case 'r':
		return read_field(t, &op->size);
	case 'p':
		return read_field(t, &op->order);
	case 'z':
		return read_field(t, &op->align) && read_field(t, &op->size);
	case 'c':
		return expect(t, " ", "the cache's name is missing") && read_name(t, op->cache) &&
		       read_field(t, &op->size);
	case '#':
		return fail(t, "a comment after the first operation");
	default:
		return fail(t, "no operation starts like this (k c p m z r f)");
	}
}

/* ` @<n>`: which CPU or thread it was is of no use to one CPU. */
static bool skip_thread(struct trace *t)
{
	u64 thread;

	if (t->length - t->at < 2 || memcmp(t->text + t->at, " @", 2) != 0)
		return true;
	t->at += 2;
	return read_number(t, &thread);
}

int trace_next(struct trace *t, struct trace_op *op)
{
	if (t->error != NULL)
		return -EINVAL;
	if (t->at >= t->length)
		return 0;
	t->line++;
	memset(op, 0, offsetof(struct trace_op, cache) + 1);
	op->kind = peek(t);
	t->at++;
	if (op->kind == '\n')
		return fail(t, "an empty line"), -EINVAL;
	/* The kind is checked before its id, so that a wrong one is named as such. */
	bool known = strchr("kcpmzrf", op->kind) != NULL && op->kind != '\0';

	if (known && !read_field(t, &op->id))
		return -EINVAL;
	if (known && op->id >= t->nr_ids)
		fail(t, "the id is not below the header's count of ids");
	return read_fields(t, op) && skip_thread(t) && end_line(t) && t->error == NULL ? 1
	                                                                               : -EINVAL;
}
