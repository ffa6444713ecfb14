/*
 * That the address sanitizer sees inside the slabs: what is not a live object's may not be touched.
 *
 * Each misuse runs in a child, which must end as the host's test program does on a sanitizer's
 * report: status 37, "use-after-poison" and the address on standard error. The same accesses where
 * they are allowed must pass, or the first half would prove nothing.
 */
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/test.h>

#if HOST_ASAN
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_REPORT 37

typedef void (*misuse)(volatile char *p);

static void read_it(volatile char *p)
{
	(void)*p;
}

static void write_it(volatile char *p)
{
	*p = 1;
}

static void be_child(int error_pipe, misuse fn, volatile char *p)
{
	dup2(error_pipe, STDERR_FILENO);
	fn(p);
	_exit(0);
}

/* What the child says until it ends, as far as it fits. */
static void read_all(int from, char *text, size_t size)
{
	size_t length = 0;
	char more[512];
	ssize_t n;

	while ((n = read(from, more, sizeof(more))) > 0)
		for (ssize_t i = 0; i < n && length + 1 < size; i++)
			text[length++] = more[i];
	text[length] = '\0';
}

/* Runs fn(p) in a child, returns its exit status, and its report if there was one. */
static int run_child(misuse fn, volatile char *p, char *text, size_t size)
{
	int pipe_ends[2], status = -1;
	pid_t child;

	ASSERT_EQ(pipe(pipe_ends), 0);
	child = fork();
	ASSERT_GE(child, 0);
	if (child == 0)
		be_child(pipe_ends[1], fn, p);
	close(pipe_ends[1]);
	read_all(pipe_ends[0], text, size);
	close(pipe_ends[0]);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect_report(misuse fn, const volatile void *p)
{
	static char text[8192], address[32];
	int status = run_child(fn, (volatile char *)p, text, sizeof(text));

	snprintf(address, sizeof(address), "0x%lx", (unsigned long)p);
	EXPECT_EQ(status, STATUS_REPORT);
	EXPECT_NOT_NULL(strstr(text, "AddressSanitizer: use-after-poison"));
	EXPECT_NOT_NULL(strstr(text, address));
}

static void expect_none(misuse fn, const volatile void *p)
{
	static char text[8192];

	EXPECT_EQ(run_child(fn, (volatile char *)p, text, sizeof(text)), 0);
	EXPECT_STREQ(text, "");
}

TEST(poison, a_live_object_may_be_touched_to_its_last_byte)
{
	char *p = kmalloc(96, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	expect_none(read_it, p);
	expect_none(write_it, p + 95);
	kfree(p);
}

TEST(poison, use_after_free)
{
	char *p = kmalloc(96, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	kfree(p);
	expect_report(read_it, p);
	expect_report(write_it, p + 95);
}

TEST(poison, use_after_the_object_went_home)
{
	struct kmem_cache *c = kmem_cache_create("poison", 96, 0, SLAB_NO_MAGAZINE, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL), *other = kmem_cache_alloc(c, GFP_KERNEL);

	kmem_cache_free(c, p);
	expect_report(read_it, p);
	expect_none(read_it, other);
	kmem_cache_free(c, other); /* the slab stays, empty */
	expect_report(write_it, other);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Free memory is poisoned before it was ever handed out: a new slab has one live object. */
TEST(poison, past_the_end_and_before_the_start)
{
	struct kmem_cache *c = kmem_cache_create("poison", 100, 0, 0, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	expect_none(read_it, p + 99);
	expect_report(read_it, p + 100);  /* the gap up to the next object, always */
	expect_report(write_it, p + 104); /* the neighbours, while they are free */
	if (!is_aligned((u64)p, PAGE_SIZE))
		expect_report(read_it, p - 104);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void fill(void *object)
{
	memset(object, 0x5a, 64);
}

/* Constructors run before, and what they wrote is there afterwards. */
TEST(poison, constructed_objects)
{
	struct kmem_cache *c = kmem_cache_create("poison", 64, 0, 0, fill);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(p[63], 0x5a);
	kmem_cache_free(c, p);
	expect_report(read_it, p);
	EXPECT_TRUE(kmem_cache_alloc(c, GFP_KERNEL) == p);
	EXPECT_EQ(p[63], 0x5a);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* The allocator itself may touch what it wipes: no report here, and one afterwards. */
TEST(poison, wiped_objects)
{
	struct kmem_cache *c = kmem_cache_create("poison", 64, 0, SLAB_ZERO_ON_FREE, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	memset(p, 1, 64);
	kmem_cache_free(c, p);
	expect_report(read_it, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* A slab's pages are anyone's again when they go back. */
TEST(poison, pages_of_slabs_are_clean)
{
	struct kmem_cache *c = kmem_cache_create("poison", 96, 0, 0, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	expect_none(write_it, p);
}

/* And so is all memory of another machine. */
TEST(poison, new_machines_are_clean)
{
	char *p = page_address(alloc_pages(GFP_KERNEL, 9));

	p += 300 * PAGE_SIZE;
	platform_poison(p, PAGE_SIZE);
	expect_report(read_it, p);
	host_machine_borrow(0, 1);
	expect_none(write_it, p);
	host_machine_return();
}

TEST(poison, bytes_of_a_word)
{
	char *p = kmalloc(64, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	platform_poison(p + 16, 16);
	expect_none(read_it, p + 15);
	expect_report(read_it, p + 16);
	expect_report(read_it, p + 31);
	expect_none(read_it, p + 32);
	platform_unpoison(p + 16, 5);
	expect_none(read_it, p + 20);
	expect_report(read_it, p + 21);
	platform_unpoison(p + 16, 16);
	expect_none(read_it, p + 31);
	kfree(p);
}
#endif
