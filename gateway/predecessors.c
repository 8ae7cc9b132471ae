#include "predecessors.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "log.h"
#include "worker.h"

/*
 * Theory of operation
 *
 * Each process is of a generation, a number that grows by one with every image. A logger is let go
 * (its channel is closed, and it ends when it has written everything) once no worker of its
 * generation is left. After a crash of the supervisor the processes are not children of the next
 * one, which is not told of their end: their channels are looked at now and then, and who has
 * closed its own is gone: a process id alone proves nothing, as it may be another's by now. A
 * worker is told once to hand over. One that still finishes a flow when the next succession comes
 * is a predecessor there, too.
 *
 * How many flows it still has, a worker writes to an anonymous file that it is given for that; one
 * of a release that does not know the message leaves the file empty.
 *
 * In an estate process K is the numbers "process K pid", "... role", "... index", "... generation",
 * "... told" and the descriptors "process K channel" and "... flows".
 */
struct predecessor {
	int64_t generation;
	enum predecessor_role role;
	size_t index;
	pid_t pid;
	int channel_fd; /* -1: closed */
	int flows_fd;	/* it has a uint64_t in it, or nothing yet; -1: there is none */
	bool told;
};

struct predecessors {
	struct loop *loop;
	struct predecessor *all;
	size_t n;
	int64_t generation; /* of this image */
	uint64_t inherited_ms;
	size_t bequeathed;
	struct timer timer;
	void (*on_change)(void *userdata);
	void *userdata;
};

#define LOOK_MS	       100U
#define HOLDER_ENDS_MS 3000U	  /* one that is not stuck needs far less */
#define FLOWS_MAX      100000000U /* of a worker: more than that is nonsense */

static void on_look_due(struct timer *timer);

struct predecessors *predecessors_new(
	struct loop *loop, void (*on_change)(void *userdata), void *userdata)
{
	struct predecessors *predecessors = calloc(1, sizeof(*predecessors));

	if (!predecessors)
		return NULL;
	predecessors->loop = loop;
	predecessors->on_change = on_change;
	predecessors->userdata = userdata;
	timer_init(&predecessors->timer, on_look_due);
	return predecessors;
}

static void remove_at(struct predecessors *predecessors, size_t i)
{
	assert(i < predecessors->n);
	if (predecessors->all[i].channel_fd >= 0)
		close(predecessors->all[i].channel_fd);
	if (predecessors->all[i].flows_fd >= 0)
		close(predecessors->all[i].flows_fd);
	predecessors->all[i] = predecessors->all[--predecessors->n];
}

void predecessors_free(struct predecessors *predecessors)
{
	if (!predecessors)
		return;
	loop_timer_cancel(predecessors->loop, &predecessors->timer);
	predecessors_abandon(predecessors);
	free(predecessors->all);
	free(predecessors);
}

int64_t predecessors_generation(const struct predecessors *predecessors)
{
	return predecessors->generation;
}

/* ---- from image to image ---- */

static const char *name_of(size_t k, const char *what, char buf[ESTATE_NAME_MAX])
{
	snprintf(buf, ESTATE_NAME_MAX, "process %zu %s", k, what);
	return buf;
}

static bool get_number(
	const struct estate *estate, size_t k, const char *what, int64_t max, int64_t *ret_value)
{
	char name[ESTATE_NAME_MAX];
	int64_t value = -1;

	if (estate_get_number(estate, name_of(k, what, name), &value) < 0 || value < 0 ||
		value > max)
		return false;
	*ret_value = value;
	return true;
}

/* False: there is no process K, or it is none that can be used. */
static bool inherit_one(struct estate *estate, size_t k, struct predecessor *ret_one)
{
	int64_t pid, role, index, generation, told;
	char name[ESTATE_NAME_MAX];

	if (!get_number(estate, k, "pid", INT32_MAX, &pid) || pid < 2 ||
		!get_number(estate, k, "role", PREDECESSOR_ROLES - 1, &role) ||
		!get_number(estate, k, "index", UINT16_MAX, &index) ||
		!get_number(estate, k, "generation", INT64_MAX - 1, &generation) ||
		!get_number(estate, k, "told", 1, &told))
		return false;
	*ret_one = (struct predecessor){
		.generation = generation,
		.role = (enum predecessor_role)role,
		.index = (size_t)index,
		.pid = (pid_t)pid,
		.told = told,
		.channel_fd = estate_take_fd(estate, name_of(k, "channel", name)),
		.flows_fd = estate_take_fd(estate, name_of(k, "flows", name)),
	};
	return true;
}

