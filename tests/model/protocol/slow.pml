/*
 * The slow ways: refills, spills, the depot, frees past the magazines, flushes (mm/slab_cpu.c,
 * mm/slab_depot.c).
 *
 * All of it runs with interrupts off, and what is the cache's is touched under its lock. A critical
 * section is two steps: one takes the lock and reads what it guards, one writes it and lets go. So a
 * section without its lock loses what others wrote in between. What a batch moves is chosen freely
 * between one object and a magazine; so is whether there is memory for a magazine.
 *
 * Used by processes with the locals of fast.pml and n, seen_bag, seen_full, held, held_spare, flags.
 * What only lives within one step (i, moved) is 0 outside of it.
 */
byte i, moved;

/* With interrupts off, and with tags only of objects that are the CPU's own, nobody sees the steps in
 * between: the run is one step up to where it waits for the lock. EVERY_STEP does without this. */
#ifdef EVERY_STEP
#define UNSEEN
#else
#define UNSEEN atomic
#endif

#ifdef MUTANT_SLOW_PATH_WITH_INTERRUPTS
#define IRQ_SAVE skip
#define IRQ_RESTORE skip
#else
#define IRQ_SAVE d_step { flags = irq_off[cpu]; irq_off[cpu] = 1 }
#define IRQ_RESTORE d_step { irq_off[cpu] = flags; flags = 0 }
#endif

/* with: a constant, 0 in the mutants that forget the lock. */
inline lock_cache(with)
{
	atomic {
		(!with || cache_lock == 0) ->
		cache_lock = cache_lock | with;
		seen_bag = bag;
		seen_full = depot_full
	}
}

/* The rest of a critical section is one step. */
inline unlock_cache(with)
{
	bag = seen_bag;
	depot_full = seen_full;
	cache_lock = cache_lock & !with;
	seen_bag = 0;
	seen_full = 0;
	i = 0;
	moved = 0
}

#ifdef MUTANT_REFILL_WITHOUT_LOCK
#define LOCK_TO_REFILL 0
#else
#define LOCK_TO_REFILL 1
#endif
#ifdef MUTANT_SPILL_WITHOUT_LOCK
#define LOCK_TO_SPILL 0
#else
#define LOCK_TO_SPILL 1
#endif
#ifdef MUTANT_FLUSH_WITHOUT_LOCK
#define LOCK_TO_FLUSH 0
#else
#define LOCK_TO_FLUSH 1
#endif

/* --- objects in and out of slabs, under the lock --- */

/* The lowest object in the slabs: which one makes no difference. */
inline take_object(object)
{
	object = 1;
	do
	:: object <= OBJECTS && !(seen_bag & BIT(object)) -> object++
	:: else -> break
	od;
	if
	:: object > OBJECTS -> object = 0
	:: object <= OBJECTS && tag[object] != IN_SLAB -> report()
	:: else -> seen_bag = seen_bag & ~BIT(object); tag[object] = IN_MAGAZINE
	fi
}

inline put_object(object)
{
	assert(object != 0);
	if
#ifdef PUT_CHECKS
	:: tag[object] != IN_MAGAZINE -> report()
#elif defined(ASSUME_NO_PUT_IN_USE)
	:: tag[object] != IN_MAGAZINE -> halted = 1
#endif
	:: else -> tag[object] = IN_SLAB; seen_bag = seen_bag | BIT(object)
	fi
}

