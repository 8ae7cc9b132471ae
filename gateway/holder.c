#include "holder.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold_link.h"
#include "hold_map.h"
#include "hold_packet.h"
#include "hold_table.h"
#include "log.h"
#include "loop.h"
#include "nf_queue.h"
#include "nft_hold.h"
#include "nl_channel.h"
#include "ring_log.h"
#include "sandbox.h"

/*
 * Theory of operation
 *
 * A SYN from the queue is PENDING, until one of these:
 * - the backend answers: it is let in, marked, and is LET_IN until its client has come, or has not;
 * - the backend refuses: it goes on to the rule that refuses, marked so, and is gone;
 * - the backend is silent: it is dropped, and is gone;
 * - no worker takes it, or one says so: it is let in, unmarked, and is gone.
 *
 * Who is let in with a worker's mark gets to that worker's socket (listener_steer()), where
 * its backend connection waits; who is let in without one gets to any, and is served as if nobody
 * had ever been held. That is what happens whenever something is wrong: a bound is reached, the
 * packet cannot be read, a worker is stuck or dead, or this process is (the kernel does it then).
 *
 * A SYN that comes again is dropped while the first one is PENDING. In LET_IN our answer was lost,
 * so it is let in with the same mark: the kernel finds the connection that it has begun. One that
 * is so late that the client is in already goes on as well, and changes nothing.
 *
 * Which worker is asked depends on the two ends only. A worker's question is "seen" when the number
 * in shared memory has reached it; one that is not seen within HOLDER_UNSEEN_MS is forgotten on
 * both sides.
 *
 * The table of nftables belongs to our socket, so the kernel takes it away when we are gone.
 * Packets that wait in the queue then are lost, and sent again by their clients a second later.
 *
 * Every packet that the queue gives gets exactly one verdict; each entry in PENDING is one that has
 * none yet. Verdicts are gathered and sent at the end of each round of the loop, whoever gave them:
 * a packet, an answer, a deadline.
 *
 * Workers are not trusted: an answer has to be for an entry that asks that very worker in this very
 * epoch, or it is passed over. Nor are they waited for: questions that a full socket does not take
 * are answered by ourselves, and their clients let in.
 */
#define QUEUES_TRIED 16U
#define QUEUE_BUFFER 4194304U
/* Packets on top of those that are held, whose turn has not come: what is beyond goes by unheld. */
#define QUEUE_SPARE 256U
/* Of the packets of a wake-up, before others have their turn. */
#define BATCHES_MAX 8

static_assert(NF_QUEUE_BATCH <= HOLD_LINK_BATCH, "a batch's questions fit in one message");

struct link {
	struct loop_source source;
	struct holder *holder;
	int fd;
	uint16_t worker;
	size_t n_asks; /* not sent yet */
	struct hold_ask asks[HOLD_LINK_BATCH];
};

struct holder {
	const struct holder_setup *setup;
	struct loop loop;
	struct loop_source channel;
	struct loop_source packets;
	struct nf_queue queue;
	struct nl_channel table_owner;
	char table_name[NFT_HOLD_TABLE_MAX];
	struct hold_table table;
	struct hold_map map;
	struct link *links;
	struct ring_log log;
	struct log_limit full_log, unseen_log, verdict_log;
	uint64_t seq;
	bool ending;
};

static void count(struct holder *holder, enum stats_counter counter)
{
	stats_add(holder->setup->stats, counter, 1);
}

/* ---- verdicts ---- */

static void give_verdict(struct holder *holder, uint32_t packet, bool accept, uint32_t mark)
{
	const struct nf_queue_verdict verdict = { .id = packet, .accept = accept, .mark = mark };
	unsigned suppressed = 0;
	int err = nf_queue_verdict(&holder->queue, &verdict);

	if (err && log_allowed(&holder->verdict_log, holder->loop.now_ms, &suppressed))
		log_warning("hold: the kernel does not take verdicts: %s (%u more like this)",
			strerror(-err), suppressed);
}

static void flush_verdicts(struct holder *holder)
{
	unsigned suppressed = 0;
	int err = nf_queue_flush(&holder->queue);

	if (err && log_allowed(&holder->verdict_log, holder->loop.now_ms, &suppressed))
		log_warning("hold: the kernel does not take verdicts: %s (%u more like this)",
			strerror(-err), suppressed);
}

