/*
 * The trace reader. Input: a trace as text, in a block of exactly its size. Each line of operations
 * that it accepts must mean the same to a regular expression and strtoull(), and each that it
 * refuses must be wrong for them too.
 */
#include <kernel/trace.h>
#include <tests/fuzz/fuzz.h>

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#define LONGEST 400

static const char grammar[] =
    "^(f [0-9]+|[kmr] [0-9]+ [0-9]+|p [0-9]+ [0-9]+|z [0-9]+ [0-9]+ [0-9]+|"
    "c [0-9]+ [!-~]{1,63} [0-9]+)( @[0-9]+)?$";

struct line {
	char text[LONGEST];
	bool comparable; /* short enough, and no NUL in it */
};

static void take_line(const struct trace *t, struct line *line)
{
	size_t n = 0, at = t->at;

	while (at < t->length && t->text[at] != '\n' && n < LONGEST - 1)
		line->text[n++] = t->text[at++];
	line->text[n] = '\0';
	line->comparable = n < LONGEST - 1 && strlen(line->text) == n;
}

static bool matches(const char *text)
{
	static regex_t compiled;
	static bool is_compiled;

	if (!is_compiled)
		MUST_EQ(regcomp(&compiled, grammar, REG_EXTENDED | REG_NOSUB), 0);
	is_compiled = true;
	return regexec(&compiled, text, 0, NULL, 0) == 0;
}

/* The next number, and past it; *fits turns false when it is above 2^64 - 1. */
static u64 number(const char **p, bool *fits)
{
	char *end;
	u64 value;

	errno = 0;
	value = strtoull(*p, &end, 10);
	*fits = *fits && errno == 0;
	*p = end;
	return value;
}

/* Of a line that matches the grammar. False when a number is too large. */
static bool parse(const char *p, struct trace_op *op)
{
	bool fits = true;

	memset(op, 0, sizeof(*op));
	op->kind = *p++;
	op->id = number(&p, &fits);
	if (op->kind == 'z')
		op->align = number(&p, &fits);
	if (op->kind == 'c')
		for (p++; *p != ' '; p++)
			op->cache[strlen(op->cache)] = *p;
	if (op->kind == 'p')
		op->order = number(&p, &fits);
	else if (op->kind != 'f')
		op->size = number(&p, &fits);
	if (*p == ' ')
		p += 2, number(&p, &fits);
	return fits;
}

static void check_op(const struct line *line, const struct trace *t, int result,
                     const struct trace_op *op)
{
	struct trace_op want;
	bool good;

	if (!line->comparable)
		return;
	good = matches(line->text) && parse(line->text, &want) && want.id < t->nr_ids;
	MUST_EQ(result == 1, good);
	if (!good)
		return;
	MUST(op->kind == want.kind && op->id == want.id && op->size == want.size);
	MUST(op->align == want.align && op->order == want.order);
	MUST_EQ(strcmp(op->cache, want.cache), 0);
}

static void check_cursor(const struct trace *t, size_t before, int result)
{
	MUST(t->at <= t->length);
	MUST(result == 1 || result == 0 || result == -EINVAL);
	MUST_EQ(result == -EINVAL, t->error != NULL);
	MUST(result != 1 || t->at > before);
	if (result == 0)
		MUST(t->at == t->length || t->text[t->at] != '#');
}

static int read_caches(struct trace *t)
{
	struct trace_cache *cache = exact_alloc(sizeof(*cache));
	size_t before;
	int result;

	do {
		before = t->at;
		result = trace_next_cache(t, cache);
		check_cursor(t, before, result);
		if (result == 1)
			MUST(strnlen(cache->name, sizeof(cache->name)) - 1 <
			     TRACE_CACHE_NAME_MAX - 1);
	} while (result == 1);
	exact_free(cache);
	return result;
}

static void read_ops(struct trace *t)
{
	struct trace_op *op = exact_alloc(sizeof(*op));
	static struct line line;
	size_t before;
	int result;

	do {
		before = t->at;
		take_line(t, &line);
		result = trace_next(t, op);
		check_cursor(t, before, result);
		if (before < t->length)
			check_op(&line, t, result, op);
		else
			MUST_EQ(result, 0);
	} while (result == 1);
	MUST_EQ(trace_next(t, op), result); /* an end is an end */
	exact_free(op);
}

void fuzz_one(struct input *in)
{
	struct trace t;
	size_t size;
	char *text = (char *)input_take_rest(in, &size, false);
	int result = trace_open(&t, text, size);

	check_cursor(&t, 0, result == 0 ? 1 : result);
	if (result == 0) {
		MUST(t.nr_ids <= t.nr_ops && t.nr_ops <= size);
		if (read_caches(&t) == 0)
			read_ops(&t);
	}
	exact_free(text);
}
