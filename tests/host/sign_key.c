/*
 * The key of signed results (tests/sign.h) in a process: in a page that may not be touched while
 * tests run, at an address drawn at random among 2^30 pages.
 */
#include <tests/sign.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#define PAGE 4096ul
#define PAGES (1ul << 30)
#define LOWEST 0x300000000000ul /* no sanitizer and no loader puts anything here */

static struct sign_key *place;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(2);
}

void sign_key_hide(const struct sign_key *key)
{
	unsigned long at;

	if (getrandom(&at, sizeof(at), 0) != sizeof(at))
		fail("getrandom");
	place = mmap((void *)(LOWEST + at % PAGES * PAGE), PAGE, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (place == MAP_FAILED)
		fail("the key's page");
	*place = *key;
	if (mprotect(place, PAGE, PROT_NONE) != 0)
		fail("the key's page");
}

void sign_key_show(struct sign_key *key)
{
	if (mprotect(place, PAGE, PROT_READ) != 0)
		fail("the key's page");
	*key = *place;
	if (mprotect(place, PAGE, PROT_NONE) != 0)
		fail("the key's page");
}
