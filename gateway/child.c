#include "child.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

/*
 * Two deaths in a row that come soon after the start are no accident (a seccomp rule, a broken
 * library): each doubles the delay, up to ten seconds, so that a gateway which cannot work does not
 * take the machine with it. The first restart is at once: a lone crash should cost as little as may
 * be.
 */
#define BACKOFF_MIN_MS 100U
#define BACKOFF_MAX_MS 10000U
#define STABLE_MS      10000U /* one that lived so long starts over with the least delay */

void child_close_channel(struct child *child)
{
	if (child->channel_fd < 0)
		return;
	loop_remove(child->loop, child->channel_fd);
	close(child->channel_fd);
	child->channel_fd = -1;
}

int child_start(struct child *child)
{
	int fds[2], err;
	pid_t pid;

	assert(child->pid == 0);
	assert(child->channel_fd < 0);
	loop_timer_cancel(child->loop, &child->restart);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	/* Before the fork: what may fail fails while there is no process to take back. */
	err = loop_add(child->loop, fds[0], EPOLLIN, &child->source);
	pid = err ? -1 : fork();
	if (pid < 0) {
		err = err ? err : -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (pid == 0) {
		close(fds[0]);
		_exit(child->run(child, fds[1]));
	}
	close(fds[1]);
	child->pid = pid;
	child->channel_fd = fds[0];
	child->ready = false;
	child->started_ms = child->loop->now_ms;
	return 0;
}

void child_start_or_retry(struct child *child)
{
	int err = child_start(child);

	if (!err)
		return;
	log_error("cannot start a process: %s; trying again", strerror(-err));
	loop_timer_set(child->loop, &child->restart, child->loop->now_ms + BACKOFF_MAX_MS);
}

static void on_restart_due(struct timer *timer)
{
	child_start_or_retry(list_entry(timer, struct child, restart));
}

void child_replace(struct child *child)
{
	struct loop *loop = child->loop;

	assert(child->pid == 0);
	if (loop->now_ms - child->started_ms >= STABLE_MS)
		child->backoff_ms = 0;
	if (child->backoff_ms == 0) {
		child->backoff_ms = BACKOFF_MIN_MS;
		child_start_or_retry(child);
		return;
	}
	loop_timer_set(loop, &child->restart, loop->now_ms + child->backoff_ms);
	child->backoff_ms *= 2;
	if (child->backoff_ms > BACKOFF_MAX_MS)
		child->backoff_ms = BACKOFF_MAX_MS;
}

void child_log_death(const struct child *child, const char *what, int status)
{
	if (WIFSIGNALED(status))
		log_error("%s (pid %d) was killed by signal %d%s", what, (int)child->pid,
			WTERMSIG(status),
			WTERMSIG(status) == SIGSYS ? ", a call that seccomp forbids" : "");
	else
		log_error("%s (pid %d) ended with status %d", what, (int)child->pid,
			WEXITSTATUS(status));
}

void child_init(struct child *child, struct loop *loop, child_run *run,
	void (*on_message)(struct loop_source *source, uint32_t events), void *owner)
{
	*child = (struct child){
		.source.on_event = on_message,
		.loop = loop,
		.run = run,
		.owner = owner,
		.channel_fd = -1,
	};
	timer_init(&child->restart, on_restart_due);
}
