/*
 * `slab_debug=`: which letters a text gives a cache, and what of it is wrong.
 */
#include <mm/debug.h>
#include <tests/test.h>

#define F DEBUG_CHECK
#define Z DEBUG_RED_ZONE
#define P DEBUG_POISON
#define U DEBUG_OWNER
#define Q DEBUG_QUARANTINE

static const struct {
	const char *text, *name;
	unsigned letters;
} cases[] = {
    {"", "a", F | Z | P | U}, /* `slab_debug` alone */
    {"F", "a", F},
    {"fzpuq", "a", F | Z | P | U | Q},
    {"QUPZF", "a", F | Z | P | U | Q},
    {"-", "a", 0},
    {"FZ,kmalloc-64", "kmalloc-64", F | Z},
    {"FZ,kmalloc-64", "kmalloc-640", 0},
    {"FZ,kmalloc-64", "kmalloc-6", 0},
    {"FZ,kmalloc-64;P,dentry*", "kmalloc-64", F | Z},
    {"FZ,kmalloc-64;P,dentry*", "dentry", P},
    {"FZ,kmalloc-64;P,dentry*", "dentry_cache", P},
    {"FZ,kmalloc-64;P,dentry*", "inode", 0},
    {"P,a,b,c", "b", P},
    {"P,a,b,c", "c", P},
    {"P,a,b,c", "ab", 0},
    {",a", "a", F | Z | P | U}, /* no letters: all of them */
    {",a", "b", 0},
    {"FZ;-,a,b", "a", 0}, /* all but these */
    {"FZ;-,a,b", "c", F | Z},
    {"-,a;FZ", "a", 0},
    {"P,a*;F,ab", "ab", P}, /* the first that names it */
    {"P;F", "a", F},        /* the last for all */
    {"P;F,a;Z", "a", F},
    {"P;F,a;Z", "b", Z},
    {"FX", "a", F}, /* what is no letter is left out */
    {"P,?", "a", P},
    {"P,", "a", 0},
    {"P,,a", "a", P},
    {";", "a", F | Z | P | U},
};

TEST(debug_options, letters_of_a_cache)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (slab_debug_letters(cases[i].text, cases[i].name) != cases[i].letters)
			test_fail(__FILE__, __LINE__, "\"%s\" gives %s the letters %#x, not %#x",
			          cases[i].text, cases[i].name,
			          slab_debug_letters(cases[i].text, cases[i].name),
			          cases[i].letters);
}

TEST(debug_options, names_longer_than_any_cache_match_nothing)
{
	const char *text = "P,abcdefghijklmnopqrstuvwxyzabcdefghijklmnop*";

	EXPECT_EQ(slab_debug_letters(text, "abcdefghijklmnopqrstuvwxyzabcde"), 0);
	EXPECT_EQ(slab_debug_letters("P,abcdefghijklmnopqrstuvwxyzabcde",
	                             "abcdefghijklmnopqrstuvwxyzabcde"),
	          P);
}

TEST(debug_options, the_first_bad_letter_is_named)
{
	EXPECT_EQ(slab_debug_bad_letter(""), '\0');
	EXPECT_EQ(slab_debug_bad_letter("FZPUQ"), '\0');
	EXPECT_EQ(slab_debug_bad_letter("-"), '\0');
	EXPECT_EQ(slab_debug_bad_letter("-;-,x"), '\0');
	EXPECT_EQ(slab_debug_bad_letter("P,xyz;f"), '\0');
	EXPECT_EQ(slab_debug_bad_letter("poison"), 'o');
	EXPECT_EQ(slab_debug_bad_letter("F;P;X,a;Y"), 'X');
	EXPECT_EQ(slab_debug_bad_letter("F-"), '-');
	EXPECT_EQ(slab_debug_bad_letter("-F"), '-');
}

TEST(debug_options, letters_are_named)
{
	char name[8];

	EXPECT_STREQ(debug_letters_name(name, F | Z | P | U | Q), "FZPUQ");
	EXPECT_STREQ(debug_letters_name(name, U | F), "FU");
	EXPECT_STREQ(debug_letters_name(name, DEBUG_ZERO_ALLOC), "");
}
