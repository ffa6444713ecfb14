; The entry of every exception and interrupt, and the way back out of an expected one.
;
; The CPU has pushed ss, rsp, rflags, cs, rip and for some vectors an error code, on a stack that it
; aligned to 16. A stub adds a zero where the error code is missing, and the vector; trap_common
; adds the registers: together struct trap_frame of kernel/trap.h, whose size keeps the stack
; aligned for C.
;
; There is no user mode, so %gs is always the kernel's and needs no swap.

extern trap_handle

; Vectors for which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30.
%define ERROR_CODES ((1 << 8) | (0x1f << 10) | (1 << 17) | (1 << 21) | (1 << 29) | (1 << 30))

section .text progbits alloc exec nowrite align=16

; 256 stubs of 16 bytes each; trap_init() computes their addresses.
global trap_stubs
        align 16
trap_stubs:
%assign vector 0
%rep 256
        align 16
  %if vector >= 32
        push byte 0
  %elif ((ERROR_CODES >> vector) & 1) == 0
        push byte 0
  %endif
        push dword vector
        jmp near trap_common
  %assign vector vector + 1
%endrep

trap_common:
        push rax
        push rbx
        push rcx
        push rdx
        push rsi
        push rdi
        push rbp
        push r8
        push r9
        push r10
        push r11
        push r12
        push r13
        push r14
        push r15
        push 0                                  ; unused
        push 0                                  ; cr2: trap_handle() fills it in
        cld
        mov rdi, rsp
        call trap_handle
        add rsp, 16
        pop r15
        pop r14
        pop r13
        pop r12
        pop r11
        pop r10
        pop r9
        pop r8
        pop rbp
        pop rdi
        pop rsi
        pop rdx
        pop rcx
        pop rbx
        pop rax
        add rsp, 16                             ; vector, error code
        iretq

; bool trap_recoverable_call(void (*fn)(void *), void *arg, struct trap_recovery *recovery) Calls
; fn(arg) and returns false. When trap_handle() sends an exception to trap_recover with rsp as it is
; stored in *recovery (its first field), returns true from here instead.
global trap_recoverable_call, trap_recover
trap_recoverable_call:
        push rbp
        mov rbp, rsp
        push rbx
        push r12
        push r13
        push r14
        push r15
        sub rsp, 8
        mov [rdx], rsp
        mov rax, rdi
        mov rdi, rsi
        call rax
        xor eax, eax
        jmp trap_recovered
trap_recover:
        mov eax, 1
trap_recovered:
        add rsp, 8
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret
