#include "supervisor_end.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "supervisor_service.h"

size_t supervisor_end_children(const struct supervisor *supervisor)
{
	size_t n = 0;

	for (size_t i = 0; i < supervisor->n_workers; i++)
		n += supervisor->workers[i].pid != 0;
	n += supervisor->holder.pid != 0;
	return supervisor->state == FAILED
		       ? n
		       : n + predecessors_alive(supervisor->before, PREDECESSOR_WORKER);
}

static void tell_workers(struct supervisor *supervisor, enum worker_message message)
{
	const char byte = (char)message;

	for (size_t i = 0; i < supervisor->n_workers; i++) {
		struct child *child = &supervisor->workers[i];

		/* One that is dead and waits for its turn is not started any more. */
		loop_timer_cancel(&supervisor->loop, &child->restart);
		if (child->pid &&
			send(child->channel_fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			log_warning("worker %u does not listen: %s", (unsigned)child->index,
				strerror(errno));
	}
}

void supervisor_end_holding(struct supervisor *supervisor)
{
	if (supervisor->hold.loop)
		hold_keeper_end(&supervisor->hold);
}

/*
 * The order: first nothing is left that would bring clients back (what the manager keeps, the
 * holder's table), then workers are told, and only then are the sockets closed here. A worker
 * takes what is in its queues before it closes its own copies; were the last copy closed first,
 * the kernel would reset those clients.
 */
void supervisor_end_drain(struct supervisor *supervisor)
{
	uint32_t drain_ms = drain_state_gateway(supervisor->shared.drains);

	assert(supervisor->state == STARTING || supervisor->state == RUNNING);

	log_info("stopping: no more clients are accepted, live flows may finish for %u s",
		drain_ms / 1000);
	supervisor_service_stopping(drain_ms + 2 * SUPERVISOR_END_GRACE_MS);
	supervisor->state = DRAINING;
	/* New clients are to be refused, and not to wait for nobody. */
	(void)fd_store_forget(&supervisor->store);
	loop_timer_cancel(&supervisor->loop, &supervisor->holder.restart);
	supervisor_end_holding(supervisor);
	tell_workers(supervisor, WORKER_DRAIN);
	predecessors_tell(supervisor->before, PREDECESSOR_WORKER, WORKER_DRAIN);
	successor_end(supervisor->successor);
	/* The workers have taken what was in their queues, or will; new clients are refused. */
	socket_set_close_others(&supervisor->sockets, supervisor->n_workers);
	loop_timer_set(&supervisor->loop, &supervisor->end_timer,
		supervisor->loop.now_ms + drain_ms + SUPERVISOR_END_GRACE_MS);
}

void supervisor_end_now(struct supervisor *supervisor)
{
	if (supervisor->state != FAILED) {
		log_info("ending at once: live flows are reset");
		predecessors_tell(supervisor->before, PREDECESSOR_WORKER, WORKER_END);
	}
	tell_workers(supervisor, WORKER_END);
	supervisor_end_holding(supervisor);
	loop_timer_set(&supervisor->loop, &supervisor->end_timer,
		supervisor->loop.now_ms + SUPERVISOR_END_GRACE_MS);
}

/* Of those before us none after a start that failed: they are what serves. */
void supervisor_end_kill(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->n_workers; i++)
		if (supervisor->workers[i].pid)
			kill(supervisor->workers[i].pid, SIGKILL);
	if (supervisor->holder.pid)
		kill(supervisor->holder.pid, SIGKILL);
	if (supervisor->state != FAILED)
		predecessors_kill(supervisor->before);
}

static void on_end_due(struct timer *timer)
{
	supervisor_end_kill(list_entry(timer, struct supervisor, end_timer));
}

void supervisor_end_init(struct supervisor *supervisor)
{
	timer_init(&supervisor->end_timer, on_end_due);
}
