# Strata's build: one file, not recursive, no source file is named. Start with `make help`.
#
# Sources are found by folder (a new file needs no change here), every object depends on the headers that it
# really included (-MMD) and on a stamp that holds its flags: changing CC, CONFIG or a flag rebuilds what it must,
# deleting a source links again, and a build with nothing to do starts no process but make's own.
#
# A layer sees the headers of the layers below it and no others, by its own -I list: see "Layers".

comma := ,
ifneq ($(filter 3.% 4.0 4.1,$(MAKE_VERSION)),)
$(error This is GNU make $(MAKE_VERSION), and 4.2 is needed (on macOS: brew install make, and then it is called gmake))
endif

# --- Options: `#? NAME (default) meaning` is what `make help` prints ---

#? BUILD (build): the folder for everything that is made
BUILD ?= build
#? CONFIG (debug): debug has the inner checks; release has none of them and is what to measure; kasan is debug with the
#?   address and undefined-behaviour sanitizers in the kernel
CONFIG ?= debug
#? CC (gcc): the compiler, gcc or clang; on other hosts than x86_64 a cross compiler is looked for
#? HOSTCC (as CC where it runs here): the compiler of the programs that run on this machine
#? LD (ld), NASM (nasm), PYTHON (python3): the other tools
NASM ?= nasm
PYTHON ?= python3
#? WERROR (0): 1 makes warnings errors, as CI does
WERROR ?= 0
#? V (0): 1 shows every command
V ?= 0
#? QEMU (qemu-system-x86_64): the emulator
QEMU ?= qemu-system-x86_64
#? MEM (512M): memory of the machine that run, debug, test-kernel, bench and replay start
MEM ?= 512M
#? CPU (max): its processor model; qemu64 is the poorest that boots
CPU ?= max
#? ACCEL (tcg): QEMU's accelerator for run and debug; kvm is faster where it works
ACCEL ?= tcg
#? UEFI (0): 1 boots UEFI firmware (OVMF) instead of a BIOS, for run
UEFI ?= 0
#? CMDLINE (empty): the kernel's command line, for run and debug
CMDLINE ?=
#? TEST (all): which tests test-host and test-kernel run: suite, suite.name, * and ?, commas; !suite takes it out
TEST ?=
#? SEED (random): repeats the run with this seed
SEED ?=
#? BENCH (all): which benchmarks bench runs: a name, * and ?
BENCH ?=
#? LINUX (empty): further options of tools/bench-linux for bench-linux, such as --debian-defaults
LINUX ?=
#? TRACE (none): the trace for replay and events, plain text or .xz; for report, or a file of events
TRACE ?=
#? EVENTS (BUILD/events.bin): the file of events that events and trace-events write
EVENTS ?= $(BUILD)/events.bin
#? OUT (BUILD/report.html): the page that report makes; REPORT: more options of tools/report, such as --partial
OUT ?=
REPORT ?=
#? LAYOUT (windows): plain gives debug gdb's plain prompt
LAYOUT ?=
#? FROM (kmalloc_any): the function inside which trace-calls follows calls; CALLS: more options of tools/trace-calls: '--nth 3'
FROM ?= kmalloc_any
CALLS ?=
#? REPEAT (1): how often events replays the trace
REPEAT ?= 1
#? WORK (stress=3): what trace-events traces: stress=SECONDS, demo_for=SECONDS, test=PATTERN, or a trace by TRACE=
WORK ?= stress=3
#? TRACED (all): which events trace-events records, with commas (docs/events.md); drop: those without room are lost
TRACED ?= all
#? PORT (debugcon): how events leave the machine: debugcon or serial
PORT ?= debugcon
#? TIMEOUT (300): seconds after which a test boot counts as hung
TIMEOUT ?= 300
#? FUZZ (all), TIME (a fixed number of runs): which targets fuzz runs, and for how many seconds each
FUZZ ?=
TIME ?=
#? SAMPLE (all): how many mutants mutate tries, always the same ones; MUTATE: more options of tools/mutate
SAMPLE ?=
MUTATE ?=
#? GOAL (95): how many per cent of the mutants must be killed
GOAL ?= 95
#? MODEL (none): more options of tests/model/protocol/run.py, for model: '--only mutant', '--list'
MODEL ?=
#? BENCH_HOST (none): more options of tests/bench/host/bench_host.py, for bench-host: '--only mix,hot_*'
BENCH_HOST ?=
#? FRAGMENTATION (none): more options of tests/bench/host/fragmentation.py, for fragmentation: '--memory 131072'
FRAGMENTATION ?=
#? HEAP (none): the C file that contest scores, with a `const struct heap_design heap_contest` (docs/gallery.md)
HEAP ?=
#? TRACES (all), DESIGNS (all): what compare and contest replay, by name; patterns and commas, or words
TRACES ?= *
DESIGNS ?=
#? ASSETS (all): which pictures docs-assets makes, by name (tools/docs-assets --list); patterns and commas
ASSETS ?= *
#? LAB, N (none): which lab of labs/ grade grades and lab exports; OUT: the new folder for lab; LABS (all): for labs-check
#? SUBMISSION (this tree): the folder whose files of the lab grade takes; RESULTS (BUILD/results.json): what it writes
OWNED ?=
HIDDEN ?=
BOOT ?= 1
#? BOOTS (all): which machines test-boot boots: uefi-*, bios-*, direct-*, bochs-*, refuse-*, commas
BOOTS ?= *

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
ifeq ($(filter $(CONFIG),debug release kasan),)
$(error CONFIG=$(CONFIG) is not known: use CONFIG=debug, CONFIG=release or CONFIG=kasan)
endif
Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-8s %s\n' '$1' '$(subst $(CURDIR)/,,$2)')

# --- Compilers ---

