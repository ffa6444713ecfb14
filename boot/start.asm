; The way from a Multiboot loader to C: 32-bit protected mode without paging to 64-bit code in the
; higher half.
;
; Entered by either protocol: eax the loader's magic, ebx the information structure, interrupts off,
; flat segments, no stack. The image may have been put anywhere (2 MiB aligned, below 4 GiB), so the
; 32-bit part finds its own place: ebp is kernel_phys_base, the physical address that KERNEL_BASE
; stands for, and memory of the image is always [ebp + PA(symbol)].
;
; Early page tables (boot_tables, 8 pages, given back once C has made the final ones), all of 2 MiB
; pages:
;   0                    the first 4 GiB, one to one: the code that turns paging on runs here
;   DIRECT_MAP_BASE      the same tables: phys_to_virt() works for these 4 GiB from the start
;   KERNEL_BASE          the image, 62 MiB from the link offset on
;
; What is missing is said in one line on COM1 and the VGA text screen; then the machine ends with
; the failure status through QEMU's debug-exit port.

%include "layout.inc"

; sym - KERNEL_BASE, written so that it fits a 32-bit relocation: adding 2 GiB wraps round to the
; same.
%define PA(sym) ((sym) + 0x80000000)

MB1_LOADED      equ 0x2badb002
MB2_LOADED      equ 0x36d76289

CPUID_FLAG      equ 1 << 21                     ; in eflags
CPUID_LM        equ 1 << 29                     ; 0x80000001, edx
CR0_PG          equ 1 << 31
CR4_PAE         equ 1 << 5
MSR_EFER        equ 0xc0000080
EFER_LME        equ 1 << 8

PTE_RW          equ 3                           ; present, writable
PTE_LARGE       equ 0x80
PAGE_2M         equ 0x200000

COM1            equ 0x3f8
VGA_TEXT        equ 0xb8000
EXIT_PORT       equ 0xf4
EXIT_PANIC      equ 18

KEPT_BY_RAM     equ 0x5354a31d                  ; any pattern but zeros and ones

extern kernel_main
extern kernel_end

bits 32
section .boot.text progbits alloc exec nowrite align=16

global start
start:
        cli
        cld
        mov edx, eax                            ; the magic

        ; Where am I? A call needs four bytes of stack: borrow them from conventional memory.
        mov esp, 0x7000
        mov ecx, [esp - 4]
        call .here
.here:
        pop ebp
        mov [esp - 4], ecx
        sub ebp, PA(.here)

        ; Loaders may put the end of the image where there is no memory: does it keep what is written?
        lea edi, [ebp + PA(kernel_end) - 4]
        mov eax, [edi]
        mov dword [edi], KEPT_BY_RAM
        wbinvd                                  ; past the caches
        cmp dword [edi], KEPT_BY_RAM
        mov [edi], eax
        jne no_memory
        lea esp, [ebp + PA(boot_stack_top)]

        cmp edx, MB2_LOADED
        je .loaded
        cmp edx, MB1_LOADED
        jne not_multiboot
.loaded:
        mov [ebp + PA(boot_magic)], edx
        mov [ebp + PA(boot_info_pa)], ebx
        call check_cpu
        rdtsc                                   ; for the cost of the boot (tests/bench)
        mov [ebp + PA(boot_start_cycles)], eax
        mov [ebp + PA(boot_start_cycles) + 4], edx
        call fill_tables

        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        lea eax, [ebp + PA(boot_tables)]
        mov cr3, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax

        ; A 64-bit code segment; the descriptor table's address is only known now.
        lea eax, [ebp + PA(boot_gdt)]
        sub esp, 8
        mov word [esp], boot_gdt_end - boot_gdt - 1
        mov [esp + 2], eax
        lgdt [esp]
        lea eax, [ebp + PA(enter_64)]
        push dword 8
        push eax
        retf

; Long mode or the end. eflags.ID can be changed only where there is CPUID.
check_cpu:
        pushfd
        pop eax
        mov ecx, eax
        xor eax, CPUID_FLAG
        push eax
        popfd
        pushfd
        pop eax
        xor eax, ecx
        test eax, CPUID_FLAG
        jz no_cpuid
        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        jb no_long_mode
        mov eax, 0x80000001
        cpuid
        test edx, CPUID_LM
        jz no_long_mode
        ret

