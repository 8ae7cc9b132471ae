#include "udp_batch.h"

#include <assert.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What linux/in6.h has and netinet/in.h has not. */
#define IPV6_FLOWINFO_OPTION 11

/*
 * Theory of operation
 *
 * Most of a datagram's cost is the system call and the way through the kernel, so the less of both
 * the better: a batch for each call on receipt, a run for each call on sending. A run has one
 * length, but for its last, and one traffic class; what does not go together is sent by
 * sendmmsg(2), and a lone one by sendmsg(2), which costs less than a batch of one.
 *
 * The kernel refuses a run for more reasons than its datagrams have (its length with headers, a
 * device's limits, an older kernel's 64), and takes nothing of it then. So it is tried again one by
 * one, and only what that meets is an error.
 */
#define SEGMENTS_MAX  64U    /* the most that every kernel takes in one run */
#define RUN_BYTES_MAX 65000U /* of a run with its headers: below what an IPv4 packet holds */

int udp_batch_init(struct udp_batch *batch)
{
	size_t size = (size_t)UDP_BATCH_MAX * UDP_BATCH_DATA;
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	memset(batch, 0, sizeof(*batch));
	if (data == MAP_FAILED)
		return -ENOMEM;
	batch->data = data;
	batch->control = calloc(UDP_BATCH_MAX, sizeof(*batch->control));
	if (!batch->control) {
		udp_batch_destroy(batch);
		return -ENOMEM;
	}
	for (size_t i = 0; i < UDP_BATCH_MAX; i++) {
		struct msghdr *header = &batch->headers[i].msg_hdr;

		batch->messages[i].data = batch->data + i * UDP_BATCH_DATA;
		batch->iov[i] = (struct iovec){ batch->messages[i].data, UDP_BATCH_DATA };
		header->msg_iov = &batch->iov[i];
		header->msg_iovlen = 1;
		header->msg_name = &batch->names[i];
		header->msg_control = batch->control[i];
	}
	return 0;
}

void udp_batch_destroy(struct udp_batch *batch)
{
	if (batch->data)
		munmap(batch->data, (size_t)UDP_BATCH_MAX * UDP_BATCH_DATA);
	free(batch->control);
	memset(batch, 0, sizeof(*batch));
}

/* ---- receipt ---- */

static void parse_ipv6(const struct cmsghdr *c, struct udp_message *message)
{
	struct in6_pktinfo info;
	uint32_t flow_info;
	int value = 0;

	switch (c->cmsg_type) {
	case IPV6_PKTINFO:
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		message->local.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_addr = info.ipi6_addr };
		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			message->local.in6.sin6_scope_id = info.ipi6_ifindex;
		sockaddr_unmap(&message->local);
		break;
	case IPV6_FLOWINFO_OPTION:
		memcpy(&flow_info, CMSG_DATA(c), sizeof(flow_info));
		flow_info = ntohl(flow_info);
		message->flow_label = flow_info & 0xfffff;
		message->traffic_class = (uint8_t)(flow_info >> 20);
		break;
	case IPV6_HOPLIMIT:
		memcpy(&value, CMSG_DATA(c), sizeof(value));
		message->hop_limit = (uint8_t)value;
		break;
	default:
		break;
	}
}

static void parse_ip(const struct cmsghdr *c, struct udp_message *message)
{
	struct in_pktinfo info;
	int value = 0;

	switch (c->cmsg_type) {
	case IP_PKTINFO:
		memcpy(&info, CMSG_DATA(c), sizeof(info));
		/* What was sent to all, or to a group, came to no address of ours. */
		if (info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr)
			message->local.in = (struct sockaddr_in){ .sin_family = AF_INET,
				.sin_addr = info.ipi_addr };
		break;
	case IP_TOS: /* told in one byte, though it is said in an int */
		message->traffic_class = *CMSG_DATA(c);
		break;
	case IP_TTL:
		memcpy(&value, CMSG_DATA(c), sizeof(value));
		message->hop_limit = (uint8_t)value;
		break;
	default:
		break;
	}
}

