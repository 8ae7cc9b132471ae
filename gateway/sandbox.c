#include "sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct passwd *find_user(const char *user)
{
	const struct passwd *passwd;

	if (user)
		return getpwnam(user);
	passwd = getpwnam("sixgate");
	return passwd ? passwd : getpwnam("nobody");
}

int sandbox_check_user(const char *user)
{
	return find_user(user) ? 0 : -ENOENT;
}

/* Keeps net_admin or nothing. */
static int drop_all_but(bool net_admin, const char *user)
{
	const struct passwd *passwd;
	int err;

	capng_clear(CAPNG_SELECT_BOTH);
	if (net_admin &&
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN) < 0)
		return -EPERM;
	if (geteuid() == 0) {
		passwd = find_user(user);
		if (!passwd)
			return -ENOENT;
		err = capng_change_id((int)passwd->pw_uid, (int)passwd->pw_gid,
			CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING | CAPNG_CLEAR_AMBIENT);
	} else {
		/* The bounding set takes a capability to clear; no_new_privs makes it idle. */
		err = capng_apply(CAPNG_SELECT_CAPS);
	}
	if (err < 0 || capng_have_capabilities(CAPNG_SELECT_CAPS) !=
			       (net_admin ? CAPNG_PARTIAL : CAPNG_NONE))
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_drop_privileges(const char *user)
{
	return drop_all_but(false, user);
}

int sandbox_drop_to_net_admin(const char *user)
{
	return drop_all_but(true, user);
}

/*
 * Theory of operation
 *
 * What a process may do is the sum of lists: what every role needs, what its own does besides, and
 * in builds for tests what the sanitizers' run time calls. Whatever is not listed kills the process
 * (and not the call alone), as a worker that is taken over must not get to try. A call of which
 * only some uses are harmless is allowed by its arguments, never in a list.
 *
 * Lists are found out by running all tests under the filter: a call that is missing is a worker
 * killed by SIGSYS, which the supervisor says. libc and libasan may need others after an upgrade.
 */
struct calls {
	const int *list;
	size_t n;
};

#define CALLS(list)                                    \
	{                                              \
		list, sizeof(list) / sizeof((list)[0]) \
	}

/* The event loop, memory, the log's ring and the channel, of every role. */
static const int everybody[] = {
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(close),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid), /* an assert that fails */
	SCMP_SYS(madvise),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendto),
	SCMP_SYS(write),
	SCMP_SYS(writev), /* what it says */
#if defined(__SANITIZE_ADDRESS__)
	/* Only in test builds: what the sanitizers' run time needs to report. */
	SCMP_SYS(clone),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	SCMP_SYS(newfstatat),
	SCMP_SYS(openat),
	SCMP_SYS(prctl),
	SCMP_SYS(ptrace),
	SCMP_SYS(read),
	SCMP_SYS(readlink),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(wait4),
#endif
};

/* What the relay comes down to. */
static const int worker[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(connect),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(getpeername),
	SCMP_SYS(getrandom),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(pipe2),
	SCMP_SYS(read),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice),
};

/* It has all its sockets already, and speaks to workers, the supervisor and the kernel. */
static const int holder[] = {
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(recvmmsg),
};

/* It has all its sockets already; who connects to them is served. */
static const int observer[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(getrandom),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(sendmsg),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(time),
};

/* A use of a call. */
struct use {
	int call;
	struct scmp_arg_cmp argument;
};

/*
 * With F_SETOWN and F_SETSIG a descriptor would signal another process, so fcntl(2) is never
 * allowed as a whole.
 */
static const struct use worker_uses[] = {
	/* A socket towards a backend, and no other kind. */
	{ SCMP_SYS(socket), SCMP_A0_64(SCMP_CMP_EQ, AF_INET, 0) },
	/* How much of what was sent is still on its way. */
	{ SCMP_SYS(ioctl), SCMP_A1_64(SCMP_CMP_EQ, SIOCOUTQ, 0) },
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_SETPIPE_SZ, 0) },
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_GETPIPE_SZ, 0) },
};

static const struct use observer_uses[] = {
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_GETFD, 0) },
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_SETFD, 0) },
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_GETFL, 0) },
	{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_SETFL, 0) },
};

/* Supervisor, workers and logger may be one user: none may signal another. */
static int allow_own_signal(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

static int allow_all(scmp_filter_ctx filter, const struct calls *calls)
{
	int err = 0;

	for (size_t i = 0; i < calls->n && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls->list[i], 0);
	return err;
}

/* For this process, for good: its own calls, some uses of others, and what everybody needs. */
static int load(const struct calls *own, const struct use *uses, size_t n_uses)
{
	static const struct calls common = CALLS(everybody);
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter)
		return -ENOMEM;
	err = allow_all(filter, &common);
	if (!err)
		err = allow_all(filter, own);
	for (size_t i = 0; i < n_uses && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, uses[i].call, 1, uses[i].argument);
	if (!err)
		err = allow_own_signal(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int sandbox_filter_holder(void)
{
	static const struct calls own = CALLS(holder);

	return load(&own, NULL, 0);
}

int sandbox_filter_observer(void)
{
	static const struct calls own = CALLS(observer);

	return load(&own, observer_uses, sizeof(observer_uses) / sizeof(observer_uses[0]));
}

int sandbox_filter(void)
{
	static const struct calls own = CALLS(worker);

	return load(&own, worker_uses, sizeof(worker_uses) / sizeof(worker_uses[0]));
}
