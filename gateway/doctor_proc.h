/*
 * doctor_proc - reads what the kernel and systemd show as files.
 *
 * root is put in front of every path: "" but in tests. Files are taken for bytes that may hold
 * anything. Formats: proc(5); of sockets, net/ipv4/tcp_ipv4.c and its like, whose addresses are
 * words in the machine's byte order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sockaddr.h"

#define PROC_FILE_MAX 65536U /* bytes of a file that are read */

/* The beginning of a file as a string, which the caller frees. 0 or a negative errno. */
int doctor_proc_file(const char *root, const char *path, char **ret_text);

bool doctor_proc_exists(const char *root, const char *path);

/*
 * Numbers of one file, in order; n of them, 8 at most, must be there. path is formatted. 0;
 * -EBADMSG: something else is there; or a negative errno.
 */
__attribute__((format(printf, 4, 5))) int doctor_proc_numbers(
	const char *root, int64_t *ret_numbers, size_t n, const char *format, ...);

struct doctor_socket {
	struct sockaddr_any local;
	struct sockaddr_any remote;
	uint8_t protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	bool listening;	  /* of UDP: not connected, whoever sends */
};

/*
 * Calls take for every socket of the protocol in this network namespace, whoever's it is; lines
 * that make no sense are passed over. 0 or a negative errno, maybe after some calls.
 */
int doctor_proc_sockets(const char *root, uint8_t protocol, sa_family_t family,
	void (*take)(void *userdata, const struct doctor_socket *socket), void *userdata);
