#include "admission.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Theory of operation
 *
 * Three conditions must hold before accept4() is called: there is room (max-flows, kept up to date
 * by admission_update()), accepting is not paused, and spare_fd holds the socket that will connect
 * this client to its backend. So the only resource that can still be missing is the descriptor of
 * the client itself, and then accept4() leaves the client in the queue.
 *
 * Listening sockets are watched level-triggered. A pause takes the interest off all of them, so
 * that a full queue wakes nobody; it ends when a flow has ended, or when the retry timer finds
 * room, which also covers descriptors that another process has given back (ENFILE).
 *
 * A transparent listener takes its sockets from the broker's stock instead of spare_fd. While that
 * is empty only this listener goes unwatched.
 *
 * Listening sockets are shared with the supervisor: closing ours does not stop the kernel from
 * accepting handshakes while the supervisor has its copy.
 *
 *   OPEN ⇄ PAUSED (no room, no descriptor, no memory)      OPEN, PAUSED ──leave, close──► CLOSED
 *
 * Why not accept first and see: a client that was accepted and cannot be served has to be reset,
 * and one that waits in the queue is served a moment later. Why not EPOLLEXCLUSIVE or
 * edge-triggered: each worker has a listening socket of its own, and what is left in its queue has
 * to wake it again.
 */
#define BATCH_MAX 64U

static void set_interest(struct admission *admission, uint32_t events)
{
	for (size_t i = 0; i < admission->n_listeners; i++) {
		struct admission_listener *listener = &admission->listeners[i];

		(void)loop_modify(admission->loop, listener->fd, listener->starved ? 0 : events,
			&listener->source);
	}
}

/* The stock is empty: this listener's clients wait until admission_restocked(). */
static void starve(struct admission_listener *listener)
{
	struct admission *admission = listener->admission;

	listener->starved = true;
	(void)loop_modify(admission->loop, listener->fd, 0, &listener->source);
	stats_add(admission->stats, STATS_STARVED, 1);
}

void admission_restocked(struct admission *admission)
{
	bool any = false;

	for (size_t i = 0; i < admission->n_listeners; i++) {
		any = any || admission->listeners[i].starved;
		admission->listeners[i].starved = false;
	}
	if (any && !admission->paused && !admission->closed)
		set_interest(admission, EPOLLIN);
}

/* error: 0 for max-flows, else what the kernel said. */
static void pause_accepting(struct admission *admission, int error)
{
	unsigned suppressed = 0;

	if (admission->paused)
		return;
	admission->paused = true;
	set_interest(admission, 0);
	stats_add(admission->stats, error ? STATS_PAUSED_FILES : STATS_PAUSED_LIMIT, 1);
	loop_timer_set(
		admission->loop, &admission->retry, admission->loop->now_ms + ADMISSION_RETRY_MS);
	if (!log_allowed(&admission->log, admission->loop->now_ms, &suppressed))
		return;
	if (error)
		log_warning("accepting pauses: %s; raise the limit of open files "
			    "(LimitNOFILE=) or lower max-flows (%u more like this)",
			strerror(error), suppressed);
	else
		log_warning("accepting pauses: this worker's limit of flows is reached; raise "
			    "max-flows or the limit of open files (%u more like this)",
			suppressed);
}

static void resume_accepting(struct admission *admission)
{
	if (!admission->paused || admission->closed)
		return;
	admission->paused = false;
	loop_timer_cancel(admission->loop, &admission->retry);
	set_interest(admission, EPOLLIN);
}

static void on_retry(struct timer *timer)
{
	struct admission *admission = list_entry(timer, struct admission, retry);

	if (admission->room > 0)
		resume_accepting(admission);
	else
		loop_timer_set(admission->loop, &admission->retry,
			admission->loop->now_ms + ADMISSION_RETRY_MS);
}

static bool out_of_resources(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Errors of the one connection that accept(2) passes up: the next may well do. */
static bool concerns_one_client(int error)
{
	static const int errors[] = { EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN,
		ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH, EPERM, ETIMEDOUT };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (error == errors[i])
			return true;
	return false;
}

/* Whether everything that the next client needs is at hand; pauses if not. */
static bool prepare(struct admission *admission, struct admission_listener *listener)
{
	int fd;

	if (admission->room == 0) {
		pause_accepting(admission, 0);
		return false;
	}
	if (listener->transparent) {
		if (admission->stock->n == 0)
			starve(listener);
		return admission->stock->n > 0;
	}
	if (admission->spare_fd >= 0)
		return true;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		pause_accepting(admission, errno);
		return false;
	}
	admission->spare_fd = fd;
	return true;
}

