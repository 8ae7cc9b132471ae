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

/* What the relay, the log's ring and the C library's own needs come down to. */
static const int allowed[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(bind),
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),
	SCMP_SYS(connect),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpeername),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(madvise),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(pipe2),
	SCMP_SYS(read),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(splice),
	SCMP_SYS(write),
	SCMP_SYS(writev),
#if defined(__SANITIZE_ADDRESS__)
	/* Only in test builds: what the sanitizers' run time needs to report. */
	SCMP_SYS(clone),
	SCMP_SYS(getdents64),
	SCMP_SYS(lseek),
	SCMP_SYS(newfstatat),
	SCMP_SYS(openat),
	SCMP_SYS(prctl),
	SCMP_SYS(ptrace),
	SCMP_SYS(readlink),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(wait4),
#endif
};

/* It has all its sockets already, and speaks to workers, the supervisor and the kernel. */
static const int allowed_to_holder[] = {
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(close),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(madvise),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendto),
	SCMP_SYS(write),
#if defined(__SANITIZE_ADDRESS__)
	SCMP_SYS(clone),
	SCMP_SYS(getdents64),
	SCMP_SYS(gettid),
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

/* Supervisor, workers and logger may be one user: none may signal another. */
static int allow_own_signal(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
}

/* It has all its sockets already; who connects to them is served. */
static const int allowed_to_observer[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(close),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(madvise),
	SCMP_SYS(mmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(time),
	SCMP_SYS(write),
	SCMP_SYS(writev),
#if defined(__SANITIZE_ADDRESS__)
	SCMP_SYS(clone),
	SCMP_SYS(getdents64),
	SCMP_SYS(gettid),
	SCMP_SYS(lseek),
	SCMP_SYS(newfstatat),
	SCMP_SYS(openat),
	SCMP_SYS(prctl),
	SCMP_SYS(ptrace),
	SCMP_SYS(readlink),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(wait4),
#endif
};

static int load(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	if (!err)
		err = allow_own_signal(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int sandbox_filter_holder(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);

	return filter ? load(filter, allowed_to_holder,
				sizeof(allowed_to_holder) / sizeof(allowed_to_holder[0]))
		      : -ENOMEM;
}

/* A descriptor's flags are its own business; with F_SETOWN it would signal another process. */
int sandbox_filter_observer(void)
{
	static const scmp_datum_t flags[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = 0;

	if (!filter)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1_64(SCMP_CMP_EQ, flags[i], 0));
	if (err) {
		seccomp_release(filter);
		return err;
	}
	return load(filter, allowed_to_observer,
		sizeof(allowed_to_observer) / sizeof(allowed_to_observer[0]));
}

/*
 * Calls of which only some uses are allowed. With F_SETOWN and F_SETSIG a descriptor would signal
 * another process.
 */
static int allow_some(scmp_filter_ctx filter)
{
	const struct {
		int call;
		struct scmp_arg_cmp argument;
	} some[] = {
		/* A socket towards a backend, and no other kind. */
		{ SCMP_SYS(socket), SCMP_A0_64(SCMP_CMP_EQ, AF_INET, 0) },
		/* How much of what was sent is still on its way. */
		{ SCMP_SYS(ioctl), SCMP_A1_64(SCMP_CMP_EQ, SIOCOUTQ, 0) },
		{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_SETPIPE_SZ, 0) },
		{ SCMP_SYS(fcntl), SCMP_A1_64(SCMP_CMP_EQ, F_GETPIPE_SZ, 0) },
	};
	int err = allow_own_signal(filter);

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, some[i].call, 1, some[i].argument);
	return err;
}

int sandbox_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err = 0;

	if (!filter)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !err; i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		err = allow_some(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
