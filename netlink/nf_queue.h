/*
 * nf_queue - one packet queue of netfilter (nfnetlink_queue): packets that the kernel holds, and
 * what is to become of each.
 *
 * The kernel lets packets pass when nobody has the queue (bypass, see nft_hold.h), when more than
 * max_packets wait, or when the socket's buffer is full (NFQA_CFG_F_FAIL_OPEN). What waits when the
 * socket is closed is dropped. Source: linux/netfilter/nfnetlink_queue.h.
 *
 * Numbers are in network order on the wire (in nfgenmsg.res_id it is the queue's), and in host
 * order here. A message is a packet: NFQA_PACKET_HDR with its id, NFQA_PAYLOAD, NFQA_IFINDEX_INDEV;
 * or a verdict: NFQA_VERDICT_HDR, NFQA_MARK. Nothing is nested. Verdicts ask for no
 * acknowledgement, and many go in one sendto(2). Not NFQNL_MSG_VERDICT_BATCH, which gives one
 * verdict to all packets up to an id: ours differ.
 *
 * Called by the holder alone, in one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nl_channel.h"

#define NF_QUEUE_COPY  256U /* bytes of each packet that are seen: headers of a SYN */
#define NF_QUEUE_BATCH 32U  /* packets, or verdicts, of one system call */

/* One that the kernel holds; good during the call of a nf_queue_take. */
struct nf_queue_packet {
	uint32_t id;	     /* the kernel's; a verdict names it, once */
	uint32_t ifindex;    /* by which it came; 0: not known */
	const uint8_t *data; /* from the IP header on; a stranger's bytes */
	size_t len;	     /* NF_QUEUE_COPY at most */
};

struct nf_queue_verdict {
	uint32_t id;
	uint32_t mark; /* the packet's from now on; 0: as it was */
	bool accept;   /* or else it is dropped */
};

struct nf_queue {
	struct nl_channel channel; /* its fd is to be watched for EPOLLIN; -1: closed */
	uint16_t number;
	size_t n_waiting; /* verdicts that were not sent yet */
	struct nf_queue_verdict waiting[NF_QUEUE_BATCH];
};

/*
 * Takes the queue of that number. max_packets: how many the kernel holds at most; buffer: of the
 * socket, in bytes. To be done before any rule leads packets to it: one that comes while we wait
 * for the kernel's answer is read over, and would have no verdict. 0; -EPERM: without
 * CAP_NET_ADMIN, or the queue is somebody else's; -EOPNOTSUPP: this kernel has no queues, or
 * another negative errno; and then queue is untouched.
 */
int nf_queue_open(struct nf_queue *queue, uint16_t number, uint32_t max_packets, size_t buffer);
/* Takes one that is closed already (channel.fd -1). */
void nf_queue_close(struct nf_queue *queue);

/* Each packet needs one verdict, now or later; until then the kernel holds it. */
typedef void nf_queue_take(void *userdata, const struct nf_queue_packet *packet);

/*
 * Hands up to NF_QUEUE_BATCH packets to take, which may give verdicts; without waiting. How many
 * messages there were, also such as are no packets (less than NF_QUEUE_BATCH: there are no more
 * now); or a negative errno.
 */
int nf_queue_receive(struct nf_queue *queue, nf_queue_take *take, void *userdata);

/*
 * Sent by nf_queue_flush(), or when a batch is full. 0, or a negative errno of a batch: all of its
 * verdicts are lost then, and not tried again; the kernel holds their packets until the queue is
 * closed.
 */
int nf_queue_verdict(struct nf_queue *queue, const struct nf_queue_verdict *verdict);
int nf_queue_flush(struct nf_queue *queue);

/*
 * One message of the kernel, aligned to 4 bytes, into which ret_packet leads. 0, or -EBADMSG: it is
 * no packet, and ret_packet is untouched.
 */
int nf_queue_parse(const void *buf, size_t len, struct nf_queue_packet *ret_packet);

/* What nf_queue_flush() sends, into buf, which has this many bytes for each; how many bytes. */
#define NF_QUEUE_VERDICT_MAX 64U
size_t nf_queue_encode(
	const struct nf_queue_verdict *verdicts, size_t n, uint16_t number, void *buf);
