/*
 * Undefined behaviour stops the machine (CONFIG=kasan, -fsanitize=undefined): the compiler calls
 * one of these functions where arithmetic overflowed, an index is out of its array's bounds, a
 * shift is too wide, and so on. One line: `UBSAN: <kind> at <file>:<line>`.
 *
 * The first argument of all leads to a record that begins with the place; what the others say is
 * not needed. `null` is left out: here null pointers fault.
 */
#include <lib/assert.h>
#include <lib/types.h>

struct ubsan_place {
	const char *file;
	u32 line, column;
};

static _Noreturn void report(const char *kind, const struct ubsan_place *at)
{
	panic("UBSAN: %s at %s:%u:%u", kind, at->file, at->line, at->column);
}

#define HANDLER(name, kind)                                                         \
	void __ubsan_handle_##name(const struct ubsan_place *at);                   \
	_Noreturn void __ubsan_handle_##name##_abort(const struct ubsan_place *at); \
	void __ubsan_handle_##name(const struct ubsan_place *at)                    \
	{                                                                           \
		report(kind, at);                                                   \
	}                                                                           \
	_Noreturn void __ubsan_handle_##name##_abort(const struct ubsan_place *at)  \
	{                                                                           \
		report(kind, at);                                                   \
	}

HANDLER(add_overflow, "signed-integer-overflow")
HANDLER(sub_overflow, "signed-integer-overflow")
HANDLER(mul_overflow, "signed-integer-overflow")
HANDLER(negate_overflow, "signed-integer-overflow")
HANDLER(divrem_overflow, "division-overflow")
HANDLER(shift_out_of_bounds, "shift-out-of-bounds")
HANDLER(out_of_bounds, "array-index-out-of-bounds")
HANDLER(type_mismatch_v1, "misaligned-or-too-small-object")
HANDLER(alignment_assumption, "alignment-assumption")
HANDLER(pointer_overflow, "pointer-overflow")
HANDLER(load_invalid_value, "invalid-value-of-bool-or-enum")
HANDLER(nonnull_arg, "null-argument")
HANDLER(vla_bound_not_positive, "array-size-not-positive")
HANDLER(invalid_builtin, "builtin-of-zero")
HANDLER(builtin_unreachable, "unreachable-code-reached")
HANDLER(missing_return, "missing-return")
