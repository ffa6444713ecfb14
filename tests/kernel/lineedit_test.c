/*
 * The line editor, typed at through the kernel's own screen: a test compares what the user would
 * see (row and cursor of the screen that got the editor's bytes) with what it expects, not the
 * bytes themselves.
 */
#include <kernel/lineedit.h>
#include <kernel/screen.h>
#include <tests/test.h>

#define PROMPT "> "
#define PROMPT_LEN 2u
#define COLUMNS LINEEDIT_COLUMNS
#define ROWS 8u
#define WINDOW (COLUMNS - 1 - PROMPT_LEN)

static struct lineedit editor;
static struct screen screen;
static screen_cell cells[COLUMNS * ROWS], shown[COLUMNS * ROWS];
static enum lineedit_event last;

static void draw(struct screen *s, unsigned row, unsigned column, const screen_cell *text,
                 unsigned n)
{
	(void)s, (void)row, (void)column, (void)text, (void)n;
}

static void cursor(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on)
{
	(void)s, (void)row, (void)column, (void)under, (void)on;
}

static const struct screen_device device = {draw, cursor, COLUMNS, ROWS, 1};

static void to_screen(struct sink *self, const char *text, size_t len)
{
	(void)self;
	screen_write(&screen, text, len);
}

static struct sink sink = {.write = to_screen};

static void begin(void)
{
	screen_init(&screen, &device, cells, shown);
	lineedit_init(&editor, &sink, PROMPT);
	lineedit_start(&editor);
}

static void type(const char *keys)
{
	for (; *keys != '\0'; keys++)
		last = lineedit_input(&editor, (u8)*keys);
}

/* A whole line: Enter, and the next one begins. */
static void enter(const char *keys)
{
	type(keys);
	type("\r");
	lineedit_start(&editor);
}

/* Whether the cursor's row holds the prompt and the text, and blanks to its end. */
static bool row_shows(const char *text)
{
	size_t n = strlen(text);

	for (unsigned c = 0; c < COLUMNS; c++) {
		char expected = c < PROMPT_LEN       ? PROMPT[c]
		                : c < PROMPT_LEN + n ? text[c - PROMPT_LEN]
		                                     : ' ';

		if (screen_at(&screen, screen.row, c) != expected)
			return false;
	}
	return true;
}

#define EXPECT_LINE(text, at)                                \
	do {                                                 \
		EXPECT_STREQ(editor.line, text);             \
		EXPECT_EQ(editor.cursor, at);                \
		EXPECT_TRUE(row_shows(text));                \
		EXPECT_EQ(screen.column, PROMPT_LEN + (at)); \
		EXPECT_NULL(lineedit_check(&editor));        \
	} while (0)

TEST(lineedit, shows_what_is_typed)
{
	begin();
	type("mem info");
	EXPECT_LINE("mem info", 8u);
	EXPECT_EQ(last, LINEEDIT_MORE);
	type("\r");
	EXPECT_EQ(last, LINEEDIT_DONE);
	EXPECT_STREQ(editor.line, "mem info");
}

TEST(lineedit, takes_cr_lf_and_crlf_as_one_end)
{
	begin();
	enter("a");
	type("\n"); /* the second half of a CR LF */
	EXPECT_EQ(last, LINEEDIT_MORE);
	EXPECT_LINE("", 0u);
	type("b\n");
	EXPECT_EQ(last, LINEEDIT_DONE);
	lineedit_start(&editor);
	type("\n"); /* a line of its own */
	EXPECT_EQ(last, LINEEDIT_DONE);
}

TEST(lineedit, inserts_and_deletes_at_the_cursor)
{
	begin();
	type("hllo\x1b[D\x1b[D\x1b[D"
	     "e");
	EXPECT_LINE("hello", 2u);
	type("\x7f");
	EXPECT_LINE("hllo", 1u);
	type("\x1b[3~");
	EXPECT_LINE("hlo", 1u);
	type("\x1b[C\x08");
	EXPECT_LINE("ho", 1u);
	type("\x04");
	EXPECT_LINE("h", 1u);
	type("\x04"); /* nothing under the cursor */
	EXPECT_LINE("h", 1u);
	type("\x7f\x7f");
	EXPECT_LINE("", 0u);
}

