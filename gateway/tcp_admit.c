#include "tcp_admit.h"

#include <assert.h>
#include <errno.h>

#include "client_limits.h"
#include "client_lists.h"

bool tcp_admit_listed(struct tcp_end *ends, const struct config *config, struct flow *flow)
{
	size_t listener = (size_t)(flow->listener - config->listeners);

	if (drain_state_refuses(ends->flows->drains, listener, ends->loop->now_ms)) {
		tcp_end_refused(ends, flow, ACCESS_LOG_DRAINED,
			"the listener is drained (sixgatectl drain listener)");
		return false;
	}
	switch (client_lists_judge(ends->flows->lists, listener, &flow->client)) {
	case CLIENT_LISTS_DENIED:
		tcp_end_refused(ends, flow, ACCESS_LOG_DENIED,
			"the listener's lists do not let it in (clients)");
		return false;
	case CLIENT_LISTS_BANNED:
		tcp_end_refused(ends, flow, ACCESS_LOG_BANNED, "it is banned");
		return false;
	case CLIENT_LISTS_ALLOWED:
		break;
	}
	return true;
}

bool tcp_admit_place(struct tcp_end *ends, const struct config *config, struct flow *flow)
{
	static const struct {
		enum stats_counter counter;
		const char *reason;
	} refusals[CLIENT_VERDICTS] = {
		[CLIENT_LISTENER_FULL] = { STATS_LIMIT_FULL,
			"the listener has all the connections that it may (connections max)" },
		[CLIENT_FULL] = { STATS_LIMIT_CLIENT_FULL,
			"this client has all the connections that it may (connections "
			"per-client)" },
		[CLIENT_ADDRESS_FULL] = { STATS_LIMIT_ADDRESS_FULL,
			"this address has all the connections that it may (connections "
			"per-address)" },
		[CLIENT_LISTENER_RATE] = { STATS_LIMIT_RATE,
			"too many new connections at once (connections rate)" },
		[CLIENT_RATE] = { STATS_LIMIT_CLIENT_RATE,
			"too many new connections of this client at once (connections "
			"rate-per-client)" },
		[CLIENT_ADDRESS_RATE] = { STATS_LIMIT_ADDRESS_RATE,
			"too many new connections of this address at once (connections "
			"rate-per-address)" },
	};
	const struct config_listener *listener = flow->listener;
	enum client_verdict verdict;

	if (!ends->flows->limits)
		return true;
	verdict = client_limits_take(ends->flows->limits, ends->flows->worker,
		(size_t)(listener - config->listeners), &listener->limits, &flow->client,
		ends->loop->now_us, &flow->place);
	if (verdict != CLIENT_OK) {
		stats_add(ends->flows->stats, refusals[verdict].counter, 1);
		tcp_end_refused(ends, flow, ACCESS_LOG_OVER_LIMIT, refusals[verdict].reason);
		return false;
	}
	stats_add(ends->flows->stats, STATS_LIMIT_UNTRACKED, flow->place.untracked);
	return true;
}

void tcp_admit_no_backend(struct tcp_end *ends, struct flow *flow, int err)
{
	bool all = err == -EBUSY;

	assert(all || err == -EUSERS);
	stats_add(ends->flows->stats, all ? STATS_LIMIT_POOL_FULL : STATS_LIMIT_BACKENDS_FULL, 1);
	tcp_end_refused(ends, flow, ACCESS_LOG_OVER_LIMIT,
		all ? "the pool has all the connections that it may (max-connections)"
		    : "the pool's servers have all the connections that they may "
		      "(max-connections)");
}
