/*
 * The line editor: a gap-free buffer, a cursor, and the least terminal output that keeps the screen
 * in step.
 *
 * Typing at the end echoes one byte. Every other change redraws the line from its start with CR,
 * the text, "erase to the end" and backspaces to the cursor: no terminal needs more than these
 * three, and nothing of it depends on what the screen held before (antirez's linenoise shows how
 * far that goes). A line that is longer than the screen is shown through a window that slides
 * sideways, so it never wraps.
 *
 *   E1  cursor <= length <= LINEEDIT_MAX and line[length] is NUL.
 *   E2  left <= cursor <= left + width(): the cursor is in the window.
 *   E3  browsing <= the number of lines remembered.
 *
 * Keys beyond these are swallowed whole, escape sequences included; bytes above 126 are not text
 * here.
 */
#include <kernel/lineedit.h>
#include <lib/string.h>

#define CTRL(letter) ((letter)&0x1f)
#define ESC 0x1b
#define DELETE 0x7f
#define BELL "\a"

enum { TEXT, AFTER_ESC, IN_CSI, IN_SS3, IN_CSI_REST };

static void put(struct lineedit *e, const char *text, size_t len)
{
	e->out->write(e->out, text, len);
}

static void put_string(struct lineedit *e, const char *text)
{
	put(e, text, strlen(text));
}

/* Characters of the line that fit behind the prompt; the last column stays free, where terminals
 * differ. */
static unsigned width(const struct lineedit *e)
{
	size_t prompt = strlen(e->prompt);

	return prompt + 11 < LINEEDIT_COLUMNS ? LINEEDIT_COLUMNS - 1 - (unsigned)prompt : 10;
}

const char *lineedit_check(const struct lineedit *e)
{
	if (e->length > LINEEDIT_MAX || e->cursor > e->length || e->line[e->length] != '\0')
		return "E1: cursor or length outside the line";
	if (e->left > e->cursor || e->cursor > e->left + width(e))
		return "E2: the cursor is not in the window";
	if (e->browsing > e->nr_history || e->browsing > LINEEDIT_HISTORY)
		return "E3: browsing beyond the history";
	return NULL;
}

static void redraw(struct lineedit *e)
{
	if (e->cursor < e->left)
		e->left = e->cursor;
	if (e->cursor > e->left + width(e))
		e->left = e->cursor - width(e);
	unsigned shown = e->length - e->left;

	if (shown > width(e))
		shown = width(e);
	put_string(e, "\r");
	put_string(e, e->prompt);
	put(e, e->line + e->left, shown);
	put_string(e, "\x1b[K");
	for (unsigned n = shown - (e->cursor - e->left); n > 0; n--)
		put_string(e, "\b");
}

static void move(struct lineedit *e, unsigned cursor)
{
	e->cursor = cursor;
	redraw(e);
}

static void insert(struct lineedit *e, char c)
{
	if (e->length == LINEEDIT_MAX) {
		put_string(e, BELL);
		return;
	}
	memmove(e->line + e->cursor + 1, e->line + e->cursor, e->length - e->cursor + 1);
	e->line[e->cursor++] = c;
	e->length++;
	if (e->cursor == e->length && e->cursor <= e->left + width(e))
		put(e, &c, 1);
	else
		redraw(e);
}

/* Removes [from, to), and the cursor goes to `from`. */
static void erase(struct lineedit *e, unsigned from, unsigned to)
{
	memmove(e->line + from, e->line + to, e->length - to + 1);
	e->length -= to - from;
	move(e, from);
}

static unsigned word_start(const struct lineedit *e)
{
	unsigned i = e->cursor;

	while (i > 0 && e->line[i - 1] == ' ')
		i--;
	while (i > 0 && e->line[i - 1] != ' ')
		i--;
	return i;
}

static void set_line(struct lineedit *e, const char *text)
{
	str_copy(e->line, text, sizeof(e->line));
	e->length = e->cursor = (unsigned)strlen(e->line);
	e->left = 0;
	redraw(e);
}