static uint32_t mark_of_worker(const struct hold_entry *entry)
{
	return NFT_HOLD_MARK_WORKER + entry->worker;
}

static void forget(struct holder *holder, struct hold_entry *entry)
{
	loop_timer_cancel(&holder->loop, &entry->timer);
	hold_table_remove(&holder->table, entry);
}

/* As if the client had never been held. */
static void release(struct holder *holder, struct hold_entry *entry)
{
	assert(entry->state != HOLD_FREE);
	if (entry->state == HOLD_PENDING) {
		give_verdict(holder, entry->packet, true, 0);
		hold_table_remember(&holder->table, entry, holder->loop.now_ms);
	}
	forget(holder, entry);
}

/*
 * Accepted by the queue, with a mark that a later chain of the table turns into the refusal: a
 * verdict of a queue can only let go on or drop.
 */
static void refuse(struct holder *holder, struct hold_entry *entry, enum nft_hold_refusal refusal)
{
	assert(entry->state == HOLD_PENDING);
	count(holder, STATS_HOLD_REFUSED);
	give_verdict(holder, entry->packet, true, NFT_HOLD_MARK_REFUSAL + (uint32_t)refusal);
	forget(holder, entry);
}

/* ---- deadlines ---- */

/* A worker has taken the question on: it answers within the time that its listener allows. */
static uint64_t answer_deadline(const struct holder *holder, const struct hold_entry *entry)
{
	const struct config_timeouts *timeouts = &holder->map.binds[entry->bind].listener->timeouts;

	return holder->loop.now_ms + HOLDER_UNSEEN_MS +
	       (timeouts->connect_total_ms ? timeouts->connect_total_ms
					   : 2ULL * timeouts->connect_ms);
}

static void on_entry_due(struct timer *timer)
{
	struct hold_entry *entry = list_entry(timer, struct hold_entry, timer);
	struct holder *holder = entry->owner;
	unsigned suppressed = 0;

	if (entry->state == HOLD_LET_IN) {
		forget(holder, entry);
		return;
	}
	if (!entry->seen && entry->seq <= hold_shared_seen(holder->setup->shared, entry->worker)) {
		entry->seen = true;
		loop_timer_set(&holder->loop, &entry->timer, answer_deadline(holder, entry));
		return;
	}
	count(holder, STATS_HOLD_UNANSWERED);
	if (log_allowed(&holder->unseen_log, holder->loop.now_ms, &suppressed))
		log_warning("hold: worker %u does not answer; its clients are let in at once (%u "
			    "more like this)",
			(unsigned)entry->worker, suppressed);
	release(holder, entry);
}

/* ---- packets ---- */

/* The worker does not read, or is just being replaced. */
static void flush_asks(struct link *link)
{
	struct holder *holder = link->holder;
	size_t n = link->n_asks;

	link->n_asks = 0;
	if (n == 0 || hold_link_send(link->fd, link->asks, sizeof(link->asks[0]), n) == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct hold_entry *entry = hold_table_by_id(&holder->table, link->asks[i].id);

		count(holder, STATS_HOLD_UNANSWERED);
		if (entry)
			release(holder, entry);
	}
}

static void ask_worker(struct holder *holder, struct hold_entry *entry)
{
	struct link *link = &holder->links[entry->worker];

	assert(link->n_asks < HOLD_LINK_BATCH);
	link->asks[link->n_asks++] = (struct hold_ask){
		.seq = entry->seq,
		.asked_ms = holder->loop.now_ms,
		.id = entry->id,
		.epoch = holder->setup->epoch,
		.bind = entry->bind,
		.client = entry->client,
		.local = entry->local,
	};
	loop_timer_set(&holder->loop, &entry->timer, holder->loop.now_ms + HOLDER_UNSEEN_MS);
	if (link->n_asks == HOLD_LINK_BATCH)
		flush_asks(link);
}