# Whether this machine's own compiler makes what the kernel is made of. Elsewhere a cross compiler, or clang with lld.
NATIVE := $(filter Linux-x86_64 Linux-amd64,$(shell uname -s)-$(shell uname -m))
found = $(firstword $(foreach c,$1,$(if $(shell command -v $c),$c)))
ifeq ($(origin CC),default)
CC := $(or $(call found,$(if $(NATIVE),gcc) x86_64-elf-gcc x86_64-linux-gnu-gcc clang),gcc)
endif
CC_NAME := $(if $(findstring clang,$(CC)),clang,gcc)
CROSS := $(patsubst %gcc,%,$(filter x86_64-elf-gcc x86_64-linux-gnu-gcc,$(notdir $(CC))))
HOSTCC ?= $(if $(CROSS),cc,$(CC))
HOSTCC_NAME := $(if $(findstring clang,$(HOSTCC)),clang,gcc)
LLVM := $(if $(NATIVE),,$(filter clang,$(CC_NAME)))
ifeq ($(origin LD),default)
LD := $(if $(LLVM),ld.lld,$(CROSS)ld)
endif
OBJCOPY ?= $(if $(LLVM),$(or $(call found,llvm-objcopy x86_64-elf-objcopy),llvm-objcopy),$(CROSS)objcopy)
NM ?= $(if $(LLVM),$(or $(call found,llvm-nm x86_64-elf-nm),llvm-nm),$(CROSS)nm)
ifeq ($(origin AR),default)
AR := ar
endif

# --- Flags ---

WARN := -Wall -Wextra -Wconversion -Wshadow $(if $(filter 1,$(WERROR)),-Werror)
CONFIG_CFLAGS_debug := -DCONFIG_DEBUG
CONFIG_CFLAGS_release := -momit-leaf-frame-pointer
CONFIG_CFLAGS_kasan := -DCONFIG_DEBUG -DCONFIG_KASAN
KERNEL_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mcmodel=kernel -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fno-omit-frame-pointer -fno-strict-aliasing \
	-fno-common -fno-asynchronous-unwind-tables $(CONFIG_CFLAGS_$(CONFIG)) $(WARN) \
	$(if $(filter clang,$(CC_NAME)),--target=x86_64-unknown-linux-gnu) $(EXTRA_CFLAGS)
HOST_CFLAGS := -std=gnu11 -O1 -g -pthread -fno-omit-frame-pointer -fno-strict-aliasing -fno-common \
	$(if $(filter debug,$(CONFIG)),-DCONFIG_DEBUG) $(WARN) $(EXTRA_CFLAGS)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
# CONFIG=kasan: the shadow's place is SHADOW_OFFSET of kernel/layout.h. Every check is a call, so that the runtime can
# be asked for any address; kernel/kasan.c and its neighbours are not instrumented. A null pointer faults anyway.
UBSAN_CFLAGS := -fsanitize=undefined -fno-sanitize=null -fno-sanitize-recover=undefined
KASAN_CFLAGS_gcc := -fasan-shadow-offset=0xdffffc0000000000 --param asan-instrumentation-with-call-threshold=0 \
	--param asan-globals=1 --param asan-stack=1 --param asan-instrument-allocas=1
KASAN_CFLAGS_clang := $(addprefix -mllvm ,-asan-mapping-offset=0xdffffc0000000000 \
	-asan-instrumentation-with-call-threshold=0 -asan-globals=1)
# Variables on the stack. Where an inline function ends inside one that is not instrumented, gcc 12 poisons its variables
# and never allows them. clang 14 computes shadow addresses twice where __builtin_setjmp() returns twice, as in the tests.
KASAN_FRAMES_gcc = -f$(if $(filter mm/% kernel/main.c,$1),no-)sanitize-address-use-after-scope
KASAN_FRAMES_clang = $(if $(filter-out tests/kernel/kasan_victims_test.c,$(filter tests/%,$1)),-mllvm -asan-stack=0, \
	$(addprefix -mllvm ,-asan-stack=1 -asan-use-after-scope=1 -asan-instrument-dynamic-allocas=1))
SANITIZERS := kernel/kasan%.c kernel/ubsan.c tests/kernel/kasan%_test.c tests/misuse/kernel/kasan%_misuse.c
sanitize_kernel = $(if $(filter kasan,$(CONFIG)),$(if $(filter kernel/kasan%.c kernel/ubsan.c,$1),,-fsanitize=kernel-address \
	$(KASAN_CFLAGS_$(CC_NAME)) $(call KASAN_FRAMES_$(CC_NAME),$1) $(UBSAN_CFLAGS)))
# No -g: NASM's DWARF confuses gdb where a file has several code sections, and the labels are there without it.
NASMFLAGS := -f elf64 -Iboot/ -Ikernel/ $(if $(filter kasan,$(CONFIG)),-DCONFIG_KASAN) $(if $(filter 1,$(WERROR)),-Werror)
LDFLAGS := -nostdlib -static -no-pie -z max-page-size=4096 -z noexecstack --build-id=none
-include tests/host/host.mk

# --- Layers: $(call layer,source) is its first folder, and what that may include ---

layer = $(firstword $(subst /, ,$1))
INCLUDE_lib := lib/include
INCLUDE_mm := lib/include mm/include
INCLUDE_boot := lib/include mm/include boot/include
INCLUDE_kernel := lib/include mm/include boot/include .
INCLUDE_tests := $(INCLUDE_kernel)
INCLUDE_labs := $(INCLUDE_kernel)
kernel_includes = $(addprefix -I,$(INCLUDE_$(call layer,$1)) kernel/include)
host_includes = $(addprefix -I,$(INCLUDE_$(call layer,$1)) tests/host/include \
		$(if $(filter kernel/% labs/% tests/host/heaps_main.c tests/host/events_main.c,$1),kernel/include)) \
	$(if $(filter tests/host/%,$1),,$(addprefix -include ,$(wildcard tests/host/include/rename.h)))

# --- Sources ---

