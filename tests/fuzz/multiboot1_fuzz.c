/*
 * The Multiboot 1 reader on a physical memory of any content. Input: 2 bytes for the map; the rest
 * is memory from BASE on, and the structure is at its beginning. What peek() shows is a copy of
 * exactly that size, and gone with the next peek, as a window that moves would be.
 */
#include <boot/multiboot.h>
#include <tests/fuzz/boot_result.h>
#include <tests/fuzz/fuzz.h>

#define BASE 0x10000u
/* A byte each for the texts, some for the fields: no list may lead to more. */
#define MAX_PEEKS (BOOT_CMDLINE_MAX + 64 + BOOT_MODULES_MAX * (BOOT_MODULE_NAME_MAX + 1) + 100)

struct memory {
	u8 *bytes, *shown;
	size_t size;
	u32 nr_peeks;
};

static const void *peek(void *context, u64 pa, u64 length)
{
	struct memory *m = context;

	MUST(length > 0 && length - 1 <= UINT64_MAX - pa);
	MUST(++m->nr_peeks <= MAX_PEEKS);
	exact_free(m->shown);
	m->shown = NULL;
	if (pa < BASE || pa - BASE > m->size || length > m->size - (pa - BASE))
		return NULL;
	m->shown = exact_alloc(length);
	return memcpy(m->shown, m->bytes + (pa - BASE), length);
}

static void check_places(const struct boot_info *info, size_t size)
{
	MUST_EQ(info->protocol, BOOT_MULTIBOOT1);
	MUST_EQ(info->info_base, BASE);
	MUST(info->info_length <= sizeof(struct mb1_info));
	if (info->elf_sections != 0)
		MUST(info->elf_sections >= BASE &&
		     info->elf_sections + info->elf_sections_length <= BASE + size);
	MUST(info->rsdp_length == 0 && !info->efi && info->map_source != BOOT_MAP_EFI);
}

void fuzz_one(struct input *in)
{
	struct boot_result result;
	struct memory memory = {.size = 0};
	int error;

	boot_result_init(&result, in);
	memory.bytes = input_take_rest(in, &memory.size, false);
	error = multiboot1_read(BASE, peek, &memory, result.info, &result.map);
	exact_free(memory.bytes);
	exact_free(memory.shown);
	if (error == 0)
		check_places(result.info, memory.size);
	boot_result_check(&result, error);
	boot_result_finish(&result);
}
