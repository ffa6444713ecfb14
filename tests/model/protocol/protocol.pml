/*
 * The protocol by which threads and interrupt handlers of all CPUs share one cache: docs/protocol.md.
 *
 * Threads run for ever and do, in any order, everything that a user may do: allocate, free any
 * object that somebody owns (so frees are as remote as they like), shrink the cache, have the other
 * CPUs shrink theirs. An interrupt may come between any two instructions while they are enabled;
 * its handler allocates, frees, or does what another CPU asks for, and the thread that goes on
 * afterwards may be another one.
 *
 * What is wrong shows as an assertion (an object given out twice, or in no place, or in two, when
 * nothing is in progress; a report though nobody made a mistake; a drain that did not happen) or as
 * a state without a next one: a deadlock, since nobody ever ends.
 */
#include "state.pml"
#include "fast.pml"
#include "slow.pml"


/* --- what users do --- */

inline do_alloc()
{
	nr_busy++;
	alloc_fast();
	if
	:: o == 0 -> alloc_slow()
	:: else
	fi;
	atomic {
		live = live | (o -> BIT(o) : 0);
		ok = 0;
		o = 0;
		end_operation()
	}
}

/* From the call on the object is its user's no longer. */
inline call_free(object)
{
	d_step {
		o = object;
		n = 0;
		nr_busy++;
		live = live & ~BIT(o);
		claimed = claimed & ~BIT(o);
#if DOUBLE_FREE
		freeing[o]++
#endif
	}
}

/* Of any object that somebody owns. */
inline choose_live()
{
	n = 1;
	do
	:: live & BIT(n) -> break
	:: live >> (n + 1) -> n++
	od
}

#if DOUBLE_FREE == 1	/* what is free already, or not yet allocated */
#define MAY_BE_FREED_TWICE(n) (victim == 0 && tag[n] != IN_USE)
#elif DOUBLE_FREE == 2	/* while another call frees it */
#define MAY_BE_FREED_TWICE(n) (victim == 0 && freeing[n] != 0)
#else
#define MAY_BE_FREED_TWICE(n) false
#endif

inline call_free_wrongly(object)
{
#if DOUBLE_FREE
	d_step { o = object; victim = o; nr_busy++; freeing[o]++ }
#else
	skip
#endif
}

inline do_free()
{
	free_fast();
	if
	:: !ok -> free_slow()
	:: else
	fi;
	atomic {
#if DOUBLE_FREE
		freeing[o]--;
#endif
		o = 0;
		ok = 0;
		end_operation()
	}
}

/* A thread may touch both contexts of its CPU; a handler its own alone. */
inline do_shrink()
{
	d_step { nr_busy++; c = (is_thread -> THREADS_OF(cpu) : HANDLERS_OF(cpu)) };
	shrink();
	end_operation()
}

/* --- platform_on_other_cpus(shrink): kernel/smp.c. Both contexts there, if it may at all. --- */

#define OTHER(cpu) (1 - (cpu))

#ifdef MUTANT_ONE_FLAG_FOR_ALL_WHO_ASK
#define FLAG_OF(thread) 0
#else
#define FLAG_OF(thread) (thread)
#endif
#ifdef MUTANT_ASK_WITH_INTERRUPTS_OFF
#define ASK_IRQ_SAVE IRQ_SAVE
#define ASK_IRQ_RESTORE skip; IRQ_RESTORE
#else
#define ASK_IRQ_SAVE skip
#define ASK_IRQ_RESTORE skip
#endif

inline ask_others()
{
	served[_pid] = 0;
	ASK_IRQ_SAVE;
	do
	:: missed[FLAG_OF(_pid)] = 0;
		stays[cpu] = 1;
		atomic { call_lock == 0 -> call_lock = 1; asker = _pid; asked[OTHER(cpu)] = 1 };
		asked[OTHER(cpu)] == 0;
		d_step { call_lock = 0; stays[cpu] = 0 };
		if
		:: missed[FLAG_OF(_pid)] == 0 -> break
		:: else
		fi
	od;
	ASK_IRQ_RESTORE;
	d_step { assert(served[_pid]); served[_pid] = 0 }
}

#ifdef MUTANT_DRAIN_IN_FAST_PATH
#define MAY_DRAIN true
#else
#define MAY_DRAIN (!in_fast[RUNNING(cpu)])
#endif

inline serve()
{
	nr_busy++;
	if
	:: MAY_DRAIN -> c = THREADS_OF(cpu); shrink(); served[asker] = 1
	:: else -> missed[FLAG_OF(asker)] = 1
	fi;
	asked[cpu] = 0;
	end_operation()
}

/* --- who runs --- */

#ifdef MUTANT_HANDLER_IN_THREADS_CONTEXT
#define ENTER_CONTEXT skip
#else
#define ENTER_CONTEXT kind[cpu] = 1
#endif
#ifdef MUTANT_HANDLER_LEAVES_ITS_CONTEXT
#define LEAVE_CONTEXT skip
#else
#define LEAVE_CONTEXT kind[cpu] = 0
#endif
#ifdef MUTANT_SWITCH_IN_FAST_PATH
#define MAY_SWITCH (!stays[cpu])
#else
#define MAY_SWITCH (!stays[cpu] && !in_fast[RUNNING(cpu)])
#endif

#define CPU_OF(thread) ((thread) % NR_CPUS)

active [NR_THREADS] proctype thread()
    provided (!in_handler[CPU_OF(_pid)] && RUNNING(CPU_OF(_pid)) == _pid && !halted)
{
	byte cpu = CPU_OF(_pid);
	bit is_thread = 1;
	byte o, c, t, n, held, held_spare, seen_bag;
	bit ok, flags, seen_full;

	do
	:: do_alloc()
	:: atomic { live != 0 -> choose_live(); call_free(n) }; do_free()
#if DOUBLE_FREE
	:: atomic { MAY_BE_FREED_TWICE(1) -> call_free_wrongly(1) }; do_free()
#if OBJECTS > 1
	:: atomic { MAY_BE_FREED_TWICE(2) -> call_free_wrongly(2) }; do_free()
#endif
#endif
#ifdef SHRINKS
	:: do_shrink()
#endif
#ifdef ASKS
	:: ask_others()
#endif
	od
}

active [NR_HANDLERS] proctype handler() provided (!halted)
{
	byte cpu = _pid - NR_THREADS;
	bit is_thread = 0;
	byte o, c, t, n, held, held_spare, seen_bag;
	bit ok, flags, seen_full;

	do
	:: atomic {
		!irq_off[cpu] ->
		in_handler[cpu] = 1;
		irq_off[cpu] = 1;
		ENTER_CONTEXT
	   };
	   UNSEEN {
		if
		:: do_alloc()
		:: atomic { live != 0 -> choose_live(); call_free(n) }; do_free()
#if DOUBLE_FREE
		:: atomic { MAY_BE_FREED_TWICE(1) -> call_free_wrongly(1) }; do_free()
#if OBJECTS > 1
		:: atomic { MAY_BE_FREED_TWICE(2) -> call_free_wrongly(2) }; do_free()
#endif
#endif
#ifdef HANDLERS_SHRINK
		:: do_shrink()
#endif
#ifdef ASKS
		:: asked[cpu] -> serve()
#endif
		:: true		/* only the clock's tick */
		fi
	   };
	   atomic {
		if
		:: true
		:: NR_THREADS > NR_CPUS && cpu == 0 && MAY_SWITCH -> second[0] = !second[0]
		fi;
		LEAVE_CONTEXT;
		in_handler[cpu] = 0;
		irq_off[cpu] = 0
	   }
	od
}
