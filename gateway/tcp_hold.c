#include "tcp_hold.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "ends.h"

/*
 * Theory of operation
 *
 * A flow without a client is in a slot, linked by "turn", which only flows that relay need
 * otherwise. flow->hold says which question it answers, and with what. Every question gets one
 * answer (HOLD_ANSWERED, or why not), and one that was HOLD_ANSWERED gets HOLD_DONE at its end, by
 * which the holder knows that the place is free. Answers may be lost when the holder is stuck or
 * replaced: it has its own deadlines, and forgets.
 *
 *   question ──begin──► flow, HOLD_ORDINARY ──backend answers──► HOLD_ANSWERED said, HOLD_DONE
 *      └──too old, there already, no room──► HOLD_ORDINARY said     └──client comes, or never──┐
 *                              flow ends: its answer is said ◄──────────────────────────────────┘
 *
 * HOLD_ORDINARY is what is said whenever something is wrong with us: the client is let in and
 * served as if nobody held anything. Holding may make nobody worse off.
 */
/* Messages with questions, before others have their turn. */
#define MESSAGES_MAX 8

static void reply(struct tcp_hold *hold, uint32_t id, uint32_t epoch, enum hold_answer answer)
{
	if (hold->n_replies == HOLD_LINK_BATCH)
		tcp_hold_flush(hold);
	hold->replies[hold->n_replies++] =
		(struct hold_reply){ .id = id, .epoch = epoch, .answer = answer };
}

void tcp_hold_flush(struct tcp_hold *hold)
{
	if (hold->n_replies > 0)
		(void)hold_link_send(hold->setup.link_fd, hold->replies, sizeof(hold->replies[0]),
			hold->n_replies);
	hold->n_replies = 0;
}

void tcp_hold_decline(struct tcp_hold *hold, const struct hold_ask *ask)
{
	reply(hold, ask->id, ask->epoch, HOLD_ORDINARY);
}

static void take_ask(struct tcp_hold *hold, const struct hold_ask *ask)
{
	if (!hold_link_ask_ok(ask, hold->map.n_binds))
		return;
	hold_shared_set_seen(hold->setup.shared, hold->setup.worker, ask->seq);
	/*
	 * The holder may have been replaced, and the client sent its SYN again. The loop's time is
	 * that of its wake-up, which may be long ago just when it matters.
	 */
	if (ask->asked_ms + TCP_HOLD_STALE_MS <= clock_monotonic_us() / 1000 ||
		tcp_hold_find(hold, &ask->client, &ask->local))
		tcp_hold_decline(hold, ask);
	else
		hold->begin(hold->userdata, ask, &hold->map.binds[ask->bind]);
}

static void on_link(struct loop_source *source, uint32_t events)
{
	struct tcp_hold *hold = list_entry(source, struct tcp_hold, source);
	struct hold_ask asks[HOLD_LINK_BATCH];
	int n = 0;

	(void)events;
	for (int messages = 0; messages < MESSAGES_MAX && n >= 0; messages++) {
		n = hold_link_receive(hold->setup.link_fd, asks, sizeof(asks[0]));
		for (int i = 0; i < n; i++)
			take_ask(hold, &asks[i]);
	}
	/* The supervisor is dead, and the holder has ended: it would be news for ever. */
	if (n < 0 && n != -EAGAIN)
		loop_remove(hold->setup.loop, hold->setup.link_fd);
	tcp_hold_flush(hold);
}

int tcp_hold_init(struct tcp_hold *hold, const struct tcp_hold_setup *setup, tcp_hold_begin *begin,
	void *userdata)
{
	size_t n = 64;
	int err;

	*hold = (struct tcp_hold){ .setup = *setup, .begin = begin, .userdata = userdata };
	if (setup->link_fd < 0)
		return 0;
	hold->source.on_event = on_link;
	hold_shared_clear_worker(setup->shared, setup->worker);
	while (n < setup->config->hold.max)
		n *= 2;
	hold->mask = n - 1;
	hold->slots = calloc(n, sizeof(*hold->slots));
	err = hold->slots ? hold_map_init(&hold->map, setup->config) : -ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		list_init(&hold->slots[i]);
	if (!err)
		err = hash_key_init(&hold->key);
	if (!err)
		err = loop_add(setup->loop, setup->link_fd, EPOLLIN, &hold->source);
	if (err)
		tcp_hold_destroy(hold);
	return err;
}