static void say_full(struct holder *holder, enum hold_room room, const struct sockaddr_any *client)
{
	char text[SOCKADDR_TEXT_MAX];
	unsigned suppressed = 0;

	count(holder, room == HOLD_FULL ? STATS_HOLD_FULL : STATS_HOLD_CLIENT_FULL);
	if (!log_allowed(&holder->full_log, holder->loop.now_ms, &suppressed))
		return;
	if (room == HOLD_FULL)
		log_warning("hold: %zu clients wait, the most that may (max); others are let in at "
			    "once (%u more like this)",
			holder->table.n, suppressed);
	else
		log_warning("hold: client %s has as many waiting as it may (max-per-client); "
			    "others are let in at once (%u more like this)",
			sockaddr_format_host(client, text), suppressed);
}

/* A client's first packet. */
static void hold_packet(
	struct holder *holder, uint32_t packet, size_t bind, const struct hold_packet *syn)
{
	const struct sockaddr_any *client = &syn->client, *local = &syn->local;
	struct hold_entry *entry = NULL;
	enum hold_room room = hold_table_add(&holder->table, client, local, &entry);

	if (room != HOLD_ROOM) {
		say_full(holder, room, client);
		give_verdict(holder, packet, true, 0);
		return;
	}
	count(holder, STATS_HOLD_HELD);
	timer_init(&entry->timer, on_entry_due);
	entry->owner = holder;
	entry->seen = false;
	entry->seq = ++holder->seq;
	entry->packet = packet;
	entry->isn = syn->isn;
	entry->bind = (uint16_t)bind;
	/* Other bits than those of the slot. */
	entry->worker = (uint16_t)((hold_table_hash(&holder->table, client, local) >> 32) %
				   holder->setup->n_workers);
	ask_worker(holder, entry);
}

static void take_packet(void *userdata, const struct nf_queue_packet *packet)
{
	struct holder *holder = userdata;
	struct hold_packet syn;
	struct hold_entry *entry;
	size_t bind = 0;

	if (hold_packet_parse(packet->data, packet->len, packet->ifindex, &syn) < 0) {
		count(holder, STATS_HOLD_UNREADABLE);
		give_verdict(holder, packet->id, true, 0);
		return;
	}
	if (hold_map_find(&holder->map, &syn.local, &bind) < 0) {
		give_verdict(holder, packet->id, true, 0);
		return;
	}
	entry = hold_table_find(&holder->table, &syn.client, &syn.local);
	if (!entry && hold_table_was_lately(&holder->table, &syn.client, &syn.local, syn.isn,
			      holder->loop.now_ms)) {
		count(holder, STATS_HOLD_REPEATED);
		give_verdict(holder, packet->id, true, 0);
		return;
	}
	if (!entry) {
		hold_packet(holder, packet->id, bind, &syn);
		return;
	}
	count(holder, STATS_HOLD_REPEATED);
	if (entry->state == HOLD_LET_IN)
		give_verdict(holder, packet->id, true, mark_of_worker(entry));
	else
		give_verdict(holder, packet->id, false, 0);
}

static void on_packets(struct loop_source *source, uint32_t events)
{
	struct holder *holder = list_entry(source, struct holder, packets);
	int n = NF_QUEUE_BATCH;

	(void)events;
	for (int i = 0; i < BATCHES_MAX && n == NF_QUEUE_BATCH; i++) {
		n = nf_queue_receive(&holder->queue, take_packet, holder);
		for (size_t w = 0; w < holder->setup->n_workers; w++)
			flush_asks(&holder->links[w]);
		flush_verdicts(holder);
	}
}

/* ---- answers ---- */

static void let_in(struct holder *holder, struct hold_entry *entry)
{
	assert(entry->state == HOLD_PENDING);
	give_verdict(holder, entry->packet, true, mark_of_worker(entry));
	entry->state = HOLD_LET_IN;
	loop_timer_set(&holder->loop, &entry->timer, holder->loop.now_ms + HOLDER_UNCOMING_MS);
}