TEST(lineedit, moves_to_both_ends_by_every_name_of_the_keys)
{
	static const char *const home[] = {"\x01", "\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~"};
	static const char *const end[] = {"\x05", "\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~"};

	begin();
	type("abc");
	for (size_t i = 0; i < ARRAY_SIZE(home); i++) {
		type(home[i]);
		EXPECT_LINE("abc", 0u);
		type(end[i]);
		EXPECT_LINE("abc", 3u);
	}
	type("\x1b[C"); /* at the end already */
	EXPECT_LINE("abc", 3u);
	type("\x01\x1b[D");
	EXPECT_LINE("abc", 0u);
}

TEST(lineedit, erases_by_word_and_to_both_ends)
{
	begin();
	type("one two  three");
	type("\x17");
	EXPECT_LINE("one two  ", 9u);
	type("\x17");
	EXPECT_LINE("one ", 4u);
	type("two\x1b[D\x1b[D\x0b");
	EXPECT_LINE("one t", 5u);
	type("\x1b[D\x15");
	EXPECT_LINE("t", 0u);
	type("\x17\x15"); /* nothing before the cursor */
	EXPECT_LINE("t", 0u);
}

TEST(lineedit, browses_the_history_and_comes_back)
{
	begin();
	enter("first");
	enter("second");
	enter("second"); /* repetitions and empty lines are not kept */
	enter("");
	type("new");
	type("\x1b[A");
	EXPECT_LINE("second", 6u);
	type("\x1b[A");
	EXPECT_LINE("first", 5u);
	type("\x1b[A"); /* no older one */
	EXPECT_LINE("first", 5u);
	type("\x1b[B\x1b[B");
	EXPECT_LINE("new", 3u);
	type("\x1b[B");
	EXPECT_LINE("new", 3u);
	type("\x10\x10"); /* Ctrl-P */
	EXPECT_LINE("first", 5u);
	type("!\r");
	EXPECT_STREQ(editor.line, "first!");
}

TEST(lineedit, keeps_the_newest_lines_of_a_long_history)
{
	begin();
	for (char c = 'a'; c <= 'z'; c++)
		for (char d = '0'; d <= '2'; d++)
			enter((char[]){c, d, '\0'});
	for (unsigned i = 0; i < LINEEDIT_HISTORY + 5; i++)
		type("\x1b[A");
	/* 78 lines were entered; the oldest one kept is number 78 - 32 = 46: p1 */
	EXPECT_LINE("p1", 2u);
}

TEST(lineedit, cancels_with_ctrl_c)
{
	begin();
	type("reboot\x03");
	EXPECT_EQ(last, LINEEDIT_CANCEL);
	lineedit_start(&editor);
	EXPECT_LINE("", 0u);
	type("\x1b[A");
	EXPECT_LINE("", 0u);
}

TEST(lineedit, clears_the_screen_but_not_the_line)
{
	begin();
	enter("one");
	type("two\x0c");
	EXPECT_LINE("two", 3u);
	EXPECT_EQ(screen.row, 0u);
}

TEST(lineedit, ignores_what_it_does_not_know)
{
	begin();
	type("a\x1b[15~\x1b[Z\x1bOQ\x1bx\t\x07\xc3\xa4z");
	EXPECT_LINE("az", 2u);
	type("\x1b[1;5D"); /* Ctrl-Left: taken as Left */
	EXPECT_LINE("az", 1u);
	type("\x1b[\r"); /* Enter works in the middle of a sequence */
	EXPECT_EQ(last, LINEEDIT_DONE);
	EXPECT_STREQ(editor.line, "az");
}

TEST(lineedit, shows_long_lines_through_a_window)
{
	begin();
	for (unsigned i = 0; i < LINEEDIT_MAX + 10; i++)
		type((char[]){(char)('a' + i % 26), '\0'});
	EXPECT_EQ(editor.length, (unsigned)LINEEDIT_MAX);
	EXPECT_EQ(screen.column, COLUMNS - 1);
	EXPECT_EQ(screen.row, 0u);
	EXPECT_NULL(lineedit_check(&editor));
	type("\x01");
	EXPECT_EQ(screen.column, PROMPT_LEN);
	EXPECT_EQ(screen_at(&screen, 0, PROMPT_LEN), 'a');
	EXPECT_EQ(screen.row, 0u);
}

/* --- completion --- */

static const char *fruit(const struct lineedit *e, unsigned start, unsigned i)
{
	static const char *const words[] = {"apple", "apricot", "banana", "bananas", NULL};

	(void)e;
	return start == 0 ? words[i] : NULL;
}