int predecessors_inherit(struct predecessors *predecessors, struct estate *estate)
{
	struct predecessor found;
	int64_t n = 0;

	(void)estate_get_number(estate, "processes", &n);
	(void)estate_get_number(estate, "generation", &predecessors->generation);
	if (predecessors->generation < 0 || predecessors->generation == INT64_MAX)
		predecessors->generation = 0;
	predecessors->generation++;
	for (size_t k = 0; n > 0 && k < (size_t)n; k++) {
		struct predecessor *all;

		if (!inherit_one(estate, k, &found))
			continue;
		all = reallocarray(predecessors->all, predecessors->n + 1, sizeof(*all));
		if (!all)
			return -ENOMEM;
		predecessors->all = all;
		all[predecessors->n++] = found;
	}
	predecessors->inherited_ms = predecessors->loop->now_ms;
	if (predecessors->n > 0)
		loop_timer_set(predecessors->loop, &predecessors->timer,
			predecessors->loop->now_ms + LOOK_MS);
	return 0;
}

static int bequeath(struct estate *estate, size_t k, const struct predecessor *one)
{
	char name[ESTATE_NAME_MAX];
	int err = estate_add_number(estate, name_of(k, "pid", name), one->pid);

	if (!err)
		err = estate_add_number(estate, name_of(k, "role", name), one->role);
	if (!err)
		err = estate_add_number(estate, name_of(k, "index", name), (int64_t)one->index);
	if (!err)
		err = estate_add_number(estate, name_of(k, "generation", name), one->generation);
	if (!err)
		err = estate_add_number(estate, name_of(k, "told", name), one->told);
	if (!err && one->channel_fd >= 0)
		err = estate_add_fd(estate, name_of(k, "channel", name), one->channel_fd);
	if (!err && one->flows_fd >= 0)
		err = estate_add_fd(estate, name_of(k, "flows", name), one->flows_fd);
	return err;
}

int predecessors_bequeath_own(struct predecessors *predecessors, struct estate *estate,
	enum predecessor_role role, size_t index, pid_t pid, int channel_fd)
{
	const struct predecessor one = {
		.generation = predecessors->generation,
		.role = role,
		.index = index,
		.pid = pid,
		.channel_fd = channel_fd,
		.flows_fd = -1,
	};

	return bequeath(estate, predecessors->bequeathed++, &one);
}

int predecessors_bequeath(struct predecessors *predecessors, struct estate *estate)
{
	int err = 0;

	for (size_t i = 0; i < predecessors->n && !err; i++)
		err = bequeath(estate, predecessors->bequeathed++, &predecessors->all[i]);
	if (!err)
		err = estate_add_number(estate, "processes", (int64_t)predecessors->bequeathed);
	if (!err)
		err = estate_add_number(estate, "generation", predecessors->generation);
	predecessors->bequeathed =
		0; /* of this estate; should it not be executed, there is another */
	return err;
}

/* ---- from worker to worker ---- */

/*
 * Makes their channel; its other end goes to the new one with all others of its kind. -1: none.
 * Such a one must not go on accepting, by a configuration that is no more: it is told to drain,
 * which takes no descriptor, as those may be what there are too many of under way.
 */
static int hand_over(struct predecessor *one)
{
	int fds[2], err;

	one->told = true;
	if (one->channel_fd < 0)
		return -1;
	err = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0
		      ? -errno
		      : 0;
	if (!err) {
		err = channel_send(one->channel_fd, WORKER_HANDOVER, &fds[0], 1);
		close(fds[0]);
		if (!err)
			return fds[1];
		close(fds[1]);
	}
	log_warning("worker %zu of before cannot hand over, and finishes its flows by itself: %s",
		one->index, strerror(-err));
	(void)channel_send(one->channel_fd, WORKER_DRAIN, NULL, 0);
	return -1;
}

/* Without the file, or if the worker does not know the message, nobody knows; that is all. */
static void ask_for_flows(struct predecessor *one)
{
	one->flows_fd = memfd_create("sixgate-flows", MFD_CLOEXEC);
	if (one->flows_fd < 0 || channel_send(one->channel_fd, WORKER_FLOWS, &one->flows_fd, 1) < 0)
		log_debug("worker %zu of before cannot say how many flows it has", one->index);
}

/* All of before whose index leads to this one. fds: their channels' other ends; returns how many.
 */
static size_t hand_over_to(
	struct predecessors *predecessors, size_t index, size_t n, int fds[CHANNEL_FDS_MAX])
{
	size_t n_fds = 0;

	for (size_t i = 0; i < predecessors->n; i++) {
		struct predecessor *one = &predecessors->all[i];
		int fd;

		if (one->role != PREDECESSOR_WORKER || one->told || one->index % n != index)
			continue;
		fd = hand_over(one);
		if (fd < 0)
			continue;
		ask_for_flows(one);
		/*
		 * One message takes no more. Who finds its channel closed finishes its flows by
		 * itself; who is not told at all would go on accepting, by what was configured.
		 */
		if (n_fds == CHANNEL_FDS_MAX)
			close(fd);
		else
			fds[n_fds++] = fd;
	}
	return n_fds;
}

void predecessors_hand_over(struct predecessors *predecessors, const int *channel_fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fds[CHANNEL_FDS_MAX];
		size_t n_fds = hand_over_to(predecessors, i, n, fds);

		/* Without them, whose givers see their channels closed, datagrams are its own. */
		if (channel_send(channel_fds[i], WORKER_INHERIT, fds, n_fds) < 0 &&
			channel_send(channel_fds[i], WORKER_INHERIT, NULL, 0) < 0)
			log_error("worker %zu does not hear of what it inherits", i);
		for (size_t k = 0; k < n_fds; k++)
			close(fds[k]);
	}
}

