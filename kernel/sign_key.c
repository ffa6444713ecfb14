/*
 * The key of signed results (tests/sign.h) in the kernel: two of the debug registers. They are the
 * processor's own, no breakpoint is ever armed here, and C has no name for them.
 *
 * It comes as a word `sign=` and 32 hexadecimal digits of a directly booted kernel's command line.
 * It is taken, and overwritten with blanks, before anything else looks at what the loader left.
 */
#include <boot/multiboot.h>
#include <kernel/sign_key.h>
#include <lib/string.h>
#include <mm/platform.h>
#include <tests/sign.h>

#define MB1_LOADED 0x2badb002u /* boot/start.asm passes the loader's own */

#define WORD "sign="
#define WORD_LENGTH (sizeof(WORD) - 1)
#define DIGITS (2 * sizeof(struct sign_key))
#define EARLY_LIMIT (4 * GIB) /* what boot/start.asm maps */
#define TEXT_MAX 4096         /* a command line is shorter */

void sign_key_hide(const struct sign_key *key)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1" : : "r"(key->word[0]), "r"(key->word[1]));
}

void sign_key_show(struct sign_key *key)
{
	__asm__ volatile("mov %%dr0, %0; mov %%dr1, %1" : "=r"(key->word[0]), "=r"(key->word[1]));
}

static char *find_command_line(u64 info_pa)
{
	const struct mb1_info *loader = phys_to_virt(info_pa);

	if (info_pa > EARLY_LIMIT - sizeof(*loader) || !(loader->flags & MB1_HAS_CMDLINE) ||
	    loader->cmdline == 0 || loader->cmdline > EARLY_LIMIT - TEXT_MAX)
		return NULL;
	return phys_to_virt(loader->cmdline);
}

void sign_key_take(u32 magic, u64 info_pa)
{
	char *text = magic == MB1_LOADED ? find_command_line(info_pa) : NULL;
	char *word = text && strnlen(text, TEXT_MAX) < TEXT_MAX ? strstr(text, WORD) : NULL;
	struct sign_key key;

	if (word == NULL || !sign_key_read(word + WORD_LENGTH, &key))
		return;
	memset(word, ' ', WORD_LENGTH + DIGITS);
	sign_begin(&key);
}