TEST(lineedit, tab_completes_what_is_certain)
{
	begin();
	type("a\t"); /* nothing to complete with */
	EXPECT_STREQ(editor.line, "a");
	editor.word = fruit;
	type("\t");
	EXPECT_STREQ(editor.line, "ap");
	EXPECT_TRUE(row_shows("ap"));
	type("r\t");
	EXPECT_STREQ(editor.line, "apricot ");
	EXPECT_TRUE(row_shows("apricot"));
	type("\t"); /* the second word can be none of these */
	EXPECT_STREQ(editor.line, "apricot ");
	type("\x15x\t");
	EXPECT_STREQ(editor.line, "x");
	type("\x15"
	     "ban\t");
	EXPECT_STREQ(editor.line, "banana");
}

TEST(lineedit, tab_lists_what_is_possible)
{
	begin();
	editor.word = fruit;
	type("ap\t");
	EXPECT_EQ(screen.row, 2u);
	EXPECT_EQ(screen_at(&screen, 1, 0), 'a');
	EXPECT_EQ(screen_at(&screen, 1, 19), 'a');
	EXPECT_EQ(screen_at(&screen, 1, 38), ' ');
	EXPECT_TRUE(row_shows("ap"));
	EXPECT_NULL(lineedit_check(&editor));
}

TEST(lineedit, tab_in_the_middle_of_a_line)
{
	begin();
	editor.word = fruit;
	type("apr and more\x01\x1b[C\x1b[C\x1b[C\t");
	EXPECT_STREQ(editor.line, "apricot and more");
	EXPECT_EQ(editor.cursor, 7u);
}

/* The plainest editor: a string and a cursor. */
static struct {
	char text[LINEEDIT_MAX + 1];
	size_t cursor;
} model;

static void model_insert(char c)
{
	size_t n = strlen(model.text);

	if (n == LINEEDIT_MAX)
		return;
	for (size_t i = n + 1; i > model.cursor; i--)
		model.text[i] = model.text[i - 1];
	model.text[model.cursor++] = c;
}

static void model_erase(size_t at)
{
	for (size_t i = at; model.text[i] != '\0'; i++)
		model.text[i] = model.text[i + 1];
}

static void random_key(void)
{
	u64 kind = rng_below(test_rng(), 20);

	if (kind < 12) {
		char c = (char)('a' + rng_below(test_rng(), 26));

		type((char[]){c, '\0'});
		model_insert(c);
	} else if (kind < 14 && model.cursor > 0) {
		type("\x7f");
		model_erase(--model.cursor);
	} else if (kind < 17 && model.cursor > 0) {
		type("\x1b[D");
		model.cursor--;
	} else if (kind == 17) {
		type("\x01");
		model.cursor = 0;
	} else if (kind == 18) {
		type("\x05");
		model.cursor = strlen(model.text);
	} else if (model.text[model.cursor] != '\0') {
		type("\x1b[3~");
		model_erase(model.cursor);
	}
}

/* What the window shows is the model's text from `left` on, and nothing behind it. */
static bool window_is_right(void)
{
	size_t n = strlen(model.text);

	for (unsigned i = 0; i < WINDOW; i++) {
		size_t at = editor.left + i;
		char expected = at < n ? model.text[at] : ' ';

		if (screen_at(&screen, 0, PROMPT_LEN + i) != expected)
			return false;
	}
	return screen.row == 0 && screen.column == PROMPT_LEN + model.cursor - editor.left;
}

TEST(lineedit, agrees_with_the_plainest_editor)
{
	begin();
	memset(&model, 0, sizeof(model));
	for (unsigned i = 0; i < 1500; i++) {
		random_key();
		ASSERT_STREQ(editor.line, model.text);
		ASSERT_EQ(editor.cursor, model.cursor);
		ASSERT_TRUE(window_is_right());
		ASSERT_NULL(lineedit_check(&editor));
	}
}

TEST(lineedit, check_names_each_broken_invariant)
{
	begin();
	type("abc");
	editor.cursor = 4;
	EXPECT_STREQ(lineedit_check(&editor), "E1: cursor or length outside the line");
	editor.cursor = 1;
	editor.left = 2;
	EXPECT_STREQ(lineedit_check(&editor), "E2: the cursor is not in the window");
	editor.left = 0;
	editor.browsing = 1;
	EXPECT_STREQ(lineedit_check(&editor), "E3: browsing beyond the history");
}
