#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

struct ends {
	int fd[2];
};

/* The status of a process that does this in the sandbox, with a pipe. */
static int in_sandbox(int (*filter)(void), long (*act)(const struct ends *ends))
{
	struct ends ends;
	int status = 0;
	pid_t pid;

	assert_int_equal(pipe(ends.fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter() < 0)
			_exit(2);
		_exit(act(&ends) < 0);
	}
	close(ends.fd[0]);
	close(ends.fd[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void check_killed(int (*filter)(void), long (*act)(const struct ends *ends))
{
	int status = in_sandbox(filter, act);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void check_fine(int (*filter)(void), long (*act)(const struct ends *ends))
{
	int status = in_sandbox(filter, act);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static long signal_self(const struct ends *ends)
{
	(void)ends;
	return syscall(SYS_tgkill, getpid(), getpid(), 0);
}

static long signal_parent(const struct ends *ends)
{
	(void)ends;
	return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long resize_pipe(const struct ends *ends)
{
	return fcntl(ends->fd[1], F_SETPIPE_SZ, 65536) < 0 ? -1 : fcntl(ends->fd[1], F_GETPIPE_SZ);
}

static long own_parent(const struct ends *ends)
{
	return fcntl(ends->fd[0], F_SETOWN, getppid());
}

static long choose_signal(const struct ends *ends)
{
	return fcntl(ends->fd[0], F_SETSIG, SIGKILL);
}

/* Supervisor, workers and logger may be the same user: none may signal another. */
static void test_no_signal_leaves(void **state)
{
	(void)state;
	check_fine(sandbox_filter, signal_self);
	check_killed(sandbox_filter, signal_parent);
	check_fine(sandbox_filter_holder, signal_self);
	check_killed(sandbox_filter_holder, signal_parent);
	check_killed(sandbox_filter_holder, own_parent);
	check_killed(sandbox_filter, own_parent);
	check_killed(sandbox_filter, choose_signal);
}

static void test_pipes(void **state)
{
	(void)state;
	check_fine(sandbox_filter, resize_pipe);
}

static long execute(const struct ends *ends)
{
	return syscall(SYS_execveat, ends->fd[0], "", NULL, NULL, 0);
}

static long unix_socket(const struct ends *ends)
{
	(void)ends;
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static void test_nothing_else(void **state)
{
	(void)state;
	check_killed(sandbox_filter, execute);
	check_killed(sandbox_filter, unix_socket);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_signal_leaves),
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
