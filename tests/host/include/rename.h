/*
 * Included before everything else in the host's build, but for tests/host/ itself: the functions
 * that lib/ shares with the C library get names of their own, so that lib's are the ones under
 * test, and the C library and the sanitizers keep theirs.
 */
#pragma once

#define memcpy lib_memcpy
#define memmove lib_memmove
#define memset lib_memset
#define memcmp lib_memcmp
#define strlen lib_strlen
#define strnlen lib_strnlen
#define strcmp lib_strcmp
#define strncmp lib_strncmp
#define strchr lib_strchr
#define strstr lib_strstr
