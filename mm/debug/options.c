/*
 * `slab_debug=`: which letters a cache has. The syntax is in <mm/debug.h>.
 *
 * The text is kept as it came and read again for each cache that is created, which is rare; so
 * there is no table of parsed blocks that could be too small.
 *
 *   block  := letters [ "," name ]…
 *   text   := block [ ";" block ]…
 *
 * Pure but for the one copy of the text. Cost: O(text) for a cache.
 */
#include <lib/log.h>
#include <lib/string.h>
#include <mm/debug.h>

#define NAME_MAX 32

static const struct {
	char letter;
	enum debug_letter bit;
} table[] = {
    {'F', DEBUG_CHECK}, {'Z', DEBUG_RED_ZONE},   {'P', DEBUG_POISON},
    {'U', DEBUG_OWNER}, {'Q', DEBUG_QUARANTINE},
};

static struct mm_debug_choice chosen;

struct block {
	unsigned letters;
	char bad;          /* the first letter that is none, or '\0' */
	const char *names; /* of this block, up to `end`; NULL: it is for all */
	const char *end;   /* the ';' or the end of the text */
};

/* 0: there is no such letter. Linux takes small ones too. */
static unsigned bit_of(char letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (letter == table[i].letter || letter == table[i].letter + ('a' - 'A'))
			return table[i].bit;
	return 0;
}

static bool ends_letters(char c)
{
	return c == '\0' || c == ';' || c == ',';
}

static struct block read_block(const char *at)
{
	struct block b = {.letters = ends_letters(*at) ? DEBUG_ALL : 0};

	if (*at == '-' && ends_letters(at[1]))
		at++;
	for (; !ends_letters(*at); at++) {
		b.letters |= bit_of(*at);
		if (bit_of(*at) == 0 && b.bad == '\0')
			b.bad = *at;
	}
	if (*at == ',')
		b.names = at + 1;
	b.end = strchr(at, ';');
	if (b.end == NULL)
		b.end = at + strlen(at);
	return b;
}

/* The block at *text, which goes on to the one behind it. False: there is none. */
static bool next_block(const char **text, struct block *b)
{
	if (*text == NULL)
		return false;
	*b = read_block(*text);
	*text = *b->end != '\0' ? b->end + 1 : NULL;
	return true;
}

/* Whether one of the names in [at, end), with commas between them, matches. */
static bool names_match(const char *at, const char *end, const char *name)
{
	char pattern[NAME_MAX];

	for (const char *comma; at < end; at = comma + 1) {
		comma = strchr(at, ',');
		if (comma == NULL || comma > end)
			comma = end;
		if ((size_t)(comma - at) >= sizeof(pattern))
			continue;
		str_copy(pattern, at, (size_t)(comma - at) + 1);
		if (str_matches(pattern, name))
			return true;
	}
	return false;
}

unsigned slab_debug_letters(const char *text, const char *name)
{
	unsigned of_all = 0;
	struct block b;

	while (next_block(&text, &b)) {
		if (b.names == NULL)
			of_all = b.letters;
		else if (names_match(b.names, b.end, name))
			return b.letters;
	}
	return of_all;
}

char slab_debug_bad_letter(const char *text)
{
	struct block b;

	while (next_block(&text, &b))
		if (b.bad != '\0')
			return b.bad;
	return '\0';
}

void mm_debug_configure(const char *slab_debug, bool init_on_alloc, bool init_on_free)
{
	char bad = slab_debug != NULL ? slab_debug_bad_letter(slab_debug) : '\0';

	if (bad != '\0')
		log_warn("slab_debug: '%c' is ignored: the letters are F, Z, P, U and Q, or - for "
		         "none",
		         bad);
	chosen.on = slab_debug != NULL;
	chosen.init_on_alloc = init_on_alloc;
	chosen.init_on_free = init_on_free;
	str_copy(chosen.text, slab_debug != NULL ? slab_debug : "", sizeof(chosen.text));
}

void mm_debug_page_red_zones(bool on)
{
	chosen.page_red_zones = on;
}

struct mm_debug_choice mm_debug_choice(void)
{
	return chosen;
}

void mm_debug_choose(const struct mm_debug_choice *choice)
{
	chosen = *choice;
}

unsigned mm_debug_letters(const char *name)
{
	unsigned letters = chosen.on ? slab_debug_letters(chosen.text, name) : 0;

	if (chosen.init_on_alloc)
		letters |= DEBUG_ZERO_ALLOC;
	if (chosen.init_on_free && !(letters & DEBUG_POISON))
		letters |= DEBUG_ZERO_FREE;
	return letters;
}

bool mm_debug_wants(enum debug_letter letter)
{
	const char *at = chosen.on ? chosen.text : NULL;
	struct block b;

	while (next_block(&at, &b))
		if (b.letters & letter)
			return true;
	return false;
}

char *debug_letters_name(char buf[8], unsigned letters)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (letters & table[i].bit)
			buf[n++] = table[i].letter;
	buf[n] = '\0';
	return buf;
}
