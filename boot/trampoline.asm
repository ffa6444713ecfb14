; Where the other CPUs start: real mode, at the beginning of a page below 1 MiB that kernel/smp.c
; copies this code to, with cs = page / 16 and ip = 0. From there straight to 64-bit code: paging and
; protection are turned on at once (AMD64 APM 2, 14.8; a 32-bit stop between is not needed).
;
; The page tables in trampoline_cr3 map the page one to one, and the kernel's half. The CPU that is
; being started takes its struct cpu with an exchange, so that one which wakes up late, after it was
; given up, finds nothing there and halts.

CR0_PE          equ 1
CR0_WP          equ 1 << 16
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
SELECTOR_CODE   equ 8

; Distance from the beginning of the page.
%define AT(label) ((label) - trampoline_start)

section .rodata.trampoline progbits alloc noexec nowrite align=16
global trampoline_start, trampoline_end
global trampoline_gdt, trampoline_gdtr, trampoline_far, trampoline_cr3, trampoline_efer
global trampoline_final_cr3, trampoline_cpu, trampoline_stack, trampoline_entry

bits 16
trampoline_start:
        cli
        cld
        mov ax, cs
        mov ds, ax
        lgdt [AT(trampoline_gdtr)]
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, [AT(trampoline_cr3)]
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, [AT(trampoline_efer)]
        wrmsr
        mov eax, cr0
        and eax, ~0x60000000                    ; caches on: INIT leaves CD and NW as they were
        or eax, CR0_PE | CR0_PG | CR0_WP
        mov cr0, eax
        jmp dword far [AT(trampoline_far)]

bits 64
        align 16
trampoline_64:
        xor eax, eax
        mov ss, eax
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        xor edi, edi
        xchg rdi, [rel trampoline_cpu]
        test rdi, rdi
        jz .late
        mov rsp, [rel trampoline_stack]
        mov rdx, [rel trampoline_final_cr3]
        mov rax, [rel trampoline_entry]
        jmp rax                                 ; smp_enter(cpu, …, final cr3)
.late:
        cli
        hlt
        jmp .late

        align 8
trampoline_gdt:
        dq 0
        dq 0x00209a0000000000                   ; 64-bit code
trampoline_gdtr:
        dw 15
        dd 0                                    ; set by kernel/smp.c, as all below
        align 8
trampoline_far:
        dd AT(trampoline_64)
        dw SELECTOR_CODE
        align 8
trampoline_cr3:         dd 0
trampoline_efer:        dd 0
trampoline_final_cr3:   dq 0
trampoline_cpu:         dq 0
trampoline_stack:       dq 0
trampoline_entry:       dq 0
trampoline_end:

section .text progbits alloc exec nowrite align=16
bits 64
extern smp_cpu_main
global smp_enter
; rdi: its struct cpu, rdx: the kernel's page tables. The page of the trampoline is left behind.
smp_enter:
        mov cr3, rdx
        xor ebp, ebp                            ; the backtrace ends here
        call smp_cpu_main
        ud2