; boot_tables: PML4, PDPT of the low 4 GiB, PDPT of the top 512 GiB, four PDs of the low 4 GiB, PD
; of the image.
fill_tables:
        lea edi, [ebp + PA(boot_tables)]
        lea eax, [edi + 0x1000 + PTE_RW]
        mov [edi], eax
        mov [edi + 8 * PML4_INDEX(DIRECT_MAP_BASE)], eax
        lea eax, [edi + 0x2000 + PTE_RW]
        mov [edi + 8 * PML4_INDEX(KERNEL_BASE)], eax
        lea eax, [edi + 0x7000 + PTE_RW]
        mov [edi + 0x2000 + 8 * PDPT_INDEX(KERNEL_BASE)], eax

        lea eax, [edi + 0x3000 + PTE_RW]
        lea ebx, [edi + 0x1000]
        mov ecx, 4
.pdpt:
        mov [ebx], eax
        add eax, 0x1000
        add ebx, 8
        loop .pdpt

        lea ebx, [edi + 0x3000]
        mov eax, PTE_LARGE | PTE_RW
        mov ecx, 4 * 512
        call .fill
        lea ebx, [edi + 0x7000 + 8]             ; the image starts at entry 1: KERNEL_LINK_OFFSET
        lea eax, [ebp + KERNEL_LINK_OFFSET + (PTE_LARGE | PTE_RW)]
        mov ecx, 31
.fill:                                          ; ecx entries at ebx, the first is eax
        mov [ebx], eax
        add eax, PAGE_2M
        add ebx, 8
        loop .fill
        ret

not_multiboot:
        lea esi, [ebp + PA(text_not_multiboot)]
        jmp fail
no_memory:
        lea esi, [ebp + PA(text_no_memory)]
        jmp fail
no_cpuid:
        lea esi, [ebp + PA(text_no_cpuid)]
        jmp fail
no_long_mode:
        lea esi, [ebp + PA(text_no_long_mode)]

; Shows the string at esi and ends the machine. Nothing is known of the serial port: it is set up,
; and a port that is never ready is waited for only a bounded time.
fail:
        lea ebx, [ebp + PA(serial_setup)]
        mov ecx, (serial_setup_end - serial_setup) / 2
.setup:
        movzx edx, byte [ebx]
        add edx, COM1
        mov al, [ebx + 1]
        out dx, al
        add ebx, 2
        loop .setup
        mov edi, VGA_TEXT
.next:
        lodsb
        test al, al
        jz .end
        mov ah, al
        mov ecx, 100000
.wait:
        mov edx, COM1 + 5
        in al, dx
        test al, 0x20                           ; transmitter empty
        loopz .wait
        mov edx, COM1
        mov al, ah
        out dx, al
        cmp al, ' '
        jb .next                                ; the newline is for the serial line only
        mov ah, 0x4f                            ; white on red
        stosw
        jmp .next
.end:
        mov al, EXIT_PANIC
        out EXIT_PORT, al
.halt:
        hlt
        jmp .halt

; Pairs of register and value: no interrupts, 115200 baud, 8 bits, no parity, FIFO on, DTR and RTS.
serial_setup:
        db 1, 0, 3, 0x80, 0, 1, 1, 0, 3, 3, 2, 7, 4, 3
serial_setup_end:

text_not_multiboot:
        db "Strata can't start: not loaded by a Multiboot loader (use GRUB or qemu -kernel)", 10, 0
text_no_memory:
        db "Strata can't start: too little memory: its image does not fit", 10, 0
text_no_cpuid:
        db "Strata can't start: this CPU has no CPUID; a 64-bit x86 CPU is needed", 10, 0
text_no_long_mode:
        db "Strata can't start: this CPU has no 64-bit mode (long mode); use a 64-bit x86", 10, 0

        align 8
boot_gdt:
        dq 0
        dq 0x00209a0000000000                   ; 64-bit code
boot_gdt_end:

bits 64
enter_64:
        mov ebp, ebp                            ; upper halves are undefined after the switch
        mov rax, enter_high
        jmp rax

section .text progbits alloc exec nowrite align=16
enter_high:
        xor eax, eax
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        mov ss, eax
        mov rsp, boot_stack_top
        mov [rel kernel_phys_base], rbp
        mov edi, [rel boot_magic]
        mov esi, [rel boot_info_pa]
        xor ebp, ebp                            ; the backtrace ends here
        call kernel_main
        ud2

section .data progbits alloc noexec write align=8
global kernel_phys_base
kernel_phys_base: dq 0
global boot_start_cycles
boot_start_cycles: dq 0
boot_magic:     dd 0
boot_info_pa:   dd 0

section .bss.boot_tables nobits alloc noexec write align=4096
global boot_tables, boot_tables_end
boot_tables:    resb 8 * 4096
boot_tables_end:

; CPU 0's kernel stack; the page below it is never mapped by the final tables (kernel/cpu.c).
section .bss.stacks nobits alloc noexec write align=4096
global boot_stack, boot_stack_top
        resb 4096
boot_stack:     resb BOOT_STACK_SIZE
boot_stack_top:
