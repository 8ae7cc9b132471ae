/*
 * socket_name - what a socket on which clients arrive is called in an estate: its protocol and
 * address, as what it was bound, and which of several on that address it is. Plain functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "estate.h"

struct socket_name {
	struct config_bind bind;
	bool v6only;
	size_t row;
};

/* what: "", or what the name of a number beside it ends with. Returns buf. */
const char *socket_name_text(
	const struct socket_name *name, const char *what, char buf[ESTATE_NAME_MAX]);
/* False: it is the name of something else, or of a socket for all ports. */
bool socket_name_parse(const char *text, struct socket_name *ret_name);

/* Whether the kernel takes the one for a rival of the other, which need not be so. */
bool socket_name_contends(const struct socket_name *name, const struct config_bind *bind);