static char *history_line(struct lineedit *e, unsigned back)
{
	return e->history[(e->nr_history - back) % LINEEDIT_HISTORY];
}

/* Shows the line `back` lines ago; 0 is the one that was being typed. */
static void browse(struct lineedit *e, unsigned back)
{
	unsigned kept = e->nr_history < LINEEDIT_HISTORY ? e->nr_history : LINEEDIT_HISTORY;

	if (back > kept) {
		put_string(e, BELL);
		return;
	}
	if (e->browsing == 0)
		str_copy(e->kept, e->line, sizeof(e->kept));
	e->browsing = back;
	set_line(e, back == 0 ? e->kept : history_line(e, back));
}

static void older(struct lineedit *e)
{
	browse(e, e->browsing + 1);
}

static void newer(struct lineedit *e)
{
	if (e->browsing > 0)
		browse(e, e->browsing - 1);
}

/* Empty lines and repetitions of the last one are not worth a place. */
static void remember(struct lineedit *e)
{
	bool is_repeated = e->nr_history > 0 && strcmp(history_line(e, 1), e->line) == 0;

	if (e->length == 0 || is_repeated)
		return;
	str_copy(e->history[e->nr_history % LINEEDIT_HISTORY], e->line, LINEEDIT_MAX + 1);
	e->nr_history++;
}

static void left(struct lineedit *e)
{
	if (e->cursor > 0)
		move(e, e->cursor - 1);
}

static void right(struct lineedit *e)
{
	if (e->cursor < e->length)
		move(e, e->cursor + 1);
}

static void delete_here(struct lineedit *e)
{
	if (e->cursor < e->length)
		erase(e, e->cursor, e->cursor + 1);
}

static void delete_before(struct lineedit *e)
{
	if (e->cursor > 0)
		erase(e, e->cursor - 1, e->cursor);
}

static void clear_screen(struct lineedit *e)
{
	put_string(e, "\x1b[2J\x1b[H");
	redraw(e);
}

/* --- completion --- */

struct matches {
	unsigned start, nr; /* of the word; how many words begin so */
	const char *first;  /* one of them */
	size_t common;      /* characters that all begin with */
};

static size_t common_length(const char *a, const char *b, size_t max)
{
	size_t n = 0;

	while (n < max && a[n] == b[n])
		n++;
	return n;
}

static bool is_match(const struct lineedit *e, unsigned start, const char *word)
{
	return strncmp(word, e->line + start, e->cursor - start) == 0;
}

static struct matches find_matches(const struct lineedit *e)
{
	struct matches m = {.start = e->cursor};
	const char *word;

	while (m.start > 0 && e->line[m.start - 1] != ' ')
		m.start--;
	for (unsigned i = 0; (word = e->word(e, m.start, i)) != NULL; i++) {
		if (!is_match(e, m.start, word))
			continue;
		m.common = m.nr++ == 0 ? strlen(word) : common_length(m.first, word, m.common);
		m.first = m.nr == 1 ? word : m.first;
	}
	return m;
}

static void list_matches(struct lineedit *e, const struct matches *m)
{
	const char *word;

	for (unsigned i = 0, n = 0; (word = e->word(e, m->start, i)) != NULL; i++) {
		if (!is_match(e, m->start, word))
			continue;
		put_string(e, n++ % 4 == 0 ? "\n" : "");
		format_to(e->out, "%-19s", word);
	}
	put_string(e, "\n");
	redraw(e);
}

static void complete(struct lineedit *e)
{
	struct matches m;
	unsigned typed;

	if (e->word == NULL)
		return;
	m = find_matches(e);
	typed = e->cursor - m.start;
	if (m.nr == 0)
		put_string(e, BELL);
	else if (m.nr > 1 && m.common == typed)
		list_matches(e, &m);
	for (size_t i = typed; i < m.common; i++)
		insert(e, m.first[i]);
	if (m.nr == 1 && e->line[e->cursor] == '\0')
		insert(e, ' ');
}

