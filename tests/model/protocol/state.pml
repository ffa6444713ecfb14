/*
 * What the protocol works on: the cache, its contexts, the machine's CPUs, and ghosts.
 *
 * A context is cpu * 2 + kind, kind 0 threads and 1 interrupt handlers, as in mm/context.h. Objects
 * are numbered from 1; 0 is the bottom of every magazine, whose tag says "in the slab" for ever.
 * Magazines are modelled by what they hold: which of them holds it makes no difference. Slots that
 * are not used hold 0, so that states which differ in garbage alone are one.
 */

/* The size of the world; the runs (run.py) choose others. */
#ifndef NR_CPUS
#define NR_CPUS 2
#endif
#ifndef NR_THREADS
#define NR_THREADS NR_CPUS	/* one a CPU; those above are CPU 0's */
#endif
#ifndef NR_HANDLERS
#define NR_HANDLERS NR_CPUS	/* CPUs that interrupts come to, from CPU 0 on */
#endif
#ifndef OBJECTS
#define OBJECTS 2
#endif
#ifndef CAPACITY
#define CAPACITY 1		/* slots of a magazine */
#endif
#ifndef DOUBLE_FREE
#define DOUBLE_FREE 0		/* 1: one call frees a free object; 2: two frees of one race */
#endif

#define NR_CONTEXTS (NR_CPUS * 2)
#define THREADS_OF(cpu) ((cpu) * 2)
#define HANDLERS_OF(cpu) ((cpu) * 2 + 1)
#define BIT(o) (1 << (o))

#define IN_SLAB 0
#define IN_MAGAZINE 1
#define IN_USE 2		/* any call site */

byte tag[OBJECTS + 1];

/* --- a cache's contexts: struct cpu_objects --- */

#define SLOT(c, i) slot[(c) * (CAPACITY + 1) + (i)]
#define SPARE(c, i) spare[(c) * CAPACITY + (i)]
#define LIMIT(c) (has_loaded[c] -> CAPACITY : 0)

byte slot[NR_CONTEXTS * (CAPACITY + 1)];	/* of the loaded magazine; 0: its bottom */
byte top[NR_CONTEXTS];
#ifdef PAGE_STACKS
bit has_loaded[NR_CONTEXTS] = 1;
#else
bit has_loaded[NR_CONTEXTS];
#endif
byte spare[NR_CONTEXTS * CAPACITY];
byte nr_spare[NR_CONTEXTS];

/* --- struct kmem_cache: guarded by its lock --- */

bit cache_lock;
byte bag = (1 << (OBJECTS + 1)) - 2;	/* a bit for each object in the slabs: all */
byte depot[CAPACITY];		/* its full magazine; it keeps one at most */
bit depot_full;

/* --- the machine --- */

#define CURRENT(cpu) ((cpu) * 2 + kind[cpu])	/* the context that %gs says */
#define RUNNING(cpu) ((cpu) + second[cpu] * NR_CPUS)	/* the thread */

bit kind[NR_CPUS];		/* of its current context */
bit irq_off[NR_CPUS];
bit in_handler[NR_CPUS];
bit second[NR_CPUS];		/* it runs its second thread; only CPU 0 may have one */
bit in_fast[NR_THREADS];	/* the thread's instruction pointer is in a fast path */
bit stays[NR_CPUS];		/* its thread must not be switched */

/* platform_on_other_cpus() */
bit call_lock;
bit asked[NR_CPUS];
byte asker;			/* the thread that holds call_lock */
bit missed[NR_THREADS];		/* was one in a fast path? A flag for each that asks */
bit served[NR_THREADS];		/* ghost: have those drained that it asked? */

/* --- ghosts: what the users know, and who is in the middle of something --- */

byte live;			/* a bit for each object that a user owns */
byte claimed;			/* the same from the store of its tag on, before the call returns */
byte nr_busy;			/* operations in progress */
bit halted;			/* a report stopped the machine, or the run says no more */

#if DOUBLE_FREE
byte freeing[OBJECTS + 1];	/* calls in progress that free it */
byte popping;			/* a bit for each object between the test and the store of a pop */
byte victim;			/* the object that was freed twice; 0: none yet */
#endif
#ifdef MID
byte mid[NR_CONTEXTS];		/* fast paths between their load and their store of top */
#define ENTER_MID(c) assert(mid[c] == 0); mid[c]++
#define LEAVE_MID(c) mid[c]--
#define NOT_MID(c) assert(mid[c] == 0)
#else
#define ENTER_MID(c) skip
#define LEAVE_MID(c) skip
#define NOT_MID(c) skip
#endif

/* The allocator has noticed a mistake and stops. Nobody made one in most of the runs. */
inline report()
{
#if DOUBLE_FREE
	assert(victim != 0);
#else
	assert(false);
#endif
	halted = 1
}

/* --- what must hold when nothing is in progress --- */

/* 0 outside of the step that counts. */
byte places, at_c, at_i, at_o;

inline count_in_magazines(object)
{
	at_c = 0;
	do
	:: at_c < NR_CONTEXTS ->
		at_i = 1;
		do
		:: at_i <= top[at_c] ->
			places = places + (SLOT(at_c, at_i) == object);
			at_i++
		:: else -> break
		od;
		at_i = 0;
		do
		:: at_i < nr_spare[at_c] ->
			places = places + (SPARE(at_c, at_i) == object);
			at_i++
		:: else -> break
		od;
		at_c++
	:: else -> break
	od;
	at_i = 0;
	do
	:: depot_full && at_i < CAPACITY ->
		places = places + (depot[at_i] == object);
		at_i++
	:: else -> break
	od
}

/* Each object is in one place, and its tag says which: in slab + cached + live = all. */
inline check_object(object)
{
	places = 0;
	count_in_magazines(object);
	assert(places <= 1);
	assert(places + ((bag & BIT(object)) != 0) + ((live & BIT(object)) != 0) == 1);
	assert(tag[object] ==
	       (places -> IN_MAGAZINE : ((live & BIT(object)) -> IN_USE : IN_SLAB)))
}

inline end_operation()
{
	d_step {
		nr_busy--;
		at_o = 1;
		do
		:: nr_busy == 0 && !halted && at_o <= OBJECTS ->
#if DOUBLE_FREE
			if
			:: at_o != victim -> check_object(at_o)
			:: else
			fi;
#else
			check_object(at_o);
#endif
			at_o++
		:: else -> break
		od;
		at_o = 0; at_c = 0; at_i = 0; places = 0
	}
}
