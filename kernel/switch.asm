; From one thread to another: the registers that C expects to survive a call go on the old stack, and
; come off the new one.

section .text progbits alloc exec nowrite align=16

; void thread_switch(u64 *old_rsp, u64 new_rsp)
global thread_switch
thread_switch:
        push rbp
        push rbx
        push r12
        push r13
        push r14
        push r15
        mov [rdi], rsp
        mov rsp, rsi
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbx
        pop rbp
        ret

; Where a new thread starts: thread_main() never returns.
extern thread_main
global thread_start
thread_start:
        xor ebp, ebp                            ; the backtrace ends here
        call thread_main
        ud2