void tcp_hold_destroy(struct tcp_hold *hold)
{
	if (hold->slots)
		tcp_hold_flush(hold);
	hold_map_destroy(&hold->map);
	free(hold->slots);
	hold->slots = NULL;
}

/* ---- flows ---- */

static struct list_node *slot_of(const struct tcp_hold *hold, const struct sockaddr_any *client,
	const struct sockaddr_any *local)
{
	return &hold->slots[ends_hash(&hold->key, client, local) & hold->mask];
}

void tcp_hold_add(struct tcp_hold *hold, struct flow *flow, const struct hold_ask *ask)
{
	assert(hold->slots && !flow->hold.waits);
	flow->hold = (struct flow_hold){
		.id = ask->id,
		.epoch = ask->epoch,
		.answer = HOLD_ORDINARY,
		.waits = true,
	};
	list_append(slot_of(hold, &flow->client, &flow->local), &flow->turn);
	hold->n++;
}

bool tcp_hold_has(const struct flow *flow)
{
	return flow->hold.waits;
}

static void count_backend(struct tcp_hold *hold, struct flow *flow, int n)
{
	if (flow->hold.counted)
		hold_shared_add(hold->setup.shared, hold->setup.worker, flow->hold.counted - 1U, n);
}

bool tcp_hold_set_backend(struct tcp_hold *hold, struct flow *flow)
{
	const uint32_t most = hold->setup.config->hold.max_per_backend;
	size_t backend;

	count_backend(hold, flow, -1);
	flow->hold.counted = 0;
	if (!flow->pool)
		return true;
	backend = hold->setup.pools->first[flow->pool->index] + flow_backend(flow);
	if (most && hold_shared_waiting(hold->setup.shared, backend) >= most)
		return false;
	flow->hold.counted = (uint32_t)backend + 1;
	count_backend(hold, flow, 1);
	return true;
}

bool tcp_hold_set_error(struct flow *flow, int error)
{
	/* Without a backend nobody is up to be asked. */
	enum hold_answer answer = sockaddr_family(&flow->backend) == AF_UNSPEC
					  ? HOLD_REFUSED
					  : hold_link_answer_of(error);

	flow->hold.answer = (uint8_t)answer;
	return answer != HOLD_ORDINARY;
}

void tcp_hold_set_refused(struct flow *flow)
{
	if (flow->hold.answer != HOLD_DONE)
		flow->hold.answer = HOLD_REFUSED;
}

void tcp_hold_let_in(struct tcp_hold *hold, struct flow *flow)
{
	assert(flow->hold.waits && flow->hold.answer != HOLD_DONE);
	reply(hold, flow->hold.id, flow->hold.epoch, HOLD_ANSWERED);
	flow->hold.answer = HOLD_DONE;
}

void tcp_hold_remove(struct tcp_hold *hold, struct flow *flow)
{
	if (!flow->hold.waits)
		return;
	reply(hold, flow->hold.id, flow->hold.epoch, (enum hold_answer)flow->hold.answer);
	count_backend(hold, flow, -1);
	flow->hold.waits = false;
	flow->hold.counted = 0;
	assert(hold->n > 0);
	list_remove(&flow->turn);
	hold->n--;
}

struct flow *tcp_hold_find(const struct tcp_hold *hold, const struct sockaddr_any *client,
	const struct sockaddr_any *local)
{
	const struct list_node *slot;

	if (!hold->slots)
		return NULL;
	slot = slot_of(hold, client, local);
	for (struct list_node *node = slot->next; node != slot; node = node->next) {
		struct flow *flow = list_entry(node, struct flow, turn);

		if (sockaddr_equal(&flow->client, client) && sockaddr_equal(&flow->local, local))
			return flow;
	}
	return NULL;
}
