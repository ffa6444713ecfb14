/*
 * build/host/memmap: what mm/memmap.c makes of a memory map in a text file. docs/memmap.md defines
 * both formats.
 *
 * The input is read completely before anything is printed, so that a bad line gives one line on
 * standard error and nothing on standard output. Any number of entries: the storage is 2n + 8
 * ranges, more than any n entries need.
 */
#include <lib/types.h>
#include <mm/memmap.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PHYS_BITS_MIN 12
#define PHYS_BITS_MAX 52
#define BLANKS " \t\r\n\v\f"
#define MAX_ENTRIES (1u << 30)

struct entries {
	struct mem_range *entry;
	u32 nr, capacity;
};

static const char help[] =
    "usage: memmap [--phys-bits N] FILE\n"
    "Makes sorted, disjoint, page-aligned ranges out of a firmware's memory map.\n\n"
    "FILE (- for standard input) has one entry a line: base length type\n"
    "  base, length  hexadecimal bytes, with or without 0x\n"
    "  type          1 usable, 2 reserved, 3 acpi, 4 nvs, 5 bad, by number or name; every other\n"
    "                number is reserved\n"
    "  #             starts a comment; empty lines are skipped\n"
    "The result is one range a line: base, length (16 hexadecimal digits each), name.\n\n"
    "  --phys-bits N  the CPU's physical address width, 12 to 52 (default: 52)\n"
    "  --help         this text\n\n"
    "Exit status: 0, or 1 after one line on standard error that says what was wrong.\n";

__printf(1, 2) _Noreturn static void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("memmap: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(EXIT_FAILURE);
}

/* --- numbers and types --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool parse_hex(const char *s, u64 *out)
{
	u64 value = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	if (*s == 0)
		return false;
	for (; *s != 0; s++) {
		int digit = hex_digit(*s);

		if (digit < 0 || value >> 60 != 0)
			return false;
		value = value << 4 | (u64)digit;
	}
	*out = value;
	return true;
}

static bool is_decimal(const char *s)
{
	return *s != 0 && s[strspn(s, "0123456789")] == 0;
}

/* Any decimal number, or hexadecimal with 0x: those that name no type of the firmware's are
 * reserved. */
static bool parse_type(const char *s, u32 *out)
{
	u64 value = UINT64_MAX;
	bool is_hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');

	for (u32 type = MEM_USABLE; type <= MEM_BAD; type++) {
		if (strcmp(s, memmap_type_name(type)) == 0) {
			*out = type;
			return true;
		}
	}
	if (is_hex ? !parse_hex(s, &value) : !is_decimal(s))
		return false;
	if (!is_hex)
		value =
		    strtoull(s, NULL, 10); /* too large a number gives the largest: reserved too */
	*out = value >= MEM_USABLE && value <= MEM_BAD ? (u32)value : MEM_RESERVED;
	return true;
}

/* --- input --- */

static void append(struct entries *all, struct mem_range entry)
{
	if (all->nr == all->capacity) {
		all->capacity = all->capacity > 0 ? all->capacity * 2 : 256;
		all->entry = realloc(all->entry, all->capacity * sizeof(*all->entry));
		if (all->entry == NULL || all->capacity > MAX_ENTRIES)
			fail("out of memory after %u entries", all->nr);
	}
	all->entry[all->nr++] = entry;
}

/* NULL, or what is wrong with the line. Empty lines and comments are nothing wrong, and no entry.
 */
static const char *parse_line(char *line, struct entries *all)
{
	char *rest = NULL, *base, *length, *type;
	struct mem_range entry;

	line[strcspn(line, "#")] = 0;
	base = strtok_r(line, BLANKS, &rest);
	length = strtok_r(NULL, BLANKS, &rest);
	type = strtok_r(NULL, BLANKS, &rest);
	if (base == NULL)
		return NULL;
	if (type == NULL)
		return "expected `base length type`";
	if (strtok_r(NULL, BLANKS, &rest) != NULL)
		return "text behind `base length type`";
	if (!parse_hex(base, &entry.base))
		return "base is not a hexadecimal number below 2^64";
	if (!parse_hex(length, &entry.length))
		return "length is not a hexadecimal number below 2^64";
	if (!parse_type(type, &entry.type))
		return "type is not a number, usable, reserved, acpi, nvs or bad";
	append(all, entry);
	return NULL;
}