PORTABLE_C := $(wildcard lib/*.c mm/*.c mm/*/*.c)
FRAMEWORK_C := $(wildcard tests/*.c)
UNIT_C := $(wildcard tests/model/*.c tests/unit/*_test.c tests/misuse/*.c)
KERNEL_SRC := $(wildcard boot/*.asm boot/*.c kernel/*.asm kernel/*.c kernel/*/*.c) $(PORTABLE_C) \
	$(FRAMEWORK_C) $(UNIT_C) $(wildcard tests/kernel/*_test.c tests/misuse/kernel/*.c tests/bench/*.c)
ifneq ($(CONFIG),kasan)
KERNEL_SRC := $(filter-out $(SANITIZERS),$(KERNEL_SRC))
endif
HOST_MAIN_C := $(wildcard tests/host/*_main.c)
HOST_C := $(PORTABLE_C) $(wildcard boot/*.c) $(FRAMEWORK_C) \
	$(filter-out $(HOST_MAIN_C),$(wildcard tests/host/*.c))
TESTS_C := $(HOST_C) $(UNIT_C)
# How the host's tests are built: with the address and undefined-behaviour sanitizers, without optimisation for
# coverage, with the thread sanitizer, and for valgrind. The last two on a small machine: docs/testing.md.
TEST_BUILDS := $(HOSTCC_NAME) coverage tsan valgrind
FLAGS_$(HOSTCC_NAME) := $(HOST_CFLAGS) $(SANITIZE)
FLAGS_coverage := $(filter-out -O1,$(HOST_CFLAGS)) -O0 --coverage
FLAGS_tsan := $(HOST_CFLAGS) -DHOST_SMALL -fsanitize=thread
FLAGS_valgrind := $(HOST_CFLAGS) -DHOST_SMALL -DHOST_VALGRIND

# --- Stamps: $(call stamp,file,text) writes the file only when the text differs from what it holds ---

same = $(and $(findstring x$1x,x$2x),$(findstring x$2x,x$1x))
held = $(if $(wildcard $1),$(strip $(file <$1)))
stamp = $(if $(call same,$(strip $2),$(call held,$1)),,$(shell mkdir -p $(dir $1))$(file >$1,$(strip $2)))
K := $(BUILD)/$(CONFIG)
H := $(BUILD)/host
ifneq ($(filter-out help clean deps doctor format check-format,$(or $(MAKECMDGOALS),all)),)
$(call stamp,$K/flags,$(CC) $(KERNEL_CFLAGS) $(foreach s,mm/ tests/ all,$(call sanitize_kernel,$s)) $(NASM) $(NASMFLAGS))
$(call stamp,$K/link,$(LD) $(LDFLAGS) $(KERNEL_SRC))
$(foreach b,$(TEST_BUILDS),$(call stamp,$H/$b/flags,$(HOSTCC) $(FLAGS_$b))$(call stamp,$H/$b/link,$(TESTS_C)))
$(call stamp,$H/plain/flags,$(HOSTCC) $(HOST_CFLAGS))
$(call stamp,$H/plain/link,$(HOST_C))
$(call stamp,$(BUILD)/iso.config,$(CONFIG))
endif

# --- The kernel ---

KERNEL_OBJ := $(KERNEL_SRC:%=$K/%.o)
LIBGCC = $(wildcard $(shell $(CC) -print-libgcc-file-name 2>/dev/null))
BENCH_PROGRAMS := $(addprefix $H/bench/,bench-strata bench-malloc bench-none fragmentation)
HOST_PROGRAMS := $(foreach m,$(HOST_MAIN_C:tests/host/%_main.c=%),$H/$(subst _,-,$m))

all: $K/strata.elf $K/strata32.elf $(BUILD)/strata.iso $(HOST_PROGRAMS) ## the kernel, the ISO and the host programs
kernel: $K/strata.elf $K/strata32.elf ## the kernel alone
iso: $(BUILD)/strata.iso ## the bootable image, for BIOS and UEFI

$K/%.c.o: %.c $K/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$Q$(CC) $(KERNEL_CFLAGS) $(call sanitize_kernel,$<) $(call kernel_includes,$<) -MMD -MP -c -o $@ $<

$K/%.asm.o: %.asm $K/flags
	$(call say,NASM,$<)
	@mkdir -p $(@D)
	$Q$(NASM) $(NASMFLAGS) -MD $(@:.o=.d) -MP -MT $@ -o $@ $<

# Two passes: the symbol table is made from a kernel linked with an empty one. linker.ld puts it where no
# address that it names can move.
$K/symbols.empty.asm: tools/symbols.py $K/link
	$Q$(PYTHON) tools/symbols.py < /dev/null > $@
$K/symbols.asm: $K/pass1.elf tools/symbols.py
	$Q$(NM) -n $< | $(PYTHON) tools/symbols.py > $@
$K/symbols%.o: $K/symbols%
	$Q$(NASM) -f elf64 -o $@ $<

link = $(LD) $(LDFLAGS) -T linker.ld -o $@ $(filter %.o,$^) $(LIBGCC)
$K/pass1.elf: $(KERNEL_OBJ) $K/symbols.empty.asm.o linker.ld $K/link
	$Q$(link)
$K/strata.elf: $(KERNEL_OBJ) $K/symbols.asm.o linker.ld $K/link
	$(call say,LD,$@)
	$Q$(link)

# The same image as ELF32: `qemu -kernel` refuses 64-bit Multiboot 1 kernels.
$K/strata32.elf: $K/strata.elf
	$(call say,OBJCOPY,$@)
	$Q$(OBJCOPY) -g -I elf64-x86-64 -O elf32-i386 $< $@

# GRUB has the whole file in memory, beside the kernel: on the smallest machines without its debug information.
$K/strata-boot.elf: $K/strata.elf
	$(call say,OBJCOPY,$@)
	$Q$(OBJCOPY) --strip-debug $< $@

# Bochs takes ten times QEMU's time: what touches the machine, and the allocators' first suites.
BOCHS_TESTS := acpi*,buddy,console*,cpu*,init,kmalloc,memory*,page_alloc,paging*,pt,slab,smp*,thread*,trap*,vmalloc*,zone

# On the ISO's machines, what is the same on every machine stays out: the direct boots of the matrix run all.
ISO_TESTS := !heaps*,!*_model,!pressure,!replay,!sweep

ISO_PARTS := $(shell find iso -type f) tools/make-iso $(BUILD)/iso.config
$(BUILD)/strata.iso: $K/strata-boot.elf $(ISO_PARTS)
	$(call say,ISO,$@)
	$Qtools/make-iso $@ $<
$(BUILD)/strata-test.iso: $K/strata-boot.elf $(ISO_PARTS)
	$(call say,ISO,$@)
	$Qtools/make-iso $@ $< 'test=$(ISO_TESTS)'
$(BUILD)/strata-bochs.iso: $K/strata-boot.elf $(ISO_PARTS)
	$(call say,ISO,$@)
	$Qtools/make-iso $@ $< 'test=$(BOCHS_TESTS)'

# --- Host programs: the tests with sanitizers; every tests/host/<name>_main.c without ---

PLAIN_OBJ := $(patsubst %,$H/plain/%.o,$(filter-out tests/host/main.c,$(HOST_C)))

$H/plain/%.c.o: %.c $H/plain/flags
	$(call say,HOSTCC,$<)
	@mkdir -p $(@D)
	$Q$(HOSTCC) $(HOST_CFLAGS) $(call host_includes,$<) -MMD -MP -c -o $@ $<
$H/plain/strata.a: $(PLAIN_OBJ) $H/plain/link
	@rm -f $@
	$Q$(AR) rcs $@ $(filter %.o,$^)
# The tests, built in several ways: $H/tests-<name>, with these flags.
define host_tests
$H/$1/%.c.o: %.c $H/$1/flags
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$Q$$(HOSTCC) $$(FLAGS_$1) $$(call host_includes,$$<) -MMD -MP -c -o $$@ $$<
$H/tests-$1: $$(TESTS_C:%=$H/$1/%.o) $H/$1/link
	$$(call say,HOSTLD,$$@)
	$$Q$$(HOSTCC) $$(FLAGS_$1) -o $$@ $$(filter %.o,$$^)
endef
$(foreach b,$(TEST_BUILDS),$(eval $(call host_tests,$b)))
define host_program
$H/$(subst _,-,$1): $H/plain/tests/host/$1_main.c.o $H/plain/strata.a
	$$(call say,HOSTLD,$$@)
	$$Q$$(HOSTCC) $$(HOST_CFLAGS) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^)
endef
$(foreach m,$(HOST_MAIN_C:tests/host/%_main.c=%),$(eval $(call host_program,$m)))
HEAPS_OBJ := $(patsubst %,$H/plain/%.c.o,kernel/trace kernel/compare tests/model/heap_conformance tests/model/heap_complexity)
$H/heaps: $(HEAPS_OBJ)
EVENTS_OBJ := $(patsubst %,$H/plain/%.c.o,kernel/trace kernel/replay kernel/replay_ops)
$H/events: $(EVENTS_OBJ)
.SECONDARY:

# --- Running ---

RUN_QEMU := $(PYTHON) tools/run-qemu --qemu $(QEMU)
MACHINE = --cpu $(CPU) --mem $(MEM) $(if $(filter 1,$(UEFI)),--uefi)
TEST_ARGS = test$(if $(TEST),=$(TEST)) $(if $(SEED),seed=$(SEED))
AGAIN := $(MAKE) --no-print-directory
# Builds inside other targets use all processors, unless make was told how many.
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

run: ## boot the ISO through GRUB; the serial port is this terminal (end: poweroff, or Ctrl-A X)
	@tools/deps --for run
	+@$(AGAIN) $(JOBS) $(BUILD)/strata.iso
	$(if $(CMDLINE),@tools/make-iso $(BUILD)/strata-run.iso $K/strata-boot.elf '$(CMDLINE)')
	@$(RUN_QEMU) --interactive $(MACHINE) --accel $(ACCEL) \
		--iso $(BUILD)/$(if $(CMDLINE),strata-run.iso,strata.iso)

debug: ## boot stopped, with gdb attached: source, assembly, registers, the commands of tools/gdb, stops at a panic (LAYOUT=plain)
	@tools/deps --for debug
	+@$(AGAIN) $(JOBS) kernel
	@STRATA_LAYOUT='$(LAYOUT)' $(RUN_QEMU) --debug $K/strata.elf $(MACHINE) --accel $(ACCEL) --kernel $K/strata32.elf --append '$(CMDLINE)' \
		--log $(BUILD)/debug.log

# What the processor did, for machines that reset or hang before they can say why.
qemu-log: $K/strata32.elf ## boot with QEMU's log of interrupts, resets and guest errors, and say what is in it (CMDLINE=, TIMEOUT=)
	@rm -f $(BUILD)/qemu.log
	-@$(RUN_QEMU) --quiet --expect none --timeout $(TIMEOUT) $(MACHINE) --kernel $< --append '$(or $(CMDLINE),test=trap.*)' \
		--qemu-arg=-d --qemu-arg=int,cpu_reset,guest_errors --qemu-arg=-D --qemu-arg=$(BUILD)/qemu.log
	@$(PYTHON) tools/qemu-log --elf $K/strata.elf --nm $(NM) $(BUILD)/qemu.log

trace-calls: $K/strata32.elf ## the calls inside FROM=function as an indented tree, while CMDLINE= runs (CALLS=, CMDLINE=)
	@$(PYTHON) tools/trace-calls --qemu $(QEMU) --kernel $< --elf $K/strata.elf --nm $(NM) --mem $(MEM) \
		--append '$(or $(CMDLINE),quiet test=kmalloc.*)' --from '$(FROM)' $(CALLS)

replay: $K/strata32.elf ## replay the allocation trace TRACE=file on kmalloc, in the kernel
	$(if $(TRACE),,$(error Say which trace: make replay TRACE=tests/data/traces/NAME.trace.xz))
	@$(RUN_QEMU) --expect exit --timeout $(TIMEOUT) $(MACHINE) --kernel $< \
		--initrd '$(TRACE)' --append 'replay=kmalloc'

# docs/events.md tells the format, and who reads it.
events: $H/events ## the events of a trace that is replayed on this machine, to EVENTS (TRACE=file)
	$(if $(TRACE),,$(error Say which trace: make events TRACE=tests/data/traces/NAME.trace.xz))
	@$(if $(filter %.xz,$(TRACE)),xz -dc,cat) '$(TRACE)' | $< --repeat $(REPEAT) - '$(EVENTS)'

trace-events: $K/strata32.elf ## the events of a workload in the kernel, to EVENTS, and their sums (WORK= or TRACE=, TRACED=, PORT=)
	@$(RUN_QEMU) --quiet --expect $(if $(TRACE),exit,$(if $(filter test%,$(WORK)),test,exit)) --timeout $(TIMEOUT) $(MACHINE) \
		--kernel $< --events '$(EVENTS)' --events-port $(PORT) $(if $(TRACE),--initrd '$(TRACE)') \
		--append 'trace=$(TRACED) quiet $(if $(TRACE),replay=kmalloc,$(WORK))'
	@tools/events --stat --top 10 '$(EVENTS)'

bench: $K/strata32.elf ## run the kernel's benchmarks, in guest instructions (use CONFIG=release; BENCH=)
	@$(PYTHON) tools/bench --qemu $(QEMU) --kernel $< --mem $(MEM) --only '$(or $(BENCH),*)' --out $K/bench.txt

# What docs/benchmarks-linux.md explains.
bench-linux: ## the same benchmarks in Debian's kernel on the same machine, beside Strata's (Debian only; BENCH=, LINUX=)
	@$(PYTHON) tools/bench-linux --check
	@tools/deps --for bench-linux
	+@$(AGAIN) $(JOBS) CONFIG=release kernel
	@$(PYTHON) tools/bench-linux --qemu $(QEMU) --kernel $(BUILD)/release/strata32.elf --build $(BUILD)/linux \
		--mem $(MEM) --only '$(or $(BENCH),*)' --out $(BUILD)/bench-linux.json $(LINUX)

# --- Testing ---

test: ## everything: host tests, tool tests, the boot matrix; the last line has the totals
	@tools/deps --for test
	+@$(AGAIN) $(JOBS) test-build
	+@$(PYTHON) tools/run-steps --jobs $(shell getconf _NPROCESSORS_ONLN) 'host tests: $(AGAIN) test-host' \
		'races: $(AGAIN) test-tsan' 'valgrind: $(AGAIN) test-valgrind' \
		'layers: $(AGAIN) layers' 'tools: $(AGAIN) test-tools' 'replays: $(AGAIN) test-replay' \
		'boots: then: $(AGAIN) test-boot'

test-build: all $H/tests-$(HOSTCC_NAME) $H/tests-tsan $H/tests-valgrind $(BENCH_PROGRAMS) $(BUILD)/strata-test.iso $(BUILD)/strata-bochs.iso

test-host: $H/tests-$(HOSTCC_NAME) ## the unit tests on this machine, with sanitizers (TEST=, SEED=)
	@$< $(if $(TEST),--filter '$(TEST)') $(if $(SEED),--seed $(SEED))

# Address space randomisation beyond what this sanitizer knows is turned off where that may be done.
test-tsan: $H/tests-tsan ## the tests with several threads, with the thread sanitizer (SEED=)
	@$$(setarch -R true 2>/dev/null && echo setarch -R) $< --quiet --mem 64M --filter '$(or $(TEST),*threads*,mempool,traffic)' \
		$(if $(SEED),--seed $(SEED))

# Without the tests that step through instructions or time threads.
VALGRIND_TESTS := acpi,b*,check*,context,c*pages*,format,k*,li*,lo*,lr*,mem*,multi*,node,node_more,object*,page,page_alloc*,page_e*,page_f*,pt,rec*,rng,si*,sl*,string,v*,z*
test-valgrind: ## the allocators' tests under valgrind: nothing that was never written decides (TEST=, SEED=)
	@tools/deps --for valgrind
	+@$(AGAIN) $(JOBS) $H/tests-valgrind
	@valgrind -q --error-exitcode=37 --suppressions=tests/valgrind.supp $H/tests-valgrind --quiet --mem 64M --filter '$(or $(TEST),$(VALGRIND_TESTS))' \
		$(if $(SEED),--seed $(SEED))

test-kernel: $K/strata32.elf ## the suite in the kernel, booted directly (TEST=, SEED=)
	@$(RUN_QEMU) --expect test --timeout $(TIMEOUT) $(MACHINE) --kernel $< \
		--append '$(strip $(TEST_ARGS))'

# The table in docs/debugging.md is what these runs print.
misuse: $H/tests-$(HOSTCC_NAME) $K/strata32.elf ## plant every bug of tests/misuse/, host, kernel and kasan; writes the table in docs/debugging.md
	+@$(AGAIN) $(JOBS) CONFIG=kasan kernel
	@mkdir -p $(BUILD)/misuse
	@$< --filter 'misuse,legal' > $(BUILD)/misuse/host || { grep '^not ok\|^#' $(BUILD)/misuse/host; exit 1; }
	@$(RUN_QEMU) --expect test --timeout $(TIMEOUT) $(MACHINE) --kernel $K/strata32.elf \
		--append 'test=misuse,legal' > $(BUILD)/misuse/kernel || { tail -20 $(BUILD)/misuse/kernel; exit 1; }
	@$(RUN_QEMU) --expect test --timeout $(TIMEOUT) $(MACHINE) --kernel $(BUILD)/kasan/strata32.elf \
		--append 'test=misuse,legal' > $(BUILD)/misuse/kasan || { tail -20 $(BUILD)/misuse/kasan; exit 1; }
	@$(PYTHON) tools/misuse-table --host $(BUILD)/misuse/host --kernel $(BUILD)/misuse/kernel \
		--kasan $(BUILD)/misuse/kasan --page docs/debugging.md

test-boot: $K/strata32.elf $(BUILD)/strata-test.iso $(BUILD)/strata-bochs.iso ## the boot matrix: direct, BIOS, UEFI, Bochs; CPUs; memory sizes
	@$(PYTHON) tools/boot-matrix --qemu $(QEMU) --kernel $< --iso $(BUILD)/strata-test.iso --bochs-iso $(BUILD)/strata-bochs.iso \
		--logs $(BUILD)/boots --timeout $(TIMEOUT) --only '$(BOOTS)'

test-replay: $K/strata32.elf ## replay every committed trace in the kernel
	@passed=0; failed=0; for trace in tests/data/traces/*.trace.xz; do \
		$(RUN_QEMU) --quiet --expect exit --timeout $(TIMEOUT) $(MACHINE) --kernel $< \
			--initrd $$trace --append 'quiet replay=kmalloc' && passed=$$((passed + 1)) || \
			{ echo "$$trace failed: make replay TRACE=$$trace shows why"; failed=$$((failed + 1)); }; \
	done; echo "$$passed passed, $$failed failed"; [ $$failed = 0 ]

test-tools: $(HOST_PROGRAMS) $(BENCH_PROGRAMS) $K/strata32.elf $(BUILD)/strata.iso ## the tests of the tools (tests/tools/)
	@BUILD='$(BUILD)' CONFIG='$(CONFIG)' QEMU='$(QEMU)' $(PYTHON) tests/tools

layers: $(KERNEL_OBJ) ## check that no layer includes or calls one above it
	@$(PYTHON) tools/check-layers --nm $(NM) $K

# What docs/coverage.md explains: a failed assert's side of a branch is not counted.
GCOVR := gcovr --root . --exclude-branches-by-pattern '^\s*(debug_)?assert\('
coverage: ## which lines and branches of mm/ and lib/ the host tests run; fails below 98 % and 90 % in mm/
	@tools/deps --for coverage
	+@$(AGAIN) $(JOBS) $H/tests-coverage
	@find $H/coverage -name '*.gcda' -delete
	@$H/tests-coverage --quiet --seed $(or $(SEED),1) > $H/coverage/log || \
		{ grep '^not ok\|^#' $H/coverage/log; exit 1; }
	@mkdir -p $(BUILD)/coverage
	@$(GCOVR) --filter mm/ --filter lib/ --json $H/coverage/all.json $H/coverage
	@$(GCOVR) --add-tracefile $H/coverage/all.json --txt - --html-details $(BUILD)/coverage/index.html
	@$(GCOVR) --add-tracefile $H/coverage/all.json --txt - --branches
	@echo 'mm/ alone ($(BUILD)/coverage/index.html has the lines):'
	@$(GCOVR) --add-tracefile $H/coverage/all.json --filter mm/ --print-summary --txt $H/coverage/mm.txt \
		--fail-under-line 98 --fail-under-branch 90

# --- Fuzzing: every tests/fuzz/<name>_fuzz.c is a libFuzzer program; docs/fuzzing.md ---

FUZZ_CC ?= clang
Z := $(BUILD)/fuzz
FUZZ_CFLAGS = -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-strict-aliasing -fno-common -DCONFIG_DEBUG $(WARN) \
	$(SANITIZE)
# Pure parts of the kernel run here too; the platform is the host's.
FUZZ_C := $(PORTABLE_C) $(wildcard boot/*.c) kernel/cmdline.c kernel/trace.c \
	$(addprefix tests/model/,arena.c giants.c vmem_oracle.c walker.c) \
	$(addprefix tests/host/,boot.c guard_pages.c interrupts.c machine.c page_tables.c platform.c) $(filter-out %_fuzz.c,$(wildcard tests/fuzz/*.c))
FUZZ_TARGETS := $(patsubst tests/fuzz/%_fuzz.c,$Z/%,$(wildcard tests/fuzz/*_fuzz.c))
fuzz_includes = $(addprefix -I,$(INCLUDE_tests) tests/host/include kernel/include) \
	$(if $(filter tests/host/% tests/fuzz/fuzz.c,$1),,-include tests/host/include/rename.h)
ifneq ($(filter fuzz% $Z/%,$(MAKECMDGOALS)),)
$(call stamp,$Z/flags,$(FUZZ_CC) $(FUZZ_CFLAGS))
$(call stamp,$Z/link,$(FUZZ_C))
endif

$Z/obj/%.c.o: %.c $Z/flags
	$(call say,FUZZCC,$<)
	@mkdir -p $(@D)
	$Q$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(call fuzz_includes,$<) -MMD -MP -c -o $@ $<
$(FUZZ_TARGETS): $Z/%: $Z/obj/tests/fuzz/%_fuzz.c.o $(FUZZ_C:%=$Z/obj/%.o) $Z/link
	$(call say,FUZZLD,$@)
	$Q$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^)

fuzz-build: $(FUZZ_TARGETS)
fuzz: ## fuzz the parsers and the allocators against their models (FUZZ=, TIME=); needs clang
	@tools/deps --for fuzz
	+@$(AGAIN) $(JOBS) fuzz-build
	@$(PYTHON) tests/fuzz/run.py --bin $Z --jobs $(shell getconf _NPROCESSORS_ONLN) \
		$(if $(FUZZ),--only '$(FUZZ)') $(if $(TIME),--time '$(TIME)')

# --- Benchmarks on this machine, beside other allocators; docs/benchmarks-host.md ---

B := $H/bench
BENCH_CFLAGS := -std=gnu11 -O2 -g -pthread -fno-pie -ftls-model=local-exec -fno-omit-frame-pointer \
	-momit-leaf-frame-pointer -fno-strict-aliasing -fno-common $(WARN) $(EXTRA_CFLAGS)
bench_includes = $(addprefix -I,$(INCLUDE_tests) tests/host/include kernel/include) \
	$(if $(filter tests/host/% tests/bench/host/%,$1),,-include tests/host/include/rename.h)
# The machine under Strata twice: what valgrind can hold, and one of terabytes.
BENCH_C := $(PORTABLE_C) kernel/trace.c $(addprefix tests/host/,boot.c guard_pages.c interrupts.c machine.c page_tables.c platform.c)
BENCH_FLAVOURS := small wide strata malloc none
bench_define_small := -DHOST_SMALL
bench_define_strata := -DHOST_SMALL -DSUBJECT_STRATA
bench_define_malloc := -DHOST_SMALL -DSUBJECT_MALLOC
bench_define_none := -DHOST_SMALL -DSUBJECT_NONE
ifneq ($(filter bench-host% fragmentation% test-tools test-build $B/%,$(MAKECMDGOALS)),)
$(call stamp,$B/flags,$(HOSTCC) $(BENCH_CFLAGS))
$(call stamp,$B/link,$(BENCH_C))
endif

define bench_flavour
$B/$1/%.c.o: %.c $B/flags
	$$(call say,HOSTCC,$$<)
	@mkdir -p $$(@D)
	$$Q$$(HOSTCC) $$(BENCH_CFLAGS) $$(bench_define_$1) $$(call bench_includes,$$<) -MMD -MP -c -o $$@ $$<
endef
$(foreach f,$(BENCH_FLAVOURS),$(eval $(call bench_flavour,$f)))
$B/small.a $B/wide.a: $B/%.a: $(foreach c,$(BENCH_C),$B/%/$c.o) $B/link
	@rm -f $@
	$Q$(AR) rcs $@ $(filter %.o,$^)
BENCH_HOST_C := $(wildcard tests/bench/host/*.c)
$(filter-out $B/fragmentation,$(BENCH_PROGRAMS)): $B/bench-%: $(foreach c,$(BENCH_HOST_C),$B/%/$c.o) $B/small.a
	$(call say,HOSTLD,$@)
	$Q$(HOSTCC) $(BENCH_CFLAGS) -no-pie -o $@ $^

$B/fragmentation: $(patsubst %,$B/wide/%.o,$(wildcard tests/bench/host/fragmentation/*.c)) $B/wide.a
	$(call say,HOSTLD,$@)
	$Q$(HOSTCC) $(BENCH_CFLAGS) -no-pie -o $@ $^

bench-host: ## time kmalloc beside mimalloc, jemalloc, tcmalloc and glibc on this machine (BENCH_HOST=)
	@tools/deps --for bench-host
	+@$(AGAIN) $(JOBS) $(BENCH_PROGRAMS)
	@$(PYTHON) tests/bench/host/bench_host.py --bin $B --out $(BUILD)/bench-host.json $(BENCH_HOST)

fragmentation: ## how much of free memory stays in large blocks, beside textbook buddies (FRAGMENTATION=)
	@tools/deps --for build
	+@$(AGAIN) $(JOBS) $B/fragmentation
	@$(PYTHON) tests/bench/host/fragmentation.py --bin $B --out $(BUILD)/fragmentation.json $(FRAGMENTATION)

plots: ## draw docs/img/*.svg from what bench-host, fragmentation and bench CONFIG=release have left in BUILD
	@tools/deps --for plots
	@$(PYTHON) tools/plot-benchmarks --host $(BUILD)/bench-host.json --fragmentation $(BUILD)/fragmentation.json \
		--guest $(BUILD)/release/bench.txt

# --- The timeline of a file of events, or of a trace that is replayed for it: docs/report.md ---

REPLAYED = $(filter %.trace %.trace.xz,$(TRACE))
REPORT_EVENTS = $(if $(REPLAYED),$(BUILD)/report/events.bin,$(or $(TRACE),$(EVENTS)))
report: $(if $(REPLAYED),$H/events) ## one HTML page of events, or of a trace: memory over time, call sites, leaks (TRACE=, OUT=, REPORT=)
	$(if $(TRACE)$(wildcard $(EVENTS)),,$(error Say which file of events, or which trace: make report TRACE=FILE))
	@BUILD='$(BUILD)' tools/deps --for report
	@$(PYTHON) tools/report --fetch '$(BUILD)/report'
	$(if $(REPLAYED),@$(if $(filter %.xz,$(TRACE)),xz -dc,cat) '$(TRACE)' | $H/events - '$(REPORT_EVENTS)')
	@$(PYTHON) tools/report --library '$(BUILD)/report' --name '$(notdir $(or $(TRACE),$(EVENTS)))' \
		--out '$(or $(OUT),$(BUILD)/report.html)' $(REPORT) '$(REPORT_EVENTS)'

# --- The gallery of allocators: docs/gallery.md ---

HEAPS = $(PYTHON) tools/heaps --program $H/heaps --traces '$(TRACES)' --cc '$(HOSTCC)'
compare: $H/heaps ## every classic allocator on every trace, and how their costs grow (TRACES=, DESIGNS=)
	@$(HEAPS) compare $(DESIGNS)
	@$(HEAPS) complexity $(DESIGNS)
compare-pictures: $H/heaps ## draw docs/img/gallery-*
	@tools/deps --for plots
	@$(HEAPS) pictures
heap-mutants: $H/heaps ## deliberate bugs in each design of the gallery: what catches them (DESIGNS=)
	@$(HEAPS) mutants $(DESIGNS)
contest: $H/heaps ## score the heap in HEAP=file.c by the formula of the CS:APP malloc lab (TRACES=)
	$(if $(HEAP),,$(error Say which heap: make contest HEAP=file.c))
	@$(HOSTCC) $(HOST_CFLAGS) -O2 -Ilib/include -Imm/include -Imm/heaps -Itests/host/include \
		-include tests/host/include/rename.h -o $H/contest '$(HEAP)' $H/plain/tests/host/heaps_main.c.o $(HEAPS_OBJ) $H/plain/strata.a
	@$(PYTHON) tools/heaps --program $H/contest --traces '$(TRACES)' contest

# --- The course: docs/labs/; tools/labs knows the rest ---

# For tools/grade: everything but the files that a lab owns, and how those are compiled and linked.
comma_list = $(subst $(comma), ,$1)
grade_host = $(filter-out $(call comma_list,$(OWNED)),$(TESTS_C)) $(call comma_list,$(HIDDEN))
grade-objects: $(patsubst %,$H/$(HOSTCC_NAME)/%.o,$(grade_host)) $(if $(filter 1,$(BOOT)),$(filter-out $(patsubst %,$K/%.o,$(call comma_list,$(OWNED))),$(KERNEL_OBJ)))
	@true
grade-commands:
	$(info host-objects $(patsubst %,$H/$(HOSTCC_NAME)/%.o,$(grade_host)))
	$(foreach o,$(call comma_list,$(OWNED)),$(info host-compile $o $(HOSTCC) $(FLAGS_$(HOSTCC_NAME)) $(call host_includes,$o)))
	$(info host-link $(HOSTCC) $(FLAGS_$(HOSTCC_NAME)))
	$(foreach o,$(filter-out labs/%,$(call comma_list,$(OWNED))),$(info kernel-compile $o $(CC) $(KERNEL_CFLAGS) $(call kernel_includes,$o)))
	$(info kernel-objects $(filter-out $(patsubst %,$K/%.o,$(call comma_list,$(OWNED))),$(KERNEL_OBJ)))
	$(info kernel-link $(LD) $(LDFLAGS) -T linker.ld)
	$(info kernel-tools nm=$(NM) nasm=$(NASM) objcopy=$(OBJCOPY) libgcc=$(LIBGCC))
	@true

.PHONY: lab grade labs-check grade-objects grade-commands
lab: ## export the starter tree of lab N into the new folder OUT: make lab N=3 OUT=../lab3
	@$(PYTHON) tools/lab-export $(if $(N),'$(N)') $(if $(OUT),--out '$(OUT)') --build '$(BUILD)' --cc '$(CC)'
grade: ## grade lab LAB: this tree, or the folder SUBMISSION=; prints a table, writes RESULTS (results.json)
	@$(PYTHON) tools/grade $(if $(LAB),'$(LAB)') --build '$(BUILD)' --cc '$(CC)' --qemu '$(QEMU)' $(if $(SUBMISSION),--submission '$(SUBMISSION)') \
		$(if $(SEED),--seed '$(SEED)') --results '$(or $(RESULTS),$(BUILD)/results.json)'
labs-check: ## grade the grader: references, starters, wrong solutions and cheats of LABS (all; SAMPLE=n of each)
	@$(PYTHON) tools/labs-check --build '$(BUILD)' --cc '$(CC)' --qemu '$(QEMU)' $(if $(LABS),--labs '$(LABS)') $(if $(SAMPLE),--sample '$(SAMPLE)')

mutate: ## break mm/ and lib/ in thousands of small ways: do the host tests see it? (SAMPLE=40, MUTATE=, GOAL=)
	@tools/deps --for build
	@$(PYTHON) tools/mutate --hostcc '$(HOSTCC)' --scratch $(BUILD)/mutate --goal '$(GOAL)' \
		$(if $(SAMPLE),--sample '$(SAMPLE)') $(MUTATE)

model: ## verify the magazine protocol exhaustively with Spin: docs/protocol.md (MODEL=)
	@tools/deps --for model
	@$(PYTHON) tests/model/protocol/run.py --build $(BUILD)/model --jobs 2 --cc '$(HOSTCC)' $(MODEL)

docs-assets: ## make every picture in docs/img/ again, from real runs: screens, a recorded session, plots (ASSETS=)
	@tools/deps --for plots
	@tools/deps --for run
	+@$(AGAIN) $(JOBS) kernel $(BUILD)/strata.iso
	@QEMU='$(QEMU)' $(PYTHON) tools/docs-assets --build '$(BUILD)' --config '$(CONFIG)' --only '$(ASSETS)'

# --- Housekeeping ---

deps: ## install what is missing for all of the above
	@tools/deps
doctor: ## say what is missing and how to get it
	@tools/deps --check

C_FILES := $(shell find boot kernel labs lib mm tests -name '*.[ch]' 2>/dev/null)
format: ## bring the C files into the project's format
	@clang-format -i $(C_FILES)
check-format: ## say which C files are not in the project's format
	@clang-format --dry-run -Werror $(C_FILES)

compile_commands.json: $(MAKEFILE_LIST) ## what editors and analysers need to know
	@$(PYTHON) tools/compile-commands '$(CC) $(KERNEL_CFLAGS)' \
		$(foreach s,$(filter %.c,$(KERNEL_SRC)),'$s:$(call kernel_includes,$s)') > $@

check-docs: ## check the documentation: links, headings, make targets, code excerpts (tools/check-docs --update writes those)
	@$(PYTHON) tools/check-docs
book: check-docs ## the documentation as HTML with a search: BUILD/book/index.html
	@tools/deps --for book
	@sphinx-build -q -W --keep-going -b html -c tools/book -d $(BUILD)/book.doctrees docs $(BUILD)/book
	@echo $(BUILD)/book/index.html
clean: ## remove everything that was made
	@rm -rf $(BUILD) compile_commands.json

help: ## this list
	@echo 'make TARGET [OPTION=value ...]'; echo
	@sed -n 's/^\([a-z][a-z_.-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24
	@echo; echo 'Options (default): meaning'
	@sed -n 's/^#? \(.*\)/  \1/p' $(firstword $(MAKEFILE_LIST))

.PHONY: docs-assets report fuzz fuzz-build bench-host fragmentation plots compare compare-pictures contest heap-mutants
.PHONY: all kernel iso run debug replay events bench test test-build test-host test-tsan test-valgrind test-kernel test-boot test-tools test-replay misuse trace-events qemu-log trace-calls \
	bench-linux layers coverage mutate model deps doctor format check-format compile_commands.json clean help

-include $(wildcard $B/*/*/*.d $B/*/*/*/*.d $B/*/*/*/*/*.d)
-include $(FUZZ_C:%=$Z/obj/%.d) $(FUZZ_TARGETS:$Z/%=$Z/obj/tests/fuzz/%_fuzz.c.d)
-include $(foreach b,$(TEST_BUILDS),$(TESTS_C:%=$H/$b/%.d)) $(KERNEL_OBJ:.o=.d) $(PLAIN_OBJ:.o=.d) \
	$(HOST_MAIN_C:%=$H/plain/%.d) $(HEAPS_OBJ:.o=.d) $(EVENTS_OBJ:.o=.d)
