#include "nf_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>
#include <sys/socket.h>

#define SUBSYSTEM(type)	 ((uint16_t)(NFNL_SUBSYS_QUEUE << 8 | (type)))
#define CONFIG_BYTES_MAX 512U
/* The packet's copy, and attributes around it. */
#define MESSAGE_MAX (NF_QUEUE_COPY + 512U)

static struct nlmsghdr *put_header(void *buf, uint16_t type, uint16_t flags, uint16_t number)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *general;

	message->nlmsg_type = SUBSYSTEM(type);
	message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	general->nfgen_family = AF_UNSPEC;
	general->version = NFNETLINK_V0;
	general->res_id = htons(number);
	return message;
}

/* ---- taking the queue ---- */

/* Flags are taken only with a mask of those that are meant. */
static int configure(struct nf_queue *queue, uint32_t max_packets)
{
	const struct nfqnl_msg_config_cmd bind = { .command = NFQNL_CFG_CMD_BIND };
	const struct nfqnl_msg_config_params params = {
		.copy_range = htonl(NF_QUEUE_COPY),
		.copy_mode = NFQNL_COPY_PACKET,
	};
	_Alignas(8) char buf[CONFIG_BYTES_MAX];
	struct nlmsghdr *message;
	int err;

	message = put_header(buf, NFQNL_MSG_CONFIG, NLM_F_ACK, queue->number);
	mnl_attr_put(message, NFQA_CFG_CMD, sizeof(bind), &bind);
	message->nlmsg_seq = nl_channel_next_seq(&queue->channel);
	err = nl_channel_request(&queue->channel, buf, message->nlmsg_len, message->nlmsg_seq);
	if (err)
		return err;
	message = put_header(buf, NFQNL_MSG_CONFIG, NLM_F_ACK, queue->number);
	mnl_attr_put(message, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(message, NFQA_CFG_QUEUE_MAXLEN, htonl(max_packets));
	mnl_attr_put_u32(message, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
	message->nlmsg_seq = nl_channel_next_seq(&queue->channel);
	return nl_channel_request(&queue->channel, buf, message->nlmsg_len, message->nlmsg_seq);
}

int nf_queue_open(struct nf_queue *queue, uint16_t number, uint32_t max_packets, size_t buffer)
{
	struct nf_queue opened = { .number = number };
	const int on = 1;
	int err = nl_channel_open(&opened.channel, NETLINK_NETFILTER, buffer);

	if (err)
		return err;
	/* A packet that finds the buffer full passes, which is nothing to be told of. */
	(void)setsockopt(opened.channel.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	err = configure(&opened, max_packets);
	if (err) {
		nl_channel_close(&opened.channel);
		/* What the kernel says of a part of nfnetlink that it does not have. */
		return err == -EINVAL ? -EOPNOTSUPP : err;
	}
	*queue = opened;
	return 0;
}

void nf_queue_close(struct nf_queue *queue)
{
	nl_channel_close(&queue->channel);
}

/* ---- packets ---- */

static int note_attribute(const struct nlattr *attr, void *data)
{
	const struct nlattr **found = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= NFQA_MAX)
		found[type] = attr;
	return MNL_CB_OK;
}

int nf_queue_parse(const void *buf, size_t len, struct nf_queue_packet *ret_packet)
{
	const struct nlattr *found[NFQA_MAX + 1] = { 0 };
	const struct nlmsghdr *message = buf;
	const struct nfqnl_msg_packet_hdr *header;

	/* Not mnl_nlmsg_ok(), for which a length of over INT_MAX is a negative one. */
	if (len < sizeof(*message) || message->nlmsg_len > len ||
		message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) ||
		message->nlmsg_type != SUBSYSTEM(NFQNL_MSG_PACKET))
		return -EBADMSG;
	if (mnl_attr_parse(message, sizeof(struct nfgenmsg), note_attribute, found) < 0)
		return -EBADMSG;
	if (!found[NFQA_PACKET_HDR] || !found[NFQA_PAYLOAD] ||
		mnl_attr_get_payload_len(found[NFQA_PACKET_HDR]) < sizeof(*header))
		return -EBADMSG;
	header = mnl_attr_get_payload(found[NFQA_PACKET_HDR]);
	*ret_packet = (struct nf_queue_packet){
		.id = ntohl(header->packet_id),
		.data = mnl_attr_get_payload(found[NFQA_PAYLOAD]),
		.len = mnl_attr_get_payload_len(found[NFQA_PAYLOAD]),
	};
	if (found[NFQA_IFINDEX_INDEV] &&
		mnl_attr_get_payload_len(found[NFQA_IFINDEX_INDEV]) >= sizeof(uint32_t))
		ret_packet->ifindex = ntohl(mnl_attr_get_u32(found[NFQA_IFINDEX_INDEV]));
	return 0;
}

int nf_queue_receive(struct nf_queue *queue, nf_queue_take *take, void *userdata)
{
	_Alignas(8) char bufs[NF_QUEUE_BATCH][MESSAGE_MAX];
	struct sockaddr_nl from[NF_QUEUE_BATCH];
	struct iovec data[NF_QUEUE_BATCH];
	struct mmsghdr headers[NF_QUEUE_BATCH];
	int n;

	for (unsigned i = 0; i < NF_QUEUE_BATCH; i++) {
		data[i] = (struct iovec){ .iov_base = bufs[i], .iov_len = MESSAGE_MAX };
		headers[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
			.msg_iov = &data[i],
			.msg_iovlen = 1,
		};
	}
	n = recvmmsg(queue->channel.fd, headers, NF_QUEUE_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct nf_queue_packet packet;

		/* Errors of verdicts are no packets: what they were for is gone. */
		if (from[i].nl_pid == 0 &&
			nf_queue_parse(bufs[i], headers[i].msg_len, &packet) == 0)
			take(userdata, &packet);
	}
	return n;
}

/* ---- verdicts ---- */

size_t nf_queue_encode(
	const struct nf_queue_verdict *verdicts, size_t n, uint16_t number, void *buf)
{
	char *end = buf;

	for (size_t i = 0; i < n; i++) {
		const struct nfqnl_msg_verdict_hdr verdict = {
			.verdict = htonl(verdicts[i].accept ? NF_ACCEPT : NF_DROP),
			.id = htonl(verdicts[i].id),
		};
		struct nlmsghdr *message = put_header(end, NFQNL_MSG_VERDICT, 0, number);

		mnl_attr_put(message, NFQA_VERDICT_HDR, sizeof(verdict), &verdict);
		if (verdicts[i].mark)
			mnl_attr_put_u32(message, NFQA_MARK, htonl(verdicts[i].mark));
		end += NLMSG_ALIGN(message->nlmsg_len);
	}
	return (size_t)(end - (char *)buf);
}

int nf_queue_flush(struct nf_queue *queue)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(8) char buf[NF_QUEUE_BATCH * NF_QUEUE_VERDICT_MAX];
	size_t len = nf_queue_encode(queue->waiting, queue->n_waiting, queue->number, buf);

	if (queue->n_waiting == 0)
		return 0;
	queue->n_waiting = 0;
	return sendto(queue->channel.fd, buf, len, 0, (const struct sockaddr *)&kernel,
		       sizeof(kernel)) < 0
		       ? -errno
		       : 0;
}

int nf_queue_verdict(struct nf_queue *queue, const struct nf_queue_verdict *verdict)
{
	queue->waiting[queue->n_waiting++] = *verdict;
	return queue->n_waiting == NF_QUEUE_BATCH ? nf_queue_flush(queue) : 0;
}
