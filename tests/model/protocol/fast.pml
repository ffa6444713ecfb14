/*
 * The fast ways in and out, an instruction a step, in the order of the release build (gcc 12):
 *
 *   slab_alloc                         kmem_cache_free
 *     mov  %gs:0x10,%rax                 cmpw $0x1,(%rax)       the tag: in use?
 *     add  (%rdi),%rax                   jbe  slowly
 *     mov  (%rax),%rcx     top           mov  %gs:0x10,%rdx
 *     mov  (%rcx),%r8      object        add  0x10(%rcx),%rdx
 *     mov  0x8(%rcx),%rcx  &tag          mov  (%rdx),%rcx       top
 *     cmpw $0x1,(%rcx)                   cmp  0x8(%rdx),%rcx    limit
 *     jne  slowly                        je   slowly
 *     mov  %dx,(%rcx)      tag           mov  %di,(%rax)        tag
 *     subq $0x10,(%rax)    top           mov  %rsi,0x10(%rcx)   object
 *     ret                                mov  %rax,0x18(%rcx)   &tag
 *                                        addq $0x10,(%rdx)      top
 *                                        ret
 *
 * Nothing orders the stores: with ANY_ORDER they are made in every order, which is what another
 * compiler may do. PAGE_STACKS: alloc_hot_page and free_hot_page store the new top that they have
 * computed, where these add to it.
 *
 * Used by processes with the locals cpu, is_thread, o, c, t, ok.
 */

/* The mutant's code is not where mm_in_fast_path() looks for it. */
#ifdef MUTANT_FAST_PATH_ELSEWHERE
#define ENTER_FAST skip
#else
#define ENTER_FAST if :: is_thread -> in_fast[_pid] = 1 :: else fi
#endif
#define LEAVE_FAST if :: is_thread -> in_fast[_pid] = 0 :: else fi

#ifdef PAGE_STACKS
#define TOP_DOWN top[c] = t - 1
#define TOP_UP top[c] = t + 1
#else
#define TOP_DOWN top[c]--
#define TOP_UP top[c]++
#endif

/* From here to claim() another may be about to take the same object, if it was freed twice. */
inline begin_pop()
{
#ifdef ASSUME_NO_ALLOC_IN_FREE
	if
	:: freeing[o] != 0 -> halted = 1
	:: else
	fi;
#endif
#ifdef ASSUME_NO_ALLOC_RACE
	if
	:: popping & BIT(o) -> halted = 1
	:: else
	fi;
#endif
#if DOUBLE_FREE
	popping = popping | BIT(o)
#else
	skip
#endif
}

/* The tag says whether it may be taken: is it a cached object, and not the bottom? */
inline test_for_pop()
{
#ifdef MUTANT_POP_WITHOUT_TEST
	ok = 1;
#else
	ok = (tag[o] == IN_MAGAZINE);
#endif
	if
	:: ok -> begin_pop()
	:: else
	fi
}

/* The object is the caller's from here on: never twice. */
inline claim()
{
	assert(o != 0);
	assert(!(claimed & BIT(o)));
	claimed = claimed | BIT(o);
#if DOUBLE_FREE == 1
	/* Given out again before the wrong call looks, which then frees another's object: no tag can
	 * tell. */
	if
	:: o == victim -> halted = 1
	:: else
	fi;
#endif
#if DOUBLE_FREE
	popping = popping & ~BIT(o);
#endif
#ifndef MUTANT_POP_WITHOUT_TAG
	tag[o] = IN_USE
#endif
}

inline store_top_down()
{
	TOP_DOWN;
	SLOT(c, t) = 0		/* garbage */
}

inline alloc_fast()
{
	d_step { ENTER_FAST; c = CURRENT(cpu) };
	d_step { t = top[c]; ENTER_MID(c) };
	o = SLOT(c, t);
	d_step { test_for_pop() };
	if
	:: ok ->
#ifdef ANY_ORDER
		if
		:: d_step { true; claim() }; d_step { store_top_down(); LEAVE_MID(c) }
		:: d_step { true; store_top_down() }; d_step { claim(); LEAVE_MID(c) }
		fi;
#else
		d_step { claim() };
		d_step { store_top_down(); LEAVE_MID(c) };
#endif
	:: else -> d_step { LEAVE_MID(c); o = 0 }
	fi;
	d_step { LEAVE_FAST; c = 0; t = 0 }
}

/* --- free --- */

/* In use: may it be freed? */
inline test_for_free()
{
#ifdef MUTANT_FREE_WITHOUT_TEST
	ok = 1;
#else
	ok = (tag[o] >= IN_USE);
#endif
#if DOUBLE_FREE == 1
	/* Nobody but the wrong call frees the victim now: see claim(). */
	assert(o != victim || !ok)
#endif
}

inline free_fast()
{
	d_step { ENTER_FAST; test_for_free() };
	if
	:: ok ->
		c = CURRENT(cpu);
		d_step { t = top[c]; ENTER_MID(c) };
#ifdef MUTANT_PUSH_WITHOUT_LIMIT
		ok = (t < CAPACITY || !has_loaded[c]);
#else
		ok = (t != LIMIT(c));
#endif
		if
		:: ok -> store_free()
		:: else -> LEAVE_MID(c)
		fi
	:: else
	fi;
	d_step { LEAVE_FAST; c = 0; t = 0 }
}

inline store_free()
{
	assert(t < CAPACITY);
#ifdef ANY_ORDER
	if
	:: tag[o] = IN_MAGAZINE; SLOT(c, t + 1) = o; d_step { TOP_UP; LEAVE_MID(c) }
	:: SLOT(c, t + 1) = o; tag[o] = IN_MAGAZINE; d_step { TOP_UP; LEAVE_MID(c) }
	:: tag[o] = IN_MAGAZINE; TOP_UP; d_step { SLOT(c, t + 1) = o; LEAVE_MID(c) }
	:: TOP_UP; tag[o] = IN_MAGAZINE; d_step { SLOT(c, t + 1) = o; LEAVE_MID(c) }
	:: SLOT(c, t + 1) = o; TOP_UP; d_step { tag[o] = IN_MAGAZINE; LEAVE_MID(c) }
	:: TOP_UP; SLOT(c, t + 1) = o; d_step { tag[o] = IN_MAGAZINE; LEAVE_MID(c) }
	fi
#else
	tag[o] = IN_MAGAZINE;
	SLOT(c, t + 1) = o;	/* the address of its tag with it: above the top nobody looks */
	d_step { TOP_UP; LEAVE_MID(c) }
#endif
}
