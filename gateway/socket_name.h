/*
 * socket_name - what a socket on which clients arrive is called in an estate: its protocol and
 * address, as what it was bound, and which of several on that address it is. Plain functions.
 *
 * "tcp [2001:db8::/64]:80 0", "udp v6only [::]:53 2", "tcp 192.0.2.1:1000-2000 0 owner". The next
 * image looks for its sockets by these texts, so a change of one letter would lose them: they are
 * for good, and config_bind_text() is part of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "estate.h"

struct socket_name {
	struct config_bind bind;
	bool v6only; /* IPV6_V6ONLY, which cannot be changed once a socket is bound */
	size_t row;  /* 0 up: which of the sockets on that address */
};

/* what: "", or what the name of a number beside it ends with. Returns buf. */
const char *socket_name_text(
	const struct socket_name *name, const char *what, char buf[ESTATE_NAME_MAX]);
/*
 * The way back, of a name without `what`. False: it is the name of something else, or of a socket
 * for all ports; ret_name is untouched then.
 */
bool socket_name_parse(const char *text, struct socket_name *ret_name);

/*
 * Whether the socket may be what bind(2) finds in the way (EADDRINUSE) of one that is bound like
 * that: of the same protocol, on the same port, on the same address or one of the two on all.
 */
bool socket_name_contends(const struct socket_name *name, const struct config_bind *bind);