static void take_answer(struct holder *holder, struct hold_entry *entry, enum hold_answer answer)
{
	if (entry->state == HOLD_LET_IN) {
		if (answer != HOLD_DONE)
			return;
		hold_table_remember(&holder->table, entry, holder->loop.now_ms);
		forget(holder, entry);
		return;
	}
	switch (answer) {
	case HOLD_ANSWERED:
		let_in(holder, entry);
		break;
	case HOLD_REFUSED:
		refuse(holder, entry, NFT_HOLD_RESET);
		break;
	case HOLD_HOST_UNREACHABLE:
		refuse(holder, entry, NFT_HOLD_HOST_UNREACHABLE);
		break;
	case HOLD_NET_UNREACHABLE:
		refuse(holder, entry, NFT_HOLD_NET_UNREACHABLE);
		break;
	case HOLD_PROHIBITED:
		refuse(holder, entry, NFT_HOLD_PROHIBITED);
		break;
	case HOLD_SILENT:
		count(holder, STATS_HOLD_SILENT);
		give_verdict(holder, entry->packet, false, 0);
		forget(holder, entry);
		break;
	case HOLD_ORDINARY:
	case HOLD_DONE:
	case HOLD_ANSWERS:
		release(holder, entry);
		break;
	}
}

static void on_link(struct loop_source *source, uint32_t events)
{
	struct link *link = list_entry(source, struct link, source);
	struct holder *holder = link->holder;
	struct hold_reply replies[HOLD_LINK_BATCH];
	int n;

	(void)events;
	while ((n = hold_link_receive(link->fd, replies, sizeof(replies[0]))) >= 0)
		for (int i = 0; i < n; i++) {
			struct hold_entry *entry = hold_table_by_id(&holder->table, replies[i].id);

			if (hold_link_reply_ok(&replies[i]) && entry &&
				replies[i].epoch == holder->setup->epoch &&
				entry->worker == link->worker)
				take_answer(holder, entry, (enum hold_answer)replies[i].answer);
		}
}

/* ---- the supervisor ---- */

/* worker: whose clients; n_workers: everybody. */
static void release_all(struct holder *holder, size_t worker)
{
	for (size_t i = 0; i < holder->table.max; i++) {
		struct hold_entry *entry = &holder->table.entries[i];

		if (entry->state != HOLD_FREE &&
			(worker == holder->setup->n_workers || entry->worker == worker))
			release(holder, entry);
	}
	flush_verdicts(holder);
}

