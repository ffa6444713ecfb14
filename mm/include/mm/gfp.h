/*
 * How an allocation may behave. The names mean what they mean in Linux.
 *
 * Each zone keeps a reserve of free pages (`zones` in the monitor; mm/zone.c says how large). Who
 * may go how far into it:
 *
 *   GFP_KERNEL, GFP_NOWAIT   not at all: they end at the zone's `min`
 *   GFP_ATOMIC               half of it: what cannot wait finds something when others do not
 *   __GFP_MEMALLOC           all of it: for who gives more back than it takes. What shrinkers
 *                            allocate while they reclaim has it by itself.
 *
 * And a request that a higher zone could serve leaves in DMA and DMA32 a 256th of what the higher
 * zones have, for those who can use nothing else. __GFP_MEMALLOC does not.
 */
#pragma once

#include <lib/types.h>

typedef unsigned gfp_t;

#define __GFP_DMA 0x01u      /* only memory below 16 MiB */
#define __GFP_DMA32 0x02u    /* only memory below 4 GiB */
#define __GFP_ZERO 0x04u     /* filled with zero bytes */
#define __GFP_RECLAIM 0x08u  /* may ask caches to give memory back before it fails */
#define __GFP_HIGH 0x10u     /* urgent: for what must not wait; half of the reserves */
#define __GFP_NORETRY 0x100u /* fail at once rather than reclaim */
#define __GFP_NOFAIL \
	0x40u /* never NULL: when reclaim finds nothing more, the machine stops with a line */
#define __GFP_NOWARN 0x80u   /* no line in the log when it fails */
#define __GFP_MEMALLOC 0x20u /* all of the reserves */
#define __GFP_ALL 0x1ffu

/* Of kmalloc() alone: nothing but data will lie there, no addresses and no lengths. Where
 * kmalloc_data is on (mm/harden.h) it comes from size classes of its own; else it changes nothing.
 */
#define __GFP_DATA 0x200u

#define GFP_KERNEL __GFP_RECLAIM /* ordinary: may take time; not in interrupt handlers */
#define GFP_NOWAIT 0u            /* never waits or reclaims */
#define GFP_ATOMIC __GFP_HIGH    /* interrupt handlers: never waits or reclaims */
