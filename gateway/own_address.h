/*
 * own_address - whether an address is one of this machine's own.
 *
 * The kernel is asked which source it would use towards the address; towards itself that is the
 * address. No packet is sent.
 */
#pragma once

#include <stdbool.h>

#include "sockaddr.h"

struct own_address {
	int fd;	    /* a UDP socket, which every question connects anew */
	int family; /* of the addresses it can tell; 0: closed */
};

/* For addresses of one family, AF_INET or AF_INET6. 0 or a negative errno. */
int own_address_open(struct own_address *own, int family);
/* Takes a closed one. */
void own_address_close(struct own_address *own);

/* addr: of any port. Of another family, or of a closed one, none is ours; nor is what cannot be
 * reached at all. */
bool own_address_is(const struct own_address *own, const struct sockaddr_any *addr);
