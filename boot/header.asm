; The two Multiboot headers. Both loaders search the start of the file (8 KiB for version 1, 32 KiB
; for version 2) for them, so linker.ld puts this section first.
;
; Every Multiboot2 tag but the end is optional (flag 1): a loader that knows less still loads the
; image.

MB1_MAGIC       equ 0x1badb002
MB1_ALIGN       equ 1 << 0                      ; modules start at page boundaries
MB1_MEMORY      equ 1 << 1                      ; give the memory map
MB1_FLAGS       equ MB1_ALIGN | MB1_MEMORY

MB2_MAGIC       equ 0xe85250d6
MB2_I386        equ 0                           ; enter in 32-bit protected mode
OPTIONAL        equ 1

MIB             equ 1 << 20

section .boot.header progbits alloc noexec nowrite align=8

mb1_header:
        dd MB1_MAGIC
        dd MB1_FLAGS
        dd -(MB1_MAGIC + MB1_FLAGS)

        align 8
mb2_header:
        dd MB2_MAGIC
        dd MB2_I386
        dd mb2_header_end - mb2_header
        dd -(MB2_MAGIC + MB2_I386 + (mb2_header_end - mb2_header))

.request:                                       ; what to put in the information structure
        dw 1, OPTIONAL
        dd .request_end - .request
        ; command line, loader, modules, basic memory, memory map, framebuffer, ELF sections,
        ; two RSDPs, EFI memory map, load base
        dd 1, 2, 3, 4, 6, 8, 9, 14, 15, 17, 21
.request_end:
        align 8
.console:
        dw 4, OPTIONAL
        dd 12
        dd 1 << 1                               ; EGA text is fine too
        align 8
.framebuffer:
        dw 5, OPTIONAL
        dd 20
        dd 1024, 768, 32
        align 8
.modules:
        dw 6, OPTIONAL
        dd 8
.relocatable:                                   ; anywhere below 4 GiB, the lowest place first
        dw 10, OPTIONAL
        dd 24
        dd 2 * MIB, 0xfff00000, 2 * MIB, 1
        align 8
.end:
        dw 0, 0
        dd 8
mb2_header_end:
