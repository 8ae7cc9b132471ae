/*
 * flow_header - the header that a flow's server gets: what identity.h and tlvs.h make of all that
 * is known of the flow.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "flow.h"
#include "identity.h"

/*
 * Into buf, with its length: 0 for an identity without one. 0; -EINVAL: the client's two addresses
 * are not of one family; -EMSGSIZE: it is longer than the configuration allows for. Such a flow
 * must not be passed on, and ret_len is untouched. No allocation: it is made once for each flow, on
 * the way to its server.
 */
int flow_header_make(const struct flow_table *table, const struct flow *flow,
	uint8_t buf[IDENTITY_HEADER_MAX], size_t *ret_len);
