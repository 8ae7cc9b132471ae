#include "drainer.h"

#include "log.h"

/*
 * Theory of operation
 *
 * One timer, for the nearest deadline of all that is drained. When one has passed, all flows are
 * gone through once: that is rare, so no list of flows is kept by backend or listener, which would
 * cost something for each connection. From then on it is looked again every AGAIN_MS, for what
 * comes late, until the drain is taken back.
 *
 * A flow's backend is named by its place, and the place may have got another address since (names):
 * so it is due only if the place still has the address that the flow is connected to.
 */
#define AGAIN_MS 1000U

struct deadlines {
	uint64_t now_ms;
	uint64_t next_ms; /* of those to come; DRAIN_NO_DEADLINE: none */
	bool passed;	  /* one has */
};

static void note(struct deadlines *deadlines, uint64_t until_ms)
{
	if (until_ms == DRAIN_NONE)
		return;
	if (until_ms <= deadlines->now_ms)
		deadlines->passed = true;
	else if (until_ms < deadlines->next_ms)
		deadlines->next_ms = until_ms;
}

static struct deadlines look_at_deadlines(const struct drainer *drainer)
{
	const struct config *config = drainer->config;
	struct deadlines deadlines = {
		.now_ms = drainer->loop->now_ms,
		.next_ms = DRAIN_NO_DEADLINE,
	};

	for (size_t i = 0; i < config->n_listeners; i++)
		note(&deadlines, drain_state_until(drainer->drains, i));
	for (size_t i = 0; i < config->n_pools; i++)
		for (size_t b = 0; b < config->pools[i].n_backends; b++)
			note(&deadlines, pool_state_drained(drainer->pools, i, b));
	return deadlines;
}

static bool has_passed(const struct drainer *drainer, uint64_t until_ms)
{
	return until_ms != DRAIN_NONE && drainer->loop->now_ms >= until_ms;
}

/* That of an earlier image, which the configuration has no more, is drained by nobody. */
static uint64_t listener_until(
	const struct drainer *drainer, const struct config_listener *listener)
{
	for (size_t i = 0; i < drainer->config->n_listeners; i++)
		if (listener == &drainer->config->listeners[i])
			return drain_state_until(drainer->drains, i);
	return DRAIN_NONE;
}

static bool is_due(const struct drainer *drainer, const struct flow *flow)
{
	if (has_passed(drainer, listener_until(drainer, flow->listener)))
		return true;
	/* Its backend's place may be another's by now. */
	return flow->pool && flow->n_tried > 0 &&
	       has_passed(drainer,
		       pool_state_drained(drainer->pools, flow->pool->index, flow_backend(flow))) &&
	       pool_state_is_at(
		       drainer->pools, flow->pool->index, flow_backend(flow), &flow->backend);
}

static void end(const struct drainer *drainer, struct flow *flow)
{
	if (flow_is_session(flow))
		udp_session_end(
			&drainer->udp->sessions, flow, ACCESS_LOG_DRAINED, ACCESS_LOG_BY_GATEWAY);
	else if (tcp_hold_has(flow) && flow->state != FLOW_WAITING)
		tcp_end_waiting(&drainer->tcp->ends, flow);
	else
		tcp_end_flow(&drainer->tcp->ends, flow, ACCESS_LOG_DRAINED, ACCESS_LOG_BY_GATEWAY);
}

static size_t end_due(const struct drainer *drainer)
{
	struct list_node *node, *tmp;
	size_t n = 0;

	list_for_each_safe (node, tmp, &drainer->flows->live) {
		struct flow *flow = list_entry(node, struct flow, node);

		/* What is being reset already goes its way. */
		if (flow->state == FLOW_RESETTING || !is_due(drainer, flow))
			continue;
		end(drainer, flow);
		n++;
	}
	return n;
}

void drainer_look(struct drainer *drainer)
{
	struct deadlines deadlines = look_at_deadlines(drainer);
	size_t n = deadlines.passed ? end_due(drainer) : 0;

	if (n > 0)
		log_warning("a drain's deadline has come: %zu flows of worker %u are reset", n,
			(unsigned)drainer->flows->worker);
	if (deadlines.passed && deadlines.next_ms > deadlines.now_ms + AGAIN_MS)
		deadlines.next_ms = deadlines.now_ms + AGAIN_MS;
	loop_timer_cancel(drainer->loop, &drainer->timer);
	if (deadlines.next_ms != DRAIN_NO_DEADLINE)
		loop_timer_set(drainer->loop, &drainer->timer, deadlines.next_ms);
}

static void on_due(struct timer *timer)
{
	drainer_look(list_entry(timer, struct drainer, timer));
}

void drainer_init(struct drainer *drainer)
{
	timer_init(&drainer->timer, on_due);
	drainer_look(drainer);
}
