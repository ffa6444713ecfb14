/* Model-specific registers, and CPUID. */
#pragma once

#include <lib/types.h>

#define MSR_APIC_BASE 0x1bu
#define MSR_PAT 0x277u
#define MSR_X2APIC 0x800u /* register r of the local APIC is r / 16 further */
#define MSR_EFER 0xc0000080u
#define MSR_GS_BASE 0xc0000101u

struct cpuid {
	u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
	                 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
	                 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline u64 read_msr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void write_msr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
