#include "socket_name.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prefix.h"

const char *socket_name_text(
	const struct socket_name *name, const char *what, char buf[ESTATE_NAME_MAX])
{
	char text[CONFIG_BIND_TEXT_MAX];

	snprintf(buf, ESTATE_NAME_MAX, "%s%s %s %zu%s",
		name->bind.protocol == IPPROTO_UDP ? "udp" : "tcp", name->v6only ? " v6only" : "",
		config_bind_text(&name->bind, text), name->row, what);
	return buf;
}

/* Cuts off the number behind the last `mark`. False: there is none. */
static bool cut_number(char *text, char mark, unsigned long max, unsigned long *ret_number)
{
	char *at = strrchr(text, mark), *end = NULL;
	unsigned long number;

	if (!at || at[1] < '0' || at[1] > '9')
		return false;
	number = strtoul(at + 1, &end, 10);
	if (*end != '\0' || number > max)
		return false;
	*at = '\0';
	*ret_number = number;
	return true;
}

/* Takes the length of a prefix out of "[2001:db8::/64]:80". False: it is none. */
static bool take_length(char *text, struct config_bind *bind)
{
	char *slash = strchr(text, '/'), *end = NULL;
	unsigned long len;

	if (!slash)
		return true;
	len = strtoul(slash + 1, &end, 10);
	if (end == slash + 1 || (*end != ']' && *end != ':') || len == 0 || len > 128)
		return false;
	bind->prefix_len = (uint8_t)len;
	memmove(slash, end, strlen(end) + 1);
	return true;
}

static bool parse_bind(char *text, struct config_bind *bind)
{
	unsigned long last = 0;
	bool is_range = cut_number(text, '-', UINT16_MAX, &last);
	const char *reason;

	if (!take_length(text, bind) || sockaddr_parse(text, &bind->addr, &reason) < 0)
		return false;
	bind->port_max = is_range ? (uint16_t)last : sockaddr_port(&bind->addr);
	if (bind->prefix_len == 0 && !sockaddr_is_any(&bind->addr))
		bind->prefix_len = prefix_full_len(&bind->addr);
	return true;
}

bool socket_name_parse(const char *text, struct socket_name *ret_name)
{
	static const char v6only[] = " v6only";
	const size_t len = strlen(text);
	struct socket_name name = { 0 };
	char copy[ESTATE_NAME_MAX];
	unsigned long row = 0;
	char *at = copy + 3;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len + 1);
	if (strncmp(copy, "tcp", 3) == 0)
		name.bind.protocol = IPPROTO_TCP;
	else if (strncmp(copy, "udp", 3) == 0)
		name.bind.protocol = IPPROTO_UDP;
	else
		return false;
	name.v6only = strncmp(at, v6only, sizeof(v6only) - 1) == 0;
	at += name.v6only ? sizeof(v6only) - 1 : 0;
	if (*at != ' ' || !cut_number(at, ' ', UINT16_MAX, &row) || *at != ' ' ||
		!parse_bind(at + 1, &name.bind))
		return false;
	name.row = row;
	*ret_name = name;
	return true;
}

bool socket_name_contends(const struct socket_name *name, const struct config_bind *bind)
{
	struct sockaddr_any a = name->bind.addr, b = bind->addr;

	if (name->bind.protocol != bind->protocol || sockaddr_port(&a) != sockaddr_port(&b))
		return false;
	return sockaddr_is_any(&a) || sockaddr_is_any(&b) || sockaddr_equal(&a, &b);
}