void predecessors_tell(struct predecessors *predecessors, enum predecessor_role role, char message)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		struct predecessor *one = &predecessors->all[i];

		if (one->role == role && one->channel_fd >= 0)
			(void)channel_send(one->channel_fd, message, NULL, 0);
	}
}

/* ---- their end ---- */

static bool has_workers(const struct predecessors *predecessors, int64_t generation)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		const struct predecessor *one = &predecessors->all[i];

		if (one->role == PREDECESSOR_WORKER && one->generation == generation)
			return true;
	}
	return false;
}

/* Loggers whose workers are gone write what is left, and end. */
static void let_loggers_go(struct predecessors *predecessors)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		struct predecessor *one = &predecessors->all[i];

		if (one->role != PREDECESSOR_LOGGER || one->channel_fd < 0 ||
			has_workers(predecessors, one->generation))
			continue;
		close(one->channel_fd);
		one->channel_fd = -1;
	}
}

static void one_has_left(struct predecessors *predecessors)
{
	let_loggers_go(predecessors);
	predecessors->on_change(predecessors->userdata);
}

static bool is_child(pid_t pid)
{
	siginfo_t info;

	/* WNOWAIT: a dead one stays to be reaped, and told, by SIGCHLD's own way. */
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Whether one that is no child of ours has ended; its messages are not for us. */
static bool is_gone(const struct predecessor *one)
{
	char message;
	ssize_t n;

	if (is_child(one->pid))
		return false;
	if (one->channel_fd < 0)
		return true; /* a logger that was let go */
	do
		n = recv(one->channel_fd, &message, 1, MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || (errno != EAGAIN && errno != EINTR);
}

/* There is none of this image before it has left. */
static void end_stuck_holder(const struct predecessors *predecessors)
{
	if (predecessors->loop->now_ms < predecessors->inherited_ms + HOLDER_ENDS_MS)
		return;
	for (size_t i = 0; i < predecessors->n; i++) {
		const struct predecessor *one = &predecessors->all[i];

		if (one->role != PREDECESSOR_HOLDER || !is_child(one->pid))
			continue;
		log_warning("the holder of before (pid %d) is stuck: it is killed", (int)one->pid);
		kill(one->pid, SIGKILL);
	}
}

static void on_look_due(struct timer *timer)
{
	struct predecessors *predecessors = list_entry(timer, struct predecessors, timer);
	const size_t before = predecessors->n;
	size_t i = 0;

	while (i < predecessors->n)
		if (is_gone(&predecessors->all[i]))
			remove_at(predecessors, i);
		else
			i++;
	if (predecessors->n != before)
		one_has_left(predecessors);
	end_stuck_holder(predecessors);
	if (predecessors->n > 0)
		loop_timer_set(predecessors->loop, timer, predecessors->loop->now_ms + LOOK_MS);
}

bool predecessors_reaped(struct predecessors *predecessors, pid_t pid, int status)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		struct predecessor *one = &predecessors->all[i];

		if (one->pid != pid)
			continue;
		if (status != 0)
			log_warning("a process of generation %" PRId64 " (pid %d) ended with %s %d",
				one->generation, (int)pid,
				WIFSIGNALED(status) ? "signal" : "status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		remove_at(predecessors, i);
		one_has_left(predecessors);
		return true;
	}
	return false;
}

size_t predecessors_alive(const struct predecessors *predecessors, enum predecessor_role role)
{
	size_t n = 0;

	for (size_t i = 0; i < predecessors->n; i++)
		n += predecessors->all[i].role == role;
	return n;
}

bool predecessors_flows(const struct predecessors *predecessors, uint64_t *ret_n)
{
	uint64_t n = 0, flows;

	for (size_t i = 0; i < predecessors->n; i++) {
		const struct predecessor *one = &predecessors->all[i];

		if (one->role != PREDECESSOR_WORKER)
			continue;
		if (one->flows_fd < 0 ||
			pread(one->flows_fd, &flows, sizeof(flows), 0) != sizeof(flows))
			return false;
		n += flows < FLOWS_MAX ? flows : FLOWS_MAX;
	}
	*ret_n = n;
	return true;
}

void predecessors_kill(const struct predecessors *predecessors)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		const struct predecessor *one = &predecessors->all[i];

		/* The number of one that is no child may be somebody else's by now. */
		if (one->role != PREDECESSOR_LOGGER && is_child(one->pid))
			kill(one->pid, SIGKILL);
	}
}

void predecessors_abandon(const struct predecessors *predecessors)
{
	for (size_t i = 0; i < predecessors->n; i++) {
		struct predecessor *one = &predecessors->all[i];

		if (one->channel_fd >= 0)
			close(one->channel_fd);
		if (one->flows_fd >= 0)
			close(one->flows_fd);
		one->channel_fd = one->flows_fd = -1;
	}
}
