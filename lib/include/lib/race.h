/*
 * data_race(x): a plain read of x, which another CPU may be writing, on purpose and without a lock:
 * its value is a hint, or no value that the writer can leave there on its way misleads the reader.
 * Say which at each use. x: 1, 2, 4 or 8 bytes. It costs nothing; the thread sanitizer does not see
 * it.
 *
 * (The name and the idea are those of Linux's KCSAN.)
 */
#pragma once

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define data_race(x)                                                    \
	({                                                              \
		__typeof__((__typeof__(x))(x)) value_;                  \
		__asm__ volatile("mov %1, %0" : "=q"(value_) : "m"(x)); \
		value_;                                                 \
	})
#else
#define data_race(x) (x)
#endif