/* False: stop for now. */
static bool accept_one(struct admission *admission, struct admission_listener *listener)
{
	struct sockaddr_any client = { 0 };
	socklen_t len = sizeof(client);
	int fd, backend_fd, err;

	if (!prepare(admission, listener))
		return false;
	fd = accept4(listener->fd, &client.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (out_of_resources(errno)) {
			pause_accepting(admission, errno);
			return false;
		}
		return concerns_one_client(errno);
	}
	assert(admission->room > 0);
	stats_add(admission->stats, STATS_ACCEPTED, 1);
	if (admission->measures)
		measures_accepted(admission->measures, listener->config);
	admission->room--;
	if (listener->transparent) {
		backend_fd = broker_take(admission->stock);
	} else {
		backend_fd = admission->spare_fd;
		admission->spare_fd = -1;
	}
	err = admission->take(admission->userdata, listener, fd, &client, backend_fd);
	if (err)
		pause_accepting(admission, -err);
	return !err;
}

/*
 * How many to accept before going back to the loop: asking once too often costs a call that says
 * EAGAIN, so the batch grows only while it is used up.
 */
static void on_client(struct loop_source *source, uint32_t events)
{
	struct admission_listener *listener = list_entry(source, struct admission_listener, source);
	struct admission *admission = listener->admission;
	unsigned n = 0;

	(void)events;
	/* By what came before it in this batch: epoll had named us already. */
	if (admission->paused || listener->starved)
		return;
	while (n < listener->batch && accept_one(admission, listener))
		n++;
	if (n == listener->batch && listener->batch < BATCH_MAX)
		listener->batch *= 2;
	else if (n < listener->batch && listener->batch > 1)
		listener->batch /= 2;
}

int admission_ends(const struct admission_listener *listener, int client_fd,
	struct sockaddr_any *client, struct sockaddr_any *ret_local)
{
	struct sockaddr_any local = listener->bind->addr;
	socklen_t len = sizeof(local);

	/* A call less where it is known. */
	if ((sockaddr_is_any(&local) || listener->contested) &&
		getsockname(client_fd, &local.sa, &len) < 0)
		return -errno;
	sockaddr_unmap(client);
	sockaddr_unmap(&local);
	*ret_local = local;
	return 0;
}

int admission_init(struct admission *admission, struct loop *loop, struct stats *stats,
	struct broker_stock *stock, struct admission_listener *listeners, size_t n,
	admission_take *take, void *userdata)
{
	*admission = (struct admission){
		.loop = loop,
		.stats = stats,
		.stock = stock,
		.take = take,
		.userdata = userdata,
		.listeners = listeners,
		.n_listeners = n,
		.spare_fd = -1,
	};
	timer_init(&admission->retry, on_retry);
	for (size_t i = 0; i < n; i++) {
		int err;

		listeners[i].source.on_event = on_client;
		listeners[i].admission = admission;
		listeners[i].batch = 1;
		err = loop_add(loop, listeners[i].fd, EPOLLIN, &listeners[i].source);
		if (err)
			return err;
	}
	return 0;
}

void admission_update(struct admission *admission, size_t room)
{
	bool more = room > admission->room;

	admission->room = room;
	if (more)
		resume_accepting(admission);
}

void admission_leave(struct admission *admission)
{
	if (admission->closed)
		return;
	for (size_t i = 0; i < admission->n_listeners; i++) {
		struct admission_listener *listener = &admission->listeners[i];

		loop_remove(admission->loop, listener->fd);
		close(listener->fd);
		listener->fd = -1;
	}
	admission->closed = true;
	loop_timer_cancel(admission->loop, &admission->retry);
}

void admission_close(struct admission *admission)
{
	for (size_t i = 0; i < admission->n_listeners && !admission->closed; i++)
		while (!admission->paused && accept_one(admission, &admission->listeners[i]))
			continue;
	admission_leave(admission);
}

void admission_destroy(struct admission *admission)
{
	admission_close(admission);
	if (admission->spare_fd >= 0)
		close(admission->spare_fd);
	admission->spare_fd = -1;
}