inline put_mask(mask)
{
	i = 1;
	do
	:: i <= OBJECTS ->
		if
		:: mask & BIT(i) -> put_object(i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	mask = 0
}

/* 1 … CAPACITY, whichever. */
inline choose_n()
{
	n = 1;
	do
	:: n < CAPACITY -> n++
	:: break
	od
}

/* --- the loaded magazine and the spare: in steps of their own --- */

/* Exchanged for each other. */
inline load_spare()
{
	i = 0;
	do
	:: i < CAPACITY ->
		moved = SLOT(c, i + 1);
		SLOT(c, i + 1) = SPARE(c, i);
		SPARE(c, i) = moved;
		i++
	:: else -> break
	od;
	i = top[c];
	top[c] = nr_spare[c];
	nr_spare[c] = i;
	i = 0;
	moved = 0
}

/* A magazine of the depot's for the empty one that was loaded. */
inline load_full()
{
	i = 0;
	do
	:: i < CAPACITY ->
		SLOT(c, i + 1) = depot[i];
#ifndef MUTANT_DEPOT_KEEPS_WHAT_IT_GIVES
		depot[i] = 0;
#endif
		i++
	:: else -> break
	od;
	top[c] = CAPACITY;
#ifndef MUTANT_DEPOT_KEEPS_WHAT_IT_GIVES
	seen_full = 0
#endif
}

inline send_spare_to_depot()
{
	i = 0;
	do
	:: i < CAPACITY -> depot[i] = SPARE(c, i); SPARE(c, i) = 0; i++
	:: else -> break
	od;
	nr_spare[c] = 0;
	seen_full = 1
}

/* n objects of the spare to the slabs. */
inline spill_spare()
{
	do
	:: n > 0 ->
		nr_spare[c]--;
		put_object(SPARE(c, nr_spare[c]));
		SPARE(c, nr_spare[c]) = 0;
		n--
	:: else -> break
	od
}

/* A page stack's n coldest to the zone; the others move down. */
inline spill_coldest()
{
	do
	:: n > 0 ->
		put_object(SLOT(c, 1));
		i = 1;
		do
		:: i < top[c] -> SLOT(c, i) = SLOT(c, i + 1); i++
		:: else -> break
		od;
		SLOT(c, top[c]) = 0;
		top[c]--;
		n--
	:: else -> break
	od
}

inline refill_from_slabs()
{
	do
	:: n > 0 ->
		take_object(moved);
		if
		:: moved != 0 -> top[c]++; SLOT(c, top[c]) = moved; n--
		:: else -> n = 0
		fi
	:: else -> break
	od
}

/* --- alloc --- */

/* Makes the loaded magazine have an object, if that can be. */
inline refill()
{
	if
	:: nr_spare[c] != 0 -> d_step { load_spare() }
	:: else ->
		choose_n();
		lock_cache(LOCK_TO_REFILL);
		d_step {
			if
			:: seen_full -> n = 0; load_full()
			:: else -> refill_from_slabs()
			fi;
			unlock_cache(LOCK_TO_REFILL)
		}
	fi
}

inline try_pop()
{
	d_step { NOT_MID(c); t = top[c]; o = SLOT(c, t); test_for_pop() };
	if
	:: ok -> d_step { claim(); store_top_down() }
	:: else
	fi
}

/* o: the object, or 0. */
inline alloc_slow()
{
	UNSEEN {
		IRQ_SAVE;
		c = CURRENT(cpu);
		try_pop();
		if
		:: !ok && o != 0 -> report()
		:: !ok && o == 0 ->
			if
			:: has_loaded[c] = 1; refill(); try_pop()
			:: !has_loaded[c] ->	/* and no memory for a magazine */
				lock_cache(LOCK_TO_REFILL);
				d_step {
					take_object(o);
					unlock_cache(LOCK_TO_REFILL);
					ok = (o != 0);
					if
					:: ok -> begin_pop()
					:: else
					fi
				};
				if :: ok -> d_step { claim() } :: else fi
			fi
		:: else
		fi;
		d_step { o = (ok -> o : 0); c = 0; t = 0 };
		IRQ_RESTORE
	}
}

/* --- free --- */

/* In use no longer. */
inline retire()
{
	UNSEEN {
		IRQ_SAVE;
		d_step { test_for_free() };
		if
		:: ok -> tag[o] = IN_MAGAZINE
		:: else -> report()
		fi;
		IRQ_RESTORE
	}
}

/* Both magazines are full. */
inline send_away()
{
	choose_n();
	lock_cache(LOCK_TO_SPILL);
	if
#ifdef PAGE_STACKS
	:: true -> d_step { spill_coldest(); unlock_cache(LOCK_TO_SPILL) }
#else
	:: !seen_full -> d_step { n = 0; send_spare_to_depot(); load_spare(); unlock_cache(LOCK_TO_SPILL) }
	:: true -> d_step { spill_spare(); load_spare(); unlock_cache(LOCK_TO_SPILL) }
#endif
	fi
}

/* ok: whether there is room now; if not, there is no memory for a magazine. */
inline make_room()
{
	if
	:: !has_loaded[c] -> has_loaded[c] = 1; ok = 1
	:: !has_loaded[c] -> ok = 0
	:: has_loaded[c] && top[c] != CAPACITY -> ok = 1
#ifdef PAGE_STACKS
	:: has_loaded[c] && top[c] == CAPACITY -> ok = 1; send_away()
#else
	:: has_loaded[c] && top[c] == CAPACITY && nr_spare[c] == 0 -> d_step { ok = 1; load_spare() }
	:: has_loaded[c] && top[c] == CAPACITY && nr_spare[c] == 0 -> ok = 0
	:: has_loaded[c] && top[c] == CAPACITY && nr_spare[c] != 0 -> ok = 1; send_away()
#endif
	fi
}

inline free_slow()
{
	retire();
	UNSEEN {
		IRQ_SAVE;
		d_step { c = CURRENT(cpu); NOT_MID(c) };
		make_room();
		if
		:: ok -> d_step { assert(top[c] < CAPACITY); top[c]++; SLOT(c, top[c]) = o }
		:: else ->
			lock_cache(LOCK_TO_SPILL);
			d_step { put_object(o); unlock_cache(LOCK_TO_SPILL) }
		fi;
		c = 0;
		IRQ_RESTORE
	}
}

/* --- flush --- */

/* Leaves nothing in the context; held and held_spare have what was there. */
inline unload()
{
	NOT_MID(c);
	i = 1;
	do
	:: i <= top[c] ->
		held = held | BIT(SLOT(c, i));
#ifndef MUTANT_FLUSH_FORGETS_NOTHING
		SLOT(c, i) = 0;
#endif
		i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < nr_spare[c] -> held_spare = held_spare | BIT(SPARE(c, i)); SPARE(c, i) = 0; i++
	:: else -> break
	od;
	i = 0;
#ifdef MUTANT_FLUSH_WITHOUT_SPARE
	held_spare = 0;
#endif
#ifndef MUTANT_FLUSH_FORGETS_NOTHING
	top[c] = 0;
#endif
#ifndef PAGE_STACKS
	has_loaded[c] = 0;
#endif
	nr_spare[c] = 0
}

inline give_back(mask)
{
	if
	:: mask != 0 ->
		lock_cache(LOCK_TO_FLUSH);
		d_step { put_mask(mask); unlock_cache(LOCK_TO_FLUSH) }
	:: else
	fi
}

inline flush_depot()
{
	UNSEEN {
		IRQ_SAVE;
		lock_cache(LOCK_TO_FLUSH);
		d_step {
			i = 0;
			do
			:: seen_full && i < CAPACITY ->
				held = held | BIT(depot[i]);
				depot[i] = 0;
				i++
			:: else -> break
			od;
			seen_full = 0;
			unlock_cache(LOCK_TO_FLUSH)
		};
		IRQ_RESTORE
	};
	UNSEEN {
		IRQ_SAVE;
		give_back(held);
		IRQ_RESTORE
	}
}

/* magazine_flush(), drain_cpu_pages(): this CPU's contexts from c on, and the depot. */
inline shrink()
{
	do
	:: c <= HANDLERS_OF(cpu) ->
		UNSEEN {
			IRQ_SAVE;
			d_step { unload() };
			give_back(held);
			give_back(held_spare);
			IRQ_RESTORE
		};
		c++
	:: else -> break
	od;
	c = 0;
#ifndef PAGE_STACKS
	flush_depot()
#endif
}
