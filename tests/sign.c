/*
 * Signed results: see tests/sign.h. The key is brought out for one line at a time; afterwards the
 * stack that computed with it is overwritten, for the next test may look there.
 *
 * SipHash-2-4 as its authors specify it ("SipHash: a fast short-input PRF", Indocrypt 2012).
 */
#include <tests/sign.h>

#include <lib/format.h>
#include <lib/log.h>
#include <lib/string.h>

#define LINE_MAX 256
#define USED_STACK 1024 /* more than signing uses */

static bool is_on;

static u64 rotate(u64 x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(u64 v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(u64 v[4], u64 word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* Up to eight bytes, the lowest address lowest. */
static u64 load(const u8 *p, size_t len)
{
	u64 word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (u64)p[i] << 8 * i;
	return word;
}

u64 siphash(const struct sign_key *key, const void *data, size_t len)
{
	u64 v[4] = {key->word[0] ^ 0x736f6d6570736575, key->word[1] ^ 0x646f72616e646f6d,
	            key->word[0] ^ 0x6c7967656e657261, key->word[1] ^ 0x7465646279746573};
	const u8 *p = data;

	for (size_t left = len; left >= 8; left -= 8, p += 8)
		sip_word(v, load(p, 8));
	sip_word(v, (u64)len << 56 | load(p, len % 8));
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* -1: none. */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sign_key_read(const char *text, struct sign_key *key)
{
	u8 bytes[sizeof(*key)];

	for (size_t i = 0; i < sizeof(bytes); i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		bytes[i] = (u8)(high << 4 | low);
	}
	key->word[0] = load(bytes, 8);
	key->word[1] = load(bytes + 8, 8);
	return true;
}

static __noinline void overwrite_stack(void)
{
	volatile u8 used[USED_STACK];

	for (size_t i = 0; i < sizeof(used); i++)
		used[i] = 0;
}

static __noinline u64 sign(const char *text)
{
	struct sign_key key;

	sign_key_show(&key);
	return siphash(&key, text, strlen(text));
}

void sign_begin(struct sign_key *key)
{
	sign_key_hide(key);
	*(volatile u64 *)&key->word[0] = 0;
	*(volatile u64 *)&key->word[1] = 0;
	overwrite_stack();
	is_on = true;
}

void sign_line(const char *fmt, ...)
{
	char text[LINE_MAX];
	va_list args;
	u64 hash;

	if (!is_on)
		return;
	va_start(args, fmt);
	vformat_buf(text, sizeof(text), fmt, args);
	va_end(args);
	hash = sign(text);
	overwrite_stack();
	kprintf("# signed %016lx %s\n", hash, text);
}