/* The kernel tells the size of a run's datagrams in an int, and wants it told in 16 bits. */
static void parse(struct msghdr *header, size_t len, struct udp_message *message)
{
	uint8_t *data = message->data;
	int segment = 0;

	*message = (struct udp_message){ .data = data, .len = len, .segment = len };
	memcpy(&message->peer, header->msg_name,
		header->msg_namelen < sizeof(message->peer) ? header->msg_namelen
							    : sizeof(message->peer));
	sockaddr_unmap(&message->peer);
	message->whole = !(header->msg_flags & MSG_TRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == IPPROTO_IPV6)
			parse_ipv6(c, message);
		else if (c->cmsg_level == IPPROTO_IP)
			parse_ip(c, message);
		else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	if (segment > 0 && (size_t)segment < len)
		message->segment = (size_t)segment;
	/* Whoever takes it apart has room for so many; the kernel may change its mind one day. */
	if (udp_message_datagrams(message) > UDP_BATCH_RUN_MAX)
		message->len = UDP_BATCH_RUN_MAX * message->segment;
}

int udp_batch_receive(struct udp_batch *batch, int fd, size_t at, size_t n)
{
	int got;

	assert(at + n <= UDP_BATCH_MAX);
	for (size_t i = at; i < at + n; i++) {
		batch->headers[i].msg_hdr.msg_namelen = sizeof(batch->names[i]);
		batch->headers[i].msg_hdr.msg_controllen = sizeof(batch->control[i]);
		batch->headers[i].msg_hdr.msg_flags = 0;
	}
	got = recvmmsg(fd, batch->headers + at, (unsigned)n, MSG_DONTWAIT, NULL);
	if (got < 0)
		return -errno;
	for (size_t i = at; i < at + (size_t)got; i++)
		parse(&batch->headers[i].msg_hdr, batch->headers[i].msg_len, &batch->messages[i]);
	return got;
}

/* ---- sending ---- */

/* Appends to the message's control data, for which there is room. */
static void put_control(
	struct msghdr *header, uint8_t *buf, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(buf + header->msg_controllen);

	assert(header->msg_controllen % _Alignof(struct cmsghdr) == 0);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	header->msg_control = buf;
	header->msg_controllen += CMSG_SPACE(len);
}

/* How many datagrams from the first on can go as one run: all of a length but the last. */
static size_t run_length(const struct udp_datagram *datagrams, size_t n, size_t header_len)
{
	size_t each = datagrams[0].len + header_len, bytes = each, run = 1;

	while (run < n && run < SEGMENTS_MAX && each > 0) {
		const struct udp_datagram *next = &datagrams[run];
		size_t len = next->len + header_len;

		if (next->traffic_class != datagrams[0].traffic_class || len > each || len == 0 ||
			bytes + len > RUN_BYTES_MAX)
			break;
		bytes += len;
		run++;
		if (len < each)
			break;
	}
	return run;
}

/* Two at most. An empty piece is left out; an empty datagram without a header has none. */
static size_t put_pieces(struct iovec *iov, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagram)
{
	size_t n = 0;

	if (header_len > 0)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)header, header_len };
	if (datagram->len > 0)
		iov[n++] = (struct iovec){ (void *)(uintptr_t)datagram->data, datagram->len };
	return n;
}