static void on_channel(struct loop_source *source, uint32_t events)
{
	struct holder *holder = list_entry(source, struct holder, channel);
	const char ping = HOLDER_PING;
	struct holder_gone message = { 0 };
	ssize_t n = recv(holder->setup->channel_fd, &message, sizeof(message), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || message.message == HOLDER_END)
		holder->ending = true;
	else if (message.message == HOLDER_PING)
		(void)send(holder->setup->channel_fd, &ping, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	else if (message.message == HOLDER_GONE && message.worker < holder->setup->n_workers)
		release_all(holder, message.worker);
}

/* ---- start and end ---- */

static int open_queue(struct holder *holder)
{
	const struct config_hold *config = &holder->setup->config->hold;
	int err = -EPERM;

	/* The kernel says EPERM of one that is another program's, too. */
	for (uint32_t i = 0; i < QUEUES_TRIED && (err == -EPERM || err == -EBUSY); i++)
		err = nf_queue_open(&holder->queue, (uint16_t)(config->queue + i),
			config->max + QUEUE_SPARE, QUEUE_BUFFER);
	return err;
}

/* Clients are led to us when this has succeeded. */
static int open_table(struct holder *holder)
{
	struct nft_hold hold = { .table = holder->table_name, .queue = holder->queue.number };
	struct nft_hold_bind *binds = calloc(2 * holder->map.n_binds + 1, sizeof(*binds));
	int err;

	if (!binds)
		return -ENOMEM;
	hold.binds = binds;
	for (size_t i = 0; i < holder->map.n_binds; i++) {
		const struct hold_map_bind *held = &holder->map.binds[i];
		const struct sockaddr_any *addr = &held->bind->addr;
		bool v6 = sockaddr_family(addr) == AF_INET6;
		struct nft_hold_bind bind = {
			.family = (uint8_t)sockaddr_family(addr),
			.any = sockaddr_is_any(addr),
			.port = sockaddr_port(addr),
		};

		if (!held->listener->after_backend)
			continue;
		memcpy(bind.addr, v6 ? (const void *)&addr->in6.sin6_addr : &addr->in.sin_addr,
			v6 ? 16 : 4);
		binds[hold.n_binds++] = bind;
		if (v6 && bind.any && !held->listener->v6only) {
			bind.family = AF_INET;
			binds[hold.n_binds++] = bind;
		}
	}
	snprintf(holder->table_name, sizeof(holder->table_name), "sixgate-hold-%u",
		(unsigned)holder->queue.number);
	err = nl_channel_open(&holder->table_owner, NETLINK_NETFILTER, 0);
	if (!err)
		err = nft_hold_install(&holder->table_owner, &hold);
	free(binds);
	return err;
}

static int make_links(struct holder *holder)
{
	const struct holder_setup *setup = holder->setup;
	int err = 0;

	holder->links = calloc(setup->n_workers, sizeof(*holder->links));
	if (!holder->links)
		return -ENOMEM;
	for (size_t w = 0; w < setup->n_workers && !err; w++) {
		struct link *link = &holder->links[w];

		link->source.on_event = on_link;
		link->holder = holder;
		link->fd = setup->link_fds[w];
		link->worker = (uint16_t)w;
		err = loop_add(&holder->loop, link->fd, EPOLLIN, &link->source);
	}
	return err;
}

static int holder_start(struct holder *holder)
{
	const struct holder_setup *setup = holder->setup;
	const struct config_hold *config = &setup->config->hold;
	int err = hold_map_init(&holder->map, setup->config);

	if (!err)
		err = hold_table_init(&holder->table, config->max, config->max_per_client);
	if (!err)
		err = loop_init(&holder->loop);
	if (!err)
		err = make_links(holder);
	if (!err)
		err = open_queue(holder);
	if (!err)
		err = open_table(holder);
	holder->packets.on_event = on_packets;
	holder->channel.on_event = on_channel;
	if (!err)
		err = loop_add(&holder->loop, holder->queue.channel.fd, EPOLLIN, &holder->packets);
	if (!err)
		err = loop_add(&holder->loop, setup->channel_fd, EPOLLIN, &holder->channel);
	/* Last, as the calls above are more than the filter lets pass. */
	if (!err)
		err = sandbox_drop_to_net_admin(setup->config->user);
	return err ? err : sandbox_filter_holder();
}

static const char *remedy(int err)
{
	switch (err) {
	case -EPERM:
		return "CAP_NET_ADMIN is needed: run as root or grant it; or the packet queues are "
		       "taken: choose others with 'queue'";
	case -EPROTONOSUPPORT:
	case -EOPNOTSUPP:
	case -EINVAL:
		return "the kernel needs nftables, owned tables (Linux 5.12) and "
		       "CONFIG_NETFILTER_NETLINK_QUEUE with CONFIG_NFT_QUEUE or "
		       "CONFIG_NETFILTER_XT_TARGET_NFQUEUE";
	default:
		return "see the system log";
	}
}

/* No new packets come; those that there are go on. */
static void let_go(struct holder *holder)
{
	/* What came into the queue before the table went has to have its verdict, too. */
	(void)nft_hold_remove(&holder->table_owner, holder->table_name);
	on_packets(&holder->packets, EPOLLIN);
	release_all(holder, holder->setup->n_workers);
}

int holder_run(const struct holder_setup *setup)
{
	const char ready = HOLDER_READY;
	struct holder *holder = calloc(1, sizeof(*holder));
	int err;

	if (!holder)
		return EXIT_FAILURE;
	holder->setup = setup;
	holder->log = (struct ring_log){ .ring = setup->ring, .wake_fd = setup->ring_wake_fd };
	/* Above all of an earlier holder's: "seen" in shared memory must not cover new questions.
	 */
	holder->seq = (uint64_t)setup->epoch << 32;
	holder->table_owner.fd = holder->queue.channel.fd = -1;
	ring_log_use(&holder->log);
	err = holder_start(holder);
	if (err) {
		log_error("accept = after-backend has no effect, clients are let in at once: %s; "
			  "%s",
			strerror(-err), remedy(err));
		return HOLDER_UNAVAILABLE;
	}
	if (send(setup->channel_fd, &ready, 1, MSG_NOSIGNAL) != 1)
		holder->ending = true;
	while (!err && !holder->ending) {
		err = loop_run_once(&holder->loop, true);
		flush_verdicts(holder);
	}
	let_go(holder);
	/* Sockets, and what belongs to them, go with the process. */
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
