/* Datagrams from sources that do not exist, for tests, within namespaces that the test has made.
 *
 *   udpflood PREFIX BITS ADDRESS PORT COUNT
 *
 * COUNT datagrams of 32 bytes go to [ADDRESS]:PORT, each from a random address of PREFIX/BITS and a
 * random port. Prints {"sent": ..., "seconds": ...}. */

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define PAYLOAD 32U
#define PACKET	(40U + 8U + PAYLOAD)
#define BATCH	64

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

static uint16_t checksum(const uint8_t *packet)
{
	uint32_t sum = 17 + 8 + PAYLOAD;

	for (size_t i = 8; i < PACKET; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	return (uint16_t)(sum ? sum : 0xffff);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void forge(uint8_t *packet, const uint8_t prefix[16], unsigned bits,
	const struct in6_addr *to, unsigned port)
{
	memset(packet, 0, PACKET);
	packet[0] = 0x60;
	put16(packet + 4, 8 + PAYLOAD);
	packet[6] = 17;
	packet[7] = 64;
	for (unsigned i = 0; i < 16; i++) {
		unsigned fixed = bits > 8 * i ? bits - 8 * i : 0;
		unsigned mask = fixed >= 8 ? 0xff : 0xff00U >> fixed & 0xff;

		packet[8 + i] =
			(uint8_t)((prefix[i] & mask) | (next_random() >> 20 & ~mask & 0xff));
	}
	memcpy(packet + 24, to, 16);
	put16(packet + 40, 1024 + (unsigned)(next_random() >> 20) % 60000);
	put16(packet + 42, port);
	put16(packet + 44, 8 + PAYLOAD);
	put16(packet + 46, checksum(packet));
}

int main(int argc, char **argv)
{
	static uint8_t packets[BATCH][PACKET];
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	struct mmsghdr messages[BATCH];
	struct iovec iov[BATCH];
	struct timespec begin, end;
	struct in6_addr prefix;
	uint64_t count, sent = 0;
	int fd;

	if (argc != 6 || inet_pton(AF_INET6, argv[1], &prefix) != 1 ||
		inet_pton(AF_INET6, argv[3], &to.sin6_addr) != 1) {
		fputs("usage: see the beginning of udpflood.c\n", stderr);
		return 64;
	}
	count = strtoull(argv[5], NULL, 10);
	fd = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0 || getrandom(&random_state, sizeof(random_state), 0) < 0)
		fail("socket");
	random_state |= 1;
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ packets[i], PACKET };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &to,
			.msg_namelen = sizeof(to),
			.msg_iov = &iov[i],
			.msg_iovlen = 1 };
	}
	clock_gettime(CLOCK_MONOTONIC, &begin);
	while (sent < count) {
		unsigned n = count - sent < BATCH ? (unsigned)(count - sent) : BATCH;
		int done;

		for (unsigned i = 0; i < n; i++)
			forge(packets[i], prefix.s6_addr, (unsigned)atoi(argv[2]), &to.sin6_addr,
				(unsigned)atoi(argv[4]));
		done = sendmmsg(fd, messages, n, 0);
		if (done < 0)
			fail("sendmmsg");
		sent += (uint64_t)done;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("{\"sent\": %lu, \"seconds\": %.3f}\n", sent,
		(double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	return 0;
}
