/*
 * One owner a frame: the oracle of the page allocator's targets, on a small machine with memory in
 * all three zones. What is free at boot is learned from the allocator itself: all that it gives,
 * page by page, is given once, and comes back.
 */
#pragma once

#include <mm/mm.h>

/* TAKEN: by the boot, or no RAM. AWAY: it has left the page allocator. */
enum frame_state { FRAME_TAKEN, FRAME_FREE, FRAME_HELD, FRAME_AWAY };

/* Boots such a machine. Not a page is held. */
void frames_boot(void);

/* Whether the free lists are as after the boot, all caches empty. */
bool frames_are_as_at_boot(void);

/* An enum frame_state; NULL: no frame of the machine's memory. */
u8 *frame_owner(u32 pfn);

/* All must be `from`. */
void frames_set(u32 pfn, u32 nr_pages, enum frame_state from, enum frame_state to);
bool frames_are(u32 pfn, u32 nr_pages, enum frame_state state);
extern u64 frames_nr_free;

/* Whether so many free frames lie side by side from a multiple of align on, where these flags
 * allow; and the end of where they allow. */
bool frames_have(gfp_t gfp, u32 nr_pages, u32 align);
u32 frames_end(gfp_t gfp);

/* A number in the first and the last word, and whether it is still there. */
void frames_sign(u32 pfn, u32 nr_pages);
void frames_verify(u32 pfn, u32 nr_pages);
