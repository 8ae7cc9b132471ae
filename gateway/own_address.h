/*
 * own_address - whether an IPv4 address is one of this machine's own.
 *
 * The kernel is asked which source it would use towards the address; towards itself that is the
 * address. No packet is sent.
 */
#pragma once

#include <stdbool.h>

#include "sockaddr.h"

struct own_address {
	int fd; /* a UDP socket; -1: closed */
};

/* 0 or a negative errno. */
int own_address_open(struct own_address *own);
/* Takes a closed one. */
void own_address_close(struct own_address *own);

/* addr: AF_INET; its port does not matter. What cannot be reached at all is not ours. */
bool own_address_is(const struct own_address *own, const struct sockaddr_any *addr);
