/*
 * The only program of the Linux machine: loads the module with its arguments as parameters, which
 * runs the benchmarks, and ends the machine by QEMU's isa-debug-exit, as Strata does: 33 when all
 * went well, 35 when not.
 *
 * No C library: four system calls are all it needs.
 */
#include <stddef.h>

enum { SYS_WRITE = 1, SYS_OPEN = 2, SYS_IOPERM = 173, SYS_FINIT_MODULE = 313 };
enum { EXIT_PORT = 0xf4, EXIT_PASS = 16, EXIT_FAIL = 17 };

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c)
	                 : "rcx", "r11", "memory");
	return result;
}

static void say(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0')
		length++;
	call(SYS_WRITE, 1, (long)text, (long)length);
}

static void say_number(unsigned long n)
{
	char digits[24], *p = digits + sizeof(digits);

	*--p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	say(p);
}

static void end(unsigned char status)
{
	long err = call(SYS_IOPERM, EXIT_PORT, 1, 1);

	if (err == 0)
		__asm__ volatile("outb %0, %1" : : "a"(status), "Nd"((unsigned short)EXIT_PORT));
	say("init: cannot end the machine\n");
	for (;;)
		__asm__ volatile("pause");
}

/* The arguments, with blanks between, as the module's parameters. */
static const char *parameters(char *const argv[])
{
	static char text[1024];
	size_t at = 0;

	for (int i = 1; argv[i] != NULL; i++) {
		for (const char *p = argv[i]; *p != '\0' && at + 2 < sizeof(text); p++)
			text[at++] = *p;
		text[at++] = ' ';
	}
	text[at] = '\0';
	return text;
}

/* Where the kernel puts the argument count and the arguments: on the stack. */
__attribute__((used)) void start(long *stack)
{
	long file = call(SYS_OPEN, (long)"/bench.ko", 0, 0);
	long err = file < 0 ? file
	                    : call(SYS_FINIT_MODULE, file,
	                           (long)parameters((char *const *)(stack + 1)), 0);

	if (err < 0) {
		say("init: the module failed with error ");
		say_number((unsigned long)-err);
		say("\n");
	}
	end(err < 0 ? EXIT_FAIL : EXIT_PASS);
}

__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start\n");