static int send_run(int fd, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagrams, size_t n)
{
	/* No overflow: run_length() keeps all of it below RUN_BYTES_MAX. */
	const uint16_t segment = (uint16_t)(header_len + datagrams[0].len);
	const int traffic_class = datagrams[0].traffic_class;
	struct iovec iov[2 * SEGMENTS_MAX];
	_Alignas(struct cmsghdr) uint8_t control[64];
	struct msghdr message = { .msg_iov = iov };

	assert(n > 1 && n <= SEGMENTS_MAX);
	for (size_t i = 0; i < n; i++)
		message.msg_iovlen +=
			put_pieces(iov + message.msg_iovlen, header, header_len, &datagrams[i]);
	put_control(&message, control, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	if (traffic_class)
		put_control(&message, control, IPPROTO_IP, IP_TOS, &traffic_class,
			sizeof(traffic_class));
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* One alone, as most are when there are many clients. */
static int send_one(
	int fd, const uint8_t *header, size_t header_len, const struct udp_datagram *datagram)
{
	const int traffic_class = datagram->traffic_class;
	_Alignas(struct cmsghdr) uint8_t control[32];
	struct iovec iov[2];
	struct msghdr message = { .msg_iov = iov };

	message.msg_iovlen = put_pieces(iov, header, header_len, datagram);
	if (traffic_class)
		put_control(&message, control, IPPROTO_IP, IP_TOS, &traffic_class,
			sizeof(traffic_class));
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* As many as go into what the stack has room for; the caller comes again for the rest. */
static size_t send_singly(int fd, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagrams, size_t n, int *ret_error)
{
	enum { AT_ONCE = 16 };
	struct mmsghdr messages[AT_ONCE];
	struct iovec iov[2 * AT_ONCE];
	_Alignas(struct cmsghdr) uint8_t control[AT_ONCE][32];
	int sent;

	if (n > AT_ONCE)
		n = AT_ONCE;
	memset(messages, 0, n * sizeof(messages[0]));
	for (size_t i = 0; i < n; i++) {
		const int traffic_class = datagrams[i].traffic_class;
		struct msghdr *message = &messages[i].msg_hdr;

		message->msg_iov = iov + 2 * i;
		message->msg_iovlen =
			put_pieces(message->msg_iov, header, header_len, &datagrams[i]);
		if (traffic_class)
			put_control(message, control[i], IPPROTO_IP, IP_TOS, &traffic_class,
				sizeof(traffic_class));
	}
	sent = sendmmsg(fd, messages, (unsigned)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0) {
		*ret_error = errno;
		return 0;
	}
	return (size_t)sent;
}

size_t udp_batch_send(int fd, const uint8_t *header, size_t header_len,
	const struct udp_datagram *datagrams, size_t n, int *ret_error)
{
	size_t done = 0;

	while (done < n) {
		size_t run = run_length(datagrams + done, n - done, header_len), sent = 0;

		if (run > 1 && send_run(fd, header, header_len, datagrams + done, run) == 0)
			sent = run;
		/* A run is refused for more reasons than its datagrams: they are tried one by one.
		 */
		if (sent == 0) {
			size_t singles = run;

			while (run == 1 && done + singles < n &&
				run_length(datagrams + done + singles, n - done - singles,
					header_len) == 1)
				singles++;
			if (singles == 1) {
				int err = send_one(fd, header, header_len, datagrams + done);

				*ret_error = -err;
				sent = !err;
			} else {
				sent = send_singly(fd, header, header_len, datagrams + done,
					singles, ret_error);
			}
			if (sent == 0)
				return done;
		}
		done += sent;
	}
	return done;
}

/* ---- answers ---- */

int udp_answers_init(struct udp_answers *answers)
{
	memset(answers, 0, sizeof(*answers));
	answers->fd = -1;
	answers->control = calloc(UDP_BATCH_MAX, sizeof(*answers->control));
	return answers->control ? 0 : -ENOMEM;
}

void udp_answers_destroy(struct udp_answers *answers)
{
	free(answers->control);
	answers->control = NULL;
}

/* An IPv6 socket knows IPv4 peers by their v4-mapped form. */
static void map(struct sockaddr_any *addr)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = addr->in.sin_port };

	assert(sockaddr_family(addr) == AF_INET);
	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &addr->in.sin_addr, 4);
	addr->in6 = in6;
}

