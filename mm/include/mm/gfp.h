/*
 * How an allocation may behave. The names mean what they mean in Linux.
 */
#pragma once

#include <lib/types.h>

typedef unsigned gfp_t;

#define __GFP_DMA 0x01u     /* only memory below 16 MiB */
#define __GFP_DMA32 0x02u   /* only memory below 4 GiB */
#define __GFP_ZERO 0x04u    /* filled with zero bytes */
#define __GFP_RECLAIM 0x08u /* may ask caches to give memory back before it fails */
#define __GFP_HIGH 0x10u    /* urgent: for what must not wait (zones keep no reserve for it yet) */
#define __GFP_NORETRY 0x20u /* fail at once rather than reclaim */
#define __GFP_NOFAIL \
	0x40u /* never NULL: when reclaim finds nothing more, the machine stops with a line */
#define __GFP_NOWARN 0x80u /* no line in the log when it fails */
#define __GFP_ALL 0xffu

#define GFP_KERNEL __GFP_RECLAIM /* ordinary: may take time; not in interrupt handlers */
#define GFP_NOWAIT 0u            /* never waits or reclaims */
#define GFP_ATOMIC __GFP_HIGH    /* interrupt handlers: never waits or reclaims */
