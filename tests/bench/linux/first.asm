; A kernel of a few instructions: prints the time stamp counter as it was at its first one, and ends the machine.
;
; QEMU starts Linux's uncompressed kernel by the PVH entry that its note names, after the firmware has run. This one
; has such a note too and is started the same way, so what it prints is what came before Linux's first instruction.
; The firmware copies the initial file system as well: both must be given the same.

bits 32

section .note.Xen note alloc noexec nowrite align=4
        dd      4, 4, 18                        ; the name's and the value's length; XEN_ELFNOTE_PHYS32_ENTRY
        db      'Xen', 0
        dd      _start

section .text
global _start
_start:
        rdtsc
        mov     esp, stack
        mov     ebx, 1000000000
        div     ebx                             ; two halves of nine digits
        push    edx
        mov     esi, 9
        call    print
        pop     eax
        call    print
        mov     al, 10
        mov     dx, 0x3f8
        out     dx, al
        mov     al, 16                          ; QEMU ends with 33: passed
        out     0xf4, al
        hlt

; eax in esi decimal digits, with leading zeros
print:
        mov     ecx, esi
        mov     ebx, 10
.divide:
        xor     edx, edx
        div     ebx
        add     dl, '0'
        push    edx
        loop    .divide
        mov     ecx, esi
        mov     dx, 0x3f8
.write:
        pop     eax
        out     dx, al
        loop    .write
        ret

section .bss
        resb    256
stack:
