/*
 * The Multiboot 2 reader on any bytes. Input: 2 bytes for the map; the rest is the structure, in a
 * block of exactly its size, which may be less or more than what it claims.
 */
#include <boot/multiboot.h>
#include <tests/fuzz/boot_result.h>
#include <tests/fuzz/fuzz.h>

#define PA 0x9000u

static void check_places(const struct boot_info *info, size_t size)
{
	MUST_EQ(info->protocol, BOOT_MULTIBOOT2);
	MUST_EQ(info->info_base, PA);
	MUST(info->info_length >= sizeof(struct mb2_header) && info->info_length <= size);
	if (info->elf_sections != 0)
		MUST(info->elf_sections >= PA &&
		     info->elf_sections + info->elf_sections_length <= PA + size);
}

void fuzz_one(struct input *in)
{
	struct boot_result result;
	size_t size;
	u8 *data;
	int error;

	boot_result_init(&result, in);
	data = input_take_rest(in, &size, false);
	error = multiboot2_read(data, size, PA, result.info, &result.map);
	exact_free(data); /* the result may not point into it */
	if (error == 0)
		check_places(result.info, size);
	boot_result_check(&result, error);
	boot_result_finish(&result);
}
