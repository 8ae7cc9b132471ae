/*
 * dns - asks for the IPv4 addresses of names, without waiting, by c-ares in a loop.
 *
 * Nothing is remembered, and nothing asked again, here.
 *
 * The supervisor's, by way of resolver.h, which knows when to ask. Answers are DNS's (RFC 1035) or,
 * unless the configuration names servers, also those of /etc/hosts.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "loop.h"

struct dns;

enum dns_outcome {
	DNS_FOUND,
	DNS_NOT_FOUND, /* there is no such name, or it has no IPv4 address */
	DNS_NO_ANSWER, /* nobody could say; that says nothing of the name */
};

struct dns_answer {
	enum dns_outcome outcome;
	struct in_addr
		*addrs; /* as they came; to be read, and reordered, until on_answer returns */
	size_t n_addrs;
	uint32_t ttl_s;	    /* the least of all; 0: none is known, or it was that */
	const char *reason; /* static: why not found, or not answered */
};

/* Part of the asker, and must stay until it is answered. */
struct dns_query {
	/* Once for each dns_ask(), perhaps before that has returned; from here none may be asked.
	 */
	void (*on_answer)(struct dns_query *query, const struct dns_answer *answer);
	struct dns *dns; /* set by dns_ask() */
};

/*
 * loop and config must outlive it. No server is asked yet. 0 or a negative errno (-ENOMEM; -EIO:
 * c-ares does not take the servers), and ret_dns is untouched.
 */
int dns_open(struct loop *loop, const struct config_resolve *config, struct dns **ret_dns);
/* Takes NULL. Queries that are under way end in DNS_NO_ANSWER. */
void dns_close(struct dns *dns);
/* In a child: lets go of the sockets, which go on in the parent. Takes NULL. */
void dns_abandon(struct dns *dns);

/*
 * host: a name, in plain letters; it is copied. The answer comes in every case, in the end when all
 * attempts at all servers have timed out.
 */
void dns_ask(struct dns *dns, struct dns_query *query, const char *host);