static void read_entries(FILE *file, const char *name, struct entries *all)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	unsigned long number = 0;

	while ((length = getline(&line, &size, file)) >= 0) {
		const char *wrong = "a NUL byte: this is no text";

		number++;
		if (strlen(line) == (size_t)length)
			wrong = parse_line(line, all);
		if (wrong != NULL)
			fail("%s:%lu: %s", name, number, wrong);
	}
	if (ferror(file))
		fail("%s: %s", name, strerror(errno));
	free(line);
}

/* --- output --- */

static void print_normalized(const struct entries *all, unsigned phys_bits)
{
	u32 capacity = 2 * all->nr + 8;
	struct mem_range *storage = malloc(capacity * sizeof(*storage));
	struct memmap map;
	const char *broken;

	if (storage == NULL)
		fail("out of memory for %u entries", all->nr);
	memmap_init(&map, storage, capacity, phys_bits);
	for (u32 i = 0; i < all->nr; i++)
		memmap_add(&map, all->entry[i].base, all->entry[i].length, all->entry[i].type);
	memmap_normalize(&map);
	broken = memmap_check(&map);
	if (broken != NULL)
		fail("internal error: the result breaks %s", broken);
	for (u32 i = 0; i < map.nr; i++)
		printf("%016lx %016lx %s\n", map.range[i].base, map.range[i].length,
		       memmap_type_name(map.range[i].type));
	free(storage);
}

static void close_output(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("standard output: %s", strerror(errno));
}

/* --- command line --- */

static unsigned parse_phys_bits(const char *s)
{
	unsigned long bits = is_decimal(s) ? strtoul(s, NULL, 10) : 0;

	if (bits < PHYS_BITS_MIN || bits > PHYS_BITS_MAX)
		fail("--phys-bits %s: expected a number from %d to %d", s, PHYS_BITS_MIN,
		     PHYS_BITS_MAX);
	return (unsigned)bits;
}

/* The options' values; returns the file's name. */
static const char *parse_arguments(int argc, char **argv, unsigned *phys_bits)
{
	static const char bits_option[] = "--phys-bits";
	const char *file = NULL;
	bool options = true;

	for (int i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!options || strcmp(arg, "-") == 0 || arg[0] != '-') {
			if (file != NULL)
				fail("more than one file: %s and %s", file, arg);
			file = arg;
		} else if (strcmp(arg, "--") == 0) {
			options = false;
		} else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
			fputs(help, stdout);
			close_output();
			exit(EXIT_SUCCESS);
		} else if (strcmp(arg, bits_option) == 0 && i + 1 < argc) {
			*phys_bits = parse_phys_bits(argv[++i]);
		} else if (strncmp(arg, "--phys-bits=", sizeof(bits_option)) == 0) {
			*phys_bits = parse_phys_bits(arg + sizeof(bits_option));
		} else {
			fail("%s %s (memmap --help shows the options)",
			     strcmp(arg, bits_option) == 0 ? "no number after" : "unknown option",
			     arg);
		}
	}
	if (file == NULL)
		fail("no file given (- is standard input; memmap --help shows the options)");
	return file;
}

int main(int argc, char **argv)
{
	unsigned phys_bits = PHYS_BITS_MAX;
	const char *name = parse_arguments(argc, argv, &phys_bits);
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(name, "r");
	struct entries all = {NULL, 0, 0};

	if (file == NULL)
		fail("%s: %s", name, strerror(errno));
	read_entries(file, is_stdin ? "<stdin>" : name, &all);
	if (!is_stdin)
		fclose(file);
	print_normalized(&all, phys_bits);
	close_output();
	free(all.entry);
	return EXIT_SUCCESS;
}
