/* Packets from sources that do not exist, for tests, within namespaces that the test has made.
 *
 *   flood udp|syn PREFIX BITS ADDRESS PORT COUNT [RATE]
 *
 * COUNT packets go to [ADDRESS]:PORT, each from a random address of PREFIX/BITS and a random port:
 * datagrams of 32 bytes, or TCP's first segments, with the options of an ordinary client. RATE a
 * second, or as fast as it goes. Prints {"sent": ..., "seconds": ...}. */

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define IP	   40U
#define UDP_LENGTH (8U + 32U)
#define PACKET_MAX 80U
#define BATCH	   64

struct flood {
	bool syn;
	uint8_t prefix[16];
	unsigned bits;
	struct sockaddr_in6 to;
	uint16_t port;
	uint64_t count;
	double rate; /* 0: as fast as it goes */
};

/* MSS 1440, selective acknowledgements, timestamps, window scale 7. */
static const uint8_t syn_options[] = { 2, 4, 0x05, 0xa0, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3,
	3, 7 };
#define SYN_LENGTH (20U + sizeof(syn_options))

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Over the pseudo header and the payload. */
static unsigned checksum(const uint8_t *packet, size_t length)
{
	uint32_t sum = packet[6] + (uint32_t)length;

	for (size_t i = 8; i < IP + length; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	return sum ? sum : 0xffff;
}

static void put_udp(uint8_t *udp)
{
	put16(udp + 4, UDP_LENGTH);
}

static void put_syn(uint8_t *tcp)
{
	uint32_t sequence = (uint32_t)(next_random() >> 20);

	memcpy(tcp + 4, &sequence, sizeof(sequence));
	tcp[12] = SYN_LENGTH / 4 << 4;
	tcp[13] = 0x02;
	put16(tcp + 14, 64800);
	memcpy(tcp + 20, syn_options, sizeof(syn_options));
}

/* Returns the packet's length. */
static size_t forge(const struct flood *flood, uint8_t *packet)
{
	size_t length = flood->syn ? SYN_LENGTH : UDP_LENGTH;

	memset(packet, 0, PACKET_MAX);
	packet[0] = 0x60;
	put16(packet + 4, (unsigned)length);
	packet[6] = flood->syn ? IPPROTO_TCP : IPPROTO_UDP;
	packet[7] = 64;
	for (unsigned i = 0; i < 16; i++) {
		unsigned fixed = flood->bits > 8 * i ? flood->bits - 8 * i : 0;
		unsigned mask = fixed >= 8 ? 0xff : 0xff00U >> fixed & 0xff;

		packet[8 + i] =
			(uint8_t)((flood->prefix[i] & mask) | (next_random() >> 20 & ~mask & 0xff));
	}
	memcpy(packet + 24, &flood->to.sin6_addr, 16);
	put16(packet + IP, 1024 + (unsigned)(next_random() >> 20) % 60000);
	put16(packet + IP + 2, flood->port);
	if (flood->syn)
		put_syn(packet + IP);
	else
		put_udp(packet + IP);
	put16(packet + IP + (flood->syn ? 16 : 6), checksum(packet, length));
	return IP + length;
}

/* Waits until as many as have been sent are due. */
static void pace(const struct flood *flood, uint64_t sent, double began)
{
	double ahead = flood->rate > 0 ? began + (double)sent / flood->rate - now() : 0;

	if (ahead > 0)
		nanosleep(&(struct timespec){ (time_t)ahead,
				  (long)((ahead - (double)(time_t)ahead) * 1e9) },
			NULL);
}

static void run(struct flood *flood, int fd)
{
	static uint8_t packets[BATCH][PACKET_MAX];
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	uint64_t sent = 0;
	double began = now();

	for (int i = 0; i < BATCH; i++) {
		iov[i].iov_base = packets[i];
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &flood->to,
			.msg_namelen = sizeof(flood->to),
			.msg_iov = &iov[i],
			.msg_iovlen = 1 };
	}
	while (sent < flood->count) {
		uint64_t left = flood->count - sent;
		unsigned n = left < BATCH ? (unsigned)left : BATCH;
		int done;

		for (unsigned i = 0; i < n; i++)
			iov[i].iov_len = forge(flood, packets[i]);
		done = sendmmsg(fd, messages, n, 0);
		if (done < 0)
			fail("sendmmsg");
		sent += (uint64_t)done;
		pace(flood, sent, began);
	}
	printf("{\"sent\": %lu, \"seconds\": %.3f}\n", sent, now() - began);
}

int main(int argc, char **argv)
{
	struct flood flood = { .to.sin6_family = AF_INET6 };
	int fd;

	if (argc < 7 || argc > 8 || (strcmp(argv[1], "udp") && strcmp(argv[1], "syn")) ||
		inet_pton(AF_INET6, argv[2], flood.prefix) != 1 ||
		inet_pton(AF_INET6, argv[4], &flood.to.sin6_addr) != 1) {
		fputs("usage: see the beginning of flood.c\n", stderr);
		return 64;
	}
	flood.syn = !strcmp(argv[1], "syn");
	flood.bits = (unsigned)atoi(argv[3]);
	flood.port = (uint16_t)atoi(argv[5]);
	flood.count = strtoull(argv[6], NULL, 10);
	flood.rate = argc == 8 ? atof(argv[7]) : 0;
	fd = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0 || getrandom(&random_state, sizeof(random_state), 0) < 0)
		fail("socket");
	random_state |= 1;
	run(&flood, fd);
	return 0;
}