static void put_source(struct msghdr *header, uint8_t *control, sa_family_t family,
	const struct sockaddr_any *local)
{
	struct sockaddr_any from = *local;
	struct in6_pktinfo info6 = { 0 };
	struct in_pktinfo info4 = { 0 };

	if (family == AF_INET) {
		info4.ipi_spec_dst = from.in.sin_addr;
		put_control(header, control, IPPROTO_IP, IP_PKTINFO, &info4, sizeof(info4));
		return;
	}
	if (sockaddr_family(&from) == AF_INET)
		map(&from);
	info6.ipi6_addr = from.in6.sin6_addr;
	/* A link-local address needs its link; any other leaves by the way to the client. */
	info6.ipi6_ifindex = from.in6.sin6_scope_id;
	put_control(header, control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
}

void udp_answers_add(struct udp_answers *answers, int fd, sa_family_t family,
	const struct sockaddr_any *local, const struct sockaddr_any *client,
	const struct udp_message *message)
{
	const int traffic_class = message->traffic_class;
	const uint16_t segment = (uint16_t)message->segment;
	bool v6 = sockaddr_family(client) == AF_INET6;
	struct msghdr *header;
	size_t i;

	if (answers->n == UDP_BATCH_MAX || (answers->n > 0 && answers->fd != fd))
		udp_answers_send(answers);
	i = answers->n++;
	answers->fd = fd;
	answers->names[i] = *client;
	if (family == AF_INET6 && !v6)
		map(&answers->names[i]);
	answers->iov[i] = (struct iovec){ message->data, message->len };
	header = &answers->headers[i].msg_hdr;
	*header = (struct msghdr){
		.msg_name = &answers->names[i],
		.msg_namelen = sockaddr_len(&answers->names[i]),
		.msg_iov = &answers->iov[i],
		.msg_iovlen = 1,
	};
	put_source(header, answers->control[i], family, local);
	if (traffic_class)
		put_control(header, answers->control[i], v6 ? IPPROTO_IPV6 : IPPROTO_IP,
			v6 ? IPV6_TCLASS : IP_TOS, &traffic_class, sizeof(traffic_class));
	answers->segments[i] = 1;
	if (message->segment < message->len) {
		answers->segments[i] = (uint16_t)udp_message_datagrams(message);
		put_control(header, answers->control[i], IPPROTO_UDP, UDP_SEGMENT, &segment,
			sizeof(segment));
	}
}

/* A run that was refused as such: its datagrams one by one. */
static void send_apart(struct udp_answers *answers, size_t i)
{
	struct msghdr header = answers->headers[i].msg_hdr;
	uint8_t *data = answers->iov[i].iov_base;
	size_t left = answers->iov[i].iov_len;
	size_t segment = (left + answers->segments[i] - 1) / answers->segments[i];
	struct iovec iov;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c))
		if (c->cmsg_level == IPPROTO_UDP) {
			uint16_t said;

			memcpy(&said, CMSG_DATA(c), sizeof(said));
			segment = said;
			/* It is the last. */
			header.msg_controllen = (size_t)((uint8_t *)c - answers->control[i]);
			break;
		}
	header.msg_iov = &iov;
	while (left > 0) {
		iov = (struct iovec){ data, left < segment ? left : segment };
		if (sendmsg(answers->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			answers->failed++;
		else
			answers->sent++;
		data += iov.iov_len;
		left -= iov.iov_len;
	}
}

/*
 * sendmmsg(2) tells an error only of the first message that it is given, and otherwise how many
 * went: so after a short count it is given the rest, and if that fails, it is by the first of it.
 */
void udp_answers_send(struct udp_answers *answers)
{
	size_t done = 0;

	while (done < answers->n) {
		int sent = sendmmsg(answers->fd, answers->headers + done,
			(unsigned)(answers->n - done), MSG_DONTWAIT | MSG_NOSIGNAL);

		for (int i = 0; i < sent; i++)
			answers->sent += answers->segments[done + (size_t)i];
		if (sent > 0) {
			done += (size_t)sent;
			continue;
		}
		if (answers->segments[done] > 1)
			send_apart(answers, done);
		else
			answers->failed++;
		done++;
	}
	answers->n = 0;
}

/* ---- sockets ---- */

struct flag {
	int level, option;
};

static int set_flags(int fd, const struct flag *flags, size_t n)
{
	const int on = 1;

	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, flags[i].level, flags[i].option, &on, sizeof(on)) < 0)
			return -errno;
	return 0;
}

int udp_batch_prepare_listener(int fd, sa_family_t family)
{
	static const struct flag v6[] = { { IPPROTO_IPV6, IPV6_RECVPKTINFO },
		{ IPPROTO_IPV6, IPV6_FLOWINFO_OPTION }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT } };
	/* On an IPv6 socket for the v4-mapped peers, whose address IPV6_RECVPKTINFO tells. */
	static const struct flag both[] = { { IPPROTO_IP, IP_RECVTOS }, { IPPROTO_IP, IP_RECVTTL },
		{ IPPROTO_UDP, UDP_GRO } };
	static const struct flag v4[] = { { IPPROTO_IP, IP_PKTINFO } };
	int err = set_flags(fd, both, sizeof(both) / sizeof(both[0]));

	if (!err && family == AF_INET6)
		err = set_flags(fd, v6, sizeof(v6) / sizeof(v6[0]));
	if (!err && family == AF_INET)
		err = set_flags(fd, v4, sizeof(v4) / sizeof(v4[0]));
	return err;
}

int udp_batch_prepare_server(int fd)
{
	static const struct flag flags[] = { { IPPROTO_IP, IP_RECVTOS }, { IPPROTO_IP, IP_RECVERR },
		{ IPPROTO_UDP, UDP_GRO } };

	return set_flags(fd, flags, sizeof(flags) / sizeof(flags[0]));
}

uint32_t udp_batch_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0)
		return 0;
	return info[SK_MEMINFO_DROPS];
}