static enum lineedit_event finish(struct lineedit *e)
{
	if (e->cursor != e->length)
		move(e, e->length);
	put_string(e, "\n");
	remember(e);
	return LINEEDIT_DONE;
}

static enum lineedit_event cancel(struct lineedit *e)
{
	put_string(e, "^C\n");
	return LINEEDIT_CANCEL;
}

/* The number before a `~`: VT220 and rxvt keys. */
static void tilde(struct lineedit *e, unsigned number)
{
	if (number == 1 || number == 7)
		move(e, 0);
	else if (number == 4 || number == 8)
		move(e, e->length);
	else if (number == 3)
		delete_here(e);
}

static void sequence(struct lineedit *e, char final)
{
	switch (final) {
	case 'A':
		older(e);
		break;
	case 'B':
		newer(e);
		break;
	case 'C':
		right(e);
		break;
	case 'D':
		left(e);
		break;
	case 'H':
		move(e, 0);
		break;
	case 'F':
		move(e, e->length);
		break;
	case '~':
		tilde(e, e->parameter);
		break;
	default:
		break;
	}
}

/* Only the first parameter is of interest; the others (modifier keys) are skipped. */
static void escape(struct lineedit *e, u8 byte)
{
	if (e->escape == AFTER_ESC) {
		e->escape = byte == '[' ? IN_CSI : byte == 'O' ? IN_SS3 : TEXT;
		e->parameter = 0;
	} else if (e->escape == IN_CSI && byte >= '0' && byte <= '9') {
		e->parameter = e->parameter < 100 ? e->parameter * 10 + (byte - '0') : 100u;
	} else if (byte >= '@' && byte <= '~') {
		e->escape = TEXT;
		sequence(e, (char)byte);
	} else {
		e->escape = IN_CSI_REST;
	}
}

/* The keys that edit; any other control character does nothing. */
static void edit_key(struct lineedit *e, u8 byte)
{
	switch (byte) {
	case CTRL('A'):
		move(e, 0);
		break;
	case CTRL('B'):
		left(e);
		break;
	case CTRL('D'):
		delete_here(e);
		break;
	case CTRL('E'):
		move(e, e->length);
		break;
	case CTRL('F'):
		right(e);
		break;
	case CTRL('I'):
		complete(e);
		break;
	case CTRL('H'):
	case DELETE:
		delete_before(e);
		break;
	case CTRL('K'):
		erase(e, e->cursor, e->length);
		break;
	case CTRL('L'):
		clear_screen(e);
		break;
	case CTRL('N'):
		newer(e);
		break;
	case CTRL('P'):
		older(e);
		break;
	case CTRL('U'):
		erase(e, 0, e->cursor);
		break;
	case CTRL('W'):
		erase(e, word_start(e), e->cursor);
		break;
	case ESC:
		e->escape = AFTER_ESC;
		break;
	default:
		break;
	}
}

enum lineedit_event lineedit_input(struct lineedit *e, u8 byte)
{
	bool was_return = e->skip_newline;

	e->skip_newline = byte == '\r';
	/* A control character breaks off a sequence, so that Enter and Ctrl-C always work. */
	if (e->escape != TEXT && byte >= ' ') {
		escape(e, byte);
		return LINEEDIT_MORE;
	}
	e->escape = TEXT;
	if (byte == '\r' || (byte == '\n' && !was_return))
		return finish(e);
	if (byte == CTRL('C'))
		return cancel(e);
	if (byte >= ' ' && byte < DELETE)
		insert(e, (char)byte);
	else
		edit_key(e, byte);
	return LINEEDIT_MORE;
}

void lineedit_start(struct lineedit *e)
{
	e->escape = TEXT;
	e->browsing = 0;
	e->kept[0] = '\0';
	set_line(e, "");
}

void lineedit_init(struct lineedit *e, struct sink *out, const char *prompt)
{
	memset(e, 0, sizeof(*e));
	e->out = out;
	e->prompt = prompt;
}
