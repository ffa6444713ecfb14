/*
 * An arena beside an array with one byte a quantum, which knows what is held and nothing else. From
 * it alone follows what the arena must answer: which places a request could have, that there is
 * none when the answer is 0, which the policy must choose. What is done comes from `draw`: a
 * generator (tests/model/vmem_model.c) or a fuzzer's input (tests/fuzz/vmem_fuzz.c).
 */
#pragma once

#include <mm/vmem.h>

/* A number below the bound. */
typedef u32 (*vmem_oracle_draw)(void *context, u32 bound);

/* What is tried: plain; with imports from a source; with quantum caches; with both. */
enum { ORACLE_IMPORTS = 1, ORACLE_QCACHES = 2, NR_ORACLE_MODES = 4 };

/* NULL, or what was wrong. After a fault only vmem_oracle_abandon() may follow. */
const char *vmem_oracle_open(unsigned mode, vmem_oracle_draw draw, void *context);
const char *vmem_oracle_step(void);
const char *vmem_oracle_check(void);
const char *vmem_oracle_close(void); /* frees everything and destroys the arena */

/* For wrong frees: a place and size, and whether that is right; or held right but for its size. */
struct vmem *vmem_oracle_arena(void);
bool vmem_oracle_draw_free(u64 *addr, u64 *size);
